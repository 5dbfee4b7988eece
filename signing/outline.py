"""What an object of a PDF refers to and which names it has, without making the object.

Most objects of a tagged document are dictionaries of names, numbers and references, that nobody asks for but those who
look through all of them. These are held whole to the same form as `signing.parsing` reads, by one expression; what is
wanted is picked out of the bytes. Anything else is for the reader: strings, streams, dictionaries in dictionaries, keys
that come twice.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.reader import PdfFileReader

from signing.objects import references
from signing.parsing import OBJECT_HEADER, memory, references_in

__all__ = ["Outline", "outline", "references_of"]

# As the tokens of `signing.parsing`, but for names with # and strings; the groups are atomic, so that nothing is tried
# in two ways.
_SPACE: Final = rb"[ \n\r\t\f\0]*+"
_END: Final = rb"(?=[ \n\r\t\f\0()<>\[\]{}/%])"
_NAME: Final = rb"/[!\"$&'*+,\-.0-9:;=?@A-Z\\^_`a-z|~]*+" + _END
_REFERENCE: Final = rb"([1-9][0-9]{0,8}) ([0-9]{1,5}) R" + _END
_VALUE: Final = (
    rb"(?>" + _NAME
    + rb"|[1-9][0-9]{0,8} [0-9]{1,5} R" + _END
    + rb"|[+-]?[0-9]{1,18}" + _END + rb"(?!\s+[0-9]+\s+R)"
    + rb"|[+-]?[0-9]{1,18}\.[0-9]{1,18}" + _END
    + rb"|<(?:[0-9A-Fa-f]{2})*+>"
    + rb"|(?:true|false|null)" + _END + rb")"
)  # fmt: skip
_ITEM: Final = rb"(?>" + _VALUE + rb"|\[(?>" + _SPACE + _VALUE + rb")*+" + _SPACE + rb"\])"
_PAIR: Final = _SPACE + rb"(" + _NAME + rb")" + _SPACE + _ITEM
_DICTIONARY: Final = re.compile(
    rb"<<((?>" + _SPACE + _NAME + _SPACE + _ITEM + rb")*+)" + _SPACE + rb">>" + _SPACE + rb"endobj"
)
_PAIRS: Final = re.compile(_PAIR)
_NAMES: Final = re.compile(_NAME)
_REFERENCES: Final = re.compile(_REFERENCE)
_OUTLINES: Final = "_outlines"
"""Name of an attribute of our own, of pyHanko's reader."""


@dataclass(frozen=True, slots=True)
class Outline:
    """`references` are numbers and generations; `names` are as written, the keys among them."""

    references: list[tuple[int, int]]
    names: frozenset[bytes]


def outline(reader: PdfFileReader, key: tuple[int, int], place: Any) -> Outline | None:
    """Of the object of that number and generation, at that place of the file (not encrypted); None where it has to be
    read.
    """
    if not isinstance(place, int):
        return None
    kept: dict[tuple[int, tuple[int, int]], Outline | None] = vars(reader).setdefault(_OUTLINES, {})
    if (place, key) not in kept:
        kept[place, key] = _outline(reader.stream, key, place)
    return kept[place, key]


def references_of(
    reader: PdfFileReader, key: tuple[int, int], place: Any, revision: int
) -> list[tuple[int, int]]:
    """Number and generation of each reference in an object as the revision has it, at that place, none followed."""
    found = outline(reader, key, place)
    if found is not None:
        return found.references
    reference = generic.Reference(*key, reader)
    # The newest of each is read once for all who look at it; a resolver would make a copy of its own.
    newest = reader.xrefs.get_last_change(reference) == revision
    read = reader.get_object(reference) if newest else reader.get_object(reference, revision)
    noted = references_in(read)
    return list(references(read)) if noted is None else noted


def _outline(stream: Any, key: tuple[int, int], place: int) -> Outline | None:
    stream.seek(place)
    found_in = memory(stream)
    if found_in is None:
        return None
    document, base = found_in
    header = OBJECT_HEADER.match(document, place - base)
    if header is None or (int(header[1]), int(header[2])) != key:
        return None
    found = _DICTIONARY.match(document, header.end())
    if found is None:
        return None
    body = found[1] + b">"
    keys = _PAIRS.findall(body)
    if len(keys) != len(set(keys)):
        return None
    return Outline(
        [(int(number), int(generation)) for number, generation in _REFERENCES.findall(body)],
        frozenset(_NAMES.findall(body)),
    )
