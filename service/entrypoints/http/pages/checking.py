"""The checks behind the pages: of a stranger's file, and of a version against its own log."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from service.domain.agreement import Agreement, Version
from service.entrypoints.http.pages.frame import pages
from service.entrypoints.http.site import site

if TYPE_CHECKING:
    from signing import Limits, ValidationReport

__all__ = ["TooHeavy", "check_upload", "check_version"]

_SECONDS: Final = 20
_MEMORY: Final = 1024 * 1024 * 1024


class TooHeavy(Exception):
    """The file takes more time or memory to check than anybody's may."""


def check_upload(pdf: bytes) -> ValidationReport:
    """Raises `TooHeavy`."""
    from signing import validate_untrusted

    report = validate_untrusted(pdf, pages().trust, limits=_limits())
    if report.limit:
        raise TooHeavy
    return report


@cache
def _limits() -> Limits:
    from signing import Limits

    return Limits(seconds=_SECONDS, memory=_MEMORY)


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
