"""`signert fsck` on what stands beside the agreements, and on a store that changes while it is read."""

from __future__ import annotations

import copy
import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from service.domain.folding import advance, fold
from service.domain.log import log_key
from service.domain.places import card_key
from service.errors import ChecksumMismatch, CommandRejected, FieldError, NotFound, StoreError
from service.pipeline.fsck import Severity, StoreCheck
from service.pipeline.index import index
from service.pipeline.intake import receive
from service.pipeline.ledger import Draft
from service.pipeline.quarantine import reject
from service.pipeline.resubmission import Wire, command_again, kept_messages, record
from service.pipeline.services import Services
from service.pipeline.work import Marker, Parked
from tests.fakes import MemoryStore, without_tools

ROOT = Path(__file__).parents[2]
EXAMPLE = json.loads((ROOT / "examples/agreement.json").read_text())


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def services(store: MemoryStore) -> Services:
    return without_tools(store)


def command(**changes: Any) -> dict[str, Any]:
    return {"command_id": str(uuid.uuid4()), "agreement": {**copy.deepcopy(EXAMPLE), **changes}}


def bring_to_rest(services: Services, marker: Marker) -> None:
    agreement = fold(services.ledger.read(marker.agreement_id))
    refused = Draft("rejected", {"step": "render", "code": "glyph_missing", "errors": []})
    entry = services.ledger.append(agreement.id, agreement.head, refused, version=1)
    index(services.store, None, advance(agreement, entry))
    services.workbook.end(marker)


def told(store: MemoryStore, *only: str) -> list[tuple[str, str]]:
    return sorted((f.code, f.where) for f in StoreCheck(store, settle=0).run(only))


def test_nothing_is_to_be_said_of_an_empty_store(store: MemoryStore) -> None:
    check = StoreCheck(store)
    assert list(check.run()) == []
    assert check.counts.agreements == 0


def test_agreements_under_way_and_at_rest_are_sound(services: Services, store: MemoryStore) -> None:
    receive(services, "submit", command())
    bring_to_rest(services, receive(services, "submit", command()))
    check = StoreCheck(store)
    assert list(check.run()) == []
    assert check.counts.statuses == {"submitted": 1, "rejected": 1}
    assert check.counts.commands == 2


# --- does it move? ----------------------------------------------------------------------------------------


def test_without_a_marker_an_agreement_is_left_behind_and_the_same_command_mends_it(
    services: Services, store: MemoryStore
) -> None:
    payload = command()
    marker = receive(services, "submit", payload)
    services.workbook.end(marker)
    (found,) = StoreCheck(store, settle=0).run()
    assert (found.severity, found.code, found.where) == (
        Severity.ERROR, "marker_missing", marker.agreement_id,
    )  # fmt: skip
    assert "signert recover" in found.remedy
    receive(services, "submit", payload)
    assert told(store) == []


def test_a_marker_of_an_agreement_at_rest_is_a_note(services: Services, store: MemoryStore) -> None:
    marker = receive(services, "submit", command())
    bring_to_rest(services, marker)
    services.workbook.save(marker)
    assert told(store) == [("marker_left", marker.key)]


def test_a_parked_agreement_is_a_note_with_the_reason(services: Services, store: MemoryStore) -> None:
    marker = receive(services, "submit", command())
    parked = Parked(
        "render", "render_failed", "LibreOffice is gone", "Install it.", 3,
        "2026-11-21T09:00:00.000Z", "2026-11-21T09:05:00.000Z",
    )  # fmt: skip
    services.workbook.save(replace(marker, parked=parked))
    (found,) = StoreCheck(store).run()
    assert (found.severity, found.code, found.remedy) == (Severity.NOTE, "parked", "Install it.")
    for part in ("render_failed", "LibreOffice is gone", "2026-11-21T09:05"):
        assert part in found.message


def test_a_marker_that_no_worker_can_read(services: Services, store: MemoryStore) -> None:
    marker = receive(services, "submit", command())
    store.put(marker.key, b"{}")
    assert told(store) == [("marker_unreadable", marker.key)]
    store.delete(log_key(marker.agreement_id, 0))
    assert ("marker_unreadable", marker.key) in told(store)


# --- commands ---------------------------------------------------------------------------------------------


def test_a_command_that_was_claimed_and_is_nowhere_is_lost(services: Services, store: MemoryStore) -> None:
    payload = command()
    marker = receive(services, "submit", payload)
    store.delete(log_key(marker.agreement_id, 0))
    claim = f"commands/{payload['command_id']}.json"
    assert told(store) == [("command_waiting", claim)]  # the marker is there: the sweeper takes it in
    services.workbook.end(marker)
    assert [code for code, _ in told(store)] == ["command_lost", "log_absent"]
    receive(services, "submit", payload)
    assert told(store) == []


def test_a_command_that_was_refused_after_it_was_claimed_is_not_lost(
    services: Services, store: MemoryStore
) -> None:
    first = receive(services, "submit", command())
    late = command(id=first.agreement_id)
    with pytest.raises(CommandRejected) as refused:
        receive(services, "submit", late)
    assert told(store) == [("command_lost", f"commands/{late['command_id']}.json")]
    reject(services, "submit", late, refused.value)
    assert told(store) == []


def test_that_another_command_of_the_same_id_was_refused_says_nothing(
    services: Services, store: MemoryStore
) -> None:
    payload = command()
    bad = {**payload, "agreement": {}}
    reject(services, "submit", bad, CommandRejected("bad", [FieldError("agreement", "required", "Send it.")]))
    marker = receive(services, "submit", payload)
    store.delete(log_key(marker.agreement_id, 0))
    services.workbook.end(marker)
    assert "command_lost" in [code for code, _ in told(store)]


def test_the_log_and_the_commands_must_agree(services: Services, store: MemoryStore) -> None:
    payload = command()
    receive(services, "submit", payload)
    key = f"commands/{payload['command_id']}.json"
    body = store.get(key)
    claim = json.loads(body)
    store.put(key, json.dumps({**claim, "payload_sha256": "0" * 64}).encode())
    assert told(store) == [("claim_differs", key)]
    store.put(key, b"[]")
    assert told(store) == [("claim_unreadable", key)]
    store.delete(key)
    assert told(store) == [("claim_missing", key)]


# --- index, outbox, quarantine, and what is none of these -------------------------------------------------


def test_the_index(services: Services, store: MemoryStore) -> None:
    marker = receive(services, "submit", command())
    assert told(store) == []  # it is indexed when it rests
    bring_to_rest(services, marker)
    assert told(store) == []
    (all_key,) = store.list("index/all/")
    (kind,) = store.list("index/kind/")
    card = card_key(marker.agreement_id)
    nobody = str(uuid.uuid4())
    dangling = all_key.replace(marker.agreement_id, nobody)
    elsewhere = kind.replace(".rejected/", ".signed/")
    for key in (dangling, card_key(nobody), elsewhere):
        store.put(key, b"")
    assert told(store) == [
        ("index_dangling", dangling),
        ("index_dangling", card_key(nobody)),
        ("index_differs", elsewhere),
    ]
    for key in (dangling, card_key(nobody), elsewhere, all_key):
        store.delete(key)
    assert told(store, marker.agreement_id) == [("index_missing", all_key)]
    altered = json.loads(store.get(card))
    altered["summary"]["versions"] = 7
    store.put(card, json.dumps(altered).encode())
    assert told(store, marker.agreement_id) == [("index_differs", card), ("index_missing", all_key)]
    store.delete(card)
    assert told(store, marker.agreement_id) == [("index_missing", card)]


def test_the_outbox_and_the_quarantine(services: Services, store: MemoryStore) -> None:
    reject(services, "submit", {}, CommandRejected("bad", [FieldError("$", "required", "Send it.")]))
    (key,) = store.list("quarantine/")
    assert told(store) == []
    identity = key.removeprefix("quarantine/").removesuffix(".json")
    store.put(f"outbox/{identity}", b"")
    assert told(store) == [("outbox_waiting", f"outbox/{identity}")]
    kept = json.loads(store.get(key))
    store.put(key, json.dumps({**kept, "message": {"command_id": 1}}).encode())
    assert ("quarantine_unreadable", key) in told(store)
    store.put(key, b"{")
    assert ("quarantine_unreadable", key) in told(store)


def test_a_command_that_was_sent_again_is_part_of_the_layout(services: Services, store: MemoryStore) -> None:
    payload = command()
    reject(services, "submit", payload, CommandRejected("bad", [FieldError("$", "required", "Send it.")]))
    (kept,) = kept_messages(store)
    record(store, services.clock, kept, command_again(store, kept, Wire("signert.v1.", 1000)))
    assert len(list(store.list("resubmitted/"))) == 1
    assert told(store) == []


@pytest.mark.parametrize(
    "key",
    [
        "notes.txt",
        "agreements",
        "agreements/notes.txt",
        "agreements/not-an-id/log/00000000.json",
        f"agreements/{uuid.UUID(int=1)}/notes.txt",
        f"agreements/{uuid.UUID(int=1)}/blobs/notes.txt",
        "commands/1.json",
        "index/case/tiltak",
        "outbox/1",
        "quarantine/1.json",
        "work/1/2",
        "resubmitted/1",
        "backup/agreements",
    ],
)
def test_a_key_that_is_not_ours_is_a_note(store: MemoryStore, key: str) -> None:
    store.put(key, b"")
    check = StoreCheck(store, settle=0)
    found = [f for f in check.run() if f.code == "key_unknown"]
    assert [(f.where, f.severity) for f in found] == [(key, Severity.NOTE)]


# --- some agreements only ---------------------------------------------------------------------------------


def test_only_the_agreements_asked_for(services: Services, store: MemoryStore) -> None:
    first, second = (receive(services, "submit", command()) for _ in range(2))
    store.put("notes.txt", b"")
    services.workbook.end(first)
    assert told(store, second.agreement_id) == []
    assert told(store, first.agreement_id) == [("marker_missing", first.agreement_id)]
    with pytest.raises(NotFound):
        told(store, str(uuid.uuid4()))


# --- a store that changes, errs or fails while it is read -------------------------------------------------


class Changing(MemoryStore):
    """Does something just before it answers the n-th question about a key or prefix."""

    def __init__(self, source: MemoryStore, prefix: str, nth: int, change: Callable[[], None]) -> None:
        super().__init__()
        self.objects = source.objects
        self._prefix = prefix
        self._left = nth
        self._change = change

    def _asked(self, key: str) -> None:
        if key.startswith(self._prefix):
            self._left -= 1
            if self._left == 0:
                self._change()

    def get(self, key: str) -> bytes:
        self._asked(key)
        return super().get(key)

    def list(self, prefix: str = "", *, after: str | None = None, limit: int | None = None) -> Iterator[str]:
        self._asked(prefix)
        return super().list(prefix, after=after, limit=limit)


def test_a_run_that_begins_between_two_looks_is_no_error(services: Services, store: MemoryStore) -> None:
    payload = command()
    marker = receive(services, "submit", payload)
    services.workbook.end(marker)

    def begin() -> None:
        receive(services, "submit", payload)

    changing = Changing(store, f"agreements/{marker.agreement_id}/", 1, begin)
    assert told(changing) == []


def test_a_run_that_ends_between_two_looks_is_no_note(services: Services, store: MemoryStore) -> None:
    marker = receive(services, "submit", command())
    bring_to_rest(services, marker)
    services.workbook.save(marker)
    changing = Changing(store, f"work/{marker.agreement_id}/", 3, lambda: services.workbook.end(marker))
    assert told(changing) == []


def test_an_object_that_was_read_wrongly_once_is_no_error(services: Services, store: MemoryStore) -> None:
    marker = receive(services, "submit", command())
    key, *_ = store.list(f"agreements/{marker.agreement_id}/blobs/")
    whole = store.objects[key]

    wrong = [whole[:-1]]

    class OnceWrong(MemoryStore):
        def get(self, asked: str) -> bytes:
            return wrong.pop() if asked == key and wrong else super().get(asked)

    once_wrong = OnceWrong()
    once_wrong.objects = store.objects
    assert told(once_wrong) == []
    assert not wrong


class Failing(MemoryStore):
    """Does not answer for some keys."""

    def __init__(self, source: MemoryStore, prefix: str, error: StoreError) -> None:
        super().__init__()
        self.objects = source.objects
        self._prefix = prefix
        self._error = error

    def get(self, key: str) -> bytes:
        if key.startswith(self._prefix):
            raise self._error
        return super().get(key)


def test_one_object_that_cannot_be_read_does_not_end_the_check(
    services: Services, store: MemoryStore
) -> None:
    marker = receive(services, "submit", command())
    store.put("notes.txt", b"")
    blob, *_ = store.list(f"agreements/{marker.agreement_id}/blobs/")
    error = StoreError("the store could not read it: Input/output error", remedy="Check the disk.")
    assert told(Failing(store, blob, error)) == [("key_unknown", "notes.txt"), ("object_unreadable", blob)]


def test_what_the_store_itself_calls_altered_is_altered(services: Services, store: MemoryStore) -> None:
    marker = receive(services, "submit", command())
    error = ChecksumMismatch("not what was written there")
    blob, *_ = store.list(f"agreements/{marker.agreement_id}/blobs/")
    assert told(Failing(store, blob, error)) == [("blob_altered", blob)]
    entry = log_key(marker.agreement_id, 0)
    assert told(Failing(store, entry, error)) == [("log_entry_altered", entry)]


def test_a_store_that_does_not_answer_ends_the_check(services: Services, store: MemoryStore) -> None:
    for _ in range(3):
        receive(services, "submit", command())
    with pytest.raises(StoreError):
        told(Failing(store, "", StoreError("the store is away")))
