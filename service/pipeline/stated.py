"""What a receipt from anywhere states: every value may be missing, or be of another kind than it should."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["items_of", "number_of", "parsed", "text_of", "value_at", "version_of"]

_MOST_BYTES: Final = 4 * 1024 * 1024


def parsed(body: bytes) -> Mapping[str, Any]:
    try:
        values = json.loads(body) if len(body) <= _MOST_BYTES else None
    except (ValueError, RecursionError):
        values = None
    return values if isinstance(values, dict) else {}


def value_at(values: object, *path: str) -> Any:
    for name in path:
        values = values.get(name) if isinstance(values, Mapping) else None
    return values


def version_of(values: Mapping[str, Any]) -> int | None:
    return number_of(value_at(values, "agreement", "version"))


def text_of(value: object) -> str | None:
    return value if isinstance(value, str) else None


def number_of(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def items_of(value: object) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []
