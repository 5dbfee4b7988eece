"""The rules that an agreement must keep when it is taken in, beyond the shape of each field.

Each rule looks at the fields that were sent and valid, and says nothing of those that are missing or broken:
they have an error of their own already. So one answer can name every fault at once.

The rules of each measure are those of Nav's own agreements (navikt/tiltaksgjennomforing-api): how long it may last, the
percentages of a wage subsidy, a summer job's season and age. Our own reading: a temporary wage subsidy of 50 per cent
fits both groups; and the limit by group is what the agreement says, for the group itself is not sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, timedelta
from typing import Any

from service.domain.identifiers import is_national_id, parse_national_id
from service.domain.periods import last_day
from service.domain.presentation import ROLES
from service.domain.wage_subsidy import WAGE_SUBSIDIES, calculate
from service.errors import FieldError

__all__ = ["LIMIT_OF_PERCENTAGE", "ceiling_for", "check_agreement"]

CEILINGS: Mapping[int, int] = {2023: 143_900, 2024: 149_100, 2025: 154_800, 2026: 160_400}
"""Highest inclusion grant in whole NOK, by the year in which the agreement ends."""

MAX_MONTHS: Mapping[str, int] = {"inclusion_grant": 12, "work_training": 18}
"""Longest period by measure. For some the agreement itself names it, see `_LIMITED_BY_GROUP`."""

_LIMITED_BY_GROUP = ("mentor", "temporary_wage_subsidy")
"""Measures whose section names the longest period (`limit_months`), by the participant's group."""

LIMIT_OF_PERCENTAGE: Mapping[int, int] = {40: 12, 60: 24}
"""Temporary wage subsidy: the longest period that goes with a percentage, for both follow the participant's group."""

SUMMER_JOB_DAYS = 28
SUMMER_JOB_FIRST, SUMMER_JOB_LAST = (6, 1), (8, 31)
"""Month and day of the first and the last possible start."""
SUMMER_JOB_AGE = 30

_CALCULATED_FROM = frozenset(
    {"percentage", "monthly_wage", "holiday_pay_rate", "pension_rate", "employer_contribution_rate"}
)

MIN_AGE = 16
TOO_OLD = 72
BACKDATING = timedelta(days=7)

_SECTIONS = ("inclusion_grant", "mentor", *WAGE_SUBSIDIES)
"""Sections of the agreement that go with the measure of the same name, and with that one only."""


def ceiling_for(end: date) -> int:
    """The highest inclusion grant (whole NOK) for an agreement that ends on `end`.

    Ceilings are set a year at a time. For a later year than is known the newest known one counts, for an
    earlier year the oldest.
    """
    year = min(max(end.year, min(CEILINGS)), max(CEILINGS))
    return CEILINGS[year]


def check_agreement(
    agreement: Mapping[str, Any], sent: Mapping[str, Any], *, today: date
) -> Iterator[FieldError]:
    """Every broken rule. `agreement` holds the valid fields alone, `sent` everything as it came.

    `today` is the date in Norway. Paths start at `agreement`.
    """
    for rule in _RULES:
        yield from rule(_Facts(agreement, sent, today))


class _Facts:
    """The agreement as far as it is valid; a missing field reads as None at any depth."""

    def __init__(self, agreement: Mapping[str, Any], sent: Mapping[str, Any], today: date) -> None:
        self.agreement = agreement
        self.sent_root = sent
        self.today = today
        self.measure: str | None = agreement.get("measure")
        self.start = self._date("period.start")
        self.end = self._date("period.end")

    def get(self, path: str) -> Any:
        return _at(self.agreement, path)

    def sent(self, path: str) -> bool:
        return _at(self.sent_root, path) is not None

    def _date(self, path: str) -> date | None:
        text = self.get(path)
        return None if text is None else date.fromisoformat(text)


def _at(node: Any, path: str) -> Any:
    for step in path.split("."):
        if not isinstance(node, Mapping):
            return None
        node = node.get(step)
    return node


def _error(path: str, code: str, message: str) -> FieldError:
    return FieldError(f"agreement.{path}", code, message)


def _kroner(amount: int) -> str:
    return f"{amount:,}".replace(",", " ")


def _dates(facts: _Facts) -> Iterator[FieldError]:
    start, end = facts.start, facts.end
    if start and end and end < start:
        yield _error(
            "period.end", "dates_reversed", "The end date is before the start date. Swap or correct them."
        )
    if start and start < facts.today - BACKDATING and not facts.sent("exceptions.backdated"):
        yield _error(
            "period.start",
            "start_too_early",
            f"An agreement may start at most {BACKDATING.days} days back. Move the start date, or send "
            "exceptions.backdated with NAV's reason for the exception.",
        )


def _duration(facts: _Facts) -> Iterator[FieldError]:
    measure = facts.measure or ""
    by_group = measure in _LIMITED_BY_GROUP
    months = facts.get(f"{measure}.limit_months") if by_group else MAX_MONTHS.get(measure)
    if not (months and facts.start and facts.end) or facts.end <= last_day(facts.start, months):
        return
    way_out = "Move the end date or the start date"
    if by_group:
        way_out += f", or send the greater {measure}.limit_months where the participant's group allows it"
    yield _error(
        "period.end",
        "period_too_long",
        f"This agreement may last at most {months} months from the start date. {way_out}.",
    )


def _age(facts: _Facts) -> Iterator[FieldError]:
    number = facts.get("parties.participant.national_id")
    if number is None:
        return
    births = parse_national_id(number).possible_birth_dates(facts.today)
    # Only what is certain is refused: where the century is unknown, one possible date of birth is enough.
    young = [bool(facts.start and _age_on(b, facts.start) < MIN_AGE) for b in births]
    old = [bool(facts.end and _age_on(b, facts.end) >= TOO_OLD) for b in births]
    if any(not y and not o for y, o in zip(young, old, strict=True)):
        return
    path = "parties.participant.national_id"
    if all(young):
        yield _error(
            path, "too_young", f"The participant must be {MIN_AGE} when the agreement starts. Check the date."
        )
    elif all(old):
        yield _error(
            path,
            "too_old",
            f"The participant must be under {TOO_OLD} when the agreement ends. Set an earlier end date.",
        )
    else:
        yield _error(
            path,
            "age_out_of_range",
            f"The participant must be {MIN_AGE} when the agreement starts and under {TOO_OLD} when it ends.",
        )


def _age_on(birth: date, day: date) -> int:
    return day.year - birth.year - ((day.month, day.day) < (birth.month, birth.day))


def _sections(facts: _Facts) -> Iterator[FieldError]:
    if facts.measure is None:
        return
    for measure, section in (*zip(_SECTIONS, _SECTIONS, strict=True), ("mentor", "parties.mentor")):
        if facts.measure == measure and not facts.sent(section):
            yield _error(section, "required", f"Send this when the measure is {measure}.")
        elif facts.measure != measure and facts.sent(section):
            yield _error(section, "not_allowed", f"This goes with the measure {measure} only. Leave it out.")


def _ceiling(facts: _Facts) -> Iterator[FieldError]:
    lines = facts.get("inclusion_grant.lines")
    if not lines or not facts.end:
        return
    ceiling = ceiling_for(facts.end)
    if sum(line.get("amount", 0) for line in lines) <= ceiling:
        return
    newest = max(CEILINGS)
    because = f"for agreements that end in {facts.end.year}"
    if facts.end.year > newest:
        because = f"of {newest}, the newest that is known, for agreements that end later"
    yield _error(
        "inclusion_grant.lines",
        "over_ceiling",
        f"The lines add up to more than {_kroner(ceiling)} kroner, the ceiling {because}. Lower the amounts.",
    )


def _group(facts: _Facts) -> Iterator[FieldError]:
    percentage = facts.get("temporary_wage_subsidy.percentage")
    wanted = LIMIT_OF_PERCENTAGE.get(percentage)
    if wanted and facts.get("temporary_wage_subsidy.limit_months") not in {None, wanted}:
        yield _error(
            "temporary_wage_subsidy.limit_months",
            "percentage_not_for_group",
            "A subsidy of 40 per cent goes with 12 months, one of 60 with 24. Correct the one or the other.",
        )


def _subsidy_sum(facts: _Facts) -> Iterator[FieldError]:
    section = facts.get(facts.measure or "") if facts.measure in WAGE_SUBSIDIES else None
    if not section or "monthly_subsidy" not in section or not section.keys() >= _CALCULATED_FROM:
        return
    if calculate(section).subsidy != section["monthly_subsidy"]:
        yield _error(
            f"{facts.measure}.monthly_subsidy",
            "sum_differs",
            "The subsidy is the percentage of wage, holiday pay, pension and employer's contribution together, in "
            "whole kroner. Correct it or the rates, or leave it out: it is calculated.",
        )


def _summer_job(facts: _Facts) -> Iterator[FieldError]:
    if facts.measure != "summer_job" or not facts.start:
        return
    start = facts.start
    if not SUMMER_JOB_FIRST <= (start.month, start.day) <= SUMMER_JOB_LAST:
        yield _error(
            "period.start",
            "not_in_summer",
            "A summer job starts between 1 June and 31 August. Move the start date, or choose another measure.",
        )
    if facts.end and facts.end >= start + timedelta(days=SUMMER_JOB_DAYS):
        yield _error(
            "period.end",
            "period_too_long",
            f"A summer job may last at most {SUMMER_JOB_DAYS // 7} weeks. Move the end date or the start date.",
        )
    number = facts.get("parties.participant.national_id")
    births = parse_national_id(number).possible_birth_dates(facts.today) if number else ()
    # Who turns 30 on the first day is not over 30.
    if births and all(_age_on(b, start - timedelta(days=1)) >= SUMMER_JOB_AGE for b in births):
        yield _error(
            "parties.participant.national_id",
            "too_old_for_summer_job",
            f"A summer job is for participants who are not over {SUMMER_JOB_AGE} when it starts. Choose another "
            "measure.",
        )


def _persons(facts: _Facts) -> Iterator[FieldError]:
    participant = facts.get("parties.participant.national_id")
    for role in ("mentor", "guardian"):
        if participant is not None and facts.get(f"parties.{role}.national_id") == participant:
            yield _error(
                f"parties.{role}.national_id",
                "same_person",
                f"The {role} cannot be the participant. Name another person.",
            )
    adviser = facts.get("parties.adviser.ident")
    if adviser is not None and facts.get("parties.decider.ident") == adviser:
        yield _error(
            "parties.decider.ident",
            "same_person",
            "The decider cannot be the adviser of the same agreement. Name another person.",
        )


def _responsible(facts: _Facts) -> Iterator[FieldError]:
    if not isinstance(facts.sent_root.get("parties"), Mapping):
        return
    for section in ("accommodation", "aids", "training"):
        # Read from what was sent, whose indexes are the producer's: a broken item may be missing below `get`.
        items = facts.sent_root.get(section)
        for index, item in enumerate(items if isinstance(items, list) else ()):
            role = item.get("responsible") if isinstance(item, Mapping) else None
            if role in ROLES and not facts.sent(f"parties.{role}"):
                yield _error(
                    f"{section}.{index}.responsible",
                    "party_missing",
                    f"The agreement has no party {role}. Name one of its parties, or add this one.",
                )


def _family(facts: _Facts) -> Iterator[FieldError]:
    related = facts.get("family_relation.related")
    explained = facts.sent("family_relation.explanation")
    path = "family_relation.explanation"
    if related is True and not explained:
        yield _error(path, "required", "Explain the family relation when related is true.")
    elif related is False and explained:
        yield _error(path, "not_allowed", "Leave the explanation out, or set related to true.")


def _references(facts: _Facts) -> Iterator[FieldError]:
    # References end up in storage keys and log lines, where no identity number may stand.
    for path in ("number", "case.reference"):
        text = facts.get(path)
        if text and any(
            is_national_id(run[i : i + 11])
            for run in re.findall(r"[0-9]{11,}", text)
            for i in range(len(run) - 10)
        ):
            yield _error(
                path,
                "personal_data",
                "A reference must not hold a national identity number. Use the case system's own reference.",
            )


_RULES: tuple[Callable[[_Facts], Iterator[FieldError]], ...] = (
    _dates,
    _duration,
    _age,
    _sections,
    _ceiling,
    _group,
    _subsidy_sum,
    _summer_job,
    _persons,
    _responsible,
    _family,
    _references,
)
