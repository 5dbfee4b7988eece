"""The HTTP service in processes of its own: gunicorn, set up here and by nothing else.

It is told to stop by SIGTERM or SIGINT: requests that are being answered are finished, new ones are not taken.
"""

from __future__ import annotations

import contextlib
import logging
from typing import Any, Final

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger

from service.bootstrap import needed_pseudonyms, open_store, open_tokens
from service.config import Settings
from service.entrypoints.http import create_app
from service.entrypoints.management import Answer, serve_management
from service.entrypoints.metrics import Opened, telemetry

__all__ = ["serve"]

_THREADS: Final = 16
"""Requests that one process answers at a time."""
_STOP_WITHIN: Final = 30
"""Seconds that requests have to be finished when the service is stopped."""
_SILENT: Final = 60
"""Seconds after which a process that says nothing any more is ended and made anew."""
_MAX_LINE: Final = 4094
_MAX_FIELD: Final = 12 * 1024
"""Bytes of one header: a token of 8192 characters and what goes with it."""
_MAX_FIELDS: Final = 64


def serve(settings: Settings, *, host: str, port: int, workers: int) -> None:
    """Serve until stopped. Raises `ConfigurationError` for settings that no process could start with."""
    open_store(settings)
    needed_pseudonyms(settings)
    open_tokens(settings)
    with telemetry(settings, "http") as opened:
        _Server(settings, host, port, workers, opened).run()


class _Log(Logger):  # type: ignore[misc]
    """gunicorn's log, in ours."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.error_log.handlers = []
        self.error_log.propagate = True


class _Server(BaseApplication):  # type: ignore[misc]
    def __init__(self, settings: Settings, host: str, port: int, workers: int, opened: Opened) -> None:
        self._settings = settings
        self._opened = opened
        self._beside = contextlib.ExitStack()
        self._options: dict[str, Any] = {
            "bind": f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
            "workers": workers,
            "worker_class": "gthread",
            "threads": _THREADS,
            "timeout": _SILENT,
            "graceful_timeout": _STOP_WITHIN,
            "keepalive": 5,
            "limit_request_line": _MAX_LINE,
            "limit_request_field_size": _MAX_FIELD,
            "limit_request_fields": _MAX_FIELDS,
            "worker_tmp_dir": None,
            "proc_name": "signert-serve",
            # Addresses and paths say who reads what: that is for the access log in the store.
            "accesslog": None,
            "errorlog": "-",
            # Its warnings name callers' addresses.
            "loglevel": "error",
            "logger_class": _Log,
            # X-Forwarded-… is read by the application, as SIGNERT_HTTP_PROXIES says.
            "forwarded_allow_ips": "",
            "when_ready": self._ready,
            "worker_exit": lambda _server, _worker: opened.signals.close(),
            "on_exit": lambda _: self._beside.close(),
            "control_socket_disable": True,
        }
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> Flask:
        signals = self._opened.signals
        return create_app(self._settings, signals=signals, traced=signals.watch_requests)

    def _ready(self, server: Any) -> None:
        # Here and not around `run`: what the workers' processes end with would run through such a context, too.
        alive = Answer(200, b'{"status":"ok"}\n')
        routes = {"/livez": lambda: alive, **self._opened.routes()}
        self._beside.enter_context(serve_management(self._settings, routes))
        logging.getLogger(__name__).info("listening on %s", ", ".join(map(str, server.LISTENERS)))
