"""The HTTP service: `create_app(load_settings())` is a WSGI application.

It reads the store, and no more: no queue, no key, no LibreOffice. `signert serve` runs it.

Other packages of this folder add themselves in `_PARTS`, each with a function that takes the app. What a view needs
is at `current_app.extensions["signert"]`, a `Site`.
"""

from __future__ import annotations

from flask import Flask

from service.bootstrap import open_store, system_clock
from service.config import Settings
from service.domain.ports import Clock, ObjectStore
from service.entrypoints.http.errors import add_error_handlers
from service.entrypoints.http.site import Site, site
from service.pipeline.ledger import Ledger

__all__ = ["Site", "create_app", "site"]


def create_app(settings: Settings, *, store: ObjectStore | None = None, clock: Clock | None = None) -> Flask:
    """The application, opened once in a process. `store` and `clock` are others than the settings', for tests."""
    app = Flask("service.entrypoints.http", static_folder=None)
    clock = clock or system_clock()
    app.extensions["signert"] = Site(settings, Ledger(store or open_store(settings), clock), clock)
    add_error_handlers(app)
    return app
