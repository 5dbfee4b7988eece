"""Reading a log, short and long: what is gathered in one object is used only where the entries prove it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.observed import CountingStore
from service.domain.log import Draft, Entry, following, gather, gathered_key, log_key
from service.errors import LogCorrupt, NotFound
from service.pipeline.chain import Chain, read_chain
from service.pipeline.fsck import StoreCheck
from service.pipeline.ledger import Ledger
from tests.fakes import ManualClock, MemoryStore

ID = "0d9a7c1e-6f0c-4a55-9b2f-0c1f3f6f7a10"


def entries(length: int) -> list[Entry]:
    made = [Entry(ID, 0, None, "e0", "2026-01-05T09:00:00.000Z", "submitted", 1, {"tegn": "\u2028 \n"})]
    while len(made) < length:
        name = f"e{len(made)}"
        made.append(
            following(made[-1], id=name, at="2026-01-05T09:00:01.000Z", type="told", version=1, data={})
        )
    return made


def stored(log: list[Entry], gathered: bytes | None = None) -> MemoryStore:
    store = MemoryStore()
    for entry in log:
        store.create(entry.key, entry.body)
    if gathered is not None:
        store.put(gathered_key(ID), gathered)
    return store


def bodies(chain: Chain) -> list[bytes]:
    return [entry.body for entry in chain.entries]


@pytest.mark.parametrize("length", [1, 2, 15, 16, 17, 18, 40])
@pytest.mark.parametrize("behind", [0, 1, 16])
def test_a_log_is_read_whole_however_much_of_it_is_gathered(length: int, behind: int) -> None:
    log = entries(length)
    chain = read_chain(stored(log, gather(log[: max(1, length - behind)])), ID)
    assert bodies(chain) == [entry.body for entry in log]
    assert [entry.seq for entry in chain.entries] == list(range(length))


def test_a_long_log_takes_few_requests_and_no_more_when_it_is_longer() -> None:
    asked = []
    for length in (100, 1000):
        log = entries(length)
        store = CountingStore(stored(log, gather(log[:-3])))
        assert len(read_chain(store, ID).entries) == length
        asked.append(store.requests)
    assert asked[0] == asked[1] == {"list": 2, "get": 1 + 4}


def test_none_is_not_found() -> None:
    with pytest.raises(NotFound):
        read_chain(stored([], b"{}"), ID)


def _other(log: list[Entry]) -> bytes:
    """A log that holds in itself and is another."""
    made = [Entry(ID, 0, None, "x0", "2026-01-05T09:00:00.000Z", "submitted", 1, {"who": "else"})]
    while len(made) < len(log):
        made.append(
            following(made[-1], id="x", at="2026-01-05T09:00:01.000Z", type="told", version=1, data={})
        )
    return gather(made)


FORGED: dict[str, Callable[[list[Entry]], bytes]] = {
    "nothing": lambda _: b"",
    "no JSON": lambda _: b"\xff{",
    "deep": lambda _: b"[" * 100_000,
    "one line": lambda log: log[0].body,
    "of another agreement": lambda log: gather(log).replace(ID.encode(), b"x" * len(ID)),
    "a chain of its own": _other,
    "a line left out": lambda log: gather([*log[:5], *log[6:]]),
    "the first left out": lambda log: gather(log[1:]),
    "longer than the log": lambda log: gather([*log, following(log[-1], id="z", at="", type="t", version=1, data={})]),
    "of a later format": lambda log: gather(log).replace(b'"v":1', b'"v":2'),
    "with a line too much": lambda log: gather(log) + b"\n",
    "the last line altered": lambda log: gather(log)[:-1] + b" }",
}  # fmt: skip


@pytest.mark.parametrize("forged", FORGED)
def test_what_is_gathered_and_does_not_fit_is_not_used_and_replaced(forged: str) -> None:
    log = entries(30)
    store = stored(log, FORGED[forged](log))
    chain = read_chain(store, ID)
    assert bodies(chain) == [entry.body for entry in log]
    chain.gather(store)
    assert store.get(gathered_key(ID)) == gather(log)
    assert read_chain(store, ID).gathered == 30


@given(place=st.integers(0), value=st.integers(0, 255))
def test_no_byte_of_it_can_be_changed_so_that_something_else_is_read(place: int, value: int) -> None:
    log = entries(20)
    body = bytearray(gather(log[:18]))
    body[place % len(body)] = value
    assert bodies(read_chain(stored(log, bytes(body)), ID)) == [entry.body for entry in log]


def test_a_broken_log_is_not_mended_by_what_is_gathered() -> None:
    log = entries(30)
    store = stored(log, gather(log[:20]))
    store.delete(log[25].key)
    with pytest.raises(LogCorrupt):
        read_chain(store, ID)


def test_a_store_put_back_from_before_the_gathering_is_read_as_it_is() -> None:
    log = entries(30)
    assert len(read_chain(stored(log[:25], gather(log)), ID).entries) == 25


def test_it_is_gathered_when_enough_has_come() -> None:
    store = stored([])
    ledger = Ledger(store, ManualClock())
    last = None
    with ledger.remembering():
        for number in range(40):
            last = ledger.append(
                ID, last, Draft("submitted" if not last else "told", {"n": number}), version=1
            )
            ledger.gather(ledger.chain(ID))
        lines = store.get(gathered_key(ID)).split(b"\n")
    assert len(lines) == 32
    assert lines[31] == store.get(log_key(ID, 31))


def test_a_run_reads_the_log_once_and_then_what_has_come() -> None:
    log = entries(30)
    memory = stored(log, gather(log))
    store = CountingStore(memory)
    ledger = Ledger(store, ManualClock())
    with ledger.remembering():
        assert len(ledger.read(ID)) == 30
        before = store.requests.copy()
        assert len(ledger.read(ID)) == 30
        assert store.requests - before == {"head": 1}
        Ledger(memory, ManualClock()).append(ID, log[-1], Draft("told", {}), version=1)  # somebody else
        assert len(ledger.read(ID)) == 31
    store.requests.clear()
    assert len(ledger.read(ID)) == 31
    assert store.requests["list"] == 2  # nothing is remembered after the run


def test_fsck_tells_of_one_that_differs() -> None:
    log = entries(30)
    for body, told in ((gather(log), False), (gather(log[:20]), False), (_other(log), True), (b"", True)):
        codes = {finding.code for finding in StoreCheck(stored(log, body)).run()}
        assert ("gathered_log_differs" in codes) is told
        assert "key_unknown" not in codes
