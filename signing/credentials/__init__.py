"""Where keys live: a URI scheme for each kind of place. Today `csc:`, `pkcs11:` and `pkcs12:`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificates

from signing.credentials.base import Credential, SignerIdentity, open_credential, register_scheme
from signing.credentials.csc import CscCredential
from signing.credentials.pkcs11 import Pkcs11Credential
from signing.credentials.pkcs12 import Pkcs12Credential
from signing.errors import CredentialError

__all__ = [
    "Credential",
    "CscCredential",
    "Pkcs11Credential",
    "Pkcs12Credential",
    "SignerIdentity",
    "is_at_hand",
    "load_certificates",
    "open_credential",
    "register_scheme",
    "scheme_of",
]

_SCHEMES: Final[Mapping[type, str]] = {
    CscCredential: "csc",
    Pkcs11Credential: "pkcs11",
    Pkcs12Credential: "pkcs12",
}


def scheme_of(credential: Credential) -> str:
    """The scheme of the address that opens such a key: `csc`, `pkcs11` or `pkcs12`."""
    return next(scheme for kind, scheme in _SCHEMES.items() if isinstance(credential, kind))


def is_at_hand(credential: Credential) -> bool:
    """Whether the key lies in this process, so that a signature costs nobody anything."""
    return isinstance(credential, Pkcs12Credential)


def load_certificates(path: Path) -> list[bytes]:
    """The certificates of a PEM file, as DER. Raises `CredentialError`."""
    try:
        return [c.public_bytes(Encoding.DER) for c in load_pem_x509_certificates(path.read_bytes())]
    except (OSError, ValueError):
        raise CredentialError(
            f"{path} holds no certificates that can be read", remedy="give a file in PEM form"
        ) from None
