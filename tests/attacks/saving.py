"""Incremental saving: something is added behind what is signed, in all the ways a revision can be written."""

from __future__ import annotations

from typing import Any

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.generic import pdf_name, pdf_string

from signing.objects import write
from tests.attacks import tools
from tests.attacks.model import Attack, Ground
from tests.attacks.tools import PlainWriter, add, array, dictionary, name, numbers, stream

__all__ = ["ATTACKS"]

_ISA = "ISA"
_PAPER = "Mladenov et al., CCS 2019 (ISA)"
_DIFFERENCE = "difference analysis"


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


def _note(writer: PlainWriter, **entries: Any) -> None:
    look = tools.form(writer, b"1 1 1 rg 0 0 400 60 re f 0 0 0 rg 10 20 300 10 re f", 400, 60)
    note = dictionary(
        Type=name("Annot"), Rect=numbers(60, 500, 460, 560), F=generic.NumberObject(4),
        AP=dictionary(N=look), Contents=pdf_string("900 000 kroner"), **entries,
    )  # fmt: skip
    writer.register_annotation(writer.find_page_for_modification(0)[0], writer.add_object(note))


def _page_added(writer: PlainWriter) -> None:
    from pyhanko.pdf_utils.writer import PageObject

    content = writer.add_object(stream(tools.EVIL))
    writer.insert_page(PageObject(contents=content, media_box=(0, 0, 595, 842)))


def _kids(change: Any) -> Any:
    def edit(writer: PlainWriter) -> None:
        pages = writer.root["/Pages"]
        pages[pdf_name("/Kids")] = array(*change(list(pages.raw_get("/Kids"))))
        pages[pdf_name("/Count")] = generic.NumberObject(len(pages["/Kids"]))
        writer.mark_update(writer.root.raw_get("/Pages").reference)

    return lambda ground: add(ground.document, edit)


def _media_box(writer: PlainWriter) -> None:
    node = tools.page(writer, 0)
    node[pdf_name("/MediaBox")] = numbers(0, 0, 300, 300)
    writer.update_container(node)


def _prefix(ground: Ground) -> bytes:
    """A byte of a page's content, of the revision that all signatures cover."""
    at = ground.document.index(b"stream", 200) + 60
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


def _removed_value(ground: Ground) -> bytes:
    """A party's signature is taken out of its field."""

    def edit(writer: PlainWriter) -> None:
        signed = [(node, ref) for node, ref in tools.fields(writer) if "/V" in node]
        node, reference = signed[1]
        node.pop(pdf_name("/V"))
        writer.mark_update(reference.reference)

    return add(ground.document, edit)


def _moved(ground: Ground) -> bytes:
    """A party's visible signature is moved over the text."""

    def edit(writer: PlainWriter) -> None:
        shown = [(node, ref) for node, ref in tools.fields(writer) if "/AP" in node]
        node, reference = shown[0]
        node[pdf_name("/Rect")] = numbers(40, 300, 540, 600)
        writer.mark_update(reference.reference)

    return add(ground.document, edit)


def _appearance(ground: Ground) -> bytes:
    """What a party's signature shows is replaced."""

    def edit(writer: PlainWriter) -> None:
        node, reference = next((node, ref) for node, ref in tools.fields(writer) if "/AP" in node)
        node[pdf_name("/AP")] = dictionary(N=tools.form(writer, b"1 0 0 rg 0 0 200 58 re f", 200, 58))
        writer.mark_update(reference.reference)

    return add(ground.document, edit)


def _catalogue(**entries: Any) -> Any:
    def edit(writer: PlainWriter) -> None:
        for key, make in entries.items():
            writer.root[pdf_name(f"/{key}")] = make(writer)
        writer.update_root()

    return lambda ground: add(ground.document, edit)


def _script(_: PlainWriter) -> Any:
    return dictionary(S=name("JavaScript"), JS=pdf_string("this.getField('seal').hidden = true"))


def _attachment(writer: PlainWriter) -> Any:
    file = writer.add_object(stream(b"another agreement", Type=name("EmbeddedFile")))
    entry = writer.add_object(
        dictionary(Type=name("Filespec"), F=pdf_string("avtale.txt"), EF=dictionary(F=file))
    )
    return dictionary(EmbeddedFiles=dictionary(Names=array(pdf_string("avtale.txt"), entry)))


def _xmp(writer: PlainWriter) -> Any:
    data = writer.root["/Metadata"].data
    title = data.replace(b"</rdf:li>", b" (ny)</rdf:li>", 1)
    assert title != data
    return writer.add_object(stream(title, Type=name("Metadata"), Subtype=name("XML")))


def _information(ground: Ground) -> bytes:
    number = int(tools.reader(ground.document).trailer.raw_get("/Info").idnum)
    return tools.append_raw(
        ground.document, {number: b"<< /Title (En annen avtale) >>"}, b"/Info %d 0 R" % number
    )


def _structure(ground: Ground) -> bytes:
    """What a screen reader says for a part of the text."""

    def edit(writer: PlainWriter) -> None:
        node = writer.root["/StructTreeRoot"]
        kids = node["/K"]
        first = kids[0].get_object() if isinstance(kids, generic.ArrayObject) else kids
        first[pdf_name("/ActualText")] = pdf_string("Beløpet er 900 000 kroner")
        writer.update_container(first)

    return add(ground.document, edit)


def _layer(ground: Ground) -> bytes:
    """A page's content is put in a layer, and the layer is off."""

    def edit(writer: PlainWriter) -> None:
        layer = writer.add_object(dictionary(Type=name("OCG"), Name=pdf_string("Tekst")))
        writer.root[pdf_name("/OCProperties")] = dictionary(
            OCGs=array(layer), D=dictionary(OFF=array(layer), Order=array(layer))
        )
        writer.update_root()

    return add(ground.document, edit)


def _dss(**entries: Any) -> Any:
    def edit(writer: PlainWriter) -> None:
        store = writer.root["/DSS"]
        for key, make in entries.items():
            store[pdf_name(f"/{key}")] = make(writer)
        writer.mark_update(writer.root.raw_get("/DSS").reference)

    return lambda ground: add(ground.document, edit)


def _dss_removed(ground: Ground) -> bytes:
    def edit(writer: PlainWriter) -> None:
        writer.root.pop(pdf_name("/DSS"))
        writer.update_root()

    return add(ground.document, edit)


def _isa(
    title: str, what: str, build: Any, code: str | None = None, rule: str = _DIFFERENCE,
    *, source: str = _PAPER, family: str = _ISA, **others: Any,
) -> Attack:  # fmt: skip
    return Attack(title, family, what, source, build, rule, code, **others)


_SAFE = "ISO 32000-2 12.8.2.2"
_FILE = "file structure"

ATTACKS = (
    _isa("page-content", "A page is drawn over in an added revision", _contents, "page-changed"),
    _isa("page-stream", "A page's content stream is redefined", _overridden, "page-changed"),
    _isa("no-xref", "Objects appended with no cross-reference", _without_xref, "bytes-appended", _FILE),
    _isa("no-xref-trailer", "Objects and a trailer, no cross-reference", _trailer_only, None, _FILE),
    _isa("copied-signature", "As page-content, and the signature copied after it", _copied_signature),
    _isa("signature-twice", "Another field points to the seal's value", _same_value),
    _isa(
        "hidden-objects",
        "A permitted revision with objects that it does not list",
        _hidden_objects,
        "bytes-hidden",
        "increments",
    ),
    _isa(
        "annotation-over-text",
        "A note with a look of its own over the text",
        lambda g: add(g.document, lambda w: _note(w, Subtype=name("FreeText"))),
        "annotation-added",
        source=_SAFE,
    ),
    _isa("page-added", "A page added", lambda g: add(g.document, _page_added), "page-added", source=_SAFE),
    _isa("page-removed", "A page removed", _kids(lambda kids: kids[:-1]), "page-removed", source=_SAFE),
    _isa(
        "pages-reordered",
        "Pages in another order",
        _kids(lambda kids: kids[::-1]),
        "page-changed",
        source=_SAFE,
    ),
    _isa(
        "page-size",
        "A page cut to a part of itself",
        lambda g: add(g.document, _media_box),
        "page-changed",
        source=_SAFE,
    ),
    _isa("signature-removed", "A party's signature taken out of its field", _removed_value, source=_SAFE),
    _isa(
        "signature-moved",
        "A visible signature moved over the text",
        _moved,
        "annotation-changed",
        source=_SAFE,
    ),
    _isa(
        "signature-look",
        "What a signature shows is replaced",
        _appearance,
        "annotation-changed",
        source=_SAFE,
    ),
    _isa(
        "rolled-back",
        "The end points to an earlier revision: later signatures are gone",
        _rolled_back,
        "bytes-appended",
        _FILE,
        source="ISO 32000-2 7.5.5",
    ),
    _isa(
        "prev-loop",
        "A cross-reference whose /Prev is itself",
        _prev_loop,
        None,
        _FILE,
        source="ISO 32000-2 7.5.5",
    ),
    _isa("root-swapped", "The trailer names another catalogue", _root_swapped, source="ISO 32000-2 7.5.5"),
    _isa("generation", "An object again, with another generation", _generation, source="ISO 32000-2 7.3.10"),
    _isa("object-freed", "An object declared free", _freed, source="ISO 32000-2 7.5.4"),
    _isa(
        "hybrid-xref",
        "A hidden cross-reference stream beside the table",
        _hybrid,
        None,
        _FILE,
        source="ISO 32000-2 7.5.8.4",
    ),
    _isa(
        "script-added",
        "A script that runs when the document opens",
        _catalogue(OpenAction=_script),
        "action-changed",
        source=_SAFE,
    ),
    _isa("file-attached", "A file embedded", _catalogue(Names=_attachment), "names-changed", source=_SAFE),
    _isa(
        "metadata-xmp",
        "Another title in the XMP",
        _catalogue(Metadata=_xmp),
        "metadata-changed",
        "increments",
        source=_SAFE,
    ),
    _isa(
        "metadata-info",
        "Another title in /Info",
        _information,
        "metadata-changed",
        "increments",
        source=_SAFE,
    ),
    _isa("structure", "What a screen reader says is replaced", _structure, source=_SAFE),
    _isa(
        "tags-suspect",
        "/MarkInfo says that the tags are not to be relied on",
        _catalogue(MarkInfo=lambda _: dictionary(Suspects=generic.BooleanObject(True))),
        "structure-changed",
        "increments",
        source=_SAFE,
    ),
    _isa("layer-off", "A layer added, and off", _layer, "layers-changed", source=_SAFE),
    _isa(
        "dss-entry",
        "An entry of no meaning in the evidence",
        _dss(Payload=lambda w: w.add_object(stream(b"x"))),
        source="EN 319 142-1 5.4.2",
    ),
    _isa(
        "dss-stuffed",
        "Evidence that is no evidence",
        _dss(Certs=lambda w: array(w.add_object(stream(b"x" * 99)))),
        None,
        "reading evidence",
        source="EN 319 142-1 5.4.2",
    ),
    _isa("dss-removed", "The evidence taken out", _dss_removed, source="EN 319 142-1 5.4.2"),
    _isa(
        "data-behind-end",
        "Text behind the end",
        lambda g: g.document + b"\nen annen avtale\n",
        "bytes-appended",
        _FILE,
        source="ISO 32000-2 7.5.1",
    ),
    _isa(
        "second-document",
        "A whole PDF behind the first",
        lambda g: g.document + g.unsigned,
        None,
        _FILE,
        indication="INDETERMINATE",
        sub_indication="SIGNED_DATA_NOT_FOUND",
        source="ISO 32000-2 7.5.1",
    ),
    _isa(
        "polyglot-zip",
        "A ZIP archive behind the end",
        lambda g: g.document + b"PK\x05\x06" + bytes(18),
        "bytes-appended",
        _FILE,
        source="ISO 32000-2 7.5.1",
    ),
    _isa(
        "second-header",
        "Another header before the first",
        lambda g: b"%PDF-1.4\n<script>\n" + g.document,
        None,
        _FILE,
        source="ISO 32000-2 7.5.2",
    ),
    _isa(
        "prefix-broken",
        "A byte of a signed revision changed",
        _prefix,
        None,
        "digest",
        source="ISO 32000-2 7.5.6",
        sub_indication="HASH_FAILURE",
    ),
)
