"""Looking at PDF objects: what they refer to, and their bytes to compare."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Any

from pyhanko.pdf_utils import generic

__all__ = ["look_up", "references", "write"]


def look_up(node: Any, key: str, default: Any = None) -> Any:
    """The value of a dictionary's entry, followed where it is a reference, which pyHanko's own `get` does not."""
    return node[key] if key in node else default  # noqa: SIM401


def references(value: Any) -> Iterator[tuple[int, int]]:
    """Number and generation of each reference in an object, none followed."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, generic.IndirectObject):
            yield item.idnum, item.generation
        elif isinstance(item, generic.DictionaryObject):
            waiting.extend(item.raw_get(key) for key in item)
        elif isinstance(item, generic.ArrayObject):
            waiting.extend(item.raw_get(index) for index in range(len(item)))


def write(value: Any) -> bytes:
    """The object as it is written; references are not followed."""
    output = BytesIO()
    value.write_to_stream(output, None)
    return output.getvalue()
