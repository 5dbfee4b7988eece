"""Content by which a document may come to show something else than when it was signed, with nothing changed in it.

ISO 32000-1 12.8.5 lists such content for attestation; shadow attacks (Mainka, Mladenov, Rohlmann: NDSS 2021) prepare
it before others sign. PDF/A has none of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.reader import PdfFileReader

from signing.objects import look_up
from signing.outline import outline
from signing.parsing import names_in
from signing.xrefs import newest

__all__ = ["unsettled"]

_ACTIONS: Final = frozenset(
    {"/JavaScript", "/Launch", "/SetOCGState", "/Hide", "/ImportData", "/ResetForm", "/Rendition", "/Movie"}
)
_TELLING: Final = _ACTIONS | {"/XFA", "/NeedAppearances", "/F", "/Alternates", "/OPI", "/Ref", "/PS", "/OCMD"}
"""Names that an object must have for anything to be found in it, unless a name of it is an object of its own."""
_TELLING_AS_WRITTEN: Final = frozenset(name.encode() for name in _TELLING)
_NO_VIEW, _TOGGLE_NO_VIEW, _PRINT = 1 << 5, 1 << 8, 1 << 2


def unsettled(reader: PdfFileReader) -> list[tuple[str, str]]:
    """Code and words for each kind of such content in the newest revision."""
    found: dict[str, str] = {}
    for node in _dictionaries(reader):
        for code, text in _findings(node):
            found.setdefault(code, text)
    for code, text in _layers(reader.root):
        found.setdefault(code, text)
    return sorted(found.items())


def _dictionaries(reader: PdfFileReader) -> Iterator[Any]:
    """Every dictionary of the newest revision that may tell, in it or in arrays and dictionaries there."""
    objects: list[Any] = []
    passed_over: list[tuple[int, int]] = []
    for key, place in _places(reader):
        seen = outline(reader, key, place)
        if seen is not None and seen.names.isdisjoint(_TELLING_AS_WRITTEN):
            passed_over.append(key)
        else:
            objects.append(generic.Reference(*key, reader).get_object())
    everywhere = any(isinstance(item, generic.NameObject) for item in objects)
    if everywhere:
        objects.extend(generic.Reference(*key, reader).get_object() for key in passed_over)
    for top in objects:
        names = names_in(top)
        if names is not None and not everywhere and names.isdisjoint(_TELLING):
            continue
        waiting: list[Any] = [top]
        while waiting:
            item = waiting.pop()
            if isinstance(item, generic.DictionaryObject):
                yield item
                waiting.extend(item.raw_get(key) for key in item)
            elif isinstance(item, generic.ArrayObject):
                waiting.extend(item.raw_get(index) for index in range(len(item)))


def _places(reader: PdfFileReader) -> Iterator[tuple[tuple[int, int], Any]]:
    """Number and generation of every object of the newest revision, and where it is."""
    containers = {(item.idnum, item.generation) for item in reader.xrefs.xref_stream_refs}
    for key, place in newest(reader).items():
        if key not in containers and place is not None:  # None: freed since
            yield key, place


def _findings(node: Any) -> Iterator[tuple[str, str]]:
    kind = node.raw_get("/S") if "/S" in node else None
    if isinstance(kind, generic.NameObject) and kind in _ACTIONS:
        yield "active-content", "Dokumentet har skript eller handlinger som kan endre det som vises."
    if "/XFA" in node or look_up(node, "/NeedAppearances"):
        yield "form-made-by-viewer", "Dokumentet overlater til leseprogrammet hva skjemafelt viser."
    if isinstance(node, generic.StreamObject) and "/F" in node:
        yield "external-content", "Dokumentet viser innhold som ligger utenfor det."
    if "/Alternates" in node or "/OPI" in node or _is_reference_form(node):
        yield "alternate-content", "Dokumentet kan vise annet innhold på skjerm enn på papir."
    if look_up(node, "/Type") == "/OCMD" and ("/VE" in node or look_up(node, "/P") in ("/AllOff", "/AnyOff")):
        yield "hidden-layer", "Dokumentet har lag som ikke alltid vises."
    flags = node.raw_get("/F") if "/Subtype" in node and "/Rect" in node and "/F" in node else 0
    if isinstance(flags, int) and flags & _PRINT and flags & (_NO_VIEW | _TOGGLE_NO_VIEW):
        yield "alternate-content", "Dokumentet kan vise annet innhold på skjerm enn på papir."


def _is_reference_form(node: Any) -> bool:
    return (
        isinstance(node, generic.StreamObject)
        and "/Subtype" in node
        and ((node["/Subtype"] == "/Form" and "/Ref" in node) or node["/Subtype"] == "/PS")
    )


def _layers(root: Any) -> Iterator[tuple[str, str]]:
    """Layers that are not shown, or not always (ISO 32000-1 8.11.4)."""
    if "/OCProperties" not in root:
        return
    properties = root["/OCProperties"]
    default = look_up(properties, "/D", {})
    off = "/OFF" in default and len(default["/OFF"]) > 0
    states = {"/BaseState"} & set(default) and default["/BaseState"] != "/ON"
    by_itself = "/AS" in default and len(default["/AS"]) > 0
    if off or states or by_itself or ("/Configs" in properties and len(properties["/Configs"]) > 0):
        yield "hidden-layer", "Dokumentet har lag som ikke alltid vises."
