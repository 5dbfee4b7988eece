"""A tagged PDF as headings, paragraphs, lists and tables (ISO 32000-1 14.8.4), for those who read HTML instead."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pypdf.errors import PyPdfError
from pypdf.generic import ArrayObject, DictionaryObject, IndirectObject, NumberObject, PdfObject

from service.adapters.pdf.content import Piece, dictionary
from service.adapters.pdf.reader import Reader
from service.adapters.pdf.text import INLINE, Writer, pieces_of_pages
from service.domain.tagged_text import Block, Bullets, Cell, Grid, Heading, Pairs, Text
from service.errors import RenderFailed

__all__ = ["structure"]

_LEVELS = {f"/H{n}": n for n in range(1, 7)} | {"/H": 1, "/Title": 1}
_BROKEN_WORD = re.compile(r"(?<=\w)-\n(?=\w)(?!(?:og|eller|and|or)\b)")

_SPACE = re.compile(r"[ \t\r\n]+")  # not the no-break spaces of dates and amounts
_BULLET = re.compile(r"^[•◦▪●○■\uf0a7\uf0b7–-]\s+")
_NUMBER = re.compile(r"^(\d+)[.)]\s+")


def structure(pdf: bytes) -> list[Block]:
    """The document's blocks in logical order. A place for a signature is its tooltip.

    Raises `RenderFailed` when the input is no PDF, or not tagged.
    """
    try:
        reader = Reader(pdf)
        tree = dictionary(reader.root_object.get("/StructTreeRoot"))
        if not tree:
            raise RenderFailed("The PDF is not tagged", remedy="Convert the document again.")
        build = _Tree(pieces_of_pages(reader), dictionary(tree.get("/RoleMap")))
        root = _Element("/Document")
        build.fill(root, tree, None)
        return list(_together(_blocks(root)))
    except (PyPdfError, KeyError, ValueError, TypeError, AttributeError, IndexError) as error:
        raise RenderFailed(
            "The structure of the PDF cannot be read", remedy="Convert the document again."
        ) from error


@dataclass
class _Element:
    role: str
    scope: str | None = None
    kids: list[_Element | tuple[int, Piece] | str] = field(default_factory=list)

    @property
    def elements(self) -> list[_Element]:
        return [kid for kid in self.kids if isinstance(kid, _Element)]


class _Tree:
    """The structure tree with the pieces of text in their places."""

    def __init__(self, pages: dict[int, dict[int, list[Piece]]], roles: DictionaryObject) -> None:
        self.pages, self.roles = pages, roles

    def fill(self, element: _Element, node: DictionaryObject, page: int | None) -> None:
        page = _page(node, page)
        kids = node.get("/K")
        kids = kids.get_object() if kids is not None else None
        for kid in kids if isinstance(kids, ArrayObject) else [kids]:
            self._kid(element, kid.get_object() if isinstance(kid, IndirectObject) else kid, page)

    def _kid(self, element: _Element, kid: PdfObject | None, page: int | None) -> None:
        if isinstance(kid, NumberObject):
            element.kids += [(page or 0, piece) for piece in self.pages.get(page or 0, {}).get(int(kid), ())]
        elif not isinstance(kid, DictionaryObject):
            return
        elif "/MCID" in kid:
            self._kid(element, kid["/MCID"], _page(kid, page))
        elif "/Obj" in kid:
            widget = dictionary(kid.get("/Obj"))
            if tooltip := widget.get("/TU"):
                element.kids.append(str(tooltip))
        elif "/S" in kid:
            inner = _Element(self._role(str(kid["/S"])), _scope(kid))
            self.fill(inner, kid, page)
            element.kids.append(inner)

    def _role(self, name: str) -> str:
        for _ in range(len(self.roles)):
            if name not in self.roles:
                break
            name = str(self.roles[name])
        return name


def _page(node: DictionaryObject, inherited: int | None) -> int | None:
    own = node.raw_get("/Pg") if "/Pg" in node else None
    return own.idnum if isinstance(own, IndirectObject) else inherited


def _scope(node: DictionaryObject) -> str | None:
    attributes = node.get("/A")
    attributes = attributes.get_object() if attributes is not None else None
    for each in attributes if isinstance(attributes, ArrayObject) else [attributes]:
        named = dictionary(each).get("/Scope")
        if named is not None:
            return {"/Column": "col", "/Row": "row"}.get(str(named))
    return None


def _blocks(element: _Element) -> Iterator[Block]:
    """The blocks of a container; a leaf with text is a paragraph."""
    for kid in element.elements:
        if kid.role in _LEVELS:
            if text := _text(kid):
                yield Heading(_LEVELS[kid.role], text)
        elif kid.role == "/L":
            yield _list([text for item in kid.elements if (text := _item(item))])
        elif kid.role == "/Table":
            yield Grid(tuple(_row(row) for row in _rows(kid)))
        elif kid.role == "/P" or not any(_is_block(e) for e in kid.elements):
            if pair := _pair(kid):
                yield Pairs((pair,))
            elif text := _text(kid):
                yield Text(text)
        else:
            yield from _blocks(kid)


def _together(blocks: Iterator[Block]) -> Iterator[Block]:
    """Pairs that follow one another as one list."""
    pairs: tuple[tuple[str, str], ...] = ()
    for block in blocks:
        if isinstance(block, Pairs):
            pairs += block.items
            continue
        if pairs:
            yield Pairs(pairs)
            pairs = ()
        yield block
    if pairs:
        yield Pairs(pairs)


def _is_block(element: _Element) -> bool:
    return element.role not in INLINE


def _pair(paragraph: _Element) -> tuple[str, str] | None:
    """A paragraph whose first words are set apart from the rest: its label."""
    kids = [kid for kid in paragraph.kids if not (isinstance(kid, _Element) and not _text(kid))]
    first, rest = (kids[0], kids[1:]) if kids else (None, [])
    if not (isinstance(first, _Element) and first.role == "/Span" and rest):
        return None
    text = _text(_Element("/P", kids=rest))
    return (_text(first).rstrip(":"), text) if text else None


def _item(item: _Element) -> str:
    bodies = [kid for kid in item.elements if kid.role == "/LBody"] or [item]
    return " ".join(_text(body) for body in bodies).strip()


def _list(items: list[str]) -> Bullets:
    numbers = [int(m[1]) if (m := _NUMBER.match(item)) else None for item in items]
    if numbers == list(range(1, len(items) + 1)):
        return Bullets(tuple(_NUMBER.sub("", item) for item in items), is_numbered=True)
    return Bullets(tuple(_BULLET.sub("", item) for item in items))


def _rows(table: _Element) -> Iterator[_Element]:
    for kid in table.elements:
        if kid.role == "/TR":
            yield kid
        else:
            yield from _rows(kid)


def _row(row: _Element) -> tuple[Cell, ...]:
    return tuple(
        Cell(tuple(_paragraphs(cell)), (cell.scope or "col") if cell.role == "/TH" else None)
        for cell in row.elements
    )


def _paragraphs(cell: _Element) -> list[str]:
    blocks = [kid for kid in cell.elements if _is_block(kid)]
    parts: Sequence[_Element] = blocks or [cell]
    return [text for part in parts if (text := _text(part))]


def _text(element: _Element) -> str:
    """All text beneath, as one line."""
    writer = Writer()
    _write(element, writer)
    return _SPACE.sub(" ", _BROKEN_WORD.sub("-", writer.result())).strip()


def _write(element: _Element, writer: Writer) -> None:
    for kid in element.kids:
        if isinstance(kid, _Element):
            if _is_block(kid):
                writer.block()
            _write(kid, writer)
        elif isinstance(kid, str):
            writer.block()
            writer.blocks[-1].append(kid)
            writer.block()
        else:
            writer.piece(*kid)
