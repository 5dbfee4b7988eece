"""The Celery application: commands off the queue, and work handed from one capability to another.

Tasks are acknowledged late, one at a time, JSON only. A message that cannot be read never stops a worker: it is
kept in quarantine and taken off the queue (see `consumer`).
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from enum import StrEnum
from functools import partial
from typing import Any

import celery.apps.worker as celery_worker
from billiard import current_process
from celery import Celery, Task
from celery.exceptions import Reject
from celery.platforms import set_pdeathsig
from celery.signals import (
    beat_embedded_init,
    setup_logging,
    task_prerun,
    worker_process_init,
    worker_process_shutdown,
    worker_shutting_down,
)
from kombu.exceptions import OperationalError

from service.bootstrap import Telemetry, check_store, event_publisher, open_broker, open_services
from service.config import Settings
from service.domain.agreement import SEAL
from service.domain.signals import QUEUE_WAIT, about
from service.domain.steps import Capability
from service.entrypoints.consumer import COMMAND_PREFIX, DRIVE, SWEEP
from service.entrypoints.heartbeat import Heart, Inquiry, Readiness, watch
from service.entrypoints.management import serve_management
from service.entrypoints.metrics import queue_lengths, telemetry
from service.entrypoints.output import log_line
from service.errors import BrokerUnavailable, CommandRejected, FieldError, SignertError
from service.pipeline.doctor import Said
from service.pipeline.drive import drive, unforeseen
from service.pipeline.intake import receive
from service.pipeline.quarantine import reject
from service.pipeline.services import Services
from service.pipeline.sweep import sweep, take_up
from service.pipeline.work import Marker, marker_key
from service.schemas import COMMAND_SCHEMAS, valid_command_id
from service.transport import DEAD_LETTERS, EVENTS, RETRY_AFTER, Broker
from signing import SigningError

__all__ = ["Sweeping", "make_app", "open_connected_services", "run_worker", "send_command"]

log = logging.getLogger(__name__)

COMMANDS = "signert.commands"
TICKS = "signert.ticks"
_SWEEP_INTERVAL = 30.0
_CHECK_SECONDS = 5.0
_UNFORESEEN_TRIES = 5
_OBJECTS_TO_COLLECT = 20_000
_LAST_RESORT = 3.0
"""Seconds after the grace period after which a worker that still has not ended is ended."""


def _queue_of(capability: Capability) -> str:
    return f"signert.{capability}"


def make_app(broker: Broker, settings: Settings) -> Celery:
    """The Celery application on this broker, with no tasks yet: enough to send commands."""
    app = Celery("signert", broker=broker.url, set_as_current=False)
    app.signert_broker = broker
    app.signert_queues = (COMMANDS, *map(_queue_of, Capability))
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
    _send(app, f"{COMMAND_PREFIX}{name}", {"command": payload, **signed}, COMMANDS)


def _send(app: Celery, task: str, kwargs: Mapping[str, Any], queue: str) -> None:
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
    _send(app, DRIVE, {"agreement_id": agreement_id, "run": run}, _queue_of(capability))


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


def _place() -> int:
    """This process's place in the worker's pool."""
    return getattr(current_process(), "index", 0)


class Runtime:
    """This process's services, opened at its first task and kept until it ends; a fork opens its own."""

    def __init__(self, app: Celery, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._services: Services | None = None
        self._stack = contextlib.ExitStack()
        self._pid = 0

    def services(self) -> Services:
        if self._services is None or self._pid != os.getpid():
            self._stack, self._pid = contextlib.ExitStack(), os.getpid()
            self._services = self._stack.enter_context(open_connected_services(self._settings, self._app))
        return self._services

    def warm_up(self) -> None:
        """Start LibreOffice and load the keys before the first command comes."""
        services, needs = self.services(), ""
        readiness, place = self._app.signert_heart.readiness, _place()
        try:
            if Capability.RENDER in services.capabilities:
                needs = "office"
                services.typesetting.office.start()
            if Capability.SIGN in services.capabilities:
                needs = "keys"
                services.keys.credential(SEAL)
        except (SignertError, SigningError) as exc:
            # Not fatal: the first agreement that needs it is parked with the reason.
            log.warning("not ready: code=%s %s %s", exc.code, exc.message, exc.remedy)
            readiness.tell(place, needs)
        else:
            readiness.tell(place, None)
        # What is loaded by now stays, and an agreement makes millions of objects that are no part of a cycle: looking
        # through them every 700 was a tenth of its time.
        gc.collect()
        gc.freeze()
        gc.set_threshold(_OBJECTS_TO_COLLECT)

    def warm_up_again(self) -> None:
        """Where that failed, look whether it is mended: before a task, which needs it."""
        if self._app.signert_heart.readiness.failed(_place()):
            self.warm_up()

    def close(self) -> None:
        if self._pid == os.getpid():
            self._services = None
            self._stack.close()


def register(app: Celery, runtime: Runtime) -> None:
    """Give the application its tasks."""
    app.signert_services = runtime.services  # the consumer keeps unreadable messages by it

    def command(name: str) -> Callable[..., None]:
        def take(task: Task, *args: Any, **kwargs: Any) -> None:
            with (
                _told(task, command=valid_command_id(kwargs.get("command"))),
                _retried(task, lambda error: _refuse(runtime.services(), name, kwargs, error)),
            ):
                take_in(runtime.services(), name, args, kwargs)

        return take

    def drive_on(task: Task, agreement_id: str, run: str) -> None:
        with _told(task, agreement=agreement_id), _retried(task):
            drive_agreement(runtime.services(), agreement_id, run)

    def hand_on(marker: Marker) -> None:
        _send(app, DRIVE, {"agreement_id": marker.agreement_id, "run": marker.run}, COMMANDS)

    def sweep_all(task: Task) -> None:
        with _told(task):
            for swept in sweep(runtime.services(), hand_on=hand_on):
                log.info("swept what=%s id=%s code=%s", swept.what, swept.id, swept.code)

    tasks = {f"{COMMAND_PREFIX}{name}": command(name) for name in COMMAND_SCHEMAS}
    for name, function in {**tasks, DRIVE: drive_on, SWEEP: sweep_all}.items():
        app.task(name=name, bind=True, max_retries=None)(function)

    worker_process_init.connect(lambda **_: runtime.warm_up(), weak=False)
    task_prerun.connect(lambda **_: runtime.warm_up_again(), weak=False)
    worker_process_shutdown.connect(lambda **_: runtime.close(), weak=False)
    worker_process_shutdown.connect(lambda **_: app.signert_telemetry.close(), weak=False)


def take_in(services: Services, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Take in one command and drive its agreement; a refused command is kept and answered."""
    with services.ledger.remembering():  # what was taken in is what is driven
        _take_in(services, name, args, kwargs)


def _take_in(services: Services, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    try:
        if args or not {"command"} <= set(kwargs) <= {"command", "signature"}:
            kwargs = {"command": {"args": list(args), "kwargs": dict(kwargs)}}
            raise CommandRejected(
                "the message has not the keyword argument 'command' (and 'signature' where it is signed) alone",
                [FieldError("$", "wrong_arguments", 'Send the body [[], {"command": {…}}, {…}].')],
            )
        marker = receive(services, name, kwargs["command"], signature=kwargs.get("signature"))
    except CommandRejected as exc:
        _refuse(services, name, kwargs, exc)
        return
    with about(agreement=marker.agreement_id):
        outcome = drive(services, marker)
        log.info("drove agreement=%s rest=%s", marker.agreement_id, outcome.rest)


def _refuse(services: Services, name: str, kwargs: Mapping[str, Any], error: CommandRejected) -> None:
    signature = kwargs.get("signature")
    kept = signature if isinstance(signature, str) else None
    reject(services, name, kwargs.get("command"), error, signature=kept)
    log.warning("rejected command=%s code=%s", name, error.code)


def drive_agreement(services: Services, agreement_id: str, run: str) -> None:
    """Drive an agreement that another worker handed over, or a sweeper found, with that run's marker."""
    marker = services.workbook.load(marker_key(agreement_id, run))
    if marker is None:  # delivered again, after the run came to rest
        return
    outcome = take_up(services, marker)
    log.info("drove agreement=%s rest=%s", agreement_id, outcome.rest if outcome else "nothing to do")


@contextlib.contextmanager
def _told(task: Task, **known: str | None) -> Iterator[None]:
    """The work on one message: its trace goes on, its log lines say what it is about, and how long it waited."""
    telling: Telemetry = task.app.signert_telemetry
    name, sent_at = task.name.removeprefix(COMMAND_PREFIX), task.request.get("sent_at")
    if isinstance(sent_at, float):
        telling.observe(QUEUE_WAIT, max(0.0, time.time() - sent_at), name)
    headers = {"traceparent": task.request.get("traceparent")}
    with about(task=name, **known), telling.received(f"task {name}", headers, task=name):
        yield


@contextlib.contextmanager
def _retried(task: Task, give_up: Callable[[CommandRejected], None] | None = None) -> Iterator[None]:
    """Try the task again a little later, whatever went wrong: a message is never dropped for our own faults.

    After some tries that ended in an error nobody foresaw, `give_up` is told, to keep the command where a person looks.
    A worker that was told to stop begins nothing more: what it has fetched goes back to the broker.
    """
    if task.app.signert_heart.readiness.stopping:
        raise Reject("this worker ends", requeue=True)
    try:
        yield
    except Exception as exc:  # noqa: BLE001 (see above)
        expected = isinstance(exc, SignertError)
        code = exc.code if isinstance(exc, SignertError) else type(exc).__name__
        log.warning("task=%s code=%s retry_in=%ds", task.name, code, RETRY_AFTER)
        if not expected and give_up and task.request.retries >= _UNFORESEEN_TRIES:
            give_up(_given_up(exc))
            return
        _try_later(task)


def _try_later(task: Task) -> None:
    broker: Broker = task.app.signert_broker
    headers = task.app.signert_telemetry.trace_headers()
    try:
        if broker.is_amqp:
            queue = task.request.delivery_info["routing_key"]
            raise task.retry(countdown=0, queue=broker.retry_queue(queue), headers=headers)
        raise task.retry(countdown=RETRY_AFTER, headers=headers)
    except Reject as exc:  # it could not be sent anew: leave this one with the broker
        raise Reject(exc.reason, requeue=True) from None


def _given_up(exc: Exception) -> CommandRejected:
    error = unforeseen(exc)
    way_out = "The command is kept; the operator can send it again when this is mended."
    return CommandRejected(error.message, [FieldError("$", error.code, way_out)], code=error.code)


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
    queues = [*map(_queue_of, sorted(settings.capabilities)), *([TICKS] if sweeps else [])]
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
