"""What a check of a store says: findings with a way out, and counts of what was looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

__all__ = ["Counts", "Finding", "Severity", "finding"]


class Severity(StrEnum):
    ERROR = "error"
    """Something is lost, altered, or will never end by itself."""
    NOTE = "note"
    """Worth knowing; nothing is lost."""


@dataclass(frozen=True)
class Finding:
    """One thing to say of a store.

    `code` is stable and for machines, `where` is a key of the store or an agreement's id. `message` and `remedy` are
    for people and hold no personal data.
    """

    severity: Severity
    code: str
    where: str
    message: str
    remedy: str

    def as_json(self) -> dict[str, str]:
        return {
            "severity": self.severity,
            "code": self.code,
            "where": self.where,
            "message": self.message,
            "remedy": self.remedy,
        }


_RESTORE = "Restore it from a backup, or from its earlier version where the bucket keeps versions."
_REINDEX = "Run `signert reindex`, which may be done while the service runs."
_RECOVER = "Run `signert recover`, which may be done while the service runs."
_NOTHING = "Nothing: it does no harm."
_WAIT = "Nothing, as long as workers run: the sweeper goes on with it."

_KINDS: Final[Mapping[str, tuple[Severity, str]]] = {
    # The log
    "log_entry_missing": (Severity.ERROR, _RESTORE),
    "log_entry_altered": (Severity.ERROR, _RESTORE),
    "log_entry_misplaced": (Severity.ERROR, _RESTORE),
    "log_link_broken": (
        Severity.ERROR,
        "Find out which of the two was altered, and restore it from a backup.",
    ),
    "log_key_foreign": (
        Severity.ERROR,
        "Take the object out of the log's folder: with it there, no worker can read the agreement.",
    ),
    "log_not_folded": (
        Severity.ERROR,
        "Check that the same or a newer release of Signert reads the store than wrote it.",
    ),
    "log_absent": (Severity.NOTE, _NOTHING),
    "gathered_log_differs": (
        Severity.NOTE,
        "Nothing, where the store was restored: it is not used, and written anew. Else find out who changed or removed "
        "entries, or wrote there: that log cannot be trusted.",
    ),
    # Blobs
    "blob_missing": (Severity.ERROR, _RESTORE),
    "blob_altered": (Severity.ERROR, _RESTORE),
    "blob_orphaned": (Severity.NOTE, _NOTHING),
    "blob_not_erased": (Severity.ERROR, "Remove it: its agreement is erased."),
    "object_unreadable": (Severity.ERROR, "Check the store: its disk, its network, and who may read there."),
    # Documents and receipts
    "revision_length": (Severity.ERROR, _RESTORE),
    "revision_not_prefix": (Severity.ERROR, _RESTORE),
    "document_not_verified": (
        Severity.ERROR,
        "Look closer with `signert verify ID`; check that SIGNERT_TRUST and SIGNERT_TRUST_… (or --trust) name the "
        "right anchors.",
    ),
    "report_differs": (Severity.ERROR, _RESTORE),
    "receipt_differs": (Severity.ERROR, _RESTORE),
    "receipt_not_verified": (
        Severity.ERROR,
        "Look closer with `openssl cms -verify`; check that SIGNERT_TRUST (or --trust) names the right anchors.",
    ),
    "renewal_receipt_differs": (Severity.ERROR, _RESTORE),
    "receipt_signature_aged": (
        Severity.NOTE,
        "Rely on the sealed PDF receipt, which carries the same JSON under a document timestamp. `signert renew` keeps "
        "newer ones from it.",
    ),
    "receipt_pdf_not_verified": (
        Severity.ERROR,
        "Look closer with `signert fetch --what receipt-pdf` and `signert verify`.",
    ),
    "record_not_verified": (
        Severity.ERROR,
        "Look closer with `openssl cms -verify`; check that SIGNERT_TRUST (or --trust) names the right anchors.",
    ),
    # Commands, work and the rest of the store
    "claim_missing": (Severity.ERROR, _RESTORE),
    "claim_differs": (Severity.ERROR, _RESTORE),
    "claim_unreadable": (Severity.ERROR, _RESTORE),
    "command_lost": (Severity.ERROR, _RECOVER),
    "command_waiting": (Severity.NOTE, _WAIT),
    "marker_missing": (Severity.ERROR, _RECOVER),
    "marker_unreadable": (Severity.ERROR, f"Remove it. {_RECOVER}"),
    "marker_left": (Severity.NOTE, _WAIT),
    "marker_dangling": (Severity.NOTE, _WAIT),
    "parked": (Severity.NOTE, _WAIT),
    "index_missing": (Severity.ERROR, _REINDEX),
    "index_dangling": (Severity.NOTE, _REINDEX),
    "index_differs": (Severity.NOTE, _REINDEX),
    "outbox_waiting": (Severity.NOTE, _WAIT),
    "quarantine_unreadable": (Severity.ERROR, _RESTORE),
    "key_unknown": (Severity.NOTE, "Find out who put it there; Signert does not read it."),
}


def finding(code: str, where: str, message: str, *, remedy: str = "") -> Finding:
    """A finding of this code, with the code's severity and, unless another is given, its remedy."""
    severity, usual = _KINDS[code]
    return Finding(severity, code, where, message, remedy or usual)


@dataclass
class Counts:
    """What was looked at. `statuses` counts agreements by the status of their newest version.

    `bytes` are those of log entries and blobs that were read; `signatures` are those that passed validation, in
    documents and receipts together.
    """

    statuses: Counter[str] = field(default_factory=Counter)
    versions: int = 0
    entries: int = 0
    blobs: int = 0
    bytes: int = 0
    revisions: int = 0
    signatures: int = 0
    document_timestamps: int = 0
    commands: int = 0
    quarantined: int = 0

    @property
    def agreements(self) -> int:
        return self.statuses.total()

    def add(self, other: Counts) -> None:
        self.statuses.update(other.statuses)
        for name in _NUMBERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def as_json(self) -> dict[str, Any]:
        numbers = {name: getattr(self, name) for name in _NUMBERS}
        return {"agreements": self.agreements, "by_status": dict(sorted(self.statuses.items())), **numbers}


_NUMBERS: Final = (
    "versions",
    "entries",
    "blobs",
    "bytes",
    "revisions",
    "signatures",
    "document_timestamps",
    "commands",
    "quarantined",
)


def errors_among(findings: Iterable[Finding]) -> list[Finding]:
    return [f for f in findings if f.severity is Severity.ERROR]
