"""Where events go: to the broker's exchange, or to a file.

Both carry CloudEvents 1.0 in structured mode (CloudEvents spec v1.0.2 § 3, JSON event format § 2; AMQP
protocol binding § 3.2): the whole event is one JSON object, and the content type says so.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from amqp.exceptions import AccessRefused, MessageNacked, NotAllowed, PreconditionFailed
from kombu import Connection, Producer, Queue
from kombu.exceptions import OperationalError

from service.errors import BrokerUnavailable, ConfigurationError
from service.transport import EVENTS, Broker

__all__ = ["CONTENT_TYPE", "EventFile", "EventPublisher"]

CONTENT_TYPE = "application/cloudevents+json"

_ATTEMPTS = 4
_FIRST_PAUSE = 0.1
_CONNECT_LIMIT = 5.0
_ANSWER_LIMIT = 5.0
_PUBLISH_LIMIT = 10.0  # after which no further attempt begins

# What no further attempt can cure: wrong password or rights, or a queue of that name with other arguments.
_REFUSALS = (AccessRefused, NotAllowed, PreconditionFailed)


class EventPublisher:
    """Publishes events on a broker that kombu can reach (`amqp://`, `redis://`, `redis+socket://`, …).

    Messages are persistent, and RabbitMQ confirms each of them. Safe for threads and over fork. `trace_headers` gives
    what goes along as headers, so that a receiver can go on with the trace.
    """

    def __init__(self, broker: Broker, *, trace_headers: Callable[[], Mapping[str, str]] = dict) -> None:
        self._broker = broker
        self._trace_headers = trace_headers
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._connection: Connection | None = None
        self._inherited: list[Connection] = []

    def publish(self, event: Mapping[str, object]) -> None:
        """Hand over one CloudEvents 1.0 event; returns when the broker has taken it (at least once).

        Raises `BrokerUnavailable` (retryable) after some attempts, each on a new connection, and
        `ConfigurationError` when the broker refuses.
        """
        body = _encode(event)
        deadline = time.monotonic() + _PUBLISH_LIMIT
        with self._lock:
            for attempt in range(_ATTEMPTS):
                if attempt:
                    if time.monotonic() > deadline:
                        break
                    time.sleep(_FIRST_PAUSE * 2 ** (attempt - 1))
                connection = self._connect()
                try:
                    _send(connection, self._broker.event_queue(), event, body, self._trace_headers())
                except _REFUSALS as error:
                    self._drop()
                    raise ConfigurationError(
                        f"The broker {self._broker.shown} refuses events ({type(error).__name__}).",
                        remedy=f"Check the user's rights, and that queue {EVENTS} was not made differently.",
                    ) from error
                except _failures(connection) as error:
                    self._abandon()
                    failure = error
                else:
                    return
        raise BrokerUnavailable(
            f"The broker {self._broker.shown} did not take event {event['id']} ({type(failure).__name__}).",
            remedy="Check SIGNERT_BROKER and that the broker runs; the event is published again.",
        ) from failure

    def close(self) -> None:
        """Close the connection; `publish` opens it again."""
        with self._lock:
            self._drop()

    def _connect(self) -> Connection:
        if self._pid != os.getpid():
            # The socket is the parent's too: closing it, or letting it be collected, would end the
            # parent's session.
            if self._connection is not None:
                self._inherited.append(self._connection)
            self._connection, self._pid = None, os.getpid()
        if self._connection is None:
            self._connection = Connection(
                self._broker.url,
                connect_timeout=_CONNECT_LIMIT,
                transport_options=self._broker.transport_options,
                ssl=self._broker.ssl or False,
            )
        return self._connection

    def _abandon(self) -> None:
        # Without a farewell: a broker that is blocked or cut off would not answer it.
        if self._connection is not None:
            self._connection.collect(_CONNECT_LIMIT)
        self._connection = None

    def _drop(self) -> None:
        if self._connection is not None and self._pid == os.getpid():
            self._connection.release()
        self._connection = None


class EventFile:
    """Appends each event as one line of JSON to a file: for runs without a broker."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def publish(self, event: Mapping[str, object]) -> None:
        """Write one event; returns when it is on disk. Raises `BrokerUnavailable` when it cannot be."""
        line = _encode(event).encode() + b"\n"
        try:
            self._append(line)
        except OSError as error:
            raise BrokerUnavailable(
                f"Event {event['id']} cannot be written to {self._path} ({error.strerror}).",
                remedy="Check that the folder can be written and has room.",
            ) from error

    def _append(self, line: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            _cut_half_line(file.fileno())
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the name, when the file is new
        finally:
            os.close(folder)


def _encode(event: Mapping[str, object]) -> str:
    missing = [name for name in ("id", "source", "specversion", "type") if not event.get(name)]
    if missing or event["specversion"] != "1.0":  # CloudEvents spec v1.0.2 § 3.1, required attributes
        raise ValueError(f"not a CloudEvents 1.0 event: {', '.join(missing) or 'specversion'}")
    return json.dumps(event, ensure_ascii=False, separators=(",", ":"))


def _failures(connection: Connection) -> tuple[type[Exception], ...]:
    return (
        *connection.connection_errors,
        *connection.channel_errors,
        OperationalError,
        MessageNacked,
        OSError,
    )


def _send(
    connection: Connection, queue: Queue, event: Mapping[str, object], body: str, headers: Mapping[str, str]
) -> None:
    connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0, timeout=_CONNECT_LIMIT)
    if connection.transport.driver_type == "amqp":
        # py-amqp has no time limit of its own for most answers.
        connection.connection.sock.settimeout(_ANSWER_LIMIT)
    channel = connection.default_channel
    _forget_lost_binding(channel)
    # Each time, since a queue may be deleted and a broker may come back empty: without a binding the broker
    # takes the event and throws it away. What it says against it comes in place of the event's confirmation.
    queue(channel).declare(nowait=True)
    Producer(channel, queue.exchange, auto_declare=False).publish(
        body,
        routing_key=str(event["type"]),
        content_type=CONTENT_TYPE,
        content_encoding="utf-8",
        delivery_mode="persistent",
        message_id=str(event["id"]),
        headers=dict(headers),
        confirm_timeout=_ANSWER_LIMIT,
    )


def _forget_lost_binding(channel: Any) -> None:
    """Make kombu bind again what it remembers as bound, when the broker (Valkey, Redis) has it no more."""
    state = getattr(channel, "state", None)
    if state is None or not hasattr(channel, "get_table"):
        return  # a broker that routes by itself (RabbitMQ)
    if EVENTS in state.exchanges and not any(row[-1] == EVENTS for row in channel.get_table(EVENTS)):
        state.queue_bindings_delete(EVENTS)


def _cut_half_line(descriptor: int) -> None:
    """Remove what a crash left of a line: that event was not acknowledged, and is written again."""
    size = os.fstat(descriptor).st_size
    end, block = size, 4096
    while end > 0:
        start = max(0, end - block)
        newline = os.pread(descriptor, end - start, start).rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    if end < size:
        os.ftruncate(descriptor, end)
