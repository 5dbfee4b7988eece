"""Pseudonyms: what stands in keys and logs in the place of who somebody is.

An identity number has so few possible values that a bare hash of it tells it to anybody who tries them all; a keyed
one (HMAC, RFC 2104) tells it to nobody without the key. The same person has the same pseudonym as long as the key is
the same: for finding what is somebody's, and for saying that two reads were by the same reader.

    >>> pseudonyms = Pseudonyms(bytes(32))
    >>> pseudonyms.of("national_id", "17849431021") == pseudonyms.of("national_id", "17849431021")
    True
    >>> pseudonyms.of("subject", "17849431021") == pseudonyms.of("national_id", "17849431021")
    False
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

__all__ = ["KEY_BYTES", "Pseudonyms"]

KEY_BYTES: Final = 32


class Pseudonyms:
    """Made with one key of at least 32 bytes. The key is in no text that this object gives of itself."""

    def __init__(self, key: bytes) -> None:
        if len(key) < KEY_BYTES:
            raise ValueError("the key is too short")
        self._key = key

    def of(self, kind: str, *values: str) -> str:
        """The pseudonym (64 hex digits) of what these values name together. Kinds are apart from one another."""
        parts = [part.encode() for part in (kind, *values)]
        message = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()
