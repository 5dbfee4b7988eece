"""Word files with everything in them that has to come out accessible."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterable

from docx import Document
from docx.document import Document as WordDocument
from docx.enum.style import WD_STYLE_TYPE
from docx.opc.constants import RELATIONSHIP_TYPE
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Mm
from docx.text.paragraph import Paragraph

TITLE = "Avtale om tilrettelegging og oppfølging"
LONG = "Arbeidsgiver tilrettelegger arbeidsplassen, og Nav følger opp innen avtalte frister. Ájlin Šárá Żółkiewski. "
LINKS = {
    "https://signature.invalid/participant": "Signatur: deltaker",
    "https://signature.invalid/employer": "Signatur: arbeidsgiver",
}


def accessible(title: str = TITLE, language: str = "nb-NO", filler: int = 12) -> bytes:
    """A4, three pages or so: headings, table with header row, lists, image, signature links, header and footer."""
    document = Document()
    _set_page(document)
    document.core_properties.title = title
    set_language(document, language)
    section = document.sections[0]
    section.header.paragraphs[0].text = "Topptekst som ikke er innhold"
    footer = section.footer.paragraphs[0]
    footer.add_run("Side ")
    add_field(footer, "PAGE")
    footer.add_run(" av ")
    add_field(footer, "NUMPAGES")

    document.add_heading(title, 1)
    document.add_paragraph("Denne avtalen gjelder Ájlin Šárá Øvergård og Łukasz Żółkiewski.")
    document.add_heading("Tilrettelegging", 2)
    add_table(
        document, ("Behov", "Tiltak", "Frist"), (("Rullestolrampe", "Bygges ved inngangen", "1. mars 2027"),)
    )
    document.add_heading("Mål", 2)
    for item in ("Fast jobb i bedriften", "Bedre norsk"):
        document.add_paragraph(item, style="List Bullet")
    for item in ("Først det ene", "Så det andre"):
        document.add_paragraph(item, style="List Number")
    picture = document.add_paragraph().add_run().add_picture(io.BytesIO(png()), width=Mm(30))
    picture._inline.docPr.set("descr", "Våpenskjold: rødt felt")
    document.add_heading("Oppfølging", 2)
    for _ in range(filler):
        document.add_paragraph(LONG * 6)
    document.add_heading("Underskrifter", 2)
    for address, tooltip in LINKS.items():
        add_link(document.add_paragraph(), address, "Signeres her", tooltip)
    return saved(document)


def saved(document: WordDocument) -> bytes:
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


def a4() -> WordDocument:
    document = Document()
    _set_page(document)
    set_language(document, "nb-NO")
    return document


def set_language(document: WordDocument, language: str) -> None:
    for lang in document.styles.element.iter(qn("w:lang")):
        lang.set(qn("w:val"), language)
    document.core_properties.language = language


def add_table(document: WordDocument, header: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    titles = list(header)
    table = document.add_table(1, len(titles), style="Table Grid")
    for cell, title in zip(table.rows[0].cells, titles, strict=True):
        cell.text = title
    properties = table.rows[0]._tr.get_or_add_trPr()
    properties.append(OxmlElement("w:tblHeader"))
    for row in rows:
        for cell, content in zip(table.add_row().cells, row, strict=True):
            cell.text = content


def add_field(paragraph: Paragraph, instruction: str) -> None:
    field = OxmlElement("w:fldSimple")
    field.set(qn("w:instr"), instruction)
    run = paragraph.add_run("1")
    field.append(run._r)
    paragraph._p.append(field)


def add_link(paragraph: Paragraph, address: str, content: str, tooltip: str) -> None:
    styles = paragraph.part.document.styles
    if "Hyperlink" not in styles:
        styles.add_style("Hyperlink", WD_STYLE_TYPE.CHARACTER, builtin=True)
    link = OxmlElement("w:hyperlink")
    link.set(qn("r:id"), paragraph.part.relate_to(address, RELATIONSHIP_TYPE.HYPERLINK, is_external=True))
    link.set(qn("w:tooltip"), tooltip)
    link.append(paragraph.add_run(content, style="Hyperlink")._r)
    paragraph._p.append(link)


def png(width: int = 8, height: int = 8) -> bytes:
    """A red picture."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = b"".join(b"\0" + b"\xc0\x10\x20" * width for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def _set_page(document: WordDocument) -> None:
    section = document.sections[0]
    section.page_width, section.page_height = Mm(210), Mm(297)
