"""Who sent a command, once its signature has been checked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

__all__ = ["Sender"]


@dataclass(frozen=True)
class Sender:
    """A producer known by its key.

    `name` is the producer's in the configuration, `case_systems` are those whose agreements it may touch, and
    `issued_at` (aware, UTC) is when it says that it signed.
    """

    name: str
    case_systems: frozenset[str]
    issued_at: datetime
