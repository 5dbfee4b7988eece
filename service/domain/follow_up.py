"""Follow-up: the meetings, points of evaluation and commitments of an agreement, and the ids they are known by.

The log holds an item's id, kind and date; what it is about stands in the agreement's data alone. So the id is made
of kind, date and a number: a hash of a short text would tell the text to anybody who guesses it.

    >>> plan = {"meetings": [{"date": "2037-01-19", "topic": "Pauser"}, {"date": "2037-01-19", "topic": "Støy"}]}
    >>> data = {"period": {"start": "2036-12-01", "end": "2037-05-31"}, "follow_up": plan}
    >>> [item.id for item in numbered(planned(data))]
    ['meeting-2037-01-19', 'meeting-2037-01-19-2']
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from itertools import count
from typing import Any

__all__ = [
    "NO_FOLLOW_UP",
    "FollowUp",
    "FollowUpKind",
    "Item",
    "Planned",
    "last_date",
    "numbered",
    "paired",
    "planned",
]


class FollowUpKind(StrEnum):
    MEETING = "meeting"
    EVALUATION = "evaluation"
    COMMITMENT = "commitment"
    """What NAV is to have done by its date."""


@dataclass(frozen=True)
class Item:
    """One thing to do, as the log knows it. `date` is YYYY-MM-DD, in Norway."""

    id: str
    kind: FollowUpKind
    date: str

    def as_json(self) -> dict[str, str]:
        return {"id": self.id, "kind": str(self.kind), "date": self.date}


@dataclass(frozen=True)
class Planned:
    """One thing to do, as the agreement says it. `words` are None for a meeting that follows from an interval."""

    kind: FollowUpKind
    date: str
    words: str | None


@dataclass(frozen=True)
class FollowUp:
    """What a version's first entry says of its follow-up. `ends` is the agreement's last day."""

    items: tuple[Item, ...]
    ends: str
    days_before: int
    """How many days before its date an item is told as due."""

    def as_data(self) -> dict[str, Any]:
        return {
            "follow_up": [item.as_json() for item in self.items],
            "follow_up_ends": self.ends,
            "follow_up_days": self.days_before,
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> FollowUp:
        """That of an entry; none where it says nothing (a declaration)."""
        if "follow_up" not in data:
            return NO_FOLLOW_UP
        items = tuple(Item(i["id"], FollowUpKind(i["kind"]), i["date"]) for i in data["follow_up"])
        return cls(items, data["follow_up_ends"], data["follow_up_days"])


NO_FOLLOW_UP = FollowUp((), "", 0)


def last_date(data: Mapping[str, Any]) -> str:
    """The agreement's last day: that of its termination, or the end of its period."""
    found: str = data["termination"]["date"] if "termination" in data else data["period"]["end"]
    return found


def planned(data: Mapping[str, Any]) -> list[Planned]:
    """What there is to do, by date. `data` is a valid agreement.

    Where no meeting is named there is one each `interval_weeks` after the start, through the last day (our own
    reading). Needs for which NAV is responsible by a deadline are commitments too. A meeting after the last day is
    none; an agreement that is terminated has nothing to do after that.
    """
    plan, ends = data.get("follow_up", {}), last_date(data)
    evaluations = (
        Planned(FollowUpKind.EVALUATION, e["date"], e["topic"]) for e in plan.get("evaluations", ())
    )
    promised = (
        Planned(FollowUpKind.COMMITMENT, c["deadline"], c["description"]) for c in plan.get("commitments", ())
    )
    found = [*_meetings(data, plan, ends), *evaluations, *promised, *_needs(data)]
    return sorted((p for p in found if "termination" not in data or p.date <= ends), key=lambda p: p.date)


def _meetings(data: Mapping[str, Any], plan: Mapping[str, Any], ends: str) -> Iterator[Planned]:
    if named := plan.get("meetings"):
        yield from (Planned(FollowUpKind.MEETING, m["date"], m["topic"]) for m in named if m["date"] <= ends)
    elif weeks := plan.get("interval_weeks"):
        start = date.fromisoformat(data["period"]["start"])
        for number in count(1):
            day = (start + number * timedelta(weeks=weeks)).isoformat()
            if day > ends:
                return
            yield Planned(FollowUpKind.MEETING, day, None)


_NEEDS: Mapping[str, str] = {"accommodation": "need", "aids": "description", "training": "description"}
"""Sections whose items may be NAV's to see to, and the field that says what it is."""
_SEEN_TO = frozenset({"done", "cancelled"})


def _needs(data: Mapping[str, Any]) -> Iterator[Planned]:
    for section, words in _NEEDS.items():
        for need in data.get(section, ()):
            is_navs = need.get("responsible") == "adviser" and need.get("status") not in _SEEN_TO
            if is_navs and "deadline" in need:
                yield Planned(FollowUpKind.COMMITMENT, need["deadline"], need[words])


def paired(plans: Sequence[Planned], items: Sequence[Item]) -> list[tuple[Planned, Item]]:
    """Each item of a version's first entry with what its data say of it; without words when they do not fit."""
    if [(p.kind, p.date) for p in plans] != [(i.kind, i.date) for i in items]:
        plans = [Planned(item.kind, item.date, None) for item in items]
    return list(zip(plans, items, strict=True))


def numbered(
    plans: Sequence[Planned], before: Sequence[tuple[Planned, Item]] = (), used: Collection[str] = ()
) -> tuple[Item, ...]:
    """The items of a version's plan, in its order.

    What is unchanged since the version `before` keeps its id. So does a meeting or an evaluation that has other words:
    it is known by its day; but not a commitment, for what was promised before may be done. No other item is given an
    id that is `used` in any version.
    """
    left = list(before)
    known: dict[int, Item] = {}

    def keep(index: int, *, same_words: bool) -> None:
        plan = plans[index]
        for old in left:
            same_day = (old[0].kind, old[0].date) == (plan.kind, plan.date)
            if same_day and (not same_words or old[0].words == plan.words):
                left.remove(old)
                known[index] = old[1]
                return

    for index in range(len(plans)):
        keep(index, same_words=True)
    for index, plan in enumerate(plans):
        if index not in known and plan.kind is not FollowUpKind.COMMITMENT:
            keep(index, same_words=False)
    taken = {*used, *(item.id for _, item in before)}
    found = []
    for index, plan in enumerate(plans):
        item = known.get(index) or Item(_free_id(plan, taken), plan.kind, plan.date)
        taken.add(item.id)
        found.append(item)
    return tuple(found)


def _free_id(plan: Planned, taken: Collection[str]) -> str:
    first = f"{plan.kind}-{plan.date}"
    return next(i for n in count(1) if (i := first if n == 1 else f"{first}-{n}") not in taken)
