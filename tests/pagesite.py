"""The parties' page on a real server, with agreements in every state and a provider to log in at.

One site serves a whole test session: making the agreements takes LibreOffice and the development PKI.
"""

from __future__ import annotations

import contextlib
import copy
import json
import threading
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from flask import Flask
from werkzeug.serving import make_server

from service.adapters.directory import DirectoryStore
from service.config import Settings, load_settings
from service.domain.agreement import Agreement, Status
from service.domain.folding import fold
from service.domain.ports import Clock
from service.entrypoints.http import create_app
from service.pipeline.drive import Rest, drive
from service.pipeline.intake import receive
from service.pipeline.services import Services
from service.pipeline.sweep import sweep
from tests.agreements import Running, running_services
from tests.fakes import EventList, ManualClock
from tests.oidclogin import Login, add_login
from tests.oidcprovider import Provider, serve_provider
from tests.ports import free_ports

__all__ = ["PEOPLE", "PageSite", "Served", "page_site", "serve"]

_EXAMPLES = Path(__file__).parents[1] / "examples"
_WHOLE = json.loads((_EXAMPLES / "agreement.json").read_text())
_PROTECTED = json.loads((_EXAMPLES / "minimal.json").read_text())
_MENTOR = json.loads((_EXAMPLES / "mentor.json").read_text())
_NEEDS = json.loads((_EXAMPLES / "story/2-needs.json").read_text())

PEOPLE: Mapping[str, Mapping[str, Any]] = {
    "Ájlin": {"pid": "17849431021"},
    "Łukasz": {"pid": "21860164601", "organisations": ["0192:312300028"]},
    "Ragnhild": {"pid": "21860164601", "organisations": ["0192:313500012"]},
    "Marit": {"pid": "14836611803"},
    "Ingen": {"pid": "09828823113"},
}
"""Who can log in: the participant and the employer of the examples, of the protected one the employer, the mentor, and
one who is party to nothing."""


@dataclass(frozen=True)
class PageSite:
    """`ids` are agreements by the state that they are in."""

    home: Path
    store: DirectoryStore
    running: Running
    provider: Provider
    login_file: Path
    ids: dict[str, str]

    def settings(self, public_url: str, **more: str) -> Settings:
        return load_settings(
            {
                "SIGNERT_HOME": str(self.home),
                "SIGNERT_LOGIN": str(self.login_file),
                "SIGNERT_PUBLIC_URL": public_url,
                "SIGNERT_VERIFY_MAX_MB": "3",
                **{f"SIGNERT_{name}": value for name, value in more.items()},
            }
        )


@dataclass
class Served:
    """One server. `login` is the provider's side of it."""

    site: PageSite
    url: str
    app: Flask
    login: Login


@contextlib.contextmanager
def page_site(home: Path) -> Iterator[PageSite]:
    with running_services(home) as running, serve_provider() as provider:
        store = DirectoryStore(home / "store")
        services = running.on(store, EventList())
        ids = {name: make(services) for name, make in _STATES.items()}
        (home / "client-secret").write_text("hemmelig\n")
        login_file = home / "login.toml"
        login_file.write_text(
            f'name = "ID-porten"\nissuer = "{provider.issuer}"\nclient_id = "signert-page"\n'
            'client_secret_file = "client-secret"\nscope = "openid profile"\n'
            'acr = ["idporten-loa-substantial", "idporten-loa-high"]\n'
            'national_id = "pid"\norganisations = "organisations"\n'
        )
        yield PageSite(home, store, running, provider, login_file, ids)


@contextlib.contextmanager
def serve(
    site: PageSite, *, clock: Clock | None = None, port: int | None = None, **more: str
) -> Iterator[Served]:
    """The application on a free port, as a browser meets it."""
    port = port or free_ports(1)[0]
    url = f"http://127.0.0.1:{port}"
    app = create_app(site.settings(url, **more), store=site.store, clock=clock)
    login = add_login(
        site.provider, client_id="signert-page", redirect_uri=f"{url}/logg-inn/svar", secret="hemmelig"
    )
    login.people = {name: dict(claims) for name, claims in PEOPLE.items()}
    server = make_server("127.0.0.1", port, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield Served(site, url, app, login)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


# --- the agreements ---


def _send(services: Services, name: str, **values: Any) -> Agreement:
    outcome = drive(services, receive(services, name, {"command_id": str(uuid.uuid4()), **values}))
    assert outcome.rest is Rest.AT_REST, outcome.parked
    return outcome.agreement


def _submit(
    services: Services, data: Mapping[str, Any], approved: tuple[str, ...] = (), **changes: Any
) -> Agreement:
    agreement = {**copy.deepcopy(dict(data)), "id": str(uuid.uuid4()), **changes}
    plan = {"parties": {role: {"method": "approved"} for role in approved}}
    return _send(services, "submit", agreement=agreement, **({"signing": plan} if approved else {}))


def _signed(services: Services) -> str:
    agreement = _submit(services, _WHOLE, courtesy_translation="en")
    assert agreement.current.status is Status.SIGNED
    return agreement.id


def _waiting(services: Services) -> str:
    return _submit(services, _WHOLE, ("employer", "adviser")).id


def _declined(services: Services) -> str:
    agreement_id = _waiting(services)
    _send(services, "decline", agreement_id=agreement_id, role="employer", reason="content")
    return agreement_id


def _expired(services: Services) -> str:
    clock = ManualClock(datetime.now(UTC))
    then = replace(services, clock=clock)
    agreement = _submit(then, _WHOLE, ("participant", "employer", "adviser"))
    clock.advance(timedelta(weeks=13))
    list(sweep(then, everything=True))
    assert fold(then.ledger.read(agreement.id)).current.status is Status.EXPIRED
    return agreement.id


def _amended(services: Services) -> str:
    agreement = _submit(services, _WHOLE)
    return _send(
        services,
        "amend",
        agreement_id=agreement.id,
        signing={"parties": {"employer": {"method": "approved"}}},
        **_NEEDS,
    ).id


def _undeclared(services: Services) -> str:
    return _submit(services, _MENTOR, ("mentor",)).id


def _protected(services: Services) -> str:
    return _submit(services, _PROTECTED).id


_STATES = {
    "expired": _expired,  # first: the sweep that lets it expire is for the whole store
    "signed": _signed,
    "waiting": _waiting,
    "declined": _declined,
    "amended": _amended,
    "undeclared": _undeclared,
    "protected": _protected,
}
