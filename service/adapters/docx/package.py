"""The zip file and XML parts under a Word file (ECMA-376 part 2, OPC), read with limits."""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from pathlib import PurePosixPath

from lxml import etree

from service.errors import TemplateError

__all__ = ["NAMESPACES", "W", "parse", "read_parts", "story_parts", "write_parts"]

MAX_PARTS = 200
MAX_TOTAL = 20 * 2**20
MAX_RATIO = 200
"""Unpacked over packed bytes; Word's own files stay below 50."""

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
NAMESPACES = {
    "w": "http://schemas.openxmlformats.org/wordprocessingml/2006/main",
    "r": "http://schemas.openxmlformats.org/officeDocument/2006/relationships",
    "rel": "http://schemas.openxmlformats.org/package/2006/relationships",
    "ct": "http://schemas.openxmlformats.org/package/2006/content-types",
    "cp": "http://schemas.openxmlformats.org/package/2006/metadata/core-properties",
    "dc": "http://purl.org/dc/elements/1.1/",
}
# The oldest time a zip entry can carry: the same bytes whenever the file is written.
_EPOCH = (1980, 1, 1, 0, 0, 0)


def _unsafe(message: str, code: str = "unsafe_zip") -> TemplateError:
    return TemplateError(
        message, code=code, remedy="Save the file again with Word as an ordinary .docx document."
    )


def read_parts(docx: bytes) -> dict[str, bytes]:
    """Part name (without leading slash) → bytes. Raises `TemplateError` (`not_a_word_file`, `unsafe_zip`)."""
    try:
        with zipfile.ZipFile(io.BytesIO(docx)) as archive:
            infos = [i for i in archive.infolist() if not i.is_dir()]
            _check_limits(infos)
            parts = {}
            for info in infos:
                # Read by the size the directory states, so that a lying entry cannot grow past the limits.
                with archive.open(info) as stream:
                    body = stream.read(info.file_size + 1)
                if len(body) != info.file_size:
                    raise _unsafe("A part of the file is not of the size that the file states.")
                parts[info.filename] = body
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, RuntimeError, ValueError) as exc:
        raise _unsafe("The file cannot be read as a Word document.", "not_a_word_file") from exc
    if "[Content_Types].xml" not in parts or "word/document.xml" not in parts:
        raise _unsafe("The file is no Word document.", "not_a_word_file")
    return parts


def _check_limits(infos: list[zipfile.ZipInfo]) -> None:
    if len(infos) > MAX_PARTS:
        raise _unsafe(f"The file has more than {MAX_PARTS} parts.")
    if sum(i.file_size for i in infos) > MAX_TOTAL:
        raise _unsafe(f"The file is more than {MAX_TOTAL // 2**20} MiB unpacked.")
    if any(i.file_size > MAX_RATIO * max(i.compress_size, 1) for i in infos):
        raise _unsafe(f"A part of the file is packed more than {MAX_RATIO} times.")
    if any(i.flag_bits & 1 for i in infos):
        raise _unsafe("The file is encrypted.")
    # Word compares part names without regard to case (OPC 6.2.2.3).
    if any(n > 1 for n in Counter(i.filename.lower() for i in infos).values()):
        raise _unsafe("The file has two parts of the same name.")
    for info in infos:
        path = PurePosixPath(info.filename)
        if path.is_absolute() or ".." in path.parts or "\\" in info.filename:
            raise _unsafe("The file has a part outside of itself.")


def parse(body: bytes) -> etree._Element:
    """A part's XML, with neither entities nor network. Raises `TemplateError` (`invalid_xml`)."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(body, parser)
    except etree.XMLSyntaxError as exc:
        raise _unsafe("A part of the file is not well-formed XML.", "invalid_xml") from exc
    document = root.getroottree().docinfo
    if document.internalDTD is not None or document.externalDTD is not None:
        raise _unsafe("A part of the file has a document type declaration.", "invalid_xml")
    return root


def story_parts(parts: dict[str, bytes]) -> list[str]:
    """The parts whose text is printed: the document, then headers and footers."""
    names = sorted(n for n in parts if n.startswith(("word/header", "word/footer")) and n.endswith(".xml"))
    return ["word/document.xml", *names]


def write_parts(parts: dict[str, bytes], *, packed: bool = True) -> bytes:
    """A zip whose bytes depend on the parts only: fixed order, times and attributes.

    Raises `TemplateError` (`unsafe_zip`) where `read_parts` would.
    """
    first = ("[Content_Types].xml", "_rels/.rels")
    names = [*(n for n in first if n in parts), *sorted(n for n in parts if n not in first)]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            info = zipfile.ZipInfo(name, _EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
            info.create_system = 3
            info.external_attr = 0o644 << 16
            archive.writestr(info, parts[name], compresslevel=6)
        _check_limits(archive.infolist())
    return out.getvalue()
