"""Making a document's pages into pictures to look at, and its places for signatures visible in them."""

from __future__ import annotations

import io
import subprocess
import tempfile
from pathlib import Path

from pypdf import PdfReader, PdfWriter
from pypdf.generic import (
    ArrayObject,
    DecodedStreamObject,
    DictionaryObject,
    FloatObject,
    NameObject,
)

from service.errors import ConfigurationError, RenderFailed

__all__ = ["page_pictures", "show_places"]

_SECONDS = 120


def show_places(pdf: bytes) -> bytes:
    """The document with a dashed frame in every signature field that has a place on a page.

    Only how the fields look is changed: tags, metadata and text stay as they are.
    """
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(pdf)))
    writer.pdf_header = "%PDF-1.7"
    for page in writer.pages:
        for reference in page.get("/Annots", ()):
            widget = reference.get_object()
            left, bottom, right, top = (float(side) for side in widget.get("/Rect", (0, 0, 0, 0)))
            if widget.get("/FT") == "/Sig" and right > left and top > bottom:
                look = writer._add_object(_frame(right - left, top - bottom))
                widget[NameObject("/AP")] = DictionaryObject({NameObject("/N"): look})
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def _frame(width: float, height: float) -> DecodedStreamObject:
    """A form XObject (ISO 32000-1 8.10): lines only, as text would need a font."""
    look = DecodedStreamObject()
    look.set_data(
        f"q 0.086 0.196 0.310 RG 1 w [4 3] 0 d 0.5 0.5 {width - 1:.2f} {height - 1:.2f} re S Q".encode()
    )
    look.update(
        {
            NameObject("/Type"): NameObject("/XObject"),
            NameObject("/Subtype"): NameObject("/Form"),
            NameObject("/BBox"): ArrayObject(FloatObject(round(n, 2)) for n in (0, 0, width, height)),
            NameObject("/Resources"): DictionaryObject(),
        }
    )
    return look


def page_pictures(pdf: bytes, *, dots_per_inch: int = 100) -> list[bytes]:
    """Each page as a PNG, by poppler's `pdftoppm`.

    Raises `ConfigurationError` (`tool_missing`) where there is none, `RenderFailed` when it cannot read the file.
    """
    with tempfile.TemporaryDirectory(prefix="signert-pages-") as folder:
        try:
            subprocess.run(  # noqa: S603
                ["pdftoppm", "-png", "-r", str(dots_per_inch), "-", str(Path(folder) / "page")],  # noqa: S607
                input=pdf, capture_output=True, timeout=_SECONDS, check=True,
            )  # fmt: skip
        except OSError as exc:
            raise ConfigurationError(
                "pdftoppm cannot be run, so pages cannot be shown as pictures.",
                code="tool_missing",
                remedy="Install poppler-utils (Debian: apt-get install poppler-utils).",
            ) from exc
        except subprocess.SubprocessError as exc:
            raise RenderFailed("pdftoppm cannot make pictures of the PDF") from exc
        # The numbers in the names are of one length, so their order is the pages'.
        return [path.read_bytes() for path in sorted(Path(folder).iterdir())]
