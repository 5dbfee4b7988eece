"""Where on the pages of a document its signatures are shown."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from signing.objects import form_fields, look_up, pages
from signing.pdf import open_reader, readable

__all__ = ["Box", "Place", "signature_places"]

Box = tuple[int, int, int, int]
"""Left, top, right and bottom in points from the upper left corner of the page as it is shown."""

_LARGEST: Final = 1 / 6
"""Of a page: a signature that covers more may hide what others signed, and is no place where all may change."""


@dataclass(frozen=True)
class Place:
    """Where a signature is shown, and the revision that it came with. Pages are counted from 0."""

    page: int
    box: Box
    revision: int


def signature_places(document: bytes, fields: Mapping[str, int]) -> tuple[list[Place], int]:
    """The widgets of these signature fields, each as in the revision given for it, and how many pages there are.

    Raises `RevisionBroken` for bytes that are not a sound PDF.
    """
    reader = open_reader(document)
    found: list[Place] = []
    with readable():
        count = sum(1 for _ in pages(reader.root))
        for name, revision in fields.items():
            resolver = reader.get_historical_resolver(revision)
            field = form_fields(resolver).get(name)
            if field is None:
                continue
            found += [Place(page, box, revision) for page, box in _widgets(resolver.root, field)]
    return found, count


def _widgets(root: Any, field: Any) -> Iterator[tuple[int, Box]]:
    nodes = [kid.get_object() for kid in look_up(field, "/Kids", ())] or [field]
    own = {id(node): node for node in nodes}
    for index, (page, inherited) in enumerate(pages(root)):
        for entry in look_up(page, "/Annots", ()):
            if id(entry.get_object()) in own:
                box = _box(look_up(entry.get_object(), "/Rect"), inherited)
                if box is not None:
                    yield index, box


def _box(rectangle: Any, page: Mapping[str, Any]) -> Box | None:
    """The rectangle on the page as shown, a pixel wider for smoothed edges; None without area, or with too much."""
    left, right = sorted(float(side) for side in list(rectangle)[::2])
    bottom, top = sorted(float(side) for side in list(rectangle)[1::2])
    west, east = sorted(float(side) for side in list(page["/MediaBox"])[::2])
    south, north = sorted(float(side) for side in list(page["/MediaBox"])[1::2])
    width, height = east - west, north - south
    if right <= left or top <= bottom or (right - left) * (top - bottom) > _LARGEST * width * height:
        return None
    sides = (left - west, north - top, right - west, north - bottom)
    for _ in range(int(page.get("/Rotate", 0)) // 90 % 4):
        # A quarter turn clockwise (ISO 32000-1 table 30).
        sides = (height - sides[3], sides[0], height - sides[1], sides[2])
        width, height = height, width
    return (
        math.floor(sides[0]) - 1, math.floor(sides[1]) - 1, math.ceil(sides[2]) + 1, math.ceil(sides[3]) + 1
    )  # fmt: skip
