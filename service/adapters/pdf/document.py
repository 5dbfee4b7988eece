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
_TYPE_FIRST = re.compile(rb"<</Type(/[A-Za-z0-9]+)[\s/>]")
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
        written, found = name.encode(), []
        for key in self._keys:
            raw = self._as_written.get(key)
            if raw is not None and key not in self._changed and not _may_be(written, raw):
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
        parts, start = [_HEADER], len(_HEADER)
        places: dict[int, tuple[int, int]] = {}
        for idnum, generation in sorted(self._keys - self._old_lengths()):
            places[idnum] = start, generation
            item = b"%d %d obj\n%b\nendobj\n" % (idnum, generation, self._written(idnum, generation))
            parts.append(item)
            start += len(item)
        body = b"".join([*parts, _table(places)])
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

    def _written(self, idnum: int, generation: int) -> bytes:
        item = self.reader.resolved_objects.get((generation, idnum))
        if item is None:
            raw = self._as_written.get((idnum, generation))
            if raw is not None:
                return raw
            item = self._item((idnum, generation))
            assert item is not None
        out = io.BytesIO()
        item.write_to_stream(out)
        return out.getvalue()

    @staticmethod
    def _trailer(trailer: DictionaryObject, size: int, start: int) -> bytes:
        out = io.BytesIO()
        trailer.write_to_stream(out)
        entries = out.getvalue().rstrip().removesuffix(b">>")
        return b"trailer\n%s/Size %d\n>>\nstartxref\n%d\n%%%%EOF\n" % (entries, size, start)


def _may_be(kind: bytes, raw: bytes) -> bool:
    """Whether an object of these bytes may have this /Type, which is the first entry where LibreOffice writes one.

    A name may also be written with #xx; where there is such a one in another object, it is looked at.
    """
    if first := _TYPE_FIRST.match(raw):
        return first[1] == kind
    return kind in raw or b"#" in raw


def _table(places: Mapping[int, tuple[int, int]]) -> bytes:
    """The cross-reference table (ISO 32000-1 7.5.4) of places and generations; numbers that are not used are free."""
    size = max(places) + 1
    free = [idnum for idnum in range(size) if idnum not in places]
    following = dict(zip(free, [*free[1:], 0], strict=True))
    lines = [
        b"%010d %05d n \n" % places[idnum] if idnum in places else b"%010d 65535 f \n" % following[idnum]
        for idnum in range(size)
    ]
    return b"xref\n0 %d\n%b" % (size, b"".join(lines))


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
        begins, ends = _BEGINS.match(pdf, offset, end), pdf.find(_ENDS, offset, end)
        if not begins or (int(begins[1]), int(begins[2])) != (idnum, generation):
            return {}
        if pdf[ends:end].strip() != _ENDS:
            return {}
        found[idnum, generation] = pdf[begins.end() : ends].rstrip()
    return found
