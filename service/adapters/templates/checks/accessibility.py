"""Checks of what a screen reader goes by: headings, tables, pictures (WCAG 2.1, 1.1.1 and 1.3.1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from service.domain.template import Finding
from service.domain.word_content import Paragraph, Picture, Table

__all__ = ["check_headings", "check_pictures", "check_tables"]


def check_headings(file: str, paragraphs: Sequence[Paragraph]) -> Iterator[Finding]:
    """Headings begin at level 1 and go down one level at a time; up they may go any number."""
    headings = [p for p in paragraphs if p.level]
    if not headings:
        yield Finding(
            f"{file}: word/document.xml",
            "no_heading",
            "The document has no heading.",
            "Give the title the style Heading 1 (Overskrift 1), and each section a heading of its own.",
        )
    before = 0
    for heading in headings:
        if heading.level > before + 1:
            come = f"comes after one of level {before}" if before else "is the first"
            yield Finding(
                f"{file}: {heading.where}",
                "heading_jump",
                f"The heading is of level {heading.level} and {come}.",
                f"Give it the style Heading {before + 1} (Overskrift {before + 1}).",
            )
        before = heading.level


def check_tables(file: str, tables: Sequence[Table]) -> Iterator[Finding]:
    for table in tables:
        where = f"{file}: {table.where}"
        if not table.has_header_row:
            yield Finding(
                where,
                "table_header",
                "The table has no header row.",
                "Mark the first row in Word: Table layout, Repeat header rows (Gjenta overskriftsrader).",
            )
        elif table.empty_headings:
            yield Finding(
                where,
                "table_header",
                f"The header row has {table.empty_headings} empty cell(s).",
                "Write in each what its column holds.",
            )
        if table.merged is not None:
            yield Finding(
                where,
                "merged_cells",
                f"The table has merged cells, the first at «{table.merged[:60]}».",
                "Split them: every row has as many cells as the header row.",
            )


def check_pictures(file: str, pictures: Sequence[Picture]) -> Iterator[Finding]:
    for picture in pictures:
        if not picture.description:
            yield Finding(
                f"{file}: {picture.where}",
                "alt_text",
                f"The picture or drawing «{picture.name}» has no alternative text.",
                "Write in Word what it shows: right-click, View alt text (Vis alternativ tekst).",
            )
