"""A worker process: what it consumes, how it is watched, and how it ends."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
from dataclasses import replace
from enum import StrEnum
from functools import partial

import celery.apps.worker as celery_worker
from celery import Celery
from celery.platforms import set_pdeathsig
from celery.signals import beat_embedded_init, setup_logging, worker_process_init, worker_shutting_down

from service.bootstrap import check_store
from service.config import Settings
from service.entrypoints.application import COMMANDS, TICKS, queue_of
from service.entrypoints.heartbeat import Heart, Inquiry, watch
from service.entrypoints.management import serve_management
from service.entrypoints.metrics import queue_lengths, telemetry
from service.entrypoints.output import log_line
from service.entrypoints.tasks import Runtime, register
from service.transport import DEAD_LETTERS, EVENTS, Broker

__all__ = ["Sweeping", "run_worker"]

log = logging.getLogger(__name__)

_LAST_RESORT = 3.0
"""Seconds after the grace period after which a worker that still has not ended is ended."""


def _keep_the_log(**_: object) -> None:
    """Celery leaves logging alone when somebody listens to its signal: the log is set up already."""


def _end_with(worker: int) -> None:
    """In a process that the worker's main process has forked: let the kernel end it with that one.

    Celery does so for the processes that work, not for beat, which would go on for ever.
    """
    set_pdeathsig("SIGKILL")
    if os.getppid() != worker:  # it has ended already
        os._exit(1)


def _bounded_shutdown(grace: float) -> None:
    """Let what is under way end, but not for ever: after a while it is cancelled, and the broker has it again.

    Celery's own soft shutdown sleeps its whole time limit, however soon the tasks are done. Should even cancelling
    hang, on a connection that is dead and does not know it, the process ends: what it held is delivered again.
    """

    def end() -> None:
        log.error("the worker did not end in time; what it worked on is given to another")
        os._exit(1)

    for seconds, act in ((grace, partial(os.kill, os.getpid(), signal.SIGQUIT)), (grace + _LAST_RESORT, end)):
        timer = threading.Timer(seconds, act)
        timer.daemon = True
        timer.start()


class Sweeping(StrEnum):
    """Whether a worker also sweeps: looks, every half minute, for what waits or was left behind."""

    ALSO = "also"
    ONLY = "only"
    """It takes no commands and does no steps; what it finds goes on the queue."""
    NO = "no"
    """Another worker does."""


def _every_queue(app: Celery) -> list[str]:
    """The queues whose lengths are told."""
    broker: Broker = app.signert_broker
    names = [*app.signert_queues, EVENTS]
    return [*names, *(f"{q}.retry" for q in app.signert_queues), DEAD_LETTERS] if broker.is_amqp else names


def _say_in_the_log() -> None:
    """Have Celery's farewell, which it writes past the log, be a line of it."""

    def say(message: str, *_: object) -> None:
        with contextlib.suppress(OSError):
            os.write(2, f"{log_line(message, 'celery.worker')}\n".encode())

    celery_worker.safe_say = say


def run_worker(app: Celery, settings: Settings, *, loglevel: str, sweeping: Sweeping = Sweeping.ALSO) -> None:
    """Work until told to stop (SIGTERM: finish what is under way). Raises `ConfigurationError` for an unfit store."""
    if sweeping is Sweeping.ONLY:
        settings = replace(settings, capabilities=frozenset(), concurrency=1)
        app.conf.worker_concurrency = 1
    check_store(settings)
    main = os.getpid()
    for started in (worker_process_init, beat_embedded_init):
        started.connect(lambda **_: _end_with(main), weak=False)
    runtime = Runtime(app, settings)
    register(app, runtime)
    setup_logging.connect(_keep_the_log, weak=False)
    _say_in_the_log()
    sweeps = sweeping is not Sweeping.NO
    queues = [*map(queue_of, sorted(settings.capabilities)), *([TICKS] if sweeps else [])]
    if sweeping is not Sweeping.ONLY:
        queues.insert(0, COMMANDS)
    heart: Heart = app.signert_heart

    def shutting_down(how: str, **_: object) -> None:
        heart.stop()
        if how == "Warm":
            _bounded_shutdown(settings.shutdown_grace)

    worker_shutting_down.connect(shutting_down, weak=False)
    arguments = [
        "--quiet",
        "worker",
        *(["--beat"] if sweeps else []),
        "--without-mingle",
        "--without-gossip",
        # Celery's own heartbeat is an event that its loop publishes and waits to be confirmed, however long that takes:
        # a broker that takes no messages for a while (RabbitMQ out of memory) would stop this worker from consuming.
        "--without-heartbeat",
        "--loglevel",
        loglevel,
        "--queues",
        ",".join(queues),
    ]
    try:
        with (
            telemetry(settings, "worker") as opened,
            serve_management(
                settings,
                {
                    "/livez": heart.livez,
                    "/readyz": heart.readyz,
                    **opened.routes(queue_lengths(app.signert_broker, _every_queue(app))),
                },
            ),
            watch(heart, Inquiry(app.signert_broker, queues))
            if settings.management_port
            else contextlib.nullcontext(),
        ):
            app.signert_telemetry = opened.signals
            app.worker_main(arguments)
    finally:
        runtime.close()
