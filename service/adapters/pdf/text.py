"""The real text of a tagged PDF, and whether values are in it.

Text is read through the structure tree (ISO 32000-1 14.7): a paragraph that goes on over a page break is one
paragraph, and page headers, footers and numbers (artifacts, not in the tree) are not in between.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from types import MappingProxyType

from pypdf import PdfReader
from pypdf.errors import PyPdfError
from pypdf.generic import ArrayObject, DictionaryObject, IndirectObject, NameObject, NumberObject, PdfObject

from service.adapters.pdf.content import Font, Piece, dictionary, marked_text
from service.adapters.pdf.reader import Reader
from service.errors import RenderFailed

__all__ = ["INLINE", "Writer", "pieces_of_pages", "text", "text_of"]

INLINE = frozenset(
    {"/Span", "/Quote", "/Note", "/Reference", "/BibEntry", "/Code", "/Link", "/Annot", "/Form"}
    | {"/Ruby", "/RB", "/RT", "/RP", "/Warichu", "/WT", "/WP"}
)  # ISO 32000-1 14.8.4.4
_SPACE_EM = 0.15  # a gap between two pieces of a line that reads as a space
_LINE_EM = 0.7  # a step down or up that is a new line, not a raised or lowered character
# A structure element as LibreOffice writes it: its role, its page, its children (ISO 32000-1 14.7.2).
_PLAIN = re.compile(
    rb"<</Type/StructElem\n/S/([A-Za-z0-9#]+)\n/P [0-9]+ 0 R\n(?:/Pg ([0-9]+) 0 R\n)?"
    rb"(?:/A (?:[0-9]+ 0 R|\[[0-9 R]*\])\n)?/K\[((?:[0-9]+ (?:0 R[ \n]?)?)*)\]\n>>"
)
_KID = re.compile(rb"([0-9]+)(?! 0 R) |([0-9]+) 0 R")
# Right-to-left script is shown from left to right: the last character first.
_RTL = "\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff"
_RIGHT_TO_LEFT = re.compile(f"[{_RTL}](?:[{_RTL}\\s]*[{_RTL}])?")


def text(pdf: bytes) -> str:
    """The document's text in logical order: blocks parted by an empty line, printed lines by a line break.

    Blocks are paragraphs, headings, list items and table cells. Replacement text (`/ActualText`) stands for what
    it replaces. Raises `RenderFailed` when the input is no PDF, or not tagged.
    """
    try:
        return text_of(Reader(pdf))
    except (PyPdfError, KeyError, ValueError, TypeError, AttributeError, IndexError) as error:
        raise RenderFailed(
            "The text of the PDF cannot be read", remedy="Convert the document again."
        ) from error


def text_of(reader: PdfReader, as_written: Mapping[tuple[int, int], bytes] = MappingProxyType({})) -> str:
    """`text` of a document that is open. Raises pypdf's and Python's own errors for what is no sound PDF.

    `as_written` has the bytes of objects of which nothing was changed, by number and generation: structure elements
    of the plain kind that LibreOffice writes are read out of them at once.
    """
    root = reader.root_object.get("/StructTreeRoot")
    if root is None:
        raise RenderFailed(
            "The PDF is not tagged", remedy="Convert it with Office.to_pdf, which asks for tags."
        )
    writer = Writer()
    tree = dictionary(root)
    walk = _Walk(pieces_of_pages(reader), dictionary(tree.get("/RoleMap")), writer, as_written)
    walk.children(tree, None)
    return writer.result()


def pieces_of_pages(reader: PdfReader) -> dict[int, dict[int, list[Piece]]]:
    """The pieces of text in reading order, by the page's object number and by marked-content sequence."""
    fonts: dict[int, Font] = {}
    return {
        page.indirect_reference.idnum: {
            mcid: _in_reading_order(pieces) for mcid, pieces in marked_text(page, fonts).items()
        }
        for page in reader.pages
        if page.indirect_reference
    }


class Writer:
    """Puts pieces into lines and blocks."""

    def __init__(self) -> None:
        self.blocks: list[list[str]] = [[]]
        self.last: tuple[int, Piece] | None = None

    def block(self) -> None:
        if self.blocks[-1]:
            self.blocks.append([])
        self.last = None

    def piece(self, page: int, piece: Piece) -> None:
        if self.last:
            last_page, last = self.last
            if last_page != page or _is_new_line(last, piece):
                self.blocks[-1].append("\n")
            elif _is_apart(last, piece):
                self.blocks[-1].append(" ")
        self.blocks[-1].append(_RIGHT_TO_LEFT.sub(lambda run: run[0][::-1], piece.text))
        self.last = (page, piece)

    def result(self) -> str:
        blocks = ("".join(block).strip() for block in self.blocks)
        return "\n\n".join(block for block in blocks if block)


def _is_new_line(last: Piece, piece: Piece) -> bool:
    return abs(piece.y - last.y) > _LINE_EM * max(piece.size, last.size)


def _is_apart(last: Piece, piece: Piece) -> bool:
    """Whether the room between two pieces of a line reads as a space; within one operator it is letter spacing."""
    if last.end is None or last.operator == piece.operator:
        return False
    return piece.x - last.end > _SPACE_EM * max(piece.size, last.size)


def _in_reading_order(pieces: list[Piece]) -> list[Piece]:
    """Lines as they come, each from left to right: LibreOffice shows characters of a fallback font last."""
    lines: list[list[Piece]] = []
    for piece in pieces:
        if not lines or _is_new_line(lines[-1][-1], piece):
            lines.append([])
        lines[-1].append(piece)
    return [piece for line in lines for piece in sorted(line, key=lambda each: each.x)]


class _Walk:
    """Goes through the structure tree in logical order."""

    def __init__(
        self,
        pages: dict[int, dict[int, list[Piece]]],
        roles: DictionaryObject,
        writer: Writer,
        as_written: Mapping[tuple[int, int], bytes],
    ) -> None:
        self.pages, self.roles, self.writer, self.as_written = pages, roles, writer, as_written
        self._inline_by_name: dict[bytes, bool] = {}

    def children(self, element: DictionaryObject, page: int | None) -> None:
        own = element.raw_get("/Pg") if "/Pg" in element else None
        page = own.idnum if isinstance(own, IndirectObject) else page
        kids = element.get("/K")
        kids = kids.get_object() if kids is not None else None
        for kid in kids if isinstance(kids, ArrayObject) else [kids]:
            if isinstance(kid, IndirectObject):
                self._referenced((kid.idnum, kid.generation), page, kid)
            else:
                self._child(kid, page)

    def _referenced(self, key: tuple[int, int], page: int | None, kid: IndirectObject) -> None:
        plain = _PLAIN.fullmatch(self.as_written.get(key, b""))
        if plain is None:
            self._child(kid.get_object(), page)
            return
        own = int(plain[2]) if plain[2] else page
        inline = self._inline_by_name.get(plain[1])
        if inline is None:
            inline = self._inline_by_name[plain[1]] = self._is_inline(_name(plain[1]))
        if not inline:
            self.writer.block()
        for mcid, idnum in _KID.findall(plain[3]):
            if idnum:
                below = int(idnum)
                self._referenced((below, 0), own, IndirectObject(below, 0, kid.pdf))
            else:
                self._pieces(int(mcid), own)
        if not inline:
            self.writer.block()

    def _child(self, kid: PdfObject | None, page: int | None) -> None:
        if isinstance(kid, NumberObject):
            self._pieces(int(kid), page)
        elif isinstance(kid, DictionaryObject) and "/MCID" in kid:
            own = kid.raw_get("/Pg") if "/Pg" in kid else None
            self._child(kid["/MCID"], own.idnum if isinstance(own, IndirectObject) else page)
        elif isinstance(kid, DictionaryObject) and "/S" in kid:
            inline = self._is_inline(str(kid["/S"]))
            if not inline:
                self.writer.block()
            self.children(kid, page)
            if not inline:
                self.writer.block()

    def _pieces(self, mcid: int, page: int | None) -> None:
        for piece in self.pages.get(page or 0, {}).get(mcid, ()):
            self.writer.piece(page or 0, piece)

    def _is_inline(self, name: str) -> bool:
        for _ in range(len(self.roles)):
            if name not in self.roles:
                break
            name = str(self.roles[name])
        return name in INLINE


def _name(written: bytes) -> str:
    """A name as pypdf reads it, with `#20` for a space in it (ISO 32000-1 7.3.5)."""
    return str(NameObject.read_from_stream(io.BytesIO(b"/" + written), None))
