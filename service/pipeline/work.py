"""Work markers: which agreements are not at rest.

Hints for the sweeper, never truth: losing one delays an agreement until its next command, and an extra one costs
a look.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from service.domain.log import canonical, timestamp
from service.domain.ports import Clock, ObjectStore
from service.errors import AlreadyExists, NotFound

__all__ = ["Marker", "Parked", "Workbook", "marker_key"]


def marker_key(agreement_id: str, run: str) -> str:
    return f"work/{agreement_id}/{run}"


@dataclass(frozen=True)
class Parked:
    """Why an agreement does not move, and when it is tried again. `step` is the step that failed."""

    step: str
    code: str
    message: str
    remedy: str
    attempts: int
    since: str
    retry_at: str


@dataclass(frozen=True)
class Marker:
    """`work/{agreement}/{run}`: somebody began to drive this agreement and has not yet brought it to rest.

    A hint for the sweeper, never truth. Each run has a marker of its own, so that one run's end does not take
    away another's. Events of the log from entry `since` on may not be published yet.
    """

    agreement_id: str
    run: str
    since: int
    created: str
    parked: Parked | None = None

    @property
    def key(self) -> str:
        return marker_key(self.agreement_id, self.run)

    @property
    def body(self) -> bytes:
        parked = vars(self.parked) if self.parked else None
        return canonical({"v": 1, "since": self.since, "created": self.created, "parked": parked})

    @classmethod
    def parse(cls, key: str, body: bytes) -> Marker:
        _, agreement_id, run = key.split("/")
        raw = json.loads(body)
        parked = Parked(**raw["parked"]) if raw["parked"] else None
        return cls(agreement_id, run, raw["since"], raw["created"], parked)


class Workbook:
    """The work markers."""

    def __init__(self, store: ObjectStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def begin(self, agreement_id: str, run: str, since: int) -> Marker:
        """Mark that a run begins. A marker of the same run that a crash left behind is taken over."""
        marker = Marker(agreement_id, run, since, timestamp(self._clock.now()))
        try:
            self._store.create(marker.key, marker.body)
        except AlreadyExists:
            return self.load(marker.key) or marker
        return marker

    def load(self, key: str) -> Marker | None:
        """The marker of that key, or None when its run has ended meanwhile."""
        try:
            return Marker.parse(key, self._store.get(key))
        except NotFound:
            return None

    def of(self, agreement_id: str) -> list[Marker]:
        return [m for key in self._store.list(f"work/{agreement_id}/") if (m := self.load(key))]

    def all_keys(self) -> Iterator[str]:
        return self._store.list("work/")

    def save(self, marker: Marker) -> None:
        self._store.put(marker.key, marker.body)

    def end(self, marker: Marker) -> None:
        self._store.delete(marker.key)
