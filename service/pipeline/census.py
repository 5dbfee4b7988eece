"""What a sweep finds in the store, in figures: what is parked and why, what is due, what waits for a person.

A few listings a sweep, none longer than `MOST` keys, so that the figures of a store of any size cost the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from itertools import takewhile

from service.domain.ports import ObjectStore
from service.domain.signals import (
    DISPOSAL_DUE,
    OLDEST,
    PARKED,
    PARKED_OLDEST,
    QUARANTINE,
    RENEWALS_DUE,
    SWEPT,
    UNDER_WAY,
    UNPUBLISHED,
    Metric,
)
from service.domain.steps import StepKind
from service.pipeline.waiting import Due
from service.pipeline.work import Marker

__all__ = ["MOST", "Census"]

MOST = 5000
"""Keys that are counted of one kind, at most."""
_NEXT, _SOON = timedelta(days=1), timedelta(days=30)

Figures = Mapping[Metric, Mapping[tuple[str, ...], float]]


class Census:
    """Counts the markers that a sweep reads anyway, and what else it is told to look at."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._parked: Counter[str] = Counter()
        self._since: dict[str, float] = {}
        self._under_way = 0
        self._oldest = 0.0
        self._unpublished = 0
        self._overdue = 0

    def see(self, marker: Marker) -> None:
        parked = marker.parked
        if parked is None:
            self._under_way += 1
            self._oldest = max(self._oldest, self._age(marker.touched))
            return
        self._parked[parked.code] += 1
        self._since[parked.code] = max(self._since.get(parked.code, 0.0), self._age(parked.since))
        self._unpublished += parked.step == "publish"
        self._overdue += parked.step.partition(":")[0] == StepKind.RENEW

    def figures(self, store: ObjectStore) -> Figures:
        """All figures as of now. Raises `StoreError`."""
        now = self._now
        renewals = [due.at for due in self._due_until(store) if due.what == "renew"]
        today = f"disposal/{now:%Y-%m-%d}~"
        return {
            PARKED: {(code,): float(number) for code, number in self._parked.items()},
            PARKED_OLDEST: {(code,): age for code, age in self._since.items()},
            UNDER_WAY: {(): float(self._under_way)},
            OLDEST: {(): self._oldest},
            RENEWALS_DUE: {
                ("overdue",): float(self._overdue),
                ("1 day",): float(sum(at <= now + _NEXT for at in renewals)),
                ("30 days",): float(len(renewals)),
            },
            DISPOSAL_DUE: {
                (): _length(takewhile(lambda key: key < today, store.list("disposal/", limit=MOST)))
            },
            QUARANTINE: {(): _length(store.list("quarantine/", limit=MOST))},
            UNPUBLISHED: {(): _length(store.list("outbox/", limit=MOST)) + self._unpublished},
            SWEPT: {(): now.timestamp()},
        }

    def _due_until(self, store: ObjectStore) -> Iterator[Due]:
        """What is due within a month, the days in order."""
        last = f"due/{self._now + _SOON:%Y-%m-%d}~"
        return map(Due.parse, takewhile(lambda key: key < last, store.list("due/", limit=MOST)))

    def _age(self, moment: str) -> float:
        return max(0.0, (self._now - datetime.fromisoformat(moment)).total_seconds())


def _length(keys: Iterator[str]) -> float:
    return float(sum(1 for _ in keys))
