"""Filling Word files, and refusing those that are not fit to be filled: real templates, really altered."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from docx import Document

from service.adapters import docx
from service.adapters.templates import Catalogue
from service.domain.presentation import context
from service.errors import TemplateError

ROOT = Path(__file__).parents[2]
TEMPLATE = Catalogue(ROOT / "templates").get("tilretteleggingsavtale", "1.0.0", "nb")
NOW = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
DOCUMENT, RELATIONS, TYPES = "word/document.xml", "word/_rels/document.xml.rels", "[Content_Types].xml"
NAMESPACE = "http://schemas.openxmlformats.org"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def parts_of(file: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(file)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(parts: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in parts.items():
            archive.writestr(name, body)
    return out.getvalue()


def altered(part: str, old: str, new: str, file: bytes = TEMPLATE.docx) -> bytes:
    parts = parts_of(file)
    text = parts[part].decode()
    assert old in text
    return packed({**parts, part: text.replace(old, new, 1).encode()})


def paragraph(text: str) -> str:
    return f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>"


def with_body(xml: str) -> bytes:
    """The template with something more at its beginning."""
    return altered(DOCUMENT, "<w:body>", f"<w:body>{xml}")


def with_relation(kind: str, target: str, *, mode: str = ' TargetMode="External"') -> bytes:
    relation = f'<Relationship Id="rId900" Type="{OFFICE}/{kind}" Target="{target}"{mode}/>'
    return altered(RELATIONS, "</Relationships>", f"{relation}</Relationships>")


def agreement(**changes: Any) -> dict[str, Any]:
    data = json.loads((ROOT / "examples" / "agreement.json").read_text())
    data |= {"id": "0192f3a4-7c55-7b61-9f0e-3a2b5c7d9e10", "version": 1} | changes
    return context("agreement", data, labels=TEMPLATE.labels, language="nb")


def fill(file: bytes = TEMPLATE.docx, data: dict[str, Any] | None = None, **options: Any) -> bytes:
    given = agreement() if data is None else data
    return docx.fill(file, given, **{"title": "Avtale", "language": "nb-NO", "created": NOW} | options)


# --- filling ---


def test_the_filled_document_has_the_values_and_no_tags() -> None:
    text = docx.text(fill())

    assert "Arbeidstrening for Ájlin Šárá Øvergård hos Fjordbakeriet & Kafé Sandvika AS" in text
    assert "Łukasz Żółkiewski" in text
    assert "Avtale 0192f3a4-7c55-7b61-9f0e-3a2b5c7d9e10, versjon 1" in text
    assert "{{" not in text
    assert "{%" not in text


def test_word_opens_the_filled_document() -> None:
    document = Document(io.BytesIO(fill()))

    assert document.paragraphs[0].style is not None
    assert document.paragraphs[0].style.name == "Heading 1"
    assert len(document.tables) >= 8


@pytest.mark.parametrize(
    "text",
    [
        "Brød & kaker, < 70 dB > stille, «sitat» \"rett\" 'enkel'",
        "{{ 7 * 7 }} {% if x %} {_{ og }_} {_% %_}",
        "<w:t>ikke et element</w:t> &amp; &lt;",
        "𝔄 😀 ŋ č š ž đ ŧ",
    ],
)
def test_text_survives_whatever_it_looks_like(text: str) -> None:
    goals = [{"category": "other", "description": text}]

    assert text in docx.text(fill(data=agreement(goals=goals)))


def test_line_breaks_and_tabs_become_word_s() -> None:
    goals = [{"category": "other", "description": "første\nandre\ttredje"}]
    xml = parts_of(fill(data=agreement(goals=goals)))[DOCUMENT].decode()

    assert "første</w:t><w:br/>" in xml
    assert "<w:tab/>" in xml[xml.index("andre") :][:120]


@pytest.mark.parametrize("character", ["\x00", "\x07", "\x0b", "\x0c", "\x1b", "\ufffe", "\ud800"])
def test_a_character_that_xml_cannot_hold_fails_loudly(character: str) -> None:
    goals = [{"category": "other", "description": f"hemmelig{character}tekst"}]

    with pytest.raises(TemplateError) as caught:
        fill(data=agreement(goals=goals))
    assert caught.value.code == "illegal_character"
    assert "goals.0.description" in caught.value.message
    assert "hemmelig" not in caught.value.message


def test_properties_are_set_as_they_are_and_not_escaped() -> None:
    filled = fill(title="Støy & ro <1>", subject="Sak & mer", identifier="0192f3a4")
    core = Document(io.BytesIO(filled)).core_properties

    assert (core.title, core.subject, core.identifier) == ("Støy & ro <1>", "Sak & mer", "0192f3a4")
    assert (core.language, core.author, core.last_modified_by) == ("nb-NO", "Signert", "Signert")
    assert core.created == core.modified == NOW
    assert docx.properties(filled).title == "Støy & ro <1>"


def test_the_same_data_gives_the_same_bytes() -> None:
    assert fill() == fill()


def test_of_one_document_nothing_is_in_the_next_of_the_same_template() -> None:
    goals = [{"category": "other", "description": "fortrolig"}]
    before = fill(identifier="1")
    assert "fortrolig" in docx.text(fill(data=agreement(goals=goals), subject="fortrolig"))
    assert fill(identifier="1") == before
    assert not any(b"fortrolig" in part for part in parts_of(before).values())


def test_footnotes_and_headers_are_filled_and_pictures_have_numbers_of_their_own() -> None:
    note = f'<w:footnote w:id="1">{paragraph("Note: {{ number }}")}</w:footnote>'
    kind = "application/vnd.openxmlformats-officedocument.wordprocessingml.footnotes+xml"
    name = f'xmlns:wp="{NAMESPACE}/drawingml/2006/wordprocessingDrawing" id="1" name="x"'
    drawing = f"<w:p><w:r><w:drawing><wp:docPr {name}/></w:drawing></w:r></w:p>"
    parts = parts_of(with_relation("footnotes", "footnotes.xml", mode=""))
    parts["word/footnotes.xml"] = (
        f'<w:footnotes xmlns:w="{NAMESPACE}/wordprocessingml/2006/main">{note}</w:footnotes>'.encode()
    )
    file = altered(
        TYPES,
        "</Types>",
        f'<Override PartName="/word/footnotes.xml" ContentType="{kind}"/></Types>',
        altered(
            "word/header1.xml",
            "</w:hdr>",
            f"{paragraph('Head: {{ number }}')}</w:hdr>",
            altered(DOCUMENT, "<w:body>", f"<w:body>{drawing}{drawing}", packed(parts)),
        ),
    )

    filled = parts_of(fill(file, agreement(number="Nr {{ 1 }}")))
    assert b"Note: Nr {{ 1 }}" in filled["word/footnotes.xml"]
    assert b"Head: Nr {{ 1 }}" in filled["word/header1.xml"]
    numbers = re.findall(rb'docPr [^>]*id="(\d+)"', filled[DOCUMENT])
    assert len(set(numbers)) == len(numbers) >= 2


def test_a_missing_variable_is_named_with_its_place() -> None:
    file = with_body(paragraph("Kallenavn: {{ parties.participant.nickname }}"))

    with pytest.raises(TemplateError) as caught:
        fill(file)
    assert caught.value.code == "undefined_variable"
    assert "parties.participant.nickname" in caught.value.message
    assert "Kallenavn: {{ parties.participant.nickname }}" in caught.value.message


def test_a_missing_variable_in_a_loop_or_header_is_named() -> None:
    in_loop = with_body(paragraph("{% for goal in goals %}{{ goal.weight }}{% endfor %}"))
    in_header = altered("word/header1.xml", "</w:hdr>", paragraph("{{ letterhead }}") + "</w:hdr>")

    for file, name in ((in_loop, "goal.weight"), (in_header, "letterhead")):
        with pytest.raises(TemplateError, match=name) as caught:
            fill(file)
        assert caught.value.code == "undefined_variable"


# --- what a template may not say ---


@pytest.mark.parametrize(
    "tag",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ lipsum.__globals__ }}",
        "{{ self._TemplateReference__context }}",
        "{{ number|attr('__class__') }}",
        "{{ '{0.__class__}'.format(number) }}",
        "{{ [].append(1) }}",
        "{{ 'x' * 999999999 }}",
        "{% for i in range(99999999) %}x{% endfor %}",
        "{% set x = 1 %}",
        "{% import 'os' as os %}",
        "{% include '/etc/passwd' %}",
        "{% macro f() %}{% endmacro %}",
        "{{ number|safe }}",
        "{{ number['x'] }}",
    ],
)
def test_a_template_cannot_leave_the_sandbox(tag: str) -> None:
    file = with_body(paragraph(tag))

    with pytest.raises(TemplateError) as caught:
        fill(file)
    assert caught.value.code in {"template_unsafe", "template_syntax"}
    assert {f.code for f in docx.unsafe_content(file)} <= {"forbidden_tag", "template_syntax"}


@pytest.mark.parametrize(
    "tag", ["{% if number %}", "{{ number", "{% endfor %}", "{% nonsense %}", "{{ a b }}"]
)
def test_a_broken_tag_is_shown(tag: str) -> None:
    with pytest.raises(TemplateError) as caught:
        fill(with_body(paragraph(tag)))
    assert caught.value.code == "template_syntax"


def test_a_tag_that_breaks_the_document_s_structure_is_not_patched_over() -> None:
    cell = f"<w:tbl><w:tr><w:tc>{paragraph('{% endif %}')}</w:tc></w:tr></w:tbl>"
    file = with_body(paragraph("{% if number %}") + cell)

    with pytest.raises(TemplateError) as caught:
        fill(file, {**agreement(), "number": ""})
    assert caught.value.code == "template_syntax"


# --- what a template may not carry ---


def _simple_field(instruction: str) -> str:
    return f'<w:p><w:fldSimple w:instr="{instruction}"><w:r><w:t>x</w:t></w:r></w:fldSimple></w:p>'


def _split_field(*pieces: str) -> str:
    texts = "".join(f"<w:r><w:instrText>{p}</w:instrText></w:r>" for p in pieces)
    begin, end = (f'<w:r><w:fldChar w:fldCharType="{kind}"/></w:r>' for kind in ("begin", "end"))
    return f"<w:p>{begin}{texts}{end}</w:p>"


def _with_part(name: str, content_type: str, body: bytes = b"\xd0\xcf\x11\xe0") -> bytes:
    override = f'<Override PartName="/{name}" ContentType="{content_type}"/>'
    file = altered(TYPES, "</Types>", f"{override}</Types>")
    return packed({**parts_of(file), name: body})


def _with_settings(xml: str) -> bytes:
    return altered("word/settings.xml", "<w:compat>", f"{xml}<w:compat>")


UNSAFE: dict[str, tuple[str, Callable[[], bytes]]] = {
    "link to the web": ("external_target", lambda: with_relation("hyperlink", "https://example.org/")),
    "link that only looks right": (
        "external_target",
        lambda: with_relation("hyperlink", "https://signature.invalid.example.org/participant"),
    ),
    "linked picture": ("external_target", lambda: with_relation("image", "https://example.org/a.png")),
    "file link": ("external_target", lambda: with_relation("image", "file:///etc/passwd", mode="")),
    "attached template": (
        "attached_template",
        lambda: with_relation("attachedTemplate", "https://example.org/evil.dotm"),
    ),
    "attached template in the settings": (
        "attached_template",
        lambda: _with_settings('<w:attachedTemplate r:id="rId1"/>'),
    ),
    "mail merge": ("external_target", lambda: _with_settings("<w:mailMerge/>")),
    "OLE relation": ("embedded_object", lambda: with_relation("oleObject", "embeddings/a.bin", mode="")),
    "OLE element": ("embedded_object", lambda: with_body("<w:p><w:r><w:object/></w:r></w:p>")),
    "embedded file": (
        "embedded_object",
        lambda: _with_part(
            "word/embeddings/oleObject1.bin", "application/vnd.openxmlformats-officedocument.oleObject"
        ),
    ),
    "ActiveX": (
        "embedded_object",
        lambda: _with_part("word/activeX/activeX1.bin", "application/vnd.ms-office.activeX"),
    ),
    "macro": ("macro", lambda: _with_part("word/vbaProject.bin", "application/vnd.ms-office.vbaProject")),
    "macro-enabled document": (
        "macro",
        lambda: altered(
            TYPES,
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml",
            "application/vnd.ms-word.document.macroEnabled.main+xml",
        ),
    ),
    "altChunk relation": ("embedded_document", lambda: with_relation("aFChunk", "chunk.html", mode="")),
    "altChunk element": ("embedded_document", lambda: with_body('<w:altChunk r:id="rId1"/>')),
    "subdocument": ("embedded_document", lambda: with_body('<w:p><w:subDoc r:id="rId1"/></w:p>')),
    "HTML part": ("unknown_part", lambda: _with_part("word/chunk.html", "text/html")),
    "comments": (
        "unknown_part",
        lambda: _with_part(
            "word/comments.xml",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.comments+xml",
            b"<comments/>",
        ),
    ),
    "INCLUDETEXT": ("active_field", lambda: with_body(_simple_field("INCLUDETEXT &quot;/etc/passwd&quot;"))),
    "INCLUDEPICTURE": ("active_field", lambda: with_body(_simple_field("INCLUDEPICTURE http://x"))),
    "DDE": ("active_field", lambda: with_body(_split_field("DDEAUTO c:\\\\windows\\\\cmd.exe"))),
    "DDE over several runs": ("active_field", lambda: with_body(_split_field("D", "DE", "AUTO x"))),
    "DDE inside of PAGE": (
        "active_field",
        lambda: with_body(_split_field("PAGE") + _split_field("QUOTE ", "65 66")),
    ),
    "DATE": ("active_field", lambda: with_body(_simple_field("DATE"))),
    "field in the header": (
        "active_field",
        lambda: altered("word/header1.xml", "</w:hdr>", _simple_field("FILENAME") + "</w:hdr>"),
    ),
    "VML picture": (
        "external_target",
        lambda: with_body(
            '<w:p><w:r><w:pict><v:imagedata xmlns:v="urn:schemas-microsoft-com:vml" src="http://x/a.png"/>'
            "</w:pict></w:r></w:p>"
        ),
    ),
    "bound content control": (
        "data_binding",
        lambda: with_body(
            '<w:sdt><w:sdtPr><w:dataBinding w:xpath="/a" w:storeItemID="{1}"/></w:sdtPr>'
            f"<w:sdtContent>{paragraph('x')}</w:sdtContent></w:sdt>"
        ),
    ),
    "tracked change": (
        "tracked_changes",
        lambda: with_body('<w:p><w:ins w:id="1" w:author="a"><w:r><w:t>x</w:t></w:r></w:ins></w:p>'),
    ),
    "document type declaration": (
        "invalid_xml",
        lambda: altered(DOCUMENT, "<w:document", '<!DOCTYPE x [<!ENTITY a "b">]><w:document'),
    ),
    "broken XML": ("invalid_xml", lambda: altered(DOCUMENT, "</w:body>", "")),
}


@pytest.mark.parametrize("case", UNSAFE)
def test_unsafe_content_is_found_and_the_template_refused(case: str) -> None:
    code, make = UNSAFE[case]
    file = make()

    findings = docx.unsafe_content(file)

    assert code in {f.code for f in findings}
    assert all(f.message and f.remedy for f in findings)
    with pytest.raises(TemplateError) as caught:
        fill(file)
    assert caught.value.code == "template_unsafe"


def _lying_size() -> bytes:
    file = bytearray(packed({**parts_of(TEMPLATE.docx), "word/media/a.png": b"x" * 100_000}))
    at = file.rindex(b"PK\x01\x02")
    file[at + 24 : at + 28] = (10).to_bytes(4, "little")
    return bytes(file)


@pytest.mark.parametrize(
    ("file", "codes"),
    [
        (b"", {"not_a_word_file"}),
        (b"%PDF-1.7", {"not_a_word_file"}),
        (packed({"a.txt": b"x"}), {"not_a_word_file"}),
        (TEMPLATE.docx[: len(TEMPLATE.docx) // 2], {"not_a_word_file"}),
        (packed({**parts_of(TEMPLATE.docx), "word/media/a.png": b"\0" * 2_000_000}), {"unsafe_zip"}),
        (packed({**parts_of(TEMPLATE.docx), "../../etc/cron.d/x": b"x"}), {"unsafe_zip"}),
        (packed({**parts_of(TEMPLATE.docx), "word/Document.XML": b"<x/>"}), {"unsafe_zip"}),
        (
            packed({**parts_of(TEMPLATE.docx)} | {f"word/{i}.xml": b"<x/>" for i in range(300)}),
            {"unsafe_zip"},
        ),
        (_lying_size(), {"not_a_word_file", "unsafe_zip"}),
    ],
    ids=[
        "empty",
        "pdf",
        "other zip",
        "cut off",
        "bomb",
        "outside",
        "double name",
        "many parts",
        "lying size",
    ],
)
def test_what_is_no_honest_word_file_is_refused(file: bytes, codes: set[str]) -> None:
    assert {f.code for f in docx.unsafe_content(file)} <= codes
    with pytest.raises(TemplateError):
        fill(file)


def test_page_numbers_are_allowed() -> None:
    assert docx.unsafe_content(with_body(_simple_field(" PAGE ") + _split_field(" NUM", "PAGES "))) == []


def test_a_filled_document_is_as_safe_as_its_template() -> None:
    goals = [{"category": "other", "description": "{{ 1 }}"}]

    assert docx.unsafe_content(fill()) == []
    assert docx.tags(fill(data=agreement(goals=goals))) == ["{{ 1 }}"]
