"""Attacks on certification: what certification permits is used for what it is not meant for."""

from __future__ import annotations

from typing import Any

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.generic import pdf_name, pdf_string

from tests.attacks import tools
from tests.attacks.content import note
from tests.attacks.model import Attack, Ground
from tests.attacks.saving import DIFFERENCE
from tests.attacks.shadow import Edit, around, fill, text_field
from tests.attacks.tools import PlainWriter, add, array, dictionary, name, numbers

__all__ = ["ATTACKS"]

_CERTIFIED = "Rohlmann et al., S&P 2021 (certification)"


def _certified(
    title: str,
    what: str,
    build: Any,
    code: str | None,
    rule: str = DIFFERENCE,
    *,
    prepared: bool = True,
    **others: Any,
) -> Attack:
    return Attack(title, "certification", what, _CERTIFIED, build, rule, code, prepared=prepared, **others)


def _new_signature_field(*, filled: bool) -> Edit:
    """A visible signature field that was not there, whose look covers the text."""

    def edit(writer: PlainWriter) -> None:
        node = dictionary(
            Type=name("Annot"), Subtype=name("Widget"), FT=name("Sig"), T=pdf_string("ny"),
            Rect=numbers(40, 300, 540, 600), F=generic.NumberObject(132),
            AP=dictionary(N=tools.form(writer, tools.EVIL, 600, 800)),
        )  # fmt: skip
        if filled:
            node[pdf_name("/V")] = writer.add_object(
                dictionary(Type=name("Sig"), Filter=name("Adobe.PPKLite"), SubFilter=name("Signert.unknown"))
            )
        reference = writer.add_object(node)
        page, _ = writer.find_page_for_modification(0)
        writer.register_annotation(page, reference)
        form = writer.root["/AcroForm"]
        form["/Fields"].append(reference)
        writer.update_container(form)
        writer.update_container(form["/Fields"])

    return edit


def _perms_removed(writer: PlainWriter) -> None:
    writer.root.pop(pdf_name("/Perms"))
    writer.update_root()


def _perms_other(writer: PlainWriter) -> None:
    """Certified by something that permits more."""
    sealed = writer.root["/Perms"]["/DocMDP"]
    copy = generic.DictionaryObject({key: sealed.raw_get(key) for key in sealed})
    copy[pdf_name("/Reference")] = array()
    writer.root[pdf_name("/Perms")] = dictionary(DocMDP=writer.add_object(copy))
    writer.update_root()


def _evil(subtype: str) -> Edit:
    return lambda writer: note(writer, Subtype=name(subtype))


def _locked_field(ground: Ground) -> bytes:
    """A party's signature locks a field that is empty, and it is filled in all the same."""

    def prepare(writer: PlainWriter) -> None:
        text_field(None, (60, 600, 260, 620), b"")(writer)
        node, reference = tools.field(writer, "participant")
        node[pdf_name("/Lock")] = dictionary(
            Type=name("SigFieldLock"), Action=name("Include"), Fields=array(pdf_string("belop"))
        )
        writer.mark_update(reference.reference)

    sealed = ground.seal(add(ground.unsigned, prepare), 2)
    return add(ground.sign(sealed, "participant", "participant"), fill("900 000", None))


ATTACKS = (
    _certified(
        "locked-field",
        "A field that a party's signature locks is filled in",
        _locked_field,
        None,
    ),
    _certified(
        "evil-annotation",
        "EAA: a note that looks like text, where form filling is permitted (P=2)",
        around(lambda _: None, _evil("FreeText")),
        "annotation-added",
    ),
    _certified(
        "evil-annotation-permitted",
        "EAA: the same where notes are permitted (P=3)",
        around(lambda _: None, _evil("FreeText"), 3),
        "annotation-added",
    ),
    _certified(
        "evil-stamp",
        "EAA: a stamp over the text (P=3)",
        around(lambda _: None, _evil("Stamp"), 3),
        "annotation-added",
    ),
    _certified(
        "sneaky-field",
        "SSA: a new, empty signature field whose look covers the text (P=2)",
        around(lambda _: None, _new_signature_field(filled=False)),
        None,
    ),
    _certified(
        "sneaky-signature",
        "SSA: the same with a signature nobody can check (P=3)",
        around(lambda _: None, _new_signature_field(filled=True), 3),
        None,
    ),
    Attack(
        "stranger-signs",
        "certification",
        "SSA: a stranger signs in a party's field",
        _CERTIFIED,
        lambda g: g.sign(g.sealed, "participant", "stranger"),
        "trust",
        indication="INDETERMINATE",
        sub_indication="NO_CERTIFICATE_CHAIN_FOUND",
        prepared=True,
    ),
    _certified(
        "certification-removed",
        "/Perms taken out: no longer certified",
        lambda g: add(g.document, _perms_removed),
        None,
        prepared=False,
    ),
    _certified(
        "certification-replaced",
        "/Perms points to a copy that forbids nothing",
        lambda g: add(g.document, _perms_other),
        None,
        prepared=False,
    ),
)
