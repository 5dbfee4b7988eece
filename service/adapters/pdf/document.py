"""A PDF in memory that is changed in place and written again as one revision.

pypdf's own writer first copies every object, which takes three times as long as all else that is done to a document.
Here an object that nobody has looked at is written as it stands in the file: most are structure and its attributes,
of which nothing changes, and reading them was the half of what is done.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Mapping
from itertools import pairwise

from pypdf import PdfReader
from pypdf.generic import (
    ArrayObject,
    ByteStringObject,
    DictionaryObject,
    IndirectObject,
    NameObject,
    PdfObject,
)

from service.adapters.pdf.reader import Reader

__all__ = ["Document"]

_HEADER = (
    b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"  # what ISO 19005-2 builds on; the second line says that it is binary
)
_PLACEHOLDER_ID = bytes(range(0xF0, 0x100))
_OF_THE_FILE = frozenset({"/XRef", "/ObjStm"})
_BEGINS = re.compile(rb"\s*(\d+) (\d+) obj\s*")
_ENDS = b"endobj"
_LENGTH = re.compile(rb"/Length (\d+) (\d+) R")
_HEAD = 1024
"""Bytes of an object within which LibreOffice says how long its stream is."""


class Document:
    """The objects of a PDF. Raises pypdf's and Python's own errors for what is no sound PDF."""

    def __init__(self, pdf: bytes) -> None:
        self.reader = Reader(pdf)
        self._changed: dict[tuple[int, int], PdfObject] = {}
        self._as_written = _as_written(pdf, self.reader)
        numbers = {(idnum, generation) for generation, found in self.reader.xref.items() for idnum in found}
        numbers |= {(idnum, 0) for idnum in self.reader.xref_objStm}
        self._keys = {key for key in numbers if key in self._as_written or self._is_content(key)}

    def _is_content(self, key: tuple[int, int]) -> bool:
        item = self._item(key)
        kind = item.get("/Type") if isinstance(item, DictionaryObject) else None
        return item is not None and kind not in _OF_THE_FILE

    def _item(self, key: tuple[int, int]) -> PdfObject | None:
        return self.reader.get_object(IndirectObject(*key, self.reader))

    @property
    def root(self) -> DictionaryObject:
        return self.reader.root_object

    def of_type(self, name: str) -> list[DictionaryObject]:
        """The dictionaries and streams of this /Type, in no order."""
        # A name may also be written with #xx; where there is such a one, the object is looked at.
        written, found = name.encode(), []
        for key in self._keys:
            raw = self._as_written.get(key)
            if raw is not None and key not in self._changed and written not in raw and b"#" not in raw:
                continue
            item = self._item(key)
            if isinstance(item, DictionaryObject) and item.get("/Type") == name:
                found.append(item)
        return found

    @property
    def as_written(self) -> Mapping[tuple[int, int], bytes]:
        """The bytes of objects, by number and generation; not of those that are new or of another kind of file."""
        return {key: raw for key, raw in self._as_written.items() if key not in self._changed}

    def pages(self) -> list[DictionaryObject]:
        """The pages' own dictionaries, in no order."""
        return self.of_type("/Page")

    def add(self, item: PdfObject) -> IndirectObject:
        """A reference to a new object."""
        key = max(idnum for idnum, _ in self._keys) + 1, 0
        self._put(key, item)
        return IndirectObject(*key, self.reader)

    def replace(self, holder: DictionaryObject, name: str, item: PdfObject) -> None:
        """Let the entry point to `item`, in the place of the object that it points to now."""
        old = holder.raw_get(name) if name in holder else None
        if isinstance(old, IndirectObject):
            self._put((old.idnum, old.generation), item)
        else:
            holder[NameObject(name)] = self.add(item)

    def _put(self, key: tuple[int, int], item: PdfObject) -> None:
        self._keys.add(key)
        self._changed[key] = item
        idnum, generation = key
        self.reader.resolved_objects[generation, idnum] = item

    def write(self, information: DictionaryObject) -> bytes:
        """The file, with an identifier that is the hash of everything else in it (ISO 32000-1 14.4)."""
        trailer = DictionaryObject()
        trailer[NameObject("/Root")] = self.reader.trailer.raw_get("/Root")
        previous = self.reader.trailer.raw_get("/Info") if "/Info" in self.reader.trailer else None
        if isinstance(previous, IndirectObject):
            self._put((previous.idnum, previous.generation), information)
            trailer[NameObject("/Info")] = previous
        else:
            trailer[NameObject("/Info")] = self.add(information)
        placeholder = ByteStringObject(_PLACEHOLDER_ID)
        trailer[NameObject("/ID")] = ArrayObject([placeholder, placeholder])
        out = io.BytesIO()
        out.write(_HEADER)
        places: dict[int, tuple[int, int]] = {}
        for idnum, generation in sorted(self._keys - self._old_lengths()):
            places[idnum] = out.tell(), generation
            out.write(b"%d %d obj\n" % (idnum, generation))
            self._write_object(out, (idnum, generation))
            out.write(b"\nendobj\n")
        start = out.tell()
        self._write_table(out, places)
        body = out.getvalue()
        end = self._trailer(trailer, max(places) + 1, start)
        identifier = hashlib.sha256(body + end).digest()[: len(_PLACEHOLDER_ID)]
        return body + end.replace(_PLACEHOLDER_ID.hex().encode(), identifier.hex().encode())

    def _old_lengths(self) -> set[tuple[int, int]]:
        """Objects that only said how long a stream is, of streams that are written anew with their own length.

        LibreOffice's lengths are of what it packed, a time among it: the same document would not be the same bytes.
        """
        needed: dict[bool, set[tuple[int, int]]] = {True: set(), False: set()}
        for (idnum, generation), raw in self._as_written.items():
            if length := _LENGTH.search(raw[:_HEAD]):
                anew = (generation, idnum) in self.reader.resolved_objects
                needed[anew].add((int(length[1]), int(length[2])))
        return {key for key in needed[True] - needed[False] if self._as_written.get(key, b"").isdigit()}

    def _write_object(self, out: io.BytesIO, key: tuple[int, int]) -> None:
        idnum, generation = key
        known = self.reader.resolved_objects.get((generation, idnum))
        if known is None and key in self._as_written:
            out.write(self._as_written[key])
        else:
            item = known if known is not None else self._item(key)
            assert item is not None
            item.write_to_stream(out)

    @staticmethod
    def _write_table(out: io.BytesIO, places: dict[int, tuple[int, int]]) -> None:
        """The cross-reference table (ISO 32000-1 7.5.4); numbers that are not used are free."""
        size = max(places) + 1
        out.write(b"xref\n0 %d\n" % size)
        free = [idnum for idnum in range(size) if idnum not in places]
        following = dict(zip(free, [*free[1:], 0], strict=True))
        for idnum in range(size):
            if idnum in places:
                out.write(b"%010d %05d n \n" % places[idnum])
            else:
                out.write(b"%010d %05d f \n" % (following[idnum], 65535))

    @staticmethod
    def _trailer(trailer: DictionaryObject, size: int, start: int) -> bytes:
        out = io.BytesIO()
        trailer.write_to_stream(out)
        entries = out.getvalue().rstrip().removesuffix(b">>")
        return b"trailer\n%s/Size %d\n>>\nstartxref\n%d\n%%%%EOF\n" % (entries, size, start)


def _as_written(pdf: bytes, reader: PdfReader) -> dict[tuple[int, int], bytes]:
    """What stands between `obj` and `endobj` where all objects stand in one plain row, as LibreOffice writes them.

    Nothing of another file: between two objects there could be one that a later revision has replaced.
    """
    if reader.xref_objStm or "/Prev" in reader.trailer or "/XRefStm" in reader.trailer or reader.is_encrypted:
        return {}
    places = sorted(
        (offset, idnum, generation)
        for generation, found in reader.xref.items()
        for idnum, offset in found.items()
    )
    table = pdf.rfind(b"xref", 0, pdf.rfind(b"startxref"))
    found = {}
    for (offset, idnum, generation), (end, _, _) in pairwise([*places, (table, 0, 0)]):
        begins, ends = _BEGINS.match(pdf, offset, end), pdf.rfind(_ENDS, offset, end)
        if not begins or (int(begins[1]), int(begins[2])) != (idnum, generation):
            return {}
        if pdf[ends:end].strip() != _ENDS or pdf.find(_ENDS, offset) != ends:
            return {}
        found[idnum, generation] = pdf[begins.end() : ends].rstrip()
    return found
