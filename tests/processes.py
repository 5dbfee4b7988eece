"""Processes that tests look at, stop and kill: always ones that the test itself has started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol, TypeVar

from service.adapters.office import Office

__all__ = ["members", "soffice_of", "started", "stop", "until_it_answers", "wait_until"]


class Server(Protocol):
    def start(self) -> None: ...


S = TypeVar("S", bound=Server)


def started(servers: Iterable[S]) -> S:
    """The first of these that starts: somebody may take a free port before a server does."""
    fault: RuntimeError | None = None
    for server in servers:
        try:
            server.start()
        except RuntimeError as exc:
            fault = exc
        else:
            return server
    assert fault
    raise fault


def until_it_answers(
    name: str,
    process: subprocess.Popen[bytes],
    ready: Callable[[], object],
    faults: tuple[type[Exception], ...],
    log: Path,
    *,
    seconds: float,
) -> None:
    """Call `ready` until it raises none of the faults. Raises `RuntimeError`, with what the process has said."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            ready()
        except faults as exc:
            if process.poll() is not None or time.monotonic() > deadline:
                said = log.read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{name} does not start: {exc}\n{said}") from exc
            time.sleep(0.05)  # until the next look
        else:
            return


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
