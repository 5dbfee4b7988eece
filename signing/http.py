"""Asking an HTTP server that may be slow, endless or broken.

with open_session() as session, session.post(url, data=…, timeout=time_limit(10), stream=True) as response:
    body = received(response, limit=65_536, seconds=10)
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError
from urllib3.response import HTTPResponse
from urllib3.util import Timeout

__all__ = ["NotReceived", "open_session", "received", "shown_address", "time_limit"]

_BLOCK = 65_536
_MAX_REDIRECTS = 3


class NotReceived(Exception):
    """The answer did not come whole, in time and in size."""


class _Watched(HTTPConnection):
    """Ends the connection when the answer's head has not come in time.

    A socket's time limit is for each piece: a server that sends a byte of its head now and then would never meet it.
    """

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]
        if not isinstance(self.timeout, int | float):
            return super().getresponse()
        ended = threading.Timer(self.timeout, _end, (self.sock,))
        ended.daemon = True
        ended.start()
        try:
            return super().getresponse()
        finally:
            ended.cancel()


class _WatchedTls(_Watched, HTTPSConnection):
    pass


def _end(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        # Not an SSLSocket's own, which forgets its keys while the other thread still reads.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Watched


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _WatchedTls


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
        return manager


def open_session() -> requests.Session:
    """A session that several threads may share: it keeps connections, but no cookies."""
    session = requests.Session()
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.max_redirects = _MAX_REDIRECTS
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Adapter())
    return session


def time_limit(seconds: float) -> Any:
    """For `timeout`: connecting and waiting for the answer's head together, for a session of `open_session`.

    Looking up the server's name is not in it: that is the operating system's (`resolv.conf`).
    """
    return Timeout(total=seconds)


def received(response: requests.Response, *, limit: int, seconds: float) -> bytes:
    """The body of a streamed answer. Raises `NotReceived`.

    At most `limit` bytes within `seconds`: the time limit of requests is for each block, so that a server which
    sends a byte now and then would hold the caller for hours.
    """
    deadline = time.monotonic() + seconds
    content = bytearray()
    try:
        while block := response.raw.read1(_BLOCK, decode_content=True):
            content += block
            if len(content) > limit:
                raise NotReceived("the answer is too large")
            if time.monotonic() > deadline:
                raise NotReceived("the answer comes too slowly")
    except (HTTPError, OSError) as error:
        raise NotReceived(type(error).__name__) from error
    return bytes(content)


def shown_address(url: str) -> str:
    """The address for logs and messages: without user, password and query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
