"""SIGTERM in the midst of work, as at every roll-out: the worker ends in time, another goes on, and all ends once."""

from __future__ import annotations

import signal
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.e2e.conftest import Installation, all_signed, log_entries, running_worker, submit, wait_until
from tests.e2e.test_recovery import frozen_office
from tests.rabbitmq import RabbitNode

pytestmark = [pytest.mark.office, pytest.mark.broker, pytest.mark.pki]

AGREEMENTS = 12
GRACE, KILLED_AFTER = 25, 30
"""Seconds: SIGNERT_SHUTDOWN_GRACE as it is by default, and terminationGracePeriodSeconds of Kubernetes."""


def test_a_roll_out_under_load_loses_nothing(node: RabbitNode, tmp_path: Path) -> None:
    installation = Installation(tmp_path / "home", SIGNERT_BROKER=node.url, SIGNERT_CONCURRENCY="2")
    with running_worker(installation) as old, running_worker(installation):
        ids = submit(installation, AGREEMENTS)
        wait_until(lambda: log_entries(installation) > AGREEMENTS)
        began = time.monotonic()
        old.send_signal(signal.SIGTERM)
        assert old.wait(timeout=KILLED_AFTER) == 0
        seconds, entries = time.monotonic() - began, log_entries(installation)
        all_signed(installation, ids)
        sys.stdout.write(
            f"ended after {seconds:.1f} s, with {entries} of {log_entries(installation)} entries written\n"
        )
        assert entries < log_entries(installation)  # it was stopped in the midst of work
        wait_until(lambda: all((node.queue(name) or {}).get("messages") == 0 for name in worked(node)))
    ends = [e for e in installation.events if e["type"] == "agreement.signed"]
    assert Counter(e["subject"] for e in {e["id"]: e for e in ends}.values()) == dict.fromkeys(ids, 1)
    assert installation.quarantined() == []
    assert list(installation.home.glob("store/work/*/*")) == []
    node.wipe()


def worked(node: RabbitNode) -> list[str]:
    return [name for name in node.queues() if name not in {"signert.events", "signert.ticks"}]


def test_work_that_does_not_end_is_handed_back(node: RabbitNode, tmp_path: Path) -> None:
    """LibreOffice hangs: within the grace period the worker ends all the same, and the message is another's."""
    installation = Installation(tmp_path / "home", SIGNERT_BROKER=node.url, SIGNERT_SHUTDOWN_GRACE="2")
    with running_worker(installation) as worker:
        all_signed(installation, submit(installation, 1))  # LibreOffice runs
        before = log_entries(installation)
        with frozen_office(worker):
            ids = submit(installation, 1)
            wait_until(lambda: log_entries(installation) > before)
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(timeout=KILLED_AFTER) == 0
        queue = node.queue("signert.commands")
        assert queue
        assert queue["ready"] == 1
        with running_worker(installation):
            all_signed(installation, ids)
    node.wipe()


def test_a_worker_that_cannot_even_say_farewell_ends(node: RabbitNode, tmp_path: Path) -> None:
    """The broker hangs: it neither answers nor lets go."""
    installation = Installation(
        tmp_path / "home", SIGNERT_BROKER=node.url, SIGNERT_SHUTDOWN_GRACE="2", SIGNERT_CAPABILITIES="sign"
    )
    with running_worker(installation) as worker:
        node.suspend_channels()
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(timeout=KILLED_AFTER) == 1
    assert b"did not end in time" in installation.log.read_bytes()
    node.restart()
