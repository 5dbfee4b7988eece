"""What must hold of the fonts before a document may be called PDF/A level A.

Every font is embedded, every character has a glyph, and every glyph says which Unicode character it is.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from itertools import pairwise

from pypdf.generic import DictionaryObject, StreamObject

from service.adapters.pdf.content import Font, dictionary
from service.errors import NotArchivable

__all__ = ["check_embedded", "check_glyphs", "name_symbols"]

_FONT_FILES = ("/FontFile", "/FontFile2", "/FontFile3")
_CMAP_ENTRY = re.compile(rb"(<[0-9A-F]+>\s*)<(E[0-9A-F]{3}|F[0-8][0-9A-F]{2})>", re.IGNORECASE)
# Word writes its bullets and boxes as code points of the Symbol and Wingdings fonts, in the Private Use Area;
# what they are in Unicode (ISO 19005-2 6.2.11.7.3). Word's own gallery of bullets, and its check boxes.
_SYMBOLS = {
    0xF0B7: "\N{BULLET}",  # Symbol
    0xF06C: "\N{BLACK CIRCLE}",  # the rest: Wingdings
    0xF06E: "\N{BLACK SQUARE}",
    0xF06F: "\N{WHITE SQUARE}",
    0xF071: "\N{LOWER RIGHT SHADOWED WHITE SQUARE}",
    0xF075: "\N{BLACK DIAMOND}",
    0xF076: "\N{BLACK DIAMOND MINUS WHITE X}",
    0xF0A7: "\N{BLACK SMALL SQUARE}",
    0xF0A8: "\N{WHITE MEDIUM SQUARE}",
    0xF0D8: "\N{THREE-D TOP-LIGHTED RIGHTWARDS ARROWHEAD}",
    0xF0E0: "\N{RIGHTWARDS ARROW}",
    0xF0FC: "\N{CHECK MARK}",
    0xF0FD: "\N{BALLOT BOX WITH X}",
    0xF0FE: "\N{BALLOT BOX WITH CHECK}",
}


def check_embedded(fonts: Iterable[DictionaryObject]) -> None:
    """Raises `NotArchivable` when a font is not in the file (ISO 19005-2 6.2.11.4.1)."""
    for font in fonts:
        if _font_file(font) is None and "/DescendantFonts" not in font:
            name = str(font.get("/BaseFont", "without a name"))
            raise NotArchivable(
                f"The font {name} is not embedded in the PDF",
                remedy="Install the font where LibreOffice runs, or use another in the template.",
                detail={"font": name},
            )


def check_glyphs(fonts: Iterable[DictionaryObject]) -> None:
    """Raises `NotArchivable` when a character came out as the box for "no such glyph" (ISO 19005-2 6.2.11.8).

    LibreOffice copies that box into the subset as if it were the character's own glyph, and maps it to the
    character: validators see nothing, people see a box. Seen in TrueType fonts, which LibreOffice subsets as such.
    """
    for font in fonts:
        file = _font_file(font)
        if file is None or "/ToUnicode" not in font or font.get("/Subtype") != "/TrueType":
            continue
        undrawn = _codes_of_undrawn(file.get_data())
        shown = (Font(font).unicode.get(code, "") for code in undrawn)
        characters = {char for char in shown if char and not char.isspace()}
        if characters:
            scripts = sorted({_script(char) for char in characters})
            raise NotArchivable(
                f"No installed font has a glyph for some characters of the document ({', '.join(scripts)})",
                code="glyph_missing",
                remedy="Install a font that covers them where LibreOffice runs; fonts-noto-core covers most scripts.",
                detail={"scripts": scripts, "characters": "".join(sorted(characters))},
            )


def _script(char: str) -> str:
    """A character's script, as far as may be told without telling the text: `CJK`, `HEBREW`, `symbol`."""
    return unicodedata.name(char[0], "unnamed").split()[0] if char[0].isalpha() else "symbol"


def name_symbols(fonts: Iterable[DictionaryObject]) -> None:
    """Map the symbols of Word's symbol fonts to Unicode. Raises `NotArchivable` for one that has no known meaning."""
    for font in fonts:
        to_unicode = font.get("/ToUnicode")
        stream = to_unicode.get_object() if to_unicode is not None else None
        if not isinstance(stream, StreamObject):
            continue
        cmap = stream.get_data()
        named = _CMAP_ENTRY.sub(_name_symbol, cmap)
        if named != cmap:
            stream.set_data(named)


def _name_symbol(entry: re.Match[bytes]) -> bytes:
    point = int(entry[2], 16)
    symbol = _SYMBOLS.get(point)
    if symbol is None:
        raise NotArchivable(
            f"The template uses symbol U+{point:04X} of a symbol font, which has no meaning in Unicode",
            remedy="Replace it in the template with a Unicode character, such as • – ✓ ☐.",
            detail={"character": f"U+{point:04X}"},
        )
    return entry[1] + b"<%04X>" % ord(symbol)


def _font_file(font: DictionaryObject) -> StreamObject | None:
    descriptor = dictionary(font.get("/FontDescriptor"))
    for name in _FONT_FILES:
        file = descriptor.get(name)
        if file is not None and isinstance(stream := file.get_object(), StreamObject):
            return stream
    return None


def _codes_of_undrawn(font: bytes) -> list[int]:
    """Codes whose glyph is drawn like glyph 0, .notdef (OpenType: `glyf`, `loca`, and `cmap` of format 0)."""
    tables = {
        font[at : at + 4]: _slice(font, at + 8)
        for at in range(12, 12 + 16 * int.from_bytes(font[4:6], "big"), 16)
    }
    glyphs, locations, cmap = tables.get(b"glyf", b""), tables.get(b"loca", b""), tables.get(b"cmap", b"")
    wide = tables[b"head"][50:52] != b"\0\0"
    step, factor = (4, 1) if wide else (2, 2)
    offsets = [
        int.from_bytes(locations[at : at + step], "big") * factor for at in range(0, len(locations), step)
    ]
    outlines = [glyphs[low:high] for low, high in pairwise(offsets)]
    subtable = int.from_bytes(cmap[8:12], "big")
    if cmap[subtable : subtable + 2] != b"\0\0":
        return []
    glyph_of_code = cmap[subtable + 6 : subtable + 262]
    return [
        code
        for code, glyph in enumerate(glyph_of_code)
        if 0 < glyph < len(outlines) and outlines[glyph] == outlines[0]
    ]


def _slice(font: bytes, at: int) -> bytes:
    offset, length = int.from_bytes(font[at : at + 4], "big"), int.from_bytes(font[at + 4 : at + 8], "big")
    return font[offset : offset + length]
