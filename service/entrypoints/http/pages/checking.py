"""The checks behind the pages: of a stranger's file, and of a version against its own log."""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING, Final

from service.bootstrap import compare_pages
from service.domain.agreement import Agreement, Version
from service.entrypoints.http.pages.frame import pages
from service.entrypoints.http.site import site

if TYPE_CHECKING:
    from signing import Limits, ValidationReport

__all__ = ["TooHeavy", "check_upload", "check_version"]

_SECONDS: Final = 20
_MOST_PAGES: Final = 200
"""In all revisions together; of a file with more, the pages are not compared."""
_MEMORY: Final = 1024 * 1024 * 1024


class TooHeavy(Exception):
    """The file takes more time or memory to check than anybody's may."""


def check_upload(pdf: bytes) -> ValidationReport:
    """Raises `TooHeavy`."""
    from service.pipeline.verification import verify_pdf

    report = verify_pdf(pdf, pages().trust, _compare, limits=_limits())
    if report.limit:
        raise TooHeavy
    return report


_compare = partial(compare_pages, most_pages=_MOST_PAGES, seconds=_SECONDS)


@cache
def _limits() -> Limits:
    from signing import Limits

    return Limits(seconds=_SECONDS, memory=_MEMORY)


def check_version(agreement: Agreement, version: Version) -> tuple[ValidationReport, list[str]]:
    """The validation of a signed version, and where it is not what the log says. Raises `NotFound`."""
    from service.pipeline.verification import verify_agreement

    own = site()
    return verify_agreement(own.ledger, agreement, version, pages().trust, _compare, at=own.clock.now())
