"""What the views of one process share, and what is known of the request at hand."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass

from flask import Flask, Response, current_app, g, request

from service.bootstrap import trace_ids
from service.config import Settings
from service.domain.access import Reader
from service.domain.ports import Clock
from service.domain.pseudonyms import Pseudonyms
from service.pipeline.access_log import AccessLog
from service.pipeline.ledger import Ledger
from service.pipeline.reading import Agreements

__all__ = ["Site", "add_tracing", "current_reader", "set_reader", "site", "trace"]

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(frozen=True)
class Site:
    settings: Settings
    ledger: Ledger
    clock: Clock
    agreements: Agreements
    access_log: AccessLog
    pseudonyms: Pseudonyms


def site() -> Site:
    """The running application's."""
    found = current_app.extensions["signert"]
    assert isinstance(found, Site)
    return found


def add_tracing(app: Flask) -> None:
    """Every request has a trace id (W3C Trace Context): the caller's, or one of its own; the answer names it."""

    def begin() -> None:
        given = _TRACEPARENT.fullmatch(request.headers.get("traceparent", ""))
        own = trace_ids()
        g.trace = own[0] if own else given[1] if given and set(given[1]) != {"0"} else secrets.token_hex(16)

    def tell(response: Response) -> Response:
        response.headers["Signert-Trace"] = trace()
        return response

    app.before_request(begin)
    app.after_request(tell)


def trace() -> str:
    return str(g.get("trace", ""))


def set_reader(reader: Reader) -> None:
    g.reader = reader


def current_reader() -> Reader:
    """Who makes this request; for views that only a known reader gets to."""
    assert isinstance(g.reader, Reader)
    return g.reader
