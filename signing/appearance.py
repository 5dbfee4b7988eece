"""What a visible signature looks like: white ground, a quiet rule to the left, a title and a few lines.

The ground is opaque, so that the text that held the place in the template does not shine through.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.generic import pdf_name
from pyhanko.pdf_utils.layout import BoxConstraints
from pyhanko.pdf_utils.writer import BasePdfFileWriter
from pyhanko.stamp import BaseStampStyle

from signing.errors import AppearanceError
from signing.fonts import Font, Glyph, open_font
from signing.model import Appearance

__all__ = ["stamp_style"]

_RULE: Final = 1.5  # points
_CLEAR: Final = 1.5  # left free above and below, so that the ground does not cover a table's lines
_INSET: Final = 8.0  # between rule and text
_MARGIN: Final = 4.0  # to the right, above and below
_TITLE_SIZE: Final = 9.5
_LINE_SIZE: Final = 8.5
_LEADING: Final = 1.22
_TITLE_GAP: Final = 1.5
_SMALLEST: Final = 0.6  # of the sizes above; smaller could not be read on paper
_INK: Final = "0.13 0.15 0.18 rg"
_ACCENT: Final = "0.12 0.29 0.49 rg"


@dataclass(frozen=True)
class _Line:
    text: str
    bold: bool


def stamp_style(appearance: Appearance | None) -> BaseStampStyle:
    """The style pyHanko asks for a field's appearance; None leaves the field as it is."""
    return _Style(appearance=appearance)


@dataclass(frozen=True)
class _Style(BaseStampStyle):
    appearance: Appearance | None = None

    def create_stamp(
        self, writer: BasePdfFileWriter, box: BoxConstraints, text_params: dict[str, Any]
    ) -> Any:
        del text_params  # the text is given whole
        if self.appearance is None:
            return None
        return _Stamp(writer, self.appearance, float(box.width), float(box.height))


class _Stamp:
    def __init__(
        self, writer: BasePdfFileWriter, appearance: Appearance, width: float, height: float
    ) -> None:
        self._writer = writer
        self._width, self._height = width, height
        self._regular = open_font(appearance.font)
        self._bold = open_font(appearance.bold_font or appearance.font)
        self._lines = [_Line(appearance.title, True), *(_Line(line, False) for line in appearance.lines)]

    def apply_appearance(self, annotation: generic.DictionaryObject) -> None:
        """Draw, and set the drawing as the widget's normal appearance (ISO 32000-1 12.5.5)."""
        form = generic.StreamObject(
            {
                pdf_name("/Type"): pdf_name("/XObject"),
                pdf_name("/Subtype"): pdf_name("/Form"),
                pdf_name("/BBox"): generic.ArrayObject(
                    generic.FloatObject(value) for value in (0, 0, self._width, self._height)
                ),
            },
            stream_data=b"",
        )
        content, fonts = self._draw()
        form._data = content
        form[pdf_name("/Resources")] = generic.DictionaryObject({pdf_name("/Font"): fonts})
        form.compress()
        annotation[pdf_name("/AP")] = generic.DictionaryObject(
            {pdf_name("/N"): self._writer.add_object(form)}
        )

    def _draw(self) -> tuple[bytes, generic.DictionaryObject]:
        scale, lines = self._fit()
        used: dict[str, list[Glyph]] = {"/F1": [], "/F2": []}
        tall = self._height - 2 * _CLEAR
        out = [f"q 1 g 0 {_CLEAR} {self._width:.3f} {tall:.3f} re f Q"]
        out.append(f"q {_ACCENT} 0 {_CLEAR} {_RULE} {tall:.3f} re f Q")
        top = (self._height + _block_height(lines, scale)) / 2
        out.append(f"q BT {_INK}")
        for line in lines:
            name, font, size = (
                ("/F2", self._bold, _TITLE_SIZE) if line.bold else ("/F1", self._regular, _LINE_SIZE)
            )
            size *= scale
            # The line's height is shared around the capitals, so that the block looks centred.
            baseline = top - (size * _LEADING + font.metrics.cap_height / 1000 * size) / 2
            glyphs = font.shape(line.text)
            used[name].extend(glyphs)
            out.append(
                f"{name} {size:.3f} Tf 1 0 0 1 {_RULE + _INSET:.3f} {baseline:.3f} Tm {_show(glyphs, size)}"
            )
            top -= size * _LEADING + (_TITLE_GAP * scale if line.bold else 0)
        out.append("ET Q")
        fonts = generic.DictionaryObject()
        for name, font in (("/F1", self._regular), ("/F2", self._bold)):
            if used[name]:
                fonts[pdf_name(name)] = font.embed(self._writer, used[name])
        return "\n".join(out).encode("ascii"), fonts

    def _fit(self) -> tuple[float, list[_Line]]:
        """The largest scale at which the text, wrapped, fits. Raises `AppearanceError` when none does."""
        room = self._width - _RULE - _INSET - _MARGIN
        scale = 1.0
        while scale >= _SMALLEST:
            lines = [
                _Line(part, line.bold) for line in self._lines for part in self._wrap(line, room / scale)
            ]
            if _block_height(lines, scale) <= self._height - 2 * _MARGIN:
                return scale, lines
            scale -= 0.025
        raise AppearanceError(
            f"the text does not fit in {self._width:.0f} × {self._height:.0f} points",
            remedy="give the field more room in the template, or show fewer lines",
        )

    def _wrap(self, line: _Line, room: float) -> list[str]:
        font, size = (self._bold, _TITLE_SIZE) if line.bold else (self._regular, _LINE_SIZE)
        parts: list[str] = []
        current = ""
        for word in line.text.split():
            longer = f"{current} {word}" if current else word
            if font.width(longer) * size <= room:
                current = longer
                continue
            if current:
                parts.append(current)
            *full, current = _break(word, font, room / size)
            parts.extend(full)
        if current:
            parts.append(current)
        return parts


def _break(word: str, font: Font, room: float) -> list[str]:
    """A word in pieces that each fit."""
    pieces = [""]
    for letter in word:
        if pieces[-1] and font.width(pieces[-1] + letter) > room:
            pieces.append("")
        pieces[-1] += letter
    return pieces


def _block_height(lines: list[_Line], scale: float) -> float:
    titles = sum(line.bold for line in lines)
    return scale * (
        titles * (_TITLE_SIZE * _LEADING + _TITLE_GAP) + (len(lines) - titles) * _LINE_SIZE * _LEADING
    )


def _show(glyphs: list[Glyph], size: float) -> str:
    """TJ operations: glyph numbers with kerning between them, and marks raised to their letter."""
    parts: list[str] = []
    run: list[str] = []

    def flush() -> None:
        if run:
            parts.append(f"[{' '.join(run)}] TJ")
            run.clear()

    for glyph in glyphs:
        if glyph.rise:
            flush()
            parts.append(f"{glyph.rise * size / 1000:.3f} Ts")
        before, after = -glyph.shift, glyph.shift + glyph.width - glyph.advance
        run.append(f"{before:.1f} <{glyph.number:04X}> {after:.1f}")
        if glyph.rise:
            flush()
            parts.append("0 Ts")
    flush()
    return (
        " ".join(parts)
        .replace(" 0.0 <", " <")
        .replace("[0.0 <", "[<")
        .replace("-0.0 <", "<")
        .replace("> 0.0", ">")
    )
