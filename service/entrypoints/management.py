"""A small HTTP server beside the work, for who keeps the process running: `/livez`, `/readyz`.

    with serve_management(settings, {"/livez": heart.livez, "/readyz": heart.readyz}):
        …

It answers GET and HEAD from threads of its own, so also while the process's own loop stands still, and never with
anything about an agreement. It has no TLS and asks nobody who they are: let it listen where only the platform is.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from service.config import Settings
from service.errors import ConfigurationError

__all__ = ["Answer", "Routes", "serve_management", "state"]

_PATIENCE: Final = 5.0
"""Seconds that a caller has to say what it wants."""
_AT_ONCE: Final = 16
"""Connections answered at a time; others are closed at once."""


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    media_type: str = "application/json"


Routes = Mapping[str, Callable[[], Answer]]
"""Path to what answers it. Called in any thread, also several at a time."""


def state(reason: str | None) -> Answer:
    """200 and `{"status":"ok"}`, or, with a reason (one word), 503 and that."""
    if reason is None:
        return Answer(HTTPStatus.OK, b'{"status":"ok"}\n')
    body = json.dumps({"status": "unavailable", "reason": reason}, separators=(",", ":"))
    return Answer(HTTPStatus.SERVICE_UNAVAILABLE, f"{body}\n".encode())


class _Handler(BaseHTTPRequestHandler):
    timeout = _PATIENCE
    server_version = "signert"
    sys_version = ""
    server: _Server

    def do_GET(self) -> None:
        found = self.server.routes.get(self.path.partition("?")[0])
        try:
            answer = found() if found else Answer(HTTPStatus.NOT_FOUND, b'{"status":"unknown"}\n')
        except Exception:  # noqa: BLE001 (whatever a route raises: the caller gets an answer, and no inside of ours)
            answer = Answer(HTTPStatus.INTERNAL_SERVER_ERROR, b'{"status":"error"}\n')
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.media_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    do_HEAD = do_GET  # noqa: N815 (the base class asks for this name)

    def log_message(self, *_args: Any) -> None:
        """Say nothing: probes come every few seconds, and a log that nobody reads must not stop them."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 2 * _AT_ONCE

    def __init__(self, host: str, port: int, routes: Routes) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.routes = routes
        self._free = threading.BoundedSemaphore(_AT_ONCE)
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        # The base class also asks the name service for our own name, which may take long and which nobody reads.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that went away is nobody's business."""


@contextlib.contextmanager
def serve_management(settings: Settings, routes: Routes) -> Iterator[None]:
    """Answer on `SIGNERT_MANAGEMENT_PORT` for as long as the context lasts; with port 0, do nothing.

    Forked processes let go of the port. Raises `ConfigurationError` when it cannot be had.
    """
    if not settings.management_port:
        yield
        return
    try:
        server = _Server(settings.management_host, settings.management_port, routes)
    except OSError as exc:
        raise ConfigurationError(
            f"SIGNERT_MANAGEMENT_PORT: cannot listen on {settings.management_host} port {settings.management_port} "
            f"({exc.strerror})",
            remedy="Name a free port, and an address of this machine in SIGNERT_MANAGEMENT_HOST.",
        ) from exc
    os.register_at_fork(after_in_child=server.socket.close)
    owner = os.getpid()
    thread = threading.Thread(target=server.serve_forever, name="management", daemon=True)
    thread.start()
    try:
        yield
    finally:
        if os.getpid() == owner:  # a forked process has no such thread, and would wait for it for ever
            server.shutdown()
            server.server_close()
            thread.join()
