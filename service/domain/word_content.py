"""What a Word template holds, as far as the checks on templates need it. All texts are with their tags.

`where` is a part of the file and the text of the paragraph in it: `word/document.xml: Kort om avtalen`.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Look", "Paragraph", "Picture", "Table", "Variable"]


@dataclass(frozen=True)
class Paragraph:
    """A paragraph with text; `level` is 1–9 for a heading, 0 for all else."""

    part: str
    text: str
    level: int

    @property
    def where(self) -> str:
        return f"{self.part}: {self.text[:120]}"


@dataclass(frozen=True)
class Table:
    """A table of the document's body; rows that hold nothing but a tag such as `{%tr … %}` do not count.

    `number` is its place among the tables from 1, `title` the text of its first row, `empty_headings` how many
    cells of the first row are empty, `merged` the text of the first cell that spans others.
    """

    number: int
    title: str
    columns: int
    rows: int
    has_header_row: bool
    empty_headings: int
    merged: str | None

    @property
    def where(self) -> str:
        return f"table {self.number} ({self.title[:80]})"


@dataclass(frozen=True)
class Picture:
    """A picture, drawing or text box; `description` is its alternative text."""

    where: str
    name: str
    description: str


@dataclass(frozen=True)
class Look:
    """How a run of text looks when styles, tables and its own settings are put together.

    Colours are `RRGGBB`; `colour` is None where Word chooses black or white by the background. A run may stand on
    more than one background, as banded rows are counted when the document is made. `source` names where the
    colour is set.
    """

    where: str
    text: str
    fonts: frozenset[str]
    points: float
    is_bold: bool
    colour: str | None
    backgrounds: frozenset[str]
    source: str


@dataclass(frozen=True)
class Variable:
    """A name of the data in a tag; `path` has `*` for the item of a loop. Not printed: asked for or looped over."""

    path: str
    where: str
    is_printed: bool
