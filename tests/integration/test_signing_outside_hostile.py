"""What is refused of a CMS that comes from elsewhere: hostile, broken, weak, too large, or another's."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from asn1crypto import cms as asn1_cms
from asn1crypto import pem
from asn1crypto.core import ObjectIdentifier, OctetString

from signing import (
    CredentialError,
    SignatureMalformed,
    SignatureMismatch,
    SigningError,
    signer_of,
)
from signing.cms import attribute, signed_attributes, signed_data
from signing.der import CONTEXT_0, CONTEXT_1, SEQUENCE, SET, elements, tlv
from signing.outside import MAX_CMS_BYTES, read_cms
from tests.outside_signer import DATA, PSS, Outside, prepare_outside, side_by_side
from tests.signing_documents import Signers

pytestmark = pytest.mark.pki


@pytest.fixture
def outside(sealed: bytes, signers: Signers, tmp_path: Path) -> Outside:
    return Outside(signers, sealed, prepare_outside(sealed), tmp_path)


# What is refused of a CMS


def _two_signers(o: Outside) -> bytes:
    return o.openssl("-cades", *o.key("employer"))


def _indefinite(o: Outside) -> bytes:
    return o.openssl("-cades", "-stream", "-indef")


def _empty_unsigned(o: Outside) -> bytes:
    parts = read_cms(o.by_hand())
    nothing = elements(tlv(CONTEXT_1, b""))
    return replace(parts, _signer=(*parts._signer, *nothing)).encoded()


def _unsorted(attributes: bytes) -> bytes:
    (whole,) = elements(attributes)
    return tlv(SET, b"".join(item.encoded for item in reversed(elements(whole.content))))


def _doubled(attributes: bytes) -> bytes:
    (whole,) = elements(attributes)
    items = [item.encoded for item in elements(whole.content)]
    return tlv(SET, b"".join(sorted([*items, items[-1]])))


def _without(kind: str) -> Callable[[bytes], bytes]:
    def change(attributes: bytes) -> bytes:
        (whole,) = elements(attributes)
        identifier = asn1_cms.CMSAttributeType(kind).dump()
        return tlv(
            SET, b"".join(i.encoded for i in elements(whole.content) if not i.content.startswith(identifier))
        )

    return change


MALFORMED: dict[str, tuple[Callable[[Outside], bytes], str]] = {
    "two signers": (_two_signers, "2 signers"),
    "attached": (lambda o: o.openssl("-cades", "-nodetach"), "content attached"),
    "indefinite length": (_indefinite, "indefinite"),
    "trailing bytes": (lambda o: o.openssl("-cades") + b"\x00", "behind the value"),
    "trailing value": (lambda o: o.openssl("-cades") * 2, "behind the value"),
    "truncated": (lambda o: o.openssl("-cades")[:-1], "beyond the bytes"),
    "empty": (lambda o: b"", "no bytes"),
    "PEM": (lambda o: pem.armor("CMS", o.openssl("-cades")), "not a CMS"),
    "not named": (lambda o: o.openssl(), "do not name the signer's certificate"),
    "key identifier": (lambda o: o.openssl("-cades", "-keyid"), "key identifier"),
    "no attributes": (lambda o: o.openssl("-noattr"), "no signed attributes"),
    "no certificates": (
        lambda o: o.openssl("-cades", "-nocerts", "-certfile", str(o.signers.pki.root)),
        "not among those sent",
    ),
    "another content": (
        lambda o: o.by_hand(content=asn1_cms.ContentType("tst_info").dump(), content_type="tst_info"),
        "another kind of content",
    ),
    "another signed content type": (lambda o: o.by_hand(content_type="tst_info"), "content type is not data"),
    "unsorted attributes": (lambda o: o.by_hand(change=_unsorted), "order of DER"),
    "attribute twice": (lambda o: o.by_hand(change=_doubled), "twice"),
    "no digest": (lambda o: o.by_hand(change=_without("message_digest")), "message-digest"),
    "no content type": (lambda o: o.by_hand(change=_without("content_type")), "content-type"),
    "no signing certificate": (
        lambda o: o.by_hand(change=_without("signing_certificate_v2")),
        "do not name the signer's certificate",
    ),
    "another's certificate sent": (lambda o: o.by_hand(sent="seal"), "not among those sent"),
    "empty unsigned attributes": (_empty_unsigned, "none in them"),
    "counter-signature": (
        lambda o: o.by_hand(unsigned=attribute("counter_signature", tlv(SEQUENCE, b""))),
        "counter-signature",
    ),
    "unknown unsigned attribute": (
        lambda o: o.by_hand(
            unsigned=tlv(SEQUENCE, ObjectIdentifier("2.999.7").dump() + tlv(SET, OctetString(b"x").dump()))
        ),
        "unsigned attribute other than",
    ),
    "signed data of nothing": (lambda o: tlv(SEQUENCE, b""), "not a SignedData"),
    "data": (lambda o: tlv(SEQUENCE, DATA + tlv(CONTEXT_0, OctetString(b"x").dump())), "not a SignedData"),
    "too large to be read": (lambda o: o.openssl("-cades") + bytes(MAX_CMS_BYTES), "more than"),
}  # fmt: skip


@pytest.mark.parametrize("kind", MALFORMED)
def test_malformed(outside: Outside, kind: str) -> None:
    make, reason = MALFORMED[kind]
    cms = make(outside)
    with pytest.raises(SignatureMalformed, match=reason) as caught:
        signer_of(cms)
    assert caught.value.code == "signature_malformed"
    with pytest.raises(SignatureMalformed):
        outside.embed(cms)


def _altered(o: Outside) -> bytes:
    return o.openssl("-cades", over=b"other bytes").replace(
        hashlib.sha256(b"other bytes").digest(), o.prepared.document_digest
    )


def _another_key(o: Outside) -> bytes:
    """The person's attributes and certificate, and a value by another key."""
    credential, other = o.signers.credential("person"), o.signers.credential("participant")
    attributes = signed_attributes(credential.identity, o.prepared.document_digest)
    identity = credential.identity
    return signed_data(
        identity,
        attributes,
        other.sign(attributes),
        version=1,
        content=DATA,
        certificates=[identity.certificate, other.identity.certificate],
    )


def _raw_numbers(o: Outside) -> bytes:
    credential = o.signers.credential("person")
    attributes = signed_attributes(credential.identity, o.prepared.document_digest)
    return signed_data(
        credential.identity,
        attributes,
        side_by_side(credential.sign(attributes)),
        version=1,
        content=DATA,
        certificates=[credential.identity.certificate],
    )


MISMATCHED: dict[str, tuple[Callable[[Outside], bytes], str]] = {
    "other bytes": (lambda o: o.openssl("-cades", over=b"other bytes"), "over other bytes"),
    "altered attributes": (_altered, "does not verify"),
    "another key": (_another_key, "does not verify"),
    "names another": (lambda o: o.by_hand(named="participant"), "name another certificate"),
    "raw numbers": (_raw_numbers, "does not verify"),
}


@pytest.mark.parametrize("kind", MISMATCHED)
def test_mismatched(outside: Outside, kind: str) -> None:
    make, reason = MISMATCHED[kind]
    with pytest.raises(SignatureMismatch, match=reason):
        outside.embed(make(outside))


WEAK: dict[str, tuple[Callable[[Outside], bytes], str]] = {
    "SHA-1": (lambda o: o.openssl("-cades", md="sha1"), "SHA1"),
    "SHA-224": (lambda o: o.openssl("-cades", md="sha224"), "SHA224"),
    "Koblitz": (lambda o: o.openssl("-cades", by="koblitz"), "secp256k1"),
    "short salt": (
        lambda o: o.openssl("-cades", *PSS[:2], "-keyopt", "rsa_pss_saltlen:8", by="employer"),
        "salt",
    ),
    "another mask": (
        lambda o: o.openssl("-cades", *PSS, "-keyopt", "rsa_mgf1_md:sha1", by="employer"),
        "parameters of RSASSA-PSS",
    ),
    "expired": (lambda o: o.openssl("-cades", by="expired"), "expired"),
}


@pytest.mark.parametrize("kind", WEAK)
def test_weak_or_expired(outside: Outside, kind: str) -> None:
    make, reason = WEAK[kind]
    with pytest.raises(CredentialError, match=reason):
        outside.embed(make(outside))


def test_short_rsa_key(outside: Outside, tmp_path: Path) -> None:
    new = ["openssl", "req", "-x509", "-newkey", "rsa:1024", "-nodes", "-keyout", "k.pem", "-out", "c.pem"]
    subprocess.run([*new, "-subj", "/CN=Short"], cwd=tmp_path, capture_output=True, check=True)
    (tmp_path / "content").write_bytes(outside.content)
    sign = ["openssl", "cms", "-sign", "-binary", "-in", "content", "-outform", "DER", "-cades"]
    cms = subprocess.run(
        [*sign, "-signer", "c.pem", "-inkey", "k.pem"], cwd=tmp_path, capture_output=True, check=True
    ).stdout
    with pytest.raises(CredentialError, match="1024 bits"):
        signer_of(cms)


def test_no_room(outside: Outside, sealed: bytes) -> None:
    tight = prepare_outside(sealed, reserved=512)
    narrow = Outside(outside.signers, sealed, tight, outside.directory)
    cms = narrow.openssl("-cades")
    with pytest.raises(SignatureMalformed, match="512 were kept free"):
        narrow.embed(cms)
    # Room for the signature, but not for its timestamp.
    snug = prepare_outside(sealed, reserved=len(cms) + 100)
    almost = Outside(outside.signers, sealed, snug, outside.directory)
    with pytest.raises(SignatureMalformed, match="were kept free"):
        almost.embed(almost.openssl("-cades"))


def test_damaged_anywhere(outside: Outside) -> None:
    """One bit wrong is an error of ours, or in a part that nothing signs: then it is the same signature."""
    cms = outside.openssl("-cades")
    sound = read_cms(cms)
    for position in range(0, len(cms), 11):
        damaged = bytearray(cms)
        damaged[position] ^= 1 << (position % 8)
        try:
            found = read_cms(bytes(damaged))
        except SigningError:
            continue
        assert found.identity.certificate == sound.identity.certificate
        assert found.message_digest == sound.message_digest
        assert found.encoded() == bytes(damaged)


def test_errors_name_no_person(outside: Outside) -> None:
    for make, _ in [*MALFORMED.values(), *MISMATCHED.values(), *WEAK.values()]:
        with pytest.raises(SigningError) as caught:
            outside.embed(make(outside))
        for text in ("ukja", "degård", "17849431021"):
            assert text not in caught.value.message + caught.value.remedy
