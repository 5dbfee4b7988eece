"""Wait for the end of a command that is on its way through the queue, by reading the store."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from service.domain.agreement import Agreement
from service.domain.folding import advance
from service.domain.log import Entry
from service.domain.steps import UPKEEP, next_step
from service.errors import FieldError, NotFound
from service.pipeline.intake import agreement_id_of
from service.pipeline.ledger import Ledger
from service.pipeline.quarantine import rejection_id
from service.pipeline.work import Parked, Workbook

__all__ = ["Rejection", "follow"]

_LOOK_FIRST, _LOOK_MOST = 0.05, 0.5


@dataclass(frozen=True)
class Rejection:
    code: str
    message: str
    errors: tuple[FieldError, ...]


def follow(
    ledger: Ledger,
    workbook: Workbook,
    name: str,
    payload: Mapping[str, Any],
    *,
    seconds: float,
    observe: Callable[[Entry], None],
    parked: Callable[[Parked], None],
) -> Agreement | Rejection | None:
    """The agreement at rest, the rejection of the command, or None when neither came within `seconds`.

    `observe` is told of each entry of the log, `parked` of each time that the agreement is parked anew.
    """
    deadline = time.monotonic() + seconds
    agreement: Agreement | None = None
    agreement_id = agreement_id_of(payload) if name == "submit" else payload["agreement_id"]
    refused = f"quarantine/{rejection_id(name, payload)}.json"
    told: set[str] = set()
    pause = _LOOK_FIRST
    while time.monotonic() < deadline:
        if agreement is None and ledger.store.exists(refused):
            error = json.loads(ledger.store.get(refused))["error"]
            faults = tuple(FieldError(**e) for e in error["detail"]["errors"])
            return Rejection(error["code"], error["message"], faults)
        entries: list[Entry] = []
        if agreement is not None:
            entries = ledger.read_after(agreement.head)
            for entry in entries:
                agreement = advance(agreement, entry)
        elif agreement_id:
            with contextlib.suppress(NotFound):
                chain = ledger.chain(agreement_id)
                if payload["command_id"] in chain.agreement.commands:
                    entries, agreement = chain.entries, chain.agreement
        for entry in entries:
            observe(entry)
        if agreement and _is_at_rest(ledger, agreement):
            return agreement
        for marker in workbook.of(agreement.id) if agreement else []:
            if marker.parked and marker.parked.retry_at not in told:
                told.add(marker.parked.retry_at)
                parked(marker.parked)
        pause = _LOOK_FIRST if entries else min(pause * 1.2, _LOOK_MOST)
        time.sleep(pause)
    return None


def _is_at_rest(ledger: Ledger, agreement: Agreement) -> bool:
    """Whether nothing goes on by itself: neither with the agreement, nor with a declaration that it waits for."""
    now = datetime.now(UTC)
    if next_step(agreement, now, but=UPKEEP) is not None:
        return False
    waited_for = [d.agreement_id for d in agreement.current.declarations if d.requested and not d.is_done]
    if any(next_step(ledger.agreement(i), now, but=UPKEEP) is not None for i in waited_for):
        return False
    return not (waited_for and ledger.read_after(agreement.head))  # one may have ended since this was read
