"""Signatures that others made, by OpenSSL, into a prepared document."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pytest
from asn1crypto import cms as asn1_cms
from asn1crypto import pem
from asn1crypto.core import OctetString
from pyhanko.pdf_utils.reader import PdfFileReader

from signing import (
    CredentialError,
    NotTrusted,
    PreparedRevision,
    PreparedSignature,
    SignatureMalformed,
    SignatureMismatch,
    SignatureRequest,
    SignerIdentity,
    StaleSignature,
    TimestampClient,
    TimestampUnavailable,
    embed,
    embed_cms,
    prepare,
    revisions,
    seal_detached,
    signer_of,
    validate,
)
from signing.cms import signed_attributes, signed_data
from signing.der import CONTEXT_0, SEQUENCE, elements, tlv
from signing.outside import read_cms
from tests.outside_signer import PSS, Outside, prepare_outside, side_by_side
from tests.signing_documents import PKCS1_LASTS, Signers

pytestmark = pytest.mark.pki


@pytest.fixture
def outside(sealed: bytes, signers: Signers, tmp_path: Path) -> Outside:
    return Outside(signers, sealed, prepare_outside(sealed), tmp_path)


def _embedded(document: bytes) -> bytes:
    """The last signature's CMS, without the zeros behind it."""
    content = PdfFileReader(BytesIO(document)).embedded_signatures[-1].pkcs7_content
    (first, *_) = elements(content[: 4 + int.from_bytes(content[2:4], "big")])
    return first.encoded


# Made by OpenSSL


@pytest.mark.parametrize(
    ("by", "arguments", "algorithm"),
    [
        ("person", [], "ECDSA P-256, SHA-256"),
        ("person", ["-nosmimecap"], "ECDSA P-256, SHA-256"),
        ("employer", PSS, "RSA-3072 PSS, SHA-256"),
        ("employer", [], "RSA-3072 PKCS#1 v1.5, SHA-256"),
        ("small", [], "RSA-2048 PKCS#1 v1.5, SHA-256"),
        ("adviser", [], "ECDSA P-384, SHA-256"),
    ],
    ids=["P-256", "no-capabilities", "PSS", "PKCS#1", "RSA-2048", "P-384"],
)
def test_openssl_signs(
    outside: Outside, by: str, arguments: list[str], algorithm: str, tmp_path: Path
) -> None:
    cms = outside.openssl("-cades", *arguments, by=by)
    identity = signer_of(cms)
    assert identity.certificate == pem.unarmor(outside.signers.pki.certificate_pem(by).read_bytes())[2]
    assert len(identity.chain) == 1
    signed = outside.embed(cms)
    assert signed.startswith(outside.revision)
    assert len(revisions(signed)) == len(revisions(outside.revision)) + 1
    result = validate(signed, outside.signers.trust).signatures[-1]
    assert (result.field, result.level, result.algorithm) == ("employer", "B-T", algorithm)
    # Intact and trusted; what is missing before augmentation is the evidence about revocation.
    assert result.sub_indication == "TRY_LATER"
    (tmp_path / "signed.pdf").write_bytes(signed)
    output = subprocess.run(
        ["pdfsig", "signed.pdf"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert output.stdout.count("Signature Validation: Signature is Valid.") == 2


@pytest.mark.parametrize(
    ("digest", "by"), [("sha384", "adviser"), ("sha512", "employer"), ("sha512", "person")]
)
def test_longer_digests(outside: Outside, sealed: bytes, tmp_path: Path, digest: str, by: str) -> None:
    prepared = prepare_outside(sealed, digest=digest)
    assert len(prepared.document_digest) == hashlib.new(digest).digest_size
    other = Outside(outside.signers, sealed, prepared, tmp_path)
    signed = other.embed(other.openssl("-cades", by=by, md=digest))
    assert validate(signed, outside.signers.trust).signatures[-1].sub_indication == "TRY_LATER"
    with pytest.raises(SignatureMismatch, match="digest algorithm"):
        other.embed(other.openssl("-cades", by=by, md="sha256"))


def test_others_sign_on_and_all_becomes_b_lta(outside: Outside) -> None:
    signers = outside.signers
    signed = outside.embed(outside.openssl("-cades", by="organisation"))
    for party in ("participant", "adviser"):
        signed = signers.sign(signed, party)
    report = validate(signers.augment(signed), signers.trust)
    assert report.indication == "TOTAL-PASSED"
    assert [s.field for s in report.signatures] == ["seal", "employer", "participant", "adviser"]
    assert {s.level for s in report.signatures} == {"B-LTA"}
    assert report.modifications == ()
    years = timedelta(days=365 * 10)
    trust = signers.trust.accepting(PKCS1_LASTS)
    assert validate(signers.augment(signed), trust, at=datetime.now(UTC) + years).passed


def test_certification_by_another(fielded: bytes, signers: Signers, tmp_path: Path) -> None:
    prepared = prepare(fielded, SignatureRequest("seal", certify=True), None, at=datetime.now(UTC))
    outside = Outside(signers, fielded, prepared, tmp_path)
    signed = outside.embed(outside.openssl("-cades", by="organisation"))
    assert validate(signers.sign(signed, "participant"), signers.trust).signatures[0].certifies


def test_signed_part_keeps_its_bytes(outside: Outside) -> None:
    cms = outside.openssl("-cades")
    signed = outside.embed(cms)
    found = read_cms(_embedded(signed))
    before, after = (asn1_cms.ContentInfo.load(item)["content"] for item in (cms, _embedded(signed)))
    assert len(found.tokens) == 1
    assert before["certificates"].dump() == after["certificates"].dump()
    for name in ("sid", "digest_algorithm", "signed_attrs", "signature_algorithm", "signature"):
        assert before["signer_infos"][0][name].dump() == after["signer_infos"][0][name].dump()


# With and without a timestamp


def test_a_timestamp_is_added_only_where_there_is_none(outside: Outside) -> None:
    signers = outside.signers
    bare = outside.by_hand()
    with_time = seal_detached(outside.content, signers.credential("person"), signers.timestamps)
    before = len(signers.pki.requests)
    kept = outside.embed(with_time)
    assert signers.pki.requests[before:] == []
    assert _embedded(kept) == with_time
    outside.embed(bare)
    assert signers.pki.requests[before:] == ["/test/tsa/tsa"]
    assert validate(kept, signers.trust).signatures[-1].level == "B-T"


def test_no_timestamp_no_signature(outside: Outside) -> None:
    client = TimestampClient([outside.signers.pki.foreign_tsa_url], trust=outside.signers.trust)
    with pytest.raises(TimestampUnavailable):
        embed_cms(
            outside.prepared,
            outside.by_hand(),
            revision=outside.revision,
            timestamps=client,
            trust=outside.signers.trust,
        )
    client.close()


def _stamped(outside: Outside, token: Callable[[bytes], bytes]) -> bytes:
    """A CMS that came with the token made for its value."""
    bare = read_cms(outside.openssl("-cades"))
    return bare.with_token(token(bare.value)).encoded()


def test_timestamp_of_an_unknown_authority(outside: Outside) -> None:
    client = TimestampClient([outside.signers.pki.foreign_tsa_url])
    cms = _stamped(outside, lambda value: client.timestamp(hashlib.sha256(value).digest(), "sha256").encoded)
    client.close()
    with pytest.raises(NotTrusted):
        outside.embed(cms)


def test_timestamp_over_another_signature(outside: Outside) -> None:
    token = outside.signers.timestamps.timestamp(hashlib.sha256(b"other").digest(), "sha256")
    with pytest.raises(SignatureMismatch, match="over another signature"):
        outside.embed(_stamped(outside, lambda _: token.encoded))


def test_timestamp_that_was_altered(outside: Outside) -> None:
    def altered(value: bytes) -> bytes:
        token = outside.signers.timestamps.timestamp(hashlib.sha256(value).digest(), "sha256")
        year = f"{token.time:%Y%m%d}".encode()
        assert year in token.encoded
        return token.encoded.replace(year, f"{token.time - timedelta(days=700):%Y%m%d}".encode())

    with pytest.raises(SignatureMismatch, match="timestamp does not verify"):
        outside.embed(_stamped(outside, altered))


@pytest.mark.parametrize("token", [b"\x05\x00", tlv(SEQUENCE, b""), b"\x30\x03\x02\x01\x01"])
def test_timestamp_that_is_none(outside: Outside, token: bytes) -> None:
    with pytest.raises(SignatureMalformed, match="timestamp"):
        outside.embed(_stamped(outside, lambda _: token))


def test_timestamp_made_with_a_signers_certificate(outside: Outside) -> None:
    """A party's own key can sign something that looks like a token."""
    credential = outside.signers.credential("employer")

    def own(value: bytes) -> bytes:
        genuine = outside.signers.timestamps.timestamp(hashlib.sha256(value).digest(), "sha256").encoded
        encoded = bytes(asn1_cms.ContentInfo.load(genuine)["content"]["encap_content_info"]["content"])
        attributes = signed_attributes(
            credential.identity, hashlib.sha256(encoded).digest(), content_type="tst_info"
        )
        content = asn1_cms.ContentType("tst_info").dump() + tlv(CONTEXT_0, OctetString(encoded).dump())
        return signed_data(
            credential.identity,
            attributes,
            credential.sign(attributes),
            version=3,
            content=content,
            certificates=[credential.identity.certificate, *credential.identity.chain],
        )

    with pytest.raises(NotTrusted, match="not one for time-stamping"):
        outside.embed(_stamped(outside, own))


# Prepared signatures


def test_stored_and_taken_up_again(outside: Outside, sealed: bytes) -> None:
    stored = outside.prepared.to_bytes()
    resumed = PreparedRevision.from_bytes(stored)
    assert resumed == outside.prepared
    assert not isinstance(resumed, PreparedSignature)
    assert outside.embed(outside.openssl("-cades"), prepared=resumed).startswith(sealed)
    with pytest.raises(StaleSignature):
        PreparedSignature.from_bytes(stored)
    for broken in (
        stored.replace(b'"sha256"', b'"sha1"'),
        stored.replace(b"prepared/1", b"prepared/2"),
        b"[[[",
    ):
        with pytest.raises(StaleSignature):
            PreparedRevision.from_bytes(broken)


def test_both_kinds_come_out_of_storage(outside: Outside, sealed: bytes) -> None:
    identity = outside.signers.credential("person").identity
    known = prepare(sealed, SignatureRequest("employer"), identity, at=datetime.now(UTC))
    resumed = PreparedRevision.from_bytes(known.to_bytes())
    assert isinstance(resumed, PreparedSignature)
    assert resumed == known == PreparedSignature.from_bytes(known.to_bytes())


def test_stale_revision(outside: Outside, sealed: bytes) -> None:
    cms = outside.openssl("-cades")
    newer = outside.signers.sign(sealed, "participant")
    with pytest.raises(StaleSignature):
        embed_cms(
            outside.prepared,
            cms,
            revision=newer,
            timestamps=outside.signers.timestamps,
            trust=outside.signers.trust,
        )


def test_digest_that_is_refused(sealed: bytes) -> None:
    with pytest.raises(CredentialError, match="md5"):
        prepare_outside(sealed, digest="md5")


def test_cms_where_the_certificate_was_known(outside: Outside, sealed: bytes) -> None:
    """Prepared for a certificate, it may be completed by a value or by a CMS, of that certificate alone."""
    identity = outside.signers.credential("person").identity
    known = prepare(sealed, SignatureRequest("employer"), identity, at=datetime.now(UTC))
    with_known = Outside(outside.signers, sealed, known, outside.directory)
    signed = with_known.embed(with_known.openssl("-cades"))
    assert validate(signed, outside.signers.trust).signatures[-1].level == "B-T"
    with pytest.raises(SignatureMismatch, match="another certificate"):
        with_known.embed(with_known.openssl("-cades", by="employer"))


# A known certificate, and someone else's key over the signed attributes


def _known(outside: Outside, by: str) -> PreparedSignature:
    identity = outside.signers.credential(by).identity
    return prepare(outside.revision, SignatureRequest("employer"), identity, at=datetime.now(UTC))


def _value(outside: Outside, prepared: PreparedSignature, by: str, *options: str) -> bytes:
    """Signed by `openssl dgst`, which knows nothing of CMS."""
    (outside.directory / "attributes").write_bytes(prepared.signed_attributes)
    command = ["openssl", "dgst", f"-{prepared.digest_algorithm}", "-binary", *options]
    command += ["-sign", str(outside.signers.pki.directory / f"{by}.pem"), "attributes"]
    return subprocess.run(command, cwd=outside.directory, capture_output=True, check=True).stdout


_PSS_VALUE = ("-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:-1")


@pytest.mark.parametrize(
    ("by", "options"),
    [("person", ()), ("adviser", ()), ("employer", _PSS_VALUE)],
    ids=["P-256", "P-384", "PSS"],
)
def test_value_from_elsewhere(outside: Outside, by: str, options: tuple[str, ...]) -> None:
    prepared = _known(outside, by)
    value = _value(outside, prepared, by, *options)
    signed = embed(prepared, value, revision=outside.revision, timestamps=outside.signers.timestamps)
    assert validate(signed, outside.signers.trust).signatures[-1].sub_indication == "TRY_LATER"


def test_value_of_another_form(outside: Outside) -> None:
    ecdsa, rsa = _known(outside, "person"), _known(outside, "employer")
    numbers = side_by_side(_value(outside, ecdsa, "person"))
    cases: list[tuple[PreparedSignature, bytes, str]] = [
        (ecdsa, numbers, "r and s side by side"),
        (ecdsa, numbers[:-1] + b"\x00", "does not verify"),
        (ecdsa, bytes(64), "does not verify"),
        (rsa, _value(outside, rsa, "employer"), "PKCS#1 v1.5"),
        (rsa, bytes(384), "does not verify"),
        (rsa, _value(outside, rsa, "employer", *_PSS_VALUE[:3], "rsa_pss_saltlen:20"), "does not verify"),
    ]
    for prepared, value, reason in cases:
        with pytest.raises(SignatureMismatch, match=reason):
            embed(prepared, value, revision=outside.revision, timestamps=outside.signers.timestamps)


def test_signer_of_gives_the_chain_in_order(outside: Outside) -> None:
    pki = outside.signers.pki
    above = outside.directory / "above.pem"
    above.write_bytes(pki.root.read_bytes() + pki.certificate_pem("interm").read_bytes())
    cms = outside.openssl("-cades", "-certfile", "above.pem")
    identity: SignerIdentity = signer_of(cms)
    own = outside.signers.credential("person").identity
    root = pem.unarmor(outside.signers.pki.root.read_bytes())[2]
    assert identity.certificate == own.certificate
    assert identity.chain[0] == own.chain[0]
    assert set(identity.chain) == {own.chain[0], root}
