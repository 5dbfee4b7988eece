"""The Celery application on a broker: its queues, what is sent to them, and whether the broker answers.

With no tasks yet: enough for who sends commands.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Final

from celery import Celery
from kombu.exceptions import OperationalError

from service.bootstrap import Telemetry, event_publisher, open_broker, open_services
from service.config import Settings
from service.domain.steps import Capability
from service.entrypoints.consumer import COMMAND_PREFIX, DRIVE, SWEEP
from service.entrypoints.heartbeat import Heart, Readiness
from service.errors import BrokerUnavailable
from service.pipeline.doctor import Said
from service.pipeline.services import Services
from service.transport import Broker

__all__ = [
    "COMMANDS",
    "TICKS",
    "check_broker",
    "hand_over",
    "make_app",
    "open_connected_services",
    "queue_of",
    "send",
    "send_command",
]

COMMANDS: Final = "signert.commands"
TICKS: Final = "signert.ticks"
_SWEEP_INTERVAL = 30.0
_CHECK_SECONDS = 5.0


def queue_of(capability: Capability) -> str:
    """The queue of what needs this capability."""
    return f"signert.{capability}"


def make_app(broker: Broker, settings: Settings) -> Celery:
    """The Celery application on this broker, with no tasks yet: enough to send commands."""
    app = Celery("signert", broker=broker.url, set_as_current=False)
    app.signert_broker = broker
    app.signert_queues = (COMMANDS, *map(queue_of, Capability))
    app.signert_telemetry = Telemetry()
    app.signert_heart = Heart(settings.stalled_after, Readiness())
    interval = min(_SWEEP_INTERVAL, settings.abandoned_after / 2)
    app.conf.update(
        broker_transport_options=broker.transport_options,
        broker_use_ssl=broker.ssl,
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_default_queue=COMMANDS,
        task_default_exchange="signert",
        task_queues=[*map(broker.queue, app.signert_queues), broker.tick_queue(TICKS)],
        worker_prefetch_multiplier=1,
        worker_concurrency=settings.concurrency,
        worker_consumer="service.entrypoints.consumer:GuardedConsumer",
        worker_proc_alive_timeout=120,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        broker_connection_retry_on_startup=True,
        beat_schedule={
            "sweep": {"task": SWEEP, "schedule": interval, "options": {"queue": TICKS, "expires": interval}}
        },
        beat_scheduler="celery.beat:Scheduler",  # keeps nothing on disk: two workers may share a data folder
        enable_utc=True,
    )
    return app


def send_command(app: Celery, name: str, payload: Mapping[str, Any], *, signature: str | None = None) -> None:
    """Put a command on the queue; returns when the broker has it. Raises `BrokerUnavailable`."""
    signed = {} if signature is None else {"signature": signature}
    send(app, f"{COMMAND_PREFIX}{name}", {"command": payload, **signed}, COMMANDS)


def send(app: Celery, task: str, kwargs: Mapping[str, Any], queue: str) -> None:
    """Put a task on a queue, with the present trace. Raises `BrokerUnavailable`."""
    telling: Telemetry = app.signert_telemetry
    try:
        with telling.span(f"send {task}", task=task):
            headers = {"sent_at": time.time(), **telling.trace_headers()}
            app.send_task(task, kwargs=kwargs, queue=queue, headers=headers)
    except OperationalError as exc:
        raise BrokerUnavailable(
            "the broker does not take messages", remedy="Check SIGNERT_BROKER and that the broker runs."
        ) from exc


def check_broker(settings: Settings) -> Iterator[Said]:
    """Whether the broker takes messages and has the queues, for `signert doctor`. Raises `BrokerUnavailable`."""
    with open_broker(settings) as broker:
        app = make_app(broker, settings)
        try:
            with app.connection_for_write(connect_timeout=_CHECK_SECONDS) as connection:
                connection.ensure_connection(max_retries=1, interval_start=0)
                with connection.channel() as channel:
                    waiting = {name: _declared(channel, broker, name) for name in app.signert_queues}
        except (OperationalError, OSError) as exc:
            raise BrokerUnavailable(
                f"the broker does not answer ({type(exc).__name__})",
                remedy="Check SIGNERT_BROKER, its password file and certificates, and that the broker runs.",
            ) from None
    told = ", ".join(f"{name} {number}" for name, number in waiting.items())
    yield Said("embedded" if settings.broker is None else "broker", f"answers; messages waiting: {told}")


def _declared(channel: Any, broker: Broker, name: str) -> int:
    """Declare the queue as a worker does; how many messages wait there."""
    broker.queue(name).bind(channel).declare()
    # On Redis an empty queue is none, and to ask for it passively an error.
    return int(channel.queue_declare(queue=name, passive=broker.is_amqp).message_count)


def hand_over(app: Celery, capability: Capability, agreement_id: str, run: str) -> None:
    """Ask the workers that have the capability to drive the agreement on. Raises `BrokerUnavailable`."""
    send(app, DRIVE, {"agreement_id": agreement_id, "run": run}, queue_of(capability))


@contextlib.contextmanager
def open_connected_services(settings: Settings, app: Celery) -> Iterator[Services]:
    """The pipeline's services, publishing and handing over through the application's broker."""
    signals: Telemetry = app.signert_telemetry
    with (
        event_publisher(app.signert_broker, signals) as publisher,
        open_services(
            settings, publisher=publisher, hand_over=partial(hand_over, app), signals=signals
        ) as services,
    ):
        yield services
