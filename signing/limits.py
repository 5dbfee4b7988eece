"""How much a document from anywhere may cost: limits, and what is said when one is exceeded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.decode_limits import (
    DecodeLimits,
    DocumentDecodeBudget,
    StreamDecodeLimits,
)
from pyhanko.pdf_utils.reader import PdfFileReader

from signing.xrefs import listed

__all__ = ["LimitExceeded", "Limits"]

_MIB: Final = 1024 * 1024
# A file of many small parts decodes more than its size, but not a thousand times.
_RATIO: Final = 20


@dataclass(frozen=True)
class Limits:
    """What a validation may use. Sizes are in bytes, times in seconds."""

    size: int = 256 * _MIB
    pages: int = 10_000
    objects: int = 500_000
    decompressed: int = 512 * _MIB
    """Of all streams that are read."""
    signatures: int = 200
    revisions: int = 500
    seconds: int = 60
    memory: int = 2048 * _MIB
    """`seconds` and `memory` are kept in a process of its own only (`validate_untrusted`)."""

    def decoding(self) -> DecodeLimits:
        """The same for pyHanko's stream decoders."""
        return DecodeLimits(
            per_stream=StreamDecodeLimits(max_output_size=self.decompressed),
            document_budget=DocumentDecodeBudget(base_allowance=self.decompressed, max_ratio=_RATIO),
        )

    def check_bytes(self, document: bytes) -> None:
        """What can be told before the file is read. Raises `LimitExceeded`."""
        if len(document) > self.size:
            raise LimitExceeded("size")
        if document.count(b"startxref") > self.revisions:
            raise LimitExceeded("revisions")
        # Objects, and entries of tables that speak of more than there are.
        if max(document.count(b" obj"), document.count(b" n \n"), document.count(b" n\r\n")) > self.objects:
            raise LimitExceeded("objects")

    def check_structure(self, reader: PdfFileReader) -> None:
        """What its cross-reference tables and its page tree tell. Raises `LimitExceeded`."""
        total = reader.xrefs.total_revisions
        if total > self.revisions:
            raise LimitExceeded("revisions")
        objects = 0
        for number in range(total):
            objects += len(listed(reader, number))
            if objects > self.objects:
                raise LimitExceeded("objects")
        for pages, _ in enumerate(_page_tree(reader), 1):
            if pages > 2 * self.pages:  # the nodes between count too
                raise LimitExceeded("pages")
        # pyHanko follows the form's fields by recursion, and names each by all above it.
        if any(depth > _FIELD_DEPTH for depth in _field_depths(reader)):
            raise LimitExceeded("nesting")


class LimitExceeded(Exception):
    """A limit that the document exceeds, by its name in `Limits`, or `nesting`."""

    def __init__(self, limit: str) -> None:
        super().__init__(limit)
        self.limit = limit


_WORDS: Final = {
    "size": "er større enn {value} byte",
    "pages": "har flere enn {value} sider, eller sider som viser til seg selv",
    "objects": "har flere enn {value} objekter",
    "decompressed": "fyller mer enn {value} byte når det pakkes ut",
    "signatures": "har flere enn {value} signaturer",
    "revisions": "har flere enn {value} revisjoner",
    "seconds": "tok mer enn {value} sekunder å kontrollere",
    "memory": "krevde mer enn {value} byte minne",
    "nesting": "har for mange nivåer inni hverandre",
    "process": "fikk kontrollen til å stoppe",
}


def explain_limit(limit: str, limits: Limits) -> str:
    """For people: which limit stopped the validation."""
    value = f"{getattr(limits, limit, 0):,}".replace(",", " ")
    return (
        f"Dokumentet {_WORDS[limit].format(value=value)}. Det er over grensen for hva som kontrolleres her."
    )


_FIELD_DEPTH: Final = 64


def _field_depths(reader: PdfFileReader) -> Iterator[int]:
    """How deep the form's fields lie, each once."""
    form = reader.root.get("/AcroForm", {})
    waiting = [(field, 1) for field in _entries(form, "/Fields")]
    seen = set()
    while waiting:
        (key, field), depth = waiting.pop()
        if key in seen:
            continue
        seen.add(key)
        yield depth
        waiting.extend((kid, depth + 1) for kid in _entries(field, "/Kids"))


def _entries(node: Any, name: str) -> Iterator[tuple[object, Any]]:
    """What an array of a dictionary refers to, with something to know it again by; nothing where it is none."""
    kids = node.get(name, ()) if isinstance(node, generic.DictionaryObject) else ()
    if not isinstance(kids, generic.ArrayObject):
        return
    for number in range(len(kids)):
        raw = kids.raw_get(number)
        indirect = isinstance(raw, generic.IndirectObject)
        yield (raw.reference if indirect else id(raw)), kids[number]


def _page_tree(reader: PdfFileReader) -> Iterator[Any]:
    """The nodes of the page tree; a node that comes back to itself never ends."""
    waiting = [reader.root["/Pages"]]
    while waiting:
        node = waiting.pop()
        yield node
        kids = node.get("/Kids", ())
        waiting.extend(
            kids[number] for number in range(len(kids))
        )  # not iterated: that leaves references alone
