"""Finishing and reading PDFs: on LibreOffice's own output, and on small files made for one point each."""

from __future__ import annotations

import hashlib
import io
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pypdf import PdfReader, PdfWriter
from pypdf.generic import (
    ArrayObject,
    DecodedStreamObject,
    DictionaryObject,
    IndirectObject,
    NameObject,
    NumberObject,
    PdfObject,
    StreamObject,
)

from service.adapters.pdf import finish, missing_values, text
from service.adapters.pdf.content import marked_text
from service.adapters.pdf.reader import Reader
from service.domain.ports import Attachment
from service.errors import NotArchivable, RenderFailed
from signing import RevisionBroken, page_count

OFFICE_PDF = (Path(__file__).parents[1] / "fixtures" / "office.pdf").read_bytes()
NOW = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
TITLE = "Avtale <om> & oppfølging"


def finished(**changes: object) -> bytes:
    settings: dict[str, object] = {"title": TITLE, "language": "nb-NO", "created": NOW, **changes}
    return finish(OFFICE_PDF, **settings).pdf  # type: ignore[arg-type]


def root_of(pdf: bytes) -> DictionaryObject:
    return PdfReader(io.BytesIO(pdf)).root_object


def name(content: str) -> NameObject:
    return NameObject("/" + content)


def tagged(contents: list[bytes], *, blocks: list[list[tuple[int, int]]], inline: bool = False) -> bytes:
    """A tagged PDF: one content stream a page, and paragraphs of (page, MCID) pairs, in logical order.

    Font F1 shows ASCII, 600/1000 wide, but for code 01, which stands for `ffi`.
    """
    writer = PdfWriter()
    cmap = DecodedStreamObject()
    lines = b"".join(b"<%02X> <%04X>\n" % (code, code) for code in range(32, 127))
    cmap.set_data(
        b"1 begincodespacerange\n<00> <FF>\nendcodespacerange\n96 beginbfchar\n<01> <006600660069>\n"
        + lines
        + b"endbfchar"
    )
    font = writer._add_object(
        DictionaryObject(
            {
                name("Type"): name("Font"),
                name("Subtype"): name("TrueType"),
                name("FirstChar"): NumberObject(0),
                name("Widths"): ArrayObject(NumberObject(600) for _ in range(128)),
                name("ToUnicode"): writer._add_object(cmap),
            }
        )
    )
    pages = []
    for content in contents:
        page = writer.add_blank_page(595, 842)
        stream = DecodedStreamObject()
        stream.set_data(content)
        page[name("Contents")] = writer._add_object(stream)
        page[name("Resources")] = DictionaryObject({name("Font"): DictionaryObject({name("F1"): font})})
        pages.append(page.indirect_reference)

    def element(kind: str, kids: list[PdfObject]) -> PdfObject:
        return writer._add_object(DictionaryObject({name("S"): name(kind), name("K"): ArrayObject(kids)}))

    paragraphs = []
    for block in blocks:
        kids: list[PdfObject] = [
            DictionaryObject(
                {name("Type"): name("MCR"), name("Pg"): pages[page], name("MCID"): NumberObject(mcid)}
            )
            for page, mcid in block
        ]
        paragraphs.append(element("Brødtekst", [element("Span", [kid]) for kid in kids] if inline else kids))
    writer.root_object[name("StructTreeRoot")] = DictionaryObject(
        {
            name("K"): ArrayObject([element("Document", paragraphs)]),
            name("RoleMap"): DictionaryObject({name("Brødtekst"): name("P")}),
        }
    )
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def shown(mcid: int, x: float, y: float, operator: str, mark: str = "/P") -> bytes:
    return f"{mark}<</MCID {mcid}>>BDC BT {x} {y} Td /F1 10 Tf {operator} ET EMC\n".encode()


class TestFinish:
    def test_says_what_it_is(self) -> None:
        root = root_of(finished(author="Nav"))
        metadata = root["/Metadata"].get_object().get_data().decode()  # type: ignore[attr-defined]

        assert root["/Lang"] == "nb-NO"
        assert root["/ViewerPreferences"]["/DisplayDocTitle"].value is True  # type: ignore[index]
        assert "<pdfaid:part>2</pdfaid:part>" in metadata
        assert "<pdfaid:conformance>A</pdfaid:conformance>" in metadata
        assert "<pdfuaid:part>1</pdfuaid:part>" in metadata
        assert "Avtale &lt;om&gt; &amp; oppfølging" in metadata
        assert "python-docx" not in metadata

    def test_information_equals_metadata(self) -> None:
        info = PdfReader(io.BytesIO(finished(author="Nav"))).metadata

        assert info is not None
        assert (info.title, info.author, info.creation_date, info.modification_date) == (
            TITLE,
            "Nav",
            NOW,
            NOW,
        )

    def test_same_input_and_time_give_the_same_bytes(self) -> None:
        assert finished() == finished()
        assert finished() != finished(title="Noe annet")

    def test_identifiers_differ_with_the_content(self) -> None:
        ids = [PdfReader(io.BytesIO(pdf)).trailer["/ID"] for pdf in (finished(), finished(language="nn-NO"))]

        assert ids[0] != ids[1]

    def test_pages_and_their_text_are_as_before(self) -> None:
        pdf = finished()

        assert len(PdfReader(io.BytesIO(pdf)).pages) == len(PdfReader(io.BytesIO(OFFICE_PDF)).pages) == 4
        assert page_count(pdf) == page_count(OFFICE_PDF) == 4
        assert text(pdf) == text(OFFICE_PDF).replace("\uf0b7", "•")

    def test_signature_links_are_untouched(self) -> None:
        def links(pdf: bytes) -> list[object]:
            found = []
            reader = PdfReader(io.BytesIO(pdf))
            parents = reader.root_object["/StructTreeRoot"]["/ParentTree"]["/Nums"]  # type: ignore[index]
            for number, page in enumerate(reader.pages):
                for reference in page.get("/Annots", ()):
                    link = reference.get_object()
                    element = parents[parents.index(link["/StructParent"]) + 1].get_object()
                    kinds = [
                        kid.get_object().get("/Type") for kid in element["/K"] if not isinstance(kid, int)
                    ]
                    entries = {
                        key: link[key] for key in ("/Rect", "/Contents", "/StructParent", "/F", "/Border")
                    }
                    found.append((number, entries, link["/A"]["/URI"], element["/S"], kinds))
            return found

        assert len(links(OFFICE_PDF)) == 2
        assert links(finished()) == links(OFFICE_PDF)

    def test_tab_order_is_a_name(self) -> None:
        pages = PdfReader(io.BytesIO(finished())).pages

        assert [page["/Tabs"] for page in pages if "/Annots" in page] == [NameObject("/S")]
        assert all(isinstance(page["/Tabs"], NameObject) for page in pages if "/Annots" in page)

    def test_attachments_make_it_part_3(self) -> None:
        body = b'{"version": 1}'
        attachments = (
            Attachment("vedlegg æøå.txt", "text/plain", "Vedlegg", b"tekst"),
            Attachment("data.json", "application/json", "Avtalens data", body),
        )
        pdf = finished(attachments=attachments)
        reader = PdfReader(io.BytesIO(pdf))
        root = reader.root_object
        (specification,) = [
            each.get_object() for each in root["/AF"] if each.get_object()["/F"] == "data.json"
        ]  # type: ignore[attr-defined]
        embedded = specification["/EF"]["/F"]

        assert list(reader.attachments) == ["data.json", "vedlegg æøå.txt"]
        assert reader.attachments["data.json"] == [body]
        assert specification["/AFRelationship"] == "/Data"
        assert specification["/Desc"] == "Avtalens data"
        assert embedded["/Subtype"] == "/application/json"
        assert embedded["/Params"]["/Size"] == len(body)
        assert embedded["/Params"]["/ModDate"] == "D:20261102093000+00'00'"
        assert embedded["/Params"]["/CheckSum"].original_bytes == hashlib.md5(body).digest()
        assert b"application#2Fjson" in pdf
        assert b"<pdfaid:part>3</pdfaid:part>" in pdf

    @pytest.mark.parametrize("body", [b"", b"%PDF-1.7\n", b"not a PDF", OFFICE_PDF[:2000]])
    def test_refuses_what_is_no_pdf(self, body: bytes) -> None:
        with pytest.raises(RevisionBroken):
            page_count(body)
        with pytest.raises(RenderFailed):
            text(body)
        with pytest.raises(RenderFailed):
            finish(body, title=TITLE, language="nb-NO")

    def test_refuses_what_is_not_tagged(self) -> None:
        writer = PdfWriter()
        writer.add_blank_page(595, 842)
        out = io.BytesIO()
        writer.write(out)

        with pytest.raises(NotArchivable) as caught:
            finish(out.getvalue(), title=TITLE, language="nb-NO")
        assert not caught.value.retryable
        with pytest.raises(RenderFailed):
            text(out.getvalue())

    def test_refuses_a_font_that_is_not_embedded(self) -> None:
        with pytest.raises(NotArchivable, match="not embedded"):
            finish(tagged([shown(0, 50, 700, "(Hei) Tj")], blocks=[[(0, 0)]]), title=TITLE, language="nb-NO")

    def test_refuses_a_symbol_that_means_nothing_in_unicode(self) -> None:
        with pytest.raises(NotArchivable, match=r"U\+F0AB"):
            finish(with_to_unicode(b"<F0B7>", b"<F0AB>"), title=TITLE, language="nb-NO")


def with_to_unicode(old: bytes, new: bytes) -> bytes:
    """LibreOffice's PDF, one code point of its fonts' Unicode maps replaced."""
    writer = PdfWriter(clone_from=io.BytesIO(OFFICE_PDF))
    for font in (each for each in writer._objects if isinstance(each, DictionaryObject)):
        if font.get("/Type") != "/Font":
            continue
        cmap = font["/ToUnicode"].get_object()
        cmap.set_data(cmap.get_data().replace(old, new))  # type: ignore[attr-defined]
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


class TestText:
    def test_is_in_logical_order_without_headers_and_page_numbers(self) -> None:
        read = text(OFFICE_PDF)

        assert read.index("Tilrettelegging\n") < read.index("Rullestolrampe") < read.index("Underskrifter")
        assert "Topptekst" not in read
        assert "Side" not in read

    def test_keeps_a_paragraph_whole_over_a_page_break(self) -> None:
        first = (
            shown(0, 50, 50, "(Deltakeren heter Ola) Tj")
            + b"/Artifact BMC BT 50 20 Td /F1 10 Tf (Side 1) Tj ET EMC"
        )
        second = b"/Artifact BMC BT 50 800 Td /F1 10 Tf (Topp) Tj ET EMC\n" + shown(
            0, 50, 700, "(Nordmann i avtalen) Tj"
        )
        read = text(tagged([first, second], blocks=[[(0, 0), (1, 0)]]))

        assert read == "Deltakeren heter Ola\nNordmann i avtalen"
        assert missing_values(read, {"name": "Ola Nordmann"}) == []

    def test_follows_the_structure_not_the_stream(self) -> None:
        content = (
            shown(1, 50, 600, "(sist) Tj") + shown(0, 50, 700, "(som) Tj") + shown(2, 50, 750, "(Her) Tj")
        )

        assert text(tagged([content], blocks=[[(0, 2)], [(0, 0)], [(0, 1)]])) == "Her\n\nsom\n\nsist"

    def test_joins_runs_of_a_line_and_parts_what_is_apart(self) -> None:
        close = (
            shown(0, 50, 700, "[(Nord)2(m)] TJ")
            + shown(1, 80, 700, "(ann) Tj")
            + shown(2, 140, 700, "(etter) Tj")
        )
        raised = shown(3, 170, 703, "(2) Tj")

        assert (
            text(tagged([close + raised], blocks=[[(0, 0), (0, 1), (0, 2), (0, 3)]], inline=True))
            == "Nordmann etter2"
        )

    def test_puts_a_fallback_fonts_character_where_it_stands(self) -> None:
        """LibreOffice leaves room in the line, and shows the character of the other font after the line."""
        content = shown(0, 50, 700, "[(og)-600(og)] TJ 1 0 0 1 62 700 Tm (X) Tj")

        assert text(tagged([content], blocks=[[(0, 0)]])) == "ogXog"

    def test_reads_replacement_text_and_ligatures(self) -> None:
        hyphen = "/Span<</ActualText<FEFF00AD>>>BDC (-) Tj EMC"
        content = shown(0, 50, 700, f"(e) Tj <01> Tj (sient til) Tj {hyphen}") + shown(1, 50, 688, "(tak) Tj")
        read = text(tagged([content], blocks=[[(0, 0), (0, 1)]]))

        assert read == "effisient til\u00ad\ntak"
        assert missing_values(read, {"a": "effisient tiltak"}) == []

    def test_leaves_out_what_runs_off_the_page(self) -> None:
        content = shown(0, 580, 700, "(utenfor) Tj") + shown(1, 50, 700, "(innenfor) Tj")

        assert text(tagged([content], blocks=[[(0, 0)], [(0, 1)]])) == "innenfor"

    def test_reads_strings_with_escapes_and_every_operator(self) -> None:
        content = shown(0, 50, 700, r"12 TL (a\(b\)\\c) Tj T* (d(e)f) Tj (\101) ' 0 0 (B) \" 0 -12 TD (C) Tj")

        assert text(tagged([content], blocks=[[(0, 0)]])) == "a(b)\\c\nd(e)f\nA\nB\nC"


_LINES = [
    ["/P", "<<", "/MCID", "0", ">>", "BDC"],
    ["/P", "<<", "/MCID", "1", ">>", "BDC"],
    ["/Span", "<<", "/ActualText", "<FEFF00E5>", ">>", "BDC"],
    ["/Artifact", "BMC"],
    ["EMC"],
    [
        "q",
        "0.3333333333",
        "0.5",
        "1",
        "rg",
        "BT",
        "50.5",
        "700",
        "Td",
        "/F1",
        "10",
        "Tf",
        "<4142>",
        "Tj",
        "ET",
        "Q",
    ],
    ["BT", "90", "700", "Td", "/F1", "12", "Tf", "[<41>-300<42>2<43>]", "TJ", "ET"],
    ["q", "1", "0", "0", "1", "9", "9", "cm"],
    ["Q"],
    ["0", "0", "5", "5", "re", "W*", "n"],
    ["7", "/F1", "true", "0.5", "-", "1234567890123"],
]


@given(st.lists(st.sampled_from(_LINES), max_size=12), st.data())
def test_what_is_read_in_one_go_is_read_as_it_is_one_by_one(
    lines: list[list[str]], data: st.DataObject
) -> None:
    tokens = [token for line in [*_LINES[:1], *lines] for token in line]
    if data.draw(st.booleans()):
        del tokens[data.draw(st.integers(1, len(tokens) - 1))]
    contents = [" ".join(tokens).encode(), " %\n".join(tokens).encode()]  # a comment is a token of its own
    found = []
    for page in PdfReader(io.BytesIO(tagged(contents, blocks=[]))).pages:
        try:
            found.append(repr(marked_text(page, {})))
        except (KeyError, ValueError, TypeError, AttributeError, IndexError) as error:
            found.append(type(error).__name__)
    assert found[0] == found[1]


class TestMissingValues:
    TEXT = (
        "Avtale nr. 2026-004217\n\nDeltaker: Ola Nord\u00admann\n\nEffektiv tilrette-\nlegging på e-\npost "
        "https://eksempel.in\nvalid/en\n\n100\u00a0000,50\u202fkr\n\nBakeriet & Kafé\n\nMagnhilds plan"
    )

    @pytest.mark.parametrize(
        "value",
        [
            "2026-004217",
            "Ola Nordmann",
            "Effektiv tilrettelegging på e-post",
            "E\ufb00ektiv",  # the ligature ff
            "https://eksempel.invalid/en",
            "100 000,50 kr",
            "100\u202f000,50\u00a0kr",
            "Bakeriet & Kafé",
            "Bakeriet & Kafe\u0301",
            "Magnhild",
            "Bakeriet\n&  Kafé",
            "",
            "  \n",
        ],
    )
    def test_finds_what_is_there_however_it_was_broken(self, value: str) -> None:
        assert missing_values(self.TEXT, {"field": value}) == []

    @pytest.mark.parametrize(
        "value",
        [
            "Ola Nordmann Hansen",
            "OlaNordmann",
            "Ola Normann",
            "ola nordmann",
            "Ola-Nordmann",
            "004218",
            "00421",
            "26-004217",
            "100 000,51 kr",
            "00 000,50",
            "Bakeriet &amp; Kafé",
            "Bakeriet og Kafé",
            "Magnhi",
            "agnhild",
            "på ny epost",
        ],
    )
    def test_names_what_is_not_there_as_it_was_given(self, value: str) -> None:
        assert missing_values(self.TEXT, {"field": value}) == ["field"]

    def test_keeps_the_order_and_names_every_field(self) -> None:
        values = {"a.b": "finnes ikke", "c.0": "Ola Nordmann", "d": "heller ikke"}

        assert missing_values(self.TEXT, values) == ["a.b", "d"]

    @given(st.text(st.characters(categories=["L", "N", "P", "Zs"]), min_size=1, max_size=40), st.data())
    def test_a_value_is_found_wherever_a_line_breaks_in_it(self, value: str, data: st.DataObject) -> None:
        place = data.draw(st.integers(0, len(value)))
        within_word = value[place - 1 : place].isalnum() and value[place : place + 1].isalnum()
        # Lines are hyphenated within words only.
        breaks = ["\n", "-\n", "\u00ad\n", "\u00ad"] if within_word else ["\n"]
        broken = data.draw(st.sampled_from(breaks))
        if value[:place].strip() and value[place:].strip():
            value_broken = value[:place] + broken + value[place:]
            assert missing_values(f"før\n\n{value_broken}\n\netter", {"field": value}) == []


# --- what is not looked at is written as it stands ---


def everything(pdf: bytes) -> dict[int, bytes]:
    """Each object as pypdf writes it, streams by their content."""
    reader = PdfReader(io.BytesIO(pdf))
    found: dict[int, bytes] = {}
    for idnum in reader.xref[0]:
        item, out = IndirectObject(idnum, 0, reader).get_object(), io.BytesIO()
        assert item is not None
        item.write_to_stream(out)
        found[idnum] = item.get_data() if isinstance(item, StreamObject) else out.getvalue()
    return found


def test_what_nothing_changes_is_as_it_was() -> None:
    before, after = everything(OFFICE_PDF), everything(finished())
    left_out = before.keys() - after.keys()
    assert left_out  # how long LibreOffice's streams were
    assert all(before[idnum].isdigit() for idnum in left_out)
    changed = {idnum for idnum, item in after.items() if before.get(idnum) != item}
    reader = PdfReader(io.BytesIO(OFFICE_PDF))
    kinds = {
        str(item.get("/Type", ""))
        for idnum in changed
        if isinstance(item := IndirectObject(idnum, 0, reader).get_object(), DictionaryObject)
    }
    assert kinds <= {"/Catalog", "/Page", "/Metadata", ""}
    assert len(changed) < len(before) / 4


@pytest.mark.parametrize("as_it_is", [True, False])
def test_the_text_is_the_same_however_the_structure_is_read(as_it_is: bool) -> None:
    given = OFFICE_PDF
    if not as_it_is:  # as another program would write it: nothing there is of the plain kind
        writer = PdfWriter(clone_from=PdfReader(io.BytesIO(OFFICE_PDF)))
        out = io.BytesIO()
        writer.write(out)
        given = out.getvalue()
    made = finish(given, title=TITLE, language="nb-NO", created=NOW)
    assert made.text == text(made.pdf) == text(finished())


def _with_a_later_revision(pdf: bytes) -> bytes:
    """The same file with a second revision, in which the catalogue has another language."""
    reader = PdfReader(io.BytesIO(pdf))
    writer = PdfWriter(io.BytesIO(pdf), incremental=True)
    writer._root_object[NameObject("/Lang")] = NameObject("/later")
    out = io.BytesIO()
    writer.write(out)
    assert len(reader.pages) == len(PdfReader(io.BytesIO(out.getvalue())).pages)
    return out.getvalue()


@pytest.mark.parametrize("after", [b" obj ", b"\tobj\r\n", b" obj\0", b" abc\n"])
def test_headers_of_objects_are_read_as_pypdf_reads_them(after: bytes) -> None:
    odd = OFFICE_PDF.replace(b" obj\n", (after + b"\n\n\n")[:5])
    ours, theirs = Reader(odd), PdfReader(io.BytesIO(odd))
    assert ours.xref == theirs.xref
    assert len(ours.pages) == len(theirs.pages) == 4
    for generation, found in ours.xref.items():
        for idnum in found:
            assert written(ours, idnum, generation) == written(theirs, idnum, generation)


def written(reader: PdfReader, idnum: int, generation: int) -> bytes:
    out = io.BytesIO()
    item = reader.get_object(IndirectObject(idnum, generation, reader))
    assert item is not None
    item.write_to_stream(out)
    return out.getvalue()


def test_of_a_file_with_revisions_the_last_one_is_finished() -> None:
    given = _with_a_later_revision(OFFICE_PDF)
    made = finish(given, title=TITLE, language="nb-NO", created=NOW)
    assert made.text == text(finished())
    assert made.pdf.count(b"/StructTreeRoot") == OFFICE_PDF.count(b"/StructTreeRoot")


def test_a_font_is_found_however_its_type_is_written() -> None:
    plain = tagged([shown(0, 50, 700, "(Hei) Tj")], blocks=[[(0, 0)]])
    assert b"/Type /Font\n" in plain
    for written in (plain, plain.replace(b"/Type /Font\n", b"/Type /F#6fnt\n")):
        moved = _with_new_table(written)
        with pytest.raises(NotArchivable, match="not embedded"):
            finish(moved, title=TITLE, language="nb-NO")


def _with_new_table(pdf: bytes) -> bytes:
    """The file with its objects' places told anew."""
    places = {int(m[1]): m.start() for m in re.finditer(rb"(?m)^(\d+) 0 obj", pdf)}
    size = max(places) + 1
    body = pdf[: pdf.rindex(b"xref\n0")]
    rows = [b"%010d 00000 n \n" % places[i] if i in places else b"0000000000 65535 f \n" for i in range(size)]
    trailer = pdf[pdf.rindex(b"trailer") : pdf.rindex(b"startxref")]
    return body + b"xref\n0 %d\n" % size + b"".join(rows) + trailer + b"startxref\n%d\n%%%%EOF\n" % len(body)
