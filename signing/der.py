"""The distinguished encoding rules (ITU-T X.690 10, 11): read strictly, and written piece by piece.

What others send is checked here before any library reads it: one value, definite and shortest lengths, nothing behind
it. So two readers cannot see two different things in the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

__all__ = [
    "CONTEXT_0",
    "CONTEXT_1",
    "OCTET_STRING",
    "SEQUENCE",
    "SET",
    "Element",
    "EncodingError",
    "check",
    "elements",
    "in_order",
    "tlv",
]

SEQUENCE: Final = 0x30
SET: Final = 0x31
OCTET_STRING: Final = 0x04
CONTEXT_0: Final = 0xA0
CONTEXT_1: Final = 0xA1

_BOOLEAN, _INTEGER, _BIT_STRING, _NULL, _OBJECT_IDENTIFIER, _ENUMERATED = 0x01, 0x02, 0x03, 0x05, 0x06, 0x0A
_CONSTRUCTED: Final = 0x20
_DEEPEST: Final = 40  # a certificate in a token in a signature is some twenty levels down


class EncodingError(ValueError):
    """Bytes that are not DER. The text says why and quotes nothing of them."""


class Element(NamedTuple):
    """One encoded value: its identifier octet, its content, and all of its bytes."""

    tag: int
    content: bytes
    encoded: bytes


def tlv(tag: int, content: bytes) -> bytes:
    """An encoded value."""
    size = len(content)
    if size < 128:
        return bytes([tag, size]) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + content


def elements(content: bytes) -> list[Element]:
    """The values that stand one after another in `content`. Raises `EncodingError`."""
    found = []
    position = 0
    while position < len(content):
        start, tag = position, content[position]
        size, position = _length(content, position)
        if size > len(content) - position:
            raise EncodingError("a value ends beyond the bytes there are")
        found.append(Element(tag, content[position : position + size], content[start : position + size]))
        position += size
    return found


def check(encoded: bytes) -> Element:
    """The one value that `encoded` is, in DER all the way down. Raises `EncodingError`.

    The order of a SET OF is not looked at: it changes neither what is read nor what is signed, except in signed
    attributes, where the reader has to see to it (`in_order`).
    """
    if not encoded:
        raise EncodingError("there are no bytes")
    size, start = _length(encoded, 0)
    if start + size < len(encoded):
        raise EncodingError("there are bytes behind the value")
    found = elements(encoded)
    _check(found, 0)
    return found[0]


def in_order(values: Iterable[Element]) -> bool:
    """Whether the values of a SET OF stand in the order of DER (X.690 11.6)."""
    encoded = [value.encoded for value in values]
    return encoded == sorted(encoded)


def _length(content: bytes, position: int) -> tuple[int, int]:
    """The length of the value at `position`, and where its content begins (X.690 8.1.3, 10.1)."""
    if content[position] & 0x1F == 0x1F:
        raise EncodingError("a tag is of the long form")
    if position + 1 >= len(content):
        raise EncodingError("a value has no length")
    first = content[position + 1]
    position += 2
    if first < 0x80:
        return first, position
    count = first & 0x7F
    if count == 0:
        raise EncodingError("a length is indefinite")
    octets = content[position : position + count]
    if len(octets) < count or count > 4:
        raise EncodingError("a length is out of bounds")
    size = int.from_bytes(octets, "big")
    if size < 128 or octets[0] == 0:
        raise EncodingError("a length is not the shortest")
    return size, position + count


def _check(values: list[Element], depth: int) -> None:
    if depth > _DEEPEST:
        raise EncodingError("the values are nested too deep")
    for value in values:
        if value.tag & _CONSTRUCTED:
            if value.tag < 0x40 and value.tag not in (SEQUENCE, SET):
                raise EncodingError("a string is in pieces")
            _check(elements(value.content), depth + 1)
        elif value.tag < 0x40:
            _check_primitive(value.tag, value.content)


def _check_primitive(tag: int, content: bytes) -> None:
    """X.690 8.3.2, 8.6.2, 8.8.2, 8.19.2, 11.1, 11.2.1."""
    sound = True
    if tag == _BOOLEAN:
        sound = content in (b"\x00", b"\xff")
    elif tag in (_INTEGER, _ENUMERATED):
        sound = len(content) > 0 and not (
            len(content) > 1 and content[0] in (0x00, 0xFF) and content[0] >> 7 == content[1] >> 7
        )
    elif tag == _BIT_STRING:
        unused = content[0] if content else 8
        empty = len(content) == 1 and unused == 0
        sound = empty or (len(content) > 1 and unused < 8 and not content[-1] & ((1 << unused) - 1))
    elif tag == _NULL:
        sound = not content
    elif tag == _OBJECT_IDENTIFIER:
        sound = len(content) > 0 and not content[-1] & 0x80
    elif tag in (SEQUENCE & ~_CONSTRUCTED, SET & ~_CONSTRUCTED):
        sound = False
    if not sound:
        raise EncodingError("a value is not in its one form")
