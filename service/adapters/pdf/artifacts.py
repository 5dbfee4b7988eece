"""Marking as artifact what is only drawn (ISO 32000-1 14.8.2.2; PDF/UA-1 7.1).

LibreOffice 7.4 marks the rules of tables as artifacts but writes the borders of paragraphs with no mark at all, at the
end of the page. Every mark of content or none: a screen reader must know what to pass over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pypdf.generic import DictionaryObject, StreamObject

__all__ = ["mark_drawings"]

_TOKEN = re.compile(
    rb"<<|>>|[\[\]]|<[0-9A-Fa-f\s]*>|\((?:[^()\\]|\\[\s\S]|\((?:[^()\\]|\\[\s\S])*\))*\)"
    rb"|/[^\s<>\[\]()/%]*|[^\s<>\[\]()/%]+|%[^\r\n]*"
)
_OPERATOR = re.compile(rb"[A-Za-z'\"][A-Za-z0-9*'\"]*")
_PAINTING = frozenset({b"S", b"s", b"f", b"F", b"f*", b"B", b"B*", b"b", b"b*"})
_REAL_CONTENT = frozenset({b"Tj", b"TJ", b"'", b'"', b"Do", b"BI", b"sh"})
_NO_OPERATORS = frozenset({b"true", b"false", b"null"})
_MAY_PAINT = re.compile(rb"(?<![^\s<>\[\]()/%])[SsfFBb](?![^\s<>\[\]()/%*])")
_MARKS = frozenset({b"BDC", b"BMC", b"EMC"})
_MARK = re.compile(rb"(?:B[DM]C|EMC)(?<![^\s>)\[\]]...)(?![^\s<>\[\]()/%])", re.DOTALL)
_DOUBTFUL = re.compile(rb"<(?!</|/|[0-9A-Fa-f]*>)")
"""A `<` that begins neither a dictionary's first name nor a hexadecimal string in one piece."""


def mark_drawings(page: DictionaryObject) -> None:
    """Mark each stretch of unmarked lines and areas of the page as an artifact.

    Unmarked text and images stay unmarked: they may be real content, and a validator must say so.
    """
    contents = page.get("/Contents")
    stream = contents.get_object() if contents is not None else None
    if not isinstance(stream, StreamObject):
        return
    before = stream.get_data()
    after = marked(before)
    if after != before:
        stream.set_data(after)


def marked(content: bytes) -> bytes:
    """The content stream with its unmarked drawings between `/Artifact BMC` and `EMC`."""
    stretches: list[tuple[int, int]] = []
    depth = start = begin = 0  # `start` is the end of the last EMC, `begin` that of the last mark of any kind
    for mark in _marks(content):
        if mark[0] == b"EMC":
            depth -= 1
            start = mark.end()
        else:
            if depth == 0 and (end := _end_of_drawing(content, begin, mark.start())):
                stretches.append((start, end))
            depth += 1
        begin = mark.end()
    if depth == 0 and (end := _end_of_drawing(content, begin, len(content))):
        stretches.append((start, end))
    parts, last = [], 0
    for first, end in stretches:
        parts += [content[last:first], b"\n/Artifact BMC", content[first:end], b"\nEMC"]
        last = end
    return b"".join([*parts, content[last:]])


def _marks(content: bytes) -> Iterator[re.Match[bytes]]:
    """The operators that begin and end marked content.

    Where there is no string in parentheses, no comment and no doubtful `<`, as LibreOffice writes, they are what looks
    like them; else the content is read token by token.
    """
    if b"(" in content or b"%" in content or _DOUBTFUL.search(content):
        return (token for token in _TOKEN.finditer(content) if token[0] in _MARKS)
    return _MARK.finditer(content)


def _end_of_drawing(content: bytes, begin: int, end: int) -> int:
    """Where the last operator ends, when something is painted there and nothing of it may be real; else 0."""
    if not _MAY_PAINT.search(content, begin, end):
        return 0  # as is the rule: nothing but white space and the name of the next mark
    last, painted = 0, False
    for token in _TOKEN.finditer(content, begin, end):
        operator = token[0]
        if operator in _REAL_CONTENT:
            return 0
        if _OPERATOR.fullmatch(operator) and operator not in _NO_OPERATORS:
            painted = painted or operator in _PAINTING
            last = token.end()
    return last if painted else 0
