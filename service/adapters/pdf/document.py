"""A PDF in memory that is changed in place and written again as one revision.

pypdf's own writer first copies every object, which takes three times as long as all else that is done to a document.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator

from pypdf import PdfReader
from pypdf.generic import (
    ArrayObject,
    ByteStringObject,
    DictionaryObject,
    IndirectObject,
    NameObject,
    PdfObject,
)

__all__ = ["Document"]

_HEADER = (
    b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"  # what ISO 19005-2 builds on; the second line says that it is binary
)
_PLACEHOLDER_ID = bytes(range(0xF0, 0x100))
_OF_THE_FILE = frozenset({"/XRef", "/ObjStm"})


class Document:
    """The objects of a PDF. Raises pypdf's and Python's own errors for what is no sound PDF."""

    def __init__(self, pdf: bytes) -> None:
        self.reader = PdfReader(io.BytesIO(pdf))
        self._objects: dict[tuple[int, int], PdfObject] = {}
        numbers = {(idnum, generation) for generation, found in self.reader.xref.items() for idnum in found}
        numbers |= {(idnum, 0) for idnum in self.reader.xref_objStm}
        for idnum, generation in sorted(numbers):
            item = self.reader.get_object(IndirectObject(idnum, generation, self.reader))
            kind = item.get("/Type") if isinstance(item, DictionaryObject) else None
            if item is not None and kind not in _OF_THE_FILE:
                self._objects[idnum, generation] = item

    @property
    def root(self) -> DictionaryObject:
        return self.reader.root_object

    @property
    def objects(self) -> list[PdfObject]:
        return list(self._objects.values())

    def pages(self) -> Iterator[DictionaryObject]:
        """The pages' own dictionaries, in no order."""
        for item in self._objects.values():
            if isinstance(item, DictionaryObject) and item.get("/Type") == "/Page":
                yield item

    def add(self, item: PdfObject) -> IndirectObject:
        """A reference to a new object."""
        key = max(idnum for idnum, _ in self._objects) + 1, 0
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
        self._objects[key] = item
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
        for (idnum, generation), item in sorted(self._objects.items(), key=lambda each: each[0]):
            places[idnum] = out.tell(), generation
            out.write(b"%d %d obj\n" % (idnum, generation))
            item.write_to_stream(out)
            out.write(b"\nendobj\n")
        start = out.tell()
        self._write_table(out, places)
        body = out.getvalue()
        end = self._trailer(trailer, max(places) + 1, start)
        identifier = hashlib.sha256(body + end).digest()[: len(_PLACEHOLDER_ID)]
        return body + end.replace(_PLACEHOLDER_ID.hex().encode(), identifier.hex().encode())

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
