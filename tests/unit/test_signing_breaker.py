"""A server that fails is left alone for a while; what is kept has bounds."""

from __future__ import annotations

from signing.breaker import Breaker, BreakerRule
from signing.kept import Kept


class Seconds:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


RULE = BreakerRule(failures=3, rest=30, longest=100)


def failing(breaker: Breaker, times: int) -> list[bool]:
    opened = []
    for _ in range(times):
        assert breaker.admit()
        opened.append(breaker.failed())
    return opened


def test_it_opens_after_failures_in_a_row() -> None:
    breaker = Breaker(RULE, monotonic=Seconds())
    assert failing(breaker, 2) == [False, False]
    assert breaker.admit()
    breaker.succeeded()
    assert failing(breaker, 3) == [False, False, True]
    assert (breaker.state, breaker.admit(), breaker.rests_for) == ("open", False, 30)


def test_one_request_tries_a_rested_server() -> None:
    seconds = Seconds()
    breaker = Breaker(RULE, monotonic=seconds)
    failing(breaker, 3)
    seconds.now += 29.9
    assert not breaker.admit()
    seconds.now += 0.1
    assert breaker.state == "half-open"
    assert [breaker.admit() for _ in range(3)] == [True, False, False]
    breaker.succeeded()
    assert (breaker.state, breaker.admit()) == ("closed", True)


def test_the_rest_grows_up_to_a_limit() -> None:
    seconds = Seconds()
    breaker = Breaker(RULE, monotonic=seconds)
    failing(breaker, 3)
    rests = []
    for _ in range(4):
        rests.append(breaker.rests_for)
        seconds.now += breaker.rests_for
        assert breaker.admit()
        assert breaker.failed()
    assert rests == [30, 60, 100, 100]


def test_a_probe_that_says_nothing_leaves_the_next_to_try() -> None:
    seconds = Seconds()
    breaker = Breaker(RULE, monotonic=seconds)
    failing(breaker, 3)
    seconds.now += 30
    assert breaker.admit()
    breaker.left()
    assert breaker.admit()


def test_what_was_under_way_when_it_opened_does_not_make_the_rest_longer() -> None:
    seconds = Seconds()
    breaker = Breaker(RULE, monotonic=seconds)
    assert [breaker.admit() for _ in range(5)] == [True] * 5
    assert [breaker.failed() for _ in range(5)] == [False, False, True, False, False]
    assert breaker.rests_for == 30


def test_kept_is_bounded_in_number_and_bytes() -> None:
    kept: Kept[str, str] = Kept(3, 100)
    for name in "abc":
        kept.put(name, name.upper(), 10)
    assert kept.get("a") == "A"  # used: b is the oldest now
    kept.put("d", "D", 10)
    assert [kept.get(name) for name in "abcd"] == ["A", None, "C", "D"]
    kept.put("e", "E", 85)
    assert [kept.get(name) for name in "acde"] == [None, None, "D", "E"]
    kept.put("f", "F", 101)
    assert (kept.get("f"), kept.get("e"), len(kept)) == (None, "E", 2)


def test_what_is_put_again_counts_once() -> None:
    kept: Kept[str, int] = Kept(10, 100)
    for number in range(20):
        kept.put("a", number, 60)
    kept.put("b", 1, 40)
    assert (kept.get("a"), kept.get("b")) == (19, 1)
    kept.drop("a")
    kept.put("c", 2, 60)
    assert [kept.get(name) for name in "abc"] == [None, 1, 2]
    kept.clear()
    kept.put("d", 3, 100)
    assert kept.get("d") == 3
