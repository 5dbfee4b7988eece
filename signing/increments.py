"""What a later revision may not do, although ISO 32000-1 12.8.2.2 and the difference analysis let it.

Bytes that no cross-reference names, objects that an earlier revision pointed to before they were there, values and
defaults of forms that were there when others signed, and metadata that says something else than before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import BytesIO
from typing import Any, Final

from lxml import etree
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.misc import read_non_whitespace
from pyhanko.pdf_utils.reader import HistoricalResolver, PdfFileReader
from pyhanko.pdf_utils.xref import read_object_header

from signing.model import Modification
from signing.objects import form_fields, look_up, references, write, written
from signing.outline import references_of
from signing.xrefs import places_of

__all__ = ["Survey", "review_step"]

_SPACE: Final = re.compile(rb"(?:[\0\t\n\f\r ]+|%(?!%EOF)[^\r\n]*)*")
_TABLE: Final = re.compile(rb"xref\s+(?:\d+ \d+\s+(?:\d{10} \d{5} [nf]\s+)*)+trailer")
_END: Final = re.compile(rb"startxref\s+\d+\s+%%EOF\s*\Z")
# What every program that saves may set anew; it says nothing about the document's content.
_INFO_OF_SAVING: Final = frozenset({"/ModDate", "/Producer", "/Creator"})
_XMP_OF_SAVING: Final = frozenset(
    {"ModifyDate", "MetadataDate", "Producer", "CreatorTool", "InstanceID", "History", "xmptk", "about"}
)


def review_step(
    document: bytes,
    span: tuple[int, int],
    old: HistoricalResolver,
    new: HistoricalResolver,
    *,
    after: str,
) -> Iterator[Modification]:
    """What the step from `old` to `new`, the file's bytes of `span`, does that it may not."""

    def found(code: str, text: str, field: str | None = None) -> Modification:
        return Modification(code, text, False, after, field=field)

    if _has_unlisted_bytes(document, span, new):
        yield found("bytes-hidden", "Det ligger noe i filen som dokumentet ikke viser til.")
    if _metadata_differs(old, new):
        yield found("metadata-changed", "Dokumentets metadata er endret.")
    if written(old.root, "/MarkInfo") != written(new.root, "/MarkInfo"):
        yield found("structure-changed", "Dokumentets struktur er endret.")
    if _form_defaults_differ(old, new):
        yield found("form-changed", "Det er endret hvordan skjemafelt vises.")
    for name, code in _changed_fields(old, new):
        text = (
            f"Verdien i feltet {name} er endret."
            if code == "field-changed"
            else f"Feltet {name} viser noe annet enn før."
        )
        yield found(code, text, name)


# Bytes


def _has_unlisted_bytes(document: bytes, span: tuple[int, int], new: HistoricalResolver) -> bool:
    """Whether anything but the objects of the revision's cross-reference, and that itself, lies in its part."""
    xrefs = new.reader.xrefs
    places = {
        place: (reference.idnum, reference.generation)
        for reference in new.explicit_refs_in_revision()
        if isinstance(place := xrefs.get_historical_ref(reference, new.revision), int)
    }
    stream_reference = xrefs.get_xref_container_info(new.revision).stream_ref
    if stream_reference is not None:
        startxref = xrefs.get_startxref_for_revision(new.revision)
        places[startxref] = (stream_reference.idnum, stream_reference.generation)
    at, end = span
    # A part of the file, so that what is read can never reach beyond it.
    stream = BytesIO(document[at:end])
    seen = set()
    while True:
        match = _SPACE.match(document, at, end)
        at = match.end() if match else at
        if at in places:
            stream.seek(at - span[0])
            if read_object_header(stream, strict=True) != places[at]:
                return True
            seen.add(at)
            # pyHanko's reader of streams asks the handler only for a /Length that is a reference.
            generic.read_object(stream, generic.Reference(*places[at], new))
            read_non_whitespace(stream, seek_back=True)
            if stream.read(6) != b"endobj":
                return True
            at = span[0] + stream.tell()
        elif (table := _TABLE.match(document, at, end)) is not None:
            stream.seek(table.end() - span[0])
            read_non_whitespace(stream, seek_back=True)
            generic.read_object(stream, generic.Reference(0, 0, new))
            at = span[0] + stream.tell()
            match = _SPACE.match(document, at, end)
            at = match.end() if match else at
            break
        else:
            break
    return seen != set(places) or _END.match(document[at:end]) is None


class Survey:
    """What the revisions of a document refer to. Each object is read once.

    `filled`: object numbers, by revision after `first`, that revisions before pointed to when nothing was there yet:
    such an object needs no change of what is signed to be shown.
    """

    def __init__(self, reader: PdfFileReader, first: int) -> None:
        mentioned: set[tuple[int, int]] = set()
        known: set[tuple[int, int]] = set()
        self.filled: dict[int, set[int]] = {}
        self._mentions: list[tuple[tuple[int, int], list[tuple[int, int]]]] = []
        for number in range(reader.xrefs.total_revisions):
            resolver = reader.get_historical_resolver(number)
            touched = places_of(reader, number)
            late = {key[0] for key in touched if key in mentioned and key not in known}
            if late and number > first:
                self.filled[number] = late
            for key, place in touched.items():
                found = references_of(reader, key, place, number)
                self._mentions.append((key, found))
                mentioned.update(found)
            mentioned.update(references(resolver.trailer_view))
            known |= touched.keys()

    def is_used_once(self, field: generic.Reference, resolver: HistoricalResolver) -> bool:
        """Whether a field is in the form, on one page at most, and otherwise in the structure tree alone."""
        form = look_up(resolver.root, "/AcroForm", generic.DictionaryObject())
        in_form = {(resolver.root_ref.idnum, resolver.root_ref.generation)}
        for node, key in ((resolver.root, "/AcroForm"), (form, "/Fields")):
            raw = node.raw_get(key) if key in node else None
            if isinstance(raw, generic.IndirectObject):
                in_form.add((raw.idnum, raw.generation))
        wanted = (field.idnum, field.generation)
        elsewhere = {key for key, mentioned in self._mentions if wanted in mentioned} - in_form
        on_pages = 0
        for number, generation in elsewhere:
            holder = resolver(generic.Reference(number, generation, resolver))
            if not isinstance(holder, generic.DictionaryObject):
                on_pages += isinstance(holder, generic.ArrayObject)
            elif "/Annots" in holder:
                on_pages += 1
            elif look_up(holder, "/Type") != "/OBJR" and not ("/S" in holder and "/P" in holder):
                return False
        return on_pages <= 1


# Metadata


def _metadata_differs(old: HistoricalResolver, new: HistoricalResolver) -> bool:
    """Dates and the name of the program may be set by whoever adds a signature or evidence."""
    before, after = _information(old), _information(new)
    # Without /Info most readers take the one of an earlier revision.
    return bool(after and before != after) or _statements(old) != _statements(new)


def _information(resolver: HistoricalResolver) -> dict[str, Any]:
    trailer = resolver.trailer_view
    if "/Info" not in trailer:
        return {}
    # Not by trailer["/Info"]: pyHanko then gives the one of the newest revision.
    raw = trailer.raw_get("/Info")
    information: Any = resolver(raw.reference) if isinstance(raw, generic.IndirectObject) else raw
    return {key: information.raw_get(key) for key in information if key not in _INFO_OF_SAVING}


def _statements(resolver: HistoricalResolver) -> set[tuple[str, str]] | bytes | None:
    """The XMP's properties and values, whether written as elements or attributes; its bytes where it is no XML."""
    root = resolver.root
    if "/Metadata" not in root:
        return None
    # Not by root["/Metadata"]: pyHanko then keeps an object that cannot be looked at in other revisions.
    data: bytes = resolver(root.raw_get("/Metadata").reference).data
    try:
        parsed = etree.fromstring(data, etree.XMLParser(resolve_entities=False, no_network=True))
    except etree.XMLSyntaxError:
        return data
    found: set[tuple[str, str]] = set()
    waiting: list[Any] = [parsed]
    while waiting:
        node = waiting.pop()
        if not isinstance(node.tag, str) or etree.QName(node).localname in _XMP_OF_SAVING:
            continue
        found.update(
            (str(name), str(value).strip())
            for name, value in node.attrib.items()
            if etree.QName(name).localname not in _XMP_OF_SAVING
        )
        if text := (node.text or "").strip():
            found.add((node.tag, text))
        waiting.extend(node)
    return found


# Forms


def _form_defaults_differ(old: HistoricalResolver, new: HistoricalResolver) -> bool:
    """Fonts and defaults that viewers make appearances with. Fonts may be added, as programs do, none changed."""
    before, after = (
        each.root["/AcroForm"] if "/AcroForm" in each.root else generic.DictionaryObject()
        for each in (old, new)
    )
    if any(written(before, key) != written(after, key) for key in ("/DA", "/Q")):
        return True
    if bool(look_up(after, "/NeedAppearances")) and not bool(look_up(before, "/NeedAppearances")):
        return True
    resources, others = (
        each["/DR"] if "/DR" in each else generic.DictionaryObject() for each in (before, after)
    )
    for kind in resources:
        was, now = resources[kind], look_up(others, kind)
        if not isinstance(was, generic.DictionaryObject):
            if now is None or write(was) != write(now):
                return True
        elif not isinstance(now, generic.DictionaryObject) or any(
            written(was, name) != written(now, name) for name in was
        ):
            return True
    return False


def _changed_fields(old: HistoricalResolver, new: HistoricalResolver) -> Iterator[tuple[str, str]]:
    """Fields that had a value and have another, or show another; a field that was empty may be filled in."""
    before, touched = form_fields(old), {item.idnum for item in new.explicit_refs_in_revision()}
    for name, field in form_fields(new).items():
        was = before.get(name)
        if was is None or look_up(field, "/FT") == "/Sig" or look_up(was, "/FT") == "/Sig":
            continue
        value, now = _value(was), _value(field)
        if value != now:
            if value:
                yield name, "field-changed"
        elif any(written(was, key) != written(field, key) for key in ("/AP", "/AS")) or (
            "/AP" in field and any(number in touched for number, _ in references(field["/AP"]))
        ):
            yield name, "field-appearance-changed"


def _value(field: Any) -> bytes:
    """The field's value; empty where nothing was filled in."""
    if "/V" not in field:
        return b""
    value = field["/V"]
    if isinstance(value, generic.NullObject) or value in ("", "/Off"):
        return b""
    return write(value)
