"""Reading and adding to PDF revisions: the few places where pyHanko's reader and writer are opened."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from io import BytesIO
from itertools import pairwise
from typing import Any, Final

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.diff_analysis import DEFAULT_DIFF_POLICY, ModificationLevel, SuspiciousModification
from pyhanko.sign.fields import MDPPerm, enumerate_sig_fields

from signing import parsing, xrefs
from signing.errors import FieldPlaceError, RevisionBroken
from signing.model import Revision
from signing.objects import pages
from signing.parts import Buffer, Parts, PartsFile, parts_of
from signing.plain import field_signed_in
from signing.xrefs import newest

__all__ = ["page_count", "revisions"]

_WHITESPACE: Final = b"\0\t\n\f\r "

parsing.install()
xrefs.install()
# pyHanko follows references by recursion, as along a long document's bookmarks; what is deeper still gets a verdict.
sys.setrecursionlimit(max(sys.getrecursionlimit(), 8_000))


class Increment(PartsFile):
    """The file that a writer adds a revision to: what was there is read where it is, what is new is kept apart."""

    def __init__(self, base: bytes | Parts) -> None:
        super().__init__(parts_of(base))
        self._base = self._at = len(base)
        self._new = bytearray()

    def __len__(self) -> int:
        return self._base + len(self._new)

    @property
    def added(self) -> bytes:
        """The bytes behind the revision that was there."""
        return bytes(self._new)

    def writable(self) -> bool:
        return True

    def _next(self, size: int) -> Buffer:
        at = self._at - self._base
        return self._new[at : at + size] if at >= 0 else super()._next(size)

    def write(self, data: Any) -> int:
        at = self._at - self._base
        if at < 0:
            raise ValueError("what was there is not written again")
        self._new[at : at + len(data)] = data
        self._at += len(data)
        return len(data)


class RevisionWriter(IncrementalPdfFileWriter):
    """Adds a revision with what it must hold and no more: document metadata stays as rendered."""

    def _write_header(self, stream: Any) -> None:
        """What was there, unless the stream has it: a copy of a large document takes as much memory again."""
        if isinstance(stream, Increment):
            stream.seek(0, os.SEEK_END)
        else:
            super()._write_header(stream)  # type: ignore[no-untyped-call]

    def _update_meta(self) -> None:
        """XMP says when the document was made; a signature carries its own, trusted time."""


class AnewWriter(RevisionWriter):
    """Writes the document as one revision, PDF 1.7. What nobody looked at is carried over as it stands in the file."""

    def __init__(self, reader: PdfFileReader) -> None:
        super().__init__(reader.stream, prev=reader)
        self.stream_xrefs = True

    def _write_header(self, stream: Any) -> None:
        stream.write(b"%PDF-1.7\n%\xc2\xa5\xc2\xb1\xc3\xab\n")

    def _populate_trailer(self, trailer: Any) -> None:
        super()._populate_trailer(trailer)  # type: ignore[no-untyped-call]
        del trailer["/Prev"]

    def _write_objects(self, stream: Any, object_position_dict: Any) -> None:
        # Only what the reader has read can have been changed.
        for key, item in self.prev.resolved_objects.items():
            self.objects.setdefault(key, item)
        for key, written in self._untouched():
            object_position_dict[key] = stream.tell()
            stream.write(written)
        super()._write_objects(stream, object_position_dict)

    def _untouched(self) -> Iterator[tuple[tuple[int, int], bytes]]:
        """Generation, number and bytes of each object that is carried over; others are put among those to write."""
        xrefs, document = self.prev.xrefs, self.prev.stream.getvalue()
        places: dict[tuple[int, int], int] = {}
        containers = {(item.generation, item.idnum) for item in xrefs.xref_stream_refs}
        compressed = []
        for (idnum, generation), place in newest(self.prev).items():
            if isinstance(place, int):
                places[generation, idnum] = place
            elif place is not None:
                compressed.append(generic.Reference(idnum, generation, self.prev))
                containers.add((0, place.obj_stream_id))
        starts = [xrefs.get_startxref_for_revision(number) for number in range(xrefs.total_revisions)]
        ends = dict(pairwise(sorted({*places.values(), *starts, len(document)})))
        for key in containers:
            places.pop(key, None)
            self.objects.pop(key, None)
        for item in compressed:
            self.objects.setdefault((item.generation, item.idnum), item.get_object())
        for (generation, idnum), place in sorted(places.items(), key=lambda item: item[1]):
            if (generation, idnum) in self.objects:
                continue
            written = document[place : ends.get(place)].rstrip(_WHITESPACE)
            if written.startswith(b"%d %d obj" % (idnum, generation)) and written.endswith(b"endobj"):
                yield (generation, idnum), written + b"\n"
            else:
                reference = generic.Reference(idnum, generation, self.prev)
                self.objects[generation, idnum] = reference.get_object()


def open_reader(document: bytes | Parts) -> PdfFileReader:
    """A strict reader. Raises `RevisionBroken` for bytes that are not a sound PDF.

    What pyHanko reads hangs together in circles, and is let go late: close `stream` to let go of the document.
    """
    with readable():
        return PdfFileReader(_file(document), strict=True)


def open_writer(revision: bytes | Parts) -> RevisionWriter:
    """A writer that adds one revision; its `input_stream` is to be closed, as above. Raises `RevisionBroken`."""
    with readable():
        return RevisionWriter(_file(revision), strict=True)


def _file(document: bytes | Parts) -> BytesIO | PartsFile:
    """Not a copy: a BytesIO shares its bytes until something is written to it."""
    parts = parts_of(document)
    return PartsFile(parts) if len(parts) > 1 else BytesIO(bytes(document))


@contextmanager
def readable() -> Iterator[None]:
    """Turns the many errors a damaged PDF gives into `RevisionBroken`."""
    try:
        yield
    # pyHanko documents PdfError, yet damaged files also give KeyError, ValueError and others, and
    # decimal.InvalidOperation of what begins like a number.
    except (
        PdfError,
        KeyError,
        ValueError,
        TypeError,
        IndexError,
        AttributeError,
        AssertionError,
        RecursionError,
        NotImplementedError,
        ArithmeticError,
    ) as error:
        raise RevisionBroken(
            f"the file cannot be read as a PDF ({type(error).__name__})",
            remedy="start from an undamaged revision",
        ) from error


def empty_signature_field(reader: Any, name: str) -> Any:
    """The field's reference. Raises `FieldPlaceError` when it is missing or signed."""
    for found, value, reference in enumerate_sig_fields(reader, with_name=name):
        if found == name:
            if value is not None:
                raise FieldPlaceError(f"the field {name} is signed already")
            return reference
    raise FieldPlaceError(
        f"the document has no signature field {name}", remedy="make the fields with place_fields"
    )


def revisions(document: bytes) -> tuple[Revision, ...]:
    """The revisions of a PDF, oldest first: each is the file's first `length` bytes.

    Raises `RevisionBroken` for bytes that are not a sound PDF.
    """
    reader = open_reader(document)
    with readable():
        found = []
        for number in range(reader.xrefs.total_revisions):
            length = end_of_revision(document, reader, number)
            digest = hashlib.sha256(memoryview(document)[:length]).hexdigest()
            found.append(Revision(number, length, digest))
        return tuple(found)


def page_count(document: bytes) -> int:
    """Number of pages as of the last revision. Raises `RevisionBroken` for bytes that are not a sound PDF."""
    reader = open_reader(document)
    with closing(reader.stream), readable():
        return sum(1 for _ in pages(reader.root))


def end_of_revision(document: bytes, reader: PdfFileReader, number: int) -> int:
    """How many bytes of the file make up revision `number` (from 0)."""
    start = reader.xrefs.get_startxref_for_revision(number)
    # The trailer of a revision ends with startxref, its offset and %%EOF (ISO 32000-1 7.5.5).
    marker = document.find(b"startxref", start)
    while marker >= 0:
        words = document[marker : marker + 64].split()
        if len(words) > 1 and words[1] == str(start).encode():
            end = document.index(b"%%EOF", marker) + len(b"%%EOF")
            for line_end in (b"\r\n", b"\n", b"\r"):
                if document[end : end + len(line_end)] == line_end:
                    return end + len(line_end)
            return end
        marker = document.find(b"startxref", marker + 1)
    raise ValueError(number)


def check_step(before: bytes | Parts, after: bytes | Parts, *, first: bool = False) -> None:
    """That `after` adds one revision to `before` and changes only what filling a form and validation material may.

    The first signature of a document has none before it that a change could touch. Raises `RevisionBroken`.
    """
    if len(after) <= len(before) or not _starts_with(after, before):
        raise RevisionBroken("the new revision does not start with the bytes of the one before it")
    if first:
        return
    reader = open_reader(after)
    with closing(reader.stream), readable():
        base = reader.xrefs.total_revisions - 2
        old, new = (reader.get_historical_resolver(number) for number in (base, base + 1))
        if field_signed_in(old, new) is not None:
            return
        outcome = DEFAULT_DIFF_POLICY.review_file(reader, base, doc_mdp=MDPPerm.FILL_FORMS)
    if isinstance(outcome, SuspiciousModification):
        raise RevisionBroken("the new revision changes what a signature may not") from outcome
    if outcome.modification_level > ModificationLevel.FORM_FILLING:
        raise RevisionBroken("the new revision changes more than form fields")


def _starts_with(after: bytes | Parts, before: bytes | Parts) -> bool:
    parts, old = parts_of(after), parts_of(before)
    if len(parts) > len(old) and all(one is other for one, other in zip(old, parts, strict=False)):
        return True
    return bytes(after).startswith(bytes(before))
