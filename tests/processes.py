"""Processes that tests look at, stop and kill: always ones that the test itself has started."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

from service.adapters.office import Office

__all__ = ["members", "soffice_of", "stop", "wait_until"]


def members(group: int | None) -> dict[int, str]:
    """The living processes of a process group: pid to name."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            pid, rest = stat.read_text().split(" (", 1)
            name, fields = rest.rsplit(") ", 1)
            state, _, pgrp = fields.split()[:3]
            if int(pgrp) == group and state != "Z":
                found[int(pid)] = name
    return found


def soffice_of(office: Office) -> int:
    return next(pid for pid, name in members(office.process_group).items() if name.startswith("soffice"))


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "this did not come true in time"
        threading.Event().wait(0.01)


def stop(pid: int) -> None:
    """Stop a process, and return when it does stand still."""
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: ") T " in Path(f"/proc/{pid}/stat").read_text())
