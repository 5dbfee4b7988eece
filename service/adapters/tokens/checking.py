"""Bearer tokens (RFC 6750, RFC 9068; OpenID Connect Core): checked, and read as who their bearer is.

    tokens = Tokens(load_issuers(path, production=True))
    reader = tokens.reader(token, now=clock.now())         # TokenRefused, RoleMissing, ProviderUnavailable

Errors name what is wrong with a token, and nothing of what is in it.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import jwt

from service.adapters.tokens.issuers import ALGORITHMS, Issuer, reader_of
from service.adapters.tokens.keys import ProviderKeys, fits
from service.domain.access import Reader
from service.errors import TokenRefused

__all__ = ["MAX_TOKEN", "Tokens"]

MAX_TOKEN: Final = 8192
"""Characters."""
_TYPES: Final = {"jwt", "at+jwt", "application/at+jwt", "application/jwt"}
_JWS: Final = jwt.PyJWS(algorithms=list(ALGORITHMS))

_REFUSALS: Final[Mapping[str, tuple[str, str]]] = {
    "token_malformed": ("the token cannot be read", f"Send a compact JWS of at most {MAX_TOKEN} characters."),
    "token_type": ("this is a token of another kind", "Send an access token."),
    "algorithm_refused": (
        "the token's algorithm is not taken here, or is not that of its key",
        f"Have it signed with one of {', '.join(ALGORITHMS)}.",
    ),
    "issuer_unknown": (
        "the token's issuer is not known here",
        "Get a token from a provider that this service uses.",
    ),
    "key_unknown": ("the token's key is not one of its issuer's", "Get a new token."),
    "signature_invalid": (
        "the token's signature does not hold",
        "Get a new token, and send it as it was given.",
    ),
    "audience_wrong": ("the token is for another service", "Ask your provider for a token for this one."),
    "token_expired": ("the token has expired", "Get a new token."),
    "token_not_yet_valid": ("the token is not valid yet", "Check your clock and the provider's."),
}


class Tokens:
    """The issuers of one configuration. Safe in threads."""

    def __init__(self, issuers: Sequence[Issuer]) -> None:
        self._issuers = {issuer.issuer: (issuer, ProviderKeys(issuer)) for issuer in issuers}

    def reader(self, token: str, *, now: datetime) -> Reader:
        """Who the token's bearer is. Raises `TokenRefused`, `RoleMissing`, `ProviderUnavailable`."""
        claims = self.claims(token, now=now)
        return reader_of(self._issuers[claims["iss"]][0], claims)

    def claims(self, token: str, *, now: datetime) -> dict[str, Any]:
        """What the token says, checked. Raises `TokenRefused`, `ProviderUnavailable`."""
        header, claims = _parse(token)
        found = self._issuers.get(claims["iss"])
        if found is None:
            raise _refused("issuer_unknown")
        issuer, keys = found
        if header["alg"] not in issuer.algorithms:
            raise _refused("algorithm_refused")
        jwk = keys.find(header.get("kid"))
        if jwk is None:
            raise _refused("key_unknown")
        if not fits(jwk, header["alg"]):
            raise _refused("algorithm_refused")
        try:
            key = jwt.PyJWK(dict(jwk), header["alg"])
            _JWS.decode(token, key, algorithms=[header["alg"]])
        except (jwt.PyJWTError, ValueError, TypeError):
            raise _refused("signature_invalid") from None
        _check_times(claims, now.timestamp(), issuer.leeway)
        audience = claims.get("aud")
        audiences = {audience} if isinstance(audience, str) else set(audience or ())
        if not audiences & issuer.audience:
            raise _refused("audience_wrong")
        return claims


def _refused(code: str) -> TokenRefused:
    message, remedy = _REFUSALS[code]
    return TokenRefused(message, code=code, remedy=remedy)


def _parse(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims, of the right shape but not verified yet."""
    if len(token) > MAX_TOKEN or token.count(".") != 2 or not token.isascii():
        raise _refused("token_malformed")
    try:
        header, claims = (json.loads(_decoded(part)) for part in token.split(".")[:2])
    except (ValueError, RecursionError):
        raise _refused("token_malformed") from None
    if not (isinstance(header, dict) and isinstance(claims, dict)):
        raise _refused("token_malformed")
    if header.get("alg") not in ALGORITHMS or "b64" in header:
        raise _refused("algorithm_refused")
    if "crit" in header or not isinstance(header.get("kid", ""), str):
        raise _refused("token_malformed")
    if str(header.get("typ", "JWT")).lower() not in _TYPES:
        raise _refused("token_type")
    audience = claims.get("aud", "")
    whole = isinstance(claims.get("iss"), str) and _is_time(claims.get("exp"))
    times = all(_is_time(claims[name]) for name in ("nbf", "iat") if name in claims)
    texts = isinstance(audience, str) or (
        isinstance(audience, list) and all(isinstance(each, str) for each in audience)
    )
    if not (whole and times and texts):
        raise _refused("token_malformed")
    return header, claims


def _decoded(part: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except binascii.Error:
        raise ValueError("not base64url") from None


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**53


def _check_times(claims: Mapping[str, Any], now: float, leeway: int) -> None:
    if claims["exp"] <= now - leeway:
        raise _refused("token_expired")
    if any(claims[name] > now + leeway for name in ("nbf", "iat") if name in claims):
        raise _refused("token_not_yet_valid")
