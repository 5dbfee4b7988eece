"""Reads PDF objects from memory in one go, where pyHanko reads a byte at a time.

Reading objects was a fifth of the time of a whole agreement, and the hexadecimal digits of a signature's /Contents
most of the time of a validation. What is unusual in any way (comments, line breaks in strings, odd numbers, what ends
too early, a key that comes twice) is left to pyHanko's own functions, from the start of the object: so what is
accepted, and what comes out, stays the same.
"""

from __future__ import annotations

import re
from binascii import unhexlify
from io import BytesIO
from typing import IO, Any, Final

from pyhanko.pdf_utils import generic, xref
from pyhanko.pdf_utils.misc import PdfReadError

from signing.parts import PartsFile

__all__ = ["OBJECT_HEADER", "install", "memory", "names_in", "references_in"]

_DEPTH: Final = 100
"""Levels read here; a deeper object is pyHanko's, with its own limit."""
_NAMES: Final = 4_096
_LARGE: Final = 1024 * 1024

# Whitespace and delimiters of ISO 32000-1 7.2.2; a token has to end at one of them.
_TOKEN: Final = re.compile(
    rb"[ \n\r\t\f\0]*(?:"
    rb"/([!\"#$&'*+,\-.0-9:;=?@A-Z\\^_`a-z|~]*)(?=[ \n\r\t\f\0()<>\[\]{}/%])"  # 1: a name
    rb"|([1-9][0-9]{0,8}) ([0-9]{1,5}) R(?=[ \n\r\t\f\0()<>\[\]{}/%])"  # 2, 3: a reference
    rb"|([+-]?[0-9]{1,18})(?=[ \n\r\t\f\0()<>\[\]{}/%])(?!\s+[0-9]+\s+R)"  # 4: an integer
    rb"|([+-]?[0-9]{1,18}\.[0-9]{1,18})(?=[ \n\r\t\f\0()<>\[\]{}/%])"  # 5: a real
    rb"|\(([^()\\]*(?:\\(?:[0-3][0-7][0-7]|[nrtbf()\\])[^()\\]*)*)\)"  # 6: a string without brackets of its own
    rb"|<([0-9A-Fa-f]*+)>"  # 7: a hexadecimal string; `unhexlify` holds it to pairs
    rb"|(<<|>>|\[|\])"  # 8
    rb"|(true|false|null)(?=[ \n\r\t\f\0()<>\[\]{}/%])"  # 9
    rb")"
)
_ESCAPE: Final = re.compile(rb"\\([0-7]{3}|.)", re.DOTALL)
_ESCAPED: Final = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}
OBJECT_HEADER: Final = re.compile(
    rb"([0-9]{1,10})[ \n\r\t\f\0]([0-9]{1,5})[ \n\r\t\f\0]obj[ \n\r\t\f\0]*(?=[^ \n\r\t\f\0%])"
)
_NEXT: Final = re.compile(rb"[ \n\r\t\f\0]*([^ \n\r\t\f\0]?)")
_STREAM: Final = re.compile(rb"[ \n\r\t\f\0]*stream\r?\n")
_END_OF_STREAM: Final = re.compile(rb"[ \n\r\t\f\0]*endstream")
_DIGITS: Final = re.compile(rb"[0-9A-Fa-f]*\Z")
_CHUNK: Final = 16_384
_ENDS: Final = (b"%%EOF", b"%%EOF\n", b"%%EOF\r\n", b"%%EOF\r")
_SEEN: Final = "_seen_when_read"

_read_object: Final = generic.read_object
_read_hex_string: Final = generic.read_hex_string_from_stream
_read_object_header: Final[Any] = xref._read_object_header
_keys: Final[dict[bytes, Any]] = {}


class _Unusual(Exception):
    """Something that is not read here."""


class _Reader:
    """Reads one object out of `data`."""

    def __init__(self, data: bytes, container: Any) -> None:
        self.data = data
        self.container = container
        self.handler = container.get_pdf_handler()
        self.references: list[tuple[int, int]] = []
        self.names: set[str] = set()

    def value(self, token: re.Match[bytes] | None, depth: int) -> tuple[Any, int]:
        """The object that begins with the token, and where it ends."""
        if token is None or depth > _DEPTH:
            raise _Unusual
        end, kind = token.end(), token.lastindex
        result: Any
        if kind == 1:
            result = _name(token[1])
            self.names.add(result)
        elif kind == 3:
            key = int(token[2]), int(token[3])
            self.references.append(key)
            result = generic.IndirectObject(*key, self.handler)
        elif kind == 4:
            result = generic.NumberObject(token[4])
        elif kind == 8:
            if token[8] == b"<<":
                result, end = self._dictionary(end, depth)
            elif token[8] == b"[":
                result, end = self._array(end, depth)
            else:
                raise _Unusual
        elif kind == 5:
            result = generic.FloatObject(token[5].decode("ascii"))
        elif kind == 6:
            result = generic.pdf_string(_ESCAPE.sub(_unescaped, token[6]))
        elif kind == 7:
            result = generic.pdf_string(_hexadecimal(token[7]))
        else:
            word = token[9]
            result = generic.NullObject() if word == b"null" else generic.BooleanObject(word == b"true")
        result.container_ref = self.container
        return result, end

    def _array(self, at: int, depth: int) -> tuple[Any, int]:
        found = generic.ArrayObject()
        data, match, value = self.data, _TOKEN.match, self.value
        while True:
            token = match(data, at)
            if token is not None and token[8] == b"]":
                return found, token.end()
            item, at = value(token, depth + 1)
            list.append(found, item)

    def _dictionary(self, at: int, depth: int) -> tuple[Any, int]:
        entries, at = self.entries(at, depth)
        following = _NEXT.match(self.data, at)
        # pyHanko looks for a stream behind every dictionary, and passes over comments to find it.
        if following is None or following[1] in (b"s", b"%"):
            raise _Unusual
        found = generic.DictionaryObject()
        dict.update(found, entries)
        return found, at

    def entries(self, at: int, depth: int) -> tuple[dict[Any, Any], int]:
        """What stands between << and >>, and where that ends."""
        entries: dict[Any, Any] = {}
        data, match, value = self.data, _TOKEN.match, self.value
        while True:
            token = match(data, at)
            if token is None:
                raise _Unusual
            if token.lastindex != 1:
                if token[8] == b">>":
                    self.names.update(entries)
                    return entries, token.end()
                raise _Unusual
            key = _key(token[1])
            if key in entries:
                raise _Unusual
            item, at = value(match(data, token.end()), depth + 1)
            entries[key] = item


def _name(written: bytes) -> Any:
    if b"#" not in written:
        return generic.NameObject("/" + written.decode("ascii"))
    try:
        return generic._decode_name(written)
    except PdfReadError:
        raise _Unusual from None


def _hexadecimal(digits: bytes) -> bytes:
    try:
        return unhexlify(digits)
    except ValueError:
        raise _Unusual from None


def _unescaped(match: re.Match[bytes]) -> bytes:
    letter = match[1]
    return bytes([int(letter, 8)]) if len(letter) == 3 else _ESCAPED.get(letter, letter)


def _key(name: bytes) -> Any:
    found = _keys.get(name)
    if found is None:
        found = _name(name)
        if len(_keys) < _NAMES:
            _keys[name] = found
    return found


def _object(
    stream: IO[bytes],
    container_ref: Any,
    as_metadata_stream: bool = False,
    in_content_stream: Any = generic.ContentOpReading.NO,
) -> Any:
    found = None if as_metadata_stream or in_content_stream else memory(stream)
    if found is None:
        return _read_object(stream, container_ref, as_metadata_stream, in_content_stream)
    data, base = found
    start = stream.tell() - base
    reader = _Reader(data, container_ref)
    try:
        if data.startswith(b"<<", start):
            entries, end = reader.entries(start + 2, 0)
            stream.seek(base + end)
            result = _large_stream(stream, entries, data, end, base) or _with_payload(stream, entries, reader)
        else:
            token = _TOKEN.match(data, start)
            if token is None or data[start : start + 1] in b" \n\r\t\f\0":
                raise _Unusual
            result, end = reader.value(token, 0)
            stream.seek(base + end)
    except _Unusual:
        stream.seek(base + start)
        return _read_object(stream, container_ref)
    result.container_ref = container_ref
    setattr(result, _SEEN, (reader.references, reader.names))
    return result


def references_in(read: Any) -> list[tuple[int, int]] | None:
    """Number and generation of each reference in an object as it was read; None where that was not noted."""
    seen: tuple[list[tuple[int, int]], set[str]] | None = getattr(read, _SEEN, None)
    return None if seen is None else seen[0]


def names_in(read: Any) -> set[str] | None:
    """The names in an object as it was read, keys among them; None where that was not noted."""
    seen: tuple[list[tuple[int, int]], set[str]] | None = getattr(read, _SEEN, None)
    return None if seen is None else seen[1]


def memory(stream: IO[bytes] | PartsFile) -> tuple[bytes, int] | None:
    """The bytes that the stream goes on with, and where in it they begin; None for what cannot be read here."""
    if type(stream) is BytesIO:
        # Not a copy: a BytesIO that was never written to gives the bytes that it was made of.
        return stream.getvalue(), 0
    if type(stream) is PartsFile:
        part, start = stream.part()
        # Where a revision ends: what is read up to there is the same, whatever comes behind.
        if part.endswith(_ENDS):
            return part, start
    return None


class _Stored(generic.StreamObject):
    """A stream whose bytes stay in the file until they are asked for; those of pictures and attachments never are."""

    _place: tuple[IO[bytes], int, int] | None = None
    _own: bytes | None = None

    @property
    def _encoded_data(self) -> bytes | None:
        if self._place is None:
            return self._own
        file, start, length = self._place
        before = file.tell()
        file.seek(start)
        try:
            return file.read(length)
        finally:
            file.seek(before)

    @_encoded_data.setter
    def _encoded_data(self, value: bytes | None) -> None:
        self._own, self._place = value, None


def _large_stream(
    stream: IO[bytes], entries: dict[Any, Any], data: bytes, end: int, base: int
) -> _Stored | None:
    """The stream that begins with a dictionary of these entries, if it is large and as usual."""
    length = entries.get("/Length")
    if not isinstance(length, generic.NumberObject) or length < _LARGE:
        return None
    start = _STREAM.match(data, end)
    behind = start and _END_OF_STREAM.match(data, start.end() + length)
    if not start or not behind:
        return None
    stream.seek(base + behind.end())
    found = _Stored()
    found._place = stream, base + start.end(), int(length)
    dict.update(found, entries)
    return found


def _with_payload(stream: IO[bytes], entries: dict[Any, Any], reader: _Reader) -> Any:
    """A dictionary, or the stream that it begins."""
    payload = generic._maybe_read_stream_payload(stream, entries, reader.handler)
    found = generic.DictionaryObject() if payload is None else generic.StreamObject(encoded_data=payload)
    dict.update(found, entries)
    return found


def _hex_string(stream: IO[bytes]) -> Any:
    start = stream.tell()
    stream.read(1)  # the opening bracket
    digits = b""
    while True:
        chunk = stream.read(_CHUNK if digits else 256)
        end = chunk.find(b">")
        if end >= 0:
            digits += chunk[:end]
            break
        digits += chunk
        if not chunk:
            break
    if end < 0 or len(digits) % 2 or not _DIGITS.match(digits):
        stream.seek(start)
        return _read_hex_string(stream)
    stream.seek(start + 1 + len(digits) + 1)
    return generic.pdf_string(unhexlify(digits))


def _object_header(stream: IO[bytes], strict: bool) -> tuple[int, int]:
    found_in = memory(stream)
    if found_in is not None:
        data, base = found_in
        found = OBJECT_HEADER.match(data, stream.tell() - base)
        if found is not None:
            stream.seek(base + found.end())
            return int(found[1]), int(found[2])
    header: tuple[int, int] = _read_object_header(stream, strict)
    return header


def install() -> None:
    """Let pyHanko use these readers."""
    xref._read_object_header = _object_header
    generic.read_object = _object
    generic.read_hex_string_from_stream = _hex_string
