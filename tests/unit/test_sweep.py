"""The sweeper finds what was left behind, and no more than that."""

from __future__ import annotations

from datetime import datetime, timedelta

from service.pipeline.intake import receive
from service.pipeline.sweep import park_abandoned, sweep
from service.pipeline.work import Marker, Parked, marker_key
from tests.fakes import ManualClock
from tests.unit.test_intake import command, services

LEASE = timedelta(minutes=5)


def test_a_marker_is_due_when_its_worker_must_be_dead() -> None:
    clock = ManualClock()
    given = services(clock=clock)
    handed: list[Marker] = []
    marker = receive(given, "submit", command())
    assert list(sweep(given, hand_on=handed.append)) == []
    clock.advance(LEASE)
    (swept,) = sweep(given, hand_on=handed.append)
    assert (swept.what, swept.id) == ("handed-on", marker.agreement_id)
    assert [(m.agreement_id, m.run) for m in handed] == [(marker.agreement_id, marker.run)]


def test_each_vain_hand_on_makes_the_sweeper_wait_twice_as_long() -> None:
    clock = ManualClock()
    given = services(clock=clock)
    handed: list[datetime] = []
    start = clock.now()
    receive(given, "submit", command())
    while clock.now() < start + timedelta(days=1):
        list(sweep(given, hand_on=lambda _: handed.append(clock.now())))
        clock.advance(timedelta(minutes=1))
    waits = [(b - a) // timedelta(minutes=1) for a, b in zip([start, *handed], handed, strict=False)]
    assert waits[:6] == [5, 10, 20, 40, 40, 40]


def test_another_sweeper_does_not_hand_on_the_same_marker() -> None:
    clock = ManualClock()
    given = services(clock=clock)
    receive(given, "submit", command())
    clock.advance(LEASE)
    assert len(list(sweep(given, hand_on=lambda _: None))) == 1
    assert list(sweep(given, hand_on=lambda _: None)) == []


def test_parked_is_due_at_its_time() -> None:
    touched, retry = "2026-11-21T09:00:00.000Z", "2026-11-21T09:00:05.000Z"
    parked = Parked("sign:seal", "timestamp_unavailable", "", "", 1, touched, retry)
    marker = Marker("a", "r", 0, touched, parked)
    assert marker.due(LEASE) == datetime.fromisoformat(retry)
    taken_up = Marker("a", "r", 0, "2026-11-21T09:00:06.000Z", parked, handed_on=1)
    assert taken_up.due(LEASE) == datetime.fromisoformat("2026-11-21T09:10:06.000Z")
    assert Marker.parse(taken_up.key, taken_up.body) == taken_up


def test_an_agreement_that_kills_its_workers_is_parked_where_people_see_it() -> None:
    given = services()
    payload = command()
    marker = receive(given, "submit", payload)
    for kwargs in ({"command": payload}, {"agreement_id": marker.agreement_id, "run": marker.run}):
        assert park_abandoned(given, kwargs)
        saved = given.workbook.load(marker_key(marker.agreement_id, marker.run))
        assert saved
        assert saved.parked
        assert (saved.parked.code, saved.parked.remedy != "") == ("worker_lost", True)
        assert saved.due(LEASE) - given.clock.now() == timedelta(minutes=15)
    assert saved.parked.attempts == 2
    assert not park_abandoned(given, {"command": command()})  # no agreement came of it: it goes to quarantine
