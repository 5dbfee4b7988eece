"""What a key must offer, wherever it lies, and the registry that opens one by its URI."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol
from urllib.parse import SplitResult, urlsplit

from asn1crypto import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_der_x509_certificate

from signing.algorithms import Mechanism, mechanism_for
from signing.errors import CredentialError

__all__ = ["Credential", "SignerIdentity", "open_credential", "register_scheme"]


@dataclass(frozen=True)
class SignerIdentity:
    """Who signs: the certificate, the certificates above it, and the mechanism its key uses. No secret."""

    certificate: bytes
    """DER."""
    chain: tuple[bytes, ...]
    """Certificates above it, DER; intermediates first, the root may be among them."""
    mechanism: Mechanism
    _parsed: list[x509.Certificate] = field(default_factory=list, init=False, repr=False, compare=False)

    @property
    def parsed(self) -> x509.Certificate:
        if not self._parsed:
            self._parsed.append(x509.Certificate.load(self.certificate))
        return self._parsed[0]

    @property
    def subject(self) -> str:
        """Common name of the subject, or the whole name where there is none."""
        return common_name(self.parsed.subject)

    @property
    def issuer(self) -> str:
        """Common name of the issuer, or the whole name where there is none."""
        return common_name(self.parsed.issuer)

    @property
    def certificate_sha256(self) -> str:
        """SHA-256 of the certificate's DER, in hex."""
        return hashlib.sha256(self.certificate).hexdigest()

    @classmethod
    def from_certificates(cls, certificates: Sequence[bytes]) -> SignerIdentity:
        """The identity of the first of these certificates (DER); the others are those above it.

        Raises `CredentialError` for what is no certificate, or one whose key we would not sign with.
        """
        try:
            key = load_der_x509_certificate(certificates[0]).public_key()
            chain = tuple(load_der_x509_certificate(c).public_bytes(Encoding.DER) for c in certificates[1:])
        except (ValueError, IndexError, UnsupportedAlgorithm):
            raise CredentialError(
                "the certificates cannot be read", remedy="send the signer's certificate first, as DER"
            ) from None
        return cls(certificates[0], chain, mechanism_for(key))

    def check_validity(self, at: datetime) -> None:
        """Raises `CredentialError` when the certificate is not valid at that time."""
        if at < self.parsed.not_valid_before:
            raise CredentialError("the certificate is not valid yet")
        if at > self.parsed.not_valid_after:
            raise CredentialError(
                f"the certificate expired {self.parsed.not_valid_after:%Y-%m-%d}",
                remedy="take a renewed certificate into use",
            )


class Credential(Protocol):
    """A key that signs. The private part stays where it is."""

    @property
    def identity(self) -> SignerIdentity: ...

    def sign(self, data: bytes) -> bytes:
        """The signature value over `data` by the identity's mechanism. Raises `CredentialError`."""
        ...


def common_name(name: x509.Name) -> str:
    """Common name of an X.509 name; all of it where it has none."""
    value = name.native.get("common_name", "")
    if isinstance(value, list):
        value = value[-1]
    return str(value or name.human_friendly)


_Opener = Callable[[SplitResult], Credential]
_SCHEMES: Final[dict[str, _Opener]] = {}


def register_scheme(scheme: str, opener: _Opener) -> None:
    """Let `open_credential` know another place for keys."""
    _SCHEMES[scheme] = opener


def open_credential(uri: str) -> Credential:
    """Open the key a URI points to, e.g. `pkcs12:/run/secrets/seal.p12?passphrase-file=/run/secrets/seal.pass`.

    The key is loaded once. Raises `CredentialError`; secrets are never part of its text.
    """
    parts = urlsplit(uri)
    opener = _SCHEMES.get(parts.scheme)
    if opener is None:
        known = ", ".join(f"{name}:" for name in sorted(_SCHEMES))
        raise CredentialError(
            f"no kind of key is known by the scheme {parts.scheme or '(none)'!r}",
            remedy=f"use one of {known}",
        )
    return opener(parts)
