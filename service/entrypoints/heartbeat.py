"""Whether a worker still consumes: what its loop tells, and what the broker says of it.

A worker may be connected and yet take nothing: its loop hangs in a call that does not come back, or its channel is
dead and nobody said so. It may also take nothing because the broker is away, and then to end it would mend nothing.
So a watcher asks the broker itself, over a connection of its own, and only where the broker has answered all the time
does a worker that stands still count as dead:

    blocked   the loop has not turned
    starved   messages wait, the worker is idle, and it gets none

`/readyz` says why the worker cannot work now: starting, stopping, broker, blocked, starved, office, keys.
"""

from __future__ import annotations

import contextlib
import mmap
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from kombu import Connection
from kombu.exceptions import OperationalError

from service.entrypoints.management import Answer, state
from service.errors import BrokerUnavailable
from service.transport import Broker

__all__ = ["BEAT", "Heart", "Inquiry", "Readiness", "watch"]

BEAT: Final = 1.0
"""Seconds between two turns of the loop that are noted."""
_LATE: Final = 10.0
"""Seconds without a turn after which the worker is not ready."""
_START_LIMIT: Final = 600.0
"""Seconds that a worker may take to its first turn, with the broker there."""
_LOOK_AT_MOST_EVERY: Final = 15.0
_PLACES: Final = 64
"""The most processes that a worker may have (`SIGNERT_CONCURRENCY`)."""

_ANSWER_LIMIT: Final = 5.0


class Readiness:
    """What a worker's processes know of one another, in memory that all forked from one share.

    Those that work tell how their start went; the one that forked them tells when all is to stop.
    """

    _REASONS: Final = (None, "office", "keys")

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, _PLACES + 1)

    def tell(self, process: int, reason: str | None) -> None:
        """`process` is the place in the pool: who takes a dead one's place overwrites what that has told."""
        self._shared[process % _PLACES] = self._REASONS.index(reason)

    def failed(self, process: int) -> bool:
        return self._shared[process % _PLACES] != 0

    @property
    def reason(self) -> str | None:
        """Why a process of this worker could not get ready, or None."""
        return self._REASONS[max(self._shared[:_PLACES])]

    def stop(self) -> None:
        self._shared[_PLACES] = 1

    @property
    def stopping(self) -> bool:
        """Whether this worker has been told to stop: no new work is to be begun."""
        return bool(self._shared[_PLACES])


@dataclass
class Heart:
    """What is known of a worker's loop. Written by the loop and the watcher, read by anyone; times are monotonic.

    `patience` is for how many seconds a worker may stand still while the broker is there.
    """

    patience: float
    readiness: Readiness
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._began = self.clock()
        self._turned: float | None = None
        self._connected = False
        self._received = 0
        self._keeping = 0
        self._busy = False
        self._answers_since: float | None = None
        self._asked = False
        self._starves_since: float | None = None
        self._received_before = -1

    # --- told by the loop

    def connected(self) -> None:
        """The broker is reached and the queues are asked for. The next turn says that they are consumed."""
        self._connected = True

    def disconnected(self) -> None:
        self._connected = False

    def turn(self, *, busy: bool) -> None:
        """The loop has turned; `busy`: this worker has messages to work on."""
        self._turned = self.clock()
        self._busy = busy

    def received(self) -> None:
        self._received += 1

    def keep(self, change: int) -> None:
        """So many more (or fewer) messages are held that cannot be put aside yet: the broker may send no others."""
        self._keeping += change

    def stop(self) -> None:
        self.readiness.stop()

    # --- told by the watcher

    def broker_away(self) -> None:
        self._asked = True
        self._answers_since = self._starves_since = None

    def broker_answers(self, *, waits: bool) -> None:
        """The broker answers; `waits`: there is something to consume."""
        now = self.clock()
        self._asked = True
        self._answers_since = self._answers_since or now
        idle = self._connected and not self._busy and not self._keeping
        if waits and idle and self._received == self._received_before:
            self._starves_since = self._starves_since or now
        else:
            self._starves_since = None
        self._received_before = self._received

    # --- what is asked

    def livez(self) -> Answer:
        return state(None if self.readiness.stopping else self._dead())

    def readyz(self) -> Answer:
        return state(self._unready())

    def _dead(self) -> str | None:
        if self._answers_since is None:
            return None
        now = self.clock()
        # Counted from when the broker is back: until then there was nothing to consume.
        still = now - max(self._turned or self._began, self._answers_since)
        if still > (self.patience if self._turned is not None else max(self.patience, _START_LIMIT)):
            return "blocked"
        if self._starves_since is not None and now - self._starves_since > self.patience:
            return "starved"
        return None

    def _unready(self) -> str | None:
        if self.readiness.stopping:
            return "stopping"
        if self._asked and self._answers_since is None:
            return "broker"
        if dead := self._dead():
            return dead
        if self._turned is None:
            return "starting"
        if not self._connected:
            return "broker"
        if self.clock() - self._turned > _LATE:
            return "blocked"
        return self.readiness.reason


class Inquiry:
    """Asks the broker whether a message waits in one of these queues.

    It keeps a connection of its own, in which nothing takes longer than some seconds. For one thread.
    """

    def __init__(self, broker: Broker, queues: Sequence[str]) -> None:
        self._broker = broker
        self._queues = queues
        self._connection: Connection | None = None

    def __call__(self) -> bool:
        """Raises `BrokerUnavailable`."""
        if self._connection is not None:
            with contextlib.suppress(
                BrokerUnavailable
            ):  # it may have been cut for being silent: try a new one
                return self._ask(self._connection)
        self._connection = self._connect()
        return self._ask(self._connection)

    def _connect(self) -> Connection:
        limits = (
            {"read_timeout": _ANSWER_LIMIT, "write_timeout": _ANSWER_LIMIT} if self._broker.is_amqp else {}
        )
        return Connection(
            self._broker.url,
            ssl=self._broker.ssl,
            connect_timeout=_ANSWER_LIMIT,
            heartbeat=0,
            transport_options={**self._broker.transport_options, **limits},
        )

    def _ask(self, connection: Connection) -> bool:
        try:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=_ANSWER_LIMIT)
            return any(self._waits(connection, name) for name in self._queues)
        except (OperationalError, OSError, *connection.connection_errors) as exc:
            self._connection = None
            with contextlib.suppress(Exception):
                connection.collect(socket_timeout=_ANSWER_LIMIT)
            raise BrokerUnavailable("the broker does not answer") from exc

    def _waits(self, connection: Connection, name: str) -> bool:
        try:
            with connection.channel() as channel:
                # On Redis an empty queue is none, and to ask for it passively an error.
                found: Any = channel.queue_declare(queue=name, passive=self._broker.is_amqp)
        except connection.channel_errors:
            return False  # it is not there (any more): the consumer will hear of it
        return bool(found.message_count)


@contextlib.contextmanager
def watch(heart: Heart, ask: Callable[[], bool]) -> Iterator[None]:
    """Ask the broker every now and then, in a thread, for as long as the context lasts."""
    done = threading.Event()
    every = min(_LOOK_AT_MOST_EVERY, heart.patience / 3)

    def look() -> None:
        while not done.wait(every):
            try:
                heart.broker_answers(waits=ask())
            except BrokerUnavailable:
                heart.broker_away()

    threading.Thread(target=look, name="heartbeat", daemon=True).start()
    try:
        yield
    finally:
        done.set()
