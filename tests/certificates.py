"""Throw-away certificates for servers on `localhost` and their clients."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = ["write_certificates"]


def write_certificates(folder: Path) -> None:
    """Write, as PEM, `ca`, `server` and `client` (issued by it, each with its `-key`) and `other-ca`."""
    ca_key, ca = _issue("Test CA")
    _, other_ca = _issue("Another test CA")
    _write(folder / "ca.pem", ca)
    _write(folder / "other-ca.pem", other_ca)
    localhost = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    for name, alternatives, usage in (
        ("server", localhost, ExtendedKeyUsageOID.SERVER_AUTH),
        ("client", [x509.DNSName("client")], ExtendedKeyUsageOID.CLIENT_AUTH),
    ):
        key, certificate = _issue(name, (ca_key, ca), alternatives, usage)
        _write(folder / f"{name}.pem", certificate)
        _write(folder / f"{name}-key.pem", key)


def _issue(
    name: str,
    issuer: tuple[ec.EllipticCurvePrivateKey, x509.Certificate] | None = None,
    alternatives: Sequence[x509.GeneralName] = (),
    usage: x509.ObjectIdentifier | None = None,
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """A key and its certificate; without an issuer, of a certificate authority (RFC 5280 § 4.2)."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer_key, issuer_name = (key, subject) if issuer is None else (issuer[0], issuer[1].subject)
    is_ca = issuer is None
    now = datetime.datetime.now(datetime.UTC)
    key_usage = x509.KeyUsage(
        digital_signature=not is_ca, key_cert_sign=is_ca, crl_sign=is_ca,
        content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    issuer_identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer_name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=7))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(key_usage, critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(issuer_identifier, critical=False)
    )
    if usage is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return key, builder.sign(issuer_key, hashes.SHA256())


def _write(path: Path, what: x509.Certificate | ec.EllipticCurvePrivateKey) -> None:
    if isinstance(what, x509.Certificate):
        path.write_bytes(what.public_bytes(serialization.Encoding.PEM))
        return
    path.touch(0o600)
    path.write_bytes(
        what.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
