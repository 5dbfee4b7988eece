"""For whoever keeps the process running: `/livez` (or `/healthz`) says that it lives, `/readyz` that the store answers.

`/livez` looks at nothing: a store that is away is mended by no new process. `/readyz` asks the store for one name, at
most every few seconds, and waits no longer than a probe does.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final

from flask import Flask, Response

from service.domain.ports import ObjectStore
from service.entrypoints.http.errors import HttpProblem
from service.errors import SignertError, StoreError

__all__ = ["HEALTH_PATHS", "StoreProbe", "add_health"]

HEALTH_PATHS: Final = frozenset({"/livez", "/healthz", "/readyz"})
_WAIT: Final = 2.0
"""Seconds that the store has to answer."""
_FRESH: Final = 3.0
"""Seconds for which its answer is good."""


class StoreProbe:
    """Whether the store answers: asked by one thread at a time, however many want to know."""

    def __init__(self, store: ObjectStore, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._asked: Future[None] | None = None
        self._at = 0.0

    def check(self, wait: float = _WAIT) -> None:
        """Raises `StoreError` when the store says that it cannot, or says nothing for `wait` seconds."""
        try:
            self._question().result(wait)
        except TimeoutError:
            raise StoreError("the store does not answer in time", remedy="Look at the store.") from None

    def _question(self) -> Future[None]:
        with self._lock:
            stale = self._clock() - self._at > _FRESH
            # One that has not been answered is not asked again.
            if self._asked is None or (self._asked.done() and stale):
                self._at, self._asked = self._clock(), Future()
                # A thread that waits for ever must not keep the process from ending.
                threading.Thread(target=self._ask, args=(self._asked,), name="readyz", daemon=True).start()
            return self._asked

    def _ask(self, answer: Future[None]) -> None:
        try:
            self._store.exists("readyz")
        except BaseException as exc:  # noqa: BLE001 (who waits for the answer gets it)
            answer.set_exception(exc)
        else:
            answer.set_result(None)


def add_health(app: Flask, store: ObjectStore) -> None:
    probe = StoreProbe(store)

    def ready() -> Response:
        try:
            probe.check()
        except SignertError as exc:
            raise HttpProblem(
                503, exc.code, "the store does not answer", remedy=exc.remedy, headers={"Retry-After": "5"}
            ) from None
        return Response("ready\n", mimetype="text/plain")

    for path in ("/livez", "/healthz"):
        app.add_url_rule(path, path[1:], _alive)
    app.add_url_rule("/readyz", "readyz", ready)


def _alive() -> Response:
    return Response("ok\n", mimetype="text/plain")
