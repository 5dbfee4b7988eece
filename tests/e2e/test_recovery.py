"""Workers die, brokers forget, stores go away: what was accepted still ends, on both brokers."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import (
    ABANDONED_AFTER,
    Installation,
    all_signed,
    log_entries,
    running_worker,
    start_worker,
    submit,
    wait_until,
)
from tests.s3server import S3Server

pytestmark = [pytest.mark.office, pytest.mark.broker, pytest.mark.pki]


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


def test_rendering_signing_and_sweeping_may_each_have_a_worker_of_its_own(installation: Installation) -> None:
    """As the Helm chart runs them: who renders has no key, who sweeps has neither, and what is lost is found again."""

    def capable(capability: str) -> contextlib.AbstractContextManager[object]:
        installation.environ["SIGNERT_CAPABILITIES"] = capability
        return running_worker(installation, "--sweep", "no")

    with capable("render"):
        ids = submit(installation, 1)
        wait_until(lambda: b"rest=handed-over" in installation.log.read_bytes())
        wipe(installation)  # the hand-over is lost
        with capable("sign"), running_worker(installation, "--sweep", "only"):
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


DEADLY = """
import os, signal, sys
from service.entrypoints import consumer, tasks
from service.entrypoints.cli import main
consumer.DELIVERY_LIMIT = 4
tasks.take_in = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
sys.argv = ["signert", "worker"]
main()
"""


def test_a_command_that_kills_whoever_works_on_it_is_put_aside(installation: Installation) -> None:
    """It is kept and answered, the worker lives on, and the operator can send it again."""
    installation.environ["SIGNERT_CAPABILITIES"] = (
        "sign"  # no LibreOffice: a process that dies is soon replaced
    )
    worker = start_worker(installation, "-c", DEADLY)
    try:
        (agreement_id,) = submit(installation, 1)
        event = installation.event(lambda e: e["data"].get("code") == "delivery_limit", seconds=120)
        assert event["type"] == "agreement.rejected"
        assert worker.poll() is None
    finally:
        kill(worker)
    del installation.environ["SIGNERT_CAPABILITIES"]
    identity = event["data"]["quarantine"].removeprefix("quarantine/").removesuffix(".json")
    installation.signert("quarantine", "resubmit", identity)
    with running_worker(installation):
        all_signed(installation, {agreement_id})
