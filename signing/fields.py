"""Signature fields made from the places a template's author marked with hyperlinks.

LibreOffice writes a hyperlink as a link annotation with rectangle, page, structure element and parent tree entry.
That annotation becomes the field's widget. All fields are made at once, before the first signature: a field added or
re-tagged later would count as a change of a certified document.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Any, Final

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.generic import pdf_name, pdf_string
from pyhanko.sign.signers.constants import ESIC_EXTENSION_1

from signing.errors import FieldPlaceError
from signing.model import FieldPlace
from signing.pdf import AnewWriter, open_reader, readable

__all__ = ["place_fields"]

_PRINT_LOCKED: Final = 4 + 128  # /F: print (PDF/A requires it), locked
_APPEND_ONLY: Final = 3  # /SigFlags: has signature fields, and is to be saved by appending only
_OUTSIDE: Final = -9999  # outside every crop box: PDF/UA-1 7.18.1 exempts such an annotation from tagging


def place_fields(pdf: bytes, places: Sequence[FieldPlace]) -> bytes:
    """The document with all its signature fields, as one clean revision.

    A place with a link takes over that link annotation (ISO 32000-1 12.5.6.5 → 12.5.6.19), its structure element
    becomes a `Span` around the text, and the widget gets a `Form` element of its own. Raises `FieldPlaceError` when a
    link is missing, occurs twice, or its field would not fit the page; `RevisionBroken` when the PDF is damaged.
    """
    links = [place.link for place in places if place.link is not None]
    if len(set(links)) < len(links):
        raise FieldPlaceError("two fields have the same link for their place")
    names = [place.name for place in places]
    for name in names:
        if names.count(name) > 1:
            raise FieldPlaceError(f"two places are for the same field {name}")
        if not name or "." in name:
            raise FieldPlaceError(f"a field name may not be empty or hold a full stop: {name!r}")
    reader = open_reader(pdf)
    with readable():
        if "/AcroForm" in reader.root and len(_get(reader.root["/AcroForm"], "/Fields", ())):
            raise FieldPlaceError("the document has form fields already", remedy="place all fields at once")
        writer = AnewWriter(reader)
        writer._document_id = _document_id(reader, pdf, places)
        fields = _Fields(writer)
        for place in places:
            if place.link is None:
                fields.add_invisible(place)
            else:
                fields.add_visible(place, place.link)
        fields.finish()
        output = BytesIO()
        writer.write(output)  # type: ignore[no-untyped-call]
        return output.getvalue()


def _document_id(reader: Any, pdf: bytes, places: Sequence[FieldPlace]) -> generic.ArrayObject:
    """The permanent part as it was, the changing part out of what goes in: same input, same bytes."""
    changing = generic.ByteStringObject(hashlib.sha256(pdf + repr(tuple(places)).encode()).digest()[:16])
    permanent = changing
    if "/ID" in reader.trailer:
        permanent = generic.ByteStringObject(reader.trailer["/ID"][0].original_bytes)
    return generic.ArrayObject([permanent, changing])


class _Fields:
    """The form being built."""

    def __init__(self, writer: AnewWriter) -> None:
        self.writer = writer
        self.references = generic.ArrayObject()
        self.pages = list(_pages(writer.root["/Pages"], writer.root.get_value_as_reference("/Pages")))
        self.links: dict[str, list[tuple[Any, Any]]] = {}
        for page_reference, page in self.pages:
            for entry in _get(page, "/Annots", ()):
                annotation = entry.get_object()
                action = _get(annotation, "/A", {})
                if _get(annotation, "/Subtype") == "/Link" and "/URI" in action:
                    self.links.setdefault(str(action["/URI"]), []).append((page_reference, entry))
        self.blank = writer.add_object(
            generic.StreamObject(
                {
                    pdf_name("/Type"): pdf_name("/XObject"),
                    pdf_name("/Subtype"): pdf_name("/Form"),
                    pdf_name("/BBox"): _numbers(0, 0, 1, 1),
                    pdf_name("/Resources"): generic.DictionaryObject(),
                },
                stream_data=b"",
            )
        )

    def add_invisible(self, place: FieldPlace) -> None:
        """A field without size outside the page, on the first page."""
        page_reference, page = self.pages[0]
        reference = self.writer.add_object(
            generic.DictionaryObject(
                {
                    pdf_name("/Type"): pdf_name("/Annot"),
                    pdf_name("/Subtype"): pdf_name("/Widget"),
                    pdf_name("/FT"): pdf_name("/Sig"),
                    pdf_name("/T"): pdf_string(place.name),
                    pdf_name("/TU"): pdf_string(place.tooltip),
                    pdf_name("/F"): generic.NumberObject(_PRINT_LOCKED),
                    pdf_name("/Rect"): _numbers(*[_OUTSIDE] * 4),
                    pdf_name("/P"): _reference(page_reference, self.writer),
                }
            )
        )
        if "/Annots" not in page:
            page[pdf_name("/Annots")] = generic.ArrayObject()
        page["/Annots"].append(reference)
        self.references.append(reference)

    def add_visible(self, place: FieldPlace, link: str) -> None:
        """A field where the link annotation is."""
        found = self.links.get(link, [])
        if len(found) != 1:
            how = "is missing" if not found else f"occurs {len(found)} times"
            raise FieldPlaceError(
                f"the link that marks the place of field {place.name} {how}: {link}",
                remedy="mark the place with one short hyperlink in the template, in the character style Hyperlink",
            )
        page_reference, annotation_reference = found[0]
        annotation = annotation_reference.get_object()
        rectangle = self._rectangle(place, page_reference.get_object(), annotation)
        text_element, key = self._structure(annotation, place)
        for name in list(annotation):
            if name not in ("/Type", "/StructParent"):
                del annotation[name]
        annotation.update(
            {
                pdf_name("/Type"): pdf_name("/Annot"),
                pdf_name("/Subtype"): pdf_name("/Widget"),
                pdf_name("/FT"): pdf_name("/Sig"),
                pdf_name("/T"): pdf_string(place.name),
                pdf_name("/TU"): pdf_string(place.tooltip),
                pdf_name("/F"): generic.NumberObject(_PRINT_LOCKED),
                pdf_name("/Rect"): rectangle,
                pdf_name("/P"): _reference(page_reference, self.writer),
                # PDF/A-2 6.3.3: a widget with an extent has an appearance, also before it is signed.
                pdf_name("/AP"): generic.DictionaryObject({pdf_name("/N"): self.blank}),
            }
        )
        if text_element is not None:
            self._retag(text_element, key, annotation_reference, page_reference, place)
        self.references.append(annotation_reference)

    def finish(self) -> None:
        """Write the form into the catalogue, and what makes the document PAdES from the start."""
        for _, page in self.pages:
            if "/Annots" in page:
                # PDF/UA-1 7.18.3: the tab order follows the structure. LibreOffice 7.4 writes a string here.
                page[pdf_name("/Tabs")] = pdf_name("/S")
        root = self.writer.root
        root[pdf_name("/AcroForm")] = self.writer.add_object(
            generic.DictionaryObject(
                {
                    pdf_name("/Fields"): self.references,
                    pdf_name("/SigFlags"): generic.NumberObject(_APPEND_ONLY),
                }
            )
        )
        self.writer.register_extension(ESIC_EXTENSION_1)

    @staticmethod
    def _rectangle(place: FieldPlace, page: Any, annotation: Any) -> generic.ArrayObject:
        if place.width <= 0 or place.height <= 0:
            raise FieldPlaceError(f"the field {place.name} has no size")
        x1, y1, x2, y2 = (float(value) for value in annotation["/Rect"])
        left, top = min(x1, x2), max(y1, y2)
        right, bottom = left + place.width, top - place.height
        box = [float(value) for value in _inherited(page, "/CropBox", "/MediaBox")]
        if left < box[0] or bottom < box[1] or right > box[2] or top > box[3]:
            raise FieldPlaceError(
                f"the field {place.name} reaches outside the page",
                remedy="make the field smaller, or leave room for it in the template",
            )
        return _numbers(left, bottom, right, top)

    def _structure(self, annotation: Any, place: FieldPlace) -> tuple[Any, int]:
        """The structure element of the link, by its /StructParent, and that key; (None, -1) when untagged."""
        tree = _get(self.writer.root, "/StructTreeRoot")
        if tree is None or "/StructParent" not in annotation:
            if tree is not None:
                raise FieldPlaceError(f"the link of field {place.name} is not tagged, though the document is")
            return None, -1
        key = int(annotation["/StructParent"])
        for _, _, element in _number_tree(tree["/ParentTree"], key):
            return element.get_object(), key
        raise FieldPlaceError(f"the link of field {place.name} is missing in the document's parent tree")

    def _retag(self, text: Any, key: int, annotation: Any, page: Any, place: FieldPlace) -> None:
        """Leave the text its element without the link; give the widget an element `Form` after it.

        Its /K is the object reference itself, not an array: inside an array the difference analysis would take
        every later signature for a change of the structure.
        """
        writer = self.writer
        kids = _get(text, "/K")
        remaining = [
            kid
            for kid in (kids if isinstance(kids, generic.ArrayObject) else [text.raw_get("/K")])
            if not _is_object_reference(kid)
        ]
        text[pdf_name("/K")] = generic.ArrayObject(remaining)
        text[pdf_name("/S")] = pdf_name("/Span")
        parent_reference = text.raw_get("/P")
        parent = parent_reference.get_object()
        form = writer.add_object(
            generic.DictionaryObject(
                {
                    pdf_name("/Type"): pdf_name("/StructElem"),
                    pdf_name("/S"): pdf_name("/Form"),
                    pdf_name("/P"): parent_reference,
                    pdf_name("/Pg"): _reference(page, writer),
                    pdf_name("/Alt"): pdf_string(place.tooltip),
                    pdf_name("/K"): generic.DictionaryObject(
                        {
                            pdf_name("/Type"): pdf_name("/OBJR"),
                            pdf_name("/Obj"): annotation,
                            pdf_name("/Pg"): _reference(page, writer),
                        }
                    ),
                }
            )
        )
        siblings = _get(parent, "/K")
        if not isinstance(siblings, generic.ArrayObject):
            siblings = parent[pdf_name("/K")] = generic.ArrayObject([parent.raw_get("/K")])
        position = next(index for index, entry in enumerate(siblings) if entry.get_object() is text)
        siblings.insert(position + 1, form)
        for numbers, index, _ in _number_tree(writer.root["/StructTreeRoot"]["/ParentTree"], key):
            numbers[index] = form


def _is_object_reference(kid: Any) -> bool:
    target = kid.get_object()
    return isinstance(target, generic.DictionaryObject) and _get(target, "/Type") == "/OBJR"


def _get(node: Any, key: str, default: Any = None) -> Any:
    """The value itself: pyHanko's own `get` leaves references as they are."""
    if key not in node:
        return default
    return node[key]


def _pages(node: Any, reference: Any) -> Iterator[tuple[Any, Any]]:
    if _get(node, "/Type") == "/Page" or "/Kids" not in node:
        yield reference, node
        return
    for kid in node["/Kids"]:
        yield from _pages(kid.get_object(), kid)


def _inherited(page: Any, *names: str) -> Any:
    for name in names:
        node = page
        while node is not None:
            if name in node:
                return node[name]
            node = _get(node, "/Parent")
    raise KeyError(names[-1])


def _number_tree(node: Any, key: int) -> Iterator[tuple[Any, int, Any]]:
    """Entries of a number tree (ISO 32000-1 7.9.7) with that key: their array, the place in it, the value."""
    for kid in _get(node, "/Kids", ()):
        yield from _number_tree(kid.get_object(), key)
    numbers = _get(node, "/Nums", generic.ArrayObject())
    for index in range(0, len(numbers), 2):
        if int(numbers[index]) == key:
            yield numbers, index + 1, numbers.raw_get(index + 1)


def _reference(reference: Any, writer: AnewWriter) -> generic.IndirectObject:
    return generic.IndirectObject(reference.idnum, reference.generation, writer)


def _numbers(*values: float) -> generic.ArrayObject:
    return generic.ArrayObject(generic.FloatObject(round(value, 3)) for value in values)
