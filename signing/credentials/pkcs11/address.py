"""Addresses of keys in HSMs: the `pkcs11` URI scheme (RFC 7512), the parts of it that name one key for signing.

pkcs11:token=Signert;object=seal;id=%01?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/run/secrets/pin
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, unquote, unquote_to_bytes

from signing.errors import CredentialError

__all__ = ["Pkcs11Address"]

_PATH: Final = frozenset({"token", "serial", "manufacturer", "model", "slot-id", "object", "id", "type"})
_QUERY: Final = frozenset({"module-path", "pin-source", "certificate"})
_BROKEN_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True)
class Pkcs11Address:
    """Which key, in which token, by which module. What is None is not compared. Holds no PIN."""

    module: Path
    """The PKCS#11 library of the HSM, a shared object."""
    token: str | None = None
    """CKA_LABEL of the token."""
    serial: str | None = None
    manufacturer: str | None = None
    model: str | None = None
    slot: int | None = None
    label: str | None = None
    """CKA_LABEL of the key."""
    id: bytes | None = None
    """CKA_ID of the key."""
    pin_file: Path | None = None
    certificate: Path | None = None
    """PEM or DER file with the certificate and those above it, where the token holds none."""

    @property
    def key_name(self) -> str:
        """The key in words, as the address names it."""
        if self.label is not None:
            return f"the key {self.label!r} in {self.token_name}"
        return f"the key with id {(self.id or b'').hex()} in {self.token_name}"

    @property
    def token_name(self) -> str:
        """The token in words, as the address names it."""
        if self.token is not None:
            return f"the token {self.token!r}"
        if self.serial is not None:
            return f"the token with serial number {self.serial!r}"
        return "the token" if self.slot is None else f"the token in slot {self.slot}"

    @classmethod
    def parse(cls, parts: SplitResult) -> Pkcs11Address:
        """Raises `CredentialError`, never with a value of an option it does not know."""
        if parts.netloc or parts.fragment:
            raise CredentialError(
                "a pkcs11: address has neither a host nor a fragment",
                remedy="write pkcs11:token=…;object=…?module-path=… and percent-encode # as %23",
            )
        path = _attributes(parts.path, ";", _PATH)
        query = _attributes(parts.query, "&", _QUERY)
        if path.get("type", "private") != "private":
            raise CredentialError("a pkcs11: address names a private key", remedy="leave type out")
        if "object" not in path and "id" not in path:
            raise CredentialError(
                "a pkcs11: address names the key", remedy="add object=<label> or id=<CKA_ID, percent-encoded>"
            )
        if "module-path" not in query:
            raise CredentialError(
                "a pkcs11: address names the HSM's library",
                remedy="add module-path=, e.g. ?module-path=/usr/lib/softhsm/libsofthsm2.so",
            )
        slot = _text("slot-id", path)
        if slot is not None and not (slot.isascii() and slot.isdigit()):
            raise CredentialError("slot-id in a pkcs11: address is not a number")
        pin_source, certificate = _text("pin-source", query), _text("certificate", query)
        return cls(
            module=_file("module-path", _text("module-path", query) or ""),
            token=_text("token", path),
            serial=_text("serial", path),
            manufacturer=_text("manufacturer", path),
            model=_text("model", path),
            slot=None if slot is None else int(slot),
            label=_text("object", path),
            id=unquote_to_bytes(path["id"]) if "id" in path else None,
            pin_file=None if pin_source is None else _file("pin-source", pin_source),
            certificate=None if certificate is None else _file("certificate", certificate),
        )


def _attributes(text: str, separator: str, known: frozenset[str]) -> dict[str, str]:
    """Names and still percent-encoded values. A + is a plus: this is no form (RFC 7512 § 2.3)."""
    found: dict[str, str] = {}
    for item in text.split(separator) if text else ():
        name, equals, value = item.partition("=")
        if name == "pin-value":
            raise CredentialError(
                "a pkcs11: address does not hold the PIN itself",
                remedy="put the PIN in a file and name it: pin-source=/run/secrets/pin",
            )
        if not equals or name not in known:
            # What has no = may be a piece of a value that was not encoded; it is not repeated.
            what = f"the attribute {name!r}" if equals else "an attribute without ="
            raise CredentialError(
                f"{what} is not known in this part of a pkcs11: address",
                remedy=f"known are {', '.join(sorted(known))}; other characters are percent-encoded",
            )
        if name in found:
            raise CredentialError(f"the attribute {name!r} stands twice in a pkcs11: address")
        if not value or _BROKEN_PERCENT.search(value):
            raise CredentialError(
                f"the value of {name!r} in a pkcs11: address is empty or not percent-encoded"
            )
        found[name] = value
    return found


def _text(name: str, attributes: dict[str, str]) -> str | None:
    if name not in attributes:
        return None
    try:
        value = unquote(attributes[name], errors="strict")
    except UnicodeDecodeError:
        raise CredentialError(f"the value of {name!r} in a pkcs11: address is not UTF-8") from None
    if not value.isprintable():
        raise CredentialError(f"the value of {name!r} in a pkcs11: address has control characters")
    return value


def _file(name: str, value: str) -> Path:
    """A path, or a file: URI of this machine; RFC 7512 also has programs to run (`|…`), which are refused."""
    if value.startswith("file:"):
        value = value.removeprefix("file:")
        if value.startswith("//"):
            value = value.removeprefix("//").removeprefix("localhost")
    path = Path(value)
    if not path.is_absolute() or value.startswith("//"):
        raise CredentialError(
            f"{name} in a pkcs11: address is not the whole path of a file",
            remedy=f"write {name}=/path/to/file or {name}=file:/path/to/file",
        )
    return path
