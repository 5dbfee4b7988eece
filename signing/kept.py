"""What is kept: so many items and bytes, the least recently used going first; or while one document is worked on."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from typing import Any, Final, Generic, TypeVar

__all__ = ["Kept", "OneAtATime", "of_document", "one_document"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Kept(Generic[K, V]):
    """Safe to share among threads. An item larger than all there is room for is not kept."""

    def __init__(self, max_items: int, max_bytes: int) -> None:
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._items: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def get(self, key: K) -> V | None:
        with self._lock:
            if key not in self._items:
                return None
            self._items.move_to_end(key)
            return self._items[key][0]

    def put(self, key: K, value: V, size: int) -> None:
        with self._lock:
            self._remove(key)
            if size > self._max_bytes:
                return
            self._items[key] = (value, size)
            self._bytes += size
            while self._bytes > self._max_bytes or len(self._items) > self._max_items:
                _, (_, oldest) = self._items.popitem(last=False)
                self._bytes -= oldest

    def drop(self, key: K) -> None:
        with self._lock:
            self._remove(key)

    def clear(self) -> None:
        with self._lock:
            self._items.clear()
            self._bytes = 0

    def __len__(self) -> int:
        return len(self._items)

    def _remove(self, key: K) -> None:
        if key in self._items:
            self._bytes -= self._items.pop(key)[1]


class OneAtATime(Generic[K]):
    """Threads that want the same wait for one another; those that want other things do not."""

    def __init__(self) -> None:
        self._guard = Lock()
        self._wanted: dict[K, tuple[Lock, int]] = {}

    @contextmanager
    def of(self, key: K) -> Iterator[None]:
        """While this lasts, no other thread is in the same."""
        with self._guard:
            lock, threads = self._wanted.get(key, (Lock(), 0))
            self._wanted[key] = lock, threads + 1
        try:
            with lock:
                yield
        finally:
            with self._guard:
                _, threads = self._wanted.pop(key)
                if threads > 1:
                    self._wanted[key] = lock, threads - 1


_PARSED: Final = 2_048
_PARSED_BYTES: Final = 32 * 1024 * 1024

_of_document: Final[ContextVar[Kept[Any, Any] | None]] = ContextVar("signing_of_document", default=None)
_nothing: Final[Kept[Any, Any]] = Kept(0, 0)


@contextmanager
def one_document() -> Iterator[None]:
    """While this lasts, `of_document` keeps what is put in it. Within another one, it is that one.

    It is put around all that is done with one document, or with one agreement in one run: certificates and names of
    persons are in it, which are nobody else's business, and gone with its end.
    """
    if _of_document.get() is not None:
        yield
        return
    token = _of_document.set(Kept(_PARSED, _PARSED_BYTES))
    try:
        yield
    finally:
        _of_document.reset(token)


def of_document() -> Kept[Any, Any]:
    """What is kept while one document is looked at, by keys of the caller's; nothing stays in it at other times."""
    kept = _of_document.get()
    return _nothing if kept is None else kept
