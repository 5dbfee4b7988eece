"""Names for people that only this service can make: the same person, the same name, and no way back without the key.

    pseudonyms = Pseudonyms(key)
    pseudonyms.of("01010112345")        # '3f0c…', 40 hexadecimal digits

HMAC-SHA256 (RFC 2104) of the national identity number, cut to 160 bits. A bare hash would not do: there are few enough
numbers to try them all.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass, field
from typing import Final

__all__ = ["MIN_KEY", "PSEUDONYM", "Pseudonyms"]

MIN_KEY: Final = 32
"""Bytes that the key has at least."""
PSEUDONYM: Final = re.compile(r"[0-9a-f]{40}")
_DIGITS: Final = 40


@dataclass(frozen=True)
class Pseudonyms:
    """All pseudonyms of one key. With another key they are others: then `signert reindex` has to be run."""

    key: bytes = field(repr=False)

    @property
    def key_id(self) -> str:
        """Tells one key from another, and nothing of it."""
        return hmac.digest(self.key, b"signert-key-id", "sha256").hex()[:16]

    def of(self, national_id: str) -> str:
        """The pseudonym of the person with this national identity number (11 digits)."""
        return hmac.digest(self.key, b"signert-person\0" + national_id.encode(), "sha256").hex()[:_DIGITS]

    def of_subject(self, issuer: str, subject: str) -> str:
        """The pseudonym of whom this issuer's tokens call `subject`, for readers without a national identity number."""
        message = b"signert-subject\0" + len(issuer).to_bytes(4, "big") + issuer.encode() + subject.encode()
        return hmac.digest(self.key, message, "sha256").hex()[:_DIGITS]
