"""Periods of whole months."""

from __future__ import annotations

from calendar import monthrange
from datetime import date, timedelta

__all__ = ["last_day"]


def last_day(start: date, months: int) -> date:
    """The last day of a period of `months` whole months from `start`: 1 December and 12 give 30 November.

    Where that month is too short (29 February, 12 months) its own last day is the end.
    """
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    length = monthrange(year, month + 1)[1]
    if start.day > length:
        return date(year, month + 1, length)
    return date(year, month + 1, start.day) - timedelta(days=1)
