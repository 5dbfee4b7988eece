"""The structure that a screen reader goes by: headings, tables, pictures."""

from __future__ import annotations

import re

from lxml import etree

from service.adapters.docx.package import NAMESPACES, W, parse, read_parts, story_parts
from service.adapters.docx.styles import Styles, element_text, enclosing_text, is_tag_row
from service.domain.word_content import Paragraph, Picture, Table

__all__ = ["paragraphs", "pictures", "tables"]

_DRAWING = "{http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing}docPr"
_VML = "{urn:schemas-microsoft-com:vml}"
_HEADING_NAME = re.compile(r"heading ([1-9])", re.IGNORECASE)


def paragraphs(docx: bytes) -> list[Paragraph]:
    """The paragraphs that have text: the document's, then those of headers and footers."""
    parts = read_parts(docx)
    styles = Styles.of(parts)
    return [
        Paragraph(name, text, _level(paragraph, styles))
        for name in story_parts(parts)
        for paragraph in parse(parts[name]).iter(f"{W}p")
        if (text := element_text(paragraph))
    ]


def _level(paragraph: etree._Element, styles: Styles) -> int:
    """By outline level (ECMA-376 part 1, 17.3.1.20), own or of the style; by the style's name where that is not set."""
    own = paragraph.find("w:pPr/w:outlineLvl", NAMESPACES)
    chain = styles.paragraph_chain(paragraph)
    inherited = (s.find("w:pPr/w:outlineLvl", NAMESPACES) for s in chain)
    for found in (own, *inherited):
        if found is not None:
            level = int(found.get(f"{W}val", "9"))
            return level + 1 if level < 9 else 0
    for style in chain:
        name = style.find("w:name", NAMESPACES)
        match = _HEADING_NAME.fullmatch(name.get(f"{W}val", "")) if name is not None else None
        if match:
            return int(match[1])
    return 0


def tables(docx: bytes) -> list[Table]:
    """The tables of the body, in order; those of headers and footers are layout that nobody reads aloud."""
    body = parse(read_parts(docx)["word/document.xml"])
    return [_table(number, table) for number, table in enumerate(body.iter(f"{W}tbl"), start=1)]


def _table(number: int, table: etree._Element) -> Table:
    rows = [row for row in table.iterfind("w:tr", NAMESPACES) if not is_tag_row(row)]
    header = rows[0] if rows else None
    cells = [] if header is None else header.findall("w:tc", NAMESPACES)
    headings = [element_text(cell) for cell in cells]
    marked = None if header is None else header.find("w:trPr/w:tblHeader", NAMESPACES)
    merged = next(
        (element_text(cell) for row in rows for cell in row.iterfind("w:tc", NAMESPACES) if _is_merged(cell)),
        None,
    )
    return Table(
        number=number,
        title=" | ".join(headings),
        columns=len(cells),
        rows=len(rows),
        has_header_row=marked is not None and marked.get(f"{W}val", "1") not in ("0", "false", "off"),
        empty_headings=sum(not heading for heading in headings),
        merged=merged,
    )


def _is_merged(cell: etree._Element) -> bool:
    span = cell.find("w:tcPr/w:gridSpan", NAMESPACES)
    return (
        (span is not None and span.get(f"{W}val", "1") != "1")
        or cell.find("w:tcPr/w:vMerge", NAMESPACES) is not None
        or cell.find("w:tcPr/w:hMerge", NAMESPACES) is not None
    )


def pictures(docx: bytes) -> list[Picture]:
    """Pictures, drawings and text boxes, in the form of Word 2007 and in the older one (VML)."""
    parts = read_parts(docx)
    found = []
    for part in story_parts(parts):
        root = parse(parts[part])
        for element in root.iter(_DRAWING):
            text = (element.get("descr") or "").strip()
            found.append(Picture(enclosing_text(part, element), element.get("name", ""), text))
        for element in root.iter(f"{_VML}shape", f"{_VML}rect"):
            # Word writes a drawing twice for older programs (mc:AlternateContent): the newer form is looked at.
            if not any(etree.QName(a).localname == "Fallback" for a in element.iterancestors()):
                text = (element.get("alt") or "").strip()
                found.append(Picture(enclosing_text(part, element), element.get("id", ""), text))
    return found
