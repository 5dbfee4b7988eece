"""A whole installation in a temporary folder: a broker, a directory store, the development PKI, a real worker."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pytest
from kombu import Connection, Consumer, Message, Producer, Queue

from service.adapters.broker import EmbeddedBroker
from tests.rabbitmq import RabbitNode, running_rabbitmq

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"

_T = TypeVar("_T")


class Installation:
    """`settings` are SIGNERT_ variables; without SIGNERT_BROKER, the broker is the embedded one."""

    def __init__(self, home: Path, **settings: str) -> None:
        home.mkdir(exist_ok=True)
        self.home = home
        self.environ = {k: v for k, v in os.environ.items() if not k.startswith("SIGNERT_")} | {
            "SIGNERT_HOME": str(home),
            "SIGNERT_CONCURRENCY": "1",
            "NO_COLOR": "1",
            **settings,
        }
        self.events: list[dict[str, Any]] = []

    @property
    def log(self) -> Path:
        return self.home / "worker.log"

    def signert(self, *arguments: str | Path, ok: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run the command line; `ok` is the exit code expected, None for any."""
        done = subprocess.run(
            [sys.executable, "-m", "service.entrypoints.cli", *map(str, arguments)],
            env=self.environ, cwd=ROOT, capture_output=True, text=True, check=False, timeout=240,
        )  # fmt: skip
        if ok is not None:
            assert done.returncode == ok, done.stdout + done.stderr
        return done

    def json(self, *arguments: str | Path, ok: int | None = 0) -> Any:
        return json.loads(self.signert(*arguments, "--json", ok=ok).stdout)

    def submitted(self, agreement: Mapping[str, Any], name: str = "agreement.json") -> dict[str, Any]:
        """An agreement taken through the queue to its end."""
        path = self.home / name
        path.write_text(json.dumps(agreement))
        found: dict[str, Any] = self.json("submit", path, "--wait")
        return found

    @contextlib.contextmanager
    def broker(self) -> Iterator[Connection]:
        with contextlib.ExitStack() as stack:
            url = self.environ.get("SIGNERT_BROKER") or stack.enter_context(
                EmbeddedBroker(self.home / "broker")
            )
            yield stack.enter_context(Connection(url))

    def event(self, wanted: Callable[[Mapping[str, Any]], bool], seconds: float = 60) -> dict[str, Any]:
        """The first event, published since the installation began or soon, that is the one wanted."""
        return self.await_events(lambda events: next(filter(wanted, events), None), seconds)

    def await_events(self, enough: Callable[[list[dict[str, Any]]], _T | None], seconds: float = 60) -> _T:
        """Read events until `enough` finds in them what it looks for."""
        deadline = time.monotonic() + seconds

        def keep(message: Message) -> None:
            self.events.append(json.loads(message.body))
            message.ack()

        with self.broker() as connection, connection.channel() as channel:
            queue = Queue("signert.events", no_declare=True)
            with Consumer(channel, [queue], on_message=keep, auto_declare=False):
                while not (found := enough(self.events)):
                    connection.drain_events(timeout=max(0.1, deadline - time.monotonic()))
                return found

    def send(
        self, body: str | bytes, *, headers: Mapping[str, Any], content_type: str = "application/json"
    ) -> None:
        """Put a raw message on the command queue, as a system that knows nothing of Celery would."""
        with self.broker() as connection, connection.channel() as channel:
            Producer(channel).publish(
                body, content_type=content_type, content_encoding="utf-8", headers=dict(headers),
                serializer=None, routing_key="signert.commands", exchange="",
            )  # fmt: skip

    def send_command(self, payload: Any, task: str = "signert.v1.submit") -> str:
        task_id = str(uuid.uuid4())
        embed = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
        body = json.dumps([[], {"command": payload}, embed])
        self.send(body, headers={"id": task_id, "task": task, "lang": "py", "argsrepr": "", "kwargsrepr": ""})
        return task_id

    def quarantined(self) -> list[Path]:
        return sorted((self.home / "store/quarantine").glob("*.json"))


def wait_until(true: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.05)  # until the next look


def start_worker(installation: Installation, *program: str) -> subprocess.Popen[bytes]:
    """A worker that consumes, or what `program` (Python's arguments) makes of it; the caller ends it."""
    with installation.log.open("ab") as log:
        start = log.tell()
        worker = subprocess.Popen(
            [sys.executable, *(program or ("-m", "service.entrypoints.cli", "worker"))],
            env=installation.environ, cwd=ROOT, stdout=log, stderr=log,
        )  # fmt: skip

    def told() -> bytes:
        return installation.log.read_bytes()[start:]

    try:
        # What a start may take at worst: LibreOffice hangs and is started once more, RabbitMQ is busy.
        wait_until(lambda: b" ready." in told() or worker.poll() is not None, seconds=180)
    except AssertionError:
        worker.kill()
        worker.wait()
        raise AssertionError(f"the worker is not ready:\n{told().decode()[-4000:]}") from None
    return worker


@contextlib.contextmanager
def running_worker(installation: Installation, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """A worker that consumes, for as long as the context lasts; `options` are those of the command."""
    program = ("-m", "service.entrypoints.cli", "worker", *options)
    worker = start_worker(installation, *program)
    try:
        yield worker
    finally:
        worker.send_signal(signal.SIGTERM)
        try:
            worker.wait(timeout=60)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()


@pytest.fixture(scope="session")
def installations_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitNode]:
    """A node for `installation` alone: other tests of the session wipe theirs, and stop it."""
    with running_rabbitmq(tmp_path_factory.mktemp("rabbitmq")) as found:
        yield found


@pytest.fixture(scope="session", params=["valkey", "rabbitmq"])
def broker_settings(request: pytest.FixtureRequest) -> dict[str, str]:
    """Settings for each broker: the embedded Valkey, and RabbitMQ."""
    if request.param == "valkey":
        return {}
    node: RabbitNode = request.getfixturevalue("installations_node")
    return {"SIGNERT_BROKER": node.url}


@pytest.fixture(scope="session")
def installation(
    tmp_path_factory: pytest.TempPathFactory, broker_settings: dict[str, str]
) -> Iterator[Installation]:
    found = Installation(tmp_path_factory.mktemp("signert"), **broker_settings)
    with running_worker(found):
        yield found


@pytest.fixture(scope="session")
def example() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((EXAMPLES / "agreement.json").read_text())
    return found


@pytest.fixture(scope="session")
def signed(installation: Installation, example: dict[str, Any]) -> dict[str, Any]:
    """The complete example, signed."""
    return installation.submitted(example)


# --- agreements through workers that come and go -----------------------------------------------------------

MINIMAL = json.loads((EXAMPLES / "minimal.json").read_text())
ABANDONED_AFTER = "5"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitNode]:
    """A node of this module's own: no other installation's worker takes its messages."""
    with running_rabbitmq(tmp_path_factory.mktemp("rabbitmq")) as found:
        yield found


def submit(installation: Installation, count: int) -> set[str]:
    ids = {str(uuid.uuid4()) for _ in range(count)}
    for agreement_id in ids:
        installation.send_command(
            {"command_id": str(uuid.uuid4()), "agreement": {**MINIMAL, "id": agreement_id}}
        )
    return ids


def all_signed(installation: Installation, ids: set[str]) -> None:
    """Wait for the receipt of each, then look at the logs: one beginning, one end."""

    def enough(events: list[dict[str, Any]]) -> bool:
        return ids <= {e["subject"] for e in events if e["type"] == "agreement.signed"}

    installation.await_events(enough, seconds=120)
    for agreement_id in ids:
        folder = installation.home / "store/agreements" / agreement_id / "log"
        types = [json.loads(p.read_bytes())["type"] for p in sorted(folder.iterdir())]
        assert (types[0], types[-1]) == ("submitted", "signed")
        assert types.count("submitted") == types.count("rendered") == types.count("signed") == 1


def log_entries(installation: Installation) -> int:
    return sum(1 for _ in installation.home.glob("store/agreements/*/log/*"))
