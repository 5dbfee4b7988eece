"""TrueType fonts for visible signatures: measured, shaped and subset by HarfBuzz, embedded as CID fonts.

A subset takes about a millisecond, where fontTools needs half a second for a font with large layout tables.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import uharfbuzz
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.generic import pdf_name, pdf_string
from pyhanko.pdf_utils.writer import BasePdfFileWriter

from signing.errors import AppearanceError

__all__ = ["Font", "Glyph", "open_font"]

# One glyph for one letter: text copied out of the PDF is then the text put in.
_FEATURES = {"liga": False, "clig": False, "dlig": False, "calt": False}


@dataclass(frozen=True)
class Glyph:
    """A placed glyph: its number in the font, its own width, how far the pen moves, and where it is drawn
    beside the pen (combining marks). In 1/1000 em.
    """

    number: int
    width: float
    advance: float
    shift: float
    rise: float
    text: str


@dataclass(frozen=True)
class _Metrics:
    name: str
    box: tuple[float, float, float, float]
    ascent: float
    descent: float
    cap_height: float
    italic_angle: float
    weight: int


class Font:
    """One font file, read once."""

    def __init__(self, path: Path) -> None:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise AppearanceError(
                f"the font {path} cannot be read ({error.strerror})", remedy="install it or name another"
            ) from None
        try:
            self._face = uharfbuzz.Face(uharfbuzz.Blob(content))
            self._font = uharfbuzz.Font(self._face)
            self._scale = 1000 / self._face.upem
            self.metrics = _read_metrics(content, path.stem)
        except Exception as error:  # noqa: BLE001 - HarfBuzz and fontTools have many kinds, all mean a bad font
            raise AppearanceError(
                f"the font {path} is not a TrueType font ({type(error).__name__})"
            ) from None

    def shape(self, text: str) -> list[Glyph]:
        """The glyphs for a line of text, kerned. Raises `AppearanceError` when the font lacks a character."""
        text = unicodedata.normalize("NFC", text)
        if not text:
            return []
        buffer = self._shaped(text)
        starts = Counter(info.cluster for info in buffer.glyph_infos)
        # Where a glyph's part of the text ends: at the next that begins.
        ends = dict(pairwise([*sorted(starts), len(text)]))
        placed = zip(buffer.glyph_infos, buffer.glyph_positions or [], strict=True)
        return [
            Glyph(
                number=info.codepoint,
                width=self._font.get_glyph_h_advance(info.codepoint) * self._scale,
                advance=position.x_advance * self._scale,
                shift=position.x_offset * self._scale,
                rise=position.y_offset * self._scale,
                text=self._letters(text[info.cluster : ends[info.cluster]], info, starts[info.cluster]),
            )
            for info, position in placed
        ]

    def _shaped(self, text: str) -> Any:
        buffer = uharfbuzz.Buffer()
        buffer.add_str(text)
        buffer.guess_segment_properties()
        buffer.direction = "ltr"
        uharfbuzz.shape(self._font, buffer, _FEATURES)
        return buffer

    def _letters(self, cluster: str, info: Any, glyphs: int) -> str:
        """The part of the text a glyph stands for. A letter and its mark may be two glyphs of one cluster."""
        if info.codepoint != 0:
            if glyphs == 1:
                return cluster
            for letter in cluster:
                if self._font.get_nominal_glyph(ord(letter)) == info.codepoint:
                    return letter
        codes = " ".join(f"U+{ord(letter):04X}" for letter in cluster)
        raise AppearanceError(
            f"the font {self.metrics.name} cannot draw {codes}", remedy="use a font that can"
        )

    def width(self, text: str) -> float:
        """Width of a line of text, in em; of a character that the font lacks, that of its blank."""
        text = unicodedata.normalize("NFC", text)
        positions = self._shaped(text).glyph_positions if text else ()
        return float(sum(position.x_advance for position in positions) * self._scale / 1000)

    def embed(self, writer: BasePdfFileWriter, used: Sequence[Glyph]) -> generic.IndirectObject:
        """Add a subset with the glyphs used to the PDF (ISO 32000-1 9.7); the reference to its Type 0 font."""
        glyphs = {glyph.number: glyph for glyph in used}
        name = f"{_tag(sorted(glyphs))}+{self.metrics.name}"
        program = generic.StreamObject(stream_data=self._subset(sorted(glyphs)))
        program[pdf_name("/Length1")] = generic.NumberObject(len(program.data))
        program.compress()
        metrics = self.metrics
        descriptor = {
            "/Type": pdf_name("/FontDescriptor"),
            "/FontName": pdf_name(f"/{name}"),
            "/Flags": generic.NumberObject(4),
            "/FontBBox": _numbers(metrics.box),
            "/ItalicAngle": generic.FloatObject(metrics.italic_angle),
            "/Ascent": generic.NumberObject(round(metrics.ascent)),
            "/Descent": generic.NumberObject(round(metrics.descent)),
            "/CapHeight": generic.NumberObject(round(metrics.cap_height)),
            "/StemV": generic.NumberObject(int(10 + 220 * (metrics.weight - 50) / 900)),
            "/FontFile2": writer.add_object(program),
        }
        widths = generic.ArrayObject()
        for number in sorted(glyphs):
            widths.extend([generic.NumberObject(number), _numbers([glyphs[number].width])])
        descendant = {
            "/Type": pdf_name("/Font"),
            "/Subtype": pdf_name("/CIDFontType2"),
            "/BaseFont": pdf_name(f"/{name}"),
            "/CIDSystemInfo": _dictionary(
                {
                    "/Registry": pdf_string("Adobe"),
                    "/Ordering": pdf_string("Identity"),
                    "/Supplement": generic.NumberObject(0),
                }
            ),
            "/CIDToGIDMap": pdf_name("/Identity"),
            "/W": widths,
            "/FontDescriptor": writer.add_object(_dictionary(descriptor)),
        }
        to_unicode = generic.StreamObject(stream_data=_to_unicode(glyphs))
        to_unicode.compress()
        return writer.add_object(
            _dictionary(
                {
                    "/Type": pdf_name("/Font"),
                    "/Subtype": pdf_name("/Type0"),
                    "/BaseFont": pdf_name(f"/{name}"),
                    "/Encoding": pdf_name("/Identity-H"),
                    "/DescendantFonts": generic.ArrayObject([writer.add_object(_dictionary(descendant))]),
                    "/ToUnicode": writer.add_object(to_unicode),
                }
            )
        )

    def _subset(self, numbers: list[int]) -> bytes:
        wanted = uharfbuzz.SubsetInput()
        wanted.glyph_set.update(numbers)
        wanted.flags = (
            uharfbuzz.SubsetFlags.RETAIN_GIDS
            | uharfbuzz.SubsetFlags.NOTDEF_OUTLINE
            | uharfbuzz.SubsetFlags.NO_LAYOUT_CLOSURE
        )
        for tag in ("GSUB", "GPOS", "GDEF", "DSIG", "kern", "cmap", "name", "post", "OS/2", "meta"):
            wanted.drop_table_tag_set.add(int.from_bytes(tag.encode(), "big"))
        subset = uharfbuzz.subset(self._face, wanted)
        return bytes(subset.blob.data)


@lru_cache(maxsize=16)
def open_font(path: Path) -> Font:
    """The font of that file; read the first time. Raises `AppearanceError`."""
    return Font(path)


def _read_metrics(content: bytes, name: str) -> _Metrics:
    from fontTools.ttLib import TTFont  # type: ignore[import-untyped]

    with TTFont(BytesIO(content), lazy=True) as tables:
        if "glyf" not in tables:
            raise ValueError("no outlines in TrueType form")
        head, hhea, os2 = tables["head"], tables["hhea"], tables["OS/2"]
        scale = 1000 / head.unitsPerEm
        postscript = tables["name"].getDebugName(6) or name
        return _Metrics(
            name="".join(letter for letter in postscript if letter.isalnum() or letter == "-"),
            box=(head.xMin * scale, head.yMin * scale, head.xMax * scale, head.yMax * scale),
            ascent=hhea.ascent * scale,
            descent=hhea.descent * scale,
            cap_height=getattr(os2, "sCapHeight", 700 / scale) * scale,
            italic_angle=tables["post"].italicAngle,
            weight=os2.usWeightClass,
        )


def _tag(numbers: Sequence[int]) -> str:
    """Six capitals that name the subset (ISO 32000-1 9.6.4)."""
    digest = hashlib.sha256(repr(list(numbers)).encode()).digest()
    return "".join(chr(ord("A") + value % 26) for value in digest[:6])


def _to_unicode(glyphs: dict[int, Glyph]) -> bytes:
    lines = [
        f"<{number:04X}> <{glyphs[number].text.encode('utf-16-be').hex().upper()}>"
        for number in sorted(glyphs)
    ]
    blocks = []
    for start in range(0, len(lines), 100):
        part = lines[start : start + 100]
        blocks.append(f"{len(part)} beginbfchar\n" + "\n".join(part) + "\nendbfchar\n")
    return (
        "/CIDInit /ProcSet findresource begin\n12 dict begin\nbegincmap\n"
        "/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def\n"
        "/CMapName /Adobe-Identity-UCS def\n/CMapType 2 def\n"
        "1 begincodespacerange\n<0000> <FFFF>\nendcodespacerange\n" + "".join(blocks) + "endcmap\n"
        "CMapName currentdict /CMap defineresource pop\nend\nend\n"
    ).encode("ascii")


def _dictionary(values: dict[str, Any]) -> generic.DictionaryObject:
    return generic.DictionaryObject({pdf_name(name): value for name, value in values.items()})


def _numbers(values: Sequence[float]) -> generic.ArrayObject:
    return generic.ArrayObject(generic.FloatObject(round(value, 3)) for value in values)
