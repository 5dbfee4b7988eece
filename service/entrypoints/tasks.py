"""The tasks: commands off the queue, work handed from one capability to another, and sweeping.

Tasks are acknowledged late, one at a time, JSON only. A message that cannot be read never stops a worker: it is
kept in quarantine and taken off the queue (see `consumer`).
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from billiard import current_process
from celery import Celery, Task
from celery.exceptions import Reject
from celery.signals import task_postrun, task_prerun, worker_process_init, worker_process_shutdown

from service.bootstrap import Telemetry
from service.config import Settings
from service.domain.agreement import SEAL
from service.domain.signals import QUEUE_WAIT, about
from service.domain.steps import Capability
from service.entrypoints.application import COMMANDS, open_connected_services, send
from service.entrypoints.consumer import COMMAND_PREFIX, DRIVE, SWEEP
from service.errors import CommandRejected, FieldError, SignertError
from service.pipeline.drive import drive, unforeseen
from service.pipeline.intake import receive
from service.pipeline.quarantine import reject
from service.pipeline.services import Services
from service.pipeline.sweep import sweep, take_up
from service.pipeline.work import Marker, marker_key
from service.schemas import COMMAND_SCHEMAS, valid_command_id
from service.transport import RETRY_AFTER, Broker
from signing import SigningError

__all__ = ["Runtime", "register"]

log = logging.getLogger(__name__)

_UNFORESEEN_TRIES = 5
_OBJECTS_TO_COLLECT = 500_000
_TASKS_TO_COLLECT_ALL = 32


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
        self._tasks = 0

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
        # through them every 700 was a tenth of its time. It is done between tasks, but in one that makes far more.
        gc.collect()
        gc.freeze()
        gc.set_threshold(_OBJECTS_TO_COLLECT)

    def tidy(self) -> None:
        """After a task, when nobody waits for what it does: let go of what hangs together in circles, and of a
        LibreOffice that has served its time.
        """
        if self._services is not None and Capability.RENDER in self._services.capabilities:
            self._services.typesetting.office.rest()
        self._tasks += 1
        gc.collect(2 if self._tasks % _TASKS_TO_COLLECT_ALL == 0 else 1)

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
        send(app, DRIVE, {"agreement_id": marker.agreement_id, "run": marker.run}, COMMANDS)

    def sweep_all(task: Task) -> None:
        with _told(task):
            for swept in sweep(runtime.services(), hand_on=hand_on):
                log.info("swept what=%s id=%s code=%s", swept.what, swept.id, swept.code)

    tasks = {f"{COMMAND_PREFIX}{name}": command(name) for name in COMMAND_SCHEMAS}
    for name, function in {**tasks, DRIVE: drive_on, SWEEP: sweep_all}.items():
        app.task(name=name, bind=True, max_retries=None)(function)

    worker_process_init.connect(lambda **_: runtime.warm_up(), weak=False)
    task_prerun.connect(lambda **_: runtime.warm_up_again(), weak=False)
    task_postrun.connect(lambda **_: runtime.tidy(), weak=False)
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
