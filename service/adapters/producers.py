"""Commands signed by case systems: the producers' public keys, and the check of one signature.

    keys = ProducerKeys.load(Path("producers.json"))
    sender = keys.identify("submit", command, signature, now=clock.now())

**The message.** A signed command travels as two keyword arguments, `{"command": {…}, "signature": "…"}`. The
signature is a JWS in compact form (RFC 7515 §7.1), at most 8192 characters, whose payload is a JWT claims set
(RFC 7519). The command is not inside it: the claims hold its hash.

Header, these members and no others:

    alg     ES256, ES384, EdDSA (Ed25519 only), PS256, PS384 or RS256; the one that the key is for
    kid     which of the producer's keys
    typ     may be left out, else "signert-command+jwt" (RFC 8725 §3.11) or "JWT"

Claims, all of these and no others, since `exp`, `nbf` or `aud` would have to be kept (RFC 7519 §4.1):

    iss     the producer's name in the service's configuration
    iat     when it was signed: seconds since 1970-01-01T00:00:00Z, at most 60 seconds ahead of the service's clock
    jti     the command's `command_id`, spelt as in the command
    sub     the command's name: the task's name without `signert.v1.`, e.g. "submit"
    sha256  SHA-256 of the `command` object's canonical bytes (RFC 8785), 64 lower-case hex digits

RFC 8785 sorts names by UTF-16 code units, writes numbers as ECMAScript does (80.0 is 80; whole numbers are below
2**53) and changes no text: no Unicode normalisation, no trimming. ECDSA signatures are R and S side by side, 64 or
96 bytes, not DER (RFC 7518 §3.4). PSS salts are as long as the hash (§3.5). base64url is without padding, and
unused bits are zero, so that one signature has one spelling (RFC 7515 §2). No name stands twice in an object (§4).

**The configuration** is a JSON file of public keys, JWK sets by producer (RFC 7517). Every member is shown:

    {"producers": {"arena": {"case_systems": ["arena"], "keys": {"keys": [
        {"kty": "EC", "crv": "P-256", "x": "…", "y": "…", "kid": "2026-1", "alg": "ES256", "use": "sig"},
        {"kty": "OKP", "crv": "Ed25519", "x": "…", "kid": "2026-2", "key_ops": ["verify"]},
        {"kty": "RSA", "n": "…", "e": "AQAB", "kid": "2026-3", "alg": "PS256"}]}}}}

`alg`, `use` and `key_ops` may be left out, but for `alg` of an RSA key: a key has one algorithm (RFC 8725 §3.1).
RSA keys have 2048 bits or more. Several keys let a producer roll over: add the new one, change the producer, remove
the old one. A key stands in the file once. Keys come from this file alone: no certificates, no `jku`, `x5u`, `jwk`
(RFC 8725 §3.10). No claim names the receiver, so use other keys for another environment.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import jwt
import rfc8785

from service.domain.sender import Sender
from service.errors import CommandRejected, ConfigurationError, FieldError

__all__ = ["MAX_AHEAD", "MAX_SIGNATURE", "ProducerKeys", "sign_command"]

MAX_SIGNATURE: Final = 8192
"""Characters; a JWS of an RSA-4096 key is about 1200."""
MAX_AHEAD: Final = timedelta(seconds=60)
"""How far a producer's clock may be ahead of ours."""

_TYPE: Final = "signert-command+jwt"
_CLAIMS: Final = frozenset({"iss", "iat", "jti", "sub", "sha256"})
_END_OF_TIME: Final = datetime(9999, 12, 31, tzinfo=UTC).timestamp()
_NAME: Final = re.compile(r"[a-z0-9-]{1,40}")  # as `case.system` in the agreement

_KINDS: Final[Mapping[str, tuple[Set[str], tuple[str, ...]]]] = {  # kty and crv: members, algorithms
    "EC P-256": ({"crv", "x", "y"}, ("ES256",)),
    "EC P-384": ({"crv", "x", "y"}, ("ES384",)),
    "OKP Ed25519": ({"crv", "x"}, ("EdDSA",)),
    "RSA": ({"n", "e"}, ("PS256", "PS384", "RS256")),
}
_ACCEPTED: Final = frozenset(name for _, names in _KINDS.values() for name in names)
_SECRET: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})  # RFC 7518 §6
_MIN_RSA_BITS: Final = 2048

_JWS: Final = jwt.PyJWS(algorithms=sorted(_ACCEPTED))

_REFUSALS: Final[Mapping[str, tuple[str, str]]] = {
    "signature_malformed": (
        "the signature cannot be read",
        f"Send a compact JWS of at most {MAX_SIGNATURE} characters.",
    ),
    "algorithm_refused": (
        "the signature's algorithm is not accepted, or is not that of the key it names",
        "Sign with the algorithm that the key is registered for: ES256, ES384, EdDSA, PS256, PS384 or RS256.",
    ),
    "producer_unknown": (
        "the signature is by a producer that is not registered",
        "Send the registered name as iss, or have the producer registered.",
    ),
    "key_unknown": (
        "the signature names a key that is not registered for its producer",
        "Sign with a registered key, or have the new public key registered first.",
    ),
    "signature_invalid": (
        "the signature does not verify with the key it names",
        "Sign with the private key that belongs to kid, and send the signature as it was made.",
    ),
    "signature_for_another": (
        "the signature is for another command",
        "Sign each command: sub is its name, jti its command_id, sha256 the hash of its RFC 8785 bytes.",
    ),
    "signature_in_future": (
        "the signature was made in the future",
        "Set the producer's clock right: iat may be at most 60 seconds ahead.",
    ),
}


@dataclass(frozen=True)
class _Producer:
    case_systems: frozenset[str]
    keys: Mapping[str, jwt.PyJWK]


class ProducerKeys:
    """The producers that may send, and their public keys by `kid`."""

    def __init__(self, producers: Mapping[str, _Producer]) -> None:
        self._producers = producers

    @classmethod
    def load(cls, path: Path) -> ProducerKeys:
        """The producers in the file. Raises `ConfigurationError` that names the place of each fault."""
        faults: list[str] = []
        producers: dict[str, _Producer] = {}
        with _noted(faults):
            table = _object(_object(_read(path), "the file", {"producers"})["producers"], "producers")
            if not table:
                raise _Fault("producers", "must name at least one")
            places: dict[tuple[Any, ...], str] = {}
            for name, entry in table.items():
                with _noted(faults):
                    producers[name] = _producer(name, entry, places, faults)
        if faults:
            raise _unusable(path, "; ".join(faults))
        return cls(producers)

    def identify(
        self, name: str, payload: Mapping[str, object], signature: object, *, now: datetime
    ) -> Sender:
        """Who signed the command `name` with this payload. `signature` is what came in the message.

        How old a signature may be is for the caller to judge by `issued_at`. Raises `CommandRejected` with one
        error at `signature`, whose code is the refusal's: `signature_malformed`, `algorithm_refused`,
        `producer_unknown`, `key_unknown`, `signature_invalid`, `signature_for_another`, `signature_in_future`.
        """
        token, header, claims = _parse(signature)
        if header["alg"] not in _ACCEPTED:
            raise _refused("algorithm_refused")
        producer = self._producers.get(claims["iss"])
        if producer is None:
            raise _refused("producer_unknown")
        key = producer.keys.get(header["kid"])
        if key is None:
            raise _refused("key_unknown")
        if key.algorithm_name != header["alg"]:
            raise _refused("algorithm_refused")
        try:
            _JWS.decode(token, key, algorithms=[key.algorithm_name])
        except (jwt.PyJWTError, ValueError):
            raise _refused("signature_invalid") from None
        command = (
            name,
            payload.get("command_id") if isinstance(payload, Mapping) else None,
            _digest(payload),
        )
        if (claims["sub"], claims["jti"], claims["sha256"]) != command:
            raise _refused("signature_for_another")
        issued_at = datetime.fromtimestamp(claims["iat"], UTC)
        if issued_at > now + MAX_AHEAD:
            raise _refused("signature_in_future")
        return Sender(claims["iss"], producer.case_systems, issued_at)


def sign_command(name: str, payload: Mapping[str, object], *, producer: str, key: Path, at: datetime) -> str:
    """The signature of a command, as a producer makes it. `key` is a file with one private JWK.

    Raises `ConfigurationError` when the key cannot be used, `CommandRejected` when the command has no canonical
    form. RS256 is not made: the PKCS#1 v1.5 padding is accepted from others only.
    """
    try:
        private = _key(_read(key), "the key", private=True)
        if private.algorithm_name == "RS256":
            raise _Fault("the key.alg", "PS256 or PS384 is used with RSA keys")
    except _Fault as fault:
        raise _unusable(key, str(fault)) from None
    digest = _digest(payload)
    if digest is None:
        raise CommandRejected(
            "the command is not JSON that every system reads the same",
            [FieldError("$", "not_canonical", "Use text, whole numbers below 2**53 and plain nesting.")],
        )
    claims: dict[str, str | int] = {
        "iss": producer,
        "iat": int(at.timestamp()),
        "jti": str(payload.get("command_id")),
        "sub": name,
        "sha256": digest,
    }
    header = {"kid": private.key_id, "typ": _TYPE}
    return _JWS.encode(rfc8785.dumps(claims), private.key, private.algorithm_name, headers=header)


# --- the signature ---


def _parse(signature: object) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """The JWS, its header and its claims, of the right shape but not verified yet."""
    if not isinstance(signature, str) or len(signature) > MAX_SIGNATURE or signature.count(".") != 2:
        raise _refused("signature_malformed")
    try:
        header, claims, _ = map(_bytes, signature.split("."))
        head, body = _json(header), _json(claims)
    except (ValueError, RecursionError):
        raise _refused("signature_malformed") from None
    if (
        not isinstance(head, dict)
        or not {"alg", "kid"} <= head.keys() <= {"alg", "kid", "typ"}
        or not all(isinstance(value, str) for value in head.values())
        or head.get("typ", _TYPE) not in (_TYPE, "JWT")
    ):
        raise _refused("signature_malformed", f"The header has alg and kid, and may have typ {_TYPE} or JWT.")
    if (
        not isinstance(body, dict)
        or body.keys() != _CLAIMS
        or not all(isinstance(body[name], str) for name in _CLAIMS - {"iat"})
        or not isinstance(body["iat"], int | float)
        or isinstance(body["iat"], bool)
        or not 0 <= body["iat"] <= _END_OF_TIME
    ):
        raise _refused(
            "signature_malformed",
            "The claims are the texts iss, jti, sub and sha256, and the number iat, all of them and no others.",
        )
    return signature, head, body


def _refused(code: str, way_out: str | None = None) -> CommandRejected:
    message, remedy = _REFUSALS[code]
    return CommandRejected(message, [FieldError("signature", code, way_out or remedy)], code=code)


def _digest(payload: object) -> str | None:
    """SHA-256 (hex) of the canonical bytes; None for what has none."""
    try:
        return hashlib.sha256(rfc8785.dumps(payload)).hexdigest()  # type: ignore[arg-type]
    except (ValueError, RecursionError):
        return None


def _bytes(text: str) -> bytes:
    """base64url without padding (RFC 7515 §2), in its one spelling. Raises `ValueError`."""
    body = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if base64.urlsafe_b64encode(body).rstrip(b"=") != text.encode():
        raise ValueError("not base64url")
    return body


def _json(body: bytes) -> Any:
    """JSON in UTF-8 in which no name stands twice and every number is one. Raises `ValueError`, `RecursionError`."""

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a name stands twice in one object")
        return found

    def no_number(_name: str) -> Any:
        raise ValueError("a number is none")

    return json.loads(body.decode(), object_pairs_hook=members, parse_constant=no_number)


# --- the configuration ---


class _Fault(Exception):
    def __init__(self, where: str, what: str) -> None:
        super().__init__(f"{where}: {what}")


@contextlib.contextmanager
def _noted(faults: list[str]) -> Iterator[None]:
    """Go on after a fault, so that one answer names them all."""
    try:
        yield
    except _Fault as fault:
        faults.append(str(fault))


def _unusable(path: Path, what: str) -> ConfigurationError:
    return ConfigurationError(f"{path}: {what}", remedy="The shape of the file is in docs/integration.md.")


def _read(path: Path) -> Any:
    try:
        return _json(path.read_bytes())
    except OSError as exc:
        raise _unusable(path, f"cannot be read ({exc.strerror})") from exc
    except (ValueError, RecursionError) as exc:
        # Without the cause: it carries the whole text, which may be a private key.
        raise _unusable(path, f"is not JSON ({exc})") from None


def _object(
    value: object, where: str, required: Set[str] | None = None, optional: Set[str] = frozenset()
) -> dict[str, Any]:
    """The JSON object; with `required`, it has these members and none but those and `optional`."""
    if not isinstance(value, dict):
        raise _Fault(where, "must be an object")
    if required is not None:
        if missing := required - value.keys():
            raise _Fault(where, f"lacks {', '.join(sorted(missing))}")
        if unknown := value.keys() - required - optional:
            raise _Fault(where, f"must not have {', '.join(sorted(unknown))}")
    return value


def _list(value: object, where: str) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise _Fault(where, "must be a list with something in it")
    return value


def _name(value: object, where: str) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise _Fault(where, "must be 1 to 40 lower-case letters, digits and hyphens")
    return value


def _producer(name: str, entry: object, places: dict[tuple[Any, ...], str], faults: list[str]) -> _Producer:
    """One producer; its faults are added to `faults`. `places` says which keys stand where."""
    where = f"producers.{name}"
    _name(name, where)
    members = _object(entry, where, {"case_systems", "keys"})
    systems: set[str] = set()
    with _noted(faults):
        for i, system in enumerate(_list(members["case_systems"], f"{where}.case_systems")):
            with _noted(faults):
                systems.add(_name(system, f"{where}.case_systems.{i}"))
    keys: dict[str, jwt.PyJWK] = {}
    where = f"{where}.keys"
    for i, jwk in enumerate(_list(_object(members["keys"], where, {"keys"})["keys"], f"{where}.keys")):
        with _noted(faults):
            place = f"{where}.keys.{i}"
            key = _key(jwk, place)
            if jwk["kid"] in keys:
                raise _Fault(f"{place}.kid", "another key of this producer has it")
            keys[jwk["kid"]] = key
            first = places.setdefault((jwk["kty"], jwk.get("x"), jwk.get("n")), place)
            if first != place:
                raise _Fault(place, f"is the same key as {first}")
    return _Producer(frozenset(systems), keys)


def _key(value: object, where: str, *, private: bool = False) -> jwt.PyJWK:
    """The key of a JWK, bound to its one algorithm."""
    jwk = _object(value, where)
    if not private and (secret := jwk.keys() & _SECRET):
        raise _Fault(
            f"{where}.{min(secret)}",
            "is of a private key, which its producer alone may have: have a new one made, and its public half sent",
        )
    members, algorithms = _KINDS.get(f"{jwk.get('kty')} {jwk.get('crv', '')}".strip(), (None, ()))
    if members is None:
        raise _Fault(where, f"kty and crv must be one of: {', '.join(_KINDS)}")
    needed = {"kty", "kid"} | members | ({"d"} if private else set())
    _object(jwk, where, needed, {"alg", "use", "key_ops"} | (_SECRET if private else set()))
    if not isinstance(jwk["kid"], str) or not jwk["kid"]:
        raise _Fault(f"{where}.kid", "must be a text")
    algorithm = jwk.get("alg", algorithms[0] if len(algorithms) == 1 else None)
    if algorithm not in algorithms:
        raise _Fault(f"{where}.alg", f"must be {' or '.join(algorithms)}")
    operation = "sign" if private else "verify"
    if jwk.get("use", "sig") != "sig" or operation not in _list(jwk.get("key_ops", [operation]), where):
        raise _Fault(where, f"is not for signatures: use must be sig, and key_ops hold {operation}")
    try:
        numbers = {name: _bytes(jwk[name]) for name in members - {"crv"}}
        key = jwt.PyJWK(jwk, algorithm)
    except (jwt.PyJWTError, ValueError, TypeError):
        # Without the cause, which may quote the key.
        raise _Fault(where, "is not a key: its numbers are wrong, or not base64url without padding") from None
    if int.from_bytes(numbers.get("n", b"")).bit_length() < _MIN_RSA_BITS and key.key_type == "RSA":
        raise _Fault(where, f"RSA keys must have at least {_MIN_RSA_BITS} bits")
    return key
