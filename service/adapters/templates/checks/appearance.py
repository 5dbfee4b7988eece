"""Checks of how text looks: contrast (WCAG 2.1, 1.4.3), and fonts that can be embedded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from service.domain.template import Finding
from service.domain.word_content import Look

__all__ = ["check_contrast", "check_fonts", "contrast"]

_NORMAL, _LARGE = 4.5, 3.0
_LARGE_POINTS, _LARGE_BOLD_POINTS = 18.0, 14.0
# Families made to the same measures, so that lines and pages break as they do in Word: what fontconfig's
# 30-metric-aliases.conf lists, and LibreOffice goes by.
_SAME_MEASURES = {
    "arial": {"liberation sans", "arimo"},
    "arial narrow": {"liberation sans narrow"},
    "calibri": {"carlito"},
    "cambria": {"caladea"},
    "courier new": {"liberation mono", "cousine"},
    "helvetica": {"liberation sans", "arimo", "nimbus sans"},
    "times new roman": {"liberation serif", "tinos"},
}
# Their bullets and boxes come out as Unicode from another font; see `name_symbols` of the PDF's finishing.
_SYMBOL_FONTS = {"symbol", "wingdings"}


def contrast(one: str, other: str) -> float:
    """The contrast of two colours (`RRGGBB`), from 1 to 21 (WCAG 2.1, "contrast ratio").

    >>> round(contrast("000000", "FFFFFF"), 2), round(contrast("767676", "FFFFFF"), 2)
    (21.0, 4.54)
    """
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.1)."""
    channels = (int(colour[i : i + 2], 16) / 255 for i in (0, 2, 4))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def check_contrast(file: str, looks: Sequence[Look]) -> Iterator[Finding]:
    """Text that is too pale on its background: each pair of colours is told once, with its first place."""
    told = set()
    for look in looks:
        if look.colour is None:
            continue
        is_large = look.points >= _LARGE_POINTS or (look.is_bold and look.points >= _LARGE_BOLD_POINTS)
        needed = _LARGE if is_large else _NORMAL
        for background in sorted(look.backgrounds):
            found = contrast(look.colour, background)
            key = (look.colour, background, look.source, needed)
            if found < needed and key not in told:
                told.add(key)
                yield Finding(
                    f"{file}: {look.where}",
                    "contrast",
                    f"The text is #{look.colour} ({look.source}) on #{background}: "
                    f"a contrast of {_floored(found)}:1, where {needed:g}:1 is needed.",
                    "Choose a darker colour for the text or a lighter one for what is behind it.",
                )


def _floored(ratio: float) -> str:
    """One decimal, never rounded up to what would be enough."""
    return f"{int(ratio * 10) / 10:g}"


def check_fonts(file: str, looks: Sequence[Look], installed_font: Callable[[str], str]) -> Iterator[Finding]:
    """Fonts that are not where documents are made: others, of other measures, would stand in for them unasked."""
    told: set[str] = set()
    for look in looks:
        for font in sorted(look.fonts - told):
            told.add(font)
            name, stand_in = font.casefold(), installed_font(font)
            same = {name, *_SAME_MEASURES.get(name, ())}
            if name not in _SYMBOL_FONTS and stand_in.casefold() not in same:
                yield Finding(
                    f"{file}: {look.where}",
                    "font_missing",
                    f"The font {font} is not installed; {stand_in} would be embedded instead of it.",
                    "Choose another font in the style, or have this one installed where documents are made.",
                )
