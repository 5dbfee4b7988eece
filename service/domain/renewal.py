"""When what proves a signed version is renewed, and what a renewal was.

A document timestamp proves as long as its authority's certificates and its algorithms are good. Before that ends, a
new one is put over it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from service.domain.log import timestamp

__all__ = ["Protection", "Reason", "Renewal", "Schedule", "put_off", "scheduled"]

_SOONEST = timedelta(hours=1)


class Reason(StrEnum):
    """Why a version is renewed."""

    CERTIFICATE = "certificate"
    """A certificate that the newest timestamp or seal rests on ends."""
    ALGORITHM = "algorithm"
    """An algorithm that it rests on is not to be relied on any longer."""
    ASKED = "asked"
    """An operator wants it."""


@dataclass(frozen=True)
class Protection:
    """How long one file proves by itself: its newest timestamp's time, when that ends, and by what."""

    since: datetime
    ends: datetime
    reason: Reason

    def renew_by(self, before: timedelta) -> datetime:
        """So long before the end, but never before half of the time has passed: some authorities' certificates live
        no longer than that.
        """
        return max(self.ends - before, self.since + (self.ends - self.since) / 2)


@dataclass(frozen=True)
class Schedule:
    """When a version is to be renewed, why, and when it is too late. Times are RFC 3339."""

    renew_by: str
    ends: str
    reason: Reason

    def as_data(self) -> dict[str, str]:
        return {"renew_by": self.renew_by, "ends": self.ends, "reason": str(self.reason)}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Schedule:
        return cls(data["renew_by"], data["ends"], Reason(data["reason"]))


def scheduled(protections: Iterable[Protection], before: timedelta) -> Schedule:
    """When the first of these, of which there is at least one, is to be renewed."""
    first = min(protections, key=lambda p: (p.renew_by(before), p.ends))
    return Schedule(timestamp(first.renew_by(before)), timestamp(first.ends), first.reason)


def put_off(schedule: Schedule, now: datetime) -> Schedule:
    """The same end, looked at again when half of what is left has passed: nothing better is to be had today."""
    left = datetime.fromisoformat(schedule.ends) - now
    return Schedule(timestamp(now + max(left / 2, _SOONEST)), schedule.ends, schedule.reason)


@dataclass(frozen=True)
class Renewal:
    """One renewal of a version. Hashes are SHA-256 in hex and name blobs of the agreement.

    `receipt_pdf_size` is in bytes; `digest` is what the new document timestamps are over.
    """

    at: str
    reason: Reason
    digest: str
    document_sha256: str
    receipt_pdf_sha256: str
    receipt_pdf_size: int
    report_sha256: str
    receipt_sha256: str
    """The receipt of the renewal."""
    receipt_signature_sha256: str
    head: tuple[int, str]
    """Sequence number and SHA-256 of its entry."""
