"""Signature fields out of link annotations."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from pypdf import PdfReader, PdfWriter
from pypdf.generic import ArrayObject, DictionaryObject, FloatObject, NameObject, TextStringObject

from signing import FieldPlace, FieldPlaceError, RevisionBroken, place_fields, revisions
from tests.signing_documents import PARTIES, PLACES

LINK = "https://signature.invalid/"


def _widgets(pdf: bytes) -> dict[str, DictionaryObject]:
    reader = PdfReader(BytesIO(pdf))
    found = {}
    for page in reader.pages:
        for entry in page.get("/Annots", ()):
            annotation = entry.get_object()
            if annotation["/Subtype"] == "/Widget":
                found[str(annotation["/T"])] = annotation
    return found


def _elements(node: Any, kind: str) -> list[Any]:
    node = node.get_object()
    if isinstance(node, ArrayObject):
        return [found for item in node for found in _elements(item, kind)]
    if not isinstance(node, DictionaryObject):
        return []
    own = [node] if node.get("/S") == kind else []
    return own + (_elements(node["/K"], kind) if "/K" in node else [])


def test_fields_take_the_place_of_the_links(signable: bytes, fielded: bytes) -> None:
    links = {
        str(entry.get_object()["/A"]["/URI"]): [float(n) for n in entry.get_object()["/Rect"]]
        for entry in PdfReader(BytesIO(signable)).pages[1]["/Annots"]
    }
    widgets = _widgets(fielded)
    for role in PARTIES:
        widget = widgets[role]
        x1, y1, x2, y2 = (float(n) for n in widget["/Rect"])
        left, _, _, top = links[LINK + role]
        assert (x1, y2) == pytest.approx((left, top), abs=0.01)
        assert (x2 - x1, y2 - y1) == pytest.approx((200, 58), abs=0.01)
        assert widget["/F"] == 132
        assert widget["/FT"] == "/Sig"
        assert widget["/TU"] == f"Signatur for {role}"
        assert "/A" not in widget
        assert "/Border" not in widget
        assert "/V" not in widget
        assert widget["/AP"]["/N"]["/Subtype"] == "/Form"


def test_every_widget_has_its_own_structure_element(fielded: bytes) -> None:
    reader = PdfReader(BytesIO(fielded))
    root = reader.trailer["/Root"]
    tree = root["/StructTreeRoot"]
    numbers = tree["/ParentTree"]["/Nums"]
    parents = {int(numbers[i]): numbers[i + 1].get_object() for i in range(0, len(numbers), 2)}
    forms = _elements(tree["/K"], "/Form")
    assert len(forms) == 3
    assert _elements(tree["/K"], "/Link") == []
    for form in forms:
        # The object reference itself, not an array of it.
        reference = form.raw_get("/K").get_object()
        assert isinstance(reference, DictionaryObject)
        widget = reference["/Obj"]
        assert parents[int(widget["/StructParent"])] == form
        siblings = [item.get_object() for item in form["/P"]["/K"]]
        text = siblings[siblings.index(form) - 1]
        assert text["/S"] == "/Span"
        assert [int(kid) for kid in text["/K"]]


def test_invisible_fields_lie_outside_the_page(fielded: bytes) -> None:
    widgets = _widgets(fielded)
    for name in ("seal", "document-timestamp"):
        assert [float(n) for n in widgets[name]["/Rect"]] == [-9999] * 4
        assert widgets[name]["/F"] == 132
        assert "/StructParent" not in widgets[name]


def test_one_clean_revision_with_a_form(fielded: bytes, signable: bytes) -> None:
    assert len(revisions(fielded)) == 1
    reader = PdfReader(BytesIO(fielded))
    root = reader.trailer["/Root"]
    assert root["/AcroForm"]["/SigFlags"] == 3
    assert [str(f.get_object()["/T"]) for f in root["/AcroForm"]["/Fields"]] == [p.name for p in PLACES]
    assert all(page["/Tabs"] == "/S" for page in reader.pages)
    assert all(isinstance(page["/Tabs"], NameObject) for page in reader.pages)
    before = PdfReader(BytesIO(signable))
    assert reader.trailer["/ID"][0] == before.trailer["/ID"][0]
    assert reader.metadata == before.metadata
    assert reader.pages[0].extract_text() == before.pages[0].extract_text()


def test_same_input_gives_same_bytes(signable: bytes, fielded: bytes) -> None:
    assert place_fields(signable, PLACES) == fielded


@pytest.mark.parametrize(
    ("places", "word"),
    [
        ([FieldPlace("a", "t", LINK + "mentor", 100, 50)], "is missing"),
        ([FieldPlace("a", "t"), FieldPlace("a", "t")], "same field"),
        ([FieldPlace("a.b", "t")], "full stop"),
        ([FieldPlace("", "t")], "empty"),
        ([FieldPlace("a", "t", LINK + "employer")], "no size"),
        ([FieldPlace("a", "t", LINK + "employer", 600, 50)], "outside the page"),
        ([FieldPlace("a", "t", LINK + "employer", 100, 5000)], "outside the page"),
        (
            [
                FieldPlace("a", "t", LINK + "employer", 99, 50),
                FieldPlace("b", "t", LINK + "employer", 99, 50),
            ],
            "same link",
        ),
    ],
)
def test_places_that_do_not_work(signable: bytes, places: list[FieldPlace], word: str) -> None:
    with pytest.raises(FieldPlaceError, match=word):
        place_fields(signable, places)


def test_link_that_occurs_twice(signable: bytes) -> None:
    writer = PdfWriter(clone_from=PdfReader(BytesIO(signable)))
    for entry in writer.pages[1]["/Annots"]:
        entry.get_object()["/A"][NameObject("/URI")] = TextStringObject(LINK + "employer")
    output = BytesIO()
    writer.write(output)
    with pytest.raises(FieldPlaceError, match="occurs 3 times"):
        place_fields(output.getvalue(), [FieldPlace("employer", "t", LINK + "employer", 100, 50)])


def test_fields_are_placed_once(fielded: bytes) -> None:
    with pytest.raises(FieldPlaceError, match="form fields already"):
        place_fields(fielded, [FieldPlace("more", "t")])


def test_document_without_tags() -> None:
    writer = PdfWriter()
    page = writer.add_blank_page(595, 842)
    action = DictionaryObject(
        {NameObject("/S"): NameObject("/URI"), NameObject("/URI"): TextStringObject("x:y")}
    )
    link = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Annot"),
            NameObject("/Subtype"): NameObject("/Link"),
            NameObject("/Rect"): ArrayObject(FloatObject(n) for n in (50, 700, 90, 712)),
            NameObject("/A"): action,
        }
    )
    page[NameObject("/Annots")] = ArrayObject([writer._add_object(link)])
    output = BytesIO()
    writer.write(output)
    placed = place_fields(output.getvalue(), [FieldPlace("one", "t", "x:y", 120, 40)])
    assert [float(n) for n in _widgets(placed)["one"]["/Rect"]] == [50, 672, 170, 712]


_NO_NUMBER = (
    b"%PDF-1.7\nxref\n0 1\n0000000000 65535 f \ntrailer\n<</Size 2-1.5 /Root 1 0 R>>\nstartxref\n9\n%%EOF\n"
)


_CUT_TABLE = b"%PDF-1.7\nxref\n0 3\n0000000000 65535 f \n\nstartxref\n9\n%%EOF"


@pytest.mark.parametrize("content", [b"", b"%PDF-1.7\n", b"hello", bytes(2000), _NO_NUMBER, _CUT_TABLE])
def test_no_pdf(content: bytes) -> None:
    with pytest.raises(RevisionBroken):
        place_fields(content, PLACES)
    with pytest.raises(RevisionBroken):
        revisions(content)
