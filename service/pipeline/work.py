"""Work markers: which agreements are not at rest.

Hints for the sweeper, never truth: losing one delays an agreement until its next command, and an extra one costs
a look.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from service.domain.log import canonical, timestamp
from service.domain.ports import Clock, ObjectStore
from service.errors import AlreadyExists, NewerFormat, NotFound, StoreError

__all__ = ["Marker", "Parked", "Workbook", "marker_key", "upkeep_run"]

FORMAT = 1
"""Version of a marker's layout (`v` in its JSON)."""
_PATIENCE = 3
"""Doublings of the wait, at most."""


_UPKEEP = uuid.UUID("5b0c0b0e-8a52-5d3f-9f0d-6a0e1b7c2d94")


def upkeep_run(agreement_id: str, step: str) -> str:
    """The run that tries a step for renewal again when it could not be done; no other run is held up by it."""
    return str(uuid.uuid5(_UPKEEP, f"{agreement_id}/{step}"))


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
    away another's. Events of the log from entry `since` on may not be published yet. `touched` is when somebody
    last took it up, `handed_on` how often the sweeper has put it on the queue since the run last came further.
    """

    agreement_id: str
    run: str
    since: int
    touched: str
    parked: Parked | None = None
    handed_on: int = 0

    @property
    def key(self) -> str:
        return marker_key(self.agreement_id, self.run)

    @property
    def body(self) -> bytes:
        parked = vars(self.parked) if self.parked else None
        return canonical(
            {
                "v": FORMAT,
                "since": self.since,
                "touched": self.touched,
                "parked": parked,
                "handed_on": self.handed_on,
            }
        )

    @classmethod
    def parse(cls, key: str, body: bytes) -> Marker:
        """The marker of these bytes. Raises `StoreError` for bytes that are none."""
        try:
            return cls._parse(key, body)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
            raise StoreError(
                f"{key} in the store is no work marker",
                code="marker_unreadable",
                remedy="Delete it, and run `signert fsck`: it says whether the agreement needs another.",
            ) from exc

    @classmethod
    def _parse(cls, key: str, body: bytes) -> Marker:
        _, agreement_id, run = key.split("/")
        raw = json.loads(body)
        if raw["v"] > FORMAT:
            raise StoreError(
                f"{key} in the store is of format {raw['v']}; this release knows {FORMAT}",
                code=NewerFormat.code,
                remedy="Run the release that wrote it, or a later one.",
            )
        parked = Parked(**raw["parked"]) if raw["parked"] else None
        # At first it said only when the run began.
        touched = raw["touched"] if "touched" in raw else raw["created"]
        return cls(agreement_id, run, raw["since"], touched, parked, raw.get("handed_on", 0))

    def due(self, abandoned_after: timedelta) -> datetime:
        """When the sweeper should take it up: at the time of the next try, or when whoever had it must be dead.

        Later each time it was put on the queue in vain: a long queue must not be made longer.
        """
        if self.parked and self.parked.retry_at > self.touched:
            return datetime.fromisoformat(self.parked.retry_at)
        wait = abandoned_after * float(2 ** min(self.handed_on, _PATIENCE))
        return datetime.fromisoformat(self.touched) + wait


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

    def find(self, agreement_id: str, run: str) -> Marker | None:
        """The marker of that run, or None when it has ended."""
        return self.load(marker_key(agreement_id, run))

    def of(self, agreement_id: str) -> list[Marker]:
        return [m for key in self._store.list(f"work/{agreement_id}/") if (m := self.load(key))]

    def all_keys(self) -> Iterator[str]:
        return self._store.list("work/")

    def hand_on(self, marker: Marker) -> None:
        """Mark that it is put on the queue now, so that the next sweeper leaves it alone for a while."""
        touched = timestamp(self._clock.now())
        self.save(replace(marker, touched=touched, handed_on=marker.handed_on + 1))

    def save(self, marker: Marker) -> None:
        self._store.put(marker.key, marker.body)

    def end(self, marker: Marker) -> None:
        self._store.delete(marker.key)
