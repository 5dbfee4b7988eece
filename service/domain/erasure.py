"""Whether an agreement's content may be erased, and what its log says of it.

The log itself stays, for it holds no personal data: it is the tombstone. What was erased, by whose approval and by
which rule stands in a record that the organisation seals.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from enum import StrEnum

from service.domain.agreement import Agreement, Status
from service.domain.log import Draft
from service.domain.periods import norwegian_date
from service.domain.retention import Disposal
from service.errors import SignertError

__all__ = ["ErasureReason", "check_erasable", "disposable_from", "ordered"]


class ErasureReason(StrEnum):
    DISPOSAL = "disposal"
    """The time of its retention is over (kassasjon)."""
    NOT_SIGNED = "not-signed"
    """No version was ever signed by all: nothing to archive."""


def disposable_from(agreement: Agreement, unsigned_days: int) -> date | None:
    """The first day on which an archivist is to look at it; None when that never comes, or is not known yet.

    `unsigned_days` is how long after its end an agreement is left alone that was never signed by all.
    """
    if agreement.erasure or not _has_ended(agreement):
        return None
    if not agreement.is_archived:
        ended = datetime.fromisoformat(agreement.current.changed_at)
        return norwegian_date(ended) + timedelta(days=unsigned_days + 1)
    retention = agreement.retention
    if retention is None or retention.disposal is Disposal.KEEP:
        return None
    return date.fromisoformat(retention.until) + timedelta(days=1)


def check_erasable(agreement: Agreement, now: datetime) -> ErasureReason:
    """Why it may be erased now. Raises `SignertError` that says why not, and since when it may be."""
    if agreement.erasure:
        raise SignertError(
            f"agreement {agreement.id} is erased already",
            code="already_erased",
            remedy="See `signert show`.",
        )
    if not _has_ended(agreement):
        raise SignertError(
            f"version {agreement.current.number} of agreement {agreement.id} is not signed by all yet",
            code="version_open",
            remedy="Cancel that version first.",
        )
    if not agreement.is_archived:
        return ErasureReason.NOT_SIGNED
    retention = agreement.retention
    if retention is None:
        raise _under_duty(agreement.id, "its template says nothing of how long it is to be kept")
    if retention.disposal is Disposal.KEEP:
        raise _under_duty(agreement.id, f"it is to be kept for ever ({retention.authority})")
    if norwegian_date(now).isoformat() <= retention.until:
        raise _under_duty(agreement.id, f"it is to be kept until {retention.until} ({retention.authority})")
    return ErasureReason.DISPOSAL


def _has_ended(agreement: Agreement) -> bool:
    status = agreement.current.status
    return not status.is_open and status is not Status.COMPLETED


def _under_duty(agreement_id: str, why: str) -> SignertError:
    return SignertError(
        f"agreement {agreement_id} is under archive duty: {why}",
        code="archive_duty",
        remedy="Nothing was erased. What may be erased, `signert disposal list` names.",
    )


def ordered(agreement: Agreement, reason: ErasureReason, *, record_sha256: str) -> Draft:
    """The entry that orders the erasure, as the record of that SHA-256 says."""
    said = {"reason": str(reason), "record_sha256": record_sha256}
    return Draft("erasure-ordered", said, version=agreement.current.number)
