"""The parties' page against harm: forged logins, forms, sessions and addresses, and hostile files."""

from __future__ import annotations

import contextlib
import io
import json
import re
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from flask.testing import FlaskClient
from werkzeug.test import TestResponse, create_environ, run_wsgi_app

from service.entrypoints.http import create_app
from tests.fakes import ManualClock
from tests.pagesite import PEOPLE, PageSite, Served

pytestmark = [pytest.mark.office, pytest.mark.pki]

Enter = Callable[..., FlaskClient]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime.now(UTC))


@pytest.fixture
def client(page_server: Served, clock: ManualClock) -> Iterator[FlaskClient]:
    """A browser at an application of its own, so that its clock can be moved and its limits are fresh."""
    app = create_app(page_server.site.settings(page_server.url), store=page_server.site.store, clock=clock)
    yield app.test_client()


def begin(client: FlaskClient, target: str = "/mine") -> str:
    """Start a login; gives where the provider's page is."""
    answer = client.get("/logg-inn", query_string={"til": target})
    assert answer.status_code == 303
    return str(answer.location)


def choose(served: Served, address: str, person: str | None) -> str:
    """What the provider sends the browser back to, when this person has logged in there, or nobody has."""
    assert requests.get(address, timeout=10).status_code == 200
    asked = {"request": str(len(served.login.told) - 1)} | ({"person": person} if person else {})
    answer = requests.get(
        f"{served.site.provider.issuer}/choose", params=asked, allow_redirects=False, timeout=10
    )
    return answer.headers["Location"].removeprefix(served.url)


def enter(client: FlaskClient, served: Served, person: str, target: str = "/mine") -> TestResponse:
    return client.get(choose(served, begin(client, target), person))


@contextlib.contextmanager
def provider_at(served: Served, clock: ManualClock) -> Iterator[None]:
    """The provider's clock shows what ours does."""
    now = int(clock.now().timestamp())
    served.login.alter = {"iat": now, "exp": now + 60}
    try:
        yield
    finally:
        served.login.alter = {}


def token_of(client: FlaskClient, path: str) -> str:
    found = re.search(r'name="csrf" value="([0-9a-f]+)"', client.get(path).text)
    assert found
    return found[1]


def cookie(client: FlaskClient, name: str) -> str | None:
    found = client.get_cookie(f"__Host-{name}")
    return found.value if found else None


# --- login ---


def test_a_login_goes_where_it_was_meant_to_and_the_browser_learns_nothing_of_who(
    client: FlaskClient, page_server: Served, page_site: PageSite
) -> None:
    path = f"/avtale/{page_site.ids['signed']}"
    answer = enter(client, page_server, "Ájlin", path)
    assert (answer.status_code, answer.location) == (303, path)
    asked = page_server.login.told[-1]
    assert asked["acr_values"] == "idporten-loa-substantial idporten-loa-high"
    assert len(asked["state"]) >= 43
    assert len(asked["nonce"]) >= 43
    for header in answer.headers.getlist("Set-Cookie"):
        assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(header.split("; "))
        assert header.startswith("__Host-")
        assert PEOPLE["Ájlin"]["pid"] not in header
    assert client.get(path).status_code == 200


def test_an_answer_for_another_login_is_refused(client: FlaskClient, page_server: Served) -> None:
    answer = choose(page_server, begin(client), "Ájlin")
    state = parse_qs(urlsplit(answer).query)["state"][0]
    wrong = client.get(answer.replace(state, "x" * len(state)))
    assert wrong.status_code == 400
    assert "Innloggingen gikk ikke" in wrong.text
    assert cookie(client, "signert") is None
    assert client.get(answer).status_code == 400  # the login was used up by the attempt


def test_an_answer_that_comes_to_another_browser_is_refused(
    client: FlaskClient, page_server: Served, clock: ManualClock
) -> None:
    answer = choose(page_server, begin(client), "Ájlin")
    other = client.application.test_client()
    assert other.get(answer).status_code == 400
    assert cookie(other, "signert") is None


def test_a_code_is_good_once(client: FlaskClient, page_server: Served) -> None:
    address = begin(client)
    kept = cookie(client, "signert-login")
    answer = choose(page_server, address, "Ájlin")
    assert client.get(answer).status_code == 303
    assert client.get(answer).status_code == 400  # our side has forgotten the login
    client.set_cookie("__Host-signert-login", str(kept))
    assert client.get(answer).status_code == 400  # and where it has not, the provider has


@pytest.mark.parametrize(
    "alter",
    [
        {"nonce": "another"},
        {"aud": "another"},
        {"iss": "https://evil.invalid"},
        {"acr": "idporten-loa-low"},
        {"exp": 1_000_000},
        {"azp": "another"},
        {"pid": "12345678901"},
        {"pid": None},
    ],
    ids=lambda alter: next(iter(alter)),
)
def test_an_id_token_that_proves_something_else_is_refused(
    client: FlaskClient, page_server: Served, alter: dict[str, Any]
) -> None:
    page_server.login.alter = alter
    try:
        answer = enter(client, page_server, "Ájlin")
    finally:
        page_server.login.alter = {}
    assert answer.status_code == 400
    assert cookie(client, "signert") is None
    assert "12345678901" not in answer.text


def test_a_login_that_takes_too_long_is_begun_again(
    client: FlaskClient, page_server: Served, clock: ManualClock
) -> None:
    answer = choose(page_server, begin(client), "Ájlin")
    clock.advance(timedelta(minutes=11))
    assert client.get(answer).status_code == 400


def test_who_cancels_gets_a_page_with_a_way_on(client: FlaskClient, page_server: Served) -> None:
    answer = client.get(choose(page_server, begin(client), None))
    assert answer.status_code == 200
    assert "Du ble ikke logget inn" in answer.text
    assert 'href="/logg-inn?til=/mine"' in answer.text


def test_a_provider_that_is_away_gets_a_page_with_a_way_on(page_server: Served, page_site: PageSite) -> None:
    app = create_app(page_site.settings(page_server.url), store=page_site.store)
    page_site.provider.down = True
    try:
        answer = app.test_client().get("/logg-inn")
    finally:
        page_site.provider.down = False
    assert answer.status_code == 503
    assert "Vi får ikke kontakt med ID-porten" in answer.text
    assert int(answer.headers["Retry-After"])


def test_the_client_can_prove_itself_with_a_key(
    page_server: Served, page_site: PageSite, clock: ManualClock
) -> None:
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (page_site.home / "client-key.pem").write_bytes(pem)
    with_key = page_site.home / "login-key.toml"
    with_key.write_text(
        page_site.login_file.read_text().replace(
            'client_secret_file = "client-secret"', 'client_key_file = "client-key.pem"\nclient_key_id = "k1"'
        )
    )
    settings = page_site.settings(page_server.url, LOGIN=str(with_key))
    client = create_app(settings, store=page_site.store, clock=clock).test_client()
    page_server.login.key = key.public_key()
    try:
        assert enter(client, page_server, "Ájlin").status_code == 303
    finally:
        page_server.login.key = None


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.invalid/",
        "//evil.invalid/",
        "/\\evil.invalid",
        "/avtale/../../evil",
        "/mine\r\nLocation: https://evil.invalid",
        "javascript:alert(1)",
        "/avtale/x?til=//evil.invalid",
        "/logg-ut",
        "",
    ],
)
def test_a_login_leads_nowhere_else(client: FlaskClient, page_server: Served, target: str) -> None:
    answer = enter(client, page_server, "Ájlin", target)
    assert (answer.status_code, answer.location) == (303, "/mine")


# --- session ---


def test_a_login_makes_a_session_of_its_own(client: FlaskClient, page_server: Served) -> None:
    enter(client, page_server, "Ájlin")
    first = cookie(client, "signert")
    token = token_of(client, "/mine")
    enter(client, page_server, "Łukasz")
    assert cookie(client, "signert") != first
    assert client.post("/logg-ut", data={"csrf": token}).status_code == 403  # the former session's


def test_a_session_that_was_tampered_with_is_none(client: FlaskClient, page_server: Served) -> None:
    enter(client, page_server, "Ájlin")
    good = str(cookie(client, "signert"))
    for bad in (good[:-4] + "AAAA", "x", good[:40], str(cookie(client, "signert-hint"))):
        client.set_cookie("__Host-signert", bad)
        assert "Logg inn med ID-porten" in client.get("/mine").text


def test_a_session_ends_when_it_is_not_used_and_in_any_case_at_last(
    client: FlaskClient, page_server: Served, clock: ManualClock
) -> None:
    enter(client, page_server, "Ájlin")
    for _ in range(9):
        clock.advance(timedelta(minutes=25))
        assert "Avtalene dine</h1>" in client.get("/mine").text
    clock.advance(timedelta(minutes=25))  # four hours and ten minutes
    assert "Logg inn med ID-porten" in client.get("/mine").text
    with provider_at(page_server, clock):
        enter(client, page_server, "Ájlin")
    form = {"csrf": token_of(client, "/mine")}
    session = str(cookie(client, "signert"))
    clock.advance(timedelta(minutes=31))
    assert "Du er logget ut</h1>" in client.post("/logg-ut", data=form).text
    client.set_cookie("__Host-signert", session)
    assert "Du er logget ut fordi du ikke har brukt siden" in client.get("/mine").text
    assert cookie(client, "signert") is None


def test_logout_ends_the_session_here_and_at_the_provider(client: FlaskClient, page_server: Served) -> None:
    enter(client, page_server, "Ájlin")
    answer = client.post("/logg-ut", data={"csrf": token_of(client, "/mine")})
    assert answer.status_code == 303
    assert cookie(client, "signert") is None
    sent = requests.get(str(answer.location), allow_redirects=False, timeout=10)
    assert sent.headers["Location"] == f"{page_server.url}/logget-ut"
    assert page_server.login.ended[-1]["id_token_hint"].count(".") == 2
    assert "Du er logget ut" in client.get("/logget-ut").text
    assert "Logg inn med ID-porten" in client.get("/mine").text


# --- forms ---


def test_a_form_without_its_token_does_nothing(
    client: FlaskClient, page_server: Served, page_site: PageSite
) -> None:
    path = f"/avtale/{page_site.ids['signed']}"
    enter(client, page_server, "Ájlin", path)
    token = token_of(client, path)
    other = client.application.test_client()
    enter(other, page_server, "Ájlin", path)
    for form in ({}, {"csrf": "x"}, {"csrf": token_of(other, path)}, {"csrf": "æ" * 64}):
        for action in ("/logg-ut", f"{path}/1/sjekk", "/verify"):
            assert client.post(action, data=form).status_code == 403
    assert cookie(client, "signert")
    for headers in ({"Origin": "https://evil.invalid"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        assert client.post(f"{path}/1/sjekk", data={"csrf": token}, headers=headers).status_code == 403
    assert client.post(f"{path}/1/sjekk", data={"csrf": token}).status_code == 200


# --- who sees what ---


def test_others_agreements_and_none_at_all_look_alike(
    client: FlaskClient, page_server: Served, page_site: PageSite
) -> None:
    ids = page_site.ids
    enter(client, page_server, "Ingen")
    answers = [
        client.get(f"/avtale/{given}{rest}")
        for given in (ids["signed"], "3f0c2c54-0f3e-4f3e-9b5e-0d8f2f4d8a11", "x", "..%2f..%2fcommands", "%00")
        for rest in ("", "/versjoner", "/1/tekst", "/1/avtale.pdf", "/99999999999/kvittering.json")
    ]
    assert {a.status_code for a in answers} == {404}
    texts = {
        re.sub(r"(\?sprak|csrf\" value)=[^>]*>", "", a.text.replace(a.request.path, "")) for a in answers
    }
    assert len(texts) == 1
    found = [json.loads(page_site.store.get(k)) for k in page_site.store.list("access/refused/")]
    assert any(one["agreement"] == ids["signed"] for one in found)


def test_without_login_every_address_says_the_same(client: FlaskClient, page_site: PageSite) -> None:
    said = {
        re.sub(r"(href|til)=\S*", "", client.get(f"/avtale/{given}").text)
        for given in (page_site.ids["signed"], "3f0c2c54-0f3e-4f3e-9b5e-0d8f2f4d8a11")
    }
    assert len(said) == 1
    assert client.get(f"/avtale/{page_site.ids['signed']}/1/avtale.pdf").mimetype == "text/html"


def test_half_signed_copies_are_not_handed_out(
    client: FlaskClient, page_server: Served, page_site: PageSite
) -> None:
    path = f"/avtale/{page_site.ids['waiting']}"
    enter(client, page_server, "Łukasz", path)
    copy = client.get(f"{path}/1/lesekopi.pdf")
    assert copy.mimetype == "application/pdf"
    assert "not-signed" in copy.headers["Content-Disposition"]
    assert b"/Sig" not in copy.data or b"/ByteRange" not in copy.data
    for name in (
        "avtale.pdf",
        "kvittering.pdf",
        "kvittering.json",
        "revisions/2",
        "data.json",
        "report.json",
    ):
        assert client.get(f"{path}/1/{name}").status_code == 404
    assert client.post(f"{path}/1/sjekk", data={"csrf": token_of(client, path)}).status_code == 404


def test_who_must_declare_first_reads_nothing_yet(
    client: FlaskClient, page_server: Served, page_site: PageSite
) -> None:
    path = f"/avtale/{page_site.ids['undeclared']}"
    enter(client, page_server, "Marit", path)
    shown = client.get(f"{path}?sprak=nn").text
    assert "Du må signere teieerklæringa først" in shown
    assert "Agnieszka" not in shown
    declaration = re.search(r'<a class="link" href="(/avtale/[0-9a-f-]+)"', shown)
    assert declaration
    assert "Marit Sælen" in client.get(declaration[1]).text
    for name in ("tekst", "lesekopi.pdf", "avtale.pdf"):
        assert client.get(f"{path}/1/{name}").status_code == 404


def test_a_protected_participant_is_told_of_to_nobody(
    client: FlaskClient, page_server: Served, page_site: PageSite
) -> None:
    path = f"/avtale/{page_site.ids['protected']}"
    enter(client, page_server, "Ragnhild", path)
    for part in (path, f"{path}/1/tekst", f"{path}/versjoner", "/mine"):
        answer = client.get(part)
        assert answer.status_code == 200
        assert "Bæivi" not in answer.text
        assert "Håkon" not in answer.text
    assert "Skjermet" in client.get(path).text
    checked = client.post(f"{path}/1/sjekk", data={"csrf": token_of(client, path)})
    assert "Signaturene er ekte" in checked.text
    assert "UTVIKLING" not in checked.text  # the names in certificates
    assert client.get(f"{path}/1/skjermet.pdf").mimetype == "application/pdf"
    for name in ("avtale.pdf", "lesekopi.pdf", "kvittering.pdf", "kvittering.json"):
        assert client.get(f"{path}/1/{name}").status_code == 404


def test_access_that_has_ended_is_said_kindly_and_the_participant_keeps_it(
    client: FlaskClient, page_server: Served, page_site: PageSite, clock: ManualClock
) -> None:
    path = f"/avtale/{page_site.ids['signed']}"
    clock.advance(datetime(2037, 8, 25, tzinfo=UTC) - clock.now())  # 12 weeks and a day after the end
    with provider_at(page_server, clock):
        enter(client, page_server, "Łukasz", path)
        ended = client.get(path)
        assert ended.status_code == 403
        assert "Tilgangen din er avsluttet" in ended.text
        assert client.get(f"{path}/1/avtale.pdf").status_code == 403
        enter(client, page_server, "Ájlin", path)
        assert "Alle har signert" in client.get(path).text


def test_every_read_is_in_the_access_log_and_says_nothing_of_who(
    client: FlaskClient, page_server: Served, page_site: PageSite
) -> None:
    agreement_id = page_site.ids["amended"]
    enter(client, page_server, "Ájlin", f"/avtale/{agreement_id}")
    for path in ("", "/versjoner", "/1/tekst", "/1/avtale.pdf", "/1/kvittering.json"):
        assert client.get(f"/avtale/{agreement_id}{path}").status_code == 200
    records = [json.loads(page_site.store.get(k)) for k in page_site.store.list(f"access/{agreement_id}/")]
    assert {"page", "versions", "text/document", "document", "receipt"} <= {r["what"] for r in records}
    assert PEOPLE["Ájlin"]["pid"] not in json.dumps(records)


# --- headers ---


def test_headers_keep_browsers_from_harm(
    client: FlaskClient, page_server: Served, page_site: PageSite
) -> None:
    path = f"/avtale/{page_site.ids['signed']}"
    enter(client, page_server, "Ájlin", path)
    for address in ("/", "/verify", path, f"{path}/1/tekst", "/nothing", "/logget-ut"):
        headers = client.get(address).headers
        policy = dict(
            part.strip().partition(" ")[::2] for part in headers["Content-Security-Policy"].split(";")
        )
        assert policy["default-src"] == "'none'"
        assert policy["style-src"] == policy["img-src"] == "'self'"
        assert policy["script-src"] == ("'self'" if address == "/verify" else "'none'")
        assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert set(policy["form-action"].split()) <= {"'self'", page_site.provider.issuer}
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        body = client.get(address).text
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script>|https?://(?!127|www\.w3\.org)", body)
    document = client.get(f"{path}/1/avtale.pdf").headers
    assert document["X-Content-Type-Options"] == "nosniff"
    assert document["Cache-Control"] == "no-store"
    kept = re.search(r'href="(/static/style\.css\?v=[0-9a-f]+)"', client.get("/").text)
    assert kept
    with client.get(kept[1]) as styles:
        assert "immutable" in styles.headers["Cache-Control"]
    assert client.get("/static/../texts/nb.toml").status_code == 404


# --- strangers' files ---


def form_head(token: str, name: str = "avtale.pdf") -> bytes:
    """A form of two fields, up to where the file begins."""
    return (
        f'--b\r\nContent-Disposition: form-data; name="csrf"\r\n\r\n{token}\r\n--b\r\n'
        f'Content-Disposition: form-data; name="document"; filename="{name}"\r\n\r\n'
    ).encode()


FORM = "multipart/form-data; boundary=b"


def upload(client: FlaskClient, body: bytes, name: str = "avtale.pdf") -> TestResponse:
    form = form_head(token_of(client, "/verify"), name) + body + b"\r\n--b--\r\n"
    return client.post("/verify", data=form, content_type=FORM)


def bomb() -> bytes:
    """A PDF whose cross-reference table is a gigabyte of zeros, packed into one megabyte."""
    packer, mebibyte, count = zlib.compressobj(9, zlib.DEFLATED, -15), 1 << 20, 1024
    block = packer.compress(bytes(mebibyte)) + packer.flush(zlib.Z_FULL_FLUSH)
    checksum = ((mebibyte * count) % 65521) << 16 | 1  # Adler-32 of zeros
    packed = b"\x78\xda" + block * count + b"\x03\x00" + checksum.to_bytes(4, "big")
    table = f"1 0 obj <</Type /XRef /Size 2 /W [1 2 1] /Root 2 0 R /Filter /FlateDecode /Length {len(packed)}>> stream"
    return b"%PDF-1.7\n" + table.encode() + b"\n" + packed + b"\nendstream endobj\nstartxref\n9\n%%EOF"


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"", 415, "ikke en PDF"),
        (b"PK\x03\x04" + bytes(1000), 415, "ikke en PDF"),
        (b"<html>%PDF", 415, "ikke en PDF"),
        (b"%PDF-1.7 nonsense", 422, "klarer ikke å lese"),
        (b"%PDF-1.7\n" + bytes(3_000_001), 413, "for stor"),
    ],
    ids=["empty", "zip", "html", "broken", "large"],
)
def test_what_is_no_good_pdf_gets_a_plain_word(
    client: FlaskClient, body: bytes, status: int, said: str
) -> None:
    answer = upload(client, body)
    assert answer.status_code == status
    assert said in answer.text
    assert 'role="alert"' in answer.text


def test_a_bomb_gets_a_verdict_and_harms_nobody(client: FlaskClient) -> None:
    answer = upload(client, bomb())
    assert answer.status_code == 422
    assert client.get("/verify").status_code == 200


def test_nothing_of_an_upload_is_kept(
    client: FlaskClient,
    page_server: Served,
    page_site: PageSite,
    signed_pdf: bytes,
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = set(page_site.store.list())
    answer = upload(client, signed_pdf, "Kari Hemmelig.pdf")
    assert "Signaturene er ekte" in answer.text
    assert "Kari Hemmelig" not in answer.text + caplog.text
    assert set(page_site.store.list()) == before


class Endless(io.RawIOBase):
    """The body of a request that never ends, as a server gives it to the application."""

    def __init__(self, head: bytes) -> None:
        self.head, self.given = head, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self.head[: len(buffer)] or bytes(len(buffer))
        self.head = self.head[len(piece) :]
        buffer[: len(piece)] = piece
        self.given += len(piece)
        return len(piece)


def test_an_endless_upload_is_cut_off(client: FlaskClient) -> None:
    body = Endless(form_head(token_of(client, "/verify")) + b"%PDF-")
    environ = create_environ("/verify", method="POST", content_type=FORM)
    environ |= {
        "HTTP_COOKIE": f"__Host-signert-form={cookie(client, 'signert-form')}",
        "HTTP_TRANSFER_ENCODING": "chunked",
        "wsgi.input_terminated": True,
        "wsgi.input": io.BufferedReader(body),
    }
    pieces, status, _headers = run_wsgi_app(client.application, environ, buffered=True)
    assert status.startswith("413")
    assert "Filen er for stor" in b"".join(pieces).decode()
    assert body.given < 4_000_000


def test_a_script_that_keeps_on_is_slowed_down(client: FlaskClient) -> None:
    token = token_of(client, "/verify")
    statuses = [client.post("/verify", data={"csrf": token}).status_code for _ in range(25)]
    assert statuses[0] == 400  # no file
    assert statuses[-1] == 429
    answer = client.post("/verify", data={"csrf": token})
    assert "Det gikk litt for fort" in answer.text
    assert int(answer.headers["Retry-After"]) >= 1
