"""Word to PDF by one warm LibreOffice, supervised.

    with Office() as office:
        pdf = office.to_pdf(docx)

LibreOffice hangs, leaks and fetches addresses, so it is held on a short lead. Each `Office` owns one instance
on a fresh profile in a private folder, reached through a Unix socket that only this user may open, in network and
process namespaces of its own where the system allows it. Past its time it is killed with everything it started; after
some hundreds of documents, or when it has grown, it is replaced. `office_host.py` is the process in between: it has
the system's Python, which alone has `uno`, and takes LibreOffice with it when this process dies, even by SIGKILL.

A start takes as long as ten documents, so who is about to have nothing to do says so (`rest`): an instance that has
not long to go is replaced then, and nobody waits for it.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
import re
import select
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import IO, Literal, Self

from service.errors import ConfigurationError, RenderFailed, RenderTimeout, SignertError, UnreadableDocument

__all__ = ["Isolation", "Office", "OfficeSettings", "isolation_of_this_system"]

log = logging.getLogger(__name__)

_HOST = Path(__file__).with_name("office_host.py")
_PROFILE = Path(__file__).with_name("office_profile.xcu")
_MEMORY = Path("/dev/shm")  # noqa: S108 (a folder of our own is made there)
_MEMORY_ROOM = 512 * 1024 * 1024  # bytes free
_SOON = 0.75  # of what an instance may do: from here on it is replaced at the next rest
_GRACE_SECONDS = 2.0  # for the host to kill LibreOffice and clean up, before it is killed itself
_ZIP = b"PK\x03\x04"
_PROBE_SECONDS = 10.0
_SAID = 8192
_FRAME = re.compile(r'File "([^"]+)", line (\d+), in \S+')
_ERROR = re.compile(r"([A-Za-z_][\w.]*(?:Error|Exception|Failed|Interrupt))(?::|$)")


class Isolation(StrEnum):
    """What keeps LibreOffice from the network, and from outliving its host."""

    NAMESPACES = "network and process namespaces"
    NETWORK_NAMESPACE = "network namespace"
    CONFIGURATION = "configuration only"


@dataclass(frozen=True)
class OfficeSettings:
    """How LibreOffice is run.

    `timeout_seconds` is for one document, `start_seconds` for a start with a fresh profile (1.5 s on a quiet
    machine; one that hangs is ended and tried once more). The instance is replaced after `recycle_after` documents
    or past `memory_limit_bytes` resident (after 200 of the example agreement it has 245 MiB, and 212 after 25).
    `namespaces=False` leaves isolation to the configuration alone.
    """

    soffice: Path = Path("/usr/bin/soffice")
    uno_python: Path = Path("/usr/bin/python3")
    timeout_seconds: float = 60.0
    start_seconds: float = 20.0
    recycle_after: int = 200
    memory_limit_bytes: int = 600 * 1024 * 1024
    namespaces: bool = True


@functools.cache
def isolation_of_this_system() -> tuple[Isolation, tuple[str, ...]]:
    """The best isolation to be had here, and the command that gives it. Tried for real, once a process."""
    unshare = shutil.which("unshare")
    if unshare is None:
        return Isolation.CONFIGURATION, ()
    user = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    for isolation, options in (
        (Isolation.NAMESPACES, ("--net", "--pid", "--kill-child")),
        (Isolation.NETWORK_NAMESPACE, ("--net",)),
    ):
        command = (unshare, *user, *options, "--")
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            probe = subprocess.run(  # noqa: S603 (fixed arguments)
                [*command, "true"], capture_output=True, check=False, timeout=_PROBE_SECONDS
            )
            if probe.returncode == 0:
                return isolation, command
    return Isolation.CONFIGURATION, ()


class Office:
    """One LibreOffice at a time, started when first needed. Safe for threads, one document at a time, and over fork.

    Raises, where LibreOffice is needed: `ConfigurationError` when it or its Python is not installed,
    `RenderTimeout` and `RenderFailed` (both retryable; the next call starts a fresh instance), and
    `UnreadableDocument` (not retryable). `on_start` is told of each start: `first`, `recycled`, `replaced` or `again`.
    `eased` is what LibreOffice gets instead of a document: the same to look at, and quicker to read.
    """

    def __init__(
        self,
        settings: OfficeSettings | None = None,
        *,
        on_start: Callable[[str], None] = lambda _reason: None,
        eased: Callable[[bytes], bytes] = lambda docx: docx,
    ) -> None:
        self.settings = settings or OfficeSettings()
        self._on_start = on_start
        self._eased = eased
        self._reason = "first"
        self._lock = threading.Lock()
        self._instance: _Instance | None = None
        self._replacing: threading.Thread | None = None
        _offices.add(self)

    @property
    def isolation(self) -> Isolation:
        """What keeps LibreOffice from the network on this system."""
        return isolation_of_this_system()[0] if self.settings.namespaces else Isolation.CONFIGURATION

    @property
    def process_group(self) -> int | None:
        """The process group of the running instance, None when there is none."""
        instance = self._instance
        return instance.process.pid if instance else None

    def start(self) -> str:
        """Start LibreOffice now, unless it runs, so that the first document need not wait. Returns its version."""
        with self._lock:
            return self._ready().version

    def to_pdf(self, docx: bytes, *, part: Literal[2, 3] = 2) -> bytes:
        """A tagged PDF/A-`part`b + PDF/UA-1 of the document."""
        docx = self._eased(docx)
        with self._lock:
            instance = self._ready()
            try:
                return instance.convert(docx, part)
            except UnreadableDocument:
                raise
            except OSError as error:
                self._discard()
                raise _no_room(error) from error
            except BaseException:  # a worker's own time limit, too, may strike in the middle
                self._discard()
                raise
            finally:
                if self._instance and self._instance.is_spent():
                    self._discard("recycled")

    def rest(self) -> None:
        """Nobody waits for a document just now: an instance that has not long to go is replaced, beside what the
        caller does next. A document that comes meanwhile waits for the rest of the start.
        """
        instance = self._instance
        spent = instance.is_spent(_SOON) if instance else self._reason == "recycled"
        if spent and not (self._replacing and self._replacing.is_alive()):
            self._replacing = threading.Thread(target=self._replace, name="LibreOffice", daemon=True)
            self._replacing.start()

    def close(self) -> None:
        """End LibreOffice and remove its folder. A later call starts a new one."""
        if self._replacing:
            self._replacing.join()
        with self._lock:
            self._discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _replace(self) -> None:
        with self._lock:
            if self._instance and self._instance.is_spent(_SOON):
                self._discard("recycled")
            try:
                self._ready()
            except SignertError as error:  # the next document tries again, and says so itself
                log.warning("LibreOffice could not be replaced at rest: %s", error.message)

    def _ready(self) -> _Instance:
        if self._instance and self._instance.is_gone():
            self._discard()
        if self._instance is None:
            command = isolation_of_this_system()[1] if self.settings.namespaces else ()
            self._instance = self._started(command)
        return self._instance

    def _started(self, command: tuple[str, ...]) -> _Instance:
        try:
            self._on_start(self._reason)
            try:
                return _Instance(self.settings, command)
            except (RenderFailed, RenderTimeout) as error:
                log.warning("LibreOffice is started once more: %s", error.message)
                self._on_start("again")
                return _Instance(self.settings, command)
        except OSError as error:
            raise _no_room(error) from error

    def _discard(self, reason: str = "replaced") -> None:
        instance, self._instance, self._reason = self._instance, None, reason
        if instance:
            instance.end()

    def _forget(self) -> None:
        """After a fork, in the child: the instance is the parent's."""
        self._lock, self._replacing = threading.Lock(), None
        instance, self._instance, self._reason = self._instance, None, "first"
        if instance:
            instance.forget()


_offices: weakref.WeakSet[Office] = weakref.WeakSet()


def _forget_inherited() -> None:
    for office in list(_offices):
        office._forget()


os.register_at_fork(after_in_child=_forget_inherited)


class _Instance:
    """A host process and its LibreOffice, from start to end."""

    def __init__(self, settings: OfficeSettings, isolate: tuple[str, ...]) -> None:
        _check_installed(settings)
        self.settings = settings
        self.documents = 0
        self.folder = Path(tempfile.mkdtemp(prefix="signert-office-", dir=_place()))  # mode 0700
        self._unread = b""
        try:
            user = self.folder / "profile" / "user"
            user.mkdir(parents=True)
            shutil.copyfile(_PROFILE, user / "registrymodifications.xcu")
            with (self.folder / "host.log").open("wb") as log:
                self.process = subprocess.Popen(  # noqa: S603 (a fixed program, our own arguments)
                    [
                        *isolate,
                        settings.uno_python,
                        "-IB",
                        _HOST,
                        self.folder,
                        settings.soffice,
                        str(settings.start_seconds),
                    ],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=_environment(self.folder),
                    cwd=self.folder,
                    start_new_session=True,
                    bufsize=0,
                )
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        try:
            # The host keeps the time of the start; what is added here is for a host that hangs itself.
            ready = self._answer(settings.start_seconds + _GRACE_SECONDS)
        except BaseException:
            self.end()
            raise
        self.version = str(ready.get("version", ""))
        if ready.get("event") != "ready":
            self.end()
            raise RenderFailed(
                f"LibreOffice did not start: {ready.get('detail', 'no reason given')}",
                remedy="It is started again with the next document. If it keeps failing, "
                f"run `{settings.soffice} --headless --version` and see that the disk is not full.",
            )

    def convert(self, docx: bytes, part: Literal[2, 3]) -> bytes:
        if not docx.startswith(_ZIP):  # of an empty file LibreOffice makes an empty document
            raise _unreadable()
        source, target = self.folder / "in.docx", self.folder / "out.pdf"
        self.documents += 1
        try:
            source.write_bytes(docx)
            request = {"source": source.name, "target": target.name, "part": part}
            self._send(json.dumps(request).encode() + b"\n")
            answer = self._answer(self.settings.timeout_seconds)
            if answer.get("reason") == "load":
                raise _unreadable()
            if not answer.get("ok"):
                step = "write the PDF" if answer.get("reason") == "export" else "answer"
                raise RenderFailed(
                    f"LibreOffice failed to {step} ({answer.get('detail', 'no reason given')})",
                    remedy="The document is tried again on a fresh instance. If it keeps failing, "
                    "look for what is unusual in the template.",
                )
            return target.read_bytes()
        finally:
            # The document is personal data: it stays on disk no longer than LibreOffice needs it.
            source.unlink(missing_ok=True)
            target.unlink(missing_ok=True)

    def is_gone(self) -> bool:
        """Whether the host ended while it had nothing to do: its pipe ends before its process can be waited for."""
        return self.process.poll() is not None or _readable(self._pipes()[1], 0)

    def is_spent(self, share: float = 1) -> bool:
        """Whether it is time for a fresh instance, with this share of what one may do."""
        return (
            self.documents >= share * self.settings.recycle_after
            or _resident_bytes(self.process.pid) > share * self.settings.memory_limit_bytes
        )

    def end(self) -> None:
        """Kill the whole tree and remove the folder. Nothing of it is left when this returns."""
        if said := _said(self.folder / "host.log"):
            log.warning("LibreOffice's host said: %s", said)
        stdin, stdout = self._pipes()
        with contextlib.suppress(OSError):
            stdin.close()  # the host kills LibreOffice and reaps it, so nobody inherits a zombie
        deadline = time.monotonic() + _GRACE_SECONDS
        with contextlib.suppress(OSError):
            while _readable(stdout, deadline - time.monotonic()) and os.read(stdout.fileno(), 65536):
                pass
        # Not reaped yet, so the number is still this group's and nobody else's.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        stdout.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def forget(self) -> None:
        """In a forked child: let go of the pipes, so that the host sees the end of its real parent."""
        for pipe in self._pipes():
            with contextlib.suppress(OSError):
                pipe.close()
        self.process.returncode = 0  # not ours to wait for

    def _send(self, line: bytes) -> None:
        try:
            self._pipes()[0].write(line)
        except OSError as error:
            raise _gone(self.process) from error

    def _answer(self, seconds: float) -> dict[str, object]:
        """The host's next line. Raises `RenderTimeout`, or `RenderFailed` when the host is gone."""
        stdout = self._pipes()[1]
        deadline = time.monotonic() + seconds
        while b"\n" not in self._unread:
            if not _readable(stdout, deadline - time.monotonic()):
                raise RenderTimeout(
                    f"LibreOffice was not done after {seconds:g} seconds, and was ended",
                    remedy="The document is tried again on a fresh instance. If it keeps taking too long, "
                    "raise the time limit or look for what is large in the template.",
                    detail={"seconds": seconds},
                )
            block = os.read(stdout.fileno(), 65536)
            if not block:
                raise _gone(self.process)
            self._unread += block
        line, _, self._unread = self._unread.partition(b"\n")
        answer: dict[str, object] = json.loads(line)
        return answer

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None and stdout is not None
        return stdin, stdout


def _check_installed(settings: OfficeSettings) -> None:
    for program, package in (
        (settings.soffice, "libreoffice-writer-nogui"),
        (settings.uno_python, "python3-uno"),
    ):
        if not os.access(program, os.X_OK):
            raise ConfigurationError(
                f"{program} is not there or may not be run",
                remedy=f"Install the package {package}, or name the right path in the settings.",
            )


def _place() -> Path | None:
    """Where instances have their folders: in memory, for LibreOffice syncs each PDF to disk and writes fonts and pages
    beside it; None, the usual place, where somebody chose one (`TMPDIR`) or memory has not got the room."""
    chosen = os.environ.get("TMPDIR") or tempfile.gettempdir() != "/tmp"  # noqa: S108 (compared, not used)
    if chosen or not _MEMORY.is_mount() or not os.access(_MEMORY, os.W_OK | os.X_OK):
        return None
    return _MEMORY if shutil.disk_usage(_MEMORY).free >= _MEMORY_ROOM else None


def _no_room(error: OSError) -> RenderFailed:
    return RenderFailed(
        f"The folder for LibreOffice's files cannot be used: {error.strerror}",
        remedy=f"See that {tempfile.gettempdir()} may be written to and is not full.",
    )


def _unreadable() -> UnreadableDocument:
    return UnreadableDocument(
        "LibreOffice cannot load this document: it is damaged, or no Word file (.docx)",
        remedy="Open the template in Word or Writer, save it as .docx, and add it to the catalogue.",
    )


def _gone(process: subprocess.Popen[bytes]) -> RenderFailed:
    return RenderFailed(
        "LibreOffice or its host process ended in the middle of its work",
        remedy="The document is tried again on a fresh instance. If it keeps ending, look for the kernel's "
        "out-of-memory killer in the system log, and see that python3-uno is installed for the Python named.",
        detail={"status": process.poll()},
    )


def _said(host_log: Path) -> str:
    """What the host wrote on standard error, of that places and types of errors: texts may quote a document."""
    try:
        with host_log.open("rb") as file:
            file.seek(max(0, host_log.stat().st_size - _SAID))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    found = (_FRAME.fullmatch(line.strip()) or _ERROR.match(line) for line in lines)
    return " < ".join(":".join(filter(None, match.groups())) for match in found if match)


def _environment(folder: Path) -> dict[str, str]:
    """What LibreOffice gets to see: nothing of the worker's environment, which holds secrets."""
    nowhere = "http://127.0.0.1:9"  # the discard port
    return {
        "PATH": os.defpath,
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "LC_ALL": "C.UTF-8",
        "TZ": "Europe/Oslo",
        "SAL_USE_VCLPLUGIN": "svp",
        "http_proxy": nowhere,
        "https_proxy": nowhere,
        "no_proxy": "",
    }


def _readable(stream: IO[bytes], seconds: float) -> bool:
    return bool(select.select([stream], [], [], max(0.0, seconds))[0])


def _resident_bytes(pid: int) -> int:
    """Resident memory of a process and all below it; what has just ended counts as nothing."""
    total = 0
    with contextlib.suppress(OSError, IndexError, ValueError):
        proc = Path("/proc") / str(pid)
        total = int((proc / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        for task in (proc / "task").iterdir():
            total += sum(_resident_bytes(int(child)) for child in (task / "children").read_text().split())
    return total
