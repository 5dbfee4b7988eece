"""What is to be said of a file from anywhere: a PDF, a signed agreement with its log, or a receipt with what it names.

Nothing is fetched and nothing changed. Files are judged in a process of their own, with limits.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from service.domain.agreement import Agreement, Status, Version
from service.errors import NotFound
from service.pipeline.archive import check_against_log, validate_version
from service.pipeline.checks import Check
from service.pipeline.ledger import Ledger
from service.pipeline.receipt_chain import ReceiptFile
from service.pipeline.receipts import (
    ReceiptVerification,
    Surroundings,
    carried_receipt,
    is_receipt,
    store_files,
    verify_receipt,
)
from service.pipeline.renewal_chain import renewal_faults
from service.pipeline.scans import missing_scans
from signing import Limits, TrustStore, ValidationReport, validate_untrusted

__all__ = [
    "Check",
    "Compare",
    "ReceiptFile",
    "ReceiptVerification",
    "Surroundings",
    "carried_receipt",
    "is_receipt",
    "store_files",
    "verify_agreement",
    "verify_pdf",
    "verify_receipt",
]


Compare = Callable[[bytes, ValidationReport], ValidationReport]
"""Adds to a report what the pages of the document look like in all its signed revisions."""


def verify_pdf(
    pdf: bytes | Path, trust: TrustStore, compare: Compare, *, limits: Limits | None = None
) -> ValidationReport:
    """The verdict on any file as a PDF. Raises `OSError` for a path that cannot be read."""
    if isinstance(pdf, Path) and pdf.is_dir():
        return ValidationReport(
            indication="TOTAL-FAILED",
            sub_indication="FORMAT_FAILURE",
            explanation="Dette er en mappe, ikke en fil.",
            sha256="",
            validated_at=datetime.now(UTC),
        )
    report = validate_untrusted(pdf, trust, limits=limits)
    if not report.signatures:
        return report
    return compare(pdf.read_bytes() if isinstance(pdf, Path) else pdf, report)


def verify_agreement(
    ledger: Ledger,
    agreement: Agreement,
    version: Version,
    trust: TrustStore,
    compare: Compare,
    *,
    at: datetime,
) -> tuple[ValidationReport, list[str]]:
    """The verdict on a version of the agreement, and in words where it is not what the log says.

    Raises `NotFound` when it is not signed.
    """
    if version.status is not Status.SIGNED:
        raise NotFound(
            f"version {version.number} of agreement {agreement.id} is not signed: it is {version.status}",
            remedy="See `signert show`.",
        )
    document = ledger.get_blob(agreement.id, version.document.sha256, "pdf")
    report = compare(document, validate_version(version, document, trust, at=at))
    faults = [
        *check_against_log(version, document, report),
        *missing_scans(ledger, agreement.id, version),
        *renewal_faults(ledger, agreement, version, document, trust, at=at),
    ]
    return report, faults
