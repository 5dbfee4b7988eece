"""A signed agreement rests; when its `due/` entries come, a sweep wakes it, and the events go out."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from service.domain.agreement import Status
from service.domain.folding import fold
from service.domain.periods import norwegian_date
from service.pipeline.drive import Rest, drive
from service.pipeline.fsck import StoreCheck
from service.pipeline.intake import receive
from service.pipeline.services import Services
from service.pipeline.sweep import sweep
from service.schemas import event_schema
from tests.agreements import Running, assert_signed, command
from tests.fakes import EventList, ManualClock, MemoryStore, told_times

pytestmark = [pytest.mark.office, pytest.mark.pki]

TELLING = ("agreement.follow-up-due", "agreement.commitment-overdue", "agreement.follow-up-done")


def send(services: Services, name: str, agreement_id: str, **values: Any) -> Rest:
    payload = {"command_id": str(uuid.uuid4()), "agreement_id": agreement_id, **values}
    return drive(services, receive(services, name, payload)).rest


def test_from_a_signed_plan_to_the_events_while_a_change_waits_for_a_worker(running: Running) -> None:
    events = EventList()
    started = running.services.clock.now()
    clock = ManualClock(started)
    services = running.on(MemoryStore(), events, clock=clock)
    today = norwegian_date(started)

    def day(number: int) -> str:
        return (today + timedelta(days=number)).isoformat()

    plan = {
        "meetings": [{"date": day(14), "topic": "Pauser & støy"}],
        "evaluations": [{"date": day(20), "topic": "Midtveis: mål og oppgaver"}],
        "commitments": [
            {"description": "Nav bestiller hørselvern.", "deadline": day(10)},
            {"description": "Nav svarer arbeidsgiveren.", "deadline": day(12)},
        ],
    }
    period = {"start": day(0), "end": day(180)}
    outcome = drive(services, receive(services, "submit", command(follow_up=plan, period=period)))
    assert outcome.rest is Rest.AT_REST
    agreement_id = outcome.agreement.id
    assert_signed(services, agreement_id, events)
    assert len(list(services.store.list("due/"))) == 2

    # From here on no worker can render: what is in force is told all the same.
    services = replace(services, open_typesetting=None)
    rest = send(
        services, "amend", agreement_id, change=["position"], reason="Ny stilling.",
        patch={"position": {"title": "Baker"}},
    )  # fmt: skip
    assert rest is Rest.HANDED_OVER
    seen: dict[object, tuple[str, object, Any]] = {}
    for number in range(1, 40):
        clock.advance(timedelta(days=1))
        if number == 6:
            send(
                services, "follow-up-done", agreement_id, item=f"commitment-{day(12)}", done_on=day(6),
                note="Alt er avklart.",
            )  # fmt: skip
        list(sweep(services))
        for event in events.events:
            if event["type"] in TELLING:
                assert event_schema(str(event["type"])).validate(dict(event)) == {}
                data: Any = event["data"]
                seen.setdefault(event["id"], (day(number), event["type"], data["item"]["id"]))
    assert list(seen.values()) == [
        (day(3), TELLING[0], f"commitment-{day(10)}"),
        (day(5), TELLING[0], f"commitment-{day(12)}"),
        (day(6), TELLING[2], f"commitment-{day(12)}"),
        (day(7), TELLING[0], f"meeting-{day(14)}"),
        (day(11), TELLING[1], f"commitment-{day(10)}"),
        (day(13), TELLING[0], f"evaluation-{day(20)}"),
    ]
    agreement = fold(services.ledger.read(agreement_id))
    assert [v.status for v in agreement.versions] == [Status.SIGNED, Status.SUBMITTED]
    assert told_times(services.store) == []
    check = StoreCheck(services.store, trust=services.keys.trust)
    assert [f for f in check.run() if f.severity == "error"] == []
    text = b"".join(e.body for e in services.ledger.read(agreement_id)) + str(events.events).encode()
    for word in ("avklart", "hørselvern", "Pauser", "Midtveis"):
        assert word.encode() not in text
