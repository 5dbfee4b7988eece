"""The peers: where they are installed (`scripts/bench.sh`), and how ours talks with a process of theirs.

pyHanko runs in its own process and venv, because `signing/` replaces a function of it for speed.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.report import ROOT

__all__ = ["PYTHON", "Peer", "bench_venv", "installed", "peer", "site_packages"]

PYTHON = "bin/python"


def bench_venv() -> Path:
    """Where the peers are: `BENCH_VENV`, or `.venv/bench`."""
    return Path(os.environ.get("BENCH_VENV") or ROOT / ".venv/bench").absolute()


def installed() -> bool:
    return (bench_venv() / PYTHON).exists()


def site_packages() -> Path:
    return next(bench_venv().glob("lib/python3*/site-packages"))


class Peer:
    """A process in the peers' venv that does one thing at a time (`benchmarks/peer.py`)."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def __call__(self, call: str, **arguments: Any) -> dict[str, Any]:
        """What it answered; `seconds` are measured over there. Raises `SystemExit` with its words when it failed."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps({"call": call, **arguments}, default=str) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"the peer ended at {call}: {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise SystemExit(f"{call}: {answer['error']}")
        return answer


@contextlib.contextmanager
def peer() -> Iterator[Peer]:
    if not installed():
        raise SystemExit("the peers are not installed: run scripts/bench.sh")
    process = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", bench_venv() / PYTHON, Path(__file__).with_name("peer.py")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield Peer(process)
    finally:
        assert process.stdin
        process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
        process.kill()
        process.wait()


def until(condition: Any, seconds: float, what: str) -> None:
    """Wait for a server. Raises `SystemExit`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what} did not come in {seconds:g} s")
        time.sleep(0.05)
