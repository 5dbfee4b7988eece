"""Which text a page's content stream shows, by marked-content sequence (ISO 32000-1 9.4, 14.6)."""

from __future__ import annotations

import math
import re
from binascii import unhexlify
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pypdf import PageObject
from pypdf.generic import DictionaryObject, IndirectObject, PdfObject

__all__ = ["Font", "Piece", "dictionary", "marked_text"]

# What LibreOffice writes over and over is read in one go, each the same as its tokens one by one: a line of text, the
# beginning of a marked sequence, and operators that say nothing of text. What is repeated has bounds, so that a long
# row of numbers is not read again from each of them.
_NUMBER = rb"[+-]?(?:\d{1,9}\.?\d{0,20}|\.\d{1,20})"
_ENDS = rb"(?![A-Za-z0-9*])"
_TOKEN = re.compile(
    rb"""(?P<line>(?P<kept>q\s+(?:NUMBER\s+){1,4}(?:rg|g)\s+)?BT\s+(?P<x>NUMBER)\s+(?P<y>NUMBER)\s+Td\s*(?P<font>/[A-Za-z0-9+]{1,40})\s+(?P<size>NUMBER)\s+Tf\s*
        (?:(?P<shown>\[[^\](]*\])\s*TJ|<(?P<shown_whole>[0-9A-Fa-f\s]*)>\s*Tj)ENDS(?(kept)\s+ET\s+QENDS))
    |(?P<mark>(?P<tag>/[A-Za-z0-9\#]{1,99})(?:\s*<<\s*/MCID\s+(?P<mcid>[0-9]{1,9})\s*>>\s*BDC|\s+BMC)ENDS)
    |(?P<other>(?:[\s\d.+-]{0,99}(?:re|W\*?|n|rg|RG|g|G|w|J|j|m|l|h|f\*?|S|ET)ENDS)+)
    |(?P<array>\[[^\](]*\])
    |(?P<hex><[0-9A-Fa-f\s]*>)
    |(?P<open><<) |(?P<close>>>)
    |(?P<string>\((?:[^()\\]|\\[\s\S]|\((?:[^()\\]|\\[\s\S])*\))*\))
    |(?P<name>/[^\s<>\[\]()/%{}]*)
    |(?P<number>[+-]?(?:\d+\.?\d*|\.\d+))
    |(?P<bracket>[\[\]])
    |(?P<operator>[A-Za-z'"][A-Za-z0-9*]*)
    |%[^\r\n]*""".replace(b"NUMBER", _NUMBER).replace(b"ENDS", _ENDS),
    re.VERBOSE,
)
_SHOWN = re.compile(rb"<([0-9A-Fa-f]*)>|([+-]?[\d.]+)")
_UNKNOWN = "\N{REPLACEMENT CHARACTER}"
_GAP_THOUSANDTHS = 250  # of the font's size
_CODESPACE = re.compile(rb"begincodespacerange\s*<([0-9A-Fa-f]+)>")
_BFCHAR = re.compile(rb"beginbfchar(.*?)endbfchar", re.DOTALL)
_BFRANGE = re.compile(rb"beginbfrange(.*?)endbfrange", re.DOTALL)
_PAIR = re.compile(rb"<([0-9A-Fa-f]+)>\s*<([0-9A-Fa-f\s]+)>")
_TRIPLE = re.compile(rb"<([0-9A-Fa-f]+)>\s*<([0-9A-Fa-f]+)>\s*(?:<([0-9A-Fa-f]+)>|\[([^\]]*)\])")


@dataclass
class Piece:
    """Text shown without a gap: where it starts and ends in user space, its size, and which operator showed it."""

    text: str
    x: float
    y: float
    end: float | None
    size: float
    operator: int = 0


class Font:
    """Codes to text and widths, from `/ToUnicode` and `/Widths`."""

    def __init__(self, font: DictionaryObject) -> None:
        self.bytes_per_code = 1
        self.unicode: dict[int, str] = {}
        to_unicode = font.get("/ToUnicode")
        if to_unicode is not None:
            self._read(to_unicode.get_object().get_data())
        first = int(font.get("/FirstChar", 0))
        widths = font.get("/Widths")
        self.widths = dict(enumerate(map(float, widths.get_object()), first)) if widths else {}
        self._text_of_byte = [_UNKNOWN] * 256
        self._width_of_byte = [0.0] * 256
        for code in range(256):
            if code in self.unicode:
                self._text_of_byte[code] = self.unicode[code]
            if code in self.widths:
                self._width_of_byte[code] = self.widths[code]

    def _read(self, cmap: bytes) -> None:
        codespace = _CODESPACE.search(cmap)
        if codespace:
            self.bytes_per_code = len(codespace[1]) // 2
        for block in _BFCHAR.findall(cmap):
            for code, content in _PAIR.findall(block):
                self.unicode[int(code, 16)] = _utf16(content)
        for block in _BFRANGE.findall(cmap):
            for low, high, start, items in _TRIPLE.findall(block):
                codes = range(int(low, 16), int(high, 16) + 1)
                if start:
                    head, last = _utf16(start)[:-1], ord(_utf16(start)[-1])
                    self.unicode.update({code: head + chr(last + n) for n, code in enumerate(codes)})
                else:
                    contents = re.findall(rb"<([0-9A-Fa-f]+)>", items)
                    self.unicode.update(
                        {code: _utf16(one) for code, one in zip(codes, contents, strict=False)}
                    )

    def show(self, string: bytes) -> tuple[str, float]:
        """The text of a shown string, and its width in thousandths of the size."""
        step = self.bytes_per_code
        if step <= 1:
            texts, widths = self._text_of_byte, self._width_of_byte
            return "".join([texts[code] for code in string]), sum([widths[code] for code in string])
        codes = [int.from_bytes(string[n : n + step], "big") for n in range(0, len(string), step)]
        content = "".join([self.unicode.get(code, _UNKNOWN) for code in codes])
        return content, sum([self.widths.get(code, 0.0) for code in codes])


@dataclass
class _Mark:
    """One open marked-content sequence: its MCID (inherited when it has none), what stands for its text."""

    mcid: int | None
    replacement: Piece | None = None


@dataclass
class _State:
    """What of the graphics state matters to reading."""

    font: Font | None = None
    size: float = 1.0
    leading: float = 0.0
    scale: float = 1.0
    x: float = 0.0
    y: float = 0.0
    line: tuple[float, float] = (0.0, 0.0)
    transformed: bool = False
    saved: list[tuple[Font | None, float, float, bool]] = field(default_factory=list)


def marked_text(page: PageObject, fonts: dict[int, Font]) -> dict[int, list[Piece]]:
    """The pieces of text of each marked-content sequence of a page, by MCID."""
    contents = page.get_contents()
    pieces: dict[int, list[Piece]] = {}
    if contents is None:
        return pieces
    resources = dictionary(page.get("/Resources"))
    box = page.mediabox
    reading = _Reading(
        dictionary(resources.get("/Font")),
        dictionary(resources.get("/Properties")),
        fonts,
        pieces,
        (float(box.left), float(box.bottom), float(box.right), float(box.top)),
    )
    operands: list[object] = []
    for match in _TOKEN.finditer(contents.get_data()):
        kind, token = match.lastgroup, match[0]
        if kind == "line":
            reading.show_line(*match.group("kept", "x", "y", "font", "size", "shown", "shown_whole"))
            operands = []
        elif kind == "mark":
            tag, mcid = match.group("tag", "mcid")
            if operands:
                properties = ["<<", "/MCID", float(mcid), ">>"] if mcid else []
                reading.begin_mark([*operands, tag.decode("ascii"), *properties])
            else:
                reading.begin_plain_mark(tag, mcid)
            operands = []
        elif kind == "other":
            operands = []
        elif kind == "operator":
            reading.operate(token, operands)
            operands = []
        elif kind == "array":
            operands.extend(_shown(token))
        elif kind in _OPERANDS:
            operands.append(_OPERANDS[kind](token))
    return pieces


def _shown(array: bytes) -> list[object]:
    """The operands of TJ: strings and adjustments; all in one where nothing is apart, as is the rule."""
    items = _SHOWN.findall(array)
    adjustments = [float(number) for _, number in items if number]
    strings = [string for string, number in items if not number]
    if min(adjustments, default=0.0) >= -_GAP_THOUSANDTHS:
        return [_from_hex(b"".join(strings)), sum(adjustments)]
    return [float(number) if number else _from_hex(string) for string, number in items]


class _Reading:
    """Runs a content stream, as far as text and marks go (ISO 32000-1 9.4, 14.6)."""

    def __init__(
        self,
        font_resources: DictionaryObject,
        properties: DictionaryObject,
        fonts: dict[int, Font],
        pieces: dict[int, list[Piece]],
        box: tuple[float, float, float, float],
    ) -> None:
        self.font_resources, self.properties, self.fonts, self.pieces = (
            font_resources,
            properties,
            fonts,
            pieces,
        )
        self.box = box
        self.state = _State()
        self.shown = 0
        self.piece = Piece("", 0.0, 0.0, None, 0.0)
        self.marks: list[_Mark] = []

    def operate(self, operator: bytes, operands: list[object]) -> None:
        action = _ACTIONS.get(operator)
        if action:
            action(self, operands)

    def begin_text(self, _: list[object]) -> None:
        self._to(0.0, 0.0)
        self.state.scale = 1.0

    def show_line(
        self,
        kept: bytes | None,
        x: bytes,
        y: bytes,
        font: bytes,
        size: bytes,
        shown: bytes | None,
        whole: bytes | None,
    ) -> None:
        """BT, Td, Tf, and TJ (`shown`) or Tj (`whole`), in this order; between q and Q where there is `kept`."""
        state = self.state
        before = state.font, state.size
        state.scale = 1.0
        self._to(float(x), float(y))
        self.choose_font([font.decode("ascii"), float(size)])
        self.show(_shown(shown) if shown is not None else [_from_hex(whole or b"")])
        if kept is not None:
            state.font, state.size = before

    def move(self, operands: list[object]) -> None:
        dx, dy = _numbers(operands)[-2:]
        self._to(self.state.line[0] + dx * self.state.scale, self.state.line[1] + dy * self.state.scale)

    def move_and_lead(self, operands: list[object]) -> None:
        self.state.leading = -_numbers(operands)[-1]
        self.move(operands)

    def matrix(self, operands: list[object]) -> None:
        a, b, _, _, x, y = _numbers(operands)[-6:]
        self.state.scale = (a * a + b * b) ** 0.5
        self._to(x, y)

    def next_line(self, _: list[object]) -> None:
        self.move([0.0, -self.state.leading])

    def lead(self, operands: list[object]) -> None:
        self.state.leading = _numbers(operands)[-1]

    def choose_font(self, operands: list[object]) -> None:
        name, size = operands[-2:]
        reference = self.font_resources.raw_get(str(name))
        key = reference.idnum if isinstance(reference, IndirectObject) else id(reference)
        if key not in self.fonts:
            self.fonts[key] = Font(dictionary(reference))
        self.state.font, self.state.size = self.fonts[key], _numbers([size])[0]

    def transform(self, _: list[object]) -> None:
        self.state.transformed = True

    def save(self, _: list[object]) -> None:
        state = self.state
        state.saved.append((state.font, state.size, state.leading, state.transformed))

    def restore(self, _: list[object]) -> None:
        state = self.state
        if state.saved:
            state.font, state.size, state.leading, state.transformed = state.saved.pop()

    def show(self, operands: list[object]) -> None:
        """Tj, and TJ with its adjustments in thousandths of the size.

        A wide adjustment leaves room that another operator fills, with a character of another font: what comes
        after it is a piece of its own.
        """
        state = self.state
        if state.font is None:
            return
        self.shown += 1
        factor = state.size * state.scale / 1000
        self._start_piece()
        for operand in operands:
            if isinstance(operand, bytes):
                content, width = state.font.show(operand)
                self.piece.text += content
                state.x += width * factor
            elif isinstance(operand, float):
                apart = operand < -_GAP_THOUSANDTHS
                if apart:
                    self._keep()
                state.x -= operand * factor
                if apart:
                    self._start_piece()
        self._keep()

    def next_line_and_show(self, operands: list[object]) -> None:
        self.next_line([])
        self.show([operand for operand in operands if isinstance(operand, bytes)])

    def begin_plain_mark(self, tag: bytes, mcid: bytes | None) -> None:
        """BMC, or BDC with nothing but an `/MCID`."""
        outer = self.marks[-1] if self.marks else None
        own = outer.mcid if outer is not None and tag != b"/Artifact" else None
        self.marks.append(_Mark(int(mcid) if mcid else own, outer.replacement if outer is not None else None))

    def begin_mark(self, operands: list[object]) -> None:
        outer = self.marks[-1] if self.marks else _Mark(None)
        mark = _Mark(outer.mcid, outer.replacement)
        if operands and operands[0] == "/Artifact":
            mark.mcid = None
        properties = self._properties(operands[1:])
        if isinstance(mcid := properties.get("/MCID"), float):
            mark.mcid = int(mcid)
        content = properties.get("/ActualText")
        if isinstance(content, bytes) and mark.replacement is None and mark.mcid is not None:
            # Its place is where the first glyph of what it replaces stands.
            mark.replacement = Piece(_text_string(content), math.nan, math.nan, None, 0.0)
            self.pieces.setdefault(mark.mcid, []).append(mark.replacement)
        self.marks.append(mark)

    def end_mark(self, _: list[object]) -> None:
        if self.marks:
            mark = self.marks.pop()
            if mark.replacement and math.isnan(mark.replacement.x):
                state = self.state
                mark.replacement.x, mark.replacement.y = state.x, state.y

    def _properties(self, operands: list[object]) -> dict[str, object]:
        """A property list, inline or named in the resources: `/MCID` as float, `/ActualText` as bytes."""
        if operands and operands[0] == "<<":
            flat = operands[1:-1]
            return {str(name): content for name, content in zip(flat[::2], flat[1::2], strict=False)}
        found: dict[str, object] = {}
        if operands:
            named = dictionary(self.properties.get(str(operands[0])))
            if "/MCID" in named:
                found["/MCID"] = float(named["/MCID"])  # type: ignore[arg-type]
            if "/ActualText" in named:
                found["/ActualText"] = str(named["/ActualText"]).encode("utf-16")
        return found

    def _to(self, x: float, y: float) -> None:
        self.state.x, self.state.y = self.state.line = (x, y)

    def _start_piece(self) -> None:
        state = self.state
        self.piece = Piece("", state.x, state.y, state.x, state.size * state.scale, self.shown)

    def _keep(self) -> None:
        mark, piece = self.marks[-1] if self.marks else _Mark(None), self.piece
        piece.end = self.state.x if self.state.font and self.state.font.widths else None
        if mark.replacement:
            whole = mark.replacement
            if math.isnan(whole.x):
                whole.x, whole.y, whole.size, whole.operator = piece.x, piece.y, piece.size, piece.operator
            whole.end = piece.end
        elif mark.mcid is not None and piece.text and self._is_on_page(piece):
            self.pieces.setdefault(mark.mcid, []).append(piece)

    def _is_on_page(self, piece: Piece) -> bool:
        """What runs out of the page is not there for a reader (judged where user space is the page's own)."""
        if self.state.transformed:
            return True
        left, bottom, right, top = self.box
        end = piece.end if piece.end is not None else piece.x
        return left - 1 <= piece.x and end <= right + 1 and bottom <= piece.y <= top


_ACTIONS = {
    b"BT": _Reading.begin_text,
    b"Td": _Reading.move,
    b"TD": _Reading.move_and_lead,
    b"Tm": _Reading.matrix,
    b"T*": _Reading.next_line,
    b"TL": _Reading.lead,
    b"Tf": _Reading.choose_font,
    b"Tj": _Reading.show,
    b"TJ": _Reading.show,
    b"'": _Reading.next_line_and_show,
    b'"': _Reading.next_line_and_show,
    b"cm": _Reading.transform,
    b"q": _Reading.save,
    b"Q": _Reading.restore,
    b"BMC": _Reading.begin_mark,
    b"BDC": _Reading.begin_mark,
    b"EMC": _Reading.end_mark,
}


def _numbers(operands: list[object]) -> list[float]:
    return [operand for operand in operands if isinstance(operand, float)]


def dictionary(item: PdfObject | None) -> DictionaryObject:
    found = item.get_object() if item is not None else None
    return found if isinstance(found, DictionaryObject) else DictionaryObject()


def _from_hex(digits: bytes) -> bytes:
    try:
        return unhexlify(digits)
    except ValueError:  # white space in it, or an odd number
        digits = b"".join(digits.split())
        return unhexlify(digits + b"0" * (len(digits) % 2))


def _utf16(digits: bytes) -> str:
    return _from_hex(digits).decode("utf-16-be", "replace")


def _text_string(content: bytes) -> str:
    if content.startswith((b"\xfe\xff", b"\xff\xfe")):
        return content.decode("utf-16", "replace")
    return content.decode("latin-1")


def _latin(token: bytes) -> str:
    return token.decode("latin-1")


_OPERANDS: Mapping[str | None, Callable[[bytes], object]] = {
    "number": float,
    "hex": lambda token: _from_hex(token[1:-1]),
    "string": lambda token: _unescape(token[1:-1]),
    "name": _latin,
    "open": _latin,
    "close": _latin,
}
_ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f", b"\n": b""}


def _unescape(string: bytes) -> bytes:
    def one(match: re.Match[bytes]) -> bytes:
        escaped = match[1]
        return bytes([int(escaped, 8) & 0xFF]) if escaped.isdigit() else _ESCAPES.get(escaped, escaped)

    return re.sub(rb"\\([0-7]{1,3}|[\s\S])", one, string)
