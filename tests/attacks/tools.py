"""Changing PDFs as a forger does: revisions added with pyHanko's writer, or byte by byte."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.generic import pdf_name
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader

EVIL = b"q 1 1 1 rg 40 300 500 300 re f 0 0 0 rg 60 400 200 30 re f Q"
"""A page's text covered with white, and a black bar: what is shown is another agreement."""


class PlainWriter(IncrementalPdfFileWriter):
    """Writes what it is told, and leaves the metadata alone."""

    def _update_meta(self) -> None:
        pass


def add(document: bytes, change: Callable[[PlainWriter], None]) -> bytes:
    """The document with one revision more."""
    writer = PlainWriter(BytesIO(document), strict=False)
    change(writer)
    writer._force_write_when_empty = True
    output = BytesIO()
    writer.write(output)
    return output.getvalue()


def page(writer: Any, number: int) -> Any:
    return writer.find_page_for_modification(number)[0].get_object()


def numbers(*values: float) -> generic.ArrayObject:
    return generic.ArrayObject(generic.FloatObject(value) for value in values)


def dictionary(**entries: Any) -> generic.DictionaryObject:
    return generic.DictionaryObject({pdf_name(f"/{key}"): value for key, value in entries.items()})


def name(value: str) -> generic.NameObject:
    return pdf_name(f"/{value}")


def array(*items: Any) -> generic.ArrayObject:
    return generic.ArrayObject(items)


def stream(data: bytes, **entries: Any) -> generic.StreamObject:
    return generic.StreamObject(dictionary(**entries), stream_data=data)


def form(writer: Any, data: bytes, width: float, height: float) -> Any:
    """A form XObject, as the appearance of an annotation."""
    return writer.add_object(
        stream(data, Type=name("XObject"), Subtype=name("Form"), BBox=numbers(0, 0, width, height))
    )


def cover(writer: Any, number: int = 0) -> None:
    """Draw over a page."""
    writer.add_stream_to_page(number, writer.add_object(stream(EVIL)))


def fields(handler: Any) -> Iterator[tuple[Any, Any]]:
    """The form's fields, and references to them."""
    for reference in handler.root["/AcroForm"]["/Fields"]:
        yield reference.get_object(), reference


def field(handler: Any, title: str) -> tuple[Any, Any]:
    return next((node, reference) for node, reference in fields(handler) if node.get("/T") == title)


def signatures(writer: Any) -> Iterator[tuple[Any, Any]]:
    """The signature dictionaries, and references to them."""
    for node, _ in fields(writer):
        if "/V" in node and node["/FT"] == "/Sig":
            yield node["/V"], node.raw_get("/V")


def last_range(document: bytes) -> tuple[int, int, int]:
    """Where the last /Contents begins and ends in the file, and the file's length by its byte range."""
    found = re.findall(rb"/ByteRange ?\[0 (\d+) (\d+) (\d+)\]", document)[-1]
    first, second, length = (int(item) for item in found)
    return first, second, second + length


def contents(document: bytes) -> bytes:
    """The CMS in the last /Contents, without the zeros behind it."""
    from asn1crypto import cms

    first, second, _ = last_range(document)
    return bytes(cms.ContentInfo.load(bytes.fromhex(document[first + 1 : second - 1].decode())).dump())


def with_contents(document: bytes, content: bytes) -> bytes:
    """Another CMS in the place of the last one."""
    first, second, _ = last_range(document)
    assert 2 * len(content) <= second - first - 2
    return (
        document[: first + 1]
        + content.hex().encode().ljust(second - first - 2, b"0")
        + document[second - 1 :]
    )


def reader(document: bytes) -> PdfFileReader:
    return PdfFileReader(BytesIO(document), strict=False)


def append_raw(document: bytes, objects: dict[int, bytes], trailer: bytes = b"") -> bytes:
    """A revision with a cross-reference table: object numbers and what stands between obj and endobj."""
    current = reader(document)
    body, places = bytearray(document), {}
    for number, content in objects.items():
        places[number] = len(body)
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    at = len(body)
    body += b"xref\n"
    for number, place in places.items():
        body += b"%d 1\n%010d 00000 n \n" % (number, place)
    size = max([*objects, current.xrefs.get_xref_container_info(current.xrefs.total_revisions - 1).size])
    root = current.root_ref
    body += b"trailer\n<< /Size %d /Root %d 0 R /Prev %d %s >>\nstartxref\n%d\n%%%%EOF\n" % (
        size + 1, root.idnum, current.last_startxref, trailer, at,
    )  # fmt: skip
    return bytes(body)


def page_contents(document: bytes, number: int = 0) -> int:
    """The object number of a page's content stream."""
    node = reader(document).root["/Pages"]["/Kids"][number].get_object()
    raw = node.raw_get("/Contents")
    reference = raw if isinstance(raw, generic.IndirectObject) else raw.raw_get(0)
    return int(reference.idnum)


def raw_stream(data: bytes) -> bytes:
    return b"<< /Length %d >>\nstream\n%s\nendstream" % (len(data), data)
