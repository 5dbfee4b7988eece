"""How text looks once everything that says so is put together (ECMA-376 part 1, 17.7.2).

From the nearest to the farthest: the run's own settings, its character style, the paragraph's style, the table's
style with its conditions (first row, bands …), the document's defaults.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from lxml import etree

from service.adapters.docx.language import TAG
from service.adapters.docx.package import NAMESPACES, W, parse, read_parts, story_parts
from service.adapters.docx.styles import Styles, element_text, is_tag_row
from service.domain.word_content import Look

__all__ = ["looks"]

_PAPER = "FFFFFF"
_OFF = ("0", "false", "off", "none")
_DEFAULT_POINTS = 10.0  # 17.3.2.38, where nothing says a size
_DEFAULT_FONT = "Times New Roman"  # where nothing names a font
_HIGHLIGHTS = {
    "black": "000000", "blue": "0000FF", "cyan": "00FFFF", "darkBlue": "000080", "darkCyan": "008080",
    "darkGray": "808080", "darkGreen": "008000", "darkMagenta": "800080", "darkRed": "800000",
    "darkYellow": "808000", "green": "00FF00", "lightGray": "C0C0C0", "magenta": "FF00FF", "red": "FF0000",
    "white": "FFFFFF", "yellow": "FFFF00",
}  # fmt: skip
_LOOK_BITS = {
    "firstRow": 0x20, "lastRow": 0x40, "firstColumn": 0x80, "lastColumn": 0x100, "noHBand": 0x200,
    "noVBand": 0x400,
}  # fmt: skip
_BANDS = ("band1Horz", "band2Horz")
_WORDS_LOOK = 0x04A0
"""What Word gives a new table: first row, first column, horizontal bands."""


def looks(docx: bytes) -> list[Look]:
    """Every run that prints text, in order; the document's, then those of headers and footers."""
    parts = read_parts(docx)
    styles = Styles.of(parts)
    found = []
    for name in story_parts(parts):
        root = parse(parts[name])
        page = root.find("w:background", NAMESPACES)
        paper = (_rgb(page.get(f"{W}color")) if page is not None else None) or _PAPER
        for paragraph in root.iter(f"{W}p"):
            text = element_text(paragraph)
            if TAG.sub("", text).strip() or "{{" in text:
                place = _Place(styles, paragraph, paper)
                found += list(_runs(name, text, place))
    return found


def _runs(part: str, text: str, place: _Place) -> Iterator[Look]:
    for run in place.paragraph.iter(f"{W}r"):
        if next(iter(run.iterancestors(f"{W}p"))) is not place.paragraph:
            continue  # of a text box in this paragraph: it has paragraphs of its own
        printed = "".join(t.text or "" for t in run.iter(f"{W}t")).strip()
        if printed:
            yield _look(f"{part}: {text[:120]}", printed, run, place)


@dataclass(frozen=True)
class _Layer:
    """Settings of one level: run (`rPr`) and, where there are any, paragraph and cell. `source` is for people."""

    source: str
    settings: etree._Element


class _Place:
    """A paragraph and what it inherits."""

    def __init__(self, styles: Styles, paragraph: etree._Element, paper: str) -> None:
        self.styles = styles
        self.paragraph = paragraph
        self.paper = paper

    @cached_property
    def chain(self) -> list[etree._Element]:
        return self.styles.paragraph_chain(self.paragraph)

    @cached_property
    def cells(self) -> list[etree._Element]:
        """The cells around the paragraph, innermost first."""
        return list(self.paragraph.iterancestors(f"{W}tc"))

    @cached_property
    def table_settings(self) -> list[list[_Layer]]:
        """For each cell around: what its table's style says of it, strongest condition first."""
        return [list(_cell_settings(cell, self.styles)) for cell in self.cells]


def _look(where: str, printed: str, run: etree._Element, place: _Place) -> Look:
    styles = place.styles
    own = run.find("w:rPr", NAMESPACES)
    run_chain = styles.run_chain(run)
    layers = [
        *([_Layer("the text itself", own)] if own is not None else []),
        *(_Layer(f"style {styles.name(s)}", p) for s in run_chain for p in s.iterfind("w:rPr", NAMESPACES)),
        *(_Layer(f"style {styles.name(s)}", p) for s in place.chain for p in s.iterfind("w:rPr", NAMESPACES)),
        *(
            _Layer(layer.source, p)
            for layer in (place.table_settings[0] if place.table_settings else [])
            for p in layer.settings.iterfind("w:rPr", NAMESPACES)
        ),
        *([_Layer("the document's defaults", styles.default_run)] if styles.default_run is not None else []),
    ]
    colour, source = _colour(layers, styles)
    size = _first(layers, "w:sz")
    return Look(
        where,
        printed,
        _fonts(layers, styles, printed),
        float(size.get(f"{W}val", "0")) / 2 if size is not None else _DEFAULT_POINTS,
        _is_on(_first(layers, "w:b")),
        colour,
        _backgrounds(layers, place),
        source,
    )


def _first(layers: Iterable[_Layer], path: str) -> etree._Element | None:
    return next((e for layer in layers if (e := layer.settings.find(path, NAMESPACES)) is not None), None)


def _is_on(element: etree._Element | None) -> bool:
    return element is not None and element.get(f"{W}val", "1") not in _OFF


def _colour(layers: Sequence[_Layer], styles: Styles) -> tuple[str | None, str]:
    for layer in layers:
        element = layer.settings.find("w:color", NAMESPACES)
        if element is not None:
            named = element.get(f"{W}themeColor")
            theme = styles.theme_colour(named) if named else None
            return _rgb(element.get(f"{W}val")) or theme, layer.source
    return None, ""


def _rgb(value: str | None) -> str | None:
    return value.upper() if value is not None and len(value) == 6 else None


def _fonts(layers: Sequence[_Layer], styles: Styles, text: str) -> frozenset[str]:
    """The fonts for the text's ASCII and other characters (17.3.2.26); a theme's font goes before a named one."""
    slots = ["ascii"] if any(c.isascii() for c in text) else []
    slots += ["hAnsi"] if not text.isascii() else []
    found = set()
    for slot in slots:
        for layer in layers:
            fonts = layer.settings.find("w:rFonts", NAMESPACES)
            if fonts is None:
                continue
            theme = fonts.get(f"{W}{slot}Theme")
            name = (styles.theme_font(theme) if theme else None) or fonts.get(f"{W}{slot}")
            if name:
                found.add(name)
                break
        else:
            found.add(_DEFAULT_FONT)
    return frozenset(found)


# --- backgrounds ---


def _backgrounds(layers: Sequence[_Layer], place: _Place) -> frozenset[str]:
    highlight = _first(layers, "w:highlight")
    if highlight is not None and (colour := _HIGHLIGHTS.get(highlight.get(f"{W}val", ""))):
        return frozenset({colour})
    own = [layer.settings.find("w:shd", NAMESPACES) for layer in layers]
    paragraph = [place.paragraph.find("w:pPr/w:shd", NAMESPACES)]
    paragraph += [s.find("w:pPr/w:shd", NAMESPACES) for s in place.chain]
    for shading in (*own, *paragraph):
        if (colour := _fill(shading, place.styles)) is not None:
            return frozenset({colour})
    for cell, settings in zip(place.cells, place.table_settings, strict=True):
        if (colour := _fill(cell.find("w:tcPr/w:shd", NAMESPACES), place.styles)) is not None:
            return frozenset({colour})
        if found := _table_fills(cell, settings, place.styles):
            return found
    return frozenset({place.paper})


def _table_fills(cell: etree._Element, settings: Sequence[_Layer], styles: Styles) -> frozenset[str]:
    """The shades that the table gives its cell: one for each band, as rows are counted when the document is made."""
    table = next(iter(cell.iterancestors(f"{W}tbl")))
    found = []
    for other in _BANDS:
        layers = (layer for layer in settings if not layer.source.endswith(other))
        fills = (_fill(layer.settings.find("w:tcPr/w:shd", NAMESPACES), styles) for layer in layers)
        style = next((fill for fill in fills if fill), None)
        found.append(style or _fill(table.find("w:tblPr/w:shd", NAMESPACES), styles))
    return frozenset(fill or _PAPER for fill in found) if any(found) else frozenset()


def _fill(shading: etree._Element | None, styles: Styles) -> str | None:
    """The colour of a shade (17.3.5), a pattern as the mix of its two colours; None for none."""
    if shading is None or shading.get(f"{W}val") == "nil":
        return None
    theme = shading.get(f"{W}themeFill")
    fill = _rgb(shading.get(f"{W}fill")) or (styles.theme_colour(theme) if theme else None)
    pattern, front = shading.get(f"{W}val", "clear"), _rgb(shading.get(f"{W}color")) or "000000"
    share = 1.0 if pattern == "solid" else 0.0
    if pattern.startswith("pct") and pattern[3:].isdigit():
        share = int(pattern[3:]) / 100
    if not share:
        return fill
    back = fill or _PAPER
    mixed = (
        round(int(front[i : i + 2], 16) * share + int(back[i : i + 2], 16) * (1 - share)) for i in (0, 2, 4)
    )
    return "".join(f"{channel:02X}" for channel in mixed)


# --- table styles ---


def _cell_settings(cell: etree._Element, styles: Styles) -> Iterator[_Layer]:
    """What the table's style says of a cell, by Word's order: corners last, so they stand first here."""
    row = next(iter(cell.iterancestors(f"{W}tr")))
    table = next(iter(row.iterancestors(f"{W}tbl")))
    chain = styles.table_chain(table)
    for condition in _conditions(cell, row, table):
        for style in chain:
            for settings in style.iterfind(f"w:tblStylePr[@w:type='{condition}']", NAMESPACES):
                yield _Layer(f"table style {styles.name(style)}, {condition}", settings)
    for style in chain:
        yield _Layer(f"table style {styles.name(style)}", style)


def _conditions(cell: etree._Element, row: etree._Element, table: etree._Element) -> Iterator[str]:
    look = table.find("w:tblPr/w:tblLook", NAMESPACES)

    def has(name: str) -> bool:
        if look is None:
            return bool(_WORDS_LOOK & _LOOK_BITS[name])
        given = look.get(f"{W}{name}")
        if given is not None:
            return given not in _OFF
        return bool(int(look.get(f"{W}val", "0") or "0", 16) & _LOOK_BITS[name])

    rows = [r for r in table.iterfind("w:tr", NAMESPACES) if not is_tag_row(r)]
    cells = row.findall("w:tc", NAMESPACES)
    top, bottom = row in rows[:1] and has("firstRow"), row in rows[-1:] and has("lastRow")
    left, right = cell is cells[0] and has("firstColumn"), cell is cells[-1] and has("lastColumn")
    corners = {"nwCell": top and left, "neCell": top and right, "swCell": bottom and left}
    yield from (name for name, applies in corners.items() if applies)
    if bottom and right:
        yield "seCell"
    sides = {"firstRow": top, "lastRow": bottom, "firstCol": left, "lastCol": right}
    yield from (name for name, applies in sides.items() if applies)
    if not (has("noHBand") or top or bottom):
        yield from _BANDS
    if not (has("noVBand") or left or right):
        yield "band1Vert" if cells.index(cell) % 2 == int(has("firstColumn")) else "band2Vert"
