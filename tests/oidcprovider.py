"""An OpenID provider on this machine: discovery, keys, and tokens that it signs with keys of its own.

    with serve_provider() as provider:
        token = provider.token(sub="anna", aud="signert", groups=["archive"])

Tests turn its keys (`rotate`), make it ill (`down`, `answers`), and count what is asked of it (`asked`). `routes` takes
other paths, by function: what a login needs.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

__all__ = ["Key", "Provider", "Request", "serve_provider"]


@dataclass(frozen=True)
class Request:
    """What came in on one of the provider's `routes`."""

    method: str
    path: str
    query: Mapping[str, str]
    form: Mapping[str, str]
    headers: Mapping[str, str]


Answer = tuple[int, Mapping[str, str], bytes]
"""Status, headers, body."""


@dataclass(frozen=True)
class Key:
    """A signing key; `private` is of cryptography."""

    kid: str
    algorithm: str
    private: Any

    @classmethod
    def make(cls, kid: str, algorithm: str = "ES256") -> Key:
        private: Any
        match algorithm:
            case "ES256":
                private = ec.generate_private_key(ec.SECP256R1())
            case "ES384":
                private = ec.generate_private_key(ec.SECP384R1())
            case "EdDSA":
                private = ed25519.Ed25519PrivateKey.generate()
            case _:
                private = rsa.generate_private_key(65537, 2048)
        return cls(kid, algorithm, private)

    def jwk(self, *, with_alg: bool = True) -> dict[str, Any]:
        maker: Any = jwt.get_algorithm_by_name(self.algorithm)
        made = maker.to_jwk(self.private.public_key(), as_dict=True)
        found = {k: v for k, v in made.items() if k != "key_ops"}
        return {**found, "kid": self.kid, "use": "sig"} | ({"alg": self.algorithm} if with_alg else {})


@dataclass
class Provider:
    """One issuer. Its address, without a slash at the end, is its `iss`."""

    issuer: str
    keys: list[Key] = field(default_factory=lambda: [Key.make("first")])
    down: bool = False
    answers: dict[str, bytes] = field(default_factory=dict)
    """Bodies in the place of the right ones, by path."""
    routes: dict[str, Callable[[Request], Answer]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    @property
    def discovery(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "jwks_uri": f"{self.issuer}/jwks",
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "end_session_endpoint": f"{self.issuer}/logout",
            "response_types_supported": ["code"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": sorted({key.algorithm for key in self.keys}),
            "code_challenge_methods_supported": ["S256"],
        }

    @property
    def jwks(self) -> dict[str, Any]:
        return {"keys": [key.jwk() for key in self.keys]}

    def token(
        self,
        *,
        key: Key | None = None,
        headers: Mapping[str, Any] | None = None,
        now: float | None = None,
        lifetime: float = 300,
        **claims: Any,
    ) -> str:
        """A signed token; a claim that is given as None is left out."""
        key = key or self.keys[-1]
        issued = time.time() if now is None else now
        usual = {"iss": self.issuer, "sub": "somebody", "aud": "signert", "iat": int(issued)}
        body = {k: v for k, v in (usual | {"exp": int(issued + lifetime)} | claims).items() if v is not None}
        head = {"kid": key.kid, "typ": "at+jwt", **(headers or {})}
        return jwt.encode(body, key.private, key.algorithm, {k: v for k, v in head.items() if v is not None})

    def rotate(self, algorithm: str = "ES256") -> Key:
        """A new key in the place of all old ones."""
        self.keys = [Key.make(f"key-{time.monotonic_ns()}", algorithm)]
        return self.keys[0]

    def answer(self, request: Request) -> Answer:
        self.asked.append(request.path)
        if self.down:
            return 503, {}, b""
        if request.path in self.answers:
            return 200, {"Content-Type": "application/json"}, self.answers[request.path]
        if request.path in self.routes:
            return self.routes[request.path](request)
        documents = {"/.well-known/openid-configuration": self.discovery, "/jwks": self.jwks}
        if request.path not in documents:
            return 404, {}, b""
        return 200, {"Content-Type": "application/json"}, json.dumps(documents[request.path]).encode()


@contextlib.contextmanager
def serve_provider(*keys: Key) -> Iterator[Provider]:
    """A provider on a free port, for as long as this context."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer("")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())

        def _answer(self, form: str) -> None:
            parts = urlsplit(self.path)
            query, fields = dict(parse_qsl(parts.query)), dict(parse_qsl(form))
            asked = Request(str(self.command), parts.path, query, fields, dict(self.headers.items()))
            status, headers, body = provider.answer(asked)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        provider = Provider(f"http://127.0.0.1:{server.server_address[1]}")
        if keys:
            provider.keys = list(keys)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield provider
        finally:
            server.shutdown()
            thread.join()
