"""Scans of copies that were signed by hand: which files are taken, and who may sign so.

A scan is named by its SHA-256 and is a blob of its agreement. It is evidence, so its bytes are kept as they came.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

__all__ = ["EXTENSIONS", "MAX_SCAN", "NOT_ON_PAPER", "ScanFault", "media_type_of"]

EXTENSIONS: Final[Mapping[str, str]] = {
    "application/pdf": "pdf",
    "image/jpeg": "jpg",
    "image/png": "png",
}
"""Media types of scans, and the extensions of their blobs."""

MAX_SCAN: Final = 20 * 1024 * 1024
"""Bytes."""

NOT_ON_PAPER: Final = frozenset({"adviser", "decider"})
"""Roles that sign digitally: the one attests the others' paper, the other decides on what was attested."""

_MAGIC: Final = {
    b"%PDF-": "application/pdf",
    b"\xff\xd8\xff": "image/jpeg",
    b"\x89PNG\r\n\x1a\n": "image/png",
}


class ScanFault(StrEnum):
    """Why a file is no scan to keep."""

    BROKEN = "broken"
    """It ends too early, has no page, or is not what its first bytes say."""
    ENCRYPTED = "encrypted"
    ACTIVE = "active"
    """It holds a script, or something that starts when it is opened."""


def media_type_of(body: bytes) -> str | None:
    """The media type that the first bytes tell; None for no kind of file that is taken."""
    return next((media for magic, media in _MAGIC.items() if body.startswith(magic)), None)
