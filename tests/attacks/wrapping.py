"""Signature wrapping: the signed bytes stay in the file, elsewhere, and what is shown comes from between them."""

from __future__ import annotations

import re

from pyhanko.pdf_utils.xref import ObjStreamRef

from tests.attacks import tools
from tests.attacks.model import Attack, Ground

__all__ = ["ATTACKS"]

_SWA = "SWA"
_PAPER = "Mladenov et al., CCS 2019 (SWA)"
_STRUCTURE = "structure of signatures"


def _moved(document: bytes, gap: bytes) -> bytes:
    """The second range at the end, `gap` between; the cross-reference stays where startxref says, with other objects.

    The new dictionary has its /ByteRange before the gap ends; what was behind /Contents stands in a stream.
    """
    first, second, end = tools.last_range(document)
    behind = document[second:end]
    current = tools.reader(document)
    last = current.xrefs.total_revisions - 1
    startxref = current.last_startxref
    places: dict[int, int] = {}
    for reference in current.xrefs.explicit_refs_in_revision(last):
        place = current.xrefs.get_historical_ref(reference, last)
        assert not isinstance(place, ObjStreamRef) and place is not None
        places[reference.idnum] = place
    container = current.xrefs.get_xref_container_info(last).stream_ref
    assert container is not None
    places.pop(container.idnum, None)
    number = tools.page_contents(document)
    previous = current.xrefs.get_startxref_for_revision(last - 1)
    dictionary_end = behind[: behind.index(b"endobj")]
    body = bytearray(document[:first] + gap)
    ranges = len(body)
    body += b" " * 60 + re.sub(rb"/ByteRange ?\[[^]]*\]", b"", dictionary_end) + b"endobj\n"
    # Objects of the revision that lie behind the signature's are written again before the cross-reference.
    evil = b"%d 0 obj\n%s\nendobj\n" % (number, tools.raw_stream(tools.EVIL))
    assert len(body) + len(evil) < startxref
    places[number] = len(body)
    body += evil
    for item, place in list(places.items()):
        if place >= second:
            content = document[place : document.index(b"endobj", place) + 7]
            places[item] = len(body)
            body += content
    assert len(body) < startxref, (len(body), startxref)
    body += b"\n" * (startxref - len(body))
    body += b"xref\n"
    for item, place in sorted(places.items()):
        body += b"%d 1\n%010d 00000 n \n" % (item, place)
    body += b"trailer\n<< /Size %d /Root %d 0 R /Prev %d >>\nstartxref\n%d\n%%%%EOF\n" % (
        container.idnum + 1, current.root_ref.idnum, previous, startxref,
    )  # fmt: skip
    start = len(body)
    shape = b"/ByteRange [0 %d %d %d]" % (first, start, len(behind))
    body[ranges : ranges + len(shape)] = shape
    return bytes(body) + behind


def _second_range_moved(ground: Ground) -> bytes:
    content = tools.contents(ground.document).hex().encode()
    return _moved(ground.document, b"<" + content + b">")


def _padding_kept(ground: Ground) -> bytes:
    """As long a /Contents as before, zeros and all, so that only what follows it is new."""
    first, second, _ = tools.last_range(ground.document)
    # Room for what follows is taken of the zeros.
    return _moved(ground.document, ground.document[first : second - 9001] + b">")


def _entries_in_the_gap(ground: Ground) -> bytes:
    """Zeros behind the CMS give way to entries of the signature dictionary: a reason nobody gave."""
    first, second, _ = tools.last_range(ground.sealed)
    content = b"<" + tools.contents(ground.sealed).hex().encode() + b">"
    entry = b" /Reason (900 000 kroner)"
    return ground.sealed[:first] + (content + entry).ljust(second - first) + ground.sealed[second:]


def _literal_contents(ground: Ground) -> bytes:
    """/Contents as a literal string takes half the room: a check by its length alone does not see the rest."""
    first, second, _ = tools.last_range(ground.sealed)
    room = (second - first - 2) // 2
    value = tools.contents(ground.sealed).ljust(room, b"\0")
    literal = b"(" + b"".join(_escaped(byte) for byte in value) + b")"
    entry = b" /Reason (900 000 kroner)"
    return ground.sealed[:first] + (literal + entry).ljust(second - first) + ground.sealed[second:]


def _escaped(byte: int) -> bytes:
    return b"\\%03o" % byte if byte in b"()\\\r\n" else bytes([byte])


ATTACKS = (
    Attack(
        "second-range-moved",
        _SWA,
        "The second range moved to the end, other objects between",
        _PAPER,
        _second_range_moved,
        _STRUCTURE,
    ),
    Attack(
        "second-range-moved-padded",
        _SWA,
        "The same, with the padding of /Contents kept",
        _PAPER,
        _padding_kept,
        _STRUCTURE,
    ),
    Attack(
        "entries-in-the-gap",
        _SWA,
        "Entries of the dictionary in the room of the padding",
        _PAPER,
        _entries_in_the_gap,
        _STRUCTURE,
    ),
    Attack(
        "literal-contents",
        _SWA,
        "/Contents as a literal string, entries in the room that this saves",
        _PAPER,
        _literal_contents,
        _STRUCTURE,
    ),
)
