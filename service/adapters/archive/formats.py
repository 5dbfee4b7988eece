"""File formats by their names in registries: media type, PRONOM, and what Noark calls them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from service.domain.archive import Holding

__all__ = ["Format", "claimed_pdf_a", "format_of"]


@dataclass(frozen=True)
class Format:
    """`puid` is PRONOM's identifier (https://www.nationalarchives.gov.uk/pronom/), None where we know none."""

    media_type: str
    name: str
    version: str | None = None
    puid: str | None = None

    @property
    def full_name(self) -> str:
        joint = "-" if self.name == "PDF/A" else " "
        return f"{self.name}{joint}{self.version}" if self.version else self.name


_PDF_A: Final = {"1A": "fmt/95", "1B": "fmt/354", "2A": "fmt/476", "2B": "fmt/477", "2U": "fmt/478",
                 "3A": "fmt/479", "3B": "fmt/480", "3U": "fmt/481"}  # fmt: skip
_BY_SUFFIX: Final = {
    "json": Format("application/json", "JSON", None, "fmt/817"),
    "docx": Format(
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "Microsoft Word for Windows", "2007 onwards", "fmt/412",
    ),
    "p7s": Format("application/pkcs7-signature", "CMS signature (CAdES)"),
    "jpg": Format("image/jpeg", "JPEG"),
    "png": Format("image/png", "PNG"),
    "xml": Format("text/xml", "XML", "1.0", "fmt/101"),
    "xsd": Format("text/xml", "XML Schema Definition", None, "x-fmt/280"),
    "txt": Format("text/plain", "Plain text", None, "x-fmt/111"),
}  # fmt: skip
_OTHER: Final = Format("application/octet-stream", "Binary")
_XMP: Final = re.compile(
    rb"pdfaid:part(?:>|=[\"'])(\d)[\s\S]{1,200}?pdfaid:conformance(?:>|=[\"'])([ABUabu])"
)


def claimed_pdf_a(body: bytes) -> str | None:
    """The part and level of PDF/A that the file's own metadata name, e.g. `2A`; None for a file that names none."""
    if not body.startswith(b"%PDF-"):
        return None
    found = _XMP.search(body)
    return f"{found[1].decode()}{found[2].decode().upper()}" if found else None


def format_of(holding: Holding) -> Format:
    if holding.suffix != "pdf":
        return by_suffix(holding.suffix)
    if holding.pdf_a is None:
        return Format("application/pdf", "PDF")
    return Format("application/pdf", "PDF/A", holding.pdf_a.lower(), _PDF_A.get(holding.pdf_a))


def by_suffix(suffix: str) -> Format:
    return _BY_SUFFIX.get(suffix, _OTHER)
