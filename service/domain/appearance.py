"""The words in a visible signature."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from service.domain.log import timestamp
from service.domain.presentation import local_time

__all__ = ["full_name", "signature_lines"]


def full_name(party: Mapping[str, Any]) -> str:
    return f"{party['first_name']} {party['last_name']}"


def signature_lines(
    *, name: str, role: str, moment: datetime, certificate: str | None, behalf: str | None = None
) -> tuple[str, ...]:
    """Title and lines: who, in which role, when (Europe/Oslo, with its zone), by which certificate.

    `certificate` is the common name of its subject, None when it is not known before the signature is there. The
    words are the same in bokmål and nynorsk. `behalf` says for whom, where it is another.
    """
    lines = (name, f"{behalf or role}, elektronisk signert", local_time(timestamp(moment)))
    return (*lines, f"Sertifikat: {certificate}") if certificate else lines
