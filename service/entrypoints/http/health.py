"""For whoever keeps the process running: `/healthz` says that it lives, `/readyz` that the store answers."""

from __future__ import annotations

from flask import Flask, Response

from service.entrypoints.http.errors import HttpProblem
from service.entrypoints.http.site import site
from service.errors import StoreError

__all__ = ["add_health"]


def add_health(app: Flask) -> None:
    app.add_url_rule("/healthz", "healthz", _healthy)
    app.add_url_rule("/readyz", "readyz", _ready)


def _healthy() -> Response:
    return Response("ok\n", mimetype="text/plain")


def _ready() -> Response:
    try:
        site().ledger.store.exists("readyz")
    except StoreError as exc:
        raise HttpProblem(
            503, exc.code, "the store does not answer", remedy=exc.remedy, headers={"Retry-After": "5"}
        ) from None
    return Response("ready\n", mimetype="text/plain")
