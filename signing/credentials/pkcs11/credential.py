"""The credential: key and certificate of a token, seen to belong together when it is opened."""

from __future__ import annotations

import contextlib
import secrets
from typing import TYPE_CHECKING
from urllib.parse import SplitResult

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from signing.algorithms import mechanism_for, verify_raw
from signing.credentials.base import SignerIdentity, register_scheme
from signing.credentials.pkcs11.address import Pkcs11Address
from signing.errors import CredentialError, SignatureMismatch

if TYPE_CHECKING:
    from signing.credentials.pkcs11.key import TokenKey

__all__ = ["Pkcs11Credential"]


class Pkcs11Credential:
    """A key in a token. Safe to share between threads and across forks."""

    def __init__(self, key: TokenKey, identity: SignerIdentity) -> None:
        self._key = key
        self._identity = identity

    @property
    def identity(self) -> SignerIdentity:
        return self._identity

    def sign(self, data: bytes) -> bytes:
        """Raises `CredentialUnavailable` when the HSM cannot be reached, `CredentialError` when it refuses."""
        mechanism = self._identity.mechanism
        value = self._key.sign(mechanism, data)
        return value if mechanism.is_rsa else _ecdsa_value(value)

    def __repr__(self) -> str:
        return f"Pkcs11Credential({self._identity.mechanism.value})"

    @classmethod
    def load(cls, address: Pkcs11Address) -> Pkcs11Credential:
        """Log in, find the key and its certificate, and see by a signature that they belong together.

        Raises `CredentialError` when something is missing or ambiguous, `CredentialUnavailable` when the HSM is.
        """
        try:
            from signing.credentials.pkcs11.key import TokenKey
        except ModuleNotFoundError as error:
            if error.name != "pkcs11":
                raise
            raise CredentialError(
                "keys in an HSM need Signert's extra 'pkcs11', which is not installed",
                remedy="install signert[pkcs11]",
            ) from None
        key = TokenKey(address)
        own, others = key.certificates()
        if address.certificate is not None:
            certificate, *above = _from_file(address)
        else:
            certificate, above = _only(own, address), []
        above += _readable(others)
        credential = cls(key, _identity(certificate, above, address))
        credential._check(address)
        return credential

    def _check(self, address: Pkcs11Address) -> None:
        """One signature over bytes that cannot be a document's: this key, this certificate, this mechanism."""
        data = b"Signert looks whether key and certificate belong together: " + secrets.token_bytes(16)
        try:
            verify_raw(self._identity.parsed, self._identity.mechanism, self.sign(data), data)
        except SignatureMismatch:
            raise CredentialError(
                f"the certificate is not for {address.key_name}",
                remedy="put the key's own certificate in the token, or name its file with certificate=",
            ) from None


def _ecdsa_value(value: bytes) -> bytes:
    """r and s as PKCS#11 puts them, side by side, to the DER of RFC 3279 § 2.2.3."""
    half = len(value) // 2
    return encode_dss_signature(int.from_bytes(value[:half], "big"), int.from_bytes(value[half:], "big"))


def _identity(
    certificate: x509.Certificate, others: list[x509.Certificate], address: Pkcs11Address
) -> SignerIdentity:
    try:
        algorithm, public = certificate.signature_hash_algorithm, certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise CredentialError(
            f"the certificate of {address.key_name} has an algorithm that is not used"
        ) from None
    if algorithm is not None and algorithm.name in ("md5", "sha1"):
        raise CredentialError(f"the certificate of {address.key_name} is signed with {algorithm.name}")
    chain: list[x509.Certificate] = []
    current = certificate
    while (issuer := next((other for other in others if _issued(current, other)), None)) is not None:
        if issuer in (certificate, *chain):
            break
        chain.append(issuer)
        current = issuer
    return SignerIdentity(
        certificate=certificate.public_bytes(Encoding.DER),
        chain=tuple(item.public_bytes(Encoding.DER) for item in chain),
        mechanism=mechanism_for(public),
    )


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    if certificate == issuer:
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _only(certificates: tuple[bytes, ...], address: Pkcs11Address) -> x509.Certificate:
    distinct = set(certificates)
    if not distinct:
        raise CredentialError(
            f"the token holds no certificate for {address.key_name}",
            remedy="put it in the token with the key's CKA_ID, or name its file with certificate=",
        )
    if len(distinct) > 1:
        raise CredentialError(
            f"there are {len(distinct)} certificates for {address.key_name}",
            remedy="delete the old ones from the token, or name the file of the right one with certificate=",
        )
    try:
        return x509.load_der_x509_certificate(distinct.pop())
    except ValueError:
        raise CredentialError(f"the certificate of {address.key_name} cannot be read") from None


def _readable(certificates: tuple[bytes, ...]) -> list[x509.Certificate]:
    """Others' certificates in the token: one that cannot be read is no reason not to sign."""
    parsed: list[x509.Certificate] = []
    for der in certificates:
        with contextlib.suppress(ValueError):
            parsed.append(x509.load_der_x509_certificate(der))
    return parsed


def _from_file(address: Pkcs11Address) -> list[x509.Certificate]:
    assert address.certificate is not None
    try:
        content = address.certificate.read_bytes()
        if b"-----BEGIN " in content:
            return x509.load_pem_x509_certificates(content)
        return [x509.load_der_x509_certificate(content)]
    except (OSError, ValueError):
        raise CredentialError(
            f"the certificate file {address.certificate} cannot be read",
            remedy="it is to hold one DER certificate, or the key's certificate and those above it as PEM",
        ) from None


def _open(parts: SplitResult) -> Pkcs11Credential:
    return Pkcs11Credential.load(Pkcs11Address.parse(parts))


register_scheme("pkcs11", _open)
