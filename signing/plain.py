"""Steps of a document that only sign it: one empty signature field gets its value, and evidence may come along.

Nearly every revision of a signed document is such a step, and what it may hold is so little that it is seen from the
objects it touches. The difference analysis reads the whole document for each revision instead; it judges all others.
What counts as plain here is a part of what that allows (ISO 32000-1 12.8.2.2, EN 319 142-1 5.4.2).
"""

from __future__ import annotations

from typing import Any, Final

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.reader import HistoricalResolver

from signing.objects import look_up, references, written

__all__ = ["field_signed_in"]

_STORE_KEYS: Final = frozenset({"/Type", "/Certs", "/OCSPs", "/CRLs"})
_APPEARANCE_KEYS: Final = frozenset({"/N"})


def field_signed_in(old: HistoricalResolver, new: HistoricalResolver) -> generic.Reference | None:
    """The field that the step from `old` to `new` signs, if it is plain; else None.

    A plain step changes two objects at most. An empty signature field without parent or kids gets a `/V`, and its own
    appearance where it shows one; the catalogue gets the document's first `/DSS`. All else that it writes is new, and
    so reached from these alone. Two things are not looked at here, as they take the whole document: whether anything
    pointed to a new object before it was there, and where else the field is used (`Survey` knows both).
    """
    xrefs = new.reader.xrefs
    if xrefs.refs_freed_in_revision(new.revision):
        return None
    if written(old.trailer_view, "/Root") != written(new.trailer_view, "/Root"):
        return None
    size = int(old.trailer_view["/Size"])
    touched = new.explicit_refs_in_revision()
    fresh = {
        item.idnum
        for item in touched
        if item.idnum >= size and xrefs.get_historical_ref(item, old.revision) is None
    }
    signed: generic.Reference | None = None
    for item in touched:
        if item.idnum in fresh:
            continue
        before, after = old(item), new(item)
        if not _are_dictionaries(before, after):
            return None
        changed = {
            name for name in before.keys() | after.keys() if written(before, name) != written(after, name)
        }
        if (item.idnum, item.generation) == (old.root_ref.idnum, old.root_ref.generation):
            if changed - {"/DSS"} or "/DSS" in before or not _is_store(new, after, fresh):
                return None
        elif signed is not None or not _is_signed(before, after, changed, new, fresh):
            return None
        else:
            signed = item
    return signed


def _are_dictionaries(*values: Any) -> bool:
    return all(
        isinstance(value, generic.DictionaryObject) and not isinstance(value, generic.StreamObject)
        for value in values
    )


def _is_signed(before: Any, after: Any, changed: set[str], new: HistoricalResolver, fresh: set[int]) -> bool:
    """Whether an empty signature field has got a signature, and nothing else but how it looks."""
    if "/V" not in changed or changed - {"/V", "/AP"}:
        return False
    if "/V" in before or "/Kids" in before or "/Parent" in before or "/T" not in before:
        return False
    if look_up(before, "/FT") != "/Sig" or not _is_fresh(after.raw_get("/V"), fresh):
        return False
    if "/AP" not in changed:
        return True
    appearance = after.raw_get("/AP") if "/AP" in after else None
    if not isinstance(appearance, generic.DictionaryObject) or set(appearance) != _APPEARANCE_KEYS:
        return False
    normal = appearance.raw_get("/N")
    if not _is_fresh(normal, fresh):
        return False
    drawn = new(normal.reference)
    return isinstance(drawn, generic.StreamObject) and look_up(drawn, "/Subtype") == "/Form"


def _is_store(new: HistoricalResolver, root: Any, fresh: set[int]) -> bool:
    """Whether the catalogue's document security store is new, and holds certificates, OCSP answers and CRLs alone."""
    if "/DSS" not in root or not _is_fresh(root.raw_get("/DSS"), fresh):
        return False
    store = new(root.raw_get("/DSS").reference)
    if not isinstance(store, generic.DictionaryObject) or set(store) - _STORE_KEYS:
        return False
    for name in _STORE_KEYS - {"/Type"}:
        entries = store.raw_get(name) if name in store else generic.ArrayObject()
        if not isinstance(entries, generic.ArrayObject):
            return False
        for index in range(len(entries)):
            entry = entries.raw_get(index)
            if not _is_fresh(entry, fresh):
                return False
            content = new(entry.reference)
            if not isinstance(content, generic.StreamObject) or any(references(content)):
                return False
    return True


def _is_fresh(value: Any, fresh: set[int]) -> bool:
    return isinstance(value, generic.IndirectObject) and value.idnum in fresh
