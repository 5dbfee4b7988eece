"""A template before it is filled: its parts, and what Jinja reads of those that are printed.

Reading it takes longer than filling it, and a published template never changes: what is the template's own is kept.
"""

from __future__ import annotations

import copy
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from docx import Document
from docx.document import Document as WordDocument
from docx.opc.constants import CONTENT_TYPE, RELATIONSHIP_TYPE
from docx.opc.part import Part
from lxml import etree

from service.adapters.docx.package import W, parse, read_parts

__all__ = ["Opened", "Story", "opened"]

_PRINTED = (RELATIONSHIP_TYPE.HEADER, RELATIONSHIP_TYPE.FOOTER)
_EMPTY_BODY = re.compile("(<w:body[^>]*)/>")


@dataclass(frozen=True)
class Story:
    """A part that is printed: its XML with tags, and what stands around that in the part.

    Of the document it is the body, which has the document's namespaces written out in its first tag: `own` is that
    tag, `before` what takes its place.
    """

    part: str
    source: str
    own: str = ""
    before: str = ""
    after: str = ""


@dataclass(frozen=True)
class Opened:
    """The parts as python-docx writes them, with core properties, whose part is `core`; the stories among them."""

    parts: Mapping[str, bytes]
    core: str
    document: Story
    headers: tuple[Story, ...]
    footnotes: tuple[Story, ...]


@lru_cache(maxsize=32)
def opened(docx: bytes) -> Opened:
    """Of a file that `unsafe_content` finds nothing in."""
    document = Document(io.BytesIO(docx))
    assert document.core_properties is not None  # python-docx makes them where there are none
    package = document.part.package
    out = io.BytesIO()
    document.save(out)
    parts = read_parts(out.getvalue())
    notes = [
        p.partname.membername for p in package.iter_parts() if p.content_type == CONTENT_TYPE.WML_FOOTNOTES
    ]
    return Opened(
        parts,
        package.part_related_by(RELATIONSHIP_TYPE.CORE_PROPERTIES).partname.membername,
        _body(document),
        tuple(Story(part.partname.membername, _string(parse(part.blob))) for part in _headers(document)),
        tuple(Story(name, parts[name].decode("utf-8")) for name in notes),
    )


def _headers(document: WordDocument) -> Iterator[Part]:
    """Headers and footers, each once."""
    related = [rel for rel in document.part.rels.values() if rel.reltype in _PRINTED]
    yield from {rel.target_part.partname: rel.target_part for rel in related if rel.target_part.blob}.values()


def _body(document: WordDocument) -> Story:
    root = document.element
    body = root.find(f"{W}body")
    source = _EMPTY_BODY.sub(r"\1></w:body>", _string(body), count=1) if not len(body) else _string(body)
    shell = copy.deepcopy(root)
    emptied = shell.find(f"{W}body")
    for child in list(emptied):
        emptied.remove(child)
    emptied.text = None
    place = _EMPTY_BODY.search(text := _string(shell))
    assert place is not None
    return Story(
        document.part.partname.membername,
        source,
        own=source[: source.index(">") + 1],
        before=f"{text[: place.start()]}{place[1]}>",
        after=text[place.end() :],
    )


def _string(element: etree._Element) -> str:
    return str(etree.tostring(element, encoding="unicode"))
