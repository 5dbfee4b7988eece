"""The HTTP service with a store, a clock and a provider of its own: what tests of it begin with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from service.bootstrap import needed_pseudonyms
from service.config import Settings, load_settings
from service.domain.ports import ObjectStore
from service.entrypoints.http import create_app
from service.pipeline.access_log import AccessLog
from tests.fakes import ManualClock, MemoryStore
from tests.oidcprovider import Provider, serve_provider
from tests.shelved import Shelf

__all__ = ["ISSUERS", "WebService", "web_service", "write_issuers"]

ISSUERS = """
[issuers.nav]
issuer = "{0}"
audience = "signert"
leeway = 300
national_id = "pid"
ident = "NAVident"
organisations = "organisations"
case_systems = "systems"
[issuers.nav.role]
claim = "role"
archivist = "archivist"
party = "party"
case_system = "case_system"
operator = "operator"
"""


def write_issuers(folder: Path, provider: Provider) -> Path:
    path = folder / "issuers.toml"
    path.write_text(ISSUERS.format(provider.issuer))
    return path


@dataclass
class WebService:
    app: Flask
    client: FlaskClient
    provider: Provider
    store: ObjectStore
    clock: ManualClock
    shelf: Shelf
    access_log: AccessLog
    settings: Settings
    _tokens: dict[str, str] = field(default_factory=dict)

    def token(self, role: str = "archivist", **claims: Any) -> str:
        """A token that is good at the service's time."""
        claims = {"sub": role, "role": role, **claims}
        now = self.clock.now().timestamp()
        key = f"{sorted(claims.items())} {now // 60}"
        if key not in self._tokens:
            self._tokens[key] = self.provider.token(now=now, **claims)
        return self._tokens[key]

    def get(
        self,
        path: str,
        role: str = "archivist",
        *,
        headers: Mapping[str, str] | None = None,
        method: str = "GET",
        **claims: Any,
    ) -> TestResponse:
        """Ask as whoever these claims are of; `path` is below `/api/v1`."""
        self.clock.advance(timedelta(milliseconds=1))
        sent = {"Authorization": f"Bearer {self.token(role, **claims)}", **(headers or {})}
        return self.client.open(f"/api/v1{path}", method=method, headers=sent)


@contextlib.contextmanager
def web_service(
    folder: Path, *, store: ObjectStore | None = None, provider: Provider | None = None, **environ: str
) -> Iterator[WebService]:
    """`environ` are settings without their prefix; a provider that is given is not ended."""
    with contextlib.ExitStack() as stack:
        provider = provider or stack.enter_context(serve_provider())
        settings = load_settings(
            {
                "SIGNERT_HOME": str(folder),
                "SIGNERT_ISSUERS": str(write_issuers(folder, provider)),
                "SIGNERT_HTTP_RATE": "100000/minute",
                "SIGNERT_HTTP_ADDRESS_RATE": "100000/minute",
                **{f"SIGNERT_{name}": value for name, value in environ.items()},
            }
        )
        store = store or MemoryStore()
        clock = ManualClock(datetime(2036, 12, 24, 9, 0, tzinfo=UTC))
        pseudonyms = needed_pseudonyms(settings)
        app = create_app(settings, store=store, clock=clock)
        yield WebService(
            app=app,
            client=app.test_client(),
            provider=provider,
            store=store,
            clock=clock,
            shelf=Shelf(store, clock, pseudonyms),
            access_log=AccessLog(store, clock, pseudonyms),
            settings=settings,
        )
