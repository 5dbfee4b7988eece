"""An attack on a signed PDF, and what it starts from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Attack", "Ground"]


@dataclass(frozen=True)
class Ground:
    """Documents of our own to attack, and the seal that a forger tricks into signing what he has prepared."""

    document: bytes
    """The seal and all parties' signatures, evidence and a document timestamp over all: PAdES B-LTA."""
    sealed: bytes
    """The seal alone with its evidence (B-LT), so that nothing covers the value of /Contents."""
    unsigned: bytes
    """With all fields, before the seal."""
    seal: Callable[[bytes, int], bytes]
    """Seals any such document, with DocMDP of that level, and adds the evidence."""
    sign: Callable[[bytes, str, str], bytes]
    """One more visible signature: in that field, with that one's key."""


@dataclass(frozen=True)
class Attack:
    """One row of the table.

    `indication` and `sub_indication` are what we say, `code` the modification that we name, and `rule` where it is
    caught; by the rendered pages, and not before, where `rendered`. `prepared`: the document was made for it before
    it was signed, so that there is no such agreement of ours.
    """

    name: str
    family: str
    what: str
    source: str
    build: Callable[[Ground], bytes]
    rule: str
    code: str | None = None
    indication: str = "TOTAL-FAILED"
    sub_indication: str = "FORMAT_FAILURE"
    prepared: bool = False
    rendered: bool = False
