"""Keys in a remote signing service: `csc:` over real HTTP, against our own strict server and the public dummy of v1."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
import threading
import traceback
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from werkzeug.wrappers import Request, Response

from signing import (
    Credential,
    CredentialError,
    PreparedSignature,
    SignatureMismatch,
    SignatureRequest,
    embed,
    needs_person,
    open_credential,
    prepare,
    sign,
    validate,
)
from signing.algorithms import verify_raw
from signing.credentials.csc import ActivationData, CscCredential, UserAuthorization
from signing.credentials.csc.channel import Channel
from signing.credentials.csc.config import ClientConfig
from signing.credentials.csc.oauth import AuthorizationServer
from signing.errors import CredentialUnavailable
from tests.cscserver import (
    CLIENT_SECRET,
    PERSONAL,
    PIN,
    REDIRECT_URI,
    CscServer,
    RemoteCredential,
    config_file,
    serve_csc,
    serve_v1_dummy,
    visit,
)
from tests.faultproxy import Fault, FaultProxy
from tests.faultproxy import Request as Proxied
from tests.pki import TestPki
from tests.signing_documents import Signers

pytestmark = pytest.mark.pki

Open = Callable[..., CscCredential]


@pytest.fixture
def service(pki: TestPki) -> Iterator[CscServer]:
    with serve_csc(pki) as running:
        running.credentials["seal"] = RemoteCredential("seal")
        yield running


@pytest.fixture
def opened(service: CscServer, tmp_path: Path) -> Iterator[Open]:
    """Opens a credential of the service, on the service's clock."""
    made: list[CscCredential] = []

    def open_(name: str = "seal", *, version: int = 2, base: str | None = None, **more: str) -> CscCredential:
        path = config_file(tmp_path, f"{base or service.url}/csc/v{version}", name, **more)
        made.append(CscCredential.load(path, clock=service.clock.now))
        return made[-1]

    yield open_
    for credential in made:
        credential.close()


def _signed(document: bytes, field: str, credential: Credential, signers: Signers) -> bytes:
    prepared = _prepared(document, field, credential)
    return embed(prepared, sign(prepared, credential), revision=document, timestamps=signers.timestamps)


def _prepared(document: bytes, field: str, credential: Credential) -> PreparedSignature:
    return prepare(document, SignatureRequest(field), credential.identity, at=datetime.now(UTC))


def _verify(credential: Credential, value: bytes, data: bytes) -> None:
    identity = credential.identity
    verify_raw(asn1_x509.Certificate.load(identity.certificate), identity.mechanism, value, data)


# A whole document


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    ("label", "algorithm"),
    [
        ("participant", "ECDSA P-256, SHA-256"),
        ("employer", "RSA-3072 PSS, SHA-256"),
        ("adviser", "ECDSA P-384, SHA-384"),
    ],
)
def test_document_signed_remotely(
    sealed: bytes,
    signers: Signers,
    service: CscServer,
    opened: Open,
    label: str,
    algorithm: str,
    version: int,
) -> None:
    service.credentials[label] = RemoteCredential(label)
    credential = opened(label, version=version)
    report = validate(
        signers.augment(_signed(sealed, label, credential, signers)), signers.trust, at=datetime.now(UTC)
    )
    assert report.indication == "TOTAL-PASSED"
    assert report.signatures[-1].algorithm == algorithm
    assert report.signatures[-1].signer == credential.identity.subject
    assert credential.identity == signers.credential(label).identity


@pytest.mark.parametrize("label", ["participant", "employer"])
def test_document_signed_by_the_public_v1_server(
    sealed: bytes, signers: Signers, pki: TestPki, tmp_path: Path, label: str
) -> None:
    with serve_v1_dummy(pki) as url:
        path = config_file(tmp_path, url, f"test/{label}", client=False)
        credential = open_credential(f"csc:{path}")
        signed = _signed(sealed, label, credential, signers)
        values = credential.sign_many([b"one", b"two"])  # type: ignore[attr-defined]
        _verify(credential, values[1], b"two")
        credential.close()  # type: ignore[attr-defined]
    report = validate(signers.augment(signed), signers.trust)
    assert report.indication == "TOTAL-PASSED"
    assert [s.field for s in report.signatures] == ["seal", label]


@pytest.mark.parametrize("version", [1, 2])
def test_several_signatures_in_one_authorisation(service: CscServer, opened: Open, version: int) -> None:
    service.credentials["seal"].multisign = 2
    credential = opened(version=version)
    data = [b"one", b"two", b"three"]
    for value, item in zip(credential.sign_many(data), data, strict=True):
        _verify(credential, value, item)
    assert [body["numSignatures"] for body in service.asked("credentials/authorize")] == [2, 1]
    assert len(service.asked("signatures/signHash")) == 2
    assert len(service.asked("credentials/info")) == 1
    assert credential.sign_many([]) == []


def test_version_is_what_the_service_says(service: CscServer, opened: Open) -> None:
    opened(version=1).sign(b"data")
    assert "hash" in service.asked("signatures/signHash")[0]
    opened(version=2).sign(b"data")
    assert "hashes" in service.asked("signatures/signHash")[1]

    def newer(_: Request) -> Response:
        return Response('{"specs": "3.0"}', content_type="application/json")

    with service.fault("/info", newer), pytest.raises(CredentialError, match="version"):
        opened(client__token_endpoint=f'"{service.url}/oauth2/token"').sign(b"data")


# Tokens


def test_token_is_kept_and_renewed_before_it_ends(service: CscServer, opened: Open) -> None:
    credential = opened()
    credential.sign(b"one")
    credential.sign(b"two")
    assert len(service.asked("oauth2/token")) == 1
    service.clock.advance(timedelta(seconds=3595))
    credential.sign(b"three")
    assert len(service.asked("oauth2/token")) == 2


def test_token_withdrawn_is_renewed_once(service: CscServer, opened: Open) -> None:
    credential = opened()
    credential.sign(b"one")
    service.service_tokens.clear()
    _verify(credential, credential.sign(b"two"), b"two")
    assert len(service.asked("oauth2/token")) == 2

    def never(_: Request) -> Response:
        return Response(status=401)

    with service.fault("credentials/authorize", never), pytest.raises(CredentialError, match="401"):
        credential.sign(b"three")
    assert len(service.asked("oauth2/token")) == 3


@pytest.mark.parametrize("discovery", ["oauth2", "issuer"])
@pytest.mark.parametrize("authentication", ["post", "basic"])
def test_ways_to_a_token(service: CscServer, opened: Open, discovery: str, authentication: str) -> None:
    service.discovery = discovery
    opened(client__authentication=f'"{authentication}"', client__scope='"service"').sign(b"data")
    (form,) = service.asked("oauth2/token")
    assert form["scope"] == "service"
    assert ("client_secret" in form) == (authentication == "post")


def test_token_endpoint_from_the_file(service: CscServer, opened: Open) -> None:
    service.discovery = "nowhere"
    with pytest.raises(CredentialError, match="authorization server"):
        opened().sign(b"data")
    opened(version=2, client__token_endpoint=f'"{service.url}/oauth2/token"').sign(b"data")


def test_client_that_is_not_known(service: CscServer, opened: Open, tmp_path: Path) -> None:
    credential = opened()
    (tmp_path / "client-secret").write_text("another")
    with pytest.raises(CredentialError, match="invalid_client") as caught:
        credential.sign(b"data")
    assert not caught.value.retryable
    (tmp_path / "client-secret").write_text(CLIENT_SECRET)
    credential.sign(b"data")


def test_secret_is_not_sent_where_it_can_be_read(service: CscServer, opened: Open) -> None:
    def elsewhere(_: Request) -> Response:
        answer = {"specs": "2.0.0.2", "oauth2": "http://token.example/"}
        return Response(json.dumps(answer), content_type="application/json")

    with service.fault("v2/info", elsewhere), pytest.raises(CredentialError, match="not encrypted"):
        opened().sign(b"data")


def test_netrc_does_not_take_the_tokens_place(
    service: CscServer, opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    opened().sign(b"data")
    assert len(service.asked("oauth2/token")) == 1


# Authorisation


@pytest.mark.parametrize("version", [1, 2])
def test_pin(service: CscServer, opened: Open, tmp_path: Path, version: int) -> None:
    service.credentials["seal"].mode = "explicit"
    credential = opened(version=version, pin_file='"pin"', authorization='"explicit"')
    _verify(credential, credential.sign(b"data"), b"data")
    (tmp_path / "pin").write_text("111111")
    with pytest.raises(CredentialError, match="invalid_pin"):
        credential.sign(b"data")
    with pytest.raises(CredentialError, match="PIN"):
        opened(version=version).sign(b"data")


@pytest.mark.parametrize("version", [1, 2])
def test_one_time_password_is_refused_before_it_is_tried(
    service: CscServer, opened: Open, version: int
) -> None:
    service.credentials["seal"] = RemoteCredential("seal", mode="explicit", otp=True)
    with pytest.raises(CredentialError, match="one-time password"):
        opened(version=version, pin_file='"pin"').sign(b"data")
    assert service.asked("credentials/authorize") == []


def test_authorisation_other_than_the_file_says(service: CscServer, opened: Open) -> None:
    with pytest.raises(CredentialError, match="oauth2code"):
        opened(authorization='"oauth2code"').sign(b"data")
    assert service.asked("credentials/authorize") == []


def test_authorisation_that_ends_at_once(service: CscServer, opened: Open) -> None:
    service.sad_lifetime = 0
    with pytest.raises(CredentialError, match="expired"):
        opened().sign(b"data")
    assert service.asked("signatures/signHash") == []


# A person approves


def _come_back(started: UserAuthorization) -> tuple[str, str]:
    """Code and state that the person's browser brings back."""
    came = visit(started.url)
    return came["code"], came["state"]


def _approved(credential: CscCredential, *data: bytes) -> ActivationData:
    started = credential.start_authorization(
        [credential.hash_of(item) for item in data], session=str(uuid.uuid4())
    )
    code, state = _come_back(started)
    return credential.finish_authorization(code, started, state=state)


@pytest.fixture
def personal(service: CscServer) -> RemoteCredential:
    service.credentials["participant"] = RemoteCredential("participant", mode="oauth2code", multisign=3)
    return service.credentials["participant"]


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.usefixtures("personal")
def test_person_approves_a_document(
    sealed: bytes, signers: Signers, service: CscServer, opened: Open, version: int
) -> None:
    credential = opened("participant", version=version, authorization='"oauth2code"')
    prepared = _prepared(sealed, "participant", credential)
    with pytest.raises(CredentialError, match="person must approve"):
        sign(prepared, credential)
    hashes = [credential.hash_of(prepared.signed_attributes)]
    code, state = _come_back(credential.start_authorization(hashes, session="one"))
    # Another process ends what this one began, and has nothing of it but the session's name.
    resumed = opened("participant", version=version)
    sad = resumed.finish_authorization(code, resumed.start_authorization(hashes, session="one"), state=state)
    value = resumed.sign(prepared.signed_attributes, sad=sad)
    signed = embed(prepared, value, revision=sealed, timestamps=signers.timestamps)
    assert validate(signers.augment(signed), signers.trust).indication == "TOTAL-PASSED"
    assert service.asked("credentials/authorize") == []


@pytest.mark.usefixtures("personal")
def test_person_approves_several_at_once(opened: Open) -> None:
    credential = opened("participant")
    data = [b"agreement", b"declaration", b"plan"]
    values = credential.sign_many(data, sad=_approved(credential, *data))
    for value, item in zip(values, data, strict=True):
        _verify(credential, value, item)
    with pytest.raises(CredentialError, match="3 signatures"):
        credential.start_authorization([bytes(32)] * 4, session="one")
    with pytest.raises(CredentialError, match="sha256"):
        credential.start_authorization([bytes(20)], session="one")
    with pytest.raises(CredentialError, match="sha256"):
        credential.start_authorization([], session="one")


@pytest.mark.usefixtures("personal")
def test_approval_is_for_those_bytes_once_and_in_time(service: CscServer, opened: Open) -> None:
    credential = opened("participant")
    sad = _approved(credential, b"data")
    with pytest.raises(CredentialError, match="other bytes"):
        credential.sign(b"other", sad=sad)
    # Told that they are approved, the service still knows better.
    with pytest.raises(CredentialError, match="invalid_request"):
        credential.sign(b"other", sad=replace(sad, hashes=(credential.hash_of(b"other"),)))
    sad = _approved(credential, b"data")
    credential.sign(b"data", sad=sad)
    with pytest.raises(CredentialError, match="401"):
        credential.sign(b"data", sad=sad)
    sad = _approved(credential, b"data")
    service.clock.advance(timedelta(seconds=300))
    with pytest.raises(CredentialError, match="expired"):
        credential.sign(b"data", sad=sad)
    with pytest.raises(CredentialError, match="invalid_token"):
        credential.sign(b"data", sad=replace(sad, expires_at=sad.expires_at + timedelta(hours=1)))


@pytest.mark.usefixtures("personal")
def test_approval_that_is_not_the_one_begun(service: CscServer, opened: Open) -> None:
    credential = opened("participant")
    started = credential.start_authorization([bytes(32)], session="1")
    code, state = _come_back(started)
    other = _changed(service, credentialID="seal")
    with service.fault("oauth2/token", other), pytest.raises(CredentialError, match="another credential"):
        credential.finish_authorization(code, started, state=state)
    started = credential.start_authorization([bytes(32)], session="2")
    code, state = _come_back(started)
    service.clock.advance(timedelta(seconds=60))
    with pytest.raises(CredentialError, match="invalid_grant"):
        credential.finish_authorization(code, started, state=state)
    started = credential.start_authorization([bytes(32)], session="3")
    code, state = _come_back(started)
    for wrong in ("", "another", state + "x", "æ"):
        with pytest.raises(CredentialError, match="not the one"):
            credential.finish_authorization(code, started, state=wrong)
    with pytest.raises(CredentialError, match="invalid_grant"):
        credential.finish_authorization(code, replace(started, verifier="x" * 64), state=state)
    with pytest.raises(CredentialError, match="invalid_grant"):
        credential.finish_authorization(code, started, state=state)


@pytest.mark.usefixtures("personal")
def test_each_session_has_a_state_and_a_verifier_of_its_own_and_always_the_same(
    opened: Open, tmp_path: Path
) -> None:
    first, again, other = (
        opened("participant").start_authorization([bytes(32)], session=name) for name in ("1", "1", "2")
    )
    assert first == again
    found = {first.state, first.verifier, other.state, other.verifier}
    assert len(found) == 4
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{43}", value) for value in found)  # RFC 7636, 4.1
    assert first.verifier not in first.url
    credential = opened("participant")
    assert credential.start_authorization([bytes(32)], session="1") == first
    (tmp_path / "client-secret").write_text("another")
    assert credential.start_authorization([bytes(32)], session="1").state != first.state


def test_client_without_a_secret_sends_nobody(service: CscServer) -> None:
    client = ClientConfig(
        "signert", redirect_uri=REDIRECT_URI, authorization_endpoint=f"{service.url}/oauth2/authorize"
    )
    server = AuthorizationServer(client, Channel(), dict, clock=service.clock.now)
    with pytest.raises(CredentialError, match="without a secret"):
        server.start({}, (bytes(32),), "1")


def test_whose_use_a_person_approves_is_what_the_file_says(service: CscServer, opened: Open) -> None:
    assert needs_person(opened(authorization='"oauth2code"'))
    assert not needs_person(opened())
    assert service.requests == []  # nobody is asked


@pytest.mark.usefixtures("personal")
def test_more_than_an_address_can_hold(service: CscServer, opened: Open) -> None:
    service.credentials["participant"].multisign = 1000
    with pytest.raises(CredentialError, match="too many"):
        opened("participant").start_authorization([bytes(32)] * 1000, session="one")


def test_no_person_is_asked_where_none_is_needed(opened: Open) -> None:
    with pytest.raises(CredentialError, match="implicit"):
        opened().start_authorization([bytes(32)], session="4")


# The service answers badly


def _answer(status: int, body: str = "", kind: str = "application/json") -> Callable[[Request], Response]:
    return lambda _: Response(body, status, content_type=kind)


METHODS = ["v2/info", "oauth2/token", "credentials/info", "credentials/authorize", "signatures/signHash"]
_SAID = json.dumps({"error": "invalid_request", "error_description": PERSONAL})
_BUSY = json.dumps({"error": "temporarily_unavailable", "error_description": PERSONAL})
_LONG = json.dumps({"error": f"{PERSONAL} {'x' * 90}"})


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("answer", "word", "retryable"),
    [
        (_answer(500, f"<h1>{PERSONAL}</h1>", "text/html"), "500", True),
        (_answer(503, _SAID), "503", True),
        (_answer(429), "429", True),
        (_answer(400, _BUSY), "temporarily_unavailable", True),
        (_answer(400, _SAID), "invalid_request", False),
        (_answer(403, _LONG), "403", False),
        (_answer(404, f"<h1>{PERSONAL}</h1>", "text/html"), "404", False),
        (_answer(200, f"<h1>{PERSONAL}</h1>", "text/html"), "text/html", False),
        (_answer(200, "[]"), "JSON object", False),
        (_answer(200, '{"SAD": '), "JSON object", False),
        (_answer(200, "[" * 100_000), "JSON object", False),
        (_answer(200, "{}"), "lacks", False),
        (_answer(200, '{"a": "' + "x" * 2**20 + '"}'), "bytes", False),
        (_answer(302), "redirects", False),
    ],
)
def test_answers_that_are_no_use(
    service: CscServer,
    opened: Open,
    method: str,
    answer: Callable[[Request], Response],
    word: str,
    retryable: bool,
) -> None:
    credential = opened()
    with service.fault(method, answer), pytest.raises(CredentialError) as caught:
        credential.sign(b"data")
    assert word in f"{caught.value}"
    assert caught.value.retryable is retryable
    assert caught.value.code == ("credential_unavailable" if retryable else "credential")
    assert isinstance(caught.value, CredentialUnavailable) is retryable
    _hides(caught.value, PERSONAL, "Nordmann", CLIENT_SECRET, *service.service_tokens)
    _verify(credential, credential.sign(b"data"), b"data")


def _changed(service: CscServer, **fields: Any) -> Callable[[Request], Response]:
    """The service's own answer, with some fields put in place of its own or left out (None)."""

    def answer(request: Request) -> Response:
        content = json.loads(service.real_answer(request).data) | fields
        left = {name: value for name, value in content.items() if value is not None}
        return Response(json.dumps(left), content_type="application/json")

    return answer


@pytest.mark.parametrize(
    ("method", "fields"),
    [
        ("oauth2/token", {"access_token": "a\r\nX-Header: b"}),
        ("oauth2/token", {"access_token": ["a"]}),
        ("oauth2/token", {"token_type": "mac"}),
        ("oauth2/token", {"expires_in": "soon"}),
        ("oauth2/token", {"expires_in": -1}),
        ("credentials/info", {"key": None}),
        ("credentials/info", {"key": "enabled"}),
        ("credentials/info", {"multisign": "2"}),
        ("credentials/info", {"multisign": 0}),
        ("credentials/info", {"auth": {"mode": "telepathy"}}),
        ("credentials/info", {"cert": {"certificates": []}}),
        ("credentials/info", {"cert": {"certificates": ["AAAA"]}}),
        ("credentials/info", {"cert": {"certificates": ["!"]}}),
        ("credentials/info", {"cert": {"certificates": [7]}}),
        ("credentials/authorize", {"SAD": ""}),
        ("credentials/authorize", {"SAD": None}),
        ("credentials/authorize", {"SAD": None, "handle": "h"}),
        ("credentials/authorize", {"expiresIn": 1.5}),
        ("signatures/signHash", {"signatures": None}),
        ("signatures/signHash", {"signatures": []}),
        ("signatures/signHash", {"signatures": ["AAAA", "AAAA"]}),
        ("signatures/signHash", {"signatures": ["*"]}),
        ("signatures/signHash", {"signatures": [None]}),
        ("signatures/signHash", {"signatures": None, "responseID": "later"}),
    ],
)
def test_answers_that_make_no_sense(
    service: CscServer, opened: Open, method: str, fields: dict[str, Any]
) -> None:
    credential = opened()
    with service.fault(method, _changed(service, **fields)), pytest.raises(CredentialError) as caught:
        credential.sign(b"data")
    assert not caught.value.retryable
    _verify(credential, credential.sign(b"data"), b"data")


def test_lifetimes_may_be_left_out(service: CscServer, opened: Open) -> None:
    with (
        service.fault("oauth2/token", _changed(service, expires_in=None)),
        service.fault("credentials/authorize", _changed(service, expiresIn=None)),
    ):
        opened().sign(b"data")


def test_signature_over_another_hash(service: CscServer, opened: Open, signers: Signers) -> None:
    other = base64.b64encode(signers.credential("seal").sign(b"other")).decode()
    stranger = base64.b64encode(signers.credential("participant").sign(b"data")).decode()
    for value in (other, stranger, "AAAA", ""):
        tampered = _changed(service, signatures=[value])
        with service.fault("signatures/signHash", tampered), pytest.raises(SignatureMismatch):
            opened().sign(b"data")


def test_signatures_in_another_order(service: CscServer, opened: Open) -> None:
    service.credentials["seal"].multisign = 2

    def swapped(request: Request) -> Response:
        content = json.loads(service.real_answer(request).data)
        content["signatures"].reverse()
        return Response(json.dumps(content), content_type="application/json")

    with service.fault("signatures/signHash", swapped), pytest.raises(SignatureMismatch):
        opened().sign_many([b"one", b"two"])


# The service answers slowly, or not at all


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("trickle", [False, True])
def test_slow_answers_are_not_waited_for(
    service: CscServer, opened: Open, method: str, trickle: bool
) -> None:
    given_up = threading.Event()

    def one_by_one() -> Iterator[bytes]:
        while not given_up.wait(0.02):
            yield b" "

    def slow(_: Request) -> Response:
        if trickle:
            return Response(one_by_one(), content_type="application/json")
        given_up.wait()
        return Response(status=500)

    credential = opened(read_timeout="0.2")
    try:
        with service.fault(method, slow), pytest.raises(CredentialUnavailable, match="no answer") as caught:
            credential.sign(b"data")
    finally:
        given_up.set()
    assert caught.value.retryable


@pytest.fixture
def proxy(service: CscServer) -> Iterator[FaultProxy]:
    with FaultProxy(service.url) as running:
        yield running


def _at(path: str, fault: Fault, *turns: int) -> Callable[[Proxied], Fault | None]:
    """Chooses the fault for those of the requests to a path, counted from one."""
    count = itertools.count(1)
    return lambda request: fault if path in request.path and next(count) in turns else None


@pytest.mark.parametrize("fault", [Fault.DROP_ANSWER, Fault.CUT_ANSWER, Fault.RESET])
@pytest.mark.parametrize("method", ["signatures/signHash", "credentials/authorize"])
def test_lost_answer_is_authorised_anew_once(
    service: CscServer, opened: Open, proxy: FaultProxy, fault: Fault, method: str
) -> None:
    credential = opened(base=proxy.url)
    proxy.chooser = _at(method, fault, 1)
    _verify(credential, credential.sign(b"data"), b"data")
    used = [body["SAD"] for body in service.asked("signatures/signHash")]
    assert len(used) == len(set(used))
    proxy.chooser = _at(method, fault, 1, 2)
    with pytest.raises(CredentialUnavailable):
        credential.sign(b"data")
    assert proxy.injected[fault] == 3


@pytest.mark.parametrize("path", ["v2/info", "credentials/info"])
def test_lost_reading_is_asked_again(opened: Open, proxy: FaultProxy, path: str) -> None:
    proxy.chooser = _at(path, Fault.CUT_ANSWER, 1)
    opened(base=proxy.url).sign(b"data")
    proxy.chooser = _at(path, Fault.CUT_ANSWER, 1, 2)
    with pytest.raises(CredentialUnavailable):
        opened(base=proxy.url).sign(b"data")


@pytest.mark.usefixtures("personal")
def test_lost_answer_after_approval_is_not_sent_again(
    service: CscServer, opened: Open, proxy: FaultProxy
) -> None:
    credential = opened("participant", base=proxy.url)
    sad = _approved(credential, b"data")
    proxy.chooser = _at("signatures/signHash", Fault.DROP_ANSWER, 1)
    with pytest.raises(CredentialUnavailable):
        credential.sign(b"data", sad=sad)
    assert len(service.asked("signatures/signHash")) == 1


def test_nobody_there(service: CscServer, opened: Open, proxy: FaultProxy) -> None:
    with proxy.away():
        credential = opened(base=proxy.url)
        with pytest.raises(CredentialUnavailable, match="no answer from 127"):
            _ = credential.identity
    assert credential.identity.subject == "Arbeids- og velferdsetaten (test)"


# The certificate


def test_certificate_changed_between_two_calls(
    sealed: bytes, service: CscServer, opened: Open, signers: Signers
) -> None:
    service.credentials["who"] = RemoteCredential("participant")
    credential = opened("who", info_max_age="0")
    prepared = _prepared(sealed, "participant", credential)
    service.credentials["who"].label = "seal"
    with pytest.raises(CredentialError, match="has changed") as caught:
        sign(prepared, credential)
    _hides(caught.value, credential.identity.subject, "who ")
    assert service.asked("credentials/authorize") == []
    # Within the time the state is believed, the signature itself tells.
    believing = opened("who", info_max_age="600")
    assert believing.identity.subject == "Arbeids- og velferdsetaten (test)"
    service.credentials["who"].label = "participant"
    with pytest.raises(SignatureMismatch):
        believing.sign(b"data")
    # Right again: the same prepared signature is still good.
    value = sign(prepared, credential)
    assert embed(prepared, value, revision=sealed, timestamps=signers.timestamps).startswith(sealed)


def test_certificate_other_than_the_file_names(service: CscServer, opened: Open, signers: Signers) -> None:
    right = signers.credential("seal").identity.certificate_sha256
    opened(certificate_sha256=f'"{right.upper()}"').sign(b"data")
    wrong = signers.credential("participant").identity.certificate_sha256
    with pytest.raises(CredentialError, match="certificate-sha256"):
        opened(certificate_sha256=f'"{wrong}"').sign(b"data")


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("chain", [("interm", "root"), ("root", "interm")])
def test_chain_is_put_in_order(
    service: CscServer, opened: Open, signers: Signers, chain: tuple[str, ...], reverse: bool
) -> None:
    service.credentials["seal"] = RemoteCredential("seal", chain=chain, reverse=reverse)
    assert opened().identity == signers.credential("seal").identity


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"key_status": "disabled"}, "disabled"),
        ({"cert_status": "expired"}, "expired"),
        ({"cert_status": "revoked"}, "revoked"),
        ({"cert_status": "suspended"}, "suspended"),
        ({"cert_status": PERSONAL}, "not valid"),
        ({"label": "expired"}, "expired"),
        ({"label": "small"}, "2048 bits"),
        ({"label": "curve"}, "secp521r1"),
        ({"label": "employer", "algorithms": ["1.2.840.113549.1.1.11"]}, "rsa-pss-sha256"),
        ({"algorithms": ["1.2.840.10045.4.3.3"]}, "ecdsa-sha256"),
        ({"label": "interm"}, "signer's certificate"),
    ],
)
def test_credential_that_cannot_be_used(
    service: CscServer, opened: Open, change: dict[str, Any], word: str
) -> None:
    service.credentials["seal"] = replace(RemoteCredential("seal"), **change)
    credential = opened()
    for _ in range(2):
        with pytest.raises(CredentialError, match=word) as caught:
            _ = credential.identity
        assert not caught.value.retryable
        _hides(caught.value, PERSONAL)
    with pytest.raises(CredentialError, match=word):
        credential.sign(b"data")
    assert service.asked("credentials/authorize") == []


def test_credential_disabled_while_in_use(service: CscServer, opened: Open) -> None:
    credential = opened()
    credential.sign(b"data")
    service.credentials["seal"].key_status = "disabled"
    service.clock.advance(timedelta(seconds=61))
    with pytest.raises(CredentialError, match="disabled"):
        credential.sign(b"data")
    service.credentials["seal"].key_status = "enabled"
    credential.sign(b"data")
    service.clock.advance(timedelta(days=365 * 4))
    with pytest.raises(CredentialError, match="expired"):
        credential.sign(b"data")


@pytest.mark.parametrize("key", [{"len": 384}, {"curve": "1.3.132.0.34"}])
def test_key_described_is_not_the_certificates(service: CscServer, opened: Open, key: dict[str, Any]) -> None:
    def other(request: Request) -> Response:
        content = json.loads(service.real_answer(request).data)
        content["key"] |= key
        return Response(json.dumps(content), content_type="application/json")

    with service.fault("credentials/info", other), pytest.raises(CredentialError, match="another key"):
        opened().sign(b"data")


# TLS


def test_tls_is_verified(pki: TestPki, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([]), datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 7, now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = tmp_path / "tls.crt", tmp_path / "tls.key"
    files[0].write_bytes(certificate.public_bytes(Encoding.PEM))
    files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with serve_csc(pki, tls=files) as service:
        service.credentials["seal"] = RemoteCredential("seal")
        credential = CscCredential.load(config_file(tmp_path, f"{service.url}/csc/v2", "seal"))
        with pytest.raises(CredentialError, match="TLS certificate of 127") as caught:
            credential.sign(b"data")
        assert not caught.value.retryable
        assert service.requests == []
        credential.close()
        trusting = config_file(tmp_path, f"{service.url}/csc/v2", "seal", ca_file='"tls.crt"')
        credential = CscCredential.load(trusting)
        _verify(credential, credential.sign(b"data"), b"data")
        credential.close()


# The file


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"service": '"http://sign.example/csc/v2"'}, "not encrypted"),
        ({"service": '"https://me:hunter2@sign.example/csc/v2"'}, "host and path"),
        ({"service": '"https://sign.example/csc/v2?key=hunter2"'}, "host and path"),
        ({"service": '"ftp://sign.example/"'}, "https"),
        ({"service": '"https://[x/"'}, "URL"),
        ({"service": '""'}, "service"),
        ({"service": "7"}, "service"),
        ({"pin": '"hunter2"'}, "pin-file"),
        ({"client__secret": '"hunter2"'}, "client.secret-file"),
        ({"client__token_endpoint": '"http://sign.example/"'}, "not encrypted"),
        ({"client__authentication": '"hunter2"'}, "post, basic"),
        ({"client__secret_file": '"missing"'}, "cannot be read"),
        ({"pin_file": '"missing"'}, "cannot be read"),
        ({"pin_file": '"empty"'}, "empty"),
        ({"ca_file": '"missing"'}, "certificates"),
        ({"ca_file": '"empty"'}, "certificates"),
        ({"version": "3"}, "1, 2"),
        ({"version": "true"}, "1, 2"),
        ({"authorization": '"none"'}, "implicit"),
        ({"read_timeout": "0"}, "seconds"),
        ({"read_timeout": '"hunter2"'}, "seconds"),
        ({"certificate_sha256": '"hunter2"'}, "hexadecimal"),
        ({"credential": ""}, "TOML"),
        ({"colour": '"hunter2"'}, "colour"),
    ],
)
def test_files_that_do_not_work(tmp_path: Path, fields: dict[str, str], word: str) -> None:
    (tmp_path / "empty").write_text("")
    path = config_file(tmp_path, "https://sign.example/csc/v2", "seal", **fields)
    with pytest.raises(CredentialError) as caught:
        open_credential(f"csc:{path}")
    assert word in f"{caught.value} {caught.value.remedy}"
    _hides(caught.value, "hunter2", CLIENT_SECRET, PIN)


@pytest.mark.parametrize(
    "address", ["csc:", "csc://sign.example/csc/v2", "csc:/no/file?pin=hunter2", "csc:/no"]
)
def test_addresses_that_do_not_work(address: str) -> None:
    with pytest.raises(CredentialError) as caught:
        open_credential(address)
    _hides(caught.value, "hunter2")


def test_client_must_be_a_table(tmp_path: Path) -> None:
    path = config_file(tmp_path, "https://sign.example/csc/v2", "seal", client=False)
    for line in ('client = "hunter2"', "[client]"):
        path.write_text(path.read_text().split("client")[0].rstrip("[") + line)
        with pytest.raises(CredentialError, match="client"):
            CscCredential.load(path)


def test_service_is_not_asked_before_it_is_needed(service: CscServer, opened: Open) -> None:
    credential = opened()
    assert repr(credential) == "CscCredential(not asked for yet)"
    assert service.requests == []


def _hides(error: CredentialError, *secrets: str) -> None:
    shown = "".join(traceback.format_exception(error)) + error.remedy
    for secret in secrets:
        assert secret not in shown


@pytest.mark.usefixtures("personal")
def test_secrets_are_not_shown(service: CscServer, opened: Open) -> None:
    service.credentials["seal"].mode = "explicit"
    credential, person = opened(pin_file='"pin"'), opened("participant")
    credential.sign(b"data")
    started = person.start_authorization([hashlib.sha256(b"data").digest()], session="one")
    code, state = _come_back(started)
    sad = person.finish_authorization(code, started, state=state)
    used = [body["SAD"] for body in service.asked("signatures/signHash")]
    for thing in (credential, person, sad, started):
        shown = f"{thing!r} {thing} {vars(thing) if isinstance(thing, CscCredential) else ''}"
        assert not any(
            secret in shown
            for secret in (CLIENT_SECRET, PIN, started.verifier, code, *used, *service.service_tokens)
        )
        assert not any(token in shown for token in service.credential_tokens)
    assert "Arbeids" not in repr(credential)
