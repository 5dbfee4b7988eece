"""How long what was agreed is kept, and what then becomes of it (Noark 5: kassasjon, M450–M453).

>>> rule = RetentionRule(10, Disposal.REVIEW, "Arkivplanen, kap. 4")
>>> rule.of("2028-02-29").until
'2038-02-28'
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Any

from service.domain.periods import OSLO

__all__ = ["Disposal", "Retention", "RetentionRule"]


class Disposal(StrEnum):
    """What becomes of it when the time is over (M450 kassasjonsvedtak)."""

    KEEP = "keep"
    """Bevares: kept for ever."""
    DISPOSE = "dispose"
    """Kasseres."""
    REVIEW = "review"
    """Vurderes senere: an archivist decides of each."""


@dataclass(frozen=True)
class Retention:
    """Of one version. `until` is the last day of its keeping, YYYY-MM-DD in Norway (M452)."""

    until: str
    disposal: Disposal
    authority: str
    """By which decision (M453 kassasjonshjemmel)."""

    def as_data(self) -> dict[str, str]:
        return {"until": self.until, "disposal": str(self.disposal), "authority": self.authority}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Retention:
        return cls(data["until"], Disposal(data["disposal"]), data["authority"])

    @property
    def ends_at(self) -> datetime:
        """The moment when `until` is over."""
        return datetime.combine(date.fromisoformat(self.until) + timedelta(days=1), time(), OSLO)


@dataclass(frozen=True)
class RetentionRule:
    """A template's: how many years after the agreement's last day (M451 bevaringstid)."""

    years: int
    disposal: Disposal
    authority: str

    def of(self, ends: str) -> Retention:
        """The retention of a version whose agreement ends on that day (YYYY-MM-DD)."""
        last = date.fromisoformat(ends)
        try:
            until = last.replace(year=last.year + self.years)
        except ValueError:  # 29 February
            until = last.replace(year=last.year + self.years, day=28)
        return Retention(until.isoformat(), self.disposal, self.authority)
