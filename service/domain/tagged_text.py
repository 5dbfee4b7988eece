"""A tagged document as text with its structure: what a reader needs who cannot use the PDF."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Block", "Bullets", "Cell", "Grid", "Heading", "Pairs", "Text"]


@dataclass(frozen=True)
class Heading:
    """`level` is 1–6, as tagged."""

    level: int
    text: str


@dataclass(frozen=True)
class Text:
    text: str


@dataclass(frozen=True)
class Pairs:
    """Lines that begin with a label: «Tiltak» and «Arbeidstrening»."""

    items: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Bullets:
    """A list; `is_numbered` from 1 on. Items are without their bullets and numbers."""

    items: tuple[str, ...]
    is_numbered: bool = False


@dataclass(frozen=True)
class Cell:
    """`scope` is `col` or `row` for a heading, None for all else. Each paragraph is one text."""

    paragraphs: tuple[str, ...]
    scope: str | None = None


@dataclass(frozen=True)
class Grid:
    """A table, row by row."""

    rows: tuple[tuple[Cell, ...], ...]

    @property
    def head(self) -> tuple[Cell, ...]:
        """The first row, when all of it are headings of columns."""
        first = self.rows[0] if self.rows else ()
        return first if first and all(cell.scope == "col" for cell in first) else ()

    @property
    def body(self) -> tuple[tuple[Cell, ...], ...]:
        return self.rows[1:] if self.head else self.rows


Block = Heading | Text | Pairs | Bullets | Grid
