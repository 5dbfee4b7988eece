"""A provider's public keys: where they are, fetched when first needed, kept, and fetched again.

A token that names an unknown key has them fetched again, for keys are rotated; but not often, so that nobody makes us
ask a provider without end. While a provider is away, keys that are not too old are still good.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import jwt
import requests

from service.adapters.tokens.issuers import Issuer
from service.errors import ProviderUnavailable

__all__ = ["Jwk", "ProviderKeys", "fits", "get_json"]

log = logging.getLogger(__name__)

Jwk = Mapping[str, Any]

_MAX_DOCUMENT: Final = 256 * 1024
_MAX_KEYS: Final = 100
_TIMEOUT: Final = (3.05, 5.0)
_FRESH: Final = 600.0
"""Seconds for which fetched keys are used without another look."""
_STALE: Final = 6 * 3600.0
"""Seconds for which they are still good when the provider cannot be reached."""
_PAUSE: Final = 30.0
"""Seconds between two fetches for keys that we do not have."""
_RETRY: Final = 5.0
"""Seconds after a failed fetch before the next."""
_MIN_RSA_BITS: Final = 2048
_KINDS: Final[Mapping[tuple[str, str | None], frozenset[str]]] = {
    ("RSA", None): frozenset({"RS256", "PS256"}),
    ("EC", "P-256"): frozenset({"ES256"}),
    ("EC", "P-384"): frozenset({"ES384"}),
    ("OKP", "Ed25519"): frozenset({"EdDSA"}),
}


class ProviderKeys:
    """One provider's keys, by `kid`. Safe in threads."""

    def __init__(self, issuer: Issuer) -> None:
        self._issuer = issuer
        self._lock = threading.Lock()
        self._keys: dict[str | None, Jwk] = {}
        self._fetched: float | None = None
        self._next = 0.0
        """When, at the earliest, the provider may be asked again for what it did not have."""

    def find(self, kid: str | None) -> Jwk | None:
        """The key of that id, None when there is none. Raises `ProviderUnavailable` when there are none to look in."""
        known, fetched = self._found(kid), self._fetched
        good = known is not None and fetched is not None and time.monotonic() - fetched <= _STALE
        if not self._lock.acquire(blocking=not good):
            return known  # somebody is asking a slow provider already: the others need not wait for it
        try:
            now = time.monotonic()
            age = None if self._fetched is None else now - self._fetched
            if age is None or age > _FRESH or (self._found(kid) is None and now >= self._next):
                self._refresh(now, age)
            return self._found(kid)
        finally:
            self._lock.release()

    def _found(self, kid: str | None) -> Jwk | None:
        if kid is None and len(self._keys) == 1:  # RFC 7515 4.1.4: kid may be left out
            return next(iter(self._keys.values()))
        return self._keys.get(kid)

    def _refresh(self, now: float, age: float | None) -> None:
        usable = age is not None and age <= _STALE
        if now < self._next:
            if usable:
                return
            raise self._unavailable()
        try:
            self._keys = _usable_keys(self._fetch())
        except (requests.RequestException, OSError, ValueError, RecursionError) as exc:
            self._next = now + _RETRY
            log.warning("keys of issuer %s were not to be had: %s", self._issuer.name, type(exc).__name__)
            if not usable:
                raise self._unavailable() from None
            return
        self._fetched, self._next = now, now + _PAUSE

    def _unavailable(self) -> ProviderUnavailable:
        return ProviderUnavailable(
            f"the keys of issuer {self._issuer.name} cannot be had", remedy="Try again in a while."
        )

    def _fetch(self) -> object:
        place = self._issuer.jwks
        if isinstance(place, Path):
            return json.loads(place.read_bytes())
        if place is None:
            address = f"{self._issuer.issuer.rstrip('/')}/.well-known/openid-configuration"
            told = get_json(address)
            if not isinstance(told, dict) or told.get("issuer") != self._issuer.issuer:
                raise ValueError("the discovery document is another issuer's")
            place = str(told.get("jwks_uri"))
            if not place.startswith("https://") and not self._issuer.issuer.startswith("http://"):
                raise ValueError("the keys are to be fetched without TLS")
        return get_json(place)


def fits(jwk: Jwk, algorithm: str) -> bool:
    """Whether the key is for this algorithm."""
    return algorithm in _KINDS[jwk["kty"], jwk.get("crv")] and jwk.get("alg", algorithm) == algorithm


def get_json(address: str) -> object:
    """What is at the address. Raises `requests.RequestException`, `ValueError`."""
    with requests.get(
        address, timeout=_TIMEOUT, stream=True, allow_redirects=False, headers={"Accept": "application/json"}
    ) as answer:
        if answer.status_code != 200:
            raise ValueError(f"HTTP {answer.status_code}")
        body = bytearray()
        deadline = time.monotonic() + sum(_TIMEOUT)
        for piece in answer.iter_content(16 * 1024):
            body += piece
            if len(body) > _MAX_DOCUMENT or time.monotonic() > deadline:
                raise ValueError("too large, or too slow")
    return json.loads(body)


def _usable_keys(document: object) -> dict[str | None, Jwk]:
    """The public keys for signatures that are of a kind we take; others are passed over. Raises `ValueError`."""
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list) or len(listed) > _MAX_KEYS:
        raise ValueError("not a JWK Set (RFC 7517 5), or too large a one")
    found: dict[str | None, Jwk] = {}
    for jwk in listed:
        if not isinstance(jwk, dict) or jwk.get("use", "sig") != "sig" or "d" in jwk or "k" in jwk:
            continue
        if "verify" not in jwk.get("key_ops", ["verify"]):
            continue
        algorithms = _KINDS.get((str(jwk.get("kty")), jwk.get("crv")))
        if not algorithms or jwk.get("alg", next(iter(algorithms))) not in algorithms:
            continue
        try:
            key = jwt.PyJWK(jwk, jwk.get("alg") or next(iter(algorithms)))
        except (jwt.PyJWTError, ValueError, TypeError, KeyError):
            continue
        if jwk["kty"] == "RSA" and getattr(key.key, "key_size", 0) < _MIN_RSA_BITS:
            continue
        kid = jwk.get("kid")
        if kid is None or isinstance(kid, str):
            found.setdefault(kid, jwk)
    return found
