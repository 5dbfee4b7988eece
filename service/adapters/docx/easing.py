"""A Word file as LibreOffice converts it faster: tables whose style says little are given that look directly.

LibreOffice 7.4 works a table style out anew for every cell, which is a sixth of the time that an agreement takes. The
PDF is the same to the byte, but for its times. Any table that is not of the plain kind below keeps its style.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import cast

from lxml import etree

from service.adapters.docx.package import NAMESPACES, W, parse, read_parts, write_parts
from service.adapters.docx.styles import Styles
from service.errors import TemplateError

__all__ = ["eased"]

_NO_LOOK = {
    "name",
    "aliases",
    "basedOn",
    "next",
    "link",
    "uiPriority",
    "semiHidden",
    "unhideWhenUsed",
    "qFormat",
    "rsid",
}
_TABLE = {"tblStyle", "tblW", "tblLayout", "tblLook", "tblCaption", "tblDescription"}
_ROW = {"cantSplit", "tblHeader", "trHeight"}
_CELL = {"tcW", "gridSpan", "vAlign"}
_IN_ROWS, _OF_ROWS, _OF_CELLS = (
    etree.XPath(path, namespaces=NAMESPACES) for path in ("w:tr/*", "w:tr/w:trPr/*", "w:tr/w:tc/w:tcPr/*")
)
_SIDES = {"top", "left", "bottom", "right"}
_FIRST_ROW = 0x20  # of w:tblLook's value (17.4.56)
_ON = ("1", "true", "on")


def eased(docx: bytes) -> bytes:
    """The file with plain table styles written out in its tables; as it came where there are none, or it is damaged.

    For the conversion only: what is kept is the file with its styles.
    """
    try:
        parts = read_parts(docx)
        body = parse(parts["word/document.xml"])
        styles = Styles.of(parts)
    except TemplateError:
        return docx  # LibreOffice says what is wrong with it
    looks: dict[str, _Look | None] = {}
    changed = False
    for table in body.iter(f"{W}tbl"):
        style = table.find("w:tblPr/w:tblStyle", NAMESPACES)
        if style is None or not _plain(table):
            continue
        name = style.get(f"{W}val", "")
        if name not in looks:
            looks[name] = _Look.of(styles, styles.by_id.get(name))
        if look := looks[name]:
            look.give(table)
            changed = True
    if not changed:
        return docx
    parts["word/document.xml"] = etree.tostring(body, xml_declaration=True, encoding="UTF-8", standalone=True)
    return write_parts(parts, packed=False)


class _Look:
    """What a plain table style gives: borders, margins of cells, and the shade of the first row."""

    def __init__(
        self, borders: etree._Element | None, margins: etree._Element, shade: etree._Element | None
    ) -> None:
        self._borders = borders
        self._margins = margins
        self._shade = shade

    @classmethod
    def of(cls, styles: Styles, style: etree._Element | None) -> _Look | None:
        """None where the style says more than can be written out without a doubt."""
        chain = styles.chain(style)
        if len(chain) != 2 or chain[1] is not styles.default_table or not _says_nothing(chain[1]):
            return None
        table, first_row = None, None
        for child in _elements(chain[0]):
            match _name(child):
                case "tblPr" if table is None:
                    table = child
                case "tblStylePr" if first_row is None and child.get(f"{W}type") == "firstRow":
                    first_row = child
                case name if name not in _NO_LOOK:
                    return None
        if table is None or {_name(e) for e in _elements(table)} - {"tblBorders", "tblCellMar"}:
            return None
        margins = table.find("w:tblCellMar", NAMESPACES)
        if margins is None or {_name(e) for e in _elements(margins)} != _SIDES:
            return None
        shade = None
        if first_row is not None:
            if any(len(e) and _name(e) != "tcPr" for e in _elements(first_row)):
                return None
            told = [e for cell in first_row.iterfind("w:tcPr", NAMESPACES) for e in _elements(cell)]
            if [_name(e) for e in told] != ["shd"]:
                return None
            (shade,) = told
        return cls(table.find("w:tblBorders", NAMESPACES), margins, shade)

    def give(self, table: etree._Element) -> None:
        """Write it out in a table, in the order of ECMA-376 (17.4.59, 17.4.69), in place of the style."""
        settings = table.find("w:tblPr", NAMESPACES)
        assert settings is not None
        before = {_name(e): e for e in _elements(settings)}
        settings.remove(before["tblStyle"])
        before["tblLayout"].addprevious(etree.Element(f"{W}tblInd", {f"{W}w": "0", f"{W}type": "dxa"}))
        if self._borders is not None:
            before["tblLayout"].addprevious(copy.deepcopy(self._borders))
        before["tblLook"].addprevious(copy.deepcopy(self._margins))
        if self._shade is None or not _marks_first_row(before["tblLook"]):
            return
        row = table.find("w:tr", NAMESPACES)
        assert row is not None
        for cell in row.iterfind("w:tc", NAMESPACES):
            own = cell.find("w:tcPr", NAMESPACES)
            if own is None:
                own = etree.Element(f"{W}tcPr")
                cell.insert(0, own)
            align = own.find("w:vAlign", NAMESPACES)
            own.insert(len(own) if align is None else own.index(align), copy.deepcopy(self._shade))


def _plain(table: etree._Element) -> bool:
    """Whether the table is a grid of rows and cells with nothing in their settings that a style could meet."""
    kinds = [_name(e) for e in _elements(table)]
    settings = table.find("w:tblPr", NAMESPACES)
    if settings is None or "tr" not in kinds or set(kinds) - {"tblPr", "tblGrid", "tr"}:
        return False
    own = [_name(e) for e in _elements(settings)]
    if not {"tblLayout", "tblLook"} <= set(own) <= _TABLE or len(own) != len(set(own)):
        return False
    if (
        next(table.iterancestors(f"{W}tbl"), None) is not None
        or next(table.iterdescendants(f"{W}tbl"), None) is not None
    ):
        return False
    return all(
        {e.tag for e in cast(list[etree._Element], find(table))} <= {f"{W}{name}" for name in allowed}
        for find, allowed in ((_IN_ROWS, {"trPr", "tc"}), (_OF_ROWS, _ROW), (_OF_CELLS, _CELL))
    )


def _says_nothing(style: etree._Element) -> bool:
    """Whether a default table style has no look but margins of cells and no indent, as Word's own has it."""
    for child in _elements(style):
        if _name(child) != "tblPr":
            if _name(child) not in _NO_LOOK:
                return False
            continue
        for setting in _elements(child):
            if _name(setting) != "tblCellMar" and not (
                _name(setting) == "tblInd" and setting.get(f"{W}w") == "0"
            ):
                return False
    return style.find("w:basedOn", NAMESPACES) is None


def _marks_first_row(look: etree._Element) -> bool:
    told = look.get(f"{W}firstRow")
    if told is not None:
        return told in _ON
    try:
        return bool(int(look.get(f"{W}val", "0"), 16) & _FIRST_ROW)
    except ValueError:
        return False


def _elements(element: etree._Element) -> Iterator[etree._Element]:
    return (e for e in element if isinstance(e.tag, str))


def _name(element: etree._Element) -> str:
    """`w:tblPr` → `tblPr`; of another namespace the whole name, which is in no set here."""
    return str(element.tag).removeprefix(W)
