"""Keys in PKCS#12 files (RFC 7292), unlocked once when opened."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import SplitResult, parse_qs, unquote

from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, pkcs12

from signing.algorithms import mechanism_for, sign_raw
from signing.credentials.base import SignerIdentity, register_scheme
from signing.errors import CredentialError

__all__ = ["Pkcs12Credential"]

_OPTIONS = {"passphrase-file"}


class Pkcs12Credential:
    """A key and its certificates out of a PKCS#12 file."""

    def __init__(self, key: PrivateKeyTypes, identity: SignerIdentity) -> None:
        self._key = key
        self._identity = identity

    @property
    def identity(self) -> SignerIdentity:
        return self._identity

    def sign(self, data: bytes) -> bytes:
        return sign_raw(self._key, self._identity.mechanism, data)

    def __repr__(self) -> str:
        return f"Pkcs12Credential({self._identity.mechanism.value})"

    @classmethod
    def load(cls, path: Path, passphrase: str | None) -> Pkcs12Credential:
        """Unlock the file. Raises `CredentialError` when it is missing, locked, empty or of a refused kind."""
        try:
            content = path.read_bytes()
        except OSError as error:
            raise CredentialError(
                f"the key file {path} cannot be read ({error.strerror})",
                remedy="check the path and its rights",
            ) from None
        try:
            opened = pkcs12.load_pkcs12(content, passphrase.encode() if passphrase else None)
        except ValueError:
            # The library's own text may tell of the content: it is not passed on.
            raise CredentialError(
                f"the key file {path} could not be unlocked",
                remedy="check the passphrase and that it is PKCS#12",
            ) from None
        if opened.key is None or opened.cert is None:
            raise CredentialError(f"the key file {path} lacks a private key or its certificate")
        certificate = opened.cert.certificate
        spki = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        if certificate.public_key().public_bytes(*spki) != opened.key.public_key().public_bytes(*spki):
            raise CredentialError(f"the certificate in {path} is not for the key beside it")
        algorithm = certificate.signature_hash_algorithm
        if algorithm is not None and algorithm.name in ("md5", "sha1"):
            raise CredentialError(f"the certificate in {path} is signed with {algorithm.name}")
        above = {
            item.certificate.subject.public_bytes(): item.certificate for item in opened.additional_certs
        }
        chain: list[bytes] = []
        current = certificate
        while (issuer := above.pop(current.issuer.public_bytes(), None)) is not None:
            chain.append(issuer.public_bytes(Encoding.DER))
            current = issuer
        return cls(
            opened.key,
            SignerIdentity(
                certificate=certificate.public_bytes(Encoding.DER),
                chain=tuple(chain),
                mechanism=mechanism_for(opened.key),
            ),
        )


def _open(parts: SplitResult) -> Pkcs12Credential:
    options = parse_qs(parts.query, keep_blank_values=True)
    unknown = set(options) - _OPTIONS
    if unknown:
        raise CredentialError(
            f"a pkcs12: address has no option {sorted(unknown)[0]!r}",
            remedy="the one option is passphrase-file",
        )
    passphrase = None
    if "passphrase-file" in options:
        secret = Path(options["passphrase-file"][-1])
        try:
            passphrase = secret.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError):
            raise CredentialError(f"the passphrase file {secret} cannot be read") from None
    path = unquote(parts.path)
    if not path:
        raise CredentialError("a pkcs12: address needs a path", remedy="write pkcs12:/path/to/file.p12")
    return Pkcs12Credential.load(Path(path), passphrase)


register_scheme("pkcs12", _open)
