"""Requests under way at the same time: all have ended before what depends on them, and no error is lost."""

from __future__ import annotations

import contextvars
import multiprocessing
import threading
from collections.abc import Callable
from datetime import datetime

import pytest

from service.errors import NotFound, StoreError
from service.pipeline.ledger import Ledger, blob_key
from service.pipeline.together import mark, meanwhile, together
from tests.fakes import ManualClock, MemoryStore

ID = "194577ef-babb-542c-9bb7-2a98459326f1"
LIMIT = 30


class Crash(BaseException):
    pass


def failing(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def test_calls_are_under_way_at_the_same_time() -> None:
    meeting = threading.Barrier(3)
    together([lambda: _wait(meeting)] * 3)  # one after another, none would get past it
    assert not meeting.broken


def _wait(meeting: threading.Barrier) -> None:
    meeting.wait(LIMIT)


def test_nothing_to_do_is_done() -> None:
    together([])


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("error", [StoreError("gone"), Crash()])
def test_an_error_is_raised_when_all_have_ended(place: int, error: BaseException) -> None:
    failed, done = threading.Event(), []

    def late(number: int) -> None:
        assert failed.wait(LIMIT)
        done.append(number)

    def fail() -> None:
        failed.set()
        raise error

    # The calling thread does the first itself.
    calls = [lambda number=n: late(number) for n in range(3)]
    calls[place] = fail
    if place:
        calls[0] = lambda: done.append(0)
    with pytest.raises(type(error)) as caught:
        together(calls)
    assert caught.value is error
    assert sorted(done) == [n for n in range(3) if n != place]


def test_of_several_errors_the_first_asked_for_is_raised() -> None:
    with pytest.raises(StoreError, match="first"):
        together([lambda: None, failing(StoreError("first")), failing(StoreError("second"))])


def test_what_fails_meanwhile_does_not_hide_the_own_error() -> None:
    with pytest.raises(NotFound), meanwhile([failing(StoreError("other"))]):
        raise NotFound("own")
    with pytest.raises(StoreError, match="other"), meanwhile([failing(StoreError("other"))]):
        pass


def test_a_call_sees_the_context_of_who_asked() -> None:
    trace = contextvars.ContextVar("trace", default="")
    seen = []
    token = trace.set("mine")
    together([lambda: seen.append(trace.get())] * 3)
    trace.reset(token)
    assert seen == ["mine"] * 3


def test_what_is_there_already_is_marked() -> None:
    store = MemoryStore()
    store.create("work/1", b"body")
    together(lambda key=k: mark(store, key) for k in ("work/1", "work/2"))
    assert store.objects == {"work/1": b"body", "work/2": b""}


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_fork_has_threads_of_its_own() -> None:
    test_calls_are_under_way_at_the_same_time()
    fork = multiprocessing.get_context("fork").Process(target=test_calls_are_under_way_at_the_same_time)
    fork.start()
    fork.join()
    assert fork.exitcode == 0


# --- the ledger's blobs


class Slow(MemoryStore):
    """Stores nothing before it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.asked = 0

    def create(self, key: str, body: bytes, *, retain_until: datetime | None = None) -> None:
        assert self.go.wait(LIMIT)
        if body == b"bad":
            raise StoreError("the store is gone")
        super().create(key, body, retain_until=retain_until)

    def get(self, key: str) -> bytes:
        self.asked += 1
        return super().get(key)


def test_gathered_blobs_are_stored_when_the_context_has_ended() -> None:
    store = Slow()
    ledger = Ledger(store, ManualClock())
    with ledger.remembering():
        with ledger.storing_together():
            named = [ledger.put_blob(ID, body, "pdf") for body in (b"one", b"two", b"one")]
            assert store.objects == {}  # and yet this thread has gone on
            store.go.set()
        assert store.objects == {
            blob_key(ID, name, "pdf"): body for name, body in zip(named, (b"one", b"two"), strict=False)
        }
        assert ledger.get_blob(ID, named[0], "pdf") == b"one"
    assert store.asked == 0


def test_a_gathered_blob_that_is_read_is_waited_for() -> None:
    store = Slow()
    ledger = Ledger(store, ManualClock())
    with ledger.storing_together():
        name = ledger.put_blob(ID, b"one", "pdf")
        threading.Timer(0, store.go.set).start()
        assert ledger.get_blob(ID, name, "pdf") == b"one"


def test_a_gathered_blob_that_cannot_be_stored_is_told_and_not_remembered() -> None:
    store = Slow()
    store.go.set()
    ledger = Ledger(store, ManualClock())
    with ledger.remembering():
        with pytest.raises(StoreError, match="gone"), ledger.storing_together():
            name = ledger.put_blob(ID, b"bad", "pdf")
            other = ledger.put_blob(ID, b"two", "pdf")
        with pytest.raises(NotFound):
            ledger.get_blob(ID, name, "pdf")
        assert list(store.objects) == [blob_key(ID, other, "pdf")]
