"""What a process that serves `/metrics` does for it: opens the telemetry, and asks the broker at the scrape.

with telemetry(settings, "worker") as opened:
    routes["/metrics"] = opened.metrics(queue_lengths(broker, queues))
"""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Final

from kombu import Connection
from kombu.exceptions import OperationalError

from service.bootstrap import Telemetry, metrics_exposition, metrics_folder, open_telemetry
from service.config import Settings
from service.domain.signals import BROKER_UP, BUILD, QUEUE, Metric
from service.entrypoints.management import Answer, Routes
from service.transport import Broker

__all__ = ["CONTENT_TYPE", "Opened", "queue_lengths", "telemetry"]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_ANSWER_LIMIT: Final = 2.0
_FRESH: Final = 5.0
"""Seconds for which an answer of the broker is good enough for another scrape."""

Figures = Mapping[Metric, Mapping[tuple[str, ...], float]]


@dataclass(frozen=True)
class Opened:
    """Telemetry of this process and its children. `folder` is None where nobody asks for metrics."""

    signals: Telemetry
    folder: Path | None

    def routes(self, ask: Callable[[], Figures] = dict) -> Routes:
        """`/metrics`, where there are metrics; `ask` gives what is looked up at the scrape."""
        if self.folder is None:
            return {}
        expose = partial(metrics_exposition, self.folder, lambda: {**_build(), **ask()})
        return {"/metrics": lambda: Answer(200, expose(), CONTENT_TYPE)}


@contextlib.contextmanager
def telemetry(settings: Settings, role: str) -> Iterator[Opened]:
    """Telemetry for a process that does `role` (worker, http), opened before it forks. Raises `ConfigurationError`."""
    folder = metrics_folder() if settings.management_port else None
    owner = os.getpid()
    try:
        opened = open_telemetry(role, folder=folder)
        try:
            yield Opened(opened, folder)
        finally:
            opened.close()
    finally:
        if folder and os.getpid() == owner:
            shutil.rmtree(folder, ignore_errors=True)


def _build() -> Figures:
    return {BUILD: {(version("signert"), platform.python_version()): 1.0}}


def queue_lengths(broker: Broker, queues: Sequence[str]) -> Callable[[], Figures]:
    """Asks the broker how many messages wait in each queue. Takes some seconds at most, whatever the broker does."""
    lock = threading.Lock()
    last: list[tuple[float, Figures]] = []

    def ask() -> Figures:
        with lock:
            if not last or time.monotonic() - last[-1][0] > _FRESH:
                last[:] = [(time.monotonic(), _asked(broker, queues))]
            return last[-1][1]

    return ask


def _asked(broker: Broker, queues: Sequence[str]) -> Figures:
    limits = {"read_timeout": _ANSWER_LIMIT, "write_timeout": _ANSWER_LIMIT} if broker.is_amqp else {}
    connection = Connection(
        broker.url,
        ssl=broker.ssl or False,
        connect_timeout=_ANSWER_LIMIT,
        heartbeat=0,
        transport_options={**broker.transport_options, **limits},
    )
    found: dict[tuple[str, ...], float] = {}
    deadline = time.monotonic() + 2 * _ANSWER_LIMIT
    try:
        connection.ensure_connection(max_retries=1, interval_start=0, timeout=_ANSWER_LIMIT)
        for name in queues:
            if time.monotonic() > deadline:
                return {BROKER_UP: {(): 0.0}, QUEUE: found}
            # On Redis an empty queue is none, and to ask for it passively an error; RabbitMQ ends the channel.
            with contextlib.suppress(*connection.channel_errors), connection.channel() as channel:
                told = channel.queue_declare(queue=name, passive=broker.is_amqp)
                found[(name,)] = float(told.message_count)
    except (OperationalError, OSError, *connection.connection_errors):
        return {BROKER_UP: {(): 0.0}}
    finally:
        with contextlib.suppress(Exception):
            connection.collect(socket_timeout=_ANSWER_LIMIT)
    return {BROKER_UP: {(): 1.0}, QUEUE: found}
