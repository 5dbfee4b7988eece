"""The entry of a step is written while the next is worked out: what may go ahead, what waits, what is thrown away."""

from __future__ import annotations

import contextlib
import json
import re
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime

import pytest

from service.domain.agreement import Status
from service.domain.ports import Body
from service.domain.signals import Silence
from service.errors import StoreError
from service.pipeline.drive import Rest, drive
from service.pipeline.intake import receive
from service.pipeline.services import Services
from tests.agreements import Running, assert_signed, submit, swept, waiting
from tests.fakes import EventList, MemoryStore

pytestmark = [pytest.mark.office, pytest.mark.pki]

LIMIT = 60.0

_NAMED = re.compile(
    rb'"(?:docx|prepared|report|receipt|receipt_signature|receipt_pdf)_sha256":"(\w{64})"'
    rb'|"revision":\{[^}]*"sha256":"(\w{64})"'
)


class Watched(MemoryStore):
    """Tells when an entry of a log is about to be written, and holds that nothing is named before it is there."""

    def __init__(self) -> None:
        super().__init__()
        self.before: Callable[[int, str], None] = lambda _seq, _type: None

    @property
    def entries(self) -> int:
        return sum("/log/" in key for key in list(self.objects))

    def create(self, key: str, body: Body, *, retain_until: datetime | None = None) -> None:
        if "/log/" in key:
            assert isinstance(body, bytes)
            entry = json.loads(body)
            self.before(entry["seq"], entry["type"])
            stored = {name.rpartition("/")[2].partition(".")[0] for name in list(self.objects)}
            assert {sha256.decode() for names in _NAMED.findall(body) for sha256 in names if sha256} <= stored
        super().create(key, body, retain_until=retain_until)


class Steps(Silence):
    """Tells when a step begins."""

    def __init__(self) -> None:
        self.begins: Callable[[str], None] = lambda _step: None

    def span(self, name: str, **attributes: str | int) -> AbstractContextManager[None]:
        if "step" in attributes:
            self.begins(str(attributes["step"]))
        return contextlib.nullcontext()


class Case:
    def __init__(self, running: Running) -> None:
        self.store, self.steps, self.events = Watched(), Steps(), EventList()
        self.services: Services = running.on(self.store, self.events, signals=self.steps)


@pytest.fixture
def case(running: Running) -> Iterator[Case]:
    return Case(running)


def test_what_is_worked_out_goes_ahead_and_what_uses_a_key_waits(case: Case) -> None:
    """Each entry is held back until the next step has begun, where that may; no key is used before its intent."""
    begun: dict[str, threading.Event] = {}
    entries_at: dict[str, int] = {}
    ahead = {
        "rendered": "prepare:seal",
        "sealed": "request",
        "augmented": "verify",
        "verified": "render-receipt",
    }

    def begins(step: str) -> None:
        entries_at.setdefault(step, case.store.entries)
        begun.setdefault(step, threading.Event()).set()

    def before(_seq: int, entry_type: str) -> None:
        if step := ahead.get(entry_type):
            assert begun.setdefault(step, threading.Event()).wait(LIMIT), f"{step} waits for {entry_type}"

    case.steps.begins, case.store.before = begins, before
    outcome = drive(case.services, submit(case.services))
    assert outcome.rest is Rest.AT_REST
    entries = assert_signed(case.services, outcome.agreement.id, case.events)
    for index, entry in enumerate(entries):
        if entry.type == "signature-prepared":
            assert entries_at[f"sign:{entry.data['field']}"] == index + 1
        if entry.type == "receipt-rendered":
            assert entries_at["issue-receipt"] == index + 1
    told = [event["id"] for entry in entries for event in entry.cloud_events()]
    assert [event["id"] for event in case.events.events] == told


def test_what_was_worked_out_for_a_state_that_did_not_come_is_thrown_away(case: Case) -> None:
    """Somebody cancels just before the rendered document is named, while its seal is prepared already."""
    prepared = threading.Event()
    case.steps.begins = lambda step: prepared.set() if step == "prepare:seal" else None
    marker = submit(case.services)

    def before(_seq: int, entry_type: str) -> None:
        if entry_type == "rendered":
            assert prepared.wait(LIMIT)
            order = {
                "command_id": str(uuid.uuid4()),
                "agreement_id": marker.agreement_id,
                "reason": "withdrawn",
            }
            receive(case.services, "cancel", order)

    case.store.before = before
    outcome = drive(case.services, marker)
    assert outcome.rest is Rest.AT_REST
    assert outcome.agreement.current.status is Status.CANCELLED
    assert [e.type for e in case.services.ledger.read(marker.agreement_id)] == ["submitted", "cancelled"]
    assert case.events.types == ["agreement.cancelled"]


@pytest.mark.parametrize(
    ("lost", "step"), [("rendered", "render"), ("sealed", "sign:seal"), ("verified", "verify")]
)
def test_an_entry_that_cannot_be_written_parks_the_step_that_it_is_of(
    case: Case, lost: str, step: str
) -> None:
    """And not the one that was worked out meanwhile; nothing of either is told."""
    fault = StoreError("the store is gone")

    def before(_seq: int, entry_type: str) -> None:
        if entry_type == lost:
            raise fault

    case.store.before = before
    outcome = drive(case.services, submit(case.services))
    parked = waiting(case.services, outcome.agreement.id)
    assert (parked.step, parked.code) == (step, "store")
    assert lost not in {e.type for e in case.services.ledger.read(outcome.agreement.id)}
    assert outcome.agreement.head.seq == case.store.entries - 1
    case.store.before = lambda _seq, _type: None
    assert swept(case.services).rest is Rest.AT_REST
    assert_signed(case.services, outcome.agreement.id, case.events)


def test_a_blob_that_cannot_be_stored_is_not_named(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    create = case.store.create

    def failing(key: str, body: Body, *, retain_until: datetime | None = None) -> None:
        if key.endswith(".docx"):
            raise StoreError("the store is gone")
        create(key, body, retain_until=retain_until)

    monkeypatch.setattr(case.store, "create", failing)
    outcome = drive(case.services, submit(case.services))
    assert waiting(case.services, outcome.agreement.id).step == "render"
    assert [e.type for e in case.services.ledger.read(outcome.agreement.id)] == ["submitted"]
    monkeypatch.undo()
    assert swept(case.services).rest is Rest.AT_REST
    assert_signed(case.services, outcome.agreement.id, case.events)


def test_an_event_that_is_not_taken_is_told_again(case: Case) -> None:
    """The entry stands, the step that was worked out meanwhile does not."""

    def before(_seq: int, entry_type: str) -> None:
        if entry_type == "rendered":
            case.events.failure = StoreError("the broker is gone")

    case.store.before = before
    outcome = drive(case.services, submit(case.services))
    assert waiting(case.services, outcome.agreement.id).step == "publish"
    assert outcome.agreement.head.type == "rendered"
    assert [e.type for e in case.services.ledger.read(outcome.agreement.id)] == ["submitted", "rendered"]
    assert case.events.events == []
    case.events.failure = None
    assert swept(case.services).rest is Rest.AT_REST
    assert_signed(case.services, outcome.agreement.id, case.events)
