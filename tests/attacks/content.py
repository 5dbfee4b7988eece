"""Incremental saving again: what is added changes pages, signatures, metadata or evidence."""

from __future__ import annotations

from typing import Any

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.generic import pdf_name, pdf_string

from tests.attacks import tools
from tests.attacks.model import Ground
from tests.attacks.saving import INCREMENTS, added
from tests.attacks.tools import PlainWriter, add, array, dictionary, name, numbers, stream

__all__ = ["ATTACKS", "note"]

_SAFE = "ISO 32000-2 12.8.2.2"
_EVIDENCE = "EN 319 142-1 5.4.2"


def note(writer: PlainWriter, **entries: Any) -> None:
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


ATTACKS = (
    added(
        "annotation-over-text",
        "A note with a look of its own over the text",
        lambda g: add(g.document, lambda w: note(w, Subtype=name("FreeText"))),
        "annotation-added",
        source=_SAFE,
    ),
    added("page-added", "A page added", lambda g: add(g.document, _page_added), "page-added", source=_SAFE),
    added("page-removed", "A page removed", _kids(lambda kids: kids[:-1]), "page-removed", source=_SAFE),
    added(
        "pages-reordered",
        "Pages in another order",
        _kids(lambda kids: kids[::-1]),
        "page-changed",
        source=_SAFE,
    ),
    added(
        "page-size",
        "A page cut to a part of itself",
        lambda g: add(g.document, _media_box),
        "page-changed",
        source=_SAFE,
    ),
    added("signature-removed", "A party's signature taken out of its field", _removed_value, source=_SAFE),
    added(
        "signature-moved",
        "A visible signature moved over the text",
        _moved,
        "annotation-changed",
        source=_SAFE,
    ),
    added(
        "signature-look",
        "What a signature shows is replaced",
        _appearance,
        "annotation-changed",
        source=_SAFE,
    ),
    added(
        "script-added",
        "A script that runs when the document opens",
        _catalogue(OpenAction=_script),
        "action-changed",
        source=_SAFE,
    ),
    added("file-attached", "A file embedded", _catalogue(Names=_attachment), "names-changed", source=_SAFE),
    added(
        "metadata-xmp",
        "Another title in the XMP",
        _catalogue(Metadata=_xmp),
        "metadata-changed",
        INCREMENTS,
        source=_SAFE,
    ),
    added(
        "metadata-info",
        "Another title in /Info",
        _information,
        "metadata-changed",
        INCREMENTS,
        source=_SAFE,
    ),
    added("structure", "What a screen reader says is replaced", _structure, source=_SAFE),
    added(
        "tags-suspect",
        "/MarkInfo says that the tags are not to be relied on",
        _catalogue(MarkInfo=lambda _: dictionary(Suspects=generic.BooleanObject(True))),
        "structure-changed",
        INCREMENTS,
        source=_SAFE,
    ),
    added("layer-off", "A layer added, and off", _layer, "layers-changed", source=_SAFE),
    added(
        "dss-entry",
        "An entry of no meaning in the evidence",
        _dss(Payload=lambda w: w.add_object(stream(b"x"))),
        source=_EVIDENCE,
    ),
    added(
        "dss-stuffed",
        "Evidence that is no evidence",
        _dss(Certs=lambda w: array(w.add_object(stream(b"x" * 99)))),
        None,
        "reading evidence",
        source=_EVIDENCE,
    ),
    added("dss-removed", "The evidence taken out", _dss_removed, source=_EVIDENCE),
)
