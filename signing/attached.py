"""Files carried inside a PDF (ISO 32000-1 7.11.4), read with limits."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Any, Final

from pyhanko.pdf_utils.reader import PdfFileReader

from signing.limits import LimitExceeded, Limits

__all__ = ["attached_file"]

_MAX_NODES: Final = 1_000


def attached_file(pdf: bytes, name: str, limits: Limits | None = None) -> bytes | None:
    """The file of that name that the PDF carries; None when there is none, or it cannot be read."""
    bounds = limits or Limits()
    try:
        bounds.check_bytes(pdf)
        reader = PdfFileReader(BytesIO(pdf), strict=True, decode_limits=bounds.decoding())
        bounds.check_structure(reader)
        for specification in _files(reader.root["/Names"]["/EmbeddedFiles"]):
            if name in (specification.get("/UF"), specification.get("/F")):
                content: bytes = specification["/EF"]["/F"].data
                return content
    except LimitExceeded:
        return None
    # As in validation: hostile files give nearly any error.
    except Exception:  # noqa: BLE001
        return None
    return None


def _files(tree: Any) -> Iterator[Any]:
    """The file specifications of a name tree (ISO 32000-1 7.9.6)."""
    waiting = [tree]
    for _ in range(_MAX_NODES):
        if not waiting:
            return
        node = waiting.pop()
        names, kids = node.get("/Names", ()), node.get("/Kids", ())
        yield from (names[number] for number in range(1, len(names), 2))
        waiting.extend(kids[number] for number in range(len(kids)))
