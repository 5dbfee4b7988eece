"""pypdf's reader of a whole PDF in memory, with the header of an object read in one go.

pypdf reads the header of every object when it opens a file, to leave out what is none, and reads it one byte at a time.
"""

from __future__ import annotations

import io
import re
from typing import Any

from pypdf import PdfReader

__all__ = ["Reader"]

_HEADER = re.compile(rb"([0-9]{1,10}) ([0-9]{1,5}) obj[ \r\n]*(?=[!-~])")


class Reader(PdfReader):
    """`PdfReader` of these bytes. Raises pypdf's and Python's own errors for what is no sound PDF."""

    def __init__(self, pdf: bytes) -> None:
        self._pdf = pdf
        self._file = io.BytesIO(pdf)
        super().__init__(self._file)

    def read_object_header(self, stream: Any) -> tuple[int, int]:
        """Number and generation; the stream is then where the object begins. What is written otherwise pypdf reads."""
        header = _HEADER.match(self._pdf, stream.tell()) if stream is self._file else None
        if header is None:
            return super().read_object_header(stream)
        stream.seek(header.end())
        return int(header[1]), int(header[2])
