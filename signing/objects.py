"""Looking at PDF objects: what they refer to, and their bytes to compare."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import Any

from pyhanko.pdf_utils import generic

__all__ = ["form_fields", "look_up", "pages", "references", "write", "written"]


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


def written(node: Any, key: str) -> bytes:
    """A dictionary's entry as it is written, references not followed; empty where there is none."""
    return write(node.raw_get(key)) if key in node else b""


_INHERITED = ("/MediaBox", "/CropBox", "/Rotate", "/Resources")
_DEPTH = 64


def pages(root: Any) -> Iterator[tuple[Any, Mapping[str, Any]]]:
    """Each page of a catalogue, in order, and what it has of its own or inherits (ISO 32000-1 7.7.3.4)."""

    def walk(node: Any, inherited: Mapping[str, Any], depth: int) -> Iterator[tuple[Any, Mapping[str, Any]]]:
        values = {**inherited, **{key: node[key] for key in _INHERITED if key in node}}
        if "/Kids" not in node:
            yield node, values
        elif depth:
            for kid in node["/Kids"]:
                yield from walk(kid.get_object(), values, depth - 1)

    yield from walk(root["/Pages"], {}, _DEPTH)


def form_fields(handler: Any) -> dict[str, Any]:
    """Fields and widgets of a document, or of a revision, by full name; with a number where there is none."""
    form = look_up(handler.root, "/AcroForm", {})
    found: dict[str, Any] = {}

    def walk(kids: Any, prefix: str, depth: int) -> None:
        for index, kid in enumerate(kids):
            node = kid.get_object()
            name = f"{prefix}{node['/T']}" if "/T" in node else f"{prefix}{index}"
            found[name] = node
            if "/Kids" in node and depth:
                walk(node["/Kids"], name + ".", depth - 1)

    walk(look_up(form, "/Fields", ()), "", _DEPTH)
    return found
