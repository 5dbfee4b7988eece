"""Scans of paper: small files of each kind that is taken, and what becomes of one that is tampered with."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from pypdf import PdfWriter
from pypdf.generic import ArrayObject, DecodedStreamObject, DictionaryObject, NameObject, TextStringObject

__all__ = ["jpeg", "named", "pdf", "pixels", "png"]


def pdf(*, pages: int = 1, mark: str = "") -> bytes:
    """A PDF with a line on each page; `mark` makes it another file."""
    return _written(_writer(pages, mark))


def _writer(pages: int, mark: str) -> PdfWriter:
    writer = PdfWriter()
    for _ in range(pages):
        page = writer.add_blank_page(595, 842)
        line = DecodedStreamObject()
        line.set_data(f"% {mark}\n72 100 m 240 130 l S".encode())
        page[NameObject("/Contents")] = writer._add_object(line)
    return writer


def _written(writer: PdfWriter) -> bytes:
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def encrypted() -> bytes:
    writer = _writer(1, "")
    writer.encrypt("hemmelig", algorithm="AES-256")
    return _written(writer)


def with_script() -> bytes:
    writer = _writer(1, "")
    script = {
        NameObject("/S"): NameObject("/JavaScript"),
        NameObject("/JS"): TextStringObject("app.alert(1)"),
    }
    writer.root_object[NameObject("/OpenAction")] = DictionaryObject(script)
    return _written(writer)


def with_file() -> bytes:
    writer = _writer(1, "")
    writer.add_attachment("more.txt", b"more")
    return _written(writer)


def with_launching_link() -> bytes:
    writer = _writer(1, "")
    action = DictionaryObject(
        {NameObject("/S"): NameObject("/Launch"), NameObject("/F"): TextStringObject("x")}
    )
    link = DictionaryObject(
        {NameObject("/Type"): NameObject("/Annot"), NameObject("/Subtype"): NameObject("/Link")}
    )
    link[NameObject("/A")] = action
    writer.pages[0][NameObject("/Annots")] = ArrayObject([writer._add_object(link)])
    return _written(writer)


def without_pages() -> bytes:
    return _written(_writer(0, ""))


def blank() -> bytes:
    writer = PdfWriter()
    writer.add_blank_page(595, 842)
    return _written(writer)


def pixels(document: bytes, kind: str) -> bytes:
    """The first page as a scanner gives it: `png` or `jpeg`."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "in.pdf")
        source.write_bytes(document)
        subprocess.run(
            ["pdftoppm", "-r", "40", "-gray", "-singlefile", f"-{kind}", source, Path(folder, "out")],
            check=True,
        )
        (made,) = Path(folder).glob("out.*")
        return made.read_bytes()


def png() -> bytes:
    return pixels(pdf(), "png")


def jpeg() -> bytes:
    return pixels(pdf(), "jpeg")


def named(body: bytes, media_type: str = "application/pdf", **more: Any) -> dict[str, Any]:
    """The command's `scan`, without the content."""
    return {"media_type": media_type, "sha256": hashlib.sha256(body).hexdigest(), **more}


def pdf_of_pages_without_end() -> bytes:
    """A page tree that has itself among its kids."""
    writer = _writer(1, "")
    tree = writer.root_object["/Pages"]
    tree["/Kids"].append(tree.indirect_reference)  # type: ignore[attr-defined, index, union-attr]
    return _written(writer)
