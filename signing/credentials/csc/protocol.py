"""What is said to a remote signing service: CSC API v1.0.4.0 and v2.0.0.2, clause 11, and where the two differ."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from asn1crypto import algos

from signing.algorithms import Mechanism
from signing.credentials.csc.channel import Channel, Unauthorized
from signing.credentials.csc.config import CscConfig
from signing.errors import AuthorizationRefused, CredentialError

__all__ = [
    "ActivationData",
    "CredentialState",
    "CscService",
    "digest_size",
    "expiry",
    "hash_oid",
    "list_of",
    "text_of",
]

DEFAULT_LIFETIME: Final = 3600
"""Seconds a SAD or token lasts when the answer does not say (11.6; v2, 8.4.4)."""


@dataclass(frozen=True)
class ActivationData:
    """Signature Activation Data: leave to sign just these hashes, until then."""

    value: str = field(repr=False)
    hashes: tuple[bytes, ...]
    expires_at: datetime
    is_token: bool = False
    """It is an access token of scope `credential`, given after a person approved."""


@dataclass(frozen=True)
class CredentialState:
    """The answer of `credentials/info` (11.5)."""

    certificates: tuple[bytes, ...]
    """DER, in the order they came."""
    enabled: bool
    certificate_status: str
    """valid, expired, revoked or suspended; empty when the service does not say."""
    algorithms: frozenset[str]
    """OIDs the key may be used with."""
    key_bits: int | None
    curve: str | None
    """OID of the curve."""
    mode: str
    """implicit, explicit or oauth2code."""
    most_signatures: int
    """Signatures in one authorisation."""
    pin_id: str | None
    """Name of the password to give (v2, 8.3.1), PIN in v1; None where none is asked for."""
    challenge: bool
    """A one-time password or the like is demanded."""


class CscService:
    """The methods used of one service, for one credential. `tokens(stale)` gives an access token or None."""

    def __init__(
        self,
        config: CscConfig,
        channel: Channel,
        tokens: Callable[[str | None], str | None],
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._config = config
        self._channel = channel
        self._tokens = tokens
        self._clock = clock
        self._info: dict[str, Any] | None = None

    def info(self) -> dict[str, Any]:
        """What the service says of itself (11.1); asked once."""
        if self._info is None:
            answer = self._channel.read(f"{self._config.service}/info", body={})
            text_of(answer, "specs")
            self._info = answer
        return self._info

    @property
    def version(self) -> int:
        """1 or 2. Raises `CredentialError` for a service of another version."""
        if self._config.version:
            return self._config.version
        specs = text_of(self.info(), "specs")
        major = specs.split(".")[0]
        if major not in ("1", "2"):
            raise CredentialError("the signing service's version of the CSC API is not one known here")
        return int(major)

    def credential(self) -> CredentialState:
        """State of the credential (11.5)."""
        answer = self._with_token(
            self._channel.read,
            "credentials/info",
            {"certificates": "chain", "certInfo": False, "authInfo": True},
        )
        return _state(answer, self.version)

    def authorize(
        self, hashes: Sequence[bytes], mechanism: Mechanism, state: CredentialState
    ) -> ActivationData:
        """Have these hashes authorised (11.6), with the PIN when the credential asks for one."""
        body: dict[str, Any] = {"numSignatures": len(hashes)}
        encoded = [_base64(value) for value in hashes]
        if self.version == 1:
            body["hash"] = encoded
        else:
            body |= {"hashes": encoded, "hashAlgorithmOID": hash_oid(mechanism)}
        if state.mode == "explicit" and state.pin_id:
            if self._config.pin is None:
                raise CredentialError("the credential demands a PIN", remedy="name its file as pin-file")
            pin = self._config.pin.read()
            body |= {"PIN": pin} if self.version == 1 else {"authData": [{"id": state.pin_id, "value": pin}]}
        asked = self._clock()
        answer = self._with_token(self._channel.post, "credentials/authorize", body)
        if "SAD" not in answer and "handle" in answer:
            raise CredentialError(
                "the credential is authorised by someone later, which is not done unattended"
            )
        return ActivationData(text_of(answer, "SAD"), tuple(hashes), expiry(asked, answer.get("expiresIn")))

    def sign_hash(self, hashes: Sequence[bytes], mechanism: Mechanism, sad: ActivationData) -> list[bytes]:
        """Signature values, one for each hash in that order (v1, 11.9; v2, 11.10)."""
        identifier = mechanism.identifier()
        body: dict[str, Any] = {"signAlgo": identifier["algorithm"].dotted}
        if mechanism.is_rsa:
            body["signAlgoParams"] = _base64(identifier["parameters"].dump())
        encoded = [_base64(value) for value in hashes]
        if self.version == 1:
            body |= {"hash": encoded, "hashAlgo": hash_oid(mechanism), "SAD": sad.value}
        else:
            body |= {"hashes": encoded, "hashAlgorithmOID": hash_oid(mechanism), "operationMode": "S"}
        if self.version == 2 and sad.is_token:
            # A token of scope `credential` goes in the header and takes the place of both.
            url = f"{self._config.service}/signatures/signHash"
            body["credentialID"] = self._config.credential
            try:
                answer = self._channel.post(url, body=body, headers=_bearer(sad.value))
            except Unauthorized as error:
                raise AuthorizationRefused(
                    f"the approval is not accepted: {error}",
                    remedy="it was used or has ended: ask for it again",
                ) from None
        else:
            body["SAD"] = sad.value
            answer = self._with_token(self._channel.post, "signatures/signHash", body)
        values = [_unbase64(item, "signatures") for item in list_of(answer, "signatures")]
        if len(values) != len(hashes):
            raise CredentialError(
                f"the signing service gave {len(values)} signatures for {len(hashes)} hashes"
            )
        return values

    def _with_token(
        self, ask: Callable[..., dict[str, Any]], method: str, body: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Ask with the access token; when it is not accepted, once more with a new one: nothing was done yet."""
        url = f"{self._config.service}/{method}"
        body = {"credentialID": self._config.credential, **body}
        token = self._tokens(None)
        if token is None:
            return ask(url, body=body)
        try:
            return ask(url, body=body, headers=_bearer(token))
        except Unauthorized:
            renewed = self._tokens(token)
        return ask(url, body=body, headers=_bearer(renewed or token))


def hash_oid(mechanism: Mechanism) -> str:
    """Object identifier of the mechanism's digest."""
    return str(algos.DigestAlgorithmId(mechanism.digest_algorithm).dotted)


def expiry(asked: datetime, lifetime: object) -> datetime:
    """When something ends that was asked for at `asked` and lasts so many seconds."""
    if lifetime is None:
        lifetime = DEFAULT_LIFETIME
    if isinstance(lifetime, str) and lifetime.isdecimal() and len(lifetime) < 12:
        lifetime = int(lifetime)
    if isinstance(lifetime, bool) or not isinstance(lifetime, int) or lifetime < 0:
        raise _malformed("a lifetime")
    return asked + timedelta(seconds=min(lifetime, 366 * 86_400))


def text_of(answer: Mapping[str, Any], name: str) -> str:
    """A text of the answer. Raises `CredentialError` when it is missing or empty."""
    value = answer.get(name)
    if not isinstance(value, str) or not value:
        raise _malformed(name)
    return value


def list_of(answer: Mapping[str, Any], name: str) -> list[str]:
    """A list of texts. Raises `CredentialError`."""
    value = answer.get(name)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _malformed(name)
    return value


def _malformed(name: str) -> CredentialError:
    return CredentialError(f"the signing service's answer lacks {name}, or it is not of the right kind")


def _table(answer: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = answer.get(name)
    if not isinstance(value, Mapping):
        raise _malformed(name)
    return value


def _state(answer: Mapping[str, Any], version: int) -> CredentialState:
    key, cert = _table(answer, "key"), _table(answer, "cert")
    most = answer.get("multisign")
    if isinstance(most, bool) or not isinstance(most, int) or most < 1:
        raise _malformed("multisign")
    bits, curve, status = key.get("len"), key.get("curve"), cert.get("status")
    mode = text_of(answer, "authMode") if version == 1 else text_of(_table(answer, "auth"), "mode")
    pin_id, challenge = _wanted(answer, version) if mode == "explicit" else (None, False)
    return CredentialState(
        certificates=tuple(_unbase64(item, "certificates") for item in list_of(cert, "certificates")),
        enabled=text_of(key, "status") == "enabled",
        certificate_status=status if isinstance(status, str) else "",
        algorithms=frozenset(list_of(key, "algo")),
        key_bits=bits if isinstance(bits, int) and not isinstance(bits, bool) else None,
        curve=curve if isinstance(curve, str) else None,
        mode=mode,
        most_signatures=most,
        pin_id=pin_id,
        challenge=challenge,
    )


def _wanted(answer: Mapping[str, Any], version: int) -> tuple[str | None, bool]:
    """The password's name, and whether something else is demanded that cannot be given unattended."""
    if version == 1:
        pin, otp = (answer.get(name) for name in ("PIN", "OTP"))
        return (
            "PIN" if isinstance(pin, Mapping) and pin.get("presence") in ("true", True) else None,
            isinstance(otp, Mapping) and otp.get("presence") in ("true", True),
        )
    objects = _table(answer, "auth").get("objects", [])
    if not isinstance(objects, list) or not all(isinstance(item, Mapping) for item in objects):
        raise _malformed("auth.objects")
    passwords = [text_of(item, "id") for item in objects if item.get("type") == "Password"]
    others = len(objects) - len(passwords)
    # `expression` (8.3.1) says how they go together; alone or as an alternative, the password is enough.
    expression = _table(answer, "auth").get("expression")
    either = isinstance(expression, str) and " AND " not in expression.upper() and bool(passwords)
    return (passwords[0] if passwords else None, (others > 0 or len(passwords) > 1) and not either)


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _unbase64(value: str, name: str) -> bytes:
    try:
        return base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError):
        raise _malformed(name) from None


def digest_size(mechanism: Mechanism) -> int:
    """Bytes of a hash under the mechanism."""
    return hashlib.new(mechanism.digest_algorithm).digest_size
