"""A tagged PDF as headings, lists and tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.adapters.pdf import structure
from service.domain.tagged_text import Bullets, Cell, Grid, Heading, Text
from service.errors import RenderFailed

FIXTURES = Path(__file__).parents[1] / "fixtures"


def test_headings_lists_and_tables_come_in_reading_order() -> None:
    blocks = structure((FIXTURES / "office.pdf").read_bytes())
    assert blocks[0] == Heading(1, "Avtale om tilrettelegging og oppfølging")
    assert [b.text for b in blocks if isinstance(b, Heading) and b.level == 2] == [
        "Tilrettelegging", "Mål", "Oppfølging", "Underskrifter",
    ]  # fmt: skip
    assert [b for b in blocks if isinstance(b, Bullets)] == [
        Bullets(("Fast jobb i bedriften", "Bedre norsk")),
        Bullets(("Først det ene", "Så det andre"), is_numbered=True),
    ]
    (table,) = (b for b in blocks if isinstance(b, Grid))
    assert table.head == tuple(Cell((name,), "col") for name in ("Behov", "Tiltak", "Frist"))
    assert [[cell.paragraphs for cell in row] for row in table.body] == [
        [("Rullestolrampe",), ("Bygges ved inngangen",), ("1. mars 2027",)]
    ]


def test_a_paragraph_over_lines_and_pages_is_one() -> None:
    texts = [b.text for b in structure((FIXTURES / "office.pdf").read_bytes()) if isinstance(b, Text)]
    assert "Denne avtalen gjelder Ájlin Šárá Øvergård og Łukasz Żółkiewski." in texts
    assert not any("\n" in text or "  " in text for text in texts)


@pytest.mark.parametrize("pdf", [b"", b"%PDF-1.7 nonsense"])
def test_what_is_no_tagged_pdf_is_refused(pdf: bytes) -> None:
    with pytest.raises(RenderFailed):
        structure(pdf)
