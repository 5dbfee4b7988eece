"""One thing that was checked, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from signing import Indication

__all__ = ["Check", "Outcome", "compared", "sealed"]

Outcome = Literal["holds", "does-not-hold", "not-checked"]


@dataclass(frozen=True)
class Check:
    """One thing that the receipt states, and whether it holds. `text` is for people."""

    code: str
    outcome: Outcome
    text: str


def sealed(code: str, words: str, indication: Indication, explanation: str) -> Check:
    """What a validation says, as a check."""
    if indication == "TOTAL-PASSED":
        return Check(code, "holds", f"{words}: gyldig.")
    outcome: Outcome = "does-not-hold" if indication == "TOTAL-FAILED" else "not-checked"
    said = "ikke gyldig" if indication == "TOTAL-FAILED" else "kan ikke bekreftes"
    return Check(code, outcome, f"{words}: {said}. {explanation}")


def compared(code: str, holds: bool, yes: str, no: str) -> Check:
    return Check(code, "holds" if holds else "does-not-hold", yes if holds else no)
