"""Rules for the shape of signatures in a PDF: what a digest that holds does not say.

A signature that verifies may still cover less than it seems to: ISO 32000-2 12.8.1 (byte range), 12.8.3.3 (CMS),
ETSI EN 319 142-1 4.1 and 6.3. Each rule here stops an attack that is known (docs/attacks.md).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from io import BytesIO
from itertools import pairwise
from typing import Any, Final

from asn1crypto import cms
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.xref import read_object_header
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature

from signing.cms import timestamp_tokens
from signing.model import Revision

__all__ = ["check_structure"]

_TIMESTAMP: Final = "/ETSI.RFC3161"
_CADES: Final = "/ETSI.CAdES.detached"
_SUBFILTERS: Final = frozenset({"/adbe.pkcs7.detached", _CADES, _TIMESTAMP})
_DIGITS: Final = frozenset(b"0123456789abcdefABCDEF")
_DICTIONARY: Final = 65_536
"""Bytes that a signature dictionary may have before and after its /Contents."""
_OTHER_CONTENTS: Final = "7369676e657274"


def check_structure(
    document: bytes, signatures: list[EmbeddedPdfSignature], revisions: tuple[Revision, ...]
) -> dict[str, str]:
    """What is amiss with the shape of signatures, in words, by field. A field that is not there is sound."""
    faults: dict[str, str] = {}
    for signature in signatures:
        fault = next(_faults(document, signature, revisions), None)
        if fault is not None:
            faults[signature.field_name] = fault
    ordered = sorted(signatures, key=lambda item: item.signed_revision)
    for earlier, later in pairwise(ordered):
        if _same_value(earlier, later):
            text = "To felt har den samme signaturen."
        elif earlier.field_name in faults or later.field_name in faults or _follows(earlier, later):
            continue
        else:
            text = "Byteområdene til signaturene overlapper hverandre."
        faults.setdefault(earlier.field_name, text)
        faults.setdefault(later.field_name, text)
    return faults


def _faults(
    document: bytes, signature: EmbeddedPdfSignature, revisions: tuple[Revision, ...]
) -> Iterator[str]:
    # Files are hostile: what cannot even be asked is a fault too.
    try:
        yield from _range_faults(document, signature, revisions)
        yield from _message_faults(signature)
    except Exception:  # noqa: BLE001
        yield "Signaturen kan ikke leses."


def _range_faults(
    document: bytes, signature: EmbeddedPdfSignature, revisions: tuple[Revision, ...]
) -> Iterator[str]:
    """ISO 32000-2 12.8.1: two ranges from the start to the end of the revision, around this /Contents alone."""
    numbers = list(signature.byte_range)
    if len(numbers) != 4 or not all(isinstance(item, int) and item >= 0 for item in numbers):
        yield "Signaturens byteområde er ikke to sammenhengende deler."
        return
    start, first, second, length = numbers
    end = second + length
    if start != 0 or not first < second < end <= len(document):
        yield "Signaturens byteområde er ikke to sammenhengende deler."
        return
    gap = memoryview(document)[first:second]
    digits = bytes(gap[1:-1])
    if gap[0] != ord("<") or gap[-1] != ord(">") or not _DIGITS.issuperset(digits):
        yield "Mellom byteområdene står det noe annet enn signaturen."
        return
    if len(digits) % 2 or bytes.fromhex(digits.decode("ascii")) != signature.pkcs7_content:
        yield "Mellom byteområdene står det en annen signatur."
        return
    if not _is_own_contents(document, signature, first, second):
        yield "Mellom byteområdene står det en annen signatur."
    covered = revisions[signature.signed_revision].length
    if document[min(end, covered) : max(end, covered)].strip(b"\r\n"):
        yield "Signaturen dekker ikke hele dokumentet."


def _is_own_contents(document: bytes, signature: EmbeddedPdfSignature, first: int, second: int) -> bool:
    """That the gap is the /Contents of this dictionary, and that it has one: put something else there, and read."""
    reference = signature.sig_field.raw_get("/V").reference
    place = signature.reader.xrefs.get_historical_ref(reference, signature.signed_revision)
    # In an object stream it would be compressed, and have no place in the file of its own.
    if not isinstance(place, int) or not 0 <= first - place <= _DICTIONARY:
        return False
    other = f"<{_OTHER_CONTENTS}>".encode()
    stream = BytesIO(document[place:first] + other + document[second : second + _DICTIONARY])
    read_object_header(stream, strict=True)
    found: Any = generic.read_object(stream, generic.Reference(reference.idnum, reference.generation, None))
    contents = found.raw_get("/Contents")
    return bool(contents.original_bytes == bytes.fromhex(_OTHER_CONTENTS))


def _message_faults(signature: EmbeddedPdfSignature) -> Iterator[str]:
    """What the CMS may be (ISO 32000-2 12.8.3.3, EN 319 142-1 6.3): one signer, nothing but the document signed."""
    of_document = signature.sig_object_type == "/DocTimeStamp"
    subfilter = str(signature.sig_object.get("/SubFilter", ""))
    if signature.sig_object_type not in ("/Sig", "/DocTimeStamp") or subfilter not in _SUBFILTERS:
        yield "Signaturen er av et slag som ikke kan kontrolleres."
        return
    if of_document != (subfilter == _TIMESTAMP):
        yield "Signaturen gir seg ut for et annet slag enn den er."
    content = signature.pkcs7_content
    message = cms.ContentInfo.load(content)
    if content[len(message.dump()) :].strip(b"\0"):
        yield "Det står noe bak signaturen på plassen dens."
    signed = signature.signed_data
    if len(signed["signer_infos"]) != 1:
        yield "Signaturen har ikke nøyaktig én underskriver."
        return
    wrapped = signed["encap_content_info"]
    if wrapped["content_type"].native != ("tst_info" if of_document else "data"):
        yield "Signaturen er over noe annet enn dokumentet."
    if not of_document and wrapped["content"].native is not None:
        yield "Signaturen har et innhold av sitt eget."
    (signer,) = signed["signer_infos"]
    kinds = [item["type"].native for item in signer["signed_attrs"]]
    if len(kinds) != len(set(kinds)) or not {"content_type", "message_digest"} <= set(kinds):
        yield "Signaturens signerte egenskaper er ikke entydige."
    if subfilter == _CADES and not {"signing_certificate", "signing_certificate_v2"} & set(kinds):
        yield "Signaturen sier ikke hvilket sertifikat den er laget med."
    for token in timestamp_tokens(signer):
        imprint = token["encap_content_info"]["content"].parsed["message_imprint"]
        algorithm = imprint["hash_algorithm"]["algorithm"].native
        value = signer["signature"].native
        if _hashed(algorithm, value, imprint["hashed_message"].native) != imprint["hashed_message"].native:
            yield "Tidsstempelet i signaturen er over en annen signatur."


def _hashed(algorithm: str, value: bytes, other: bytes) -> bytes:
    """The digest, of SHAKE as long as the other one."""
    if algorithm in ("shake128", "shake256"):
        return (hashlib.shake_128 if algorithm == "shake128" else hashlib.shake_256)(value).digest(len(other))
    return hashlib.new(algorithm, value).digest()


def _same_value(one: EmbeddedPdfSignature, other: EmbeddedPdfSignature) -> bool:
    references: list[Any] = [item.sig_field.raw_get("/V") for item in (one, other)]
    return bool(references[0].reference == references[1].reference)


def _follows(earlier: EmbeddedPdfSignature, later: EmbeddedPdfSignature) -> bool:
    """That the later signature's place is behind everything that the earlier one covers."""
    return bool(earlier.byte_range[2] + earlier.byte_range[3] <= later.byte_range[1])
