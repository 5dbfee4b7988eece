"""An object store whose answers are timed, and whose errors are counted."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Iterator
from datetime import datetime

from service.domain.ports import Body, ObjectStore, Signals
from service.domain.signals import STORE_ERRORS, STORE_TIME
from service.errors import AlreadyExists, NotFound, Retained, StoreError

__all__ = ["ObservedStore"]

_ANSWERS = (NotFound, AlreadyExists, Retained)
"""What the store says on purpose."""


class ObservedStore:
    """`store`, with the time of each operation and its errors told to `signals`.

    Of a listing or a stream the errors are told, and the time until it begins: its reader has the rest.
    """

    def __init__(self, store: ObjectStore, signals: Signals) -> None:
        self._store = store
        self._signals = signals

    def __repr__(self) -> str:
        return repr(self._store)

    def create(self, key: str, body: Body, *, retain_until: datetime | None = None) -> None:
        with self._timed("create"):
            self._store.create(key, body, retain_until=retain_until)

    def put(self, key: str, body: Body) -> None:
        with self._timed("put"):
            self._store.put(key, body)

    def get(self, key: str) -> bytes:
        with self._timed("get"):
            return self._store.get(key)

    def stream(self, key: str, *, start: int = 0, length: int | None = None) -> Generator[bytes]:
        with self._timed("stream"):
            pieces = self._streamed(self._store.stream(key, start=start, length=length))
        next(pieces)  # so that what the store holds open is let go even if nobody reads on
        return pieces

    def _streamed(self, pieces: Generator[bytes]) -> Generator[bytes]:
        with contextlib.closing(pieces), self._told("stream"):
            yield b""
            yield from pieces

    def exists(self, key: str) -> bool:
        with self._timed("exists"):
            return self._store.exists(key)

    def size(self, key: str) -> int:
        with self._timed("size"):
            return self._store.size(key)

    def retain(self, key: str, until: datetime) -> None:
        with self._timed("retain"):
            self._store.retain(key, until)

    def retained_until(self, key: str) -> datetime | None:
        with self._timed("retained_until"):
            return self._store.retained_until(key)

    def erase(self, key: str) -> None:
        with self._timed("erase"):
            self._store.erase(key)

    def list(self, prefix: str = "", *, after: str | None = None, limit: int | None = None) -> Iterator[str]:
        return self._listed("list", self._store.list(prefix, after=after, limit=limit))

    def folders(self, prefix: str) -> Iterator[str]:
        return self._listed("folders", self._store.folders(prefix))

    def _listed(self, operation: str, keys: Iterator[str]) -> Iterator[str]:
        with self._told(operation):
            with self._timed(operation, tell=False):
                first = next(keys, None)
            if first is not None:
                yield first
                yield from keys

    def delete(self, key: str) -> None:
        with self._timed("delete"):
            self._store.delete(key)

    def link(self, key: str, *, seconds: int, filename: str) -> str | None:
        with self._timed("link"):
            return self._store.link(key, seconds=seconds, filename=filename)

    @contextlib.contextmanager
    def _timed(self, operation: str, *, tell: bool = True) -> Iterator[None]:
        began = time.perf_counter()
        try:
            with self._told(operation) if tell else contextlib.nullcontext():
                yield
        finally:
            self._signals.observe(STORE_TIME, time.perf_counter() - began, operation)

    @contextlib.contextmanager
    def _told(self, operation: str) -> Iterator[None]:
        try:
            yield
        except StoreError as exc:
            if not isinstance(exc, _ANSWERS):
                self._signals.count(STORE_ERRORS, operation, exc.code)
            raise
