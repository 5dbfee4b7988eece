"""Styles of a Word file (ECMA-376 part 1, 17.7): chains of inheritance, theme fonts and colours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lxml import etree

from service.adapters.docx.language import TAG
from service.adapters.docx.package import NAMESPACES, W, parse

__all__ = ["Styles", "element_text", "enclosing_text", "is_tag_row"]

_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_MAX_CHAIN = 11
"""Longest chain of `basedOn` that Word keeps; a circle ends there too."""
_THEME_FONTS = {"major": "majorFont", "minor": "minorFont"}
# What documents call a theme's colours, by what the theme calls them (17.18.97, with Word's usual mapping).
_THEME_COLOURS = {
    "text1": "dk1",
    "dark1": "dk1",
    "background1": "lt1",
    "light1": "lt1",
    "text2": "dk2",
    "dark2": "dk2",
    "background2": "lt2",
    "light2": "lt2",
    "hyperlink": "hlink",
    "followedHyperlink": "folHlink",
}


def element_text(element: etree._Element) -> str:
    """The element's text on one line, white space folded."""
    pieces = []
    for each in element.iter(f"{W}t", f"{W}tab", f"{W}br", f"{W}p"):
        pieces.append(each.text or "" if each.tag == f"{W}t" else " ")
    return " ".join("".join(pieces).split())


def is_tag_row(row: etree._Element) -> bool:
    """Whether a table row holds nothing but `{%tr … %}`, so that it is gone from the document."""
    text = element_text(row)
    return text.startswith("{%tr") and not TAG.sub("", text).strip()


def enclosing_text(part: str, element: etree._Element) -> str:
    """Part and text of the paragraph around an element, or of the nearest one before it that has text."""
    paragraph = next(iter(element.iterancestors(f"{W}p")), None)
    if paragraph is None and element.tag == f"{W}p":
        paragraph = element
    if paragraph is None:
        return part
    if text := element_text(paragraph):
        return f"{part}: {text[:120]}"
    for before in paragraph.itersiblings(f"{W}p", preceding=True):
        if text := element_text(before):
            return f"{part}: after «{text[:100]}»"
    return part


@dataclass(frozen=True)
class Styles:
    """A document's styles by id, its defaults, and what its theme calls fonts and colours."""

    by_id: Mapping[str, etree._Element]
    default_paragraph: etree._Element | None
    default_table: etree._Element | None
    default_run: etree._Element | None
    """`w:rPr` of the document's defaults."""
    theme_fonts: Mapping[str, str]
    theme_colours: Mapping[str, str]

    @classmethod
    def of(cls, parts: Mapping[str, bytes]) -> Styles:
        root = parse(parts.get("word/styles.xml", b"<empty/>"))
        by_id = {s.get(f"{W}styleId", ""): s for s in root.iterfind("w:style", NAMESPACES)}
        defaults = {
            s.get(f"{W}type", ""): s for s in by_id.values() if s.get(f"{W}default") in ("1", "true", "on")
        }
        fonts, colours = _theme(parts)
        return cls(
            by_id,
            defaults.get("paragraph"),
            defaults.get("table"),
            root.find("w:docDefaults/w:rPrDefault/w:rPr", NAMESPACES),
            fonts,
            colours,
        )

    def chain(self, style: etree._Element | None) -> list[etree._Element]:
        """The style and those it is based on, nearest first."""
        found: list[etree._Element] = []
        while style is not None and len(found) < _MAX_CHAIN:
            found.append(style)
            base = style.find("w:basedOn", NAMESPACES)
            style = self.by_id.get(base.get(f"{W}val", "")) if base is not None else None
        return found

    def paragraph_chain(self, paragraph: etree._Element) -> list[etree._Element]:
        named = paragraph.find("w:pPr/w:pStyle", NAMESPACES)
        style = self.by_id.get(named.get(f"{W}val", "")) if named is not None else None
        return self.chain(self.default_paragraph if style is None else style)

    def run_chain(self, run: etree._Element) -> list[etree._Element]:
        named = run.find("w:rPr/w:rStyle", NAMESPACES)
        return [] if named is None else self.chain(self.by_id.get(named.get(f"{W}val", "")))

    def table_chain(self, table: etree._Element) -> list[etree._Element]:
        named = table.find("w:tblPr/w:tblStyle", NAMESPACES)
        style = self.by_id.get(named.get(f"{W}val", "")) if named is not None else None
        return self.chain(self.default_table if style is None else style)

    def theme_font(self, name: str) -> str | None:
        """`minorHAnsi` → the theme's font for that; None where it has none."""
        return self.theme_fonts.get(name[:5])

    def theme_colour(self, name: str) -> str | None:
        return self.theme_colours.get(_THEME_COLOURS.get(name, name))

    def name(self, style: etree._Element) -> str:
        found = style.find("w:name", NAMESPACES)
        return found.get(f"{W}val", "") if found is not None else style.get(f"{W}styleId", "")


def _theme(parts: Mapping[str, bytes]) -> tuple[dict[str, str], dict[str, str]]:
    name = next((n for n in sorted(parts) if n.startswith("word/theme/") and n.endswith(".xml")), None)
    if name is None:
        return {}, {}
    root = parse(parts[name])
    fonts = {}
    for short, long in _THEME_FONTS.items():
        latin = root.find(f".//{_A}{long}/{_A}latin")
        if latin is not None and latin.get("typeface"):
            fonts[short] = latin.get("typeface", "")
    colours = {}
    for scheme in root.iterfind(f".//{_A}clrScheme/*"):
        for value in scheme:
            colour = value.get("lastClr") or value.get("val") or ""
            if len(colour) == 6:
                colours[etree.QName(scheme).localname] = colour.upper()
    return fonts, colours
