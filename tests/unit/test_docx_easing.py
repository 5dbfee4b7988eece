"""What LibreOffice gets in place of a Word file: tables that look the same without their style."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from docx import Document
from docx.oxml.ns import nsdecls
from docx.oxml.parser import parse_xml
from docx.table import Table

from service.adapters.docx import eased, text

ROOT = Path(__file__).parents[2]
AGREEMENT = (ROOT / "templates/tilretteleggingsavtale/1.2.0/nb.docx").read_bytes()


def opened(file: bytes) -> Any:
    return Document(io.BytesIO(file))


def altered(alter: Callable[[Any], None]) -> bytes:
    """The template, its first table taken alone, and altered."""
    document = opened(AGREEMENT)
    first, *others = document.tables
    for table in others:
        table._tbl.getparent().remove(table._tbl)
    alter(document)
    assert document.tables[0]._tbl is first._tbl
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def settings(table: Table) -> list[str]:
    return [child.tag.rpartition("}")[2] for child in table._tbl.tblPr]


def shaded(table: Table) -> list[int]:
    return [number for number, row in enumerate(table.rows) if row._tr.xpath("w:tc/w:tcPr/w:shd")]


def test_a_plain_style_is_written_out_in_each_of_its_tables() -> None:
    after = opened(eased(AGREEMENT))

    assert len(after.tables) == len(opened(AGREEMENT).tables) > 3
    for table in after.tables:
        names = settings(table)
        assert "tblStyle" not in names
        assert (
            names.index("tblW") < names.index("tblInd") < names.index("tblBorders") < names.index("tblLayout")
        )
        assert names.index("tblLayout") < names.index("tblCellMar") < names.index("tblLook")
        assert shaded(table) == [0]
    first = after.tables[0]._tbl
    assert first.xpath("w:tblPr/w:tblBorders/w:top/@w:color") == ["16324F"]
    assert first.xpath("w:tblPr/w:tblCellMar/w:left/@w:w") == ["100"]
    assert set(first.xpath("w:tr[1]/w:tc/w:tcPr/w:shd/@w:fill")) == {"E9EFF5"}


def test_nothing_else_is_changed() -> None:
    def parts(file: bytes) -> dict[str, bytes]:
        with zipfile.ZipFile(io.BytesIO(file)) as archive:
            return {name: archive.read(name) for name in archive.namelist() if name != "word/document.xml"}

    after = eased(AGREEMENT)

    assert parts(after) == parts(AGREEMENT)
    assert text(after) == text(AGREEMENT)
    assert eased(AGREEMENT) == after == eased(after)


def test_a_first_row_that_the_table_does_not_mark_gets_no_shade() -> None:
    def unmark(document: Any) -> None:
        (look,) = document.tables[0]._tbl.xpath("w:tblPr/w:tblLook")
        for name in list(look.attrib):
            del look.attrib[name]

    (table,) = opened(eased(altered(unmark))).tables

    assert "tblStyle" not in settings(table)
    assert shaded(table) == []


def element(name: str, **attributes: str) -> Any:
    given = " ".join(f'w:{key}="{value}"' for key, value in attributes.items())
    return parse_xml(f"<w:{name} {nsdecls('w')} {given}/>")


def style_of(document: Any) -> Any:
    return document.tables[0].style.element


def gone(parent: Any, path: str) -> None:
    (found,) = parent.xpath(path)
    found.getparent().remove(found)


NOT_PLAIN: dict[str, Callable[[Any], object]] = {
    "the style speaks of text": lambda d: style_of(d).append(element("rPr")),
    "the style shades every other row": lambda d: style_of(d).append(element("tblStylePr", type="band1Horz")),
    "the style has an indent": lambda d: (
        style_of(d).xpath("w:tblPr")[0].append(element("tblInd", w="100", type="dxa"))
    ),
    "the style has no margin on a side": lambda d: gone(style_of(d), "w:tblPr/w:tblCellMar/w:left"),
    "the style is not based on the default": lambda d: gone(style_of(d), "w:basedOn"),
    "the table has borders": lambda d: d.tables[0]._tbl.tblPr.append(element("tblBorders")),
    "the table floats": lambda d: d.tables[0]._tbl.tblPr.append(element("tblpPr")),
    "a row has exceptions": lambda d: d.tables[0].rows[0]._tr.insert(0, element("tblPrEx")),
    "a cell is shaded": lambda d: (
        d.tables[0].cell(0, 0)._tc.get_or_add_tcPr().append(element("shd", fill="FF0000"))
    ),
    "cells are merged downwards": lambda d: (
        d.tables[0].cell(0, 0)._tc.get_or_add_tcPr().append(element("vMerge"))
    ),
    "a table stands in a cell": lambda d: d.tables[0].cell(0, 0).add_table(1, 1),
}


@pytest.mark.parametrize("alter", NOT_PLAIN.values(), ids=NOT_PLAIN.keys())
def test_a_table_keeps_its_style_where(alter: Callable[[Any], None]) -> None:
    file = altered(alter)

    assert eased(file) is file


@pytest.mark.parametrize(
    "body", [b"", b"not a Word file", AGREEMENT[:4000]], ids=["empty", "text", "cut off"]
)
def test_what_cannot_be_read_is_left_to_libreoffice(body: bytes) -> None:
    assert eased(body) is body
