"""Requests to the store that do not depend on one another, on their way at the same time.

    together(partial(store.create, key, b"") for key in keys)

What must come before something else is asked before it and has ended by then: this reorders nothing, it overlaps.
"""

from __future__ import annotations

import contextlib
import contextvars
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import lru_cache, partial
from typing import Final

from service.domain.ports import ObjectStore
from service.errors import AlreadyExists

__all__ = ["begun", "mark", "meanwhile", "together"]

_AT_A_TIME: Final = 8
"""Threads of a process. Most of the time they wait for the store, whose client has connections for more."""

Call = Callable[[], None]


def mark(store: ObjectStore, key: str) -> None:
    """See to it that there is an object of that key, an empty one where there was none."""
    with contextlib.suppress(AlreadyExists):
        store.create(key, b"")


def together(calls: Iterable[Call]) -> None:
    """Do all `calls`. Raises the error of the first of them that failed, when all have ended.

    No call may ask for threads itself: it could wait for those that wait for it.
    """
    mine, *others = [*calls] or [_nothing]
    with meanwhile(others):
        mine()


@contextlib.contextmanager
def meanwhile(calls: Iterable[Call]) -> Iterator[None]:
    """`calls` are under way during the context, and have ended with it. Its own error goes before theirs."""
    futures = [begun(call) for call in calls]
    try:
        yield
    finally:
        wait(futures)
    for future in futures:
        future.result()


def begun(call: Call) -> Future[None]:
    """The call, under way in the context (of trace and log) of who asks for it."""
    return _pool(os.getpid()).submit(partial(contextvars.copy_context().run, call))


def _nothing() -> None:
    """Where there is nothing to do."""


@lru_cache(maxsize=2)
def _pool(_process: int) -> ThreadPoolExecutor:
    """The process's own threads: a fork has none of its parent's."""
    return ThreadPoolExecutor(_AT_A_TIME, thread_name_prefix="store")
