"""A circuit breaker: a server that fails again and again is left alone for a while, then tried with one request."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Literal

__all__ = ["Breaker", "BreakerRule", "BreakerState"]

BreakerState = Literal["closed", "open", "half-open"]


@dataclass(frozen=True)
class BreakerRule:
    """After `failures` in a row the server is passed over for `rest` seconds; then one request tries it again.

    Each time that fails it rests twice as long, up to `longest`.
    """

    failures: int = 3
    rest: float = 30.0
    longest: float = 600.0


class Breaker:
    """One server's. Safe to share among threads. `monotonic` gives seconds."""

    def __init__(
        self, rule: BreakerRule | None = None, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._rule = rule or BreakerRule()
        self._monotonic = monotonic
        self._lock = Lock()
        self._failed = 0
        self._rest = 0.0
        self._until: float | None = None
        self._probing = False

    @property
    def state(self) -> BreakerState:
        with self._lock:
            if self._until is None:
                return "closed"
            return "half-open" if self._probing or self._monotonic() >= self._until else "open"

    def admit(self) -> bool:
        """Whether to ask the server. Who is admitted tells the outcome by `succeeded`, `failed` or `left`."""
        with self._lock:
            if self._until is None:
                return True
            if self._probing or self._monotonic() < self._until:
                return False
            self._probing = True
            return True

    def succeeded(self) -> None:
        with self._lock:
            self._failed, self._rest, self._until, self._probing = 0, 0.0, None, False

    def failed(self) -> bool:
        """Count a failure; True when the server is to be left alone from now on."""
        with self._lock:
            self._failed += 1
            probe, self._probing = self._probing, False
            if self._failed < self._rule.failures or (self._until is not None and not probe):
                return False
            self._rest = min(self._rest * 2 or self._rule.rest, self._rule.longest)
            self._until = self._monotonic() + self._rest
            return True

    def left(self) -> None:
        """The request ended without saying anything of the server."""
        with self._lock:
            self._probing = False

    @property
    def rests_for(self) -> float:
        """Seconds until it is tried again."""
        with self._lock:
            return max(0.0, (self._until or 0.0) - self._monotonic()) if self._until is not None else 0.0
