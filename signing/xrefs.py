"""Where the objects of a PDF are (ISO 32000-1 7.5.4, 7.5.8): its cross-references, read at once and looked up plainly.

What is unusual is left to pyHanko's own functions, so what is accepted stays the same (`signing.parsing`).
"""

from __future__ import annotations

import os
from typing import Any, Final

from pyhanko.pdf_utils import generic, xref
from pyhanko.pdf_utils.decode_limits import DecodePurpose
from pyhanko.pdf_utils.reader import PdfFileReader

from signing.kept import Kept

__all__ = ["install", "listed"]

_TABLES: Final = 64
_TABLES_BYTES: Final = 256 * 1024

_parse_xref_stream: Final[Any] = xref.parse_xref_stream
_process_entries: Final[Any] = xref.XRefSectionData.process_entries
_read_stream_object: Final[Any] = xref.XRefBuilder._read_xref_stream_object


def listed(reader: PdfFileReader, revision: int) -> dict[tuple[int, int], Any]:
    """By number and generation: where each object is that a revision's own cross-reference lists; None if freed."""
    section = reader.xrefs.get_xref_data(revision)
    keys = section.explicit_refs_in_revision
    if section.hybrid is not None:
        keys = keys | section.hybrid.xref_data.explicit_refs_in_revision
    places = {key: _place(section, *key) for key in keys}
    for key, place in places.items():
        if place is _ABSENT:  # listed twice, with another generation
            places[key] = _historical(reader.xrefs, *key, revision)
    return places


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


def install() -> None:
    """Let pyHanko use these."""
    cache: Any = xref.XRefCache
    cache.get_historical_ref, cache.get_last_change = _historical_place, _last_change
    xref.parse_xref_stream = _xref_entries
    section: Any = xref.XRefSectionData
    section.process_entries = _processed
    builder: Any = xref.XRefBuilder
    builder._read_xref_stream_object = _stream_object
