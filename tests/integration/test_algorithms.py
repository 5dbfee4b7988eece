"""Signatures by strong, weak and ageing algorithms, made with real keys: what validation says of them."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import PdfSignatureMetadata, PdfSigner, SimpleSigner
from pyhanko.sign.fields import SigSeedSubFilter
from pyhanko.sign.timestamps import HTTPTimeStamper

from signing import (
    AlgorithmPolicy,
    CredentialError,
    SignatureMismatch,
    ValidationReport,
    open_credential,
    signer_of,
    validate,
)
from signing.algorithms import Mechanism
from signing.cms import signed_attributes, signed_data
from signing.credentials.base import SignerIdentity
from tests.outside_signer import DATA, Outside, prepare_outside
from tests.signing_documents import PKCS1_LASTS, Signers

pytestmark = pytest.mark.pki


def _sign(
    document: bytes, signers: Signers, by: str, md: str, *, timestamp: bool = True, pss: bool = True
) -> bytes:
    """Signed by pyHanko's own signer, which makes what this package does not."""
    signer = SimpleSigner.load(
        str(signers.pki.directory / f"{by}.pem"),
        str(signers.pki.certificate_pem(by)),
        ca_chain_files=(str(signers.pki.certificate_pem("interm")),),
        prefer_pss=pss,
    )
    metadata = PdfSignatureMetadata(
        field_name="participant", md_algorithm=md, subfilter=SigSeedSubFilter.PADES
    )
    stamper = HTTPTimeStamper(signers.pki.tsa_url) if timestamp else None
    output = BytesIO()
    PdfSigner(metadata, signer, timestamper=stamper).sign_pdf(
        IncrementalPdfFileWriter(BytesIO(document)), output=output, existing_fields_only=True
    )
    return output.getvalue()


def _said(report: ValidationReport) -> tuple[str, str | None, str]:
    (signature,) = report.signatures
    return signature.indication, signature.sub_indication, signature.algorithm


@pytest.mark.parametrize(
    ("by", "md", "algorithm"),
    [
        ("edwards", "sha512", "Ed25519, SHA-512"),
        ("edwards-448", "shake256", "Ed448, SHAKE256"),
        ("curve", "sha512", "ECDSA P-521, SHA-512"),
        ("brainpool", "sha384", "ECDSA brainpoolP384r1, SHA-384"),
        ("participant", "sha3_256", "ECDSA P-256, SHA3-256"),
        ("small", "sha256", "RSA-2048 PSS, SHA-256"),
    ],
)
def test_strong(fielded: bytes, signers: Signers, by: str, md: str, algorithm: str) -> None:
    final = signers.augment(_sign(fielded, signers, by, md))
    report = validate(final, signers.trust)
    assert _said(report) == ("TOTAL-PASSED", None, algorithm)
    assert report.signatures[0].level == "B-LTA"


@pytest.mark.parametrize(
    ("by", "md", "sub_indication"),
    [
        ("participant", "sha1", "CRYPTO_CONSTRAINTS_FAILURE_NO_POE"),
        ("employer", "sha1", "CRYPTO_CONSTRAINTS_FAILURE_NO_POE"),
        ("employer", "md5", "CRYPTO_CONSTRAINTS_FAILURE_NO_POE"),
        ("short", "sha256", "CRYPTO_CONSTRAINTS_FAILURE"),
        ("koblitz", "sha256", "CRYPTO_CONSTRAINTS_FAILURE"),
    ],
)
def test_weak(fielded: bytes, signers: Signers, by: str, md: str, sub_indication: str) -> None:
    """A timestamp does not help: it is younger than the end of the algorithm."""
    for timestamp in (False, True):
        signed = _sign(fielded, signers, by, md, timestamp=timestamp, pss=False)
        report = validate(signed, signers.trust)
        assert _said(report)[:2] == ("INDETERMINATE", sub_indication)
        assert report.indication == "INDETERMINATE"


def test_what_was_sound_when_it_was_timestamped_stays_so(fielded: bytes, signers: Signers) -> None:
    """SHA-224 and RSA-2048 end in 2029: what is proven to be older passes, the same without a proof does not."""
    policy = AlgorithmPolicy.load()
    lasting = PKCS1_LASTS  # but for the digest, and PSS with 2048 bits
    ended = AlgorithmPolicy(
        **{**vars(lasting), "digests": policy.digests, "rsa": (*lasting.rsa[:1], *policy.rsa[1:])}
    )
    later = datetime(2030, 1, 1, tzinfo=UTC)
    for by, md in (("participant", "sha224"), ("small", "sha256")):
        signed = _sign(fielded, signers, by, md)
        final = signers.augment(signed)
        assert validate(final, signers.trust, algorithms=ended).passed
        assert validate(final, signers.trust, algorithms=ended, at=later).passed
        without = validate(
            _sign(fielded, signers, by, md, timestamp=False), signers.trust, algorithms=ended, at=later
        )
        assert _said(without)[:2] == ("INDETERMINATE", "CRYPTO_CONSTRAINTS_FAILURE_NO_POE")
        # And one made with it after its end.
        yesterday = datetime.now(UTC) - timedelta(days=1)
        gone = AlgorithmPolicy(
            **{
                **vars(lasting),
                "digests": {**policy.digests, md: yesterday} if md == "sha224" else policy.digests,
                "rsa": (*lasting.rsa[:1], *(_ending(rule, yesterday) for rule in policy.rsa[1:])),
            }
        )
        assert _said(validate(final, signers.trust, algorithms=gone))[:2] == (
            "INDETERMINATE",
            "CRYPTO_CONSTRAINTS_FAILURE_NO_POE",
        )


def _ending(rule: object, at: datetime) -> object:
    from dataclasses import replace

    return replace(rule, ends=at)  # type: ignore[type-var]


def _by_edwards(outside: Outside, *, over: bytes | None = None) -> bytes:
    """A CMS after RFC 8419, put together by hand: OpenSSL 3.0 makes none with Ed25519."""
    pki = outside.signers.pki
    key = load_pem_private_key((pki.directory / "edwards.pem").read_bytes(), None)
    certificates = [_der(pki.certificate_pem(label)) for label in ("edwards", "interm")]
    identity = SignerIdentity(certificates[0], (certificates[1],), Mechanism.ED25519)
    attributes = signed_attributes(identity, hashlib.sha512(over or outside.content).digest())
    return signed_data(
        identity,
        attributes,
        key.sign(attributes),
        version=1,
        content=DATA,
        certificates=certificates,  # type: ignore[union-attr, call-arg]
    )


def _der(path: Path) -> bytes:
    from asn1crypto import pem

    content: bytes = pem.unarmor(path.read_bytes())[2]
    return content


def test_ed25519_from_outside(sealed: bytes, signers: Signers, tmp_path: Path) -> None:
    """Prepared with SHA-256, signed with SHA-512 as Ed25519 has it."""
    outside = Outside(signers, sealed, prepare_outside(sealed), tmp_path)
    cms = _by_edwards(outside)
    assert signer_of(cms).subject == "Signer With Ed25519"
    report = validate(signers.augment(outside.embed(cms)), signers.trust)
    assert report.passed
    assert report.signatures[1].algorithm == "Ed25519, SHA-512"
    with pytest.raises(SignatureMismatch, match="does not verify"):
        outside.embed(cms[:-20] + bytes(20))
    with pytest.raises(SignatureMismatch, match="other bytes"):
        outside.embed(_by_edwards(outside, over=b"another document"))


def test_ed25519_is_not_made_here(signers: Signers) -> None:
    with pytest.raises(CredentialError, match="not used here"):
        open_credential(signers.pki.credential_uri("edwards"))
