"""Broken templates, made from a good one: `signert templates check` finds each fault, tells where, and nothing else."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from docx import Document
from docx.shared import Pt

from service.adapters import docx
from service.adapters.docx.package import read_parts, write_parts
from service.adapters.fontconfig import installed_font
from service.adapters.templates.checks import Tools
from service.adapters.templates.workshop import Workshop
from service.bootstrap import open_checks
from service.config import load_settings

pytestmark = pytest.mark.office

DOCUMENT, STYLES, CORE = "word/document.xml", "word/styles.xml", "docProps/core.xml"
RELATIONS = "word/_rels/document.xml.rels"
BOTH = ("nb", "nn")
# A PNG of one pixel.
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c49444154789c63f8cfc0000003010100c9fe92ef0000000049454e44ae426082"
)


@dataclass(frozen=True)
class Draft:
    """A template's folder, to break."""

    folder: Path

    def part(self, old: str, new: str, part: str = DOCUMENT, languages: tuple[str, ...] = ("nb",)) -> None:
        """Replace the first `old` (a pattern) in a part of the Word files."""
        for language in languages:
            path = self.folder / f"{language}.docx"
            parts = read_parts(path.read_bytes())
            text, count = re.subn(old, new, parts[part].decode(), count=1, flags=re.DOTALL)
            assert count == 1, f"{old} is not in {part}"
            path.write_bytes(write_parts({**parts, part: text.encode()}))

    def styled(self, style: str, settings: str, *, before: str = "</w:rPr>") -> None:
        """Add settings to the end of a style's."""
        self.part(
            rf'(w:styleId="{style}">(?:(?!</w:style>).)*?){before}', rf"\g<1>{settings}{before}", STYLES
        )

    def text(self, file: str, old: str, new: str) -> None:
        path = self.folder / file
        before = path.read_text()
        assert old in before
        path.write_text(before.replace(old, new, 1))

    def add(self, paragraph: str, languages: tuple[str, ...] = ("nb",)) -> None:
        self.part("<w:sectPr>", paragraph.replace("\\", r"\\") + "<w:sectPr>", languages=languages)


def words(text: str, run: str = "", paragraph: str = "") -> str:
    return f"<w:p><w:pPr>{paragraph}</w:pPr><w:r><w:rPr>{run}</w:rPr><w:t>{text}</w:t></w:r></w:p>"


def heading(level: int, text: str) -> str:
    return words(text, paragraph=f'<w:outlineLvl w:val="{level - 1}"/>')


def picture(draft: Draft) -> None:
    path = draft.folder / "nb.docx"
    document = Document(str(path))
    paragraph = document.add_paragraph("Slik finner du frem:")
    paragraph.add_run().add_picture(io.BytesIO(PIXEL), width=Pt(20))
    document.save(str(path))


def related(draft: Draft, kind: str, target: str, use: str, mode: str = ' TargetMode="External"') -> None:
    address = f"http://schemas.openxmlformats.org/officeDocument/2006/relationships/{kind}"
    entry = f'<Relationship Id="rId900" Type="{address}" Target="{target}"{mode}/></Relationships>'
    draft.part("</Relationships>", entry, RELATIONS)
    draft.add(use)


LINK = '<w:p><w:hyperlink r:id="rId900"><w:r><w:t>Les mer</w:t></w:r></w:hyperlink></w:p>'
TABLE = (
    "<w:tbl><w:tblPr/><w:tblGrid/><w:tr><w:trPr><w:tblHeader/></w:trPr>{first}</w:tr>"
    "<w:tr>{second}</w:tr></w:tbl><w:p/>"
)


def cell(text: str, settings: str = "") -> str:
    return f"<w:tc><w:tcPr>{settings}</w:tcPr>{words(text)}</w:tc>"


def table(first: str, second: str) -> str:
    return TABLE.format(first=first, second=second)


def field(instruction: str) -> str:
    return (
        f'<w:p><w:fldSimple w:instr="{instruction}"><w:r><w:t>Her er feltet</w:t></w:r></w:fldSimple></w:p>'
    )


Break = Callable[[Draft], object]
CASES: dict[str, tuple[Break, list[tuple[str, str]]]] = {
    # --- names in tags ---
    "a name that the data does not have": (
        lambda d: d.add(words("Lønn: {{ position.salary }}"), BOTH),
        [
            ("undefined_variable", f"{lang}.docx: {DOCUMENT}: Lønn: {{{{ position.salary }}}}")
            for lang in BOTH
        ],
    ),
    "a name misspelt in a branch that the sample does not reach": (
        lambda d: d.add(words("{% if backdated %}{{ unit.nmae }}{% endif %}"), BOTH),
        [("undefined_variable", f"{lang}.docx: {DOCUMENT}: {{% if backdated") for lang in BOTH],
    ),
    "a name of a party that need not be there": (
        lambda d: d.add(words("Verge: {{ parties.guardian.phone }}"), BOTH),
        [("undefined_variable", f"{lang}.docx: Verge: {{{{ parties.guardian.phone") for lang in BOTH],
    ),
    "a whole section printed": (
        lambda d: d.add(words("{{ period }}"), BOTH),
        [("not_a_value", f"{lang}.docx: {DOCUMENT}: {{{{ period }}}}") for lang in BOTH],
    ),
    "a field that is never printed": (
        lambda d: d.part("{{ case.reference }}", "x", languages=BOTH),
        [("unused_variable", f"{lang}.docx: case.reference") for lang in BOTH],
    ),
    "a field that is printed under the wrong condition": (
        lambda d: d.part(
            "{{ case.reference }}", "{% if backdated %}{{ case.reference }}{% endif %}", languages=BOTH
        ),
        [("value_not_printed", f"{lang}.docx: case.reference") for lang in BOTH],
    ),
    # --- tags ---
    "a tag without its end": (
        lambda d: d.part("{{ unit.name }}", "{{ unit.name }"),
        [("template_syntax", f"nb.docx: {DOCUMENT}: Følges opp av: {{{{ unit.name }}")],
    ),
    "an if without endif": (
        lambda d: d.add(words("{% if number %}x"), ("nb",)),
        [("template_syntax", f"nb.docx: {DOCUMENT}")],
    ),
    "a call in a tag": (
        lambda d: d.add(words("{{ unit.name.upper() }}")),
        [("forbidden_tag", f"nb.docx: {DOCUMENT}: {{{{ unit.name.upper() }}}}")],
    ),
    # --- places for signatures ---
    "no place for a party's signature": (
        lambda d: d.part("<w:hyperlink (?:(?!</w:hyperlink>).)*deltakeren.*?</w:hyperlink>", ""),
        [("signature_place", "nb.docx: participant")],
    ),
    "two places for one signature": (
        lambda d: d.part("(<w:hyperlink .*?</w:hyperlink>)", r"\1\1"),
        [("signature_place", "nb.docx: participant")],
    ),
    "a place that a screen reader calls something else": (
        lambda d: d.part("Signatur: deltaker", "Klikk her"),
        [("signature_place", "nb.docx: participant")],
    ),
    "a party without a place": (
        lambda d: d.text(
            "manifest.toml", "[parties]\n", "[parties]\nmentor = { order = 1, required = false }\n"
        ),
        [("signature_place", "manifest.toml: mentor")]
        + [("label_missing", f"manifest.toml: labels.{lang}") for lang in BOTH]
        + [
            ("unused_variable", f"{lang}.docx: parties.mentor.{name}")
            for lang in BOTH
            for name in ("first_name", "last_name", "phone", "email", "national_id")
        ],
    ),
    # --- what the document says of itself ---
    "no title": (
        lambda d: d.part("<dc:title>.*?</dc:title>", "<dc:title/>", CORE),
        [("document_title", f"nb.docx: {CORE}")],
    ),
    "the language of another country in the properties": (
        lambda d: d.part("<dc:language>nb", "<dc:language>sv", CORE),
        [("document_language", f"nb.docx: {CORE}")],
    ),
    "text without a language": (
        lambda d: d.part("<w:lang [^>]*>", "", STYLES),
        [("document_language", f"nb.docx: {STYLES}")],
    ),
    # --- for screen readers ---
    "a picture without alternative text": (
        picture,
        [("alt_text", f"nb.docx: {DOCUMENT}: Slik finner du frem:")],
    ),
    "a heading that jumps over a level": (
        lambda d: d.add(heading(4, "Vedlegg"), BOTH),
        [("heading_jump", f"{lang}.docx: {DOCUMENT}: Vedlegg") for lang in BOTH],
    ),
    "a heading that jumps when a section is left out": (
        lambda d: d.add(
            words("{%p if backdated %}") + heading(3, "Unntak") + words("{%p endif %}") + heading(4, "Klage"),
            BOTH,
        ),
        [("heading_jump", f"{lang}.docx: {DOCUMENT}: Klage") for lang in BOTH],
    ),
    "no heading at all": (
        lambda d: [
            (
                d.part('<w:outlineLvl w:val="."/>', "", STYLES, BOTH),
                d.part(f'"heading {n}"', '"Stor"', STYLES, BOTH),
            )
            for n in (1, 2)
        ],
        [("no_heading", f"{lang}.docx: {DOCUMENT}") for lang in BOTH],
    ),
    "a table without a header row": (
        lambda d: d.part("<w:tblHeader/>", ""),
        [("table_header", "nb.docx: table 1 (Part | Navn | Telefon og e-post)")],
    ),
    "a header row with an empty cell": (
        lambda d: d.add(table(cell("Dag") + cell(""), cell("Mandag") + cell("9–12")), BOTH),
        [("table_header", f"{lang}.docx: table 3 (Dag | )") for lang in BOTH],
    ),
    "cells merged over columns": (
        lambda d: d.add(table(cell("Dag") + cell("Tid"), cell("Hver dag", '<w:gridSpan w:val="2"/>')), BOTH),
        [("merged_cells", f"{lang}.docx: table 3 (Dag | Tid)") for lang in BOTH],
    ),
    "cells merged over rows": (
        lambda d: d.part("(<w:tcPr>)(<w:tcW [^>]*/>)", r'\1\2<w:vMerge w:val="restart"/>'),
        [("merged_cells", "nb.docx: table 1 (Part")],
    ),
    # --- what comes from elsewhere ---
    "a link to the web": (
        lambda d: related(d, "hyperlink", "https://www.nav.no/", LINK),
        [("external_target", f"nb.docx: {DOCUMENT}: Les mer")],
    ),
    "a picture that is fetched": (
        lambda d: related(d, "image", "http://127.0.0.1/logo.png", LINK),
        [("external_target", f"nb.docx: {DOCUMENT}: Les mer")],
    ),
    "an embedded object": (
        lambda d: d.add("<w:p><w:r><w:t>Regnearket</w:t><w:object/></w:r></w:p>"),
        [("embedded_object", f"nb.docx: {DOCUMENT}: Regnearket")],
    ),
    "another document inside": (
        lambda d: d.add(words("Vilkårene") + '<w:altChunk r:id="rId900"/>'),
        [("embedded_document", f"nb.docx: {DOCUMENT}")],
    ),
    "a field that runs a program": (
        lambda d: d.add(field("DDEAUTO cmd")),
        [("active_field", f"nb.docx: {DOCUMENT}: Her er feltet [DDEAUTO cmd]")],
    ),
    "a field that reads a file": (
        lambda d: d.add(field("INCLUDETEXT vilkår.docx")),
        [("active_field", f"nb.docx: {DOCUMENT}: Her er feltet [INCLUDETEXT")],
    ),
    "a file of another kind": (
        lambda d: (d.folder / "nb.docx").write_bytes(b"%PDF-1.7"),
        [("not_a_word_file", "nb.docx: file")],
    ),
    # --- how it looks ---
    "a font that is not there": (
        lambda d: d.add(words("Velkommen", '<w:rFonts w:ascii="Comic Sans MS" w:hAnsi="Comic Sans MS"/>')),
        [("font_missing", f"nb.docx: {DOCUMENT}: Velkommen")],
    ),
    "pale text": (
        lambda d: d.add(words("Les dette", '<w:color w:val="999999"/>')),
        [("contrast", f"nb.docx: {DOCUMENT}: Les dette")],
    ),
    "dark text on a dark cell": (
        lambda d: d.part('w:fill="E9EFF5"', 'w:fill="16324F"', STYLES),
        [("contrast", f"nb.docx: {DOCUMENT}: Part")],
    ),
    "a marker over pale text": (
        lambda d: d.add(words("Viktig", '<w:color w:val="FF0000"/><w:highlight w:val="yellow"/>')),
        [("contrast", f"nb.docx: {DOCUMENT}: Viktig")],
    ),
    "a pale heading, large but not dark enough": (
        lambda d: d.styled("Heading1", '<w:color w:val="AAAAAA"/>', before="<w:b/>"),
        [("contrast", f"nb.docx: {DOCUMENT}: Ny avtale")],
    ),
    # --- the manifest and the other files ---
    "an unknown key in the manifest": (
        lambda d: d.text("manifest.toml", 'kind = "agreement"', 'kind = "agreement"\ncolour = "blue"'),
        [("template_manifest", "manifest.toml")],
    ),
    "an order group out of range": (
        lambda d: d.text("manifest.toml", "order = 2", "order = 12"),
        [("template_manifest", "manifest.toml")],
    ),
    "a label in one language only": (
        lambda d: d.text("manifest.toml", 'done = "På plass"\n', ""),
        [("template_manifest", "manifest.toml")],
    ),
    "a code without a label": (
        lambda d: [d.text("manifest.toml", f'cancelled = "{label}"\n', "") for label in ("Utgår", "Går ut")],
        [("label_missing", f"manifest.toml: labels.{lang}") for lang in BOTH],
    ),
    "the manifest of another version": (
        lambda d: d.text("manifest.toml", 'version = "1.0.0"', 'version = "2.0.0"'),
        [("template_manifest", "manifest.toml")],
    ),
    "a language without a Word file": (
        lambda d: (d.folder / "nn.docx").unlink(),
        [("missing_language", "nn.docx")],
    ),
    "a file too many": (
        lambda d: (d.folder / "nb - kopi.docx").write_bytes(b""),
        [("unexpected_file", "nb - kopi.docx")],
    ),
    "no sample": (
        lambda d: (d.folder / "sample.json").unlink(),
        [("sample", "sample.json")],
    ),
    "a sample that lacks a value": (
        lambda d: d.text("sample.json", '"measure": "work_training",', ""),
        [("sample", "sample.json: measure")],
    ),
    # --- the languages side by side ---
    "a tag in one language only": (
        lambda d: d.add(words("{{ measure }}")),
        [("language_parity", "nn.docx")],
    ),
    "a heading in one language only": (
        lambda d: d.add(heading(2, "Vedlegg")),
        [("language_parity", "nb.docx, nn.docx")],
    ),
    "tables of other shapes": (
        lambda d: (
            d.add(table(cell("Dag") + cell("Tid"), cell("Mandag") + cell("9–12")), ("nb",)),
            d.add(
                table(cell("Dag") + cell("Tid") + cell("Stad"), cell("x") + cell("y") + cell("z")), ("nn",)
            ),
        ),
        [("language_parity", "nb.docx, nn.docx")],
    ),
}


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    """A catalogue with one good template in it."""
    workshop = Workshop(tmp_path / "templates")
    workshop.start("avtale", compose=docx.compose)
    return workshop


def found(workshop: Workshop, tools: Tools) -> list[tuple[str, str, str, str]]:
    return [(f.code, f.where, f.message, f.remedy) for f in workshop.check("avtale", "1.0.0", tools=tools)]


def test_there_are_more_than_twenty() -> None:
    assert len(CASES) > 40


@pytest.mark.parametrize("case", CASES)
def test_each_fault_is_found_with_its_place_and_nothing_else(workshop: Workshop, case: str) -> None:
    fault, expected = CASES[case]
    fault(Draft(workshop.root / "avtale" / "1.0.0"))

    findings = found(workshop, Tools(docx, installed_font))

    assert sorted(code for code, *_ in findings) == sorted(code for code, _ in expected)
    for code, where in expected:
        assert [f for f in findings if f[0] == code and f[1].startswith(where)], findings
    assert all(message and remedy for *_, message, remedy in findings)


def test_a_published_template_is_not_blamed_for_fields_that_came_later(workshop: Workshop) -> None:
    draft = Draft(workshop.root / "avtale" / "1.0.0")
    draft.part("{{ backdated }}", "", languages=BOTH)
    tools = Tools(docx, installed_font)
    assert {code for code, *_ in found(workshop, tools)} == {"unused_variable"}

    workshop.lock(("avtale", "1.0.0"))
    assert found(workshop, tools) == []


# --- what only the finished PDF shows ---


@pytest.fixture(scope="module")
def rendering(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tools]:
    settings = load_settings({"SIGNERT_HOME": str(tmp_path_factory.mktemp("home"))})
    with open_checks(settings, render=True) as tools:
        yield tools


def test_the_good_one_is_without_findings(workshop: Workshop, rendering: Tools) -> None:
    assert found(workshop, rendering) == []


def hide(draft: Draft) -> None:
    draft.part(
        "(<w:r>)(<w:t [^>]*>- ?|<w:t [^>]*>)(Sak: {{ case.reference }})", r"\1<w:rPr><w:vanish/></w:rPr>\2\3"
    )


def unreadable(draft: Draft) -> None:
    path = draft.folder / "sample.json"
    sample = json.loads(path.read_text())
    sample["position"]["title"] = "麵包師"
    path.write_text(json.dumps(sample))


RENDERED: dict[str, tuple[Break, set[tuple[str, str]]]] = {
    "hidden text": (hide, {("value_not_printed", "nb.docx: case.reference")}),
    "a signature that reaches over the edge of the page": (
        lambda d: d.text("manifest.toml", "width = 240", "width = 400"),
        {("signature_place", f"{lang}.docx: made into a PDF with the sample") for lang in BOTH},
    ),
    "letters that no font has": (
        unreadable,
        {("glyph_missing", f"{lang}.docx: made into a PDF with the sample") for lang in BOTH},
    ),
}


@pytest.mark.parametrize("case", RENDERED)
def test_a_fault_that_shows_in_the_pdf_is_found(workshop: Workshop, rendering: Tools, case: str) -> None:
    fault, expected = RENDERED[case]
    fault(Draft(workshop.root / "avtale" / "1.0.0"))

    assert {(code, where) for code, where, *_ in found(workshop, rendering)} == expected
