"""What stands between the broker and Celery: no message can stop a worker, vanish, or come back for ever.

Celery raises out of its loop when a message lacks its headers or has a body that is no task's, and it acknowledges,
thereby drops, what it cannot decode. Here such a message is kept in quarantine and answered. So is one that has cost
too many workers their lives; if it had become an agreement, the agreement is parked instead.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import re
import signal
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from celery import Celery, bootsteps
from celery.worker.consumer import Consumer
from celery.worker.state import reserved_requests

from service.entrypoints.heartbeat import BEAT
from service.errors import CommandRejected, FieldError, SignertError
from service.pipeline.quarantine import reject
from service.pipeline.sweep import park_abandoned
from service.transport import DELIVERY_LIMIT, RETRY_AFTER

__all__ = ["COMMAND_PREFIX", "DRIVE", "MAX_MESSAGE", "SWEEP", "GuardedConsumer"]

log = logging.getLogger(__name__)

COMMAND_PREFIX = "signert.v1."
MAX_MESSAGE = 1024 * 1024
"""Bytes of a command's body; the largest agreement that the schema allows is a tenth of it."""
DRIVE, SWEEP = f"{COMMAND_PREFIX}drive", f"{COMMAND_PREFIX}sweep"
_COUNTED = 10_000
_LOOK_AT_BEAT = 10.0
"""Seconds."""
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Topology(bootsteps.StartStopStep):  # type: ignore[misc]
    """Declares, at each connection, the queues that no worker consumes from."""

    requires = ("celery.worker.consumer.connection:Connection",)

    def start(self, consumer: Any) -> None:
        broker = consumer.app.signert_broker
        queues = [broker.event_queue()]
        if broker.is_amqp:
            queues += [broker.dead_letter_queue(), *map(broker.retry_queue, consumer.app.signert_queues)]
        with consumer.connection.channel() as channel:
            for queue in queues:
                queue(channel).declare()


class BeatWatch(bootsteps.StartStopStep):  # type: ignore[misc]
    """Ends a worker whose clock has died, so that it is started anew: without ticks nothing parked goes on."""

    requires = ("celery.worker.consumer.connection:Connection",)

    def start(self, consumer: Any) -> None:
        self._watch = consumer.timer.call_repeatedly(_LOOK_AT_BEAT, self._look, (consumer,))

    def stop(self, _consumer: Any) -> None:
        self._watch.cancel()

    def _look(self, consumer: Any) -> None:
        beat = getattr(consumer.controller, "beat", None)
        if beat is not None and beat.pid is not None and not beat.is_alive():
            log.error("the clock of this worker has died; ending, to be started anew")
            os.kill(os.getpid(), signal.SIGTERM)


class Heartbeat(bootsteps.StartStopStep):  # type: ignore[misc]
    """Tells, while this worker is connected, that its loop turns (see `heartbeat`)."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, consumer: Any) -> None:
        consumer.app.signert_heart.connected()
        self._beat = consumer.timer.call_repeatedly(BEAT, self._turn, (consumer,))

    def stop(self, consumer: Any) -> None:
        consumer.app.signert_heart.disconnected()
        self._beat.cancel()

    def _turn(self, consumer: Any) -> None:
        consumer.app.signert_heart.turn(busy=bool(reserved_requests))


class GuardedConsumer(Consumer):  # type: ignore[misc]
    """Celery's consumer with a guard before each message."""

    class Blueprint(Consumer.Blueprint):  # type: ignore[misc]
        # Celery's delayed delivery would declare 28 queues, for waits of up to eight years; we have one wait.
        default_steps = [  # noqa: RUF012 (as in the base class)
            *(s for s in Consumer.Blueprint.default_steps if not s.endswith(":DelayedDelivery")),
            Topology,
            BeatWatch,
            Heartbeat,
        ]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deliveries: Counter[str] = Counter()

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], None]:
        handle = super().create_task_handler(*args, **kwargs)

        def guarded(message: Any) -> None:
            self.app.signert_heart.received()
            try:
                fault = _unreadable(self.app, message)
            except Exception as exc:  # noqa: BLE001 (whatever a message makes the decoders raise)
                fault = type(exc).__name__
            if fault is not None:
                self._keep(message, fault)
                return
            if self._delivered(message) >= DELIVERY_LIMIT:
                self._put_aside(message)
                return
            try:
                handle(message)
            except Exception as exc:  # noqa: BLE001 (whatever a message makes Celery raise)
                self._keep(message, type(exc).__name__)

        return guarded

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        self._keep(message, type(exc).__name__)

    def on_unknown_message(self, _body: Any, message: Any) -> None:
        self._keep(message, "no task")

    def on_unknown_task(self, _body: Any, message: Any, _exc: Exception) -> None:
        self._keep(message, "unknown task")

    def on_invalid_task(self, _body: Any, message: Any, exc: Exception) -> None:
        self._keep(message, type(exc).__name__)

    def _delivered(self, message: Any) -> int:
        """How often the message came before: told by a quorum queue, elsewhere counted by this worker."""
        told = message.headers.get("x-delivery-count")
        if isinstance(told, int):
            return told
        if not message.delivery_info.get("redelivered"):
            return 0
        if len(self._deliveries) > _COUNTED:
            self._deliveries.clear()
        self._deliveries[message.headers["id"]] += 1
        return self._deliveries[message.headers["id"]]

    def _keep(self, message: Any, fault: str) -> None:
        """Put a message that is no command in quarantine, and take it off the queue."""
        error = CommandRejected(
            f"the message is no command of Signert ({fault})",
            [
                FieldError(
                    "$",
                    "malformed_message",
                    "Send JSON after Celery's message protocol 2; see docs/integration.md.",
                )
            ],
            code="malformed_message",
        )
        self._settle(
            message, lambda: reject(self.app.signert_services(), "malformed", _as_json(message), error)
        )

    def _put_aside(self, message: Any) -> None:
        """Stop working on a message that nobody has survived."""
        name = message.headers["task"].removeprefix(COMMAND_PREFIX)
        kwargs = message.decode()[1]
        log.error("task=%s id=%s delivered too often", name, _shown(message))

        def put_aside() -> None:
            services = self.app.signert_services()
            if park_abandoned(services, kwargs) or "command" not in kwargs:
                return
            error = CommandRejected(
                f"work on this command ended {DELIVERY_LIMIT} times with the worker's death",
                [FieldError("$", "delivery_limit", "The operator is to look; see `signert quarantine`.")],
                code="delivery_limit",
            )
            reject(services, name, kwargs["command"], error, signature=kwargs.get("signature"))

        self._settle(message, put_aside)

    def _settle(self, message: Any, keep: Callable[[], object], first: bool = True) -> None:
        """Acknowledge `message` once `keep` is done. Until then it stays unacknowledged: the broker has it."""
        try:
            keep()
        except SignertError as exc:
            log.error("message not kept: code=%s retry_in=%ds", exc.code, RETRY_AFTER)  # noqa: TRY400
            if first:
                self.app.signert_heart.keep(+1)
            self.timer.call_after(RETRY_AFTER, self._settle, (message, keep, False))
            return
        if not first:
            self.app.signert_heart.keep(-1)
        log.warning("message kept in quarantine: id=%s", _shown(message))
        message.ack_log_error(log, (OSError, *self.connection_errors))


def _unreadable(app: Celery, message: Any) -> str | None:
    """Why Celery would stumble over `message`, or None."""
    if len(message.body) > MAX_MESSAGE:
        return f"larger than {MAX_MESSAGE} bytes"
    headers = message.headers or {}
    if not isinstance(headers.get("id"), str) or not isinstance(headers.get("task"), str):
        return "no id and task in the headers"
    if headers["task"] not in app.tasks:
        return "unknown task"
    body = message.decode()
    if not (
        isinstance(body, list) and len(body) == 3 and isinstance(body[0], list) and isinstance(body[1], dict)
    ):
        return "the body is not [args, kwargs, embed]"
    if not isinstance(body[2], dict) or any(value is not None for value in body[2].values()):
        # Callbacks would have this worker send the producer's messages with its own rights.
        return "the body's third part holds more than nulls"
    if fault := _unfit_header(app, headers):
        return f"the header {fault} is not for producers to set"
    return None if _is_ours(headers["task"], *body[:2]) else "not what the service sends to itself"


def _unfit_header(app: Celery, headers: Mapping[str, Any]) -> str | None:
    """A header by which a producer could stop a worker, or have Celery throw the command away."""
    allowed: Mapping[str, bool] = {
        "timelimit": headers.get("timelimit") in (None, [None, None]),
        "shadow": headers.get("shadow") is None,
        "expires": headers.get("expires") is None or headers["task"] == SWEEP,
        "eta": headers.get("eta") is None or (not app.signert_broker.is_amqp and _is_soon(headers["eta"])),
        "retries": isinstance(headers.get("retries", 0), int | None),
        "group": headers.get("group") is None,
    }
    return next((name for name, fit in allowed.items() if not fit), None)


def _is_soon(eta: object) -> bool:
    """Whether a worker may hold a message so long: our own tries do, where the broker has no queue for waiting."""
    try:
        moment = datetime.fromisoformat(str(eta))
        return moment <= datetime.now(UTC) + timedelta(seconds=2 * RETRY_AFTER)
    except (ValueError, TypeError):
        return False


def _is_ours(task: str, args: list[Any], kwargs: dict[str, Any]) -> bool:
    """Whether a message between workers is as a worker would send it. Commands are judged at intake."""
    if task == DRIVE:
        ids = [kwargs.get("agreement_id"), kwargs.get("run")]
        return not args and len(kwargs) == 2 and all(isinstance(i, str) and _UUID.fullmatch(i) for i in ids)
    return task != SWEEP or not (args or kwargs)


def _shown(message: Any) -> str:
    """The message's id for the log: a sender may have put anything there."""
    given = (message.headers or {}).get("id")
    return given if isinstance(given, str) and _UUID.fullmatch(given) else "(none that is a UUID)"


def _as_json(message: Any) -> dict[str, Any]:
    """A raw message, whole, but for what the broker adds at each delivery."""
    body = message.body if isinstance(message.body, bytes) else str(message.body).encode()
    headers = {k: v for k, v in (message.headers or {}).items() if not k.startswith("x-")}
    return {
        "headers": json.loads(json.dumps(headers, default=str)),
        "content_type": message.content_type,
        "content_encoding": message.content_encoding,
        "body_base64": base64.b64encode(body).decode(),
    }
