"""Workers die, brokers forget, stores go away: what was accepted still ends, on both brokers."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection

from tests.e2e.conftest import EXAMPLES, Installation, running_worker, start_worker, wait_until
from tests.rabbitmq import RabbitNode, running_rabbitmq
from tests.s3server import S3Server

pytestmark = [pytest.mark.office, pytest.mark.broker, pytest.mark.pki]

MINIMAL = json.loads((EXAMPLES / "minimal.json").read_text())
ABANDONED_AFTER = "5"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitNode]:
    """A node of this module's own: no other installation's worker takes its messages."""
    with running_rabbitmq(tmp_path_factory.mktemp("rabbitmq")) as found:
        yield found


@pytest.fixture(params=["valkey", "rabbitmq"])
def installation(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Installation]:
    settings = {"SIGNERT_ABANDONED_AFTER": ABANDONED_AFTER}
    if request.param == "rabbitmq":
        found = Installation(
            tmp_path / "home", SIGNERT_BROKER=request.getfixturevalue("node").url, **settings
        )
        yield found
        request.getfixturevalue("node").wipe()
        return
    found = Installation(tmp_path / "home", **settings)
    with found.broker():  # the embedded broker lives as long as somebody uses it: workers come and go here
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


def kill(worker: subprocess.Popen[bytes]) -> None:
    worker.send_signal(signal.SIGKILL)
    worker.wait()


def test_killed_and_stopped_workers_lose_nothing(installation: Installation) -> None:
    with running_worker(installation):
        pass  # the queues are there
    ids = submit(installation, 4)
    worker = start_worker(installation)
    wait_until(lambda: log_entries(installation) > 3)
    kill(worker)
    before = log_entries(installation)
    worker = start_worker(installation)
    wait_until(lambda: log_entries(installation) > before)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=60) == 0
    assert log_entries(installation) < 4 * 15  # it was stopped in the midst of work
    with running_worker(installation):
        all_signed(installation, ids)


def test_with_the_queue_wiped_what_was_accepted_ends(installation: Installation) -> None:
    with running_worker(installation):
        pass
    ids = submit(installation, 2)
    rendering = dict(installation.environ)
    installation.environ["SIGNERT_CAPABILITIES"] = "render"  # rendered, then handed over to nobody
    with running_worker(installation):
        installation.await_events(
            lambda events: ids <= {e["subject"] for e in events if e["type"] == "agreement.rendered"}
        )
    installation.environ = rendering
    wipe(installation)
    with running_worker(installation):
        all_signed(installation, ids)


def wipe(installation: Installation) -> None:
    """Empty every queue of commands and work."""
    with installation.broker() as connection, connection.channel() as channel:
        for name in ("commands", "render", "sign"):
            channel.queue_purge(f"signert.{name}")


def test_a_worker_that_hangs_gives_its_work_back_when_it_is_stopped(installation: Installation) -> None:
    """LibreOffice is frozen; SIGTERM still ends the worker in time, and another takes over."""
    with running_worker(installation):
        pass
    ids = submit(installation, 1)
    worker = start_worker(installation)
    wait_until(lambda: log_entries(installation) > 0)
    with frozen_office(worker):
        worker.send_signal(signal.SIGTERM)
        worker.wait(timeout=60)
    with running_worker(installation):
        all_signed(installation, ids)


@contextlib.contextmanager
def frozen_office(worker: subprocess.Popen[bytes]) -> Iterator[None]:
    frozen = [pid for pid in descendants(worker.pid) if b"soffice.bin" in cmdline(pid)]
    assert frozen
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in frozen:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def descendants(pid: int) -> list[int]:
    children = [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [*children, *(d for c in children for d in descendants(c))]


def cmdline(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def test_a_broker_that_restarts_in_the_midst_of_work(node: RabbitNode, tmp_path: Path) -> None:
    installation = Installation(
        tmp_path / "home", SIGNERT_BROKER=node.url, SIGNERT_ABANDONED_AFTER=ABANDONED_AFTER
    )
    with running_worker(installation):
        ids = submit(installation, 2)
        for gracefully in (False, True):
            before = log_entries(installation)
            wait_until(lambda before=before: log_entries(installation) > before)  # type: ignore[misc]
            node.restart(gracefully=gracefully)
        ids |= submit(installation, 1)
        all_signed(installation, ids)


def test_a_command_waits_for_the_store(
    installation: Installation, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the store away nothing can be accepted; the message stays with the broker until it can."""
    installation.environ |= {
        **s3_server.environ,
        "SIGNERT_STORE": f"s3://{s3_server.PLAIN}/{uuid.uuid4()}",
        "SIGNERT_S3_ENDPOINT": s3_server.endpoint,
    }
    with running_worker(installation):
        s3_server.stop()
        try:
            (agreement_id,) = submit(installation, 1)
            wait_until(lambda: b"code=store" in installation.log.read_bytes())
        finally:
            s3_server.start()
        installation.event(
            lambda e: (e["type"], e["subject"]) == ("agreement.signed", agreement_id), seconds=120
        )
        shown = installation.json("show", agreement_id)
        assert [v["status"] for v in shown["versions"]] == ["signed"]


def test_the_queues_are_what_they_should_be(node: RabbitNode, tmp_path: Path) -> None:
    installation = Installation(tmp_path / "home", SIGNERT_BROKER=node.url)
    with running_worker(installation):
        for name in ("signert.commands", "signert.render", "signert.sign"):
            queue = node.queue(name)
            assert queue
            assert queue["arguments"]["x-queue-type"] == "quorum"
            assert queue["arguments"]["x-delivery-limit"] > 0
            assert queue["arguments"]["x-dead-letter-exchange"] == "signert.dead-letters"
        assert {"signert.events", "signert.dead-letters", "signert.commands.retry"} <= set(node.queues())


@pytest.mark.parametrize("fault", [None, "authority", "name"])
def test_the_broker_is_known_by_its_certificate(node: RabbitNode, tmp_path: Path, fault: str | None) -> None:
    url = node.tls_url
    installation = Installation(
        tmp_path / "home",
        SIGNERT_BROKER=url.replace("localhost", "ip6-localhost") if fault == "name" else url,
        SIGNERT_BROKER_CA=str(node.other_ca if fault == "authority" else node.ca),
        SIGNERT_BROKER_CERTIFICATE=str(node.client_certificate),
        SIGNERT_BROKER_KEY=str(node.client_key),
    )
    sent = installation.signert("submit", EXAMPLES / "minimal.json", ok=3 if fault else 0)
    if fault:
        assert "broker" in sent.stderr
        assert RabbitNode.PASSWORD not in sent.stderr
        return
    with running_worker(installation):
        with Connection(node.url) as connection:
            assert connection.connected is False
        installation.environ["SIGNERT_BROKER"] = node.url  # to read events here
        del installation.environ["SIGNERT_BROKER_CA"]
        installation.event(lambda e: e["type"] == "agreement.signed", seconds=120)
