"""What is told of each request: method, route, status and time. Never its address, for that says who reads what."""

from __future__ import annotations

import contextlib
import logging
import re
import time
from typing import Any

from flask import Flask, Response, g, request

from service.domain.ports import Signals
from service.domain.signals import HTTP_BYTES, HTTP_TIME, about
from service.entrypoints.http.site import trace

__all__ = ["add_measures"]

log = logging.getLogger(__name__)

_PROBES = frozenset({"/livez", "/healthz", "/readyz"})
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})


def add_measures(app: Flask, signals: Signals) -> None:
    """Measure every request, and log it by its route. To be added after the trace is known, before all else."""

    def begin() -> None:
        g.began = time.perf_counter()
        g.about = contextlib.ExitStack()
        g.about.enter_context(about(trace_id=trace(), agreement=_agreement()))

    def tell(response: Response) -> Response:
        route = request.url_rule.rule if request.url_rule else "(none)"
        method = request.method if request.method in _METHODS else "(other)"
        seconds = time.perf_counter() - g.get("began", time.perf_counter())
        signals.observe(HTTP_TIME, seconds, method, route, str(response.status_code))
        if response.content_length:
            signals.count(HTTP_BYTES, route, amount=response.content_length)
        if route not in _PROBES:
            log.info("%s %s %d %.0f ms", method, route, response.status_code, 1000 * seconds)
        return response

    def end(_exc: BaseException | None) -> None:
        found: Any = g.pop("about", None)
        if found:
            found.close()

    app.before_request(begin)
    app.after_request(tell)
    app.teardown_request(end)


def _agreement() -> str | None:
    """The id in the address, where the route has one and it is one: anything may stand there."""
    given = (request.view_args or {}).get("agreement_id")
    return given if isinstance(given, str) and _UUID.fullmatch(given) else None
