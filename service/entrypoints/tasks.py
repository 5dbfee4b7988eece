"""The Celery application: commands off the queue, and work handed from one capability to another.

Tasks are acknowledged late, one at a time, JSON only. A message that cannot be read never stops a worker: it is
kept in quarantine and rejected without requeue.
"""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from celery import Celery, Task
from celery.signals import setup_logging, worker_process_init, worker_process_shutdown
from celery.worker.consumer import Consumer
from kombu import Exchange, Queue
from kombu.exceptions import OperationalError

from service.bootstrap import check_store, event_publisher, open_services
from service.config import Settings
from service.domain.agreement import SEAL, Capability
from service.errors import BrokerUnavailable, CommandRejected, FieldError, SignertError
from service.pipeline.drive import drive
from service.pipeline.intake import receive
from service.pipeline.quarantine import reject
from service.pipeline.services import Services
from service.pipeline.sweep import sweep
from service.pipeline.work import marker_key
from signing import SigningError

__all__ = ["make_app", "run_worker", "send_command"]

log = logging.getLogger(__name__)

COMMANDS = "signert.commands"
DRIVE, SWEEP = "signert.v1.drive", "signert.v1.sweep"
MAX_MESSAGE = 1024 * 1024
"""Bytes of a command's body; the largest agreement that the schema allows is a tenth of it."""
_RETRY_MOST = 300
_SWEEP_INTERVAL = 30.0


def _queue_of(capability: Capability) -> str:
    return f"signert.{capability}"


def make_app(broker_url: str, settings: Settings) -> Celery:
    """The Celery application on this broker, with no tasks yet: enough to send commands."""
    app = Celery("signert", broker=broker_url, set_as_current=False)
    app.conf.update(
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_default_queue=COMMANDS,
        task_default_exchange="signert",
        task_queues=[_declared(name) for name in (COMMANDS, *map(_queue_of, Capability))],
        worker_prefetch_multiplier=1,
        worker_concurrency=settings.concurrency,
        worker_consumer="service.entrypoints.tasks:QuarantineConsumer",
        worker_proc_alive_timeout=120,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        broker_connection_retry_on_startup=True,
        beat_schedule={
            "sweep": {"task": SWEEP, "schedule": _SWEEP_INTERVAL, "options": {"expires": _SWEEP_INTERVAL}}
        },
        beat_scheduler="celery.beat:Scheduler",  # keeps nothing on disk: two workers may share a data folder
        enable_utc=True,
    )
    return app


def _declared(name: str) -> Queue:
    return Queue(name, Exchange("signert", type="direct"), routing_key=name, durable=True)


def send_command(app: Celery, name: str, payload: Mapping[str, Any]) -> None:
    """Put a command on the queue; returns when the broker has it. Raises `BrokerUnavailable`."""
    _send(app, f"signert.v1.{name}", {"command": payload}, COMMANDS)


def _send(app: Celery, task: str, kwargs: Mapping[str, Any], queue: str) -> None:
    try:
        app.send_task(task, kwargs=kwargs, queue=queue)
    except OperationalError as exc:
        raise BrokerUnavailable(
            "the broker does not take messages", remedy="Check SIGNERT_BROKER and that the broker runs."
        ) from exc


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
            publisher = self._stack.enter_context(event_publisher(self._app.conf.broker_url))
            self._services = self._stack.enter_context(
                open_services(self._settings, publisher=publisher, hand_over=self._hand_over)
            )
        return self._services

    def warm_up(self) -> None:
        """Start LibreOffice and load the keys before the first command comes."""
        services = self.services()
        try:
            if Capability.RENDER in services.capabilities:
                services.typesetting.office.start()
            if Capability.SIGN in services.capabilities:
                services.keys.credential(SEAL)
        except (SignertError, SigningError) as exc:
            # Not fatal: the first agreement that needs it is parked with the reason.
            log.warning("not ready: code=%s %s %s", exc.code, exc.message, exc.remedy)

    def close(self) -> None:
        if self._pid == os.getpid():
            self._services = None
            self._stack.close()

    def _hand_over(self, capability: Capability, agreement_id: str, run: str) -> None:
        _send(self._app, DRIVE, {"agreement_id": agreement_id, "run": run}, _queue_of(capability))


def register(app: Celery, runtime: Runtime) -> None:
    """Give the application its tasks."""
    app.signert_services = runtime.services  # the consumer keeps unreadable messages by it

    def submit(task: Task, *args: Any, **kwargs: Any) -> None:
        with _retried(task):
            take_in(runtime.services(), "submit", args, kwargs)

    def drive_on(task: Task, agreement_id: str, run: str) -> None:
        with _retried(task):
            drive_agreement(runtime.services(), agreement_id, run)

    def sweep_all(_task: Task) -> None:
        for swept in sweep(runtime.services()):
            log.info("swept agreement=%s", swept.agreement_id)

    for name, function in (("signert.v1.submit", submit), (DRIVE, drive_on), (SWEEP, sweep_all)):
        app.task(name=name, bind=True, max_retries=None)(function)

    worker_process_init.connect(lambda **_: runtime.warm_up(), weak=False)
    worker_process_shutdown.connect(lambda **_: runtime.close(), weak=False)


def take_in(services: Services, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Take in one command and drive its agreement; a refused command is kept and answered."""
    payload = kwargs.get("command")
    try:
        if args or set(kwargs) != {"command"}:
            payload = {"args": list(args), "kwargs": dict(kwargs)}
            raise CommandRejected(
                "the message has not the one keyword argument 'command'",
                [FieldError("$", "wrong_arguments", 'Send the body [[], {"command": {…}}, {…}].')],
            )
        marker = receive(services, name, payload)
    except CommandRejected as exc:
        reject(services, name, payload, exc)
        log.warning("rejected command=%s code=%s", name, exc.code)
        return
    outcome = drive(services, marker)
    log.info("drove agreement=%s rest=%s", marker.agreement_id, outcome.rest)


def drive_agreement(services: Services, agreement_id: str, run: str) -> None:
    """Drive an agreement that another worker handed over, with that run's marker."""
    marker = services.workbook.load(marker_key(agreement_id, run))
    if marker is None:  # delivered again, after the run came to rest
        return
    outcome = drive(services, marker)
    log.info("drove agreement=%s rest=%s", agreement_id, outcome.rest)


@contextlib.contextmanager
def _retried(task: Task) -> Iterator[None]:
    """Try the task again, later and later, whatever went wrong: a message is never dropped for our own faults."""
    try:
        yield
    except Exception as exc:  # noqa: BLE001 (see above)
        wait = min(2**task.request.retries, _RETRY_MOST)
        code = exc.code if isinstance(exc, SignertError) else type(exc).__name__
        log.warning("task=%s id=%s code=%s retry_in=%ds", task.name, task.request.id, code, wait)
        raise task.retry(exc=None, countdown=wait) from None


class QuarantineConsumer(Consumer):  # type: ignore[misc]
    """Celery's consumer, except that no message can stop it or vanish.

    Celery raises out of its loop when a message lacks its headers or has a body that is no task's, and it
    acknowledges, thereby drops, what it cannot decode.
    """

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], None]:
        handle = super().create_task_handler(*args, **kwargs)

        def guarded(message: Any) -> None:
            try:
                fault = _unreadable(self.app, message)
                if fault is None:
                    handle(message)
                    return
            except Exception as exc:  # noqa: BLE001 (whatever a message makes Celery raise)
                fault = type(exc).__name__
            self._quarantine(message, fault)

        return guarded

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        self._quarantine(message, type(exc).__name__)

    def on_unknown_message(self, _body: Any, message: Any) -> None:
        self._quarantine(message, "no task")

    def on_unknown_task(self, _body: Any, message: Any, _exc: Exception) -> None:
        self._quarantine(message, "unknown task")

    def on_invalid_task(self, _body: Any, message: Any, exc: Exception) -> None:
        self._quarantine(message, type(exc).__name__)

    def _quarantine(self, message: Any, fault: str) -> None:
        error = CommandRejected(
            f"the message is no command of Signert ({fault})",
            [
                FieldError(
                    "$", "malformed_message", "Send JSON after Celery's message protocol 2; see the README."
                )
            ],
            code="malformed_message",
        )
        try:
            reject(self.app.signert_services(), "malformed", _as_json(message), error)
        except SignertError as exc:
            # It could not be kept: leave it with the broker rather than lose it.
            log.error("malformed message not kept: code=%s", exc.code)  # noqa: TRY400
            message.requeue_log_error(log, (OSError,))
            return
        log.warning("malformed message kept in quarantine: %s", fault)
        message.reject_log_error(log, (OSError,), requeue=False)


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
    return None


def _as_json(message: Any) -> dict[str, Any]:
    """A raw message, whole."""
    body = message.body if isinstance(message.body, bytes) else str(message.body).encode()
    return {
        "headers": json.loads(json.dumps(message.headers or {}, default=str)),
        "content_type": message.content_type,
        "content_encoding": message.content_encoding,
        "body_base64": base64.b64encode(body).decode(),
    }


def _keep_the_log(**_: object) -> None:
    """Celery leaves logging alone when somebody listens to its signal: the log is set up already."""


def run_worker(app: Celery, settings: Settings, *, loglevel: str) -> None:
    """Work until told to stop (SIGTERM: finish what is under way). Raises `ConfigurationError` for an unfit store."""
    check_store(settings)
    runtime = Runtime(app, settings)
    register(app, runtime)
    setup_logging.connect(_keep_the_log, weak=False)
    queues = [COMMANDS, *(_queue_of(c) for c in sorted(settings.capabilities))]
    try:
        app.worker_main(
            [
                "--quiet",
                "worker",
                "--beat",
                "--without-mingle",
                "--without-gossip",
                "--loglevel",
                loglevel,
                "--queues",
                ",".join(queues),
            ]
        )
    finally:
        runtime.close()
