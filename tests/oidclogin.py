"""Login at the provider of `tests/oidcprovider.py`, as ID-porten has it: code, PKCE, client authentication, logout.

login = add_login(provider, client_id="signert-page", redirect_uri="https://…/logg-inn/svar", secret="…")
login.people["Anna"] = {"pid": "17849431021"}
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlencode

import jwt

from tests.oidcprovider import Answer, Provider, Request

__all__ = ["Login", "add_login"]

_JSON = {"Content-Type": "application/json", "Cache-Control": "no-store"}


@dataclass
class Login:
    """One client's logins. `alter` changes what ID tokens say; `told` are the authorization requests that came."""

    provider: Provider
    client_id: str
    redirect_uri: str
    secret: str | None = None
    key: Any = None
    """The client's public key, where it authenticates by `private_key_jwt`."""
    people: dict[str, dict[str, Any]] = field(default_factory=dict)
    alter: dict[str, Any] = field(default_factory=dict)
    told: list[dict[str, str]] = field(default_factory=list)
    ended: list[dict[str, str]] = field(default_factory=list)
    codes: dict[str, tuple[dict[str, str], str]] = field(default_factory=dict)

    def authorize(self, request: Request) -> Answer:
        asked = dict(request.query)
        assert asked["client_id"] == self.client_id
        assert asked["response_type"] == "code"
        assert asked["redirect_uri"] == self.redirect_uri
        assert asked["code_challenge_method"] == "S256"
        self.told.append(asked)
        number = len(self.told) - 1
        links = [
            f'<p><a href="/choose?{urlencode({"request": number, "person": name})}">{html.escape(name)}</a></p>'
            for name in self.people
        ]
        away = f'<p><a href="/choose?request={number}">Avbryt</a></p>'
        body = f"<!doctype html><html lang=nb><title>Velg</title><h1>Hvem er du?</h1>{''.join(links)}{away}"
        return 200, {"Content-Type": "text/html; charset=utf-8"}, body.encode()

    def choose(self, request: Request) -> Answer:
        asked = self.told[int(request.query["request"])]
        told = {"state": asked["state"], "iss": self.provider.issuer}
        if person := request.query.get("person"):
            code = secrets.token_urlsafe(24)
            self.codes[code] = (asked, person)
            told["code"] = code
        else:
            told["error"] = "access_denied"
        return 302, {"Location": f"{asked['redirect_uri']}?{urlencode(told)}"}, b""

    def token(self, request: Request) -> Answer:
        form = request.form
        if not self._is_client(request):
            return 401, _JSON, b'{"error": "invalid_client"}'
        asked, person = self.codes.pop(form.get("code", ""), ({}, ""))  # a code is good once
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if not asked or challenge != asked["code_challenge"] or form["redirect_uri"] != asked["redirect_uri"]:
            return 400, _JSON, b'{"error": "invalid_grant"}'
        claims = {
            "aud": self.client_id,
            "sub": hashlib.sha256(person.encode()).hexdigest()[:16],
            "nonce": asked["nonce"],
            "acr": "idporten-loa-substantial",
            "amr": ["BankID"],
            **self.people[person],
            **self.alter,
        }
        id_token = self.provider.token(headers={"typ": "JWT"}, **claims)
        body = {"access_token": secrets.token_urlsafe(24), "token_type": "Bearer", "expires_in": 120}
        return 200, _JSON, json.dumps({**body, "id_token": id_token}).encode()

    def logout(self, request: Request) -> Answer:
        self.ended.append(dict(request.query))
        return 302, {"Location": request.query["post_logout_redirect_uri"]}, b""

    def _is_client(self, request: Request) -> bool:
        if self.key is not None:
            claims = jwt.decode(
                request.form["client_assertion"],
                self.key,
                algorithms=["RS256"],
                audience=self.provider.issuer,
            )
            return bool(claims["iss"] == claims["sub"] == self.client_id)
        given = request.headers.get("Authorization", "").removeprefix("Basic ")
        name, _, secret = base64.b64decode(given).decode().partition(":")
        return (unquote(name), unquote(secret)) == (self.client_id, self.secret)


def add_login(
    provider: Provider, *, client_id: str, redirect_uri: str, secret: str | None = None, key: Any = None
) -> Login:
    login = Login(provider, client_id, redirect_uri, secret, key)
    for name in ("authorize", "choose", "token", "logout"):
        provider.routes[f"/{name}"] = getattr(login, name)
    return login
