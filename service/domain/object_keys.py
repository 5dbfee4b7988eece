"""Which keys an object store takes: the rule of `ObjectStore`, which every adapter holds to."""

from __future__ import annotations

import re

from service.errors import StoreError

__all__ = ["check_key"]

_SEGMENT = re.compile(r"[A-Za-z0-9._-]{1,255}")
_MAX_KEY = 512


def check_key(key: str) -> None:
    """Raises `StoreError` when `key` is no key."""
    if len(key) > _MAX_KEY or any(
        not _SEGMENT.fullmatch(segment) or segment in {".", ".."} for segment in key.split("/")
    ):
        raise StoreError(
            "a key must be segments of letters, digits, '.', '_' and '-' with '/' between",
            remedy="Mend the key.",
        )
