"""Comparing what revisions of a signed document look like: what no rule about its objects has thought of shows here.

Each signed revision from the first on, and the file as it is, is made into pictures once, a page at a time. All must
be the same to the pixel, but for the places of signatures that came in between.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from signing.errors import SigningError
from signing.model import Modification, SignatureResult, ValidationReport
from signing.places import Place, signature_places

__all__ = ["Picture", "Rasterize", "compare_rendered"]

Picture = tuple[int, int, bytes]
"""Width and height in pixels, and a byte of grey for each pixel, by rows from the top."""
Rasterize = Callable[[bytes, int], Iterator[Picture]]
"""A PDF's pages as pictures of so many dots per inch, the media box whole, annotations drawn."""

_DOTS: Final = 72  # a pixel is a point, and pixels are compared exactly
MOST_PAGES: Final = 5_000
"""In all revisions together; with more, nothing is compared."""


@dataclass(frozen=True)
class _Look:
    """Digests of one page of one revision: outside all places, and of each place."""

    size: tuple[int, int]
    outside: bytes
    places: tuple[bytes, ...]


def compare_rendered(
    document: bytes, report: ValidationReport, rasterize: Rasterize, *, most_pages: int = MOST_PAGES
) -> ValidationReport:
    """The report, and a modification for each page that looks otherwise than in the signed revision before.

    Then the verdict is TOTAL-FAILED, for the document and for the signatures before the change. `pages` says whether
    there was a comparison: not for a document without signatures, one that cannot be read, or one with more than
    `most_pages` to look at. What `rasterize` raises is passed on.
    """
    signed = sorted(_signed(report).values())
    if not signed or not report.revisions:
        return report
    try:
        fields = {item.field: item.revision for item in report.signatures if item.revision is not None}
        places, count = signature_places(document, fields)
    except SigningError:
        return report
    lengths = [(number, report.revisions[number].length) for number in signed]
    if document[lengths[-1][1] :].strip():
        lengths.append((report.revisions[-1].number, len(document)))
    if count * len(lengths) > most_pages:
        return report
    found: list[tuple[int, Modification]] = []
    before: list[_Look] | None = None
    previous = signed[0]
    for number, length in lengths:
        looks = [
            _look(picture, [place for place in places if place.page == index])
            for index, picture in enumerate(rasterize(document[:length], _DOTS))
        ]
        if before is not None:
            after = _last_field(report, previous)
            found += [
                (previous, item) for item in _differences(before, looks, places, previous, number, after)
            ]
        before, previous = looks, number
    if not found:
        return replace(report, pages="same")
    return _failed(report, found)


def _differences(
    before: list[_Look], looks: list[_Look], places: list[Place], previous: int, number: int, after: str
) -> Iterator[Modification]:
    if len(before) != len(looks):
        yield Modification("page-count-differs", "Dokumentet viser et annet antall sider.", False, after)
    for index, (old, new) in enumerate(zip(before, looks, strict=False)):
        here = [place for place in places if place.page == index]
        came = [place for place in here if previous < place.revision <= number]
        same = old.size == new.size and old.outside == new.outside
        for place, was, now in zip(here, old.places, new.places, strict=True):
            same = same and (was == now or any(_meet(place.box, other.box) for other in came))
        if not same:
            text = f"Side {index + 1} ser annerledes ut enn da dokumentet ble signert."
            yield Modification("page-looks-different", text, False, after, page=index + 1)


def _failed(report: ValidationReport, found: list[tuple[int, Modification]]) -> ValidationReport:
    text = found[0][1].text
    last = max(revision for revision, _ in found)

    def judged(item: SignatureResult) -> SignatureResult:
        if item.indication == "TOTAL-FAILED" or item.revision is None or item.revision > last:
            return item
        return replace(item, indication="TOTAL-FAILED", sub_indication="FORMAT_FAILURE", explanation=text)

    failed = report.indication == "TOTAL-FAILED"
    return replace(
        report,
        indication="TOTAL-FAILED",
        sub_indication=report.sub_indication if failed else "FORMAT_FAILURE",
        explanation=report.explanation if failed else text,
        signatures=tuple(judged(item) for item in report.signatures),
        modifications=(*report.modifications, *(item for _, item in found)),
        pages="different",
    )


def _signed(report: ValidationReport) -> dict[str, int]:
    """The revisions of signatures and document timestamps, by field."""
    found = {item.field: item.revision for item in report.signatures}
    found |= {item.field: item.revision for item in report.document_timestamps}
    return {name: revision for name, revision in found.items() if revision is not None}


def _last_field(report: ValidationReport, revision: int) -> str:
    """Who signed last up to a revision."""
    before = {name: number for name, number in _signed(report).items() if number <= revision}
    return max(before, key=before.__getitem__)


# Pictures


def _look(picture: Picture, places: list[Place]) -> _Look:
    width, height, grey = picture
    inside = [_cut(grey, width, height, place.box) for place in places]
    if not places:
        return _Look((width, height), hashlib.sha256(grey).digest(), ())
    blank = bytearray(grey)
    for place in places:
        left, top, right, bottom = _within(place.box, width, height)
        for row in range(top, bottom):
            blank[row * width + left : row * width + right] = bytes(right - left)
    outside = hashlib.sha256(blank).digest()
    return _Look((width, height), outside, tuple(hashlib.sha256(part).digest() for part in inside))


def _cut(grey: bytes, width: int, height: int, box: tuple[int, int, int, int]) -> bytes:
    left, top, right, bottom = _within(box, width, height)
    return b"".join(grey[row * width + left : row * width + right] for row in range(top, bottom))


def _within(box: tuple[int, int, int, int], width: int, height: int) -> tuple[int, int, int, int]:
    left, right = (min(max(item, 0), width) for item in box[::2])
    top, bottom = (min(max(item, 0), height) for item in box[1::2])
    return left, top, max(left, right), max(top, bottom)


def _meet(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
