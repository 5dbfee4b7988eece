"""Reads hexadecimal strings of a PDF at once.

pyHanko reads them a byte at a time, several times for each signature in a document, and a signature's /Contents is
tens of thousands of digits: most of the time that validation takes. Anything but plain digits up to the closing
bracket is left to pyHanko's own function, so that what is accepted stays the same.
"""

from __future__ import annotations

import re
from binascii import unhexlify
from typing import IO, Any, Final

from pyhanko.pdf_utils import generic

__all__ = ["install"]

_DIGITS: Final = re.compile(rb"[0-9A-Fa-f]*\Z")
_CHUNK: Final = 16_384

_original = generic.read_hex_string_from_stream


def _read(stream: IO[bytes]) -> Any:
    start = stream.tell()
    stream.read(1)  # the opening bracket
    digits = b""
    while True:
        chunk = stream.read(_CHUNK if digits else 256)
        end = chunk.find(b">")
        if end >= 0:
            digits += chunk[:end]
            break
        digits += chunk
        if not chunk:
            break
    if end < 0 or len(digits) % 2 or not _DIGITS.match(digits):
        stream.seek(start)
        return _original(stream)
    stream.seek(start + 1 + len(digits) + 1)
    return generic.pdf_string(unhexlify(digits))


def install() -> None:
    """Let pyHanko use this reader."""
    generic.read_hex_string_from_stream = _read
