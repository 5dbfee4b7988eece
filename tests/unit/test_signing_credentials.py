"""Keys out of PKCS#12 files, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, NoEncryption, pkcs12
from cryptography.x509.oid import NameOID

from signing import CredentialError, Mechanism, SignatureMismatch, TrustStore, open_credential
from signing.algorithms import verify_raw

SECRET = "hemmelig æøå"


def _certificate(
    key: CertificateIssuerPrivateKeyTypes, *, digest: hashes.HashAlgorithm | None, other: bool = False
) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Prøve Sæter")])
    subject_key = ec.generate_private_key(ec.SECP256R1()) if other else key
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(subject_key.public_key())
        .serial_number(7)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, digest)
    )


def _file(
    directory: Path,
    key: CertificateIssuerPrivateKeyTypes,
    *,
    digest: hashes.HashAlgorithm | None = None,
    secret: str | None = SECRET,
) -> str:
    certificate = _certificate(key, digest=digest or hashes.SHA256())
    path = directory / "key file.p12"
    encryption = BestAvailableEncryption(secret.encode()) if secret else NoEncryption()
    path.write_bytes(pkcs12.serialize_key_and_certificates(b"k", key, certificate, None, encryption))
    (directory / "passphrase").write_text(SECRET + "\n", encoding="utf-8")
    return f"pkcs12:{path}?passphrase-file={directory / 'passphrase'}"


@pytest.mark.parametrize(
    ("key", "mechanism"),
    [
        (ec.generate_private_key(ec.SECP256R1()), Mechanism.ECDSA_SHA256),
        (ec.generate_private_key(ec.SECP384R1()), Mechanism.ECDSA_SHA384),
        (rsa.generate_private_key(65537, 3072), Mechanism.RSA_PSS_SHA256),
    ],
    ids=["P-256", "P-384", "RSA-3072"],
)
def test_key_signs(tmp_path: Path, key: ec.EllipticCurvePrivateKey, mechanism: Mechanism) -> None:
    credential = open_credential(_file(tmp_path, key))
    assert credential.identity.mechanism is mechanism
    assert credential.identity.subject == "Prøve Sæter"
    certificate = asn1_x509.Certificate.load(credential.identity.certificate)
    value = credential.sign(b"bytes")
    verify_raw(certificate, mechanism, value, b"bytes")
    with pytest.raises(SignatureMismatch):
        verify_raw(certificate, mechanism, value, b"other bytes")
    with pytest.raises(SignatureMismatch):
        verify_raw(certificate, mechanism, b"", b"bytes")


def test_rsa_makes_pss_only(tmp_path: Path) -> None:
    credential = open_credential(_file(tmp_path, rsa.generate_private_key(65537, 3072)))
    identifier = credential.identity.mechanism.identifier()
    assert identifier["algorithm"].native == "rsassa_pss"
    assert identifier["parameters"]["salt_length"].native == 32
    assert not any("v15" in mechanism.value for mechanism in Mechanism)


def test_without_passphrase(tmp_path: Path) -> None:
    uri = _file(tmp_path, ec.generate_private_key(ec.SECP256R1()), secret=None)
    credential = open_credential(uri.split("?")[0])
    assert credential.identity.issuer == "Prøve Sæter"


@pytest.mark.parametrize(
    ("key", "word"),
    [
        (rsa.generate_private_key(65537, 2048), "2048 bits"),
        (ec.generate_private_key(ec.SECP521R1()), "secp521r1"),
    ],
)
def test_refused_keys(tmp_path: Path, key: rsa.RSAPrivateKey, word: str) -> None:
    with pytest.raises(CredentialError, match=word):
        open_credential(_file(tmp_path, key))


def test_refused_kind_of_key(tmp_path: Path) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    now = datetime.now(UTC)
    certificate = x509.CertificateBuilder(name, name, key.public_key(), 7, now, now + timedelta(days=1)).sign(
        key, None
    )
    path = tmp_path / "k.p12"
    path.write_bytes(pkcs12.serialize_key_and_certificates(None, key, certificate, None, NoEncryption()))
    with pytest.raises(CredentialError, match="Ed25519"):
        open_credential(f"pkcs12:{path}")


def test_certificate_for_another_key(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _certificate(key, digest=hashes.SHA256(), other=True)
    path = tmp_path / "k.p12"
    with pytest.raises((CredentialError, ValueError)):
        path.write_bytes(pkcs12.serialize_key_and_certificates(None, key, certificate, None, NoEncryption()))
        open_credential(f"pkcs12:{path}")


@pytest.mark.parametrize(
    ("uri", "word"),
    [
        ("smartcard:token=x", "pkcs12:"),
        ("/just/a/path", "pkcs12:"),
        ("", "pkcs12:"),
        ("pkcs12:", "path"),
        ("pkcs12:/no/such/file.p12", "cannot be read"),
        ("pkcs12:/no/such/file.p12?passphrase-file=/no/such/secret", "passphrase file"),
        ("pkcs12:/no/such/file.p12?passphrase=hunter2", "no option"),
    ],
)
def test_addresses_that_do_not_work(uri: str, word: str) -> None:
    with pytest.raises(CredentialError) as caught:
        open_credential(uri)
    assert word in f"{caught.value} {caught.value.remedy}"
    assert "hunter2" not in f"{caught.value} {caught.value.remedy}"


def test_wrong_passphrase_and_broken_file(tmp_path: Path) -> None:
    uri = _file(tmp_path, ec.generate_private_key(ec.SECP256R1()))
    (tmp_path / "passphrase").write_text("wrong")
    with pytest.raises(CredentialError, match="unlocked"):
        open_credential(uri)
    (tmp_path / "key file.p12").write_bytes(b"nonsense")
    with pytest.raises(CredentialError, match="unlocked"):
        open_credential(uri)


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    credential = open_credential(_file(tmp_path, ec.generate_private_key(ec.SECP256R1())))
    shown = f"{credential!r} {credential} {vars(credential)}"
    assert SECRET not in shown
    assert "Prøve" not in repr(credential)


def test_trust_anchors(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    one, two = (_certificate(key, digest=hashes.SHA256()) for _ in range(2))
    from cryptography.hazmat.primitives.serialization import Encoding

    bundle, der = tmp_path / "bundle.pem", tmp_path / "one.der"
    bundle.write_bytes(one.public_bytes(Encoding.PEM) + two.public_bytes(Encoding.PEM))
    der.write_bytes(one.public_bytes(Encoding.DER))
    trust = TrustStore.from_pem(bundle, der)
    assert len(trust.anchors) == 2
    assert trust.anchors[0] == one.public_bytes(Encoding.DER)
    for content in (b"", b"-----BEGIN CERTIFICATE-----\n", b"hello", key.private_numbers and b"\x30\x00"):
        der.write_bytes(content)
        with pytest.raises(CredentialError):
            TrustStore.from_pem(der)
    with pytest.raises(CredentialError):
        TrustStore.from_pem(tmp_path / "missing.pem")
