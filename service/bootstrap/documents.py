"""Finished documents: looked at, read, packed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from service.domain.tagged_text import Block
from service.errors import RenderFailed

if TYPE_CHECKING:
    from service.adapters.archive import Package, SipWriter
    from signing import ValidationReport

__all__ = ["compare_pages", "open_packages", "package_writer", "read_structure"]


def compare_pages(
    document: bytes, report: ValidationReport, *, most_pages: int = 5_000, seconds: int = 300
) -> ValidationReport:
    """The report with what the pages look like in all signed revisions; as it was, where they cannot be drawn here.

    That is so without poppler, for a file that it cannot draw, or not in so many seconds a revision, and for one with
    more than `most_pages` in all its revisions.
    """
    from service.adapters.pdf import can_rasterize, rasterize
    from signing import compare_rendered

    if not can_rasterize():
        return report
    with contextlib.suppress(RenderFailed):
        draw = partial(rasterize, seconds=seconds)
        return compare_rendered(document, report, draw, most_pages=most_pages)
    return report


def read_structure(pdf: bytes) -> Sequence[Block]:
    """A tagged PDF as headings, paragraphs, lists and tables. Raises `RenderFailed`."""
    from service.adapters.pdf import structure

    return structure(pdf)


def package_writer(folder: Path, *, tar: bool, creator: tuple[str, str] | None) -> SipWriter:
    """Writes archive packages to `folder`; `creator` is the archive creator's id and name."""
    from service.adapters.archive import Creator, SipWriter

    return SipWriter(folder, tar=tar, creator=Creator(*creator) if creator else None)


def open_packages(paths: Sequence[Path]) -> list[tuple[Path, Callable[[], Package]]]:
    """The archive packages at these paths, and what opens and checks each. Raises `PackageRefused`."""
    from service.adapters.archive import find_packages, open_package

    return [(path, partial(open_package, path)) for given in paths for path in find_packages(given)]
