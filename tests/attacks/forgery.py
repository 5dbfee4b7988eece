"""Universal signature forgery, and messages that are not what they seem: what is checked is disabled or bent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asn1crypto import cms, core
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.generic import pdf_name

from tests.attacks import tools
from tests.attacks.model import Attack, Ground

__all__ = ["ATTACKS"]

_USF = "USF"
_CMS = "CMS"
_PAPER = "Mladenov et al., CCS 2019 (USF)"
_STRUCTURE = "structure of signatures"


def _forged(change: Callable[[Any], None]) -> Callable[[Ground], bytes]:
    """A page is drawn over, and every signature dictionary is written anew with `change`."""

    def build(ground: Ground) -> bytes:
        def edit(writer: tools.PlainWriter) -> None:
            tools.cover(writer)
            for signature, reference in tools.signatures(writer):
                change(signature)
                writer.mark_update(reference.reference)

        return tools.add(ground.document, edit)

    return build


def _set(key: str, value: Any) -> Callable[[Any], None]:
    return lambda signature: signature.__setitem__(pdf_name(key), value)


def _drop(key: str) -> Callable[[Any], None]:
    return lambda signature: signature.pop(pdf_name(key), None)


def _range(*values: int) -> generic.ArrayObject:
    return generic.ArrayObject(generic.NumberObject(value) for value in values)


def _whole_file(signature: Any) -> None:
    """A range over anything, with the digest left to whoever takes the range's word for it."""
    first, second = int(signature["/ByteRange"][1]), int(signature["/ByteRange"][2])
    signature[pdf_name("/ByteRange")] = _range(0, first, second, 1 << 40)


def _negative(signature: Any) -> None:
    old = [int(item) for item in signature["/ByteRange"]]
    signature[pdf_name("/ByteRange")] = _range(-1, *old[1:])


def _six(signature: Any) -> None:
    """The same bytes in three parts, so that the digest still is right."""
    _, first, second, length = (int(item) for item in signature["/ByteRange"])
    signature[pdf_name("/ByteRange")] = _range(0, 100, 100, first - 100, second, length)


def _usf(
    name: str,
    what: str,
    change: Callable[[Any], None],
    rule: str = "reading signatures",
    sub_indication: str = "FORMAT_FAILURE",
) -> Attack:
    return Attack(name, _USF, what, _PAPER, _forged(change), rule, sub_indication=sub_indication)


# Messages


def _with_message(change: Callable[[cms.SignedData], None]) -> Callable[[Ground], bytes]:
    def build(ground: Ground) -> bytes:
        message = cms.ContentInfo.load(tools.contents(ground.sealed))
        change(message["content"])
        return tools.with_contents(ground.sealed, message.dump(force=True))

    return build


def _two_signers(signed: cms.SignedData) -> None:
    copy = signed["signer_infos"][0].copy()
    copy["signature"] = b"\0" * 70
    signed["signer_infos"] = cms.SignerInfos([signed["signer_infos"][0], copy])


def _no_signer(signed: cms.SignedData) -> None:
    signed["signer_infos"] = cms.SignerInfos([])


def _own_content(signed: cms.SignedData) -> None:
    kind, octets = cms.ContentInfo, core.OctetString
    if signed["version"].native == "v3":
        kind, octets = cms.EncapsulatedContentInfo, core.ParsableOctetString
    signed["encap_content_info"] = kind({"content_type": "data", "content": octets(b"another agreement")})


def _other_token(ground: Ground) -> bytes:
    """The timestamp token of another signature of the same document."""
    other = next(
        item
        for item in tools.reader(ground.document).embedded_regular_signatures
        if item.field_name != "seal"
    )
    message = cms.ContentInfo.load(tools.contents(ground.sealed))
    signer = message["content"]["signer_infos"][0]
    signer["unsigned_attrs"] = other.signer_info["unsigned_attrs"].copy()
    return tools.with_contents(ground.sealed, message.dump(force=True))


def _padding(ground: Ground) -> bytes:
    """Bytes in the room that the signature does not fill."""
    content = tools.contents(ground.sealed)
    return tools.with_contents(ground.sealed, content + b"\0" + b"hidden in the padding")


def _swapped_message(ground: Ground) -> bytes:
    """The seal of one document in the place of another's."""
    other = tools.reader(ground.document).embedded_regular_signatures[0].pkcs7_content
    stripped = bytes(cms.ContentInfo.load(other).dump())
    return tools.with_contents(ground.seal(tools.add(ground.unsigned, tools.cover), 2), stripped)


def _subfilter(ground: Ground) -> bytes:
    """The seal is of a kind nobody knows, beside the parties' signatures, which are sound."""

    def edit(writer: tools.PlainWriter) -> None:
        signature, reference = next(tools.signatures(writer))
        signature[pdf_name("/SubFilter")] = pdf_name("/Signert.unknown")
        writer.mark_update(reference.reference)

    return tools.add(ground.document, edit)


ATTACKS = (
    _usf("byterange-missing", "/ByteRange taken out", _drop("/ByteRange")),
    _usf("byterange-null", "/ByteRange is null", _set("/ByteRange", generic.NullObject())),
    _usf(
        "byterange-zeros",
        "/ByteRange is [0 0 0 0]",
        _set("/ByteRange", _range(0, 0, 0, 0)),
        "digest",
        "HASH_FAILURE",
    ),
    _usf("byterange-negative", "/ByteRange begins before the file", _negative),
    _usf("byterange-beyond", "/ByteRange ends behind the file", _whole_file, "digest", "HASH_FAILURE"),
    _usf("byterange-six", "The same bytes in three ranges", _six, _STRUCTURE),
    _usf("byterange-odd", "/ByteRange has three numbers", _set("/ByteRange", _range(0, 1, 2))),
    _usf("contents-missing", "/Contents taken out", _drop("/Contents")),
    _usf("contents-null", "/Contents is null", _set("/Contents", generic.NullObject())),
    _usf("contents-empty", "/Contents is empty", _set("/Contents", generic.ByteStringObject(b""))),
    _usf("contents-zero", "/Contents is one zero", _set("/Contents", generic.ByteStringObject(b"\0"))),
    _usf(
        "contents-garbage",
        "/Contents is no CMS",
        _set("/Contents", generic.ByteStringObject(b"\x30\x82garbage" * 9)),
    ),
    Attack(
        "signers-two",
        _CMS,
        "A second SignerInfo, whose value is nothing",
        "RFC 5652 5.1; ISO 32000-2 12.8.3.3",
        _with_message(_two_signers),
        _STRUCTURE,
    ),
    Attack(
        "signers-none",
        _CMS,
        "No SignerInfo",
        "RFC 5652 5.1; ISO 32000-2 12.8.3.3",
        _with_message(_no_signer),
        _STRUCTURE,
    ),
    Attack(
        "content-of-its-own",
        _CMS,
        "The CMS carries another content than the document",
        "EN 319 142-1 4.1; ISO 32000-2 12.8.3.3",
        _with_message(_own_content),
        _STRUCTURE,
    ),
    Attack(
        "token-of-another",
        _CMS,
        "The timestamp is the one of another signature",
        "EN 319 122-1 5.3",
        _other_token,
        _STRUCTURE,
    ),
    Attack(
        "contents-padding",
        _CMS,
        "Bytes behind the CMS, in the room kept for it",
        "ISO 32000-2 12.8.1",
        _padding,
        _STRUCTURE,
    ),
    Attack(
        "signature-of-another",
        _CMS,
        "The seal of one document in the place of another's",
        "ISO 32000-2 12.8.1",
        _swapped_message,
        "digest",
        sub_indication="HASH_FAILURE",
        prepared=True,
    ),
    Attack(
        "subfilter-unknown",
        _CMS,
        "Signatures of an unknown kind, which some tools pass over",
        "ISO 32000-2 12.8.1",
        _subfilter,
        _STRUCTURE,
    ),
)
