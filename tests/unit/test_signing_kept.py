"""Threads that want the same wait for one another, and for nobody else."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from signing.kept import OneAtATime


def test_different_wishes_are_met_at_the_same_time() -> None:
    each = OneAtATime[int]()
    all_in = threading.Barrier(40, timeout=20)

    def enter(key: int) -> None:
        with each.of(key):
            all_in.wait()

    with ThreadPoolExecutor(40) as threads:
        list(threads.map(enter, range(40)))
    assert each._wanted == {}


def test_the_same_is_wanted_one_at_a_time() -> None:
    each, inside, most = OneAtATime[str](), [0], [0]
    first_in, may_leave = threading.Event(), threading.Event()

    def enter(_: int) -> None:
        with each.of("same"):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            first_in.set()
            assert may_leave.wait(20)
            inside[0] -= 1

    with ThreadPoolExecutor(8) as threads:
        entering = [threads.submit(enter, number) for number in range(40)]
        assert first_in.wait(20)
        deadline = time.monotonic() + 20
        while each._wanted["same"][1] < 8:  # one is in, and all others wait for it
            assert time.monotonic() < deadline
            time.sleep(0.001)  # until the next look
        may_leave.set()
        for entered in entering:
            entered.result()
    assert most == [1]
    assert each._wanted == {}


def test_what_goes_wrong_inside_lets_the_next_in() -> None:
    each = OneAtATime[str]()
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), each.of("same"):
            raise ZeroDivisionError
    with each.of("same"):
        pass
    assert each._wanted == {}
