"""Whether a store lets one of many win: `create` is worth nothing where it does not."""

from __future__ import annotations

import secrets
import threading
from typing import Final

from service.adapters.s3.connection import MOST_CONNECTIONS
from service.domain.ports import ObjectStore
from service.errors import AlreadyExists, StoreError

__all__ = ["RACERS", "winners"]

RACERS: Final = MOST_CONNECTIONS
"""As many as need not wait for one another's connection: else it were no race."""


def winners(store: ObjectStore) -> int:
    """How many of `RACERS` writers of one new key were told that they won. Raises `StoreError`."""
    key = f"probe/{secrets.token_hex(16)}"
    start = threading.Barrier(RACERS)
    outcomes: list[StoreError | None] = []

    def write(number: int) -> None:
        start.wait()
        try:
            store.create(key, str(number).encode())
        except StoreError as exc:
            outcomes.append(exc)
        else:
            outcomes.append(None)

    store.exists(key)  # the client is made once, before the start
    racers = [threading.Thread(target=write, args=(n,), daemon=True) for n in range(RACERS)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    for outcome in outcomes:
        if outcome is not None and not isinstance(outcome, AlreadyExists):
            raise outcome
    store.delete(key)
    return outcomes.count(None)
