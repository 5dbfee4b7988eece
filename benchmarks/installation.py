"""A whole installation to send agreements through: S3, RabbitMQ, development PKI, workers; ours, or the baseline's.

with servers(folder) as place, ours(place, workers=2) as system:
    system.send(ids := system.new(10)); system.receipts(ids)
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from celery import Celery
from kombu import Connection, Consumer, Exchange, Message, Queue

from benchmarks.documents import command
from benchmarks.peers import bench_venv, until
from benchmarks.report import ROOT
from service.adapters import devpki
from service.adapters.devpki import DevPki, DevPkiServer
from service.bootstrap import open_catalogue
from service.config import load_settings
from service.domain.presentation import context
from service.entrypoints.application import make_app, send_command
from service.pipeline.render import RECEIPT_TEMPLATE
from tests.rabbitmq import RabbitNode, running_rabbitmq
from tests.s3server import S3Server, running_s3

__all__ = ["Place", "System", "baseline", "ours", "servers"]

_READY = 180.0


@dataclass(frozen=True)
class Place:
    """The servers that all sides use."""

    folder: Path
    s3: S3Server
    node: RabbitNode
    pki: DevPki

    @property
    def environ(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("SIGNERT_", "AWS_"))}
        return kept | self.s3.environ | {"NO_COLOR": "1"}


@contextlib.contextmanager
def servers(folder: Path) -> Iterator[Place]:
    pki = devpki.ensure(folder / "devpki", environment="development")
    with (
        running_s3(folder) as s3,
        running_rabbitmq(folder) as node,
        DevPkiServer(pki, environment="development"),
    ):
        yield Place(folder, s3, node, pki)


class Sender(Protocol):
    def __call__(self, agreement_id: str) -> None: ...


@dataclass
class System:
    """Workers that are up. `sent` and `received` are times by agreement, of `time.monotonic`."""

    connection: Connection
    events: Queue
    submit: Sender
    pid: int
    log: Path
    sent: dict[str, float] = field(default_factory=dict)
    received: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # One for all of it: of a consumer that ends, RabbitMQ keeps what was on its way to it.
        self._consumer = Consumer(
            self.connection.default_channel, [self.events], on_message=self._keep, auto_declare=False
        )
        self._consumer.consume()

    def send(self, agreement_id: str | None = None) -> str:
        agreement_id = agreement_id or str(uuid.uuid4())
        self.sent[agreement_id] = time.monotonic()
        self.submit(agreement_id)
        return agreement_id

    def _keep(self, message: Message) -> None:
        event = json.loads(message.body)
        if str(event["type"]).endswith("agreement.signed"):
            self.received.setdefault(str(event["subject"]), time.monotonic())
        message.ack()

    def receive(self, seconds: float) -> None:
        """Take one event, waiting at most so long for it."""
        with contextlib.suppress(TimeoutError):
            self.connection.drain_events(timeout=seconds)

    def receipts(self, ids: Collection[str], seconds: float = 3600) -> list[float]:
        """From command to receipt, in seconds, once all are there. Raises `SystemExit` when they do not come."""
        deadline = time.monotonic() + seconds
        while missing := sum(each not in self.received for each in ids):
            if time.monotonic() > deadline:
                tail = self.log.read_text(errors="replace")[-3000:]
                raise SystemExit(f"{missing} receipts did not come in {seconds:g} s:\n{tail}")
            self.receive(1)
        return [self.received[each] - self.sent[each] for each in ids]

    def rate(self, count: int) -> float:
        """Agreements a second: from the first command to the last receipt, all sent at once."""
        ids = [self.send() for _ in range(count)]
        self.receipts(ids)
        return count / (max(self.received[i] for i in ids) - min(self.sent[i] for i in ids))


@contextlib.contextmanager
def _running(program: list[str | Path], environ: Mapping[str, str], log: Path, cwd: Path) -> Iterator[int]:
    with log.open("wb") as output:
        worker = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", *program], env=environ, cwd=cwd, stdout=output, stderr=output
        )

    def ready() -> bool:
        if worker.poll() is not None:
            raise SystemExit(f"the worker ended:\n{log.read_text()[-4000:]}")
        return b" ready." in log.read_bytes()

    try:
        until(ready, _READY, f"the worker ({log})")
        yield worker.pid
    finally:
        worker.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            worker.wait(60)
        worker.kill()
        worker.wait()


@contextlib.contextmanager
def ours(place: Place, *, workers: int, **settings: str) -> Iterator[System]:
    """`signert worker` as it is run, and a warm-up of an agreement for each working process."""
    home = place.folder / f"ours-{uuid.uuid4().hex[:8]}"
    home.mkdir()
    (home / "devpki").symlink_to(place.pki.folder)
    named = {
        "SIGNERT_HOME": str(home),
        "SIGNERT_STORE": f"s3://{S3Server.PLAIN}/{home.name}",
        "SIGNERT_S3_ENDPOINT": place.s3.endpoint,
        "SIGNERT_BROKER": place.node.url,
        "SIGNERT_CONCURRENCY": str(workers),
        **settings,
    }
    app = make_app(_broker(named), load_settings(named))

    def submit(agreement_id: str) -> None:
        send_command(app, "submit", command(id=agreement_id))

    program: list[str | Path] = [sys.executable, "-m", "service.entrypoints.cli", "worker"]
    events = Queue("signert.events", no_declare=True)
    place.node.wipe()
    with (
        _running(program, place.environ | named, home / "worker.log", ROOT) as pid,
        Connection(place.node.url) as connection,
    ):
        system = System(connection, events, submit, pid, home / "worker.log")
        system.receipts([system.send() for _ in range(workers)])
        yield system


def _broker(named: Mapping[str, str]) -> Any:
    broker = load_settings(named).broker
    assert broker
    return broker


@contextlib.contextmanager
def baseline(place: Place, *, workers: int) -> Iterator[System]:
    """The straightforward assembly, warmed up as ours."""
    folder = place.folder / f"baseline-{uuid.uuid4().hex[:8]}"
    folder.mkdir()
    agreement = command()["agreement"]
    printed = agreement["template"]["name"], agreement["template"]["version"]
    given = {
        "broker": place.node.url,
        "endpoint": place.s3.endpoint,
        "bucket": S3Server.PLAIN,
        "keys": str(place.pki.folder),
        "tsa": place.pki.tsa_url,
        "templates": str(ROOT / "templates"),
        "agreement_template": _word_file(*printed),
        "receipt_template": _word_file(*RECEIPT_TEMPLATE),
    }
    shown = _context(*printed, agreement)
    receipt_shown = _context(
        *RECEIPT_TEMPLATE,
        json.loads((ROOT / "templates" / "/".join(RECEIPT_TEMPLATE) / "sample.json").read_text()),
    )
    app = Celery("baseline", broker=place.node.url, set_as_current=False)
    app.conf.broker_transport_options = {"confirm_publish": True}

    def submit(agreement_id: str) -> None:
        arguments = [agreement_id, agreement, shown, receipt_shown]
        app.send_task(
            "baseline.submit", arguments, queue=app.amqp.queues.get("baseline.commands") or _COMMANDS
        )

    place.node.wipe()
    environ = place.environ | {"BASELINE": json.dumps(given)}
    program: list[str | Path] = [
        bench_venv() / "bin/celery", "-A", "baseline", "worker", "--loglevel", "INFO", "-c", str(workers),
        "--without-mingle", "--without-gossip",
    ]  # fmt: skip
    with (
        _running(program, environ, folder / "worker.log", Path(__file__).parent) as pid,
        Connection(place.node.url) as connection,
    ):
        _EVENTS(connection.default_channel).declare()
        system = System(connection, _EVENTS, submit, pid, folder / "worker.log")
        system.receipts([system.send() for _ in range(workers)], seconds=300)
        yield system


_QUORUM = {"x-queue-type": "quorum"}
_COMMANDS = Queue("baseline.commands", durable=True, queue_arguments=_QUORUM)
_EVENTS = Queue("baseline.events", Exchange("baseline.events", type="topic"), "#", queue_arguments=_QUORUM)


def _word_file(name: str, version: str) -> str:
    return f"{name}/{version}/nb.docx"


def _context(name: str, version: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """What the template prints, as Signert makes it of the data: the baseline gets it ready."""
    template = open_catalogue(load_settings({})).get(name, version, "nb")
    manifest = template.manifest
    return {
        **context(
            manifest.kind,
            data,
            labels=template.labels,
            language=template.language,
            field_labels=template.field_labels,
            unprinted=manifest.unprinted,
        ),
        "version": "1",
    }
