"""The HTTP service against whoever has no business there: tokens, paths, methods, floods; and its health and docs."""

from __future__ import annotations

import html.parser
import re
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from service.config import load_settings
from service.entrypoints.http import create_app
from service.entrypoints.http.health import StoreProbe
from service.errors import ConfigurationError, StoreError
from tests.fakes import MemoryStore
from tests.oidcprovider import Key, Provider, serve_provider
from tests.shelved import mentor
from tests.webservice import WebService, web_service, write_issuers

PROBLEM = "application/problem+json"


@pytest.fixture(scope="module")
def agreement_id(web: WebService) -> str:
    return web.shelf.signed(mentor())


# --- tokens ---


def test_without_a_token(web: WebService, agreement_id: str) -> None:
    for path in (
        "/agreements",
        f"/agreements/{agreement_id}",
        f"/agreements/{agreement_id}/versions/1/document",
    ):
        answer = web.client.get(f"/api/v1{path}")
        assert (answer.status_code, answer.mimetype) == (401, PROBLEM)
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="signert"'
        assert answer.json["code"] == "token_missing"
        assert answer.json["remedy"]


@pytest.mark.parametrize(
    "header",
    [
        "Basic YTpi",
        "Bearer",
        "Bearer ",
        "bearer a b",
        "Bearer æ",
        "Token x",
        "Bearer a,b",
        "",
        "Bearer \u00a0",
    ],
)
def test_headers_that_hold_no_token(web: WebService, header: str) -> None:
    answer = web.client.get("/api/v1/agreements", headers={"Authorization": header})
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


def test_a_token_elsewhere_is_none(web: WebService) -> None:
    token = web.token("archivist")
    assert web.client.get(f"/api/v1/agreements?access_token={token}").status_code == 401
    web.client.set_cookie("access_token", token)
    assert web.client.get("/api/v1/agreements").status_code == 401


def test_bad_tokens(web: WebService) -> None:
    now = web.clock.now().timestamp()
    stranger = Key.make("first")
    cases: dict[str, dict[str, Any]] = {
        "token_expired": {"now": now - 4000},
        "token_not_yet_valid": {"now": now + 4000},
        "audience_wrong": {"aud": "other", "now": now},
        "issuer_unknown": {"iss": "https://evil.invalid", "now": now},
        "signature_invalid": {"key": stranger, "now": now},
        "key_unknown": {"key": Key.make("other"), "now": now},
        "token_type": {"headers": {"typ": "logout+jwt"}, "now": now},
    }
    for code, claims in cases.items():
        token = web.provider.token(**{"role": "archivist", **claims})
        answer = web.client.get("/api/v1/agreements", headers={"Authorization": f"Bearer {token}"})
        assert (answer.status_code, answer.json["code"]) == (401, code)
        assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="signert", error="invalid_token"')
        assert token not in answer.text


def test_a_good_token_of_nobody(web: WebService) -> None:
    answer = web.get("/agreements", role="nobody")
    assert (answer.status_code, answer.json["code"]) == (403, "no_role")
    assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]


def test_a_provider_that_is_away(tmp_path: Path) -> None:
    with serve_provider() as provider, web_service(tmp_path, provider=provider) as web:
        provider.down = True
        answer = web.get("/agreements")
        assert (answer.status_code, answer.json["code"]) == (503, "provider_unavailable")
        assert answer.headers["Retry-After"]
        assert "WWW-Authenticate" in answer.headers


# --- paths and methods ---


@pytest.mark.parametrize(
    "path",
    [
        "/agreements/..%2f..%2fetc%2fpasswd",
        "/agreements/%2e%2e/%2e%2e",
        "/agreements/{id}/",
        "/agreements/{id}%00",
        "/agreements/{id}/versions/0",
        "/agreements/{id}/versions/-1",
        "/agreements/{id}/versions/1.0",
        "/agreements/{id}/versions/99999999999999999999999",
        "/agreements/{id}/versions/٣",
        "/agreements/{id}/versions/1/",
        "/agreements/{id}/versions/1/blobs",
        "/agreements/{id}/versions/1/../../log",
        "/agreements/{id}/versions/1/revisions/0",
        "/agreements/{id}/versions/1/revisions/99999999999999999999",
        "/agreements/{id}/versions/1/scans/..%2f..",
        "/agreements/{id}/versions/1/scans/%F0%9F%92%A9",
        "/agreements/{id}/log/-1",
        "/agreements/{id}/log/999999999999999",
        "/agreements/{id}/log/00000000.json",
        "/agreements//versions",
        "/agreements/\u202e{id}",
        "/agreements/{id};x=1",
        "/nothing",
        "//agreements",
        "/agreements/%ff%fe",
    ],
)
def test_paths_that_lead_nowhere(web: WebService, agreement_id: str, path: str) -> None:
    answer = web.get(path.replace("{id}", agreement_id))
    assert answer.status_code == 404, answer.text
    assert answer.mimetype == PROBLEM
    assert "passwd" not in answer.text


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "NONSENSE"])
def test_nothing_can_be_changed(web: WebService, agreement_id: str, method: str) -> None:
    before = {key for key in web.store.list() if not key.startswith("access/")}
    for path in (
        "/agreements",
        f"/agreements/{agreement_id}",
        f"/agreements/{agreement_id}/versions/1/document",
    ):
        answer = web.get(path, method=method)
        assert (answer.status_code, answer.json["code"]) == (405, "method_not_allowed")
        assert {"GET", "HEAD"} <= set(re.split(", *", answer.headers["Allow"]))
    assert {key for key in web.store.list() if not key.startswith("access/")} == before


def test_queries_of_documents_with_faults(web: WebService, agreement_id: str) -> None:
    document = f"/agreements/{agreement_id}/versions/1/document"
    for query in ("variant=all", "variant=", "link=1", "x=1", "variant=%00", "link[]=json"):
        answer = web.get(f"{document}?{query}")
        assert (answer.status_code, answer.json["code"]) == (400, "invalid")
        assert answer.json["errors"]
    assert web.get(f"/agreements/{agreement_id}/log?version=0").status_code == 400


def test_a_fault_of_ours_tells_nothing(
    web: WebService, agreement_id: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_args: object, **_kwargs: object) -> object:
        raise RuntimeError("the secret of the participant")

    monkeypatch.setattr("service.entrypoints.http.access.view_of", fail)
    answer = web.get(f"/agreements/{agreement_id}")
    assert (answer.status_code, answer.json["code"]) == (500, "internal")
    assert "secret" not in answer.text
    assert answer.headers["Signert-Trace"]


def test_a_log_that_was_altered_is_not_shown(tmp_path: Path, provider: Provider) -> None:
    store = MemoryStore()
    with web_service(tmp_path, store=store, provider=provider) as web:
        agreement_id = web.shelf.signed(mentor())
        key = f"agreements/{agreement_id}/log/00000002.json"
        store.objects[key] = store.objects[key].replace(b"2036", b"2035")
        answer = web.get(f"/agreements/{agreement_id}/log")
        assert answer.status_code == 500


def test_nobody_is_sent_where_the_host_header_says(web: WebService) -> None:
    for path in ("/api/v1//agreements", "/api/v1/agreements/", "//api/docs"):
        answer = web.client.get(path, headers={"Host": "evil.invalid"})
        assert "evil" not in f"{answer.headers}{answer.text}"
        assert answer.status_code == 404


# --- floods ---


def test_a_reader_who_asks_too_often(tmp_path: Path, provider: Provider) -> None:
    with web_service(tmp_path, provider=provider, HTTP_RATE="5/hour") as web:
        assert [web.get("/agreements").status_code for _ in range(7)] == [200] * 5 + [429] * 2
        answer = web.get("/agreements")
        assert (answer.mimetype, answer.json["code"]) == (PROBLEM, "too_many_requests")
        assert 0 < int(answer.headers["Retry-After"]) <= 3600
        assert web.get("/agreements", sub="another").status_code == 200


def test_an_address_from_which_too_much_comes(tmp_path: Path, provider: Provider) -> None:
    with web_service(tmp_path, provider=provider, HTTP_ADDRESS_RATE="5/hour") as web:
        asked = len(provider.asked)

        def ask(address: str, path: str = "/api/v1/agreements") -> int:
            return web.client.get(path, environ_base={"REMOTE_ADDR": address}).status_code

        assert [ask("192.0.2.1") for _ in range(7)] == [401] * 5 + [429] * 2
        answer = web.client.get("/api/docs", environ_base={"REMOTE_ADDR": "192.0.2.1"})
        assert (answer.status_code, answer.json["code"]) == (429, "too_many_requests")
        assert int(answer.headers["Retry-After"]) > 0
        assert ask("192.0.2.2") == 401
        # Of IPv6 the network counts; and whoever watches the service is always answered.
        assert [ask(f"2001:db8::{n}") for n in range(7)] == [401] * 5 + [429] * 2
        assert [ask("192.0.2.1", "/healthz") for _ in range(10)] == [200] * 10
        assert len(provider.asked) == asked


def test_behind_proxies(tmp_path: Path, provider: Provider) -> None:
    def addresses(web: WebService, *forwarded: str) -> list[int]:
        return [
            web.client.get("/api/docs", headers={"X-Forwarded-For": each}).status_code for each in forwarded
        ]

    with web_service(tmp_path, provider=provider, HTTP_PROXIES="1", HTTP_ADDRESS_RATE="1/hour") as web:
        assert addresses(web, "192.0.2.1", "192.0.2.2", "evil, 192.0.2.1") == [200, 200, 429]
    with web_service(tmp_path, provider=provider, HTTP_ADDRESS_RATE="1/hour") as web:
        # Nobody says that there is a proxy: what callers say of themselves is not believed.
        assert addresses(web, "192.0.2.1", "192.0.2.2") == [200, 429]


# --- health, headers, docs ---


def test_health(web: WebService) -> None:
    assert web.client.get("/healthz").text == "ok\n"
    assert web.client.get("/livez").text == "ok\n"
    assert web.client.get("/readyz").text == "ready\n"


class _Away(MemoryStore):
    def exists(self, key: str) -> bool:
        raise StoreError("the store is away")


def test_not_ready_without_its_store(tmp_path: Path, provider: Provider) -> None:
    with web_service(tmp_path, store=_Away(), provider=provider) as web:
        assert web.client.get("/livez").status_code == 200
        assert web.client.get("/readyz").status_code == 503


class _Counted(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.go_on = threading.Event()

    def exists(self, key: str) -> bool:
        self.asked += 1
        self.go_on.wait()
        return super().exists(key)


def test_readiness_asks_the_store_seldom_and_does_not_wait_for_it() -> None:
    store, now = _Counted(), [100.0]
    probe = StoreProbe(store, clock=lambda: now[0])
    for _ in range(3):  # a store that hangs is asked once, and nobody waits for long
        with pytest.raises(StoreError, match="in time"):
            probe.check(wait=0.01)
        now[0] += 100
    store.go_on.set()
    probe.check()
    for _ in range(3):
        probe.check()
    assert store.asked <= 2  # the first answer may have been too old
    asked = store.asked
    now[0] += 100
    probe.check()
    assert store.asked == asked + 1


def test_every_answer_is_hardened(web: WebService, agreement_id: str) -> None:
    answers = [
        web.get(f"/agreements/{agreement_id}"),
        web.get("/nothing"),
        web.client.get("/api/v1/agreements"),
        web.client.get("/healthz"),
        web.client.get("/api/docs"),
    ]
    for answer in answers:
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "Set-Cookie" not in answer.headers
    for answer in answers[:4]:
        assert "no-store" in answer.headers["Cache-Control"]


def test_the_openapi_document_names_every_path_of_the_api(web: WebService) -> None:
    document = web.client.get("/api/v1/openapi.json").json
    assert document["openapi"] == "3.1.0"
    rules = {
        re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        for rule in web.app.url_map.iter_rules()
        if rule.rule.startswith("/api/v1/") and not rule.rule.endswith("openapi.json")
    }
    assert set(document["paths"]) == rules
    for item in document["paths"].values():
        for status in ("200", "401", "403", "429", "503"):
            assert status in item["get"]["responses"]


class _Links(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.ids: list[str] = []
        self.targets: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name in {"href", "src"}:
                self.targets.append(str(value))
            if name == "id":
                self.ids.append(str(value))


def test_the_page_of_the_docs_needs_nothing_from_elsewhere(web: WebService) -> None:
    answer = web.client.get("/api/docs")
    page = _Links()
    page.feed(answer.text)
    assert not page.tags & {"script", "img", "link", "iframe", "object"}
    assert len(page.ids) == len(set(page.ids))
    assert {t for t in page.targets if not t.startswith("#")} == {"/api/v1/openapi.json"}
    assert {t[1:] for t in page.targets if t.startswith("#")} <= set(page.ids)
    for path in web.client.get("/api/v1/openapi.json").json["paths"]:
        assert path in answer.text


# --- settings ---

PRODUCTION = {
    "SIGNERT_ENV": "production",
    "SIGNERT_BROKER": "amqp://broker",
    "SIGNERT_SEAL": "pkcs12:/seal.p12",
    "SIGNERT_TSA": "https://tsa.invalid/",
    "SIGNERT_TRUST": "/trust.pem",
}


def test_production_needs_issuers_and_a_key_for_pseudonyms(tmp_path: Path, provider: Provider) -> None:
    key = tmp_path / "key"
    key.write_bytes(b"k" * 32)
    named = {**PRODUCTION, "SIGNERT_HOME": str(tmp_path), "SIGNERT_PSEUDONYM_KEY_FILE": str(key)}
    with pytest.raises(ConfigurationError, match="SIGNERT_ISSUERS"):
        create_app(load_settings(named), store=MemoryStore())
    issuers = write_issuers(tmp_path, provider)  # one without TLS
    with pytest.raises(ConfigurationError, match="must be https"):
        create_app(load_settings({**named, "SIGNERT_ISSUERS": str(issuers)}), store=MemoryStore())
    issuers.write_text(issuers.read_text().replace(provider.issuer, "https://login.invalid"))
    app = create_app(load_settings({**named, "SIGNERT_ISSUERS": str(issuers)}), store=MemoryStore())
    assert "max-age" in app.test_client().get("/healthz").headers["Strict-Transport-Security"]
    key.write_bytes(b"short")
    with pytest.raises(ConfigurationError, match="shorter than 32"):
        create_app(load_settings({**named, "SIGNERT_ISSUERS": str(issuers)}), store=MemoryStore())
    del named["SIGNERT_PSEUDONYM_KEY_FILE"]
    with pytest.raises(ConfigurationError, match="SIGNERT_PSEUDONYM_KEY_FILE"):
        create_app(load_settings({**named, "SIGNERT_ISSUERS": str(issuers)}), store=MemoryStore())


def test_without_issuers_nobody_gets_in(tmp_path: Path, provider: Provider) -> None:
    app = create_app(load_settings({"SIGNERT_HOME": str(tmp_path)}), store=MemoryStore())
    token = provider.token(role="archivist", now=time.time())
    answer = app.test_client().get("/api/v1/agreements", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json["code"]) == (401, "issuer_unknown")
    key = tmp_path / "keys/pseudonym.key"  # made for development
    assert key.stat().st_mode & 0o777 == 0o600
    assert len(key.read_bytes()) == 64


@pytest.mark.parametrize(
    ("name", "value"),
    [("HTTP_RATE", "many"), ("HTTP_RATE", "0/minute"), ("HTTP_RATE_STORE", "http://x"), ("HTTP_PROXIES", "9"),
     ("HTTP_LINK_SECONDS", "-1")],
)  # fmt: skip
def test_settings_with_faults(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"SIGNERT_{name}"):
        load_settings({f"SIGNERT_{name}": value})


def test_requests_are_counted_here_where_the_server_that_counts_is_away(
    tmp_path: Path, provider: Provider
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        store = f"redis://127.0.0.1:{closed.getsockname()[1]}/0"
        with web_service(tmp_path, provider=provider, HTTP_RATE_STORE=store, HTTP_RATE="3/hour") as web:
            assert [web.get("/agreements").status_code for _ in range(5)] == [200] * 3 + [429] * 2
