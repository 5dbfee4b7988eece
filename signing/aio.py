"""Running pyHanko's coroutines from ordinary functions."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

_Result = TypeVar("_Result")


def run(coroutine: Coroutine[Any, Any, _Result]) -> _Result:
    """The coroutine's result; in a thread of its own where an event loop runs already."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _run(coroutine)
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(_run, coroutine).result()


def at_once(coroutine: Coroutine[Any, Any, _Result]) -> _Result:
    """The result of a coroutine that waits for nothing at all, as where paths are built and validated with what is at
    hand: it needs no event loop. Raises `RuntimeError` for one that does wait.
    """
    try:
        coroutine.send(None)
    except StopIteration as finished:
        result: _Result = finished.value
        return result
    coroutine.close()
    raise RuntimeError("the coroutine waits for something")


def _run(coroutine: Coroutine[Any, Any, _Result]) -> _Result:
    # Not asyncio.run: it handles Ctrl-C in a way that prints the task with its result, which takes a tenth of a
    # second for an ASN.1 structure. These coroutines wait for nothing outside the process.
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.close()
