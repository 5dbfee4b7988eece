"""Keys, certificates and a time-stamping authority that live for a rehearsal and are trusted by nobody else."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from threading import Lock
from typing import Final

from asn1crypto import algos, cms, core, tsp
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from signing.algorithms import MIN_RSA_BITS, Mechanism, sign_raw
from signing.cms import signed_attributes, signed_data
from signing.credentials.base import SignerIdentity
from signing.der import CONTEXT_0, tlv
from signing.timestamps import TimestampToken
from signing.trust import TrustStore

__all__ = ["ThrowawayAuthority", "ThrowawayCredential", "throwaway_authority", "throwaway_credential"]

_FROM, _TO = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
_NAME: Final = "Throwaway key for rehearsals"
_POLICY: Final = "2.999.1"  # of the arc for examples
_making: Final = Lock()

_Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


@dataclass(frozen=True)
class ThrowawayCredential:
    """A key in memory with a certificate it issued itself. Conforms to `Credential`."""

    identity: SignerIdentity
    _key: _Key

    def sign(self, data: bytes) -> bytes:
        if isinstance(self._key, ed25519.Ed25519PrivateKey):  # others sign so, and we rehearse for them
            return self._key.sign(data)
        return sign_raw(self._key, self.identity.mechanism, data)

    def __repr__(self) -> str:
        return f"ThrowawayCredential({self.identity.mechanism.value})"


@dataclass(frozen=True)
class ThrowawayAuthority:
    """A time-stamping authority without a network, whose clock stands still. Conforms to `TimestampSource`."""

    credential: ThrowawayCredential
    time: datetime

    def timestamp(self, digest: bytes, algorithm: str, *, room: int | None = None) -> TimestampToken:  # noqa: ARG002
        """An RFC 3161 token over `digest`; it is small, and has room anywhere."""
        info = tsp.TSTInfo(
            {
                "version": 1,
                "policy": _POLICY,
                "message_imprint": {
                    "hash_algorithm": algos.DigestAlgorithm({"algorithm": algorithm}),
                    "hashed_message": digest,
                },
                "serial_number": secrets.randbits(63),
                "gen_time": self.time.replace(microsecond=0),
            }
        ).dump()
        identity = self.credential.identity
        attributes = signed_attributes(identity, hashlib.sha256(info).digest(), content_type="tst_info")
        encoded = signed_data(
            identity,
            attributes,
            self.credential.sign(attributes),
            version=3,  # RFC 5652 5.1: for content other than data
            content=cms.ContentType("tst_info").dump() + tlv(CONTEXT_0, core.OctetString(info).dump()),
            certificates=[identity.certificate],
        )
        return TimestampToken(encoded, self.time, identity.parsed, (identity.parsed,), "")


def throwaway_credential(mechanism: Mechanism) -> ThrowawayCredential:
    """A key for this mechanism, made once a process: for RSA that takes tenths of a second."""
    with _making:
        return _credential(mechanism, authority=False)


def throwaway_authority(at: datetime) -> ThrowawayAuthority:
    """An authority by whose clock it is `at`."""
    with _making:
        return ThrowawayAuthority(_credential(Mechanism.ECDSA_SHA256, authority=True), at)


def throwaway_trust(*credentials: ThrowawayCredential) -> TrustStore:
    """Trusts these and nothing else."""
    return TrustStore(tuple(item.identity.certificate for item in credentials))


@cache
def _credential(mechanism: Mechanism, *, authority: bool) -> ThrowawayCredential:
    key = _key(mechanism)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _NAME)])
    usage = x509.KeyUsage(
        digital_signature=True, content_commitment=not authority, key_cert_sign=False, crl_sign=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
        decipher_only=False,
    )  # fmt: skip
    builder = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), _FROM, _TO)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if authority:
        builder = builder.add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True
        )
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    certificate = builder.sign(key, digest).public_bytes(Encoding.DER)
    return ThrowawayCredential(SignerIdentity(certificate, (), mechanism), key)


def _key(mechanism: Mechanism) -> _Key:
    if mechanism is Mechanism.ED25519:
        return ed25519.Ed25519PrivateKey.generate()
    if mechanism.is_rsa:
        return rsa.generate_private_key(65537, MIN_RSA_BITS)
    if mechanism is Mechanism.ECDSA_SHA384:
        return ec.generate_private_key(ec.SECP384R1())
    return ec.generate_private_key(ec.SECP256R1())
