"""What the views of one process share."""

from __future__ import annotations

from dataclasses import dataclass

from flask import current_app

from service.config import Settings
from service.domain.ports import Clock
from service.pipeline.ledger import Ledger

__all__ = ["Site", "site"]


@dataclass(frozen=True)
class Site:
    settings: Settings
    ledger: Ledger
    clock: Clock


def site() -> Site:
    """The running application's."""
    found = current_app.extensions["signert"]
    assert isinstance(found, Site)
    return found
