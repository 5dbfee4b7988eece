"""A Word file from plainly written text, for a template to start from.

# Heading 1            ## Heading 2            - an item of a list
| a row | of a table   (the first row is its header row)
[[role|tooltip]] text  (in a cell: the place for that role's signature)
= the footer           anything else is a paragraph, tags too
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from xml.sax.saxutils import escape, quoteattr

from service.adapters.docx.package import NAMESPACES, write_parts

__all__ = ["compose"]

_PLACE = re.compile(r"\[\[([a-z_]+)\|([^]]+)\]\] ?(.*)")
_WIDTH = 9638
"""Twips between the margins of A4."""
_ROW_FOR_SIGNATURE = 1310
_WIDTHS_FOR_SIGNATURES = (4488, 5150)
"""Two columns: who signs, and where, with room for a signature of 240 by 56 points."""
_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_W = f'xmlns:w="{NAMESPACES["w"]}" xmlns:r="{NAMESPACES["r"]}"'
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPES = "application/vnd.openxmlformats-officedocument.wordprocessingml"


def compose(text: str, *, title: str, language: str) -> bytes:
    """The document, with title and language (BCP 47) set, and styles for everything in it."""
    lines = [line for line in text.splitlines() if line.strip()]
    composer = _Composer()
    footer = "".join(_paragraph("Footer", line[1:].strip()) for line in lines if line.startswith("="))
    body = "".join(composer.blocks([line for line in lines if not line.startswith("=")]))
    section = (
        '<w:sectPr><w:footerReference w:type="default" r:id="rId4"/><w:pgSz w:w="11906" w:h="16838"/>'
        '<w:pgMar w:top="1304" w:right="1134" w:bottom="1191" w:left="1134" w:header="624" w:footer="567"'
        ' w:gutter="0"/></w:sectPr>'
    )
    parts = {
        "[Content_Types].xml": _content_types(),
        "_rels/.rels": _relationships(
            ("rId1", f"{_OFFICE}/officeDocument", "word/document.xml"),
            ("rId2", f"{_PACKAGE}/relationships/metadata/core-properties", "docProps/core.xml"),
        ),
        "docProps/core.xml": (
            f'{_XML}<cp:coreProperties xmlns:cp="{NAMESPACES["cp"]}" xmlns:dc="{NAMESPACES["dc"]}">'
            f"<dc:title>{escape(title)}</dc:title><dc:language>{language}</dc:language></cp:coreProperties>"
        ),
        "word/document.xml": f"{_XML}<w:document {_W}><w:body>{body}{section}</w:body></w:document>",
        "word/_rels/document.xml.rels": _relationships(
            ("rId1", f"{_OFFICE}/styles", "styles.xml"),
            ("rId2", f"{_OFFICE}/numbering", "numbering.xml"),
            ("rId3", f"{_OFFICE}/settings", "settings.xml"),
            ("rId4", f"{_OFFICE}/footer", "footer1.xml"),
            *((i, f"{_OFFICE}/hyperlink", target) for i, target in composer.links),
        ),
        "word/styles.xml": _styles(language),
        "word/numbering.xml": _NUMBERING,
        "word/settings.xml": _SETTINGS,
        "word/footer1.xml": f"{_XML}<w:ftr {_W}>{footer or _paragraph('Footer', '')}</w:ftr>",
    }
    return write_parts({name: part.encode("utf-8") for name, part in parts.items()})


class _Composer:
    """Turns lines into paragraphs and tables, and keeps the links they hold."""

    def __init__(self) -> None:
        self.links: list[tuple[str, str]] = []
        self.heading = ""

    def blocks(self, lines: Sequence[str]) -> Iterator[str]:
        for is_table, group in groupby(lines, lambda line: line.startswith("|")):
            if is_table:
                yield self.table([_cells(line) for line in group])
                continue
            for line in group:
                yield self.paragraph(line)

    def paragraph(self, line: str) -> str:
        for mark, style in (("## ", "Heading2"), ("# ", "Heading1"), ("- ", "ListBullet")):
            if line.startswith(mark):
                text = line.removeprefix(mark)
                self.heading = text if style.startswith("Heading") else self.heading
                return _paragraph(style, text)
        return _paragraph("Normal", line)

    def table(self, rows: Sequence[Sequence[str]]) -> str:
        signed = any(_PLACE.match(cell) for row in rows for cell in row)
        widths = _WIDTHS_FOR_SIGNATURES if signed else [_WIDTH // len(rows[0])] * len(rows[0])
        grid = "".join(f'<w:gridCol w:w="{width}"/>' for width in widths)
        body = "".join(self.row(row, widths, is_header=number == 0) for number, row in enumerate(rows))
        return (
            f'<w:tbl><w:tblPr><w:tblStyle w:val="Avtaletabell"/><w:tblW w:w="{_WIDTH}" w:type="dxa"/>'
            '<w:tblLayout w:type="fixed"/><w:tblLook w:val="0620" w:firstRow="1" w:lastRow="0"'
            ' w:firstColumn="0" w:lastColumn="0" w:noHBand="1" w:noVBand="1"/>'
            f"<w:tblCaption w:val={quoteattr(self.heading)}/></w:tblPr><w:tblGrid>{grid}</w:tblGrid>{body}</w:tbl>"
        )

    def row(self, cells: Sequence[str], widths: Sequence[int], *, is_header: bool) -> str:
        marks = "<w:cantSplit/>"
        if any(_PLACE.match(cell) for cell in cells):
            marks += f'<w:trHeight w:val="{_ROW_FOR_SIGNATURE}" w:hRule="atLeast"/>'
        if is_header:
            marks += "<w:tblHeader/>"
        style = "TableHeading" if is_header else "TableText"
        filled = "".join(
            f'<w:tc><w:tcPr><w:tcW w:w="{width}" w:type="dxa"/></w:tcPr>{self.cell(cell, style)}</w:tc>'
            for cell, width in zip(cells, widths, strict=True)
        )
        return f"<w:tr><w:trPr>{marks}</w:trPr>{filled}</w:tr>"

    def cell(self, text: str, style: str) -> str:
        match = _PLACE.match(text)
        if match is None:
            return _paragraph(style, text)
        role, tooltip, shown = match.groups()
        relation = f"rId{100 + len(self.links)}"
        self.links.append((relation, f"https://signature.invalid/{role}"))
        link = (
            f'<w:hyperlink r:id="{relation}" w:tooltip={quoteattr(tooltip)} w:history="1">'
            f"{_run(shown, 'Hyperlink')}</w:hyperlink>"
        )
        return f'<w:p><w:pPr><w:pStyle w:val="{style}"/></w:pPr>{link}</w:p>'


def _cells(line: str) -> list[str]:
    """The cells of a row; a bar inside of brackets is no border."""
    return [cell.strip() for cell in re.split(r"\|(?![^\[]*\]\])", line)[1:]]


def _paragraph(style: str, text: str) -> str:
    return f'<w:p><w:pPr><w:pStyle w:val="{style}"/></w:pPr>{_run(text) if text else ""}</w:p>'


def _run(text: str, style: str = "") -> str:
    properties = f'<w:rPr><w:rStyle w:val="{style}"/></w:rPr>' if style else ""
    return f'<w:r>{properties}<w:t xml:space="preserve">{escape(text)}</w:t></w:r>'


def _relationships(*relations: tuple[str, str, str]) -> str:
    entries = "".join(
        f'<Relationship Id="{i}" Type="{kind}" Target={quoteattr(target)}'
        f"{' TargetMode=' + quoteattr('External') if '://' in target else ''}/>"
        for i, kind, target in relations
    )
    return f'{_XML}<Relationships xmlns="{NAMESPACES["rel"]}">{entries}</Relationships>'


def _content_types() -> str:
    overrides = {
        "word/document.xml": f"{_TYPES}.document.main+xml",
        "word/styles.xml": f"{_TYPES}.styles+xml",
        "word/numbering.xml": f"{_TYPES}.numbering+xml",
        "word/footer1.xml": f"{_TYPES}.footer+xml",
        "word/settings.xml": f"{_TYPES}.settings+xml",
        "docProps/core.xml": "application/vnd.openxmlformats-package.core-properties+xml",
    }
    entries = "".join(
        f'<Override PartName="/{name}" ContentType="{kind}"/>' for name, kind in overrides.items()
    )
    return (
        f'{_XML}<Types xmlns="{NAMESPACES["ct"]}"><Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Default Extension="xml" ContentType="application/xml"/>{entries}</Types>'
    )


# Twentieths of a point, half-points and hexadecimal colours, as Word writes them.
_BULLET = '<w:rFonts w:ascii="Calibri" w:hAnsi="Calibri" w:cs="Calibri"/><w:color w:val="16324F"/>'
_NUMBERING = (
    f'{_XML}<w:numbering {_W}><w:abstractNum w:abstractNumId="0"><w:multiLevelType w:val="singleLevel"/>'
    '<w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="bullet"/><w:pStyle w:val="ListBullet"/>'
    '<w:lvlText w:val="•"/><w:lvlJc w:val="left"/><w:pPr><w:ind w:left="340" w:hanging="340"/></w:pPr>'
    f"<w:rPr>{_BULLET}</w:rPr></w:lvl></w:abstractNum>"
    '<w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num></w:numbering>'
)
# Without the mode of Word 2013, tables stand out into the margin.
_SETTINGS = (
    f'{_XML}<w:settings {_W}><w:compat><w:compatSetting w:name="compatibilityMode" '
    'w:uri="http://schemas.microsoft.com/office/word" w:val="15"/></w:compat></w:settings>'
)
_TIGHT = '<w:spacing w:before="0" w:after="0" w:line="252" w:lineRule="auto"/>'
_DARK = '<w:b/><w:bCs/><w:color w:val="16324F"/>'
_PARAGRAPH_STYLES = (
    # id, name, based on, paragraph settings, run settings
    ("Heading1", "heading 1", "Normal", '<w:keepNext/><w:spacing w:before="0" w:after="120"/>'
     '<w:outlineLvl w:val="0"/>', f'{_DARK}<w:sz w:val="44"/><w:szCs w:val="44"/>'),
    ("Heading2", "heading 2", "Normal", '<w:keepNext/><w:spacing w:before="250" w:after="80"/>'
     '<w:outlineLvl w:val="1"/>', f'{_DARK}<w:sz w:val="28"/><w:szCs w:val="28"/>'),
    ("ListBullet", "List Bullet", "Normal", '<w:numPr><w:numId w:val="1"/></w:numPr><w:spacing w:after="60"/>'
     '<w:ind w:left="340" w:hanging="340"/>', ""),
    ("TableText", "Tabelltekst", "Normal", _TIGHT, '<w:sz w:val="20"/><w:szCs w:val="20"/>'),
    ("TableHeading", "Tabellhode", "TableText", "<w:keepNext/>", _DARK),
    ("Footer", "footer", "Normal", '<w:spacing w:after="0"/>',
     '<w:color w:val="555F6B"/><w:sz w:val="17"/><w:szCs w:val="17"/>'),
)  # fmt: skip


def _styles(language: str) -> str:
    fonts = '<w:rFonts w:ascii="Calibri" w:eastAsia="Calibri" w:hAnsi="Calibri" w:cs="Calibri"/>'
    styles = "".join(
        f'<w:style w:type="paragraph" w:styleId="{i}"><w:name w:val="{name}"/><w:basedOn w:val="{base}"/>'
        f"<w:qFormat/><w:pPr>{paragraph}</w:pPr><w:rPr>{run}</w:rPr></w:style>"
        for i, name, base, paragraph, run in _PARAGRAPH_STYLES
    )
    return (
        f"{_XML}<w:styles {_W}><w:docDefaults><w:rPrDefault><w:rPr>{fonts}"
        '<w:color w:val="1A1F24"/><w:sz w:val="21"/><w:szCs w:val="21"/>'
        f'<w:lang w:val="{language}" w:eastAsia="{language}" w:bidi="ar-SA"/></w:rPr></w:rPrDefault>'
        '<w:pPrDefault><w:pPr><w:spacing w:after="120" w:line="269" w:lineRule="auto"/></w:pPr></w:pPrDefault>'
        '</w:docDefaults><w:style w:type="paragraph" w:default="1" w:styleId="Normal"><w:name w:val="Normal"/>'
        f"<w:qFormat/></w:style>{styles}"
        '<w:style w:type="character" w:styleId="Hyperlink"><w:name w:val="Hyperlink"/><w:rPr>'
        '<w:color w:val="555F6B"/><w:u w:val="none"/></w:rPr></w:style>'
        '<w:style w:type="table" w:default="1" w:styleId="TableNormal"><w:name w:val="Normal Table"/></w:style>'
        '<w:style w:type="table" w:customStyle="1" w:styleId="Avtaletabell"><w:name w:val="Avtaletabell"/>'
        '<w:basedOn w:val="TableNormal"/><w:qFormat/><w:tblPr><w:tblBorders>'
        '<w:top w:val="single" w:sz="8" w:space="0" w:color="16324F"/>'
        '<w:bottom w:val="single" w:sz="4" w:space="0" w:color="C9D3DD"/>'
        '<w:insideH w:val="single" w:sz="4" w:space="0" w:color="C9D3DD"/></w:tblBorders><w:tblCellMar>'
        '<w:top w:w="48" w:type="dxa"/><w:left w:w="100" w:type="dxa"/><w:bottom w:w="48" w:type="dxa"/>'
        '<w:right w:w="100" w:type="dxa"/></w:tblCellMar></w:tblPr><w:tblStylePr w:type="firstRow"><w:tblPr/>'
        '<w:tcPr><w:shd w:val="clear" w:color="auto" w:fill="E9EFF5"/></w:tcPr></w:tblStylePr></w:style>'
        "</w:styles>"
    )
