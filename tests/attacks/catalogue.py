"""All attacks, in the order of the table, and what others say of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from tests.attacks import certification, content, forgery, saving, shadow, wrapping

__all__ = ["ATTACKS", "OTHERS"]

ATTACKS: Final = tuple(
    attack for each in (forgery, saving, content, wrapping, shadow, certification) for attack in each.ATTACKS
)
OTHERS: Final[dict[str, dict[str, str]]] = json.loads(Path(__file__).with_name("others.json").read_bytes())
"""By name: what `naive` and `pdfsig` of `tests.attacks.naive` say; the tests hold them to it."""
