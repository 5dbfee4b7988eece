"""Follow-up: what a signed agreement's plan names is told in time, each once, and nothing of what is done."""

from __future__ import annotations

import doctest
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from service.domain import follow_up, moves
from service.domain.agreement import Method, Status
from service.domain.due import open_items, telling
from service.domain.follow_up import FollowUp, FollowUpKind, Item, Planned, numbered, planned
from service.domain.periods import norwegian_date
from service.domain.steps import next_step, wakes
from service.errors import CommandRejected
from service.pipeline.services import Keys
from service.pipeline.sweep import sweep
from service.schemas import event_schema
from tests.fakes import EventList, told_times
from tests.story import Story
from tests.unit.test_amend import Case

ROOT = Path(__file__).parents[2]
MINIMAL = json.loads((ROOT / "examples/minimal.json").read_text())
MEETING = {"date": "2037-01-19", "topic": "Pauser & støy"}
EVALUATION = {"date": "2037-03-02", "topic": "Midtveis"}
COMMITMENT = {"description": "Nav bestiller hørselvern.", "deadline": "2037-02-02"}
PLAN = {"meetings": [MEETING], "evaluations": [EVALUATION], "commitments": [COMMITMENT]}


def no_keys() -> Keys:
    raise AssertionError("telling needs no key")


class Followed(Case):
    """An agreement with a plan, in a store that a sweeper looks at."""

    def __init__(self, plan: Mapping[str, Any] = PLAN, **more: Any) -> None:
        super().__init__({**MINIMAL, "follow_up": plan, **more})
        self.events = EventList()
        self.services = replace(self.services, open_keys=no_keys, publisher=self.events)

    def at(self, day: str, hour: int = 12) -> Followed:
        """Let the time come to that day's hour (UTC), with a sweep each day on the way, and one then."""
        moment = datetime.fromisoformat(day).replace(hour=hour, tzinfo=UTC)
        while self.clock.now() < moment:
            self.clock.advance(min(timedelta(days=1), moment - self.clock.now()))
            list(sweep(self.services))
        return self

    def signed(self) -> Followed:
        """As if all had signed, what is due by the version in force having been told."""
        return self._steps(Method.AUTOMATIC)

    def asked(self) -> Followed:
        """As if the parties had been asked to sign, and nobody has."""
        return self._steps(Method.OUTSIDE)

    def _steps(self, method: Method) -> Followed:
        list(sweep(self.services, everything=True))
        before = self.services.ledger.read(self.id)
        story = Story.of(before, self.clock)
        story.methods = dict.fromkeys(story.methods, method)
        while story.agreement.current.status is not Status.SIGNED and (step := story.next):
            story.do(step)
        for entry in story.entries[len(before) :]:
            self.services.store.create(entry.key, entry.body)
        list(sweep(self.services, everything=True))
        return self

    @property
    def told(self) -> list[tuple[str, str]]:
        """What the outside was told of the follow-up, in order; an event that came again is one."""
        wanted = {"agreement.follow-up-due": "due", "agreement.commitment-overdue": "overdue"}
        found: list[Any] = [
            e for e in {e["id"]: e for e in self.events.events}.values() if e["type"] in wanted
        ]
        assert all(event_schema(e["type"]).validate(e) == {} for e in found)
        return [(wanted[e["type"]], e["data"]["item"]["id"]) for e in found]

    @property
    def items(self) -> list[str]:
        return [item.id for item in self.version.follow_up.items]

    def done(self, item: str, on: str | None = None, **more: Any) -> None:
        today = norwegian_date(self.clock.now()).isoformat()
        self.send("follow-up-done", item=item, done_on=on or today, **more)

    def refused(self, item: str, on: str | None = None) -> tuple[str, str]:
        with pytest.raises(CommandRejected) as caught:
            self.done(item, on)
        (error,) = caught.value.errors
        assert error.message
        return error.path, error.code


# --- what there is to do ----------------------------------------------------------------------------------


def test_the_example_in_the_module_is_true() -> None:
    assert doctest.testmod(follow_up).failed == 0


def test_meetings_evaluations_and_commitments_become_items_without_their_words() -> None:
    case = Followed()
    entry = case.services.ledger.read(case.id)[0]
    assert entry.data["follow_up"] == [
        {"id": "meeting-2037-01-19", "kind": "meeting", "date": "2037-01-19"},
        {"id": "commitment-2037-02-02", "kind": "commitment", "date": "2037-02-02"},
        {"id": "evaluation-2037-03-02", "kind": "evaluation", "date": "2037-03-02"},
    ]
    for word in ("Pauser", "Midtveis", "hørselvern"):
        assert word not in entry.body.decode()


def test_an_interval_is_a_meeting_each_time_through_the_last_day_unless_meetings_are_named() -> None:
    period = {"start": "2036-12-01", "end": "2037-01-12"}
    found = Followed({"interval_weeks": 2}, period=period).items
    assert found == ["meeting-2036-12-15", "meeting-2036-12-29", "meeting-2037-01-12"]
    named = {"interval_weeks": 2, "meetings": [{"date": "2036-12-20", "topic": "x"}]}
    assert Followed(named, period=period).items == ["meeting-2036-12-20"]


def test_a_meeting_after_the_end_is_none_but_an_evaluation_is() -> None:
    late = {"date": "2038-01-10", "topic": "Etterpå"}
    assert Followed({"meetings": [late], "evaluations": [late]}).items == ["evaluation-2038-01-10"]


def test_what_nav_is_to_see_to_by_a_deadline_is_a_commitment() -> None:
    mine = {"responsible": "adviser", "deadline": "2037-01-15"}
    case = Followed(
        {},
        accommodation=[
            {"need": "a", **mine, "status": "planned"},
            {"need": "b", **mine, "status": "done"},
            {"need": "c", **mine, "status": "cancelled"},
            {"need": "d", **mine, "responsible": "employer"},
            {"need": "e", "responsible": "adviser"},
        ],
        aids=[{"description": "f", **mine}],
        training=[{"description": "g", **mine}, {"description": "h", "deadline": "2037-01-15"}],
    )
    assert case.items == [
        "commitment-2037-01-15",
        "commitment-2037-01-15-2",
        "commitment-2037-01-15-3",
    ]


# --- ids over versions ------------------------------------------------------------------------------------


def commitment(words: str, day: str = "2037-02-02") -> Planned:
    return Planned(FollowUpKind.COMMITMENT, day, words)


def renumbered(before: list[Planned], after: list[Planned], used: tuple[str, ...] = ()) -> list[str]:
    first = numbered(before)
    return [i.id for i in numbered(after, list(zip(before, first, strict=True)), used)]


def test_what_is_unchanged_keeps_its_id_wherever_it_stands() -> None:
    a, b, c = commitment("a"), commitment("b"), commitment("c")
    assert renumbered([a, b], [b]) == ["commitment-2037-02-02-2"]
    assert renumbered([a, b], [c, b, a]) == [
        "commitment-2037-02-02-3",
        "commitment-2037-02-02-2",
        "commitment-2037-02-02",
    ]


def test_a_commitment_in_other_words_is_another_and_a_meeting_is_known_by_its_day() -> None:
    assert renumbered([commitment("a")], [commitment("b")]) == ["commitment-2037-02-02-2"]
    assert renumbered([commitment("a")], [commitment("a", "2037-02-03")]) == ["commitment-2037-02-03"]
    old, new = (Planned(FollowUpKind.MEETING, "2037-02-02", words) for words in (None, "Støy"))
    assert renumbered([old], [new]) == ["meeting-2037-02-02"]


def test_an_id_of_a_version_that_was_never_signed_is_not_used_again() -> None:
    case = Followed().signed()
    other = {**COMMITMENT, "description": "Nav bestiller noe annet."}
    for number in (2, 3):
        case.amend({"follow_up": {"commitments": [other]}}, "follow_up")
        assert case.items[1] == f"commitment-2037-02-02-{number}"
        case.send("cancel", reason="other")


# --- what is told, and when -------------------------------------------------------------------------------


def signed(plan: Mapping[str, Any] = PLAN, on: str = "2036-12-01", **more: Any) -> Followed:
    return taken_in(plan, on, **more).signed()


def taken_in(plan: Mapping[str, Any] = PLAN, on: str = "2036-12-01", **more: Any) -> Followed:
    case = Followed(plan, **more)
    case.clock.advance(datetime.fromisoformat(on).replace(hour=12, tzinfo=UTC) - case.clock.now())
    return case


def test_each_is_told_once_a_week_before_and_a_commitment_the_day_after_its_deadline() -> None:
    case = signed()
    seen: list[tuple[str, str, str]] = []
    for _ in range(120):
        before = len(case.told)
        case.clock.advance(timedelta(days=1))
        list(sweep(case.services))
        seen += [(f"{norwegian_date(case.clock.now())}", *told) for told in case.told[before:]]
    assert seen == [
        ("2037-01-12", "due", "meeting-2037-01-19"),
        ("2037-01-26", "due", "commitment-2037-02-02"),
        ("2037-02-03", "overdue", "commitment-2037-02-02"),
        ("2037-02-23", "due", "evaluation-2037-03-02"),
    ]
    assert [*told_times(case.services.store), *case.services.store.list("work/")] == []


def test_days_begin_at_midnight_in_norway() -> None:
    case = signed()
    case.at("2037-01-11", hour=22)
    case.clock.advance(timedelta(minutes=59))
    list(sweep(case.services))
    assert case.told == []
    case.clock.advance(timedelta(minutes=1))
    list(sweep(case.services))
    assert case.told == [("due", "meeting-2037-01-19")]


def test_how_early_is_the_operator_s_and_stands_in_the_log() -> None:
    case = taken_in()
    case.services = replace(case.services, follow_up_days=30)
    case.signed()
    case.at("2037-01-13")
    assert case.told == [("due", "meeting-2037-01-19")]  # taken in before the setting was changed
    case.amend({"position": {"title": "Baker"}}, "position")
    case.signed()
    case.at("2037-01-14")
    assert case.told == [("due", "meeting-2037-01-19"), ("due", "commitment-2037-02-02")]


def test_only_the_next_few_are_written_and_the_rest_follow() -> None:
    period = {"start": "2036-12-01", "end": "2037-11-30"}
    case = signed({"interval_weeks": 1}, period=period)
    assert len(case.items) == 52
    assert len(list(case.services.store.list("due/"))) == 2
    case.at("2037-12-31")
    assert case.told == [("due", i) for i in case.items]
    assert told_times(case.services.store) == []


def test_nothing_is_told_before_all_have_signed() -> None:
    case = taken_in(on="2037-01-15")
    list(sweep(case.services, everything=True))
    assert case.told == []
    case.signed()
    assert case.told == [("due", "meeting-2037-01-19")]


def test_signed_late_a_meeting_that_has_passed_is_not_told_and_a_late_commitment_is() -> None:
    case = signed(on="2037-02-10")
    assert case.told == [("overdue", "commitment-2037-02-02")]


def test_a_worker_that_was_away_tells_it_late_but_not_after_the_end() -> None:
    case = signed()
    case.clock.advance(timedelta(days=75))  # 14 February
    list(sweep(case.services))
    assert case.told == [("due", "meeting-2037-01-19"), ("overdue", "commitment-2037-02-02")]
    other = signed()
    other.clock.advance(timedelta(days=400))
    list(sweep(other.services))
    assert other.told == [("overdue", "commitment-2037-02-02")]


# --- amendments -------------------------------------------------------------------------------------------


def test_what_is_in_force_is_told_while_a_change_to_it_waits_and_not_again_after() -> None:
    case = signed()
    case.amend({"follow_up": {"meetings": [MEETING, {"date": "2037-01-20", "topic": "Ny"}]}}, "follow_up")
    list(sweep(case.services))  # it cannot be rendered here: it waits for a worker that can
    assert case.version.status is Status.SUBMITTED
    case.at("2037-01-14")
    assert case.told == [("due", "meeting-2037-01-19")]
    told: Any = case.events.events[-1]["data"]
    assert told["version"] == 1  # the one in force
    case.signed()
    assert case.told == [("due", "meeting-2037-01-19"), ("due", "meeting-2037-01-20")]


def test_a_change_that_waits_for_signatures_has_its_reminders_and_what_is_in_force_its_own() -> None:
    case = signed()
    case.amend({"position": {"title": "Baker"}}, "position")
    case.asked()
    case.at("2037-03-20")
    assert case.told == [
        ("due", "meeting-2037-01-19"),
        ("due", "commitment-2037-02-02"),
        ("overdue", "commitment-2037-02-02"),
        ("due", "evaluation-2037-03-02"),
    ]
    kinds = [e["type"] for e in case.events.events]
    assert (kinds.count("agreement.reminder"), kinds.count("agreement.expired")) == (2, 1)
    assert case.version.status is Status.EXPIRED
    assert [*told_times(case.services.store), *case.services.store.list("work/")] == []


def test_what_an_amendment_takes_out_is_not_told() -> None:
    case = signed()
    case.amend({"follow_up": {"commitments": [], "meetings": []}}, "follow_up")
    case.signed()
    case.at("2037-03-30")
    assert case.told == [("due", "evaluation-2037-03-02")]


def test_after_a_termination_nothing_is_told_of_what_lies_after_it() -> None:
    case = signed()
    case.at("2037-01-05")
    case.send("terminate", reason="started_in_job", date="2037-01-31")
    case.signed()
    assert case.items == ["meeting-2037-01-19"]
    case.at("2037-04-01")
    assert case.told == [("due", "meeting-2037-01-19")]


def test_a_change_that_is_cancelled_changes_nothing() -> None:
    case = signed()
    case.amend({"follow_up": {"meetings": [{"date": "2037-01-20", "topic": "Ny"}]}}, "follow_up")
    case.send("cancel", reason="other")
    case.at("2037-01-25")
    assert case.told == [("due", "meeting-2037-01-19")]


# --- done -------------------------------------------------------------------------------------------------


def test_what_is_done_is_not_told_and_makes_no_version() -> None:
    case = signed()
    case.done("commitment-2037-02-02", note="Hørselvernet kom med posten.")
    case.done("meeting-2037-01-19", on="2036-11-30")
    case.at("2037-02-20")
    assert case.told == []
    assert case.version.number == 1
    entries = case.services.ledger.read(case.id)
    assert all("posten" not in e.body.decode() for e in entries)
    assert "posten" not in json.dumps(case.events.events)
    done: Any = next(e for e in case.events.events if "commitment" in json.dumps(e["data"]))
    assert event_schema(done["type"]).validate(done) == {}
    assert done["data"] == {
        "agreement_id": case.id,
        "command_id": done["data"]["command_id"],
        "version": 1,
        "item": {"id": "commitment-2037-02-02", "kind": "commitment", "date": "2037-02-02"},
        "done_on": "2036-12-01",
    }


def test_done_under_one_version_is_done_under_the_next() -> None:
    case = signed()
    case.at("2037-01-27")
    case.amend({"position": {"title": "Baker"}}, "position")
    case.done("commitment-2037-02-02")  # while the change is being signed
    case.signed()
    case.at("2037-02-10")
    assert ("overdue", "commitment-2037-02-02") not in case.told
    assert case.refused("commitment-2037-02-02") == ("item", "already_done")


def test_what_cannot_be_recorded_as_done() -> None:
    case = taken_in()
    assert case.refused("meeting-2037-01-19") == ("agreement_id", "not_in_force")
    case.signed()
    assert case.refused("meeting-2037-01-20") == ("item", "no_such_item")
    assert case.refused("meeting-2037-01-19", "2036-12-02") == ("done_on", "date_in_future")
    assert case.refused("møtet 17849431021") == ("item", "invalid_format")
    assert case.refused("meeting-2037-01-19", "i går") == ("done_on", "invalid_date")
    case.done("meeting-2037-01-19")
    assert case.refused("meeting-2037-01-19") == ("item", "already_done")


def test_what_is_due_next_is_what_lies_ahead_and_commitments_that_are_late() -> None:
    case = signed()
    case.done("evaluation-2037-03-02")
    case.at("2037-02-10")
    assert [i.id for i in open_items(case.agreement, case.clock.now())] == ["commitment-2037-02-02"]


# --- crashes ----------------------------------------------------------------------------------------------


class Crash(BaseException):
    pass


class Crashing(EventList):
    def publish(self, event: Mapping[str, object]) -> None:
        raise Crash


def test_a_crash_before_the_event_is_out_loses_nothing() -> None:
    case = signed()
    case.at("2037-01-11", hour=20)
    case.clock.advance(timedelta(hours=4))
    with pytest.raises(Crash):
        list(sweep(replace(case.services, publisher=Crashing())))
    assert case.told == []
    case.clock.advance(timedelta(minutes=6))
    list(sweep(case.services))
    assert case.told == [("due", "meeting-2037-01-19")]
    assert list(case.services.store.list("work/")) == []
    case.at("2037-02-04")
    assert len(case.told) == 3


def test_a_broker_that_is_away_delays_it() -> None:
    case = signed()
    case.events.failure = ConnectionError("gone")
    case.at("2037-01-12")
    assert case.told == []
    case.events.failure = None
    case.at("2037-01-13")
    assert case.told == [("due", "meeting-2037-01-19")]


# --- any order --------------------------------------------------------------------------------------------

_DAYS = [f"2036-12-{day:02}" for day in range(1, 29, 3)]
_PLANNED = st.builds(
    Planned, st.sampled_from(FollowUpKind), st.sampled_from(_DAYS), st.sampled_from(["a", "b", None])
)
_PLANS = st.lists(_PLANNED, max_size=6).map(lambda found: sorted(found, key=lambda p: p.date))


class FollowingUp(RuleBasedStateMachine):
    """Time, changes that are signed or given up, and what is done, in any order."""

    @initialize(plan=_PLANS, days=st.integers(0, 9))
    def begin(self, plan: list[Planned], days: int) -> None:
        self.story = Story({"adviser": 0})
        self.story.clock.advance(datetime(2036, 11, 28, tzinfo=UTC) - self.story.clock.now())
        first = self.story.entries[0]
        self.days = days
        items = numbered(plan)
        self.story.entries[0] = replace(first, at=self.story.now, data={**first.data, **self._said(items)})
        self.plans = {1: list(zip(plan, items, strict=True))}

    def _said(self, items: tuple[Item, ...]) -> dict[str, Any]:
        return FollowUp(items, "2036-12-28", self.days).as_data()

    @rule(hours=st.sampled_from([1, 24, 24 * 4]))
    def wait(self, hours: int) -> None:
        self.story.clock.advance(timedelta(hours=hours))

    @rule(steps=st.integers(1, 14))
    def work(self, steps: int) -> None:
        for _ in range(steps):
            if (step := self.story.next) is None:
                break
            self.story.do(step)

    @rule(plan=_PLANS, keep=st.booleans())
    def amend(self, plan: list[Planned], keep: bool) -> None:
        agreement = self.story.agreement
        base = agreement.in_force
        if base is None or agreement.current.status is not Status.SIGNED:
            return
        before = self.plans[base.number]
        plan = sorted([*plan, *(p for p, _ in before)], key=lambda p: p.date)[:8] if keep else plan
        used = {i.id for v in agreement.versions for i in v.follow_up.items}
        items = numbered(plan, before, used)
        self.story.amend(**self._said(items), supersedes=base.number)
        self.plans[len(agreement.versions) + 1] = list(zip(plan, items, strict=True))

    @rule()
    def give_up(self) -> None:
        agreement = self.story.agreement
        if agreement.current.status.is_open and len(agreement.versions) > 1:
            self.story.command(moves.cancel(agreement, number=None, reason="other"))

    @rule(data=st.data())
    def record_as_done(self, data: st.DataObject) -> None:
        known = sorted({i.id for pairs in self.plans.values() for _, i in pairs})
        if not known:
            return
        item = data.draw(st.sampled_from(known))
        today = norwegian_date(self.story.clock.now()).isoformat()
        try:
            self.story.command(
                moves.follow_up_done(
                    self.story.agreement, item=item, done_on=today, now=self.story.clock.now()
                )
            )
        except CommandRejected as exc:
            assert exc.code in {"not_in_force", "no_such_item", "already_done"}

    @invariant()
    def nothing_twice_and_nothing_that_is_done(self) -> None:
        seen: set[tuple[str, str]] = set()
        meant: dict[str, Planned] = {}
        for pairs in self.plans.values():
            assert len({i.id for _, i in pairs}) == len(pairs)
            for plan, item in pairs:  # an id never comes to mean another commitment
                assert (plan.kind, plan.date) == (item.kind, item.date)
                other = meant.setdefault(item.id, plan)
                assert plan.kind is not FollowUpKind.COMMITMENT or other == plan
        for entry in self.story.entries:
            if entry.type == "follow-up-done":
                seen |= {(entry.data["item"], "due"), (entry.data["item"], "overdue")}
            elif entry.type == "follow-up-told":
                what = (entry.data["item"], entry.data["what"])
                assert what not in seen
                seen.add(what)

    @invariant()
    def who_rests_is_looked_at_again(self) -> None:
        """With no clock but the `due/` entries, nothing that is to be told is forgotten."""
        agreement, now = self.story.agreement, self.story.clock.now()
        if next_step(agreement, now) is not None:
            return
        ahead = [moment for moment, _ in wakes(agreement) if moment > self.story.now]
        for days in range(1, 40):
            later = now + timedelta(days=days)
            if telling(agreement, later):
                assert ahead
                assert datetime.fromisoformat(ahead[0]) <= later
                return


TestFollowingUp = FollowingUp.TestCase
TestFollowingUp.settings = settings(max_examples=150, stateful_step_count=30)
TestFollowingUp.pytestmark = [pytest.mark.thorough]


def test_a_plan_that_is_left_out_is_nothing_to_do() -> None:
    assert planned({"period": {"start": "2036-12-01", "end": "2037-01-12"}}) == []
