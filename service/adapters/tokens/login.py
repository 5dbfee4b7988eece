"""Login of people by OpenID Connect: authorization code with PKCE (RFC 7636), state and nonce, as ID-porten has it.

    login = load_login(path, production=True)
    started = login.start(redirect_uri, language="nb")      # send the person to started.address, keep the rest
    who = login.finish(code, redirect_uri, nonce=started.nonce, verifier=started.verifier, now=clock.now())

The file `SIGNERT_LOGIN` is TOML; docs/pages.md has every field. Errors name what is wrong, never who somebody is.
"""

from __future__ import annotations

import hmac
import json
import secrets
import threading
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT

from service.adapters.tokens.checking import Tokens
from service.adapters.tokens.issuers import ALGORITHMS, Issuer, reader_of
from service.adapters.tokens.keys import get_json
from service.domain.access import Reader, ReaderRole
from service.errors import ConfigurationError, LoginFailed, ProviderUnavailable, RoleMissing, TokenRefused

__all__ = ["LoggedIn", "LoginProvider", "Started", "load_login"]

_TIMEOUT: Final = 10.0
_FRESH: Final = 3600.0
_FIELDS: Final = {
    "name", "issuer", "client_id", "client_secret_file", "client_key_file", "client_key_id", "acr", "scope",
    "national_id", "ident", "organisations", "authorization_details",
}  # fmt: skip
_LANGUAGES: Final = {"nb": "nb nn en", "nn": "nn nb en", "en": "en nb nn"}


@dataclass(frozen=True)
class Started:
    """A login that has begun. All but `address` stays here, with the browser's next request to prove that it is it."""

    address: str
    state: str
    nonce: str
    verifier: str


@dataclass(frozen=True)
class LoggedIn:
    reader: Reader
    id_token: str
    """For the provider's logout."""


@dataclass(frozen=True)
class _Client:
    id: str
    secret: str | None
    key: str | None
    key_id: str | None


class LoginProvider:
    """One provider, of which this service is a client. Safe in threads."""

    def __init__(
        self,
        name: str,
        issuer: Issuer,
        client: _Client,
        *,
        acr: tuple[str, ...],
        scope: str,
        authorization_details: str | None,
    ) -> None:
        self.name = name
        self._issuer, self._client = issuer, client
        self._acr, self._scope, self._details = acr, scope, authorization_details
        self._tokens = Tokens([issuer])
        self._lock = threading.Lock()
        self._document: Mapping[str, Any] = {}
        self._fetched: float | None = None

    @property
    def origin(self) -> str:
        """Where people are sent to log out: scheme, host and port."""
        parts = urlsplit(self._issuer.issuer)
        return f"{parts.scheme}://{parts.netloc}"

    def start(self, redirect_uri: str, *, language: str) -> Started:
        """Raises `ProviderUnavailable`."""
        state, nonce, verifier = (secrets.token_urlsafe(48) for _ in range(3))
        more = {"nonce": nonce, "ui_locales": _LANGUAGES.get(language, "nb"), "code_verifier": verifier}
        if self._acr:
            more["acr_values"] = " ".join(self._acr)
        if self._details:
            more["authorization_details"] = self._details
        with self._session(redirect_uri) as session:
            address, _ = session.create_authorization_url(
                self._endpoint("authorization_endpoint"), state=state, **more
            )
        return Started(address, state, nonce, verifier)

    def finish(self, code: str, redirect_uri: str, *, nonce: str, verifier: str, now: datetime) -> LoggedIn:
        """Who has logged in; `state` has been compared already. Raises `LoginFailed`, `ProviderUnavailable`."""
        endpoint = self._endpoint("token_endpoint")
        try:
            with self._session(redirect_uri) as session:
                told = session.fetch_token(
                    endpoint, code=code, code_verifier=verifier, timeout=_TIMEOUT, allow_redirects=False
                )
        except OAuthError as exc:
            raise _failed(f"the provider gave no token ({_known(exc.error)})") from None
        except (requests.RequestException, ValueError) as exc:
            raise self._unavailable(exc) from None
        id_token = told.get("id_token")
        if not isinstance(id_token, str):
            raise _failed("the provider gave no ID token")
        try:
            claims = self._tokens.claims(id_token, now=now)
            if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
                raise _failed("the ID token is for another login (nonce)")
            if claims.get("azp", self._client.id) != self._client.id:
                raise _failed("the ID token is for another client (azp)")
            return LoggedIn(reader_of(self._issuer, claims), id_token)
        except (TokenRefused, RoleMissing) as exc:
            raise _failed(f"the ID token does not do: {exc.message}", code=exc.code) from None

    def logout_address(self, id_token: str | None, return_to: str) -> str | None:
        """Where the person is logged out at the provider (OpenID Connect RP-Initiated Logout); None for nowhere."""
        try:
            endpoint = self._discovered().get("end_session_endpoint")
        except ProviderUnavailable:
            return None
        if not isinstance(endpoint, str):
            return None
        asked = {"client_id": self._client.id, "post_logout_redirect_uri": return_to}
        if id_token:
            asked["id_token_hint"] = id_token
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}"

    def _session(self, redirect_uri: str) -> OAuth2Session:
        method: object = "client_secret_basic"
        secret = self._client.secret
        if self._client.key is not None:
            # The audience of the assertion is the issuer (RFC 7523 as updated; ID-porten asks for it).
            headers = {"kid": self._client.key_id} if self._client.key_id else None
            method = PrivateKeyJWT(self._issuer.issuer, headers=headers, alg="RS256")
            secret = self._client.key
        return OAuth2Session(
            self._client.id,
            secret,
            token_endpoint_auth_method=method,
            scope=self._scope,
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
        )

    def _endpoint(self, name: str) -> str:
        address = self._discovered().get(name)
        if not isinstance(address, str):
            raise ProviderUnavailable(
                f"the provider's discovery document has no {name}", remedy="Ask the provider."
            )
        return address

    def _discovered(self) -> Mapping[str, Any]:
        with self._lock:
            now = time.monotonic()
            if self._fetched is None or now - self._fetched > _FRESH:
                try:
                    found = get_json(f"{self._issuer.issuer.rstrip('/')}/.well-known/openid-configuration")
                    if not isinstance(found, dict) or found.get("issuer") != self._issuer.issuer:
                        raise ValueError("the discovery document is another issuer's")
                    if self._issuer.issuer.startswith("https://") and any(
                        str(v).startswith("http://") for k, v in found.items() if k.endswith("_endpoint")
                    ):
                        raise ValueError("an endpoint is without TLS")
                except (requests.RequestException, ValueError, RecursionError) as exc:
                    if self._fetched is None:
                        raise self._unavailable(exc) from None
                else:
                    self._document, self._fetched = found, now
            return self._document

    def _unavailable(self, exc: Exception) -> ProviderUnavailable:
        return ProviderUnavailable(
            f"the login provider cannot be reached ({type(exc).__name__})", remedy="Try again in a while."
        )


def _failed(message: str, *, code: str = "login_failed") -> LoginFailed:
    return LoginFailed(message, code=code, remedy="Begin the login again.")


def _known(error: str | None) -> str:
    """A provider's error code, when it is one of RFC 6749 5.2: other texts may hold anything."""
    codes = {"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "invalid_scope"}
    return error if error in codes else "unknown error"


def load_login(path: Path, *, production: bool) -> LoginProvider:
    """The provider in the file. Raises `ConfigurationError` that names the field at fault."""
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise _unusable(f"cannot be read ({type(exc).__name__})") from None
    if unknown := given.keys() - _FIELDS:
        raise _unusable(f"must not have {', '.join(sorted(unknown))}")
    texts = {name: _text(given, name) for name in ("name", "issuer", "client_id")}
    parts = urlsplit(texts["issuer"])
    local = parts.scheme == "http" and parts.hostname in {"127.0.0.1", "localhost"} and not production
    if not (parts.scheme == "https" or local) or not parts.hostname or "@" in parts.netloc:
        raise _unusable("issuer: must be https://…")
    if ("client_secret_file" in given) == ("client_key_file" in given):
        raise _unusable("needs one of client_secret_file and client_key_file")
    acr = given.get("acr", [])
    if not isinstance(acr, list) or not all(isinstance(each, str) for each in acr):
        raise _unusable("acr: must be a list of texts, the levels that will do")
    claims = {
        name: _text(given, name) if name in given else None
        for name in ("national_id", "ident", "organisations")
    }
    if not any(claims.values()):
        raise _unusable("a party is known by national_id, ident or organisations: name the claim of one")
    details = given.get("authorization_details")
    issuer = Issuer(
        name="login",
        issuer=texts["issuer"],
        audience=frozenset({texts["client_id"]}),
        jwks=None,
        algorithms=frozenset(ALGORITHMS),
        leeway=30,
        role=ReaderRole.PARTY,
        role_claim=None,
        require={"acr": frozenset(acr)} if acr else {},
        national_id=claims["national_id"],
        ident=claims["ident"],
        organisations=claims["organisations"],
    )
    client = _Client(
        texts["client_id"],
        _file(path, given, "client_secret_file"),
        _file(path, given, "client_key_file"),
        given.get("client_key_id"),
    )
    return LoginProvider(
        texts["name"],
        issuer,
        client,
        acr=tuple(acr),
        scope=given.get("scope", "openid"),
        authorization_details=json.dumps(details) if details else None,
    )


def _text(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name)
    if not isinstance(value, str) or not value:
        raise _unusable(f"{name}: must be a text")
    return value


def _file(path: Path, given: Mapping[str, Any], name: str) -> str | None:
    if name not in given:
        return None
    try:
        return (path.parent / _text(given, name)).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise _unusable(f"{name}: the file cannot be read") from None


def _unusable(what: str) -> ConfigurationError:
    return ConfigurationError(f"SIGNERT_LOGIN: {what}", remedy="The shape of the file is in docs/pages.md.")
