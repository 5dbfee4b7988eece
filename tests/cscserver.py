"""Remote signing services for tests, over real HTTP, with the keys of the test PKI.

`serve_csc` is one written to the CSC API v2.0.0.2 (and v1.0.4.0, under /csc/v1), which checks all that a real one
does: tokens and their scope and end, PINs, authorised hashes, that activation data is used once and in time, and
that the algorithm is one of the credential's. `serve_v1_dummy` is the public dummy server of v1, which checks less
but was written by others.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import json
import re
import secrets
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit

import requests
from asn1crypto import algos, pem
from cryptography.hazmat.primitives import hashes as digests
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from tests.fakes import ManualClock
from tests.pki import Fault, QuietHandler, TestPki

CLIENT, CLIENT_SECRET, PIN = "signert", "hemmelig & æøå/+", "271828"
REDIRECT_URI = "https://signert.example/csc?from=service"
PERSONAL = "Kari Nordmann, 01817012345"
"""In every description of an error: no business of a log's."""

_DIGESTS: dict[str, Callable[[], digests.SHA256 | digests.SHA384]] = {
    "2.16.840.1.101.3.4.2.1": digests.SHA256,
    "2.16.840.1.101.3.4.2.2": digests.SHA384,
}
_ECDSA = {"1.2.840.10045.4.3.2": "2.16.840.1.101.3.4.2.1", "1.2.840.10045.4.3.3": "2.16.840.1.101.3.4.2.2"}
_PSS = "1.2.840.113549.1.1.10"
_CURVES = {"secp256r1": "1.2.840.10045.3.1.7", "secp384r1": "1.3.132.0.34", "secp521r1": "1.3.132.0.35"}


@dataclass
class RemoteCredential:
    """A key the service holds; `label` names it in the test PKI."""

    label: str
    mode: str = "implicit"
    scal: str = "2"
    multisign: int = 1
    otp: bool = False
    key_status: str = "enabled"
    cert_status: str = "valid"
    algorithms: list[str] | None = None
    chain: tuple[str, ...] = ("interm", "root")
    reverse: bool = False


@dataclass
class _Grant:
    """A token, a code or activation data."""

    ends: datetime
    credential: str = ""
    hashes: tuple[bytes, ...] = ()
    hash_oid: str = ""
    challenge: str = ""


class _No(Exception):
    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status, self.code = status, code


@dataclass
class CscServer:
    """The running service. `requests` holds what was asked of it, `faults` breaks a method for a while."""

    pki: TestPki
    clock: ManualClock
    url: str = ""
    credentials: dict[str, RemoteCredential] = field(default_factory=dict)
    requests: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    faults: dict[str, Fault] = field(default_factory=dict)
    discovery: str = "oauth2"
    token_lifetime: int = 3600
    sad_lifetime: int = 300
    approves: bool = True
    """What the person says at the authorization endpoint."""
    service_tokens: dict[str, _Grant] = field(default_factory=dict)
    credential_tokens: dict[str, _Grant] = field(default_factory=dict)
    _codes: dict[str, _Grant] = field(default_factory=dict)
    _sads: dict[str, _Grant] = field(default_factory=dict)

    def asked(self, method: str) -> list[Mapping[str, Any]]:
        """Bodies of the requests for a method, e.g. signatures/signHash."""
        return [body for name, body in self.requests if name == method]

    @contextmanager
    def fault(self, method: str, answer: Fault) -> Iterator[None]:
        self.faults[method] = answer
        try:
            yield
        finally:
            del self.faults[method]

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        request = Request(environ)
        for method, answer in self.faults.items():
            if request.path.endswith(method):
                return answer(request)(environ, start_response)
        return self.real_answer(request)(environ, start_response)

    def real_answer(self, request: Request) -> Response:
        try:
            if request.path.startswith(("/oauth2/", "/.well-known/")):
                return self._oauth(request)
            return self._method(request)
        except _No as no:
            description = f"Not for {PERSONAL}"
            return _json({"error": no.code, "error_description": description}, no.status)

    def _method(self, request: Request) -> Response:
        match = re.fullmatch(r"/csc/v([12])/([\w/]+)", request.path)
        if match is None or request.method != "POST":
            raise _No(404, "not_found")
        if request.mimetype != "application/json" or not isinstance(request.json, dict):
            raise _No(400, "invalid_request")
        version, method, body = int(match[1]), match[2], request.json
        self.requests.append((method, body))
        if method == "info":
            return _json(self._info(version))
        grant = self._authorized(request, method)
        credential = self.credentials.get(_text(body, "credentialID"))
        if credential is None:
            raise _No(400, "invalid_request")
        match method:
            case "credentials/info":
                return _json(self._credential_info(version, credential, body))
            case "credentials/authorize":
                return _json(self._authorize(version, credential, body))
            case "signatures/signHash":
                return _json(self._sign_hash(version, credential, body, grant))
            case _:
                raise _No(404, "not_found")

    def _info(self, version: int) -> dict[str, Any]:
        where = {
            "oauth2": {"oauth2": f"{self.url}/"},
            "issuer": {"oauth2Issuer": f"{self.url}/tenant"},
            "nowhere": {},
        }
        return {
            "specs": "1.0.4.0" if version == 1 else "2.0.0.2",
            "name": "Test",
            "logo": "https://sign.invalid/logo.png",
            "region": "NO",
            "lang": "nb",
            "description": "Test",
            "authType": ["oauth2code", "oauth2client"],
            "methods": ["credentials/info", "credentials/authorize", "signatures/signHash"],
            **where[self.discovery],
        }

    def _authorized(self, request: Request, method: str) -> _Grant:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        grant = self.service_tokens.get(token)
        if grant is None and method == "signatures/signHash":
            grant = self.credential_tokens.get(token)
        if scheme != "Bearer" or grant is None or self.clock.now() >= grant.ends:
            raise _No(401, "invalid_token")
        return grant

    def _certificate(self, label: str) -> bytes:
        _, _, der = pem.unarmor(self.pki.certificate_pem(label).read_bytes())
        return bytes(der)

    def _key(self, credential: RemoteCredential) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
        key = load_pem_private_key((self.pki.directory / f"{credential.label}.pem").read_bytes(), None)
        assert isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)
        return key

    def _algorithms(self, credential: RemoteCredential) -> list[str]:
        if credential.algorithms is not None:
            return credential.algorithms
        if isinstance(self._key(credential), rsa.RSAPrivateKey):
            return ["1.2.840.113549.1.1.11", _PSS]
        return list(_ECDSA)

    def _credential_info(
        self, version: int, credential: RemoteCredential, body: Mapping[str, Any]
    ) -> dict[str, Any]:
        key = self._key(credential)
        labels = [credential.label, *credential.chain] if body.get("certificates") == "chain" else []
        if body.get("certificates", "single") == "single":
            labels = [credential.label]
        certificates = [base64.b64encode(self._certificate(label)).decode() for label in labels]
        described: dict[str, Any] = {
            "status": credential.key_status,
            "algo": self._algorithms(credential),
            "len": key.key_size,
        }
        if isinstance(key, ec.EllipticCurvePrivateKey):
            described["curve"] = _CURVES[key.curve.name]
        answer: dict[str, Any] = {
            "description": PERSONAL,
            "key": described,
            "cert": {
                "status": credential.cert_status,
                "certificates": certificates[::-1] if credential.reverse else certificates,
            },
            "SCAL": credential.scal,
            "multisign": credential.multisign,
        }
        explicit = credential.mode == "explicit" and body.get("authInfo", False)
        if version == 1:
            answer["authMode"] = credential.mode
            if explicit:
                answer["PIN"] = {"presence": "true", "format": "N", "label": "PIN"}
                answer["OTP"] = {"presence": "true" if credential.otp else "false", "type": "online"}
            return answer
        answer["auth"] = {"mode": credential.mode}
        if explicit:
            objects = [{"type": "Password", "id": "pin-1", "format": "N", "label": "PIN"}]
            if credential.otp:
                objects.append(
                    {"type": "ChallengeResponse", "id": "otp-1", "format": "N", "generator": "totp"}
                )
                answer["auth"]["expression"] = "pin-1 AND otp-1"
            answer["auth"]["objects"] = objects
        return answer

    def _authorize(
        self, version: int, credential: RemoteCredential, body: Mapping[str, Any]
    ) -> dict[str, Any]:
        if credential.mode == "oauth2code" or credential.key_status != "enabled":
            raise _No(400, "invalid_request")
        if credential.mode == "explicit":
            given = body.get("PIN") if version == 1 else None
            for item in body.get("authData", []) if version == 2 else []:
                given = item["value"] if item["id"] == "pin-1" else given
            if given != PIN:
                raise _No(400, "invalid_pin")
        number = body.get("numSignatures")
        if not isinstance(number, int) or not 1 <= number <= credential.multisign:
            raise _No(400, "invalid_request")
        oid = "" if version == 1 else _text(body, "hashAlgorithmOID")
        values = _hashes(body, "hash" if version == 1 else "hashes", oid)
        if (credential.scal == "2" or values) and len(values) != number:
            raise _No(400, "invalid_request")
        sad = secrets.token_urlsafe(40)
        ends = self.clock.now() + timedelta(seconds=self.sad_lifetime)
        self._sads[sad] = _Grant(ends, _text(body, "credentialID"), values, oid)
        return {"SAD": sad, "expiresIn": self.sad_lifetime}

    def _sign_hash(
        self, version: int, credential: RemoteCredential, body: Mapping[str, Any], grant: _Grant
    ) -> dict[str, Any]:
        if not grant.credential:
            sad = _text(body, "SAD")
            found = self._sads.pop(sad, None) or self.credential_tokens.pop(sad, None)
            if found is None:
                raise _No(400, "invalid_request")
            grant = found
        else:
            spent = [token for token, other in self.credential_tokens.items() if other is grant]
            del self.credential_tokens[spent[0]]
        if grant.credential != body["credentialID"] or self.clock.now() >= grant.ends:
            raise _No(400, "invalid_request")
        oid = _text(body, "hashAlgo" if version == 1 else "hashAlgorithmOID")
        values = _hashes(body, "hash" if version == 1 else "hashes", oid)
        if not values or len(values) > len(grant.hashes) or not set(values) <= set(grant.hashes):
            raise _No(400, "invalid_request")
        if grant.hash_oid not in ("", oid) or _text(body, "signAlgo") not in self._algorithms(credential):
            raise _No(400, "invalid_request")
        signatures = [self._sign(credential, body, oid, value) for value in values]
        return {"signatures": [base64.b64encode(value).decode() for value in signatures]}

    def _sign(self, credential: RemoteCredential, body: Mapping[str, Any], oid: str, value: bytes) -> bytes:
        key, algorithm, digest = self._key(credential), body["signAlgo"], _DIGESTS[oid]()
        if isinstance(key, ec.EllipticCurvePrivateKey):
            if _ECDSA.get(algorithm) != oid or "signAlgoParams" in body:
                raise _No(400, "invalid_request")
            return key.sign(value, ec.ECDSA(Prehashed(digest)))
        if algorithm != _PSS:
            raise _No(400, "invalid_request")
        parameters = algos.RSASSAPSSParams.load(base64.b64decode(_text(body, "signAlgoParams")), strict=True)
        inner = parameters["mask_gen_algorithm"]["parameters"]["algorithm"]
        if parameters["hash_algorithm"]["algorithm"].dotted != oid or inner.dotted not in _DIGESTS:
            raise _No(400, "invalid_request")
        pss = padding.PSS(padding.MGF1(_DIGESTS[inner.dotted]()), parameters["salt_length"].native)
        return key.sign(value, pss, Prehashed(digest))

    def _oauth(self, request: Request) -> Response:
        if request.path == "/.well-known/oauth-authorization-server/tenant":
            endpoints = {f"{kind}_endpoint": f"{self.url}/oauth2/{end}" for kind, end in _ENDPOINTS.items()}
            return _json({"issuer": f"{self.url}/tenant", **endpoints})
        if request.path == "/oauth2/authorize" and request.method == "GET":
            return self._approve(request.args)
        if request.path != "/oauth2/token" or request.method != "POST":
            raise _No(404, "not_found")
        form = request.form
        self.requests.append(("oauth2/token", form.to_dict()))
        basic = request.authorization
        given = (form.get("client_id"), form.get("client_secret"))
        if basic is not None and basic.type == "basic":
            given = (unquote_plus(basic.username or ""), unquote_plus(basic.password or ""))
        if given != (CLIENT, CLIENT_SECRET):
            raise _No(401, "invalid_client")
        token = secrets.token_urlsafe(32)
        ends = self.clock.now() + timedelta(seconds=self.token_lifetime)
        if form.get("grant_type") == "client_credentials":
            self.service_tokens[token] = _Grant(ends)
            return _json({"access_token": token, "token_type": "Bearer", "expires_in": self.token_lifetime})
        if form.get("grant_type") != "authorization_code":
            raise _No(400, "unsupported_grant_type")
        grant = self._codes.pop(form.get("code", ""), None)
        verifier = form.get("code_verifier", "").encode()
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier).digest()).rstrip(b"=").decode()
        if grant is None or challenge != grant.challenge or form.get("redirect_uri") != REDIRECT_URI:
            raise _No(400, "invalid_grant")
        if self.clock.now() >= grant.ends:
            raise _No(400, "invalid_grant")
        grant.ends = self.clock.now() + timedelta(seconds=self.sad_lifetime)
        self.credential_tokens[token] = grant
        return _json({"access_token": token, "token_type": "SAD", "expires_in": self.sad_lifetime})

    def _approve(self, query: Mapping[str, str]) -> Response:
        """The person logs in, sees what is to be signed, and says yes or no; the browser is sent back.

        Without a client and an address that are known, it is not sent anywhere (RFC 6749, 4.1.2.1).
        """
        self.requests.append(("oauth2/authorize", dict(query)))
        if query.get("client_id") != CLIENT or query.get("redirect_uri") != REDIRECT_URI:
            raise _No(400, "invalid_request")
        try:
            answer = {"code": self._code(query)} if self.approves else {"error": "access_denied"}
        except _No as no:
            answer = {"error": no.code, "error_description": f"Not for {PERSONAL}"}
        state = {"state": query["state"]} if "state" in query else {}
        back = REDIRECT_URI + "&" + urlencode({**answer, **state})
        return Response(status=302, headers={"Location": back})

    def _code(self, query: Mapping[str, str]) -> str:
        """A code for what is asked, which is checked as CSC v2, 8.4.2 (v1, 8.3.2) and RFC 7636, 4.3 have it."""
        credential = self.credentials.get(query.get("credentialID", ""))
        oid = query.get("hashAlgorithmOID", "")
        encoded = query.get("hashes" if oid else "hash", "").split(",")
        try:
            values = tuple(base64.urlsafe_b64decode(value) for value in encoded)
        except ValueError:
            raise _No(400, "invalid_request") from None
        if (
            credential is None
            or credential.mode != "oauth2code"
            or query.get("response_type") != "code"
            or query.get("scope") != "credential"
            or query.get("code_challenge_method") != "S256"
            or not re.fullmatch(r"[A-Za-z0-9_-]{43}", query.get("code_challenge", ""))
            or not query.get("state")
            or query.get("numSignatures") != str(len(values))
            or not 1 <= len(values) <= credential.multisign
            or any(len(value) not in (32, 48) for value in values)
        ):
            raise _No(400, "invalid_request")
        code = secrets.token_urlsafe(16)
        ends = self.clock.now() + timedelta(seconds=60)
        self._codes[code] = _Grant(ends, query["credentialID"], values, oid, query["code_challenge"])
        return code


_ENDPOINTS = {"token": "token", "authorization": "authorize"}


def _json(content: Mapping[str, Any], status: int = 200) -> Response:
    return Response(json.dumps(content), status, content_type="application/json;charset=UTF-8")


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise _No(400, "invalid_request")
    return value


def _hashes(body: Mapping[str, Any], name: str, oid: str) -> tuple[bytes, ...]:
    encoded = body.get(name, [])
    if oid and oid not in _DIGESTS:
        raise _No(400, "invalid_request")
    size = _DIGESTS[oid]().digest_size if oid in _DIGESTS else 0
    try:
        values = tuple(base64.b64decode(item, validate=True) for item in encoded)
    except (binascii.Error, TypeError, ValueError):
        raise _No(400, "invalid_request") from None
    if any(len(value) not in ((size,) if size else (32, 48)) for value in values):
        raise _No(400, "invalid_request")
    return values


def visit(url: str) -> dict[str, str]:
    """The person's browser: what stands in the address that it is sent back to."""
    answer = requests.get(url, allow_redirects=False, timeout=10)
    assert answer.status_code == 302, answer.text
    came = dict(parse_qsl(urlsplit(answer.headers["Location"]).query))
    assert came.pop("from") == "service"  # the redirect URI's own query is kept
    return came


@contextmanager
def serve_csc(pki: TestPki, *, tls: tuple[Path, Path] | None = None) -> Iterator[CscServer]:
    """A service on a free loopback port while the block runs; by TLS with (certificate, key) files."""
    service = CscServer(pki, ManualClock(datetime.now(UTC).replace(microsecond=0)))
    context = (str(tls[0]), str(tls[1])) if tls else None
    server = make_server(
        "127.0.0.1", 0, service, threaded=True, request_handler=QuietHandler, ssl_context=context
    )
    server.daemon_threads = True
    service.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="test-csc", daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def config_file(
    directory: Path, service: str, credential: str, /, *, client: bool = True, **more: str
) -> Path:
    """A file for a `csc:` address. `more` are lines of TOML by field; `client__…` go in the client's table."""
    (directory / "client-secret").write_text(CLIENT_SECRET + "\n", encoding="utf-8")
    (directory / "pin").write_text(PIN + "\n", encoding="utf-8")
    fields = {"service": f'"{service}"', "credential": f'"{credential}"'}
    table = {"id": f'"{CLIENT}"', "secret-file": '"client-secret"', "redirect-uri": f'"{REDIRECT_URI}"'}
    for name, value in more.items():
        target = table if name.startswith("client__") else fields
        target[name.removeprefix("client__").replace("_", "-")] = value
    lines = [f"{name} = {value}" for name, value in fields.items()]
    if client:
        lines += ["[client]", *(f"{name} = {value}" for name, value in table.items())]
    path = directory / f"{credential.replace('/', '-')}.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@contextmanager
def serve_v1_dummy(pki: TestPki) -> Iterator[str]:
    """The public dummy server of v1; gives its base URI. Credentials are named test/<label>."""
    from aiohttp import web
    from csc_dummy.csc_dummy_server import CSCWithCertomancer

    class Architectures:
        pki_archs = pki.architectures

        def get_pki_arch(self, label: Any) -> Any:
            return pki.architectures[label]

    loop = asyncio.new_event_loop()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its application names its parts in a way aiohttp advises against
        dummy = CSCWithCertomancer(Architectures())
        dummy.register_routes()
        runner = web.AppRunner(dummy.app)
        loop.run_until_complete(runner.setup())
    loop.run_until_complete(web.TCPSite(runner, "127.0.0.1", 0).start())
    port = runner.addresses[0][1]
    thread = threading.Thread(target=loop.run_forever, name="csc-dummy", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}/csc/v1"
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
