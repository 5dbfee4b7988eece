"""The words in a visible signature, and in its reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from service.domain.agreement import Version
from service.domain.log import timestamp
from service.domain.presentation import local_time

__all__ = ["attestation", "attestation_line", "full_name", "signature_lines"]

_PAPER: Final[Mapping[str, Mapping[str, str]]] = {
    "nb": {
        "attests": "Attesterer papirunderskrift fra",
        "attests_too": "Attesterer også papirunderskrift fra",
        "and": "og",
        "parties": "parter",
        "from": "fra",
        "scan": "skann SHA-256",
        "participant": "deltaker",
        "guardian": "verge eller fremtidsfullmektig",
        "employer": "arbeidsgiver",
        "mentor": "mentor",
        "organiser": "tiltaksarrangør",
    },
    "nn": {
        "attests": "Attesterer papirunderskrift frå",
        "attests_too": "Attesterer også papirunderskrift frå",
        "and": "og",
        "parties": "partar",
        "from": "frå",
        "scan": "skann SHA-256",
        "participant": "deltakar",
        "guardian": "verje eller framtidsfullmektig",
        "employer": "arbeidsgivar",
        "mentor": "mentor",
        "organiser": "tiltaksarrangør",
    },
}
"""Not the templates' words: the reason in a signature must be told again from the log alone."""

_NAMED: Final = 2
"""Roles that the field has room to name; the reason names all."""


def full_name(party: Mapping[str, Any]) -> str:
    return f"{party['first_name']} {party['last_name']}"


def signature_lines(
    *,
    name: str,
    role: str,
    moment: datetime,
    certificate: str | None,
    behalf: str | None = None,
    attests: str | None = None,
) -> tuple[str, ...]:
    """Title and lines: who, in which role, when (Europe/Oslo, with its zone), by which certificate.

    `certificate` is the common name of its subject, None when it is not known before the signature is there. The
    words are the same in bokmål and nynorsk. `behalf` says for whom, where it is another; `attests` is the
    `attestation_line`.
    """
    lines = (name, f"{behalf or role}, elektronisk signert", local_time(timestamp(moment)))
    more = (f"Sertifikat: {certificate}" if certificate else None, attests)
    return (*lines, *filter(None, more))


def attestation(version: Version, role: str) -> str | None:
    """The reason in this party's signature: whose signatures on paper it attests; None when it attests none.

    Names roles, days and the SHA-256 of each scan, which may bear several signatures.
    """
    if not version.attests(role):
        return None
    words = _PAPER[version.language]
    scans: dict[tuple[str, str], list[str]] = {}
    for party, paper in version.papers:
        scans.setdefault((paper.signed_on, paper.scan_sha256), []).append(words[party.role])
    parts = [
        f"{_joined(roles, words)} {day}, {words['scan']} {sha256}" for (day, sha256), roles in scans.items()
    ]
    return f"{words['attests']} " + f"; {words['from']} ".join(parts)


def attestation_line(version: Version, role: str) -> str | None:
    """The same in short, for the page."""
    if not version.attests(role):
        return None
    words, roles = _PAPER[version.language], [p.role for p, _ in version.papers]
    if len(roles) > _NAMED:
        return f"{words['attests_too']} {len(roles)} {words['parties']}"
    return f"{words['attests_too']} {_joined([words[r] for r in roles], words)}"


def _joined(items: Sequence[str], words: Mapping[str, str]) -> str:
    *first, last = items
    return f"{', '.join(first)} {words['and']} {last}" if first else last
