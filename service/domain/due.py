"""When an item of the follow-up is told: as due some days before its date, as overdue the day after, each once.

What counts is the version in force, whatever becomes of an amendment meanwhile. Days begin at midnight in Norway.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from enum import StrEnum

from service.domain.agreement import Agreement, Version
from service.domain.follow_up import FollowUpKind, Item
from service.domain.log import timestamp
from service.domain.periods import OSLO, norwegian_date

__all__ = ["Telling", "open_items", "telling", "telling_times"]


class Telling(StrEnum):
    DUE = "due"
    OVERDUE = "overdue"
    """Only of commitments."""


def telling(agreement: Agreement, now: datetime) -> tuple[Telling, Item] | None:
    """What is to be told now; None when nothing is."""
    version = agreement.in_force
    if version is None or not version.follow_up.items:
        return None
    today = norwegian_date(now)
    found = ((_told_of(agreement, version, item, today), item) for item in version.follow_up.items)
    return next(((what, item) for what, item in found if what is not None), None)


def _told_of(agreement: Agreement, version: Version, item: Item, today: date) -> Telling | None:
    if item.id in agreement.done:
        return None
    passed = item.date < today.isoformat()
    if item.kind is FollowUpKind.COMMITMENT:
        if passed:
            return None if (item.id, Telling.OVERDUE) in agreement.told else Telling.OVERDUE
    elif passed and not _may_be_late(version, item, today):
        return None
    reach = today + timedelta(days=version.follow_up.days_before)
    if item.date > reach.isoformat() or (item.id, Telling.DUE) in agreement.told:
        return None
    return Telling.DUE


def _may_be_late(version: Version, item: Item, today: date) -> bool:
    """Whether a meeting whose day has passed is told still, because nobody could tell it in time.

    Not when it had passed before the version was signed, and not after the agreement's end.
    """
    assert version.signed_at is not None
    signed = norwegian_date(datetime.fromisoformat(version.signed_at)).isoformat()
    return signed <= item.date and today.isoformat() <= version.follow_up.ends


def telling_times(agreement: Agreement) -> Iterator[str]:
    """When there may be something to tell, past times included, in no order."""
    version = agreement.in_force
    if version is None:
        return
    early = timedelta(days=version.follow_up.days_before)
    for item in version.follow_up.items:
        if item.id in agreement.done:
            continue
        day = date.fromisoformat(item.date)
        if (item.id, Telling.DUE) not in agreement.told:
            yield _midnight(day - early)
        if item.kind is FollowUpKind.COMMITMENT and (item.id, Telling.OVERDUE) not in agreement.told:
            yield _midnight(day + timedelta(days=1))


def _midnight(day: date) -> str:
    return timestamp(datetime.combine(day, time(), OSLO))


def open_items(agreement: Agreement, now: datetime) -> list[Item]:
    """What is still to be done by the version in force, by date: all that lies ahead, and commitments that are late."""
    version, today = agreement.in_force, norwegian_date(now).isoformat()
    return [
        item
        for item in (version.follow_up.items if version else ())
        if item.id not in agreement.done and (item.date >= today or item.kind is FollowUpKind.COMMITMENT)
    ]
