"""One private key in a token, and the calls that sign with it. Needs the extra `pkcs11`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final

import pkcs11
from pkcs11 import Attribute, ObjectClass, exceptions
from pkcs11 import Mechanism as Call
from pkcs11.types import PrivateKey, SignMixin

from signing.algorithms import Mechanism
from signing.credentials.pkcs11.address import Pkcs11Address
from signing.credentials.pkcs11.module import Module, module_at
from signing.errors import CredentialError

__all__ = ["TokenKey"]

_PSS: Final[dict[str, tuple[Call, Call, Any]]] = {
    "sha256": (
        Call.RSA_PKCS_PSS,
        Call.SHA256_RSA_PKCS_PSS,
        (Call.SHA256, pkcs11.MGF.SHA256, 32),
    ),
    "sha384": (
        Call.RSA_PKCS_PSS,
        Call.SHA384_RSA_PKCS_PSS,
        (Call.SHA384, pkcs11.MGF.SHA384, 48),
    ),
    "sha512": (
        Call.RSA_PKCS_PSS,
        Call.SHA512_RSA_PKCS_PSS,
        (Call.SHA512, pkcs11.MGF.SHA512, 64),
    ),
}
_ECDSA: Final[dict[str, tuple[Call, Call, Any]]] = {
    "sha256": (Call.ECDSA, Call.ECDSA_SHA256, None),
    "sha384": (Call.ECDSA, Call.ECDSA_SHA384, None),
}
"""By digest: the call that takes a digest, the one that takes the bytes themselves, and their parameter."""


@dataclass(frozen=True)
class _Found:
    """A key as one session sees it."""

    session: pkcs11.Session
    key: SignMixin
    key_id: bytes
    mechanisms: frozenset[Call | int]
    asks_each_time: bool
    """CKA_ALWAYS_AUTHENTICATE: the PIN is wanted for every signature, as on smart cards."""


class TokenKey:
    """A private key in a token. Found again in a new session when the old one is lost."""

    def __init__(self, address: Pkcs11Address) -> None:
        self._address = address
        self._found: _Found | None = None

    def certificates(self) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
        """X.509 certificates in the token, DER: those with the key's CKA_ID, and the others."""
        module = module_at(self._address.module)
        return module.run(self._address, lambda: _certificates(self._find(module)))

    def sign(self, mechanism: Mechanism, data: bytes) -> bytes:
        """The signature value as the token gives it (ECDSA: r and s side by side).

        Raises `CredentialError`, and `CredentialUnavailable` for what may pass.
        """
        module = module_at(self._address.module)
        return module.run(self._address, lambda: self._sign(module, mechanism, data))

    def _sign(self, module: Module, mechanism: Mechanism, data: bytes) -> bytes:
        found = self._find(module)
        digest = mechanism.digest_algorithm
        on_digest, on_data, parameter = (_PSS if mechanism.is_rsa else _ECDSA)[digest]
        if found.key.key_type is not (pkcs11.KeyType.RSA if mechanism.is_rsa else pkcs11.KeyType.EC):
            raise CredentialError(f"the certificate is not for {self._address.key_name}")
        if on_digest in found.mechanisms:
            call, content = on_digest, hashlib.new(digest, data).digest()
        elif on_data in found.mechanisms:
            call, content = on_data, data
        else:
            raise CredentialError(f"{self._address.token_name} does not make {mechanism.value} signatures")
        if not found.asks_each_time:
            return found.key.sign(content, mechanism=call, mechanism_param=parameter)
        token = found.session.token.slot.get_token()  # asked again: its flags tell how many tries are left
        with module.pin_for(token, self._address) as pin:
            return found.key.sign(content, mechanism=call, mechanism_param=parameter, pin=pin)

    def _find(self, module: Module) -> _Found:
        if self._found is None or not module.keeps(self._found.session):
            self._found = self._search(*module.session(self._address))
        return self._found

    def _search(self, session: pkcs11.Session, fresh: bool) -> _Found:
        wanted: dict[Attribute, Any] = {Attribute.CLASS: ObjectClass.PRIVATE_KEY}
        if self._address.label is not None:
            wanted[Attribute.LABEL] = self._address.label
        if self._address.id is not None:
            wanted[Attribute.ID] = self._address.id
        keys = list(session.get_objects(wanted))
        name = self._address.key_name
        if not keys and not fresh:
            raise exceptions.UserNotLoggedIn  # who is logged out sees no private keys: look again in a new session
        if not keys:
            raise CredentialError(
                f"{name} is not there",
                remedy="compare the address with `pkcs11-tool --list-objects --login`; the PIN's user must see the key",
            )
        if len(keys) > 1:
            raise CredentialError(
                f"there are {len(keys)} private keys that could be {name}", remedy="tell them apart by id="
            )
        (key,) = keys
        if not isinstance(key, PrivateKey) or not isinstance(key, SignMixin):
            raise CredentialError(f"{name} may not sign (CKA_SIGN)")
        return _Found(
            session,
            key,
            bytes(_attribute(key, Attribute.ID) or b""),
            frozenset(session.token.slot.get_mechanisms()),
            bool(_attribute(key, Attribute.ALWAYS_AUTHENTICATE)),
        )


def _certificates(found: _Found) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    own: list[bytes] = []
    others: list[bytes] = []
    for item in list(found.session.get_objects({Attribute.CLASS: ObjectClass.CERTIFICATE})):
        if _attribute(item, Attribute.CERTIFICATE_TYPE) != pkcs11.CertificateType.X_509:
            continue
        if content := _attribute(item, Attribute.VALUE):
            belongs = found.key_id and _attribute(item, Attribute.ID) == found.key_id
            (own if belongs else others).append(bytes(content))
    return tuple(own), tuple(others)


def _attribute(item: pkcs11.Object, attribute: Attribute) -> Any:
    """None where the token does not know that attribute or keeps it to itself."""
    try:
        return item[attribute]
    except (exceptions.AttributeTypeInvalid, exceptions.AttributeSensitive):
        return None
