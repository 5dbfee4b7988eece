"""What a run wrote or read just before is not asked for again, and is forgotten with the run."""

from __future__ import annotations

import threading
from collections import Counter

import pytest

from service.errors import NotFound, StoreError
from service.pipeline.ledger import Ledger, blob_key
from signing import Parts
from tests.fakes import ManualClock, MemoryStore

ID = "194577ef-babb-542c-9bb7-2a98459326f1"


class CountingStore(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self.asked: Counter[str] = Counter()

    def get(self, key: str) -> bytes:
        self.asked[key] += 1
        return super().get(key)


@pytest.fixture
def store() -> CountingStore:
    return CountingStore()


@pytest.fixture
def ledger(store: CountingStore) -> Ledger:
    return Ledger(store, ManualClock())


def test_a_blob_written_or_read_is_not_asked_for_again(store: CountingStore, ledger: Ledger) -> None:
    before = ledger.put_blob(ID, b"before", "pdf")
    with ledger.remembering():
        sha256 = ledger.put_blob(ID, b"%PDF", "pdf")
        assert [ledger.get_blob(ID, each, "pdf") for each in (sha256, before) * 3] == [b"%PDF", b"before"] * 3
    assert store.asked == {blob_key(ID, before, "pdf"): 1}


@pytest.mark.parametrize("size", [4, 33 * 1024 * 1024])
def test_a_blob_in_parts_is_what_its_join_is(ledger: Ledger, size: int) -> None:
    """The larger one is too large to be remembered, and stored part by part."""
    whole = b"%PDF" + bytes(size)
    with ledger.remembering():
        sha256 = ledger.put_blob(ID, Parts(whole) + b" and more", "pdf")
        assert ledger.get_blob(ID, sha256, "pdf") == whole + b" and more"
    assert ledger.put_blob(ID, whole + b" and more", "pdf") == sha256


def test_nothing_is_remembered_after_the_run(store: CountingStore, ledger: Ledger) -> None:
    """An erased agreement's content must not live on in a worker."""
    with ledger.remembering():
        sha256 = ledger.put_blob(ID, b"%PDF", "pdf")
        with ledger.remembering():  # a run within a run, which ends first
            pass
        assert ledger.get_blob(ID, sha256, "pdf") == b"%PDF"
        assert not store.asked
    store.delete(blob_key(ID, sha256, "pdf"))
    with pytest.raises(NotFound):
        ledger.get_blob(ID, sha256, "pdf")


def test_the_store_can_be_asked_all_the_same(store: CountingStore, ledger: Ledger) -> None:
    """As before a document is verified: what counts is what the store has."""
    with ledger.remembering():
        sha256 = ledger.put_blob(ID, b"%PDF", "pdf")
        store.objects[blob_key(ID, sha256, "pdf")] = b"another"
        with pytest.raises(StoreError, match="not what its name says"):
            ledger.get_blob(ID, sha256, "pdf", stored=True)


def test_a_blob_that_was_there_already_is_read_from_the_store(store: CountingStore, ledger: Ledger) -> None:
    """Somebody else wrote it: that the name is taken does not say that the bytes are there whole."""
    sha256 = ledger.put_blob(ID, b"%PDF", "pdf")
    with ledger.remembering():
        assert ledger.put_blob(ID, b"%PDF", "pdf") == sha256
        ledger.get_blob(ID, sha256, "pdf")
    assert store.asked == {blob_key(ID, sha256, "pdf"): 1}


def test_what_is_sent_is_remembered_until_it_is_known_that_it_was_there(
    store: CountingStore, ledger: Ledger
) -> None:
    there = ledger.put_blob(ID, b"%PDF", "pdf")
    with ledger.remembering():
        with ledger.sending() as sent:
            new = ledger.put_blob(ID, b"%PDF-2", "pdf")
            assert ledger.put_blob(ID, b"%PDF", "pdf") == there
        sent.arrived()
        assert ledger.get_blob(ID, new, "pdf") == b"%PDF-2"
        assert ledger.get_blob(ID, there, "pdf") == b"%PDF"
    assert store.asked == {blob_key(ID, there, "pdf"): 1}


def test_threads_do_not_share_what_they_remember(store: CountingStore, ledger: Ledger) -> None:
    with ledger.remembering():
        sha256 = ledger.put_blob(ID, b"%PDF", "pdf")
        other = threading.Thread(target=ledger.get_blob, args=(ID, sha256, "pdf"))
        other.start()
        other.join()
    assert store.asked == {blob_key(ID, sha256, "pdf"): 1}
