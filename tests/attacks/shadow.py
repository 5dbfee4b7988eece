"""Shadow attacks, where the document was made for it before it was signed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.generic import pdf_name, pdf_string

from tests.attacks import tools
from tests.attacks.model import Attack, Ground
from tests.attacks.saving import DIFFERENCE, INCREMENTS
from tests.attacks.tools import PlainWriter, add, array, dictionary, name, numbers, stream

__all__ = ["ATTACKS", "Edit", "around", "fill", "text_field"]

_SHADOW = "shadow"
_PAPER = "Mainka et al., NDSS 2021 (shadow)"
_HIDDEN = "content that changes by itself"

Edit = Callable[[PlainWriter], None]


def around(before: Edit, after: Edit | None = None, permission: int = 2) -> Callable[[Ground], bytes]:
    """Prepared by `before`, sealed by others in good faith, changed by `after`."""

    def build(ground: Ground) -> bytes:
        sealed = ground.seal(add(ground.unsigned, before), permission)
        return add(sealed, after) if after else sealed

    return build


def _overlay(writer: PlainWriter) -> None:
    """What the agreement really says lies under a picture of what one is shown."""
    node = tools.page(writer, 0)
    resources = node["/Resources"]
    picture = tools.form(writer, tools.EVIL, 600, 800)
    existing = resources["/XObject"] if "/XObject" in resources else generic.DictionaryObject()
    existing[pdf_name("/Shadow")] = picture
    resources[pdf_name("/XObject")] = existing
    writer.update_container(resources)
    node[pdf_name("/Resources")] = resources
    content = writer.add_object(stream(b"q /Shadow Do Q"))
    old = node.raw_get("/Contents")
    parts = list(old) if isinstance(old, generic.ArrayObject) else [old]
    node[pdf_name("/Contents")] = array(*parts, content)
    writer.update_container(node)


def _overlay_gone(writer: PlainWriter) -> None:
    picture = tools.page(writer, 0)["/Resources"]["/XObject"].raw_get("/Shadow")
    look = picture.get_object()
    look._data, look._encoded_data = b"", None
    writer.mark_update(picture.reference)


def _font_replaced(writer: PlainWriter) -> None:
    """The same codes draw other letters."""
    fonts = tools.page(writer, 0)["/Resources"]["/Font"]
    first, other = (sorted(fonts) * 2)[:2]
    reference = fonts.raw_get(first).reference
    font = fonts[first]
    font[pdf_name("/FirstChar")] = generic.NumberObject(int(font["/FirstChar"]) + 1)
    font[pdf_name("/BaseFont")] = fonts[other]["/BaseFont"]
    writer.mark_update(reference)


def text_field(value: str | None, rect: tuple[float, float, float, float], look: bytes) -> Edit:
    def edit(writer: PlainWriter) -> None:
        left, bottom, right, top = rect
        node = dictionary(
            Type=name("Annot"), Subtype=name("Widget"), FT=name("Tx"), T=pdf_string("belop"), Rect=numbers(*rect),
            F=generic.NumberObject(4), DA=pdf_string("/Helv 12 Tf 0 g"),
            AP=dictionary(N=tools.form(writer, look, right - left, top - bottom)),
        )  # fmt: skip
        if value is not None:
            node[pdf_name("/V")] = pdf_string(value)
        reference = writer.add_object(node)
        page, _ = writer.find_page_for_modification(0)
        writer.register_annotation(page, reference)
        form = writer.root["/AcroForm"]
        form["/Fields"].append(reference)
        form[pdf_name("/DR")] = dictionary(
            Font=dictionary(
                Helv=writer.add_object(
                    dictionary(Type=name("Font"), Subtype=name("Type1"), BaseFont=name("Helvetica"))
                )
            )
        )
        writer.update_container(form)
        writer.update_container(form["/Fields"])

    return edit


_SMALL, _OVER_TEXT = (60, 600, 260, 620), (40, 300, 540, 750)
_TEN = b"0 0 0 rg 2 2 20 12 re f"
_MANY = b"0 0 0 rg 2 2 190 12 re f"


def fill(value: str | None, look: bytes | None) -> Edit:
    def edit(writer: PlainWriter) -> None:
        node, reference = tools.field(writer, "belop")
        if value is not None:
            node[pdf_name("/V")] = pdf_string(value)
        if look is not None:
            left, bottom, right, top = (float(item) for item in node["/Rect"])
            node[pdf_name("/AP")] = dictionary(N=tools.form(writer, look, right - left, top - bottom))
        writer.mark_update(reference.reference)

    return edit


def _defaults(writer: PlainWriter) -> None:
    """Viewers are told to make appearances anew, with another font."""
    form = writer.root["/AcroForm"]
    other = dictionary(Type=name("Font"), Subtype=name("Type1"), BaseFont=name("ZapfDingbats"))
    form[pdf_name("/DR")] = dictionary(Font=dictionary(Helv=writer.add_object(other)))
    form[pdf_name("/NeedAppearances")] = generic.BooleanObject(True)
    writer.update_container(form)


def _two_documents(ground: Ground) -> bytes:
    """Another content for a page lies unlisted in the signed bytes; a new cross-reference entry points to it."""
    number = tools.page_contents(ground.unsigned)
    hidden = b"%d 0 obj\n%s\nendobj\n" % (number, tools.raw_stream(tools.EVIL))
    place = len(ground.unsigned)
    # In front of a harmless revision, so that it is signed with the rest.
    info = int(tools.reader(ground.unsigned).trailer.raw_get("/Info").idnum)
    prepared = tools.append_raw(
        ground.unsigned + hidden, {info: b"<< /Title (Avtale) >>"}, b"/Info %d 0 R" % info
    )
    sealed = ground.seal(prepared, 2)
    changed = tools.append_raw(sealed, {number: b"null"})
    start = changed.index(b"xref\n", len(sealed))
    entry = b"%d 1\n" % number
    at = changed.index(entry, start) + len(entry)
    return changed[:at] + b"%010d" % place + changed[at + 10 :]


def _dangling_parent(writer: PlainWriter) -> None:
    """A page's /Parent points to an object that is not there yet; it may give the page resources and size."""
    node = tools.page(writer, 0)
    node[pdf_name("/Parent")] = generic.IndirectObject(9000, 0, writer)
    writer.update_container(node)


def _parent_filled(ground: Ground) -> bytes:
    def prepare(writer: PlainWriter) -> None:
        _dangling_parent(writer)

    sealed = ground.seal(add(ground.unsigned, prepare), 2)
    pages = tools.reader(sealed).root["/Pages"]
    first = pages["/Kids"].raw_get(0).idnum
    evil = b"<< /Type /Pages /Count 1 /Kids [%d 0 R] /MediaBox [0 0 300 300] /Rotate 180 >>" % first
    return tools.append_raw(sealed, {9000: evil})


def _layers(**configuration: Any) -> Edit:
    """The page's content in a layer, as the configuration says."""

    def edit(writer: PlainWriter) -> None:
        layer = writer.add_object(dictionary(Type=name("OCG"), Name=pdf_string("Tekst")))
        node = tools.page(writer, 0)
        resources = node["/Resources"]
        resources[pdf_name("/Properties")] = dictionary(Shadow=layer)
        node[pdf_name("/Resources")] = resources
        old = node.raw_get("/Contents")
        parts = list(old) if isinstance(old, generic.ArrayObject) else [old]
        node[pdf_name("/Contents")] = array(
            *parts, writer.add_object(stream(b"/OC /Shadow BDC " + tools.EVIL + b" EMC"))
        )
        default = dictionary(Order=array(layer))
        for key, make in configuration.items():
            default[pdf_name(f"/{key}")] = make(layer)
        writer.root[pdf_name("/OCProperties")] = writer.add_object(dictionary(OCGs=array(layer), D=default))
        writer.update_container(resources)
        writer.update_container(node)
        writer.update_root()

    return edit


def _layer_on(writer: PlainWriter) -> None:
    reference = writer.root.raw_get("/OCProperties")
    reference.get_object()["/D"].pop(pdf_name("/OFF"))
    writer.mark_update(reference.reference)


def _by_print(layer: Any) -> Any:
    return array(dictionary(Event=name("Print"), OCGs=array(layer), Category=array(name("Print"))))


def _open_action(**entries: Any) -> Edit:
    def edit(writer: PlainWriter) -> None:
        writer.root[pdf_name("/OpenAction")] = dictionary(**entries)
        writer.update_root()

    return edit


def _external(writer: PlainWriter) -> None:
    """A page's content stands in another file."""
    node = tools.page(writer, 0)
    content = writer.add_object(stream(b"", F=pdf_string("https://signature.invalid/side1")))
    old = node.raw_get("/Contents")
    parts = list(old) if isinstance(old, generic.ArrayObject) else [old]
    node[pdf_name("/Contents")] = array(*parts, content)
    writer.update_container(node)


def _signature_over_text(ground: Ground) -> bytes:
    """A party's place was made as large as the text, and the party signs."""

    def prepare(writer: PlainWriter) -> None:
        node, reference = tools.field(writer, "participant")
        node[pdf_name("/Rect")] = numbers(40, 100, 540, 700)
        writer.mark_update(reference.reference)

    return ground.sign(ground.seal(add(ground.unsigned, prepare), 2), "participant", "participant")


def _shadow(
    title: str, what: str, build: Any, code: str | None, rule: str = DIFFERENCE,
    *, family: str = _SHADOW, source: str = _PAPER, prepared: bool = True, **others: Any,
) -> Attack:  # fmt: skip
    return Attack(title, family, what, source, build, rule, code, prepared=prepared, **others)


def _waiting(title: str, what: str, build: Any, code: str, source: str = _PAPER) -> Attack:
    return _shadow(
        title, what, build, code, _HIDDEN, source=source,
        indication="INDETERMINATE", sub_indication="SIG_CONSTRAINTS_FAILURE",
    )  # fmt: skip


_ATTESTED = "ISO 32000-1 12.8.5"
_ACTION = {"S": name("JavaScript"), "JS": pdf_string("app.alert(1)")}

ATTACKS = (
    _shadow(
        "hide",
        "A cover over the text, taken away after signing",
        around(_overlay, _overlay_gone),
        "page-changed",
    ),
    _shadow(
        "replace-font",
        "A font replaced: the same text, other letters",
        around(lambda _: None, _font_replaced),
        "page-changed",
    ),
    _shadow(
        "replace-value",
        "Another value in a field that had one",
        around(text_field("10", _SMALL, _TEN), fill("900 000", _MANY)),
        "field-changed",
        INCREMENTS,
    ),
    _shadow(
        "replace-look",
        "A field keeps its value and shows another",
        around(text_field("10", _SMALL, _TEN), fill(None, _MANY)),
        "field-appearance-changed",
        INCREMENTS,
    ),
    _shadow(
        "fill-over-text",
        "An empty field that lies over the text is filled in, as the seal permits",
        around(text_field(None, _OVER_TEXT, b""), fill("x", b"1 1 1 rg 0 0 500 450 re f")),
        "page-looks-different",
        "rendered pages",
        rendered=True,
    ),
    _shadow(
        "signature-over-text",
        "A party's place is as large as the text, and the party's signature covers it",
        _signature_over_text,
        "page-looks-different",
        "rendered pages",
        rendered=True,
    ),
    _shadow(
        "form-defaults",
        "Fields are shown anew, with another font",
        around(text_field("10", _SMALL, _TEN), _defaults),
        "form-changed",
        INCREMENTS,
    ),
    _shadow(
        "hide-and-replace",
        "Another page lies in the signed bytes, and comes to be listed",
        _two_documents,
        "page-changed",
    ),
    _shadow(
        "parent-filled",
        "What a page's /Parent pointed to is defined after signing",
        _parent_filled,
        "reference-filled",
        INCREMENTS,
    ),
    _shadow(
        "layer-switched",
        "A prepared layer, off when signed, switched on",
        around(_layers(OFF=array), _layer_on),
        "layers-changed",
    ),
    _waiting(
        "layer-prepared",
        "A layer that is off, for the reader to switch on",
        around(_layers(OFF=array)),
        "hidden-layer",
    ),
    _waiting(
        "layer-for-print",
        "A layer that shows on paper, not on screen",
        around(_layers(AS=_by_print)),
        "hidden-layer",
        _ATTESTED,
    ),
    _waiting(
        "script-prepared",
        "A script that was there when it was signed",
        around(_open_action(**_ACTION)),
        "active-content",
        _ATTESTED,
    ),
    _waiting(
        "layer-by-action",
        "An action that switches a layer when the document opens",
        around(_open_action(S=name("SetOCGState"), State=array(name("Toggle")))),
        "active-content",
        _ATTESTED,
    ),
    _waiting(
        "external-content",
        "A page's content stands in another file",
        around(_external),
        "external-content",
        _ATTESTED,
    ),
)
