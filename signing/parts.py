"""Bytes that are kept in parts: a document, and what each signature added to it.

    signed = embed(prepared, value, revision=Parts(document), timestamps=timestamps)
    for part in signed.parts:
        file.write(part)

To make one of the parts costs as much memory again as the document; nothing here does, but `bytes(signed)`.
"""

from __future__ import annotations

import hashlib
import os
from bisect import bisect_right
from collections.abc import Iterable
from io import RawIOBase
from itertools import accumulate
from typing import Any, TypeVar

__all__ = ["Body", "Buffer", "Parts", "PartsFile", "digest", "parts_of"]


class Parts:
    """Bytes in parts. `+` adds one; `bytes()` joins them, which copies all when there are several."""

    __slots__ = ("parts",)

    def __init__(self, *parts: bytes) -> None:
        self.parts = tuple(part for part in parts if part)

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def __bytes__(self) -> bytes:
        return b"".join(self.parts)  # of one, that one

    def __add__(self, more: bytes) -> Parts:
        return Parts(*self.parts, more)

    def __repr__(self) -> str:
        return f"<{len(self)} bytes in {len(self.parts)} parts>"


Buffer = bytes | bytearray | memoryview
Body = TypeVar("Body", bytes, Parts)
"""Whoever gives bytes gets bytes, and whoever gives parts gets parts."""


def parts_of(body: bytes | Parts) -> tuple[bytes, ...]:
    return body.parts if isinstance(body, Parts) else (body,)


def digest(body: bytes | Parts, algorithm: str = "sha256") -> Any:
    """The hash object, as of `hashlib.new`, over all of it."""
    found = hashlib.new(algorithm)
    for part in parts_of(body):
        found.update(part)
    return found


class PartsFile(RawIOBase):
    """A file to read and seek in, over bytes in parts. Closed, it lets go of them."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        super().__init__()
        self._parts = tuple(parts)
        self._ends = [*accumulate(map(len, self._parts))]
        self._at = 0

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        at = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: len(self)}[whence] + offset
        if at < 0:
            raise ValueError("a place before the start")
        self._at = at
        return at

    def part(self) -> tuple[bytes, int]:
        """The part that is read from next, and where in the file it begins; nothing at the end."""
        number = bisect_right(self._ends, self._at)
        if number == len(self._parts):
            return b"", self._at
        return self._parts[number], self._ends[number] - len(self._parts[number])

    def _next(self, size: int) -> Buffer:
        """What comes next, of one part."""
        part, start = self.part()
        return memoryview(part)[self._at - start : self._at - start + size]

    def read(self, size: int | None = -1) -> bytes:
        """As many bytes as are asked for, or all that are left."""
        if self.closed:
            raise ValueError("the file is closed")
        left = max(len(self) - self._at, 0)
        wanted = left if size is None or size < 0 else min(size, left)
        pieces = []
        while wanted and (piece := self._next(wanted)):
            pieces.append(piece)
            wanted -= len(piece)
            self._at += len(piece)
        return b"".join(pieces)

    def readinto(self, buffer: Any) -> int:
        done = 0
        while done < len(buffer) and (piece := self._next(len(buffer) - done)):
            buffer[done : done + len(piece)] = piece
            done += len(piece)
            self._at += len(piece)
        return done

    def close(self) -> None:
        self._parts, self._ends = (), []
        super().close()
