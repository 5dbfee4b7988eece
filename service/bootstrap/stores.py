"""Where things are kept, how messages travel, and what the time is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from service.adapters.directory import DirectoryStore
from service.config import S3Location, Settings
from service.domain.ports import Clock, ObjectStore, Publisher, Signals
from service.domain.signals import SILENT, STORE_RETRIES
from service.transport import Broker

if TYPE_CHECKING:
    from service.adapters.s3 import S3Store

__all__ = ["check_store", "event_file", "event_publisher", "open_broker", "open_store", "system_clock"]


class _SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


def system_clock() -> Clock:
    return _SystemClock()


def open_store(settings: Settings, signals: Signals = SILENT) -> ObjectStore:
    """The settings' store; with `signals`, its answers are timed and its errors counted."""
    store: ObjectStore = (
        _open_s3(settings.store, signals)
        if isinstance(settings.store, S3Location)
        else DirectoryStore(settings.store)
    )
    if signals is SILENT:
        return store
    from service.adapters.observed import ObservedStore

    return ObservedStore(store, signals)


def check_store(settings: Settings) -> None:
    """Refuse a store that agreements would not be safe in: for a worker, once, before its first task.

    Raises `ConfigurationError` when the store is not fit, `StoreError` when it cannot be reached.
    """
    if isinstance(settings.store, S3Location):
        _open_s3(settings.store).check()


def _open_s3(place: S3Location, signals: Signals = SILENT) -> S3Store:
    from service.adapters.s3 import S3Store

    return S3Store(
        place.bucket,
        place.prefix,
        endpoint=place.endpoint,
        region=place.region,
        lock=place.lock,
        on_retry=lambda doing: signals.count(STORE_RETRIES, doing),
    )


@contextlib.contextmanager
def open_broker(settings: Settings) -> Iterator[Broker]:
    """The broker. The embedded one runs at least as long as this context."""
    if settings.broker:
        yield settings.broker
        return
    from service.adapters.broker import EmbeddedBroker

    with EmbeddedBroker(settings.home / "broker") as url:
        yield Broker(url, lease=settings.abandoned_after)


def event_file(settings: Settings) -> Publisher:
    """Where events go when there is no broker."""
    from service.adapters.events import EventFile

    return EventFile(settings.home / "events.jsonl")


@contextlib.contextmanager
def event_publisher(broker: Broker, signals: Signals = SILENT) -> Iterator[Publisher]:
    """Where events go, each in the trace of the work that it tells of."""
    from service.adapters.events import EventPublisher

    publisher = EventPublisher(broker, trace_headers=signals.trace_headers)
    try:
        yield publisher
    finally:
        publisher.close()
