"""The checks behind the pages: of a stranger's file, and of a version against its own log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.domain.agreement import Agreement, Version
from service.entrypoints.http.pages.frame import pages
from service.entrypoints.http.site import site

if TYPE_CHECKING:
    from signing import ValidationReport

__all__ = ["TooHeavy", "check_upload", "check_version"]


class TooHeavy(Exception):
    """The file takes more time or memory to check than anybody's may."""


def check_upload(pdf: bytes) -> ValidationReport:
    """Raises `TooHeavy`."""
    from signing import validate

    return validate(pdf, pages().trust)


def check_version(agreement: Agreement, version: Version) -> tuple[ValidationReport, list[str]]:
    """The validation of a signed version, and where it is not what the log says. Raises `NotFound`."""
    from service.pipeline.archive import check_against_log, validate_version
    from service.pipeline.scans import missing_scans

    ledger = site().ledger
    document = ledger.get_blob(agreement.id, version.document.sha256, "pdf")
    report = validate_version(version, document, pages().trust)
    return report, [
        *check_against_log(version, document, report),
        *missing_scans(ledger, agreement.id, version),
    ]
