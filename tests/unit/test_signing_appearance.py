"""Visible signatures: what is drawn, in which letters, and that it stays inside its field."""

from __future__ import annotations

import re
import subprocess
import zlib
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader

from signing import Appearance, AppearanceError, FieldPlace, place_fields
from signing.appearance import stamp_style
from signing.fonts import open_font
from signing.pdf import open_writer
from tests.signing_documents import BOLD, REGULAR

LINK = "https://signature.invalid/employer"


def _draw(signable: bytes, appearance: Appearance, width: float = 200, height: float = 58) -> bytes:
    """The document with that appearance in the employer's field, unsigned."""
    from pyhanko.sign.fields import enumerate_sig_fields
    from pyhanko.sign.signers.cms_embedder import SigAppearanceSetup

    fielded = place_fields(signable, [FieldPlace("employer", "t", LINK, width, height)])
    writer = open_writer(fielded)
    ((_, _, reference),) = list(enumerate_sig_fields(writer))
    SigAppearanceSetup(style=stamp_style(appearance), timestamp=None, name=None).apply(  # type: ignore[arg-type]
        reference.get_object(), writer
    )
    writer.mark_update(reference)
    output = BytesIO()
    writer.write(output)
    return output.getvalue()


def _form(pdf: bytes) -> Any:
    for page in PdfReader(BytesIO(pdf)).pages:
        for entry in page.get("/Annots", ()):
            annotation = entry.get_object()
            if annotation.get("/T") == "employer":
                return annotation["/AP"]["/N"]
    raise AssertionError("no field")


def _text(pdf: bytes, tmp_path: Path) -> str:
    path = tmp_path / "drawn.pdf"
    path.write_bytes(pdf)
    return subprocess.run(
        ["pdftotext", "-layout", str(path), "-"], capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.parametrize(
    "letters",
    [
        "æøå ÆØÅ éèêô üöä",
        "áčđŋšŧž ÁČĐŊŠŦŽ ǥǧǩǯ",
        "łżźćęąóńś ŁŻŹĆĘĄÓŃŚ",
        "Office fjell – «sitat» § 5 № 1/2 10 000 kr",
        "Re\u0301ne\u0301 A\u030ase Zec\u030c",
    ],
)
def test_letters_can_be_read_back(signable: bytes, tmp_path: Path, letters: str) -> None:
    import unicodedata

    drawn = _draw(signable, Appearance(letters, (letters,), REGULAR, BOLD), height=70)
    shown = _text(drawn, tmp_path)
    assert shown.count(unicodedata.normalize("NFC", letters)) == 2


def test_mark_without_a_letter_of_its_own(signable: bytes, tmp_path: Path) -> None:
    """Where Unicode has no composed letter, the font may have the mark alone, set over the letter."""
    dejavu = Path("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf")
    drawn = _draw(signable, Appearance("Ax\u030ca", (), dejavu))
    assert "Ax\u030c" in _text(drawn, tmp_path)


def test_a_letter_the_font_lacks_is_refused(signable: bytes) -> None:
    with pytest.raises(AppearanceError, match=r"U\+4E2D"):
        _draw(signable, Appearance("中", (), REGULAR))
    with pytest.raises(AppearanceError, match=r"U\+0078 U\+030C"):
        _draw(signable, Appearance("x\u030c", (), REGULAR))


def test_fonts_are_embedded_subsets(signable: bytes) -> None:
    fonts = _form(_draw(signable, Appearance("Navn", ("linje",), REGULAR, BOLD)))["/Resources"]["/Font"]
    names = {re.sub(r"^/[A-Z]{6}\+", "", str(font["/BaseFont"])) for font in fonts.values()}
    assert names == {"Carlito", "Carlito-Bold"}
    for font in fonts.values():
        descendant = font["/DescendantFonts"][0]
        program = descendant["/FontDescriptor"]["/FontFile2"].get_data()
        assert len(program) < 60_000
        assert "/ToUnicode" in font


def test_ground_is_opaque_and_within_the_field(signable: bytes) -> None:
    content = _form(_draw(signable, Appearance("Navn", ("linje",), REGULAR, BOLD))).get_data().decode("ascii")
    assert content.startswith("q 1 g 0 1.5 200.000 55.000 re f Q")


def _extent(pdf: bytes) -> tuple[float, float, float]:
    """Right, lower and upper end of the text drawn, in points from the field's lower left corner."""
    form = _form(pdf)
    content = form.get_data().decode("ascii")
    sizes = {"F1": open_font(REGULAR), "F2": open_font(BOLD)}
    right, low, high = 0.0, 1e9, 0.0
    for match in re.finditer(r"/(F\d) ([\d.]+) Tf 1 0 0 1 ([\d.]+) (-?[\d.]+) Tm (.*)", content):
        font, size, x, y, shown = match.group(1), *(float(match.group(n)) for n in (2, 3, 4)), match.group(5)
        metrics = sizes[font].metrics
        widths = _widths(form["/Resources"]["/Font"]["/" + font])
        advance = sum(widths[int(glyph, 16)] for glyph in re.findall(r"<([0-9A-F]{4})>", shown))
        advance -= sum(float(n) for n in re.findall(r"[\s>\[](-?[\d.]+)(?=[\s\]<])", shown))
        right = max(right, x + advance * size / 1000)
        low, high = min(low, y - 0.25 * size), max(high, y + metrics.cap_height * size / 1000)
    return right, low, high


def _widths(font: Any) -> dict[int, float]:
    array = font["/DescendantFonts"][0]["/W"]
    return {int(array[i]): float(array[i + 1][0]) for i in range(0, len(array), 2)}


@pytest.mark.parametrize(
    ("title", "lines"),
    [
        ("Kort", ("a",)),
        (
            "Ole Kristian Alexander Wilhelm Maximilian von Østensjø-Ångstrøm Henriksen",
            ("Deltaker", "Signert 1. mai"),
        ),
        ("Navn", tuple(f"Linje {n} med en del tekst i seg som kan være lang" for n in range(4))),
        ("Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft", ("x",)),
        ("", ("bare en linje",)),
    ],
)
def test_text_stays_inside(signable: bytes, title: str, lines: tuple[str, ...]) -> None:
    right, low, high = _extent(_draw(signable, Appearance(title, lines, REGULAR, BOLD)))
    assert right <= 200 - 3.9
    assert low >= 1.5
    assert high <= 58 - 1.5


def test_too_much_text_is_refused(signable: bytes) -> None:
    many = Appearance("Navn", tuple("en lang linje til " * 3 for _ in range(12)), REGULAR, BOLD)
    with pytest.raises(AppearanceError, match="does not fit"):
        _draw(signable, many)


def test_without_bold_font_and_in_a_small_field(signable: bytes) -> None:
    plain = Appearance("Navn", ("linje",), REGULAR)
    assert len(_form(_draw(signable, plain, 90, 30))["/Resources"]["/Font"]) == 2


@pytest.mark.parametrize("content", [None, b"", b"not a font", zlib.compress(b"x" * 2000)])
def test_fonts_that_do_not_work(signable: bytes, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "font.ttf"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(AppearanceError, match="font"):
        _draw(signable, replace(Appearance("Navn", (), REGULAR), font=path))
