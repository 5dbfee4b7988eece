"""Marking as artifact what is only drawn (ISO 32000-1 14.8.2.2; PDF/UA-1 7.1).

LibreOffice 7.4 marks the rules of tables as artifacts but writes the borders of paragraphs with no mark at all, at the
end of the page. Every mark of content or none: a screen reader must know what to pass over.
"""

from __future__ import annotations

import re

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
    depth = start = end = 0  # a stretch: from the end of the last EMC to the end of the last operator
    painted = real = False
    for token in _TOKEN.finditer(content):
        operator = token[0]
        if not _OPERATOR.fullmatch(operator) or operator in _NO_OPERATORS:
            continue
        if operator in {b"BDC", b"BMC"}:
            if depth == 0 and painted and not real:
                stretches.append((start, end))
            depth += 1
        elif operator == b"EMC":
            depth -= 1
            start, painted, real = token.end(), False, False
        elif depth == 0:
            painted |= operator in _PAINTING
            real |= operator in _REAL_CONTENT
        end = token.end()
    if depth == 0 and painted and not real:
        stretches.append((start, end))
    parts, last = [], 0
    for begin, finish in stretches:
        parts += [content[last:begin], b"\n/Artifact BMC", content[begin:finish], b"\nEMC"]
        last = finish
    return b"".join([*parts, content[last:]])
