"""A background process that every process using one data folder shares, and that ends with the last of them.

The embedded broker and the development PKI live this way: the first process that needs one starts it, later
ones find it, and it stops when nobody is left, however they went.

Three files with `flock` in the folder carry this, and the kernel lets go of a dead process's locks:

* `.NAME.users`  — shared lock, held by every user. The background process asks for it exclusively: having it
  means that nobody is left, and that whoever comes now waits until the process is gone.
* `.NAME.alive`  — exclusive lock, held by the background process from its start to its end; its content is
  that process's id, for people.
* `.NAME.start`  — exclusive lock, held while looking whether one runs and starting it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from service.errors import ConfigurationError, SignertError

__all__ = ["SharedProcess", "child_environment", "make_private_folder", "serve_shared"]

# How often a background process looks whether somebody still uses it, and a leaving user whether it has
# gone: the kernel's locks cannot be waited for together with anything else.
_LOOK_INTERVAL = 0.05
_START_LIMIT = 60.0
_STOP_LIMIT = 15.0


class SharedProcess:
    """One process's use of the background process `name` of `folder`.

    `module` is run as `python -m MODULE ARGUMENTS` and must call `serve_shared` with the same folder and
    name.
    """

    def __init__(self, folder: Path, name: str, module: str, arguments: Sequence[str]) -> None:
        self._folder = folder
        self._name = name
        self._command = [sys.executable, "-m", module, *arguments]
        self._lease: int | None = None
        self._pid = 0
        self._mutex = threading.Lock()

    @property
    def held(self) -> bool:
        return self._lease is not None and self._pid == os.getpid()

    def acquire(self) -> None:
        """Become a user of the background process; start it when none runs, and return when it is ready.

        Raises `ConfigurationError` when it cannot start, with the reason that it gave.
        """
        with self._mutex:
            if not self.held:
                make_private_folder(self._folder)
                # A fork shares its parent's lock: only one of its own lasts as long as it does.
                self._lease, self._pid = _open_lock(self._folder, self._name, "users"), os.getpid()
                fcntl.flock(self._lease, fcntl.LOCK_SH)
            try:
                with _locked(self._folder, self._name, "start"):
                    if not is_running(self._folder, self._name):
                        self._start()
            except BaseException:
                lease = self._let_go()
                if lease is not None:
                    os.close(lease)
                raise

    def release(self) -> None:
        """Stop being a user. Returns when the background process is gone, or others still use it."""
        with self._mutex:
            lease = self._let_go()
        if lease is None:
            return
        try:
            self._wait_until_gone(lease)
        finally:
            os.close(lease)

    def _let_go(self) -> int | None:
        """Unlock; gives the still open descriptor when this process held the lock."""
        if self._lease is None:
            return None
        lease, self._lease = self._lease, None
        if self._pid != os.getpid():
            os.close(lease)  # a fork's copy: unlocking it would take the lock from the parent
            return None
        fcntl.flock(lease, fcntl.LOCK_UN)
        return lease

    def _start(self) -> None:
        try:
            done = subprocess.run(  # noqa: S603 - our own interpreter and module
                self._command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                env=child_environment(),
                timeout=_START_LIMIT,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ConfigurationError(
                f"The {self._name} did not start within {_START_LIMIT:.0f} s.",
                remedy=f"See {_log_path(self._folder, self._name)}.",
            ) from error
        if done.returncode == 0:
            return
        try:
            report = json.loads(done.stdout)
        except ValueError:
            reason = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
            report = {"message": f"The {self._name} did not start: {reason or f'exit {done.returncode}'}."}
        raise ConfigurationError(
            str(report["message"]),
            remedy=str(report.get("remedy") or f"See {_log_path(self._folder, self._name)}."),
        )

    def _wait_until_gone(self, lease: int) -> None:
        deadline = time.monotonic() + _STOP_LIMIT
        while is_running(self._folder, self._name) and time.monotonic() < deadline:
            if _try_lock(lease, fcntl.LOCK_EX):
                fcntl.flock(lease, fcntl.LOCK_UN)  # nobody is left: the background process will see it
            elif _try_lock(lease, fcntl.LOCK_SH):
                fcntl.flock(lease, fcntl.LOCK_UN)
                return  # somebody else still uses it
            time.sleep(_LOOK_INTERVAL / 5)


def child_environment() -> dict[str, str]:
    """The environment for a process of ours: it finds this package whatever its working directory is."""
    root = str(Path(__file__).resolve().parent.parent)
    path = os.pathsep.join(p for p in (root, os.environ.get("PYTHONPATH", "")) if p)
    return {**os.environ, "PYTHONPATH": path}


def make_private_folder(folder: Path) -> None:
    """Make `folder`, open to its owner alone. Raises `ConfigurationError` when that cannot be."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        raise ConfigurationError(
            f"The folder {folder} cannot be made or used ({error.strerror}).",
            remedy="Set SIGNERT_HOME to a folder that this user may write to.",
        ) from error


def is_running(folder: Path, name: str) -> bool:
    """Whether the background process `name` of `folder` is alive (not: ready)."""
    try:
        descriptor = _open_lock(folder, name, "alive")
    except FileNotFoundError:  # the folder was removed
        return False
    try:
        return not _try_lock(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def serve_shared(
    folder: Path,
    name: str,
    start: Callable[[], contextlib.AbstractContextManager[Callable[[], None]]],
) -> NoReturn:
    """Run a background process: leave the terminal, `start`, say that it is ready, stay while it is used.

    `start` gives a context whose value is called some times a second to look after the work; it raises to
    end. What `start` raises goes to the process that asked, as a message and a remedy.
    Must be called before any thread is started.
    """
    reader, writer = os.pipe()
    if os.fork():
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            _report_start(pipe.read())
    os.close(reader)
    answer = _Answer(writer)
    os.umask(0o077)
    os.setsid()  # Ctrl-C in the terminal is for the users, who still need this process to end well
    _redirect_output(_log_path(folder, name))
    status = 1
    try:
        _serve(folder, name, start, answer)
        status = 0
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else 1
    except SignertError as error:
        sys.stderr.write(f"{error.message}\n")
        answer.send({"message": error.message, "remedy": error.remedy})
    except BaseException as error:  # noqa: BLE001 - the last place that can tell of it
        traceback.print_exc()
        answer.send({"message": f"The {name} did not start: {error!r}.", "remedy": ""})
    sys.stderr.flush()
    os._exit(status)


def _serve(
    folder: Path,
    name: str,
    start: Callable[[], contextlib.AbstractContextManager[Callable[[], None]]],
    answer: _Answer,
) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with _locked(folder, name, "alive") as alive, start() as look_after:
        os.ftruncate(alive, 0)
        os.pwrite(alive, f"{os.getpid()}\n".encode(), 0)
        users = _open_lock(folder, name, "users")
        answer.send({})
        while not _try_lock(users, fcntl.LOCK_EX):
            look_after()
            time.sleep(_LOOK_INTERVAL)
        # The lock on `users` is kept to the end: who comes now waits, then finds nobody, and starts anew.


class _Answer:
    """The one answer to the process that asked for the start."""

    def __init__(self, writer: int) -> None:
        self._writer: int | None = writer

    def send(self, report: Mapping[str, str]) -> None:
        if self._writer is None:
            return
        writer, self._writer = self._writer, None
        with contextlib.suppress(BrokenPipeError):  # the asker has gone
            os.write(writer, json.dumps(report).encode())
        os.close(writer)


def _report_start(answer: bytes) -> NoReturn:
    if answer == b"{}":
        os._exit(0)
    sys.stdout.write(answer.decode() or json.dumps({"message": "The background process died at its start."}))
    sys.stdout.flush()
    os._exit(1)


def _redirect_output(log: Path) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(null, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)


def _log_path(folder: Path, name: str) -> Path:
    return folder / f"{name}.log"


def _open_lock(folder: Path, name: str, which: str) -> int:
    return os.open(folder / f".{name}.{which}", os.O_RDWR | os.O_CREAT, 0o600)


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def _locked(folder: Path, name: str, which: str) -> Iterator[int]:
    descriptor = _open_lock(folder, name, which)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)
