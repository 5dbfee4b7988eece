"""Workers as an orchestrator runs them, each in a process group of its own, with a new one for each that ends.

And the ways to end them: a part of one, or all of it, at once or asked kindly.
"""

from __future__ import annotations

import contextlib
import enum
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tests.e2e.conftest import ROOT
from tests.processes import members, wait_until

__all__ = ["Fleet", "Kill", "Worker"]

_BEAT = re.compile(rb"celery\.beat pid=(\d+) beat: Starting")
_LEAVE = 60.0
_PAUSE = 15.0


class Kill(enum.StrEnum):
    """What is done to a worker; SIGKILL where nothing else is said."""

    WORKER = "main process"
    """What it has started must not live on."""
    GROUP = "process group"
    """All of it at once, as when a container is killed."""
    CHILD = "working process"
    """As the kernel does when memory runs out; the main process lives on."""
    OFFICE = "LibreOffice"
    PAUSE = "pause"
    """SIGSTOP, until others think it dead: then it goes on where it was, and must not undo what they did."""
    STOP = "SIGTERM"
    """As when a new release is rolled out: work under way is finished."""


class Worker:
    """One `signert worker`, its output in a file of its own."""

    def __init__(self, name: str, environ: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        self._home = f"SIGNERT_HOME={environ['SIGNERT_HOME']}".encode()
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                # It ends with us, however we end.
                ["setpriv", "--pdeathsig", "KILL", sys.executable, "-m", "service.entrypoints.cli", "worker"],
                env=dict(environ), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True,
            )  # fmt: skip
        self.expected_to_end = False
        self._resume_at: float | None = None

    @property
    def paused(self) -> bool:
        return self._resume_at is not None

    @property
    def ready(self) -> bool:
        return b" ready." in self.log.read_bytes()

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def end_with(self, kill: Kill) -> bool:
        """False when there was nothing of that kind to kill."""
        pid = self.process.pid
        match kill:
            case Kill.WORKER:
                victims = [pid]
            case Kill.GROUP:
                victims = [*self.members()]
            case Kill.CHILD:
                beat = _BEAT.search(self.log.read_bytes())
                victims = [c for c in _children(pid) if not beat or c != int(beat[1])][:1]
            case Kill.OFFICE:
                victims = [p for p in _descendants(pid) if _name(p).startswith("soffice")]
            case Kill.PAUSE:
                self._signal(self.members(), signal.SIGSTOP)
                self._resume_at = time.monotonic() + _PAUSE
                return True
            case Kill.STOP:
                self.expected_to_end = True
                self.process.terminate()
                return True
        self.expected_to_end |= kill in {Kill.WORKER, Kill.GROUP}
        self._signal(victims, signal.SIGKILL)
        if pid in victims:
            self.process.wait()
        return bool(victims)

    def resume(self, *, now: bool = False) -> None:
        """End a pause when its time has come."""
        if self._resume_at is not None and (now or time.monotonic() > self._resume_at):
            self._resume_at = None
            self._signal(self.members(), signal.SIGCONT)

    def members(self) -> dict[int, str]:
        """The living processes of the worker's group: pid to name. Without LibreOffice, which has its own."""
        # Once a group has ended, its number may become another's.
        return {pid: name for pid, name in members(self.process.pid).items() if self._is_ours(pid)}

    def _is_ours(self, pid: int) -> bool:
        try:
            return self._home in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            return False

    @staticmethod
    def _signal(pids: Iterable[int], what: signal.Signals) -> None:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, what)


class Fleet:
    """A place for each of `capabilities`, kept filled by `tend`. Ends all of them with the context."""

    def __init__(self, environ: Mapping[str, str], folder: Path, capabilities: Sequence[str]) -> None:
        self._environ = environ
        self._folder = folder
        self._capabilities = capabilities
        self._places: list[Worker] = []
        self.all: list[Worker] = []
        self.kills: Counter[Kill] = Counter()
        self.ended_by_themselves: list[str] = []
        """With their exit status. No fault: the store was away at their start, perhaps."""
        self.wrong: list[str] = []
        """Workers that did not end when asked to, or left processes behind."""

    @property
    def logs(self) -> list[Path]:
        return [worker.log for worker in self.all]

    def start(self) -> None:
        self._places = [self._new(place) for place in range(len(self._capabilities))]

    def wait_until_ready(self, seconds: float) -> None:
        """Returns when one of them takes messages: the queues are there then."""

        def ready() -> bool:
            self.tend()
            return any(worker.ready for worker in self._places)

        wait_until(ready, seconds)

    def tend(self) -> None:
        """Put a new worker in the place of each that has ended."""
        for place, worker in enumerate(self._places):
            worker.resume()
            if worker.ended:
                if not worker.expected_to_end:
                    self.ended_by_themselves.append(f"{worker.name}: exit status {worker.process.returncode}")
                self._places[place] = self._new(place)

    def strike(self, kill: Kill, dice: random.Random) -> bool:
        """Kill one of those that work, chosen at random; False when there is none to be had now."""
        candidates = [w for w in self._places if w.ready and not (w.ended or w.paused or w.expected_to_end)]
        dice.shuffle(candidates)
        if any(worker.end_with(kill) for worker in candidates):
            self.kills[kill] += 1
            return True
        return False

    def strike_all(self) -> None:
        """Kill everything, as when the power goes."""
        for worker in self._places:
            self.kills[Kill.GROUP] += worker.end_with(Kill.GROUP)

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._places:
            worker.resume(now=True)
            worker.process.terminate()
        for worker in self._places:
            try:
                worker.process.wait(_LEAVE)
            except subprocess.TimeoutExpired:
                self.wrong.append(f"{worker.name} did not end when asked to")
                worker.process.kill()
                worker.process.wait()
        for worker in self.all:
            living = worker.members()
            if living:
                self.wrong.append(f"{worker.name} has ended and left behind: {living}")
            worker.end_with(Kill.GROUP)

    def _new(self, place: int) -> Worker:
        name = f"worker-{place}-{len(self.all):03}"
        environ = {**self._environ, "SIGNERT_CAPABILITIES": self._capabilities[place]}
        worker = Worker(name, environ, self._folder / f"{name}.log")
        self.all.append(worker)
        return worker


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return sorted(found)


def _descendants(pid: int) -> Iterable[int]:
    for child in _children(pid):
        yield child
        yield from _descendants(child)


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
