"""Stand-ins for unit tests that do the real work in memory."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from service.adapters.templates import Catalogue
from service.domain.ports import Body
from service.errors import AlreadyExists, NotFound, Retained
from service.pipeline.services import Services


class MemoryStore:
    """`ObjectStore` in a dictionary."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.retained: dict[str, datetime] = {}
        self._lock = threading.Lock()

    def create(self, key: str, body: Body, *, retain_until: datetime | None = None) -> None:
        with self._lock:
            if key in self.objects:
                raise AlreadyExists(key)
            self.objects[key] = _whole(body)
            if retain_until:
                self.retained[key] = retain_until

    def put(self, key: str, body: Body) -> None:
        self.objects[key] = _whole(body)

    def get(self, key: str) -> bytes:
        try:
            return self.objects[key]
        except KeyError:
            raise NotFound(key) from None

    def stream(self, key: str, *, start: int = 0, length: int | None = None) -> Generator[bytes]:
        body = self.get(key)[start:]
        return (piece for piece in [body if length is None else body[:length]] if piece)

    def exists(self, key: str) -> bool:
        return key in self.objects

    def size(self, key: str) -> int:
        return len(self.get(key))

    def retain(self, key: str, until: datetime) -> None:
        self.size(key)
        self.retained[key] = until

    def retained_until(self, key: str) -> datetime | None:
        self.size(key)
        return self.retained.get(key)

    def erase(self, key: str) -> None:
        if key in self.retained:
            raise Retained(f"{key} is under a lock")
        self.delete(key)

    def list(self, prefix: str = "", *, after: str | None = None, limit: int | None = None) -> Iterator[str]:
        found = sorted(k for k in self.objects if k.startswith(prefix) and k > (after or ""))
        yield from found[:limit]

    def folders(self, prefix: str) -> Iterator[str]:
        below = (k.removeprefix(prefix).partition("/") for k in list(self.objects) if k.startswith(prefix))
        yield from sorted({name for name, slash, _ in below if slash})

    def link(self, key: str, *, seconds: int, filename: str) -> str | None:
        return None

    def delete(self, key: str) -> None:
        self.objects.pop(key, None)


def _whole(body: Body) -> bytes:
    if isinstance(body, bytes):
        return body
    body.seek(0)
    return body.read()


def told_times(store: MemoryStore) -> list[str]:
    """The entries of `due/` but for those of renewals, which lie years ahead."""
    return [key for key in store.list("due/") if not key.endswith("-renew")]


class ManualClock:
    """A clock that moves only when told to."""

    def __init__(self, start: datetime = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)) -> None:
        self._now = start

    def now(self) -> datetime:
        return self._now

    def advance(self, step: timedelta) -> None:
        self._now += step


class EventList:
    """`Publisher` that keeps what it was given; raises `failure` instead while that is set."""

    def __init__(self) -> None:
        self.events: list[Mapping[str, object]] = []
        self.failure: Exception | None = None

    def publish(self, event: Mapping[str, object]) -> None:
        if self.failure:
            raise self.failure
        self.events.append(event)

    @property
    def types(self) -> list[object]:
        return [e["type"] for e in self.events]


def without_tools(
    store: MemoryStore | None = None,
    clock: ManualClock | None = None,
    events: EventList | None = None,
    **more: Any,
) -> Services:
    """What commands are taken in with: a store in memory, the real templates, no LibreOffice and no keys."""
    return Services(
        store=store or MemoryStore(),
        clock=clock or ManualClock(),
        publisher=events or EventList(),
        templates=Catalogue(Path(__file__).parents[1] / "templates"),
        hand_over=lambda _capability, _agreement_id, _run: None,
        open_typesetting=None,
        open_keys=None,
        **more,
    )
