"""What the platform is told of a worker: it lives while it consumes, or could not because the broker is away."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import ROOT, Installation, running_worker, submit, wait_until
from tests.probes import Probes, running_valkey
from tests.rabbitmq import RabbitNode

pytestmark = [pytest.mark.broker]

PATIENCE = 12
"""More than Celery waits between two tries to reach a broker that has been away for so long."""
SIGNING = {"SIGNERT_CAPABILITIES": "sign"}  # LibreOffice would only take time


@contextlib.contextmanager
def unread_worker(installation: Installation) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A worker whose log goes into a pipe; what it gives is for reading the log."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    worker = subprocess.Popen(
        [sys.executable, "-m", "service.entrypoints.cli", "worker", "--loglevel", "WARNING"],
        env=installation.environ, cwd=ROOT, stdout=writing, stderr=writing,
    )  # fmt: skip
    os.close(writing)
    try:
        yield worker, reading
    finally:
        worker.kill()
        worker.wait()
        os.close(reading)


def test_a_broker_that_is_away_ends_no_worker(
    node: RabbitNode, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Ready, not ready while the broker is away and no longer than that; living all the time. On both brokers."""
    with contextlib.ExitStack() as stack:
        url, valkey_away = stack.enter_context(running_valkey(tmp_path / "valkey"))
        workers: list[tuple[Installation, Probes]] = []
        for name, address in (("valkey", url), ("rabbitmq", node.url)):
            probes = Probes()
            installation = Installation(
                tmp_path_factory.mktemp(name), SIGNERT_BROKER=address, SIGNERT_STALLED_AFTER=str(PATIENCE),
                **SIGNING, **probes.environ,
            )  # fmt: skip
            stack.enter_context(running_worker(installation))
            wait_until(lambda probes=probes: probes.ready)  # type: ignore[misc]
            workers.append((installation, probes))

        def all_alive() -> bool:
            return [p.ask("/livez") for _, p in workers] == [(200, '{"status":"ok"}\n')] * 2

        with valkey_away, node.away():
            wait_until(lambda: all(p.says("/readyz", "broker") for _, p in workers))
            until = time.monotonic() + PATIENCE + 1
            while time.monotonic() < until:
                assert all_alive()
            assert not any(p.ready for _, p in workers)

        def back() -> bool:
            assert all_alive()
            return all(p.ready for _, p in workers)

        wait_until(back)
        for installation, _ in workers:  # and they do consume
            installation.send("no command", headers={"id": "1", "task": "x"})
            wait_until(lambda installation=installation: bool(installation.quarantined()))  # type: ignore[misc]


def test_a_worker_whose_channel_is_dead_is_told_of(node: RabbitNode, tmp_path: Path) -> None:
    """The broker lives, the connection too, the loop turns, and no message comes: the channel's process hangs."""
    probes = Probes()
    installation = Installation(
        tmp_path / "home", SIGNERT_BROKER=node.url, SIGNERT_STALLED_AFTER="3", **SIGNING, **probes.environ
    )
    with running_worker(installation) as worker:
        wait_until(lambda: probes.ready)
        node.suspend_channels()
        submit(installation, 4)
        wait_until(lambda: probes.says("/livez", "starved"))
        assert probes.says("/readyz", "starved")
        worker.kill()
    node.restart()
    with running_worker(installation):  # as the platform would
        wait_until(lambda: probes.ready)
        wait_until(lambda: len(list(installation.home.glob("store/agreements/*"))) == 4)
        assert probes.alive
    node.wipe()


def test_a_worker_goes_on_when_its_queue_was_deleted(node: RabbitNode, tmp_path: Path) -> None:
    probes = Probes()
    installation = Installation(
        tmp_path / "home", SIGNERT_BROKER=node.url, SIGNERT_STALLED_AFTER="3", **SIGNING, **probes.environ
    )
    with running_worker(installation):
        wait_until(lambda: probes.ready)
        with installation.broker() as connection, connection.channel() as channel:
            channel.queue_delete("signert.commands")
        wait_until(lambda: (node.queue("signert.commands") or {}).get("consumers") == 1)
        wait_until(lambda: probes.ready)
        assert probes.alive
    node.wipe()


def test_a_worker_whose_loop_hangs_is_told_of(tmp_path: Path) -> None:
    """Its log is not read any more, so that it stands still at the next line; and goes on when it is read."""
    probes = Probes()
    installation = Installation(tmp_path / "home", SIGNERT_STALLED_AFTER="3", **SIGNING, **probes.environ)
    with installation.broker(), unread_worker(installation) as (worker, log):
        wait_until(lambda: probes.ready)
        for number in range(100):
            installation.send("no command", headers={"id": str(number)})
        wait_until(lambda: probes.says("/livez", "blocked"))
        assert probes.says("/readyz", "blocked")
        assert worker.poll() is None
        os.set_blocking(log, False)

        def read() -> bool:
            with contextlib.suppress(BlockingIOError):
                os.read(log, 4096)
            return probes.alive and probes.ready

        wait_until(read)
        wait_until(lambda: read() and len(installation.quarantined()) == 100)
        worker.send_signal(signal.SIGTERM)
        wait_until(lambda: read() or worker.poll() is not None)
        assert worker.wait(30) == 0


@pytest.mark.office
def test_a_rendering_worker_is_ready_when_libreoffice_works(tmp_path: Path) -> None:
    probes = Probes()
    office = tmp_path / "soffice"
    installation = Installation(
        tmp_path / "home", SIGNERT_SOFFICE=str(office), SIGNERT_CAPABILITIES="render", **probes.environ
    )
    with running_worker(installation):
        wait_until(lambda: probes.says("/readyz", "office"))
        assert probes.alive
        office.symlink_to("/usr/bin/soffice")  # somebody mends it
        submit(installation, 1)
        wait_until(lambda: probes.ready)
        installation.event(lambda e: e["type"] == "agreement.rendered")


def test_a_sweeper_has_probes_too_and_a_taken_port_is_named(tmp_path: Path) -> None:
    probes = Probes()
    installation = Installation(tmp_path / "home", **probes.environ)
    with running_worker(installation, "--sweep", "only"):
        wait_until(lambda: probes.ready and probes.alive)
        refused = installation.signert("worker", ok=3)
        assert "SIGNERT_MANAGEMENT_PORT" in refused.stderr
        assert probes.ready
