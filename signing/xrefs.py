"""Where the objects of a PDF are (ISO 32000-1 7.5.4, 7.5.8): its cross-references, read and written in one go.

pyHanko reads a table line by line and writes a stream number by number. What is unusual is left to its own functions,
so what is accepted stays the same (`signing.parsing`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Set
from struct import Struct
from typing import IO, Any, Final

from pyhanko.pdf_utils import generic, xref
from pyhanko.pdf_utils.decode_limits import DecodePurpose
from pyhanko.pdf_utils.generic import pdf_name
from pyhanko.pdf_utils.misc import PdfReadError
from pyhanko.pdf_utils.reader import PdfFileReader

from signing.kept import Kept
from signing.parsing import memory

__all__ = ["install", "listed", "newest", "places_of"]

_TABLES: Final = 64
_TABLES_BYTES: Final = 256 * 1024

_LINE: Final = 20
_HEAD: Final = re.compile(rb"[\0\t\n\f\r ]*([0-9]{1,9}) ([0-9]{1,9})[ \r]?\n(?=[0-9])")
_TRAILER: Final = re.compile(rb"trailer[\0\t\n\f\r ]*(?=<<)")
_DIGITS: Final = b"0123456789"
_NULL: Final = b"\0" * 9 + b"\xff\xff"

_parse_xref_stream: Final[Any] = xref.parse_xref_stream
_parse_xref_table: Final[Any] = xref.parse_xref_table
_write_xref_stream: Final[Any] = xref.XRefStream.write_to_stream
_process_entries: Final[Any] = xref.XRefSectionData.process_entries
_read_stream_object: Final[Any] = xref.XRefBuilder._read_xref_stream_object


def listed(reader: PdfFileReader, revision: int) -> Set[tuple[int, int]]:
    """Number and generation of each object that a revision's own cross-reference lists, freed ones too."""
    section = reader.xrefs.get_xref_data(revision)
    own: set[tuple[int, int]] = section.explicit_refs_in_revision
    return own if section.hybrid is None else own | section.hybrid.xref_data.explicit_refs_in_revision


def places_of(reader: PdfFileReader, revision: int) -> dict[tuple[int, int], Any]:
    """Where the revision has each of what it lists; None for what it frees."""
    section = reader.xrefs.get_xref_data(revision)
    found = {key: _place(section, *key) for key in listed(reader, revision)}
    for key, place in found.items():
        if place is _ABSENT:  # listed twice, with another generation
            found[key] = _historical(reader.xrefs, *key, revision)
    return found


def newest(reader: PdfFileReader) -> dict[tuple[int, int], Any]:
    """Where every object is in the newest revision, by number and generation; None for one that was freed."""
    found: dict[tuple[int, int], Any] = {}
    for revision in range(reader.xrefs.total_revisions):
        found |= places_of(reader, revision)
    return found


class _Rows(list[Any]):
    """The entries of a cross-reference stream, and the section that they make, once they have made one.

    Nobody changes a section that is made: pyHanko gives only those of tables another (`hybrid`) besides.
    """

    section: xref.XRefSectionData | None = None


_tables: Final[Kept[tuple[bytes, tuple[int, ...], tuple[int, ...]], _Rows]] = Kept(_TABLES, _TABLES_BYTES)
"""Cross-reference streams by their bytes, which say nothing but where objects are; larger ones are read anew."""


def _xref_entries(xref_stream: Any, strict: bool = True) -> Any:
    """The entries of a cross-reference stream (ISO 32000-1 7.5.8): each field of a row sliced out of it."""
    entries = _plain_entries(xref_stream)
    # A document is opened again for each step, and most of its tables are those that it had before.
    return _parse_xref_stream(xref_stream, strict) if entries is None else entries


def _processed(self: Any, entries: Any, strict: bool) -> Any:
    """The section of these entries: the same again where the same table was read before."""
    if not (strict and isinstance(entries, _Rows)):
        return _process_entries(self, entries, strict)
    if entries.section is None:
        section = xref.XRefSectionData()
        _process_entries(section, entries, strict)
        entries.section = section
    vars(self).update(vars(entries.section))
    return None  # the highest number, which only tables are asked for


def _stream_object(self: Any) -> tuple[generic.Reference, Any]:
    """Reference and object of the cross-reference stream that begins here: pyHanko's, by the quick reader."""
    stream = self.stream
    start = stream.tell()
    number, generation = xref.read_object_header(stream, strict=self.strict)
    reference = generic.Reference(number, generation, self.handler)
    opening = stream.read(2)
    stream.seek(-len(opening), os.SEEK_CUR)
    if opening != b"<<":
        stream.seek(start)
        found: tuple[generic.Reference, Any] = _read_stream_object(self)
        return found
    table: Any = generic.read_object(stream, reference)
    table.container_ref = reference
    assert table.raw_get("/Type") == "/XRef"  # as pyHanko's, whose callers know the error
    return reference, table


def _plain_entries(xref_stream: Any) -> _Rows | None:
    widths = _sizes(xref_stream.get("/W"))
    pairs = _sizes(xref_stream.get("/Index", [0, xref_stream.get("/Size")]))
    if widths is None or pairs is None or len(widths) != 3 or not all(0 < width < 8 for width in widths[::2]):
        return None
    if not 0 < widths[1] <= 8 or len(pairs) % 2:
        return None
    row = sum(widths)
    data = xref_stream.read_data(
        DecodePurpose.XREF_STREAM,
        expected_size=xref._expected_xref_stream_size(pairs, widths),
    )
    if len(data) != row * sum(pairs[1::2]):
        return None
    key = bytes(data), tuple(widths), tuple(pairs)
    found = _tables.get(key)
    if found is None:
        found = _rows(*key)
        if found is not None:
            _tables.put(key, found, len(data))
    return found


def _rows(data: bytes, widths: tuple[int, ...], pairs: tuple[int, ...]) -> _Rows | None:
    row, second, third = sum(widths), widths[0], widths[0] + widths[1]
    found, at, last = _Rows(), 0, 0
    number = int.from_bytes
    for start, size in zip(pairs[::2], pairs[1::2], strict=True):
        if start < last:
            return None
        last = start + size
        for idnum in range(start, last):
            kind = number(data[at : at + second], "big")
            middle = number(data[at + second : at + third], "big")
            end = number(data[at + third : at + row], "big")
            at += row
            if middle >= 1 << 63:  # pyHanko reads eight bytes as a number with a sign
                return None
            if kind == 1:
                found.append(xref.XRefEntry(xref.XRefType.STANDARD, middle, idnum, end))
            elif kind == 2:
                place = xref.ObjStreamRef(middle, end)
                found.append(xref.XRefEntry(xref.XRefType.IN_OBJ_STREAM, place, idnum))
            elif kind == 0:
                found.append(xref.XRefEntry(xref.XRefType.FREE, None, idnum, end))
    return found


def _sizes(values: Any) -> list[int] | None:
    """Plain numbers, none below 0; None for anything else."""
    if not isinstance(values, list):
        return None
    numbers = [value for value in values if isinstance(value, int) and value >= 0]
    return numbers if len(numbers) == len(values) else None


_ABSENT: Final = object()


def _place(section: Any, idnum: int, generation: int) -> Any:
    """Where a section of cross-references has an object, None where it frees it: pyHanko's, without its exceptions."""
    while True:
        if generation == 0 and (compressed := section.xrefs_in_objstm.get(idnum)) is not None:
            return compressed
        if (standard := section.standard_xrefs.get(idnum)) is not None:
            return standard[1] if standard[0] == generation else _ABSENT
        freed = section.freed.get(idnum)
        if freed is not None and generation == freed - 1:
            return None
        if section.hybrid is None:
            return _ABSENT
        section = section.hybrid.xref_data


def _historical_place(self: Any, ref: Any, revision: int) -> Any:
    return _historical(self, ref.idnum, ref.generation, revision)


def _historical(self: Any, idnum: int, generation: int, revision: int) -> Any:
    for section in reversed(self._xref_sections[: revision + 1]):
        found = _place(section.xref_data, idnum, generation)
        if found is not _ABSENT:
            return found
    return None


def _last_change(self: Any, ref: Any) -> int:
    idnum, generation = ref.idnum, ref.generation
    for number in range(len(self._xref_sections) - 1, -1, -1):
        if _place(self._xref_sections[number].xref_data, idnum, generation) is not _ABSENT:
            return number
    raise KeyError(ref)


def _table_entries(stream: IO[bytes], strict: bool) -> Iterator[Any]:
    """The entries of a table of one plain section, the stream then at its trailer; pyHanko reads all others."""
    found_in = memory(stream)
    entries = None
    if found_in is not None:
        data, base = found_in
        entries, end = _section(data, stream.tell() - base)
    if entries is None:
        unusual: Iterator[Any] = _parse_xref_table(_Lines(stream), strict)
        return unusual
    stream.seek(base + end)
    return iter(entries)


class _Lines:
    """The stream as pyHanko reads a table from it. Where the file ends in the middle of a line, it would look for the
    line's beginning for ever.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self.seek, self.tell = stream, stream.seek, stream.tell

    def read(self, size: int = -1) -> bytes:
        """As the stream's own; raises `PdfReadError` for less than a line."""
        found = self._stream.read(size)
        if size == _LINE and len(found) < size:
            raise PdfReadError("the file ends in a cross-reference table")
        return found


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


def install() -> None:
    """Let pyHanko use these."""
    cache: Any = xref.XRefCache
    cache.get_historical_ref, cache.get_last_change = _historical_place, _last_change
    xref.parse_xref_stream, xref.parse_xref_table = _xref_entries, _table_entries
    stream: Any = xref.XRefStream
    stream.write_to_stream = _write_stream
    section: Any = xref.XRefSectionData
    section.process_entries = _processed
    builder: Any = xref.XRefBuilder
    builder._read_xref_stream_object = _stream_object
