"""The words in a visible signature."""

from __future__ import annotations

from datetime import datetime

from service.domain.log import timestamp
from service.domain.presentation import local_time

__all__ = ["signature_lines"]


def signature_lines(*, name: str, role: str, moment: datetime, certificate: str) -> tuple[str, ...]:
    """Title and lines: who, in which role, when (Europe/Oslo, with its zone), by which certificate.

    `certificate` is the common name of its subject. The words are the same in bokmål and nynorsk.
    """
    return (
        name,
        f"{role}, elektronisk signert",
        local_time(timestamp(moment)),
        f"Sertifikat: {certificate}",
    )
