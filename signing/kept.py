"""A bounded memory: so many items, and so many bytes, the least recently used going first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock
from typing import Generic, TypeVar

__all__ = ["Kept"]

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
