"""What happens inside one agreement: a store that counts, and spans of time with what they lie in."""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from service.domain.ports import Body, ObjectStore

__all__ = ["CountingStore", "Spans"]


@dataclass
class Spent:
    calls: int = 0
    seconds: float = 0.0
    cpu: float = 0.0
    """Of this process: what LibreOffice or a server does is not in it."""


@dataclass
class Spans:
    """Time by (step, what), what lies inside another of the same name counted once."""

    by: dict[tuple[str, str], Spent] = field(default_factory=lambda: defaultdict(Spent))
    _within: list[str] = field(default_factory=list)
    _open: Counter[str] = field(default_factory=Counter)

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        self._within.append(name)
        try:
            with self.of(f"all of {name}"):
                yield
        finally:
            self._within.pop()

    @contextlib.contextmanager
    def of(self, what: str) -> Iterator[None]:
        spent = self.by[(self._within[-1] if self._within else "-", what)]
        self._open[what] += 1
        began, cpu = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            self._open[what] -= 1
            spent.calls += 1
            if not self._open[what]:
                spent.seconds += time.perf_counter() - began
                spent.cpu += time.process_time() - cpu

    def wrapped(self, what: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with self.of(what):
                return function(*args, **kwargs)

        return call


class CountingStore:
    """An `ObjectStore` that counts the requests made to another, by verb."""

    def __init__(self, store: ObjectStore, spans: Spans | None = None) -> None:
        self._store = store
        self._spans = spans or Spans()
        self.requests: Counter[str] = Counter()
        self.read: Counter[str] = Counter()
        """How often each key was read."""
        self.bytes_read = 0
        self.bytes_written = 0

    def _asked(self, verb: str) -> contextlib.AbstractContextManager[None]:
        self.requests[verb] += 1
        return self._spans.of(f"store {verb}")

    def create(self, key: str, body: Body, *, retain_until: datetime | None = None) -> None:
        self.bytes_written += len(body) if isinstance(body, bytes) else body.seek(0, os.SEEK_END)
        with self._asked("create"):
            self._store.create(key, body, retain_until=retain_until)

    def put(self, key: str, body: Body) -> None:
        self.bytes_written += len(body) if isinstance(body, bytes) else body.seek(0, os.SEEK_END)
        with self._asked("put"):
            self._store.put(key, body)

    def get(self, key: str) -> bytes:
        self.read[key] += 1
        with self._asked("get"):
            body = self._store.get(key)
        self.bytes_read += len(body)
        return body

    def stream(self, key: str, *, start: int = 0, length: int | None = None) -> Generator[bytes]:
        self.read[key] += 1
        with self._asked("get"):
            return self._store.stream(key, start=start, length=length)

    def exists(self, key: str) -> bool:
        with self._asked("head"):
            return self._store.exists(key)

    def size(self, key: str) -> int:
        with self._asked("head"):
            return self._store.size(key)

    def retain(self, key: str, until: datetime) -> None:
        with self._asked("retain"):
            self._store.retain(key, until)

    def retained_until(self, key: str) -> datetime | None:
        with self._asked("head"):
            return self._store.retained_until(key)

    def erase(self, key: str) -> None:
        with self._asked("delete"):
            self._store.erase(key)

    def list(self, prefix: str = "", *, after: str | None = None, limit: int | None = None) -> Iterator[str]:
        """Counted as one request: a page of S3 has 1,000 keys."""
        with self._asked("list"):
            found = [*self._store.list(prefix, after=after, limit=limit)] if limit else None
        return iter(found) if found is not None else self._store.list(prefix, after=after)

    def folders(self, prefix: str) -> Iterator[str]:
        with self._asked("list"):
            return self._store.folders(prefix)

    def delete(self, key: str) -> None:
        with self._asked("delete"):
            self._store.delete(key)

    def link(self, key: str, *, seconds: int, filename: str) -> str | None:
        return self._store.link(key, seconds=seconds, filename=filename)
