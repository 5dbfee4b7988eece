"""Asking an HTTP server that may be slow, endless or broken.

with open_session() as session, session.post(url, data=…, timeout=time_limit(10), stream=True) as response:
    body = received(response, limit=65_536, seconds=10)
"""

from __future__ import annotations

import http.client
import io
import socket
import time
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError
from urllib3.util import Timeout

from signing.kept import Kept

__all__ = ["NotReceived", "open_session", "received", "shown_address", "time_limit"]

_BLOCK = 65_536
_MAX_REDIRECTS = 3
_SERVERS = 64


class NotReceived(Exception):
    """The answer did not come whole, in time and in size."""


class _InTime(io.RawIOBase):
    """What a connection gives, until a moment: a socket's own time limit is for each piece, so that a server which
    sends a byte now and then would never meet it.
    """

    def __init__(self, raw: io.RawIOBase, connection: socket.socket) -> None:
        self._raw = raw
        self._connection = connection
        self._limit = connection.gettimeout()
        self._until = None if self._limit is None else time.monotonic() + self._limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._until is not None:
            left = self._until - time.monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            self._connection.settimeout(left)
        return self._raw.readinto(buffer)

    def come(self) -> None:
        """All that was to come in time has come: from now on the limit is for each piece."""
        if self._until is not None:
            self._until = None
            self._connection.settimeout(self._limit)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    """Its head has to come whole within the connection's time limit."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._in_time = _InTime(self.fp.detach(), sock)
        self.fp = io.BufferedReader(self._in_time)

    def begin(self) -> None:
        super().begin()
        self._in_time.come()


class _Connection(HTTPConnection):
    response_class = _Answer


class _TlsConnection(HTTPSConnection):
    response_class = _Answer


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
        return manager


class _Session(requests.Session):
    """Reads the proxies in the environment once for each server: requests goes through all of it twice a request."""

    def __init__(self) -> None:
        super().__init__()
        self._environments: Kept[tuple[Any, ...], Any] = Kept(_SERVERS, _SERVERS)

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        if proxies:
            return super().merge_environment_settings(url, proxies, stream, verify, cert)
        key = *urlsplit(url)[:2], stream, verify, cert
        found: Any = self._environments.get(key)
        if found is None:
            found = super().merge_environment_settings(url, proxies, stream, verify, cert)
            self._environments.put(key, found, 1)
        return {**found, "proxies": dict(found["proxies"])}


def open_session() -> requests.Session:
    """A session that several threads may share: it keeps connections, but no cookies."""
    session = _Session()
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
