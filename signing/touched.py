"""What a revision touched, in words: for people, where the difference analysis found more than it may."""

from __future__ import annotations

from collections.abc import Iterator, Set
from typing import Any

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.reader import HistoricalResolver, PdfFileReader

from signing.model import Modification
from signing.objects import pages, write, written
from signing.xrefs import listed

__all__ = ["describe"]


def describe(
    reader: PdfFileReader, revision: int, old: HistoricalResolver, new: HistoricalResolver, after: str
) -> Iterator[Modification]:
    """What the revision touched, for people and machines."""
    try:
        touched = listed(reader, revision)
        old_pages, new_pages = [node for node, _ in pages(old.root)], [node for node, _ in pages(new.root)]
        if len(new_pages) > len(old_pages):
            yield Modification("page-added", "Det er lagt til sider.", False, after, page=len(old_pages) + 1)
        if len(new_pages) < len(old_pages):
            yield Modification("page-removed", "Det er fjernet sider.", False, after)
        for index, (before, page) in enumerate(zip(old_pages, new_pages, strict=False), start=1):
            yield from _describe_page(index, before, page, touched, after)
        for key, code, text in (
            ("/Metadata", "metadata-changed", "Dokumentets metadata er endret."),
            ("/StructTreeRoot", "structure-changed", "Dokumentets struktur er endret."),
            ("/OpenAction", "action-changed", "Det som skjer når dokumentet åpnes, er endret."),
            ("/Names", "names-changed", "Vedlegg eller navn i dokumentet er endret."),
            ("/OCProperties", "layers-changed", "Dokumentets lag er endret."),
        ):
            if written(old.root, key) != written(new.root, key) or _reference(new.root, key) in touched:
                yield Modification(code, text, False, after)
    # The revision may be malformed in any way; that it changed something has been found already.
    except Exception:  # noqa: BLE001
        yield Modification("unreadable", "En senere endring av dokumentet kan ikke leses.", False, after)


def _describe_page(
    index: int, before: Any, page: Any, touched: Set[tuple[int, int]], after: str
) -> Iterator[Modification]:
    content = any(
        written(before, key) != written(page, key)
        for key in ("/Contents", "/Resources", "/MediaBox", "/CropBox", "/Rotate")
    )
    if not content:
        content = any(reference in touched for reference in _reachable(page, ("/Contents", "/Resources"), 4))
    if content:
        yield Modification("page-changed", f"Innholdet på side {index} er endret.", False, after, page=index)
    old_notes, new_notes = _annotations(before), _annotations(page)
    for reference in new_notes.keys() - old_notes.keys():
        if not _is_signature(new_notes[reference]):
            yield Modification(
                "annotation-added", f"Det er lagt til en merknad på side {index}.", False, after, page=index
            )
    for _ in old_notes.keys() - new_notes.keys():
        yield Modification(
            "annotation-removed", f"En merknad på side {index} er fjernet.", False, after, page=index
        )
    for reference in old_notes.keys() & new_notes.keys():
        old_note, note = old_notes[reference], new_notes[reference]
        if _is_signature(note) and "/V" not in old_note:
            continue
        deep = any(item in touched for item in _reachable(note, ("/AP",), 5))
        if deep or write(old_note) != write(note):
            yield Modification(
                "annotation-changed", f"En merknad på side {index} er endret.", False, after, page=index
            )


def _is_signature(annotation: Any) -> bool:
    return "/FT" in annotation and annotation["/FT"] == "/Sig"


def _annotations(page: Any) -> dict[tuple[int, int], Any]:
    if "/Annots" not in page:
        return {}
    return {
        (entry.idnum, entry.generation): entry.get_object()
        for entry in page["/Annots"]
        if isinstance(entry, generic.IndirectObject)
    }


def _reachable(node: Any, keys: tuple[str, ...], depth: int) -> Iterator[tuple[int, int]]:
    """References below some entries of a dictionary, a few levels down."""
    for key in keys:
        if key in node:
            yield from _references(node.raw_get(key), depth)


def _references(value: Any, depth: int) -> Iterator[tuple[int, int]]:
    if depth == 0:
        return
    if isinstance(value, generic.IndirectObject):
        yield value.idnum, value.generation
        yield from _references(value.get_object(), depth - 1)
    elif isinstance(value, generic.DictionaryObject):
        for key, item in value.items():
            if key not in ("/Parent", "/P"):
                yield from _references(item, depth)
    elif isinstance(value, generic.ArrayObject):
        for item in value:
            yield from _references(item, depth)


def _reference(node: Any, key: str) -> tuple[int, int] | None:
    value = node.raw_get(key) if key in node else None
    return (value.idnum, value.generation) if isinstance(value, generic.IndirectObject) else None
