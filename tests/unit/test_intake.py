"""Commands in: taken in once, refused with the reason, and nothing lost on the way."""

from __future__ import annotations

import copy
import json
import uuid
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from service.domain.folding import fold
from service.errors import AlreadyExists, CommandRejected, StoreError
from service.pipeline.intake import receive, resume
from service.pipeline.quarantine import publish_rejection, reject, rejections
from service.pipeline.services import Services
from service.pipeline.sweep import sweep
from tests.fakes import EventList, ManualClock, MemoryStore, without_tools

ROOT = Path(__file__).parents[2]
EXAMPLE = json.loads((ROOT / "examples/agreement.json").read_text())


def services(
    store: MemoryStore | None = None, events: EventList | None = None, clock: ManualClock | None = None
) -> Services:
    return without_tools(store, clock, events)


def command(**changes: Any) -> dict[str, Any]:
    return {"command_id": str(uuid.uuid4()), "agreement": {**copy.deepcopy(EXAMPLE), **changes}}


def refusal(given: Services, payload: object) -> CommandRejected:
    with pytest.raises(CommandRejected) as caught:
        receive(given, "submit", payload)
    return caught.value


def test_a_command_becomes_the_first_entry_of_its_agreement() -> None:
    given = services()
    payload = command()
    marker = receive(given, "submit", payload)
    (entry,) = given.ledger.read(marker.agreement_id)
    assert entry.type == "submitted"
    assert entry.data["command_id"] == payload["command_id"]
    stored = given.ledger.get_json(marker.agreement_id, entry.data["input_sha256"])
    assert stored == {**payload["agreement"], "id": marker.agreement_id}


def test_without_a_version_the_newest_template_is_used_and_named() -> None:
    given = services()
    newest = given.templates.newest("tilretteleggingsavtale")
    marker = receive(given, "submit", command(template={"name": "tilretteleggingsavtale"}))

    (entry,) = given.ledger.read(marker.agreement_id)

    assert entry.data["template"] == {"name": "tilretteleggingsavtale", "version": newest}
    stored = given.ledger.get_json(marker.agreement_id, entry.data["input_sha256"])
    assert stored["template"] == {"name": "tilretteleggingsavtale", "version": newest}


def test_a_translation_that_the_template_has_not_is_refused() -> None:
    old = {"name": "tilretteleggingsavtale", "version": "1.0.0"}
    given = services()

    [error] = refusal(given, command(template=old, courtesy_translation="en")).errors

    assert (error.path, error.code) == ("agreement.courtesy_translation", "courtesy_not_served")
    assert receive(given, "submit", command(courtesy_translation="en"))


def test_a_declaration_s_template_is_not_for_agreements() -> None:
    [error] = refusal(services(), command(template={"name": "taushetserklaering"})).errors

    assert (error.path, error.code) == ("agreement.template.name", "unknown_template")


def test_keys_and_log_hold_no_personal_data() -> None:
    given = services()
    marker = receive(given, "submit", command())
    outside_blobs = [k for k in given.store.list() if "/blobs/" not in k]
    text = " ".join([*given.store.list(), *(given.store.get(k).decode() for k in outside_blobs)])
    for party in EXAMPLE["parties"].values():
        for field in ("first_name", "last_name", "national_id", "phone", "email", "ident"):
            assert str(party.get(field, "\0")) not in text
    assert marker.agreement_id in text


def test_the_same_command_twice_is_one_agreement() -> None:
    given = services()
    payload = command()
    first, second = receive(given, "submit", payload), receive(given, "submit", payload)
    assert first.agreement_id == second.agreement_id
    assert len(given.ledger.read(first.agreement_id)) == 1


def test_a_redelivered_command_is_not_judged_by_a_later_day() -> None:
    """A start date that was soon enough when the command was taken in is so for good."""
    clock = ManualClock()
    given = services(clock=clock)
    payload = command()
    marker = receive(given, "submit", payload)
    clock.advance(timedelta(days=20 * 365))
    assert refusal(given, command()).errors[0].path == "agreement.period.start"
    assert receive(given, "submit", payload).agreement_id == marker.agreement_id


def test_a_command_id_used_for_something_else_is_refused() -> None:
    given = services()
    payload = command()
    receive(given, "submit", payload)
    payload["agreement"]["position"]["title"] = "Kokk"
    error = refusal(given, payload)
    assert error.code == "command_id_reused"
    assert [e.path for e in error.errors] == ["command_id"]


def test_an_id_that_is_taken_is_refused() -> None:
    given = services()
    taken = str(uuid.uuid4())
    receive(given, "submit", command(id=taken))
    error = refusal(given, command(id=taken))
    assert error.code == "agreement_exists"
    assert [e.path for e in error.errors] == ["agreement.id"]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"template": {"name": "finnes-ikke", "version": "1.0.0"}}, "agreement.template"),
        ({"template": {"name": "tilretteleggingsavtale", "version": "9.9.9"}}, "agreement.template"),
        ({"template": {"name": "kvittering", "version": "1.0.0"}}, "agreement.template.name"),
        ({"language": "se"}, "agreement.language"),
        ({"language": "en"}, "agreement.language"),
    ],
)
def test_an_unknown_template_or_language_is_refused(change: dict[str, Any], path: str) -> None:
    given = services()
    assert path in [e.path for e in refusal(given, command(**change)).errors]
    assert list(given.store.list("agreements/")) == []


@pytest.mark.parametrize(
    "payload", [None, [], "text", 7, {}, {"command_id": 1}, {"agreement": {}}, {"x": "\ud800"}]
)
def test_what_is_no_command_is_refused(payload: object) -> None:
    assert refusal(services(), payload).errors


def test_numbers_that_systems_read_differently_are_refused() -> None:
    payload = command()
    payload["agreement"]["position"]["days_per_week"] = 2**60
    assert refusal(services(), payload).errors


def test_a_refused_message_is_kept_once_and_answered_each_time_with_the_same_event() -> None:
    events = EventList()
    given = services(events=events)
    payload = command(language="xx")
    error = refusal(given, payload)
    for _ in range(2):
        reject(given, "submit", payload, error)
    first, second = events.events
    assert first == second
    assert first["type"] == "agreement.rejected"
    data: Any = first["data"]
    assert data["command_id"] == payload["command_id"]
    assert [e["path"] for e in data["errors"]] == ["agreement.language"]
    (kept,) = given.store.list("quarantine/")
    assert json.loads(given.store.get(kept))["message"] == payload
    assert list(rejections(given)) == []


def test_a_refusal_that_could_not_be_published_waits_for_the_sweeper() -> None:
    events = EventList()
    given = services(events=events)
    events.failure = StoreError("broker gone")
    error = refusal(given, {})
    with pytest.raises(StoreError):
        reject(given, "submit", {}, error)
    (waiting,) = rejections(given)
    events.failure = None
    list(sweep(given))
    assert events.types == ["agreement.rejected"]
    assert list(rejections(given)) == []
    assert publish_rejection(given, waiting)["id"] == events.events[0]["id"]


class Crash(BaseException):
    pass


class CrashingStore(MemoryStore):
    """Crashes at the n-th write, before or after it is done."""

    def __init__(self, at: int, *, after: bool) -> None:
        super().__init__()
        self._left = at
        self._after = after

    def create(self, key: str, body: bytes, *, retain_until: datetime | None = None) -> None:
        self._write(lambda: MemoryStore.create(self, key, body))

    def put(self, key: str, body: bytes) -> None:
        self._write(lambda: MemoryStore.put(self, key, body))

    def _write(self, write: Any) -> None:
        self._left -= 1
        if self._left == 0 and not self._after:
            raise Crash
        try:
            write()
        except AlreadyExists:
            if self._left != 0:
                raise
        if self._left == 0:
            raise Crash


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", range(1, 6))
def test_a_crash_at_any_write_is_cured_by_delivering_again(at: int, after: bool) -> None:
    store = CrashingStore(at, after=after)
    given = services(store)
    payload = command()
    with pytest.raises(Crash):
        receive(given, "submit", payload)
    marker = receive(given, "submit", payload)
    assert fold(given.ledger.read(marker.agreement_id)).current.command_id == payload["command_id"]
    assert [m.since for m in given.workbook.of(marker.agreement_id)] == [0 if at < 6 else marker.since]


def test_with_the_queue_lost_the_sweeper_takes_in_what_was_claimed() -> None:
    store = CrashingStore(5, after=False)  # blobs, claim and marker are written, the entry is not
    given = services(store)
    with pytest.raises(Crash):
        receive(given, "submit", command())
    (marker,) = [m for key in given.store.list("work/") if (m := given.workbook.load(key))]
    assert resume(given, marker) is not None
    assert len(given.ledger.read(marker.agreement_id)) == 1
