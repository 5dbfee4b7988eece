"""The HTTP service: `create_app(load_settings())` is a WSGI application.

It reads the store, and no more: no queue, no key, no LibreOffice. `signert serve` runs it (`server.py`).

    api              the API, version 1: agreements, their versions and documents
    authentication   who a request is from            limits   how many are answered
    files            ranges, ETags, streams           export   a whole agreement as one ZIP file
    errors           Problem Details                  docs     the OpenAPI document and its page
    site             what the views of one process share

Another part of this folder adds itself in `create_app`, with a function that takes the app.
"""

from __future__ import annotations

from collections.abc import Callable

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from service.bootstrap import needed_pseudonyms, open_store, open_tokens, system_clock
from service.config import PRODUCTION, Settings
from service.domain.ports import Clock, ObjectStore, Signals
from service.domain.signals import SILENT
from service.entrypoints.http.api import add_api
from service.entrypoints.http.authentication import authentication
from service.entrypoints.http.docs import add_docs
from service.entrypoints.http.errors import add_error_handlers
from service.entrypoints.http.headers import add_security_headers
from service.entrypoints.http.health import add_health
from service.entrypoints.http.limits import add_limits
from service.entrypoints.http.measured import add_measures
from service.entrypoints.http.pages import add_pages
from service.entrypoints.http.site import Site, add_tracing, site
from service.pipeline.access_log import AccessLog
from service.pipeline.ledger import Ledger
from service.pipeline.reading import Agreements

__all__ = ["MAX_BODY", "Site", "create_app", "site"]

MAX_BODY = 64 * 1024
"""Bytes that a request may bring; a view that takes more sets `request.max_content_length`."""


def create_app(
    settings: Settings,
    *,
    store: ObjectStore | None = None,
    clock: Clock | None = None,
    signals: Signals = SILENT,
    traced: Callable[[Flask], None] = lambda _app: None,
) -> Flask:
    """The application, opened once in a process. `store` and `clock` are others than the settings', for tests;
    `signals` is who is told of requests, and `traced` makes a span of each.

    Raises `ConfigurationError`.
    """
    app = Flask("service.entrypoints.http", static_folder=None)
    app.url_map.merge_slashes = False  # a redirect would go where the Host header says
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    app.json.sort_keys = False  # type: ignore[attr-defined]
    clock = clock or system_clock()
    ledger = Ledger(store or open_store(settings, signals), clock)
    pseudonyms = needed_pseudonyms(settings)
    tokens = open_tokens(settings)
    app.extensions["signert"] = Site(
        settings=settings,
        ledger=ledger,
        clock=clock,
        agreements=Agreements(ledger),
        access_log=AccessLog(ledger.store, clock, pseudonyms),
        pseudonyms=pseudonyms,
    )
    traced(app)  # before what asks for the trace
    add_tracing(app)
    add_measures(app, signals)
    limit_reader = add_limits(app, settings)
    add_api(app, authentication(tokens.reader, clock), limit_reader)
    add_docs(app)
    add_health(app, ledger.store)
    add_error_handlers(app)
    add_pages(app)
    add_security_headers(app, https=settings.env == PRODUCTION)
    if settings.http_proxies:
        count = settings.http_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=count, x_proto=count, x_host=count)  # type: ignore[method-assign]
    return app
