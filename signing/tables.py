"""Cross-reference tables and streams (ISO 32000-1 7.5.4, 7.5.8) read and written in one go, for pyHanko.

pyHanko reads a table line by line and writes a stream number by number: most of the time that placing the fields takes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from struct import Struct
from typing import IO, Any, Final

from pyhanko.pdf_utils import generic, xref
from pyhanko.pdf_utils.generic import pdf_name

from signing.parsing import memory

__all__ = ["install", "places_in_table"]

_LINE: Final = 20
_HEAD: Final = re.compile(rb"[\0\t\n\f\r ]*([0-9]{1,9}) ([0-9]{1,9})[ \r]?\n(?=[0-9])")
_TRAILER: Final = re.compile(rb"trailer[\0\t\n\f\r ]*(?=<<)")
_DIGITS: Final = b"0123456789"
_parse_xref_table, _write_xref_stream = xref.parse_xref_table, xref.XRefStream.write_to_stream
_NULL: Final = b"\0" * 9 + b"\xff\xff"


def _table_entries(stream: IO[bytes], strict: bool) -> Iterator[Any]:
    """The entries of a table of one plain section, the stream then at its trailer; pyHanko reads all others."""
    found_in = memory(stream)
    entries = None
    if found_in is not None:
        data, base = found_in
        entries, end = _section(data, stream.tell() - base)
    if entries is None:
        return _parse_xref_table(stream, strict)
    stream.seek(base + end)
    return iter(entries)


def _section(data: bytes, at: int) -> tuple[list[Any] | None, int]:
    head = _HEAD.match(data, at)
    if head is None:
        return None, 0
    first, size = int(head[1]), int(head[2])
    end = head.end() + size * _LINE
    lines, trailer = data[head.end() : end], _TRAILER.match(data, end)
    if trailer is None or not _are_plain(lines, size):
        return None, 0
    entries = []
    for number in range(size):
        place = number * _LINE
        generation = int(lines[place + 11 : place + 16])
        if lines[place + 17] == ord("n"):
            offset = int(lines[place : place + 10])
            entries.append(xref.XRefEntry(xref.XRefType.STANDARD, offset, first + number, generation))
        else:
            entries.append(xref.XRefEntry(xref.XRefType.FREE, None, first + number, generation))
    return entries, trailer.end()


def _are_plain(lines: bytes, size: int) -> bool:
    """Whether each line is ten digits, five digits, a letter and the end of a line in two bytes."""
    rest = lines.translate(None, _DIGITS)
    return (
        len(lines) == size * _LINE
        and len(rest) == size * 5
        and lines[10::_LINE] == lines[16::_LINE] == b" " * size
        and not lines[17::_LINE].translate(None, b"nf")
        and not lines[18::_LINE].translate(None, b" \r")
        and lines[19::_LINE] == b"\n" * size
    )


def _write_stream(self: Any, stream: Any, handler: Any = None, container_ref: Any = None) -> None:  # noqa: ARG001
    """As pyHanko writes it: rows of one byte, eight and two, in runs of numbers that follow one another."""
    pack = Struct(">BQH").pack
    index, rows = [0, 1], [_NULL]
    expected = -1
    for (generation, idnum), place in sorted(self.position_dict.items(), key=lambda item: item[0][1]):
        if idnum != expected:
            index += [idnum, 0]
        index[-1] += 1
        expected = idnum + 1
        rows.append(pack(2, *place) if isinstance(place, tuple) else pack(1, place, generation))
    self[pdf_name("/Index")] = generic.ArrayObject(map(generic.NumberObject, index))
    self._data = b"".join(rows)
    generic.StreamObject.write_to_stream(self, stream, None)


def places_in_table(xrefs: Any) -> dict[tuple[int, int], int] | None:
    """Where the objects are, by generation and number, in a document of one revision with a table only; else None."""
    (section, *later) = xrefs._xref_sections
    data = section.xref_data
    if later or data.hybrid is not None or data.xrefs_in_objstm:
        return None
    return {(generation, idnum): place for idnum, (generation, place) in data.standard_xrefs.items()}


def install() -> None:
    """Let pyHanko use these."""
    xref.parse_xref_table = _table_entries
    stream: Any = xref.XRefStream
    stream.write_to_stream = _write_stream
