"""Incremental saving: something is added behind what is signed, in all the ways a revision can be written."""

from __future__ import annotations

from typing import Any

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.generic import pdf_name

from signing.objects import write
from tests.attacks import tools
from tests.attacks.model import Attack, Ground
from tests.attacks.tools import PlainWriter, add, array, dictionary, name, numbers, stream

__all__ = ["ATTACKS", "DIFFERENCE", "INCREMENTS", "added"]

DIFFERENCE = "difference analysis"
INCREMENTS = "increments"
_FILE = "file structure"
_PAPER = "Mladenov et al., CCS 2019 (ISA)"


def added(
    title: str,
    what: str,
    build: Any,
    code: str | None = None,
    rule: str = DIFFERENCE,
    *,
    source: str = _PAPER,
    **others: Any,
) -> Attack:
    return Attack(title, "ISA", what, source, build, rule, code, **others)


def _contents(ground: Ground) -> bytes:
    return add(ground.document, tools.cover)


def _overridden(ground: Ground) -> bytes:
    number = tools.page_contents(ground.document)
    return tools.append_raw(ground.document, {number: tools.raw_stream(tools.EVIL)})


def _without_xref(ground: Ground) -> bytes:
    number = tools.page_contents(ground.document)
    return ground.document + b"%d 0 obj\n%s\nendobj\n" % (number, tools.raw_stream(tools.EVIL))


def _trailer_only(ground: Ground) -> bytes:
    root = tools.reader(ground.document).root_ref.idnum
    return _without_xref(ground) + b"trailer\n<< /Root %d 0 R /Size 999 >>\n%%%%EOF\n" % root


def _copied_signature(ground: Ground) -> bytes:
    """The last signature's dictionary copied to the new revision, for tools that ask whether the newest has one."""

    def edit(writer: PlainWriter) -> None:
        tools.cover(writer)
        *_, (signature, _) = tools.signatures(writer)
        copy = generic.DictionaryObject({key: signature.raw_get(key) for key in signature})
        for node, reference in tools.fields(writer):
            if "/V" in node and node["/V"] == signature:
                node[pdf_name("/V")] = writer.add_object(copy)
                writer.mark_update(reference.reference)

    return add(ground.document, edit)


def _same_value(ground: Ground) -> bytes:
    """Another field points to a signature that somebody gave elsewhere."""

    def edit(writer: PlainWriter) -> None:
        signed = [(node, ref) for node, ref in tools.fields(writer) if "/V" in node]
        node, reference = signed[1]
        node[pdf_name("/V")] = signed[0][0].raw_get("/V")
        writer.mark_update(reference.reference)

    return add(ground.document, edit)


def _prefix(ground: Ground) -> bytes:
    """A byte of a page's content, of the revision that all signatures cover."""
    at = ground.document.index(b"\nstream\n") + 60
    return ground.document[:at] + bytes([ground.document[at] ^ 1]) + ground.document[at + 1 :]


def _hidden_objects(ground: Ground) -> bytes:
    """A revision that is permitted (evidence, added once more), with a page's content in it that no xref names."""
    sealed = ground.sealed
    number = tools.page_contents(sealed)
    hidden = b"%d 0 obj\n%s\nendobj\n" % (number, tools.raw_stream(tools.EVIL))
    evidence = tools.reader(sealed).root.raw_get("/DSS").idnum
    old = write(tools.reader(sealed).root["/DSS"])
    return tools.append_raw(sealed + hidden, {evidence: old})


def _rolled_back(ground: Ground) -> bytes:
    """The end of the file points back to the cross-reference of the seal's revision: later signatures are gone."""
    current = tools.reader(ground.document)
    first = min(item.signed_revision for item in current.embedded_signatures)
    return ground.document + b"startxref\n%d\n%%%%EOF\n" % current.xrefs.get_startxref_for_revision(first)


def _prev_loop(ground: Ground) -> bytes:
    current = tools.reader(ground.document)
    at = len(ground.document)
    return ground.document + (
        b"xref\n0 0\ntrailer\n<< /Size %d /Root %d 0 R /Prev %d >>\nstartxref\n%d\n%%%%EOF\n"
        % (current.xrefs.get_xref_container_info(0).size + 500, current.root_ref.idnum, at, at)
    )


def _root_swapped(ground: Ground) -> bytes:
    """The trailer names a new catalogue, whose pages are others."""

    def edit(writer: PlainWriter) -> None:
        content = writer.add_object(stream(tools.EVIL))
        pages = dictionary(Type=name("Pages"), Count=generic.NumberObject(1))
        pages_reference = writer.add_object(pages)
        node = dictionary(
            Type=name("Page"), Parent=pages_reference, MediaBox=numbers(0, 0, 595, 842), Contents=content
        )
        pages[pdf_name("/Kids")] = array(writer.add_object(node))
        root = generic.DictionaryObject({key: writer.root.raw_get(key) for key in writer.root})
        root[pdf_name("/Pages")] = pages_reference
        roots.append(writer.add_object(root).idnum)

    roots: list[int] = []
    changed = add(ground.document, edit)
    start = len(ground.document)
    old = b"/Root %d 0 R" % tools.reader(ground.document).root_ref.idnum
    assert changed.count(old, start) == 1
    return changed[:start] + changed[start:].replace(old, b"/Root %d 0 R" % roots[0])


def _generation(ground: Ground) -> bytes:
    """A page's content under the same number with another generation."""
    number = tools.page_contents(ground.document)
    changed = tools.append_raw(ground.document, {number: tools.raw_stream(tools.EVIL)})
    start = changed.index(b"%d 0 obj" % number, len(ground.document))
    changed = changed[:start] + changed[start:].replace(b"%d 0 obj" % number, b"%d 1 obj" % number, 1)
    return changed.replace(b"00000 n \ntrailer", b"00001 n \ntrailer")


def _freed(ground: Ground) -> bytes:
    """An object of the signed document is declared free."""
    number = tools.page_contents(ground.document)
    changed = tools.append_raw(ground.document, {number: tools.raw_stream(b"")})
    return changed[: len(ground.document)] + changed[len(ground.document) :].replace(
        b"00000 n \ntrailer", b"00001 f \ntrailer"
    )


def _hybrid(ground: Ground) -> bytes:
    """A cross-reference table whose /XRefStm says something else: readers differ in which they believe."""
    current = tools.reader(ground.document)
    number = tools.page_contents(ground.document)
    size = current.xrefs.get_xref_container_info(current.xrefs.total_revisions - 1).size
    body = bytearray(ground.document)
    evil = len(body)
    body += b"%d 0 obj\n%s\nendobj\n" % (number, tools.raw_stream(tools.EVIL))
    stream_at = len(body)
    entry = bytes([1]) + evil.to_bytes(4, "big") + bytes([0])
    body += b"%d 0 obj\n<< /Type /XRef /W [1 4 1] /Index [%d 1] /Size %d /Root %d 0 R /Length %d >>\nstream\n" % (
        size, number, size + 1, current.root_ref.idnum, len(entry),
    )  # fmt: skip
    body += entry + b"\nendstream\nendobj\n"
    at = len(body)
    body += b"xref\n0 0\ntrailer\n<< /Size %d /Root %d 0 R /Prev %d /XRefStm %d >>\nstartxref\n%d\n%%%%EOF\n" % (
        size + 1, current.root_ref.idnum, current.last_startxref, stream_at, at,
    )  # fmt: skip
    return bytes(body)


ATTACKS = (
    added("page-content", "A page is drawn over in an added revision", _contents, "page-changed"),
    added("page-stream", "A page's content stream is redefined", _overridden, "page-changed"),
    added("no-xref", "Objects appended with no cross-reference", _without_xref, "bytes-appended", _FILE),
    added("no-xref-trailer", "Objects and a trailer, no cross-reference", _trailer_only, None, _FILE),
    added("copied-signature", "As page-content, and the signature copied after it", _copied_signature),
    added("signature-twice", "Another field points to the seal's value", _same_value),
    added(
        "hidden-objects",
        "A permitted revision with objects that it does not list",
        _hidden_objects,
        "bytes-hidden",
        INCREMENTS,
    ),
    added(
        "rolled-back",
        "The end points to an earlier revision: later signatures are gone",
        _rolled_back,
        "bytes-appended",
        _FILE,
        source="ISO 32000-2 7.5.5",
    ),
    added(
        "prev-loop",
        "A cross-reference whose /Prev is itself",
        _prev_loop,
        None,
        _FILE,
        source="ISO 32000-2 7.5.5",
    ),
    added("root-swapped", "The trailer names another catalogue", _root_swapped, source="ISO 32000-2 7.5.5"),
    added("generation", "An object again, with another generation", _generation, source="ISO 32000-2 7.3.10"),
    added("object-freed", "An object declared free", _freed, source="ISO 32000-2 7.5.4"),
    added(
        "hybrid-xref",
        "A hidden cross-reference stream beside the table",
        _hybrid,
        None,
        _FILE,
        source="ISO 32000-2 7.5.8.4",
    ),
    added(
        "data-behind-end",
        "Text behind the end",
        lambda g: g.document + b"\nen annen avtale\n",
        "bytes-appended",
        _FILE,
        source="ISO 32000-2 7.5.1",
    ),
    added(
        "second-document",
        "A whole PDF behind the first",
        lambda g: g.document + g.unsigned,
        None,
        _FILE,
        indication="INDETERMINATE",
        sub_indication="SIGNED_DATA_NOT_FOUND",
        source="ISO 32000-2 7.5.1",
    ),
    added(
        "polyglot-zip",
        "A ZIP archive behind the end",
        lambda g: g.document + b"PK\x05\x06" + bytes(18),
        "bytes-appended",
        _FILE,
        source="ISO 32000-2 7.5.1",
    ),
    added(
        "second-header",
        "Another header before the first",
        lambda g: b"%PDF-1.4\n<script>\n" + g.document,
        None,
        _FILE,
        source="ISO 32000-2 7.5.2",
    ),
    added(
        "prefix-broken",
        "A byte of a signed revision changed",
        _prefix,
        None,
        "digest",
        source="ISO 32000-2 7.5.6",
        sub_indication="HASH_FAILURE",
    ),
)
