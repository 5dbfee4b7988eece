"""Reading and adding to PDF revisions: the few places where pyHanko's reader and writer are opened."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.diff_analysis import DEFAULT_DIFF_POLICY, ModificationLevel, SuspiciousModification
from pyhanko.sign.fields import MDPPerm, enumerate_sig_fields

from signing import parsing
from signing.errors import FieldPlaceError, RevisionBroken
from signing.model import Revision
from signing.plain import field_signed_in

__all__ = ["revisions"]

parsing.install()
# pyHanko follows references by recursion, as along a long document's bookmarks; what is deeper still gets a verdict.
sys.setrecursionlimit(max(sys.getrecursionlimit(), 8_000))


class RevisionWriter(IncrementalPdfFileWriter):
    """Adds a revision with what it must hold and no more: document metadata stays as rendered."""

    def _update_meta(self) -> None:
        """XMP says when the document was made; a signature carries its own, trusted time."""


def open_reader(document: bytes) -> PdfFileReader:
    """A strict reader. Raises `RevisionBroken` for bytes that are not a sound PDF."""
    with readable():
        return PdfFileReader(BytesIO(document), strict=True)


def open_writer(revision: bytes) -> RevisionWriter:
    """A writer that adds one revision. Raises `RevisionBroken` for bytes that are not a sound PDF."""
    with readable():
        return RevisionWriter(BytesIO(revision), strict=True)


@contextmanager
def readable() -> Iterator[None]:
    """Turns the many errors a damaged PDF gives into `RevisionBroken`."""
    try:
        yield
    # pyHanko documents PdfError, yet damaged files also give KeyError, ValueError, IndexError and AssertionError.
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
        OverflowError,
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


def check_step(before: bytes, after: bytes, *, first: bool = False) -> None:
    """That `after` adds one revision to `before` and changes only what filling a form and validation material may.

    The first signature of a document has none before it that a change could touch. Raises `RevisionBroken`.
    """
    if len(after) <= len(before) or not after.startswith(before):
        raise RevisionBroken("the new revision does not start with the bytes of the one before it")
    if first:
        return
    reader = open_reader(after)
    with readable():
        base = reader.xrefs.total_revisions - 2
        old, new = (reader.get_historical_resolver(number) for number in (base, base + 1))
        if field_signed_in(old, new) is not None:
            return
        outcome = DEFAULT_DIFF_POLICY.review_file(reader, base, doc_mdp=MDPPerm.FILL_FORMS)
    if isinstance(outcome, SuspiciousModification):
        raise RevisionBroken("the new revision changes what a signature may not") from outcome
    if outcome.modification_level > ModificationLevel.FORM_FILLING:
        raise RevisionBroken("the new revision changes more than form fields")
