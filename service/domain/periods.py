"""Days in Norway, and periods of whole months."""

from __future__ import annotations

from calendar import monthrange
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

__all__ = ["OSLO", "last_day", "norwegian_date"]

OSLO: Final = ZoneInfo("Europe/Oslo")


def norwegian_date(moment: datetime) -> date:
    """The day that it is in Norway at that moment."""
    return moment.astimezone(OSLO).date()


def last_day(start: date, months: int) -> date:
    """The last day of a period of `months` whole months from `start`: 1 December and 12 give 30 November.

    Where that month is too short (29 February, 12 months) its own last day is the end.
    """
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    length = monthrange(year, month + 1)[1]
    if start.day > length:
        return date(year, month + 1, length)
    return date(year, month + 1, start.day) - timedelta(days=1)
