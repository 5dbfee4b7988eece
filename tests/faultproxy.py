"""A real HTTP/1.1 proxy before a real server, which answers as badly as it is told to.

    with FaultProxy(server.endpoint) as proxy:
        proxy.next(Fault.DROP_ANSWER, method="PUT")      # the write goes through, its answer is lost
        S3Store("bucket", endpoint=proxy.url, …)

`next` is for one request and exact; `chooser` sees every request, for runs with faults at random. Headers go
through as they are (a signature covers `Host`), except the ones in `strip`.
"""

from __future__ import annotations

import contextlib
import enum
import http.client
import random
import select
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

__all__ = ["Fault", "FaultProxy", "Request", "at_random", "meeting"]


class Fault(enum.Enum):
    DROP_ANSWER = "drop-answer"
    """The server does what was asked; the client never hears of it."""
    CUT_ANSWER = "cut-answer"
    """The answer's headers and half of its body arrive."""
    RESET = "reset"
    """The connection is reset; the server has not seen the request."""
    DELAY = "delay"
    """The request is held back for `FaultProxy.delay` seconds, or until the proxy ends, then passed on."""
    DRIP = "drip"
    """The answer's body comes in twenty pieces over `FaultProxy.delay` seconds."""
    ANSWER_409 = "409"
    ANSWER_500 = "500"
    ANSWER_503 = "503"
    """Answered at once with this status; the server has not seen the request."""
    UNCONDITIONAL = "unconditional"
    """Passed on without `If-None-Match` and `If-Match`."""
    NONSENSE = "nonsense"
    """Answered at once with status 200 and a body that means nothing."""
    EMPTY = "empty"
    """The server's answer without its body."""
    ALTERED = "altered"
    """The server's answer with another last byte: in a token or a CRL, a signature that does not verify."""


_PIECES = 20
_CONDITIONS = ("if-none-match", "if-match")
_CODES = {409: "ConditionalRequestConflict", 500: "InternalError", 503: "SlowDown"}


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    """Path and query, as sent."""
    headers: tuple[tuple[str, str], ...]

    def header(self, name: str) -> str | None:
        return next((v for n, v in self.headers if n.lower() == name.lower()), None)


Chooser = Callable[[Request], Fault | None]


def at_random(rate: float, faults: Sequence[Fault], *, seed: int) -> Chooser:
    """Chooses one of `faults` for the share `rate` of all requests."""
    dice, turn = random.Random(seed), threading.Lock()

    def choose(_request: Request) -> Fault | None:
        with turn:
            return dice.choice(faults) if dice.random() < rate else None

    return choose


def meeting(fault: Fault, *parts: str) -> Chooser:
    """Chooses `fault` for every request whose path holds one of `parts`."""
    return lambda request: fault if any(part in request.path for part in parts) else None


class FaultProxy:
    """Listens on a free port of 127.0.0.1 while the context lasts. Threads; safe to use from any."""

    def __init__(
        self, upstream: str, *, port: int = 0, strip: Sequence[str] = (), delay: float = 60.0
    ) -> None:
        parts = urlsplit(upstream)
        assert parts.scheme == "http", "the proxy speaks plain HTTP to the server"
        self.upstream = (parts.hostname or "", parts.port or 80)
        self.strip = frozenset(name.lower() for name in strip)
        self.delay = delay
        self.chooser: Chooser | None = None
        self.injected: Counter[Fault] = Counter()
        self.requests: list[Request] = []
        self.ended = threading.Event()
        self._planned: list[tuple[Fault, str | None]] = []
        self._mutex = threading.Lock()
        self._listen(port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """Nobody listens on the port: open connections are cut, new ones refused."""
        self._close()
        try:
            yield
        finally:
            self._listen(self._server.server_port)
            self._thread.start()

    def next(self, *faults: Fault, method: str | None = None) -> None:
        """The next requests (of that method) meet these faults, one each."""
        with self._mutex:
            self._planned += [(fault, method) for fault in faults]

    @property
    def planned(self) -> int:
        """Faults of `next` that no request has met yet."""
        return len(self._planned)

    def fault_for(self, request: Request) -> Fault | None:
        with self._mutex:
            self.requests.append(request)
            place = next((i for i, (_, m) in enumerate(self._planned) if m in {None, request.method}), None)
            if place is not None:
                fault: Fault | None = self._planned.pop(place)[0]
            else:
                fault = self.chooser(request) if self.chooser else None
            if fault:
                self.injected[fault] += 1
            return fault

    def _listen(self, port: int) -> None:
        self._server = _Server(("127.0.0.1", port), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def _close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server.cut()

    def __enter__(self) -> FaultProxy:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended.set()
        self._close()
        if self._server.failures and exc is None:
            raise self._server.failures[0]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a client may keep an idle connection open for as long as it likes
    request_queue_size = 128

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.failures: list[Exception] = []
        self._open: set[socket.socket] = set()
        self._mutex = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._mutex:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._mutex:
            self._open.discard(request)
        super().shutdown_request(request)

    def cut(self) -> None:
        """End the connections that are open."""
        with self._mutex:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        import sys

        exc = sys.exc_info()[1]
        if isinstance(exc, Exception) and not isinstance(exc, OSError):  # clients come and go as they like
            self.failures.append(exc)


def _handler(proxy: FaultProxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        upstream: http.client.HTTPConnection | None = None

        def relay(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fault = proxy.fault_for(Request(self.command, self.path, tuple(self.headers.items())))
            if fault is Fault.RESET:
                self.reset()
            elif fault is Fault.NONSENSE:
                self.answer(200, [("Content-Type", "text/html")], b"<html><p>Velkommen!")
            elif fault in {Fault.ANSWER_409, Fault.ANSWER_500, Fault.ANSWER_503}:
                self.answer_error(int(fault.value))
            else:
                if fault is Fault.DELAY:
                    proxy.ended.wait(proxy.delay)
                self.pass_on(body, fault)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = relay  # noqa: N815

        def pass_on(self, body: bytes, fault: Fault | None) -> None:
            try:
                answer = self.ask_upstream(body, without=_CONDITIONS if fault is Fault.UNCONDITIONAL else ())
                content = answer.read()
            except (OSError, http.client.HTTPException):
                self.reset()  # what a client of a dead server sees
                return
            headers = [
                (n, v)
                for n, v in answer.getheaders()
                if n.lower() not in {"connection", "transfer-encoding", "keep-alive"}
            ]
            if answer.chunked:
                headers.append(("Content-Length", str(len(content))))
            if fault is Fault.EMPTY:
                content = b""
                headers = [(n, v) for n, v in headers if n.lower() != "content-length"]
            elif fault is Fault.ALTERED:
                content = content[:-1] + bytes([content[-1] ^ 1]) if content else b""
            if fault is Fault.DROP_ANSWER:
                self.reset()
            elif fault is Fault.DRIP:
                self.answer(answer.status, headers, content, pause=proxy.delay / _PIECES)
            elif fault is Fault.CUT_ANSWER:
                self.answer(answer.status, headers, content[: len(content) // 2])
                self.reset()
            else:
                self.answer(answer.status, headers, content)

        def ask_upstream(self, body: bytes, *, without: Iterable[str]) -> http.client.HTTPResponse:
            if self.upstream and self.upstream.sock and select.select([self.upstream.sock], [], [], 0)[0]:
                self.upstream.close()  # the server has ended the idle connection; the next request opens one
            if self.upstream is None:
                self.upstream = http.client.HTTPConnection(*proxy.upstream, timeout=120)
            link = self.upstream
            link.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in proxy.strip.union({"expect", "connection"}, without):
                    link.putheader(name, value)
            link.endheaders(body)
            return link.getresponse()

        def answer(
            self, status: int, headers: list[tuple[str, str]], body: bytes, *, pause: float = 0
        ) -> None:
            self.send_response_only(status)
            for name, value in headers:
                self.send_header(name, value)
            if not any(n.lower() == "content-length" for n, _ in headers) and status not in {204, 304}:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "HEAD":
                return
            size = len(body) // _PIECES + 1 if pause else len(body) or 1
            for start in range(0, len(body), size):
                proxy.ended.wait(pause)
                self.wfile.write(body[start : start + size])

        def answer_error(self, status: int) -> None:
            body = f"<?xml version='1.0'?><Error><Code>{_CODES[status]}</Code><Message>no</Message></Error>"
            self.answer(status, [("Content-Type", "application/xml")], body.encode())

        def reset(self) -> None:
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.rfile.close()
            self.connection.close()

        def finish(self) -> None:
            if self.upstream is not None:
                self.upstream.close()
            with contextlib.suppress(OSError):
                super().finish()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    return Handler
