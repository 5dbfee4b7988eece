"""When a version is renewed, in what order with all else, and what the log says of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from service.domain.folding import fold
from service.domain.log import timestamp
from service.domain.renewal import Protection, Reason, Schedule, put_off, scheduled
from service.domain.steps import UPKEEP, Capability, Step, StepKind, next_step, wakes
from tests.story import Story

SINCE = datetime(2026, 11, 22, tzinfo=UTC)
YEAR = timedelta(days=365)


def lasting(years: float, reason: Reason = Reason.CERTIFICATE) -> Protection:
    return Protection(SINCE, SINCE + years * YEAR, reason)


@pytest.mark.parametrize(
    ("years", "before", "renewed_after"),
    [(5, 1, 4), (2, 1, 1), (1, 1, 0.5), (0.25, 1, 0.125), (10, 3, 7)],
)
def test_a_year_before_the_end_but_not_before_half_of_the_time(
    years: float, before: float, renewed_after: float
) -> None:
    assert lasting(years).renew_by(before * YEAR) == SINCE + renewed_after * YEAR


def test_the_first_to_be_renewed_decides() -> None:
    found = scheduled([lasting(10), lasting(4, Reason.ALGORITHM), lasting(6)], YEAR)
    assert found == Schedule(timestamp(SINCE + 3 * YEAR), timestamp(SINCE + 4 * YEAR), Reason.ALGORITHM)
    assert Schedule.from_data(found.as_data()) == found


def test_put_off_it_is_looked_at_at_half_of_what_is_left_and_never_at_once() -> None:
    schedule = Schedule(timestamp(SINCE), timestamp(SINCE + YEAR), Reason.CERTIFICATE)
    later = put_off(schedule, SINCE)
    assert (later.renew_by, later.ends) == (timestamp(SINCE + YEAR / 2), schedule.ends)
    for now in (SINCE + YEAR, SINCE + 2 * YEAR):
        assert put_off(schedule, now).renew_by == timestamp(now + timedelta(hours=1))


@pytest.fixture
def story() -> Story:
    """Signed by two, and at rest."""
    story = Story({"participant": 0, "employer": 1})
    story.rest()
    return story


def test_a_signed_version_is_renewed_when_its_time_comes_and_then_rests(story: Story) -> None:
    version = story.agreement.current
    assert version.schedule
    assert (version.schedule.renew_by, "renew") in wakes(story.agreement)
    story.clock.advance(datetime.fromisoformat(version.schedule.renew_by) - story.clock.now())
    assert story.next == Step(StepKind.RENEW, "1")
    assert story.next.capability is Capability.SIGN
    story.rest()
    renewed = story.agreement.current
    assert story.next is None
    assert len(renewed.renewals) == 1
    assert renewed.schedule and renewed.schedule.renew_by > version.schedule.renew_by
    # What the receipt is of, and what was verified, stays what it was.
    assert renewed.receipted == version.document
    assert renewed.document != version.document
    assert renewed.revisions[:-1] == version.revisions
    assert (renewed.report_sha256, renewed.receipt_sha256) == (version.report_sha256, version.receipt_sha256)
    assert renewed.issued_receipt_pdf_sha256 == version.receipt_pdf_sha256 != renewed.receipt_pdf_sha256


def test_a_version_that_is_no_longer_in_force_is_renewed_while_another_is_being_signed(story: Story) -> None:
    story.amend(supersedes=1, change=["position"])
    story.clock.advance(timedelta(days=30))
    assert story.next == Step(StepKind.RENDER)
    story.do(story.next)
    story._append("renewal-scheduled", 1, {"renewal": {**story.renewal, "renew_by": story.now}})
    assert story.next == Step(StepKind.RENEW, "1")
    # What cannot be renewed now is left out, and the other goes on.
    assert next_step(story.agreement, story.clock.now(), but=UPKEEP) == Step(StepKind.PREPARE, "seal")
    assert next_step(story.agreement, story.clock.now(), but={Step(StepKind.RENEW, "1")}) == Step(
        StepKind.PREPARE, "seal"
    )
    story.rest()
    first, second = story.agreement.versions
    assert [len(first.renewals), len(second.renewals)] == [1, 0]
    assert second.signed_at and story.next is None


def test_a_version_of_a_release_without_renewal_gets_a_time_when_nothing_else_is_to_be_done(
    story: Story,
) -> None:
    last = story.entries[-1]
    assert last.type == "signed"
    data = {name: value for name, value in last.data.items() if name != "renewal"}
    story.entries[-1] = replace(last, data=data)
    assert fold(story.entries).current.schedule is None
    assert story.next == Step(StepKind.SCHEDULE, "1")
    story.amend(supersedes=1, change=["position"])
    assert story.next == Step(StepKind.RENDER)
    story.rest()
    assert all(v.schedule for v in story.agreement.versions)
    assert [e.type for e in story.entries[-1:]] == ["renewal-scheduled"]
