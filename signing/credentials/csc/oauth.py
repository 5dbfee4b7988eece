"""Access tokens for a signing service: client credentials for the service, an approved code for a signature.

CSC API v2.0.0.2, 8.4; RFC 6749; RFC 7636 (PKCE); RFC 8414 where the service names an issuer.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote_plus, urlencode, urlsplit

from signing.credentials.csc.channel import Channel, Refused
from signing.credentials.csc.config import ClientConfig, check_url
from signing.credentials.csc.protocol import expiry, text_of
from signing.errors import AuthorizationRefused, CredentialError

__all__ = ["AuthorizationServer", "UserAuthorization"]

_TOKEN: Final = re.compile(r"[A-Za-z0-9\-._~+/]+=*")
"""RFC 6750, 2.1: nothing else may stand in the header."""
_RENEW_BEFORE: Final = timedelta(seconds=30)
_LONGEST_URL: Final = 8000


@dataclass(frozen=True)
class UserAuthorization:
    """An approval under way. The person is sent to `url`, and comes back with a code and `state`.

    Nothing of it need be kept: the same session gives the same again (see `AuthorizationServer.start`).
    """

    url: str
    state: str = field(repr=False)
    verifier: str = field(repr=False)
    """PKCE code verifier: a secret."""
    hashes: tuple[bytes, ...]


class AuthorizationServer:
    """Gives tokens. `info` asks the service where the server is, when the configuration does not say."""

    def __init__(
        self,
        client: ClientConfig,
        channel: Channel,
        info: Callable[[], Mapping[str, Any]],
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._client = client
        self._channel = channel
        self._info = info
        self._clock = clock
        self._lock = threading.Lock()
        self._token = ""
        self._renew_at: datetime | None = None
        self._metadata: Mapping[str, str] | None = None

    def service_token(self, stale: str | None = None) -> str | None:
        """An access token for the service; never `stale` again. None for a client without a secret."""
        if self._client.secret is None:
            return None
        with self._lock:
            if self._renew_at is None or self._token == stale or self._clock() >= self._renew_at:
                self._renew_at = None
                asked = self._clock()
                fields = {"grant_type": "client_credentials"}
                if self._client.scope:
                    fields["scope"] = self._client.scope
                answer = self._ask(fields, repeatable=True)
                self._token = _token(answer, ("bearer",))
                ends = expiry(asked, answer.get("expires_in"))
                self._renew_at = ends - min(_RENEW_BEFORE, (ends - asked) / 10)
            return self._token

    def start(
        self, parameters: Mapping[str, str], hashes: tuple[bytes, ...], session: str
    ) -> UserAuthorization:
        """The address where a person approves.

        State and code verifier are derived: HMAC-SHA256 under the client's secret of `session`, which names this one
        authorisation. Days and another process may lie between going and coming back, and a verifier that was kept
        would be a secret beside the code that it protects, in a store which many may read. Derived, whoever has all
        of the store still cannot redeem a code. It asks for a client secret that cannot be guessed (RFC 6749, 10.10);
        a client without one is refused. A secret that is changed in between costs the person another approval.
        """
        verifier, state = self._derived("verifier", session), self._derived("state", session)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=")
        query = {
            "response_type": "code",
            "client_id": self._client.id,
            "redirect_uri": self._redirect_uri,
            "scope": "credential",
            "state": state,
            "code_challenge": challenge.decode(),
            "code_challenge_method": "S256",
            **parameters,
        }
        url = f"{self._endpoint('authorization')}?{urlencode(query)}"
        if len(url) > _LONGEST_URL:
            raise CredentialError("too many documents to approve at once", remedy="ask for fewer at a time")
        return UserAuthorization(url, state, verifier, hashes)

    def finish(self, code: str, verifier: str, credential: str) -> tuple[str, datetime]:
        """The token that the code stands for, and when it ends. A code is good once, so it is sent once.

        Raises `AuthorizationRefused` for a code that is not accepted.
        """
        asked = self._clock()
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "code_verifier": verifier,
        }
        try:
            answer = self._ask(fields, repeatable=False)
        except Refused as error:
            if error.reason != "invalid_grant":
                raise
            raise AuthorizationRefused(
                f"the approval is not accepted: {error.message}",
                remedy="the code is wrong, was used, or has expired: ask for approval again",
            ) from None
        if answer.get("credentialID", credential) != credential:
            raise AuthorizationRefused("the approval was given for another credential")
        return _token(answer, ("sad", "bearer")), expiry(asked, answer.get("expires_in"))

    def _derived(self, purpose: str, session: str) -> str:
        """43 characters of base64url: as many as a code verifier needs (RFC 7636, 4.1)."""
        if self._client.secret is None:
            raise CredentialError(
                "a person cannot be asked to approve by a client without a secret",
                remedy="set client.secret-file",
            )
        named = f"signert csc {purpose}\0{session}".encode()
        found = hmac.digest(self._client.secret.read().encode(), named, "sha256")
        return base64.urlsafe_b64encode(found).rstrip(b"=").decode()

    @property
    def _redirect_uri(self) -> str:
        if self._client.redirect_uri is None:
            raise CredentialError("a person cannot be asked to approve", remedy="set client.redirect-uri")
        return self._client.redirect_uri

    def _ask(self, fields: Mapping[str, str], *, repeatable: bool) -> dict[str, Any]:
        client, headers = self._client, {}
        fields = dict(fields)
        secret = client.secret.read() if client.secret else None
        if secret is not None and client.authentication == "basic":
            # Each part is form-encoded first (RFC 6749, 2.3.1).
            pair = f"{quote_plus(client.id)}:{quote_plus(secret)}".encode()
            headers["Authorization"] = "Basic " + base64.b64encode(pair).decode()
        else:
            fields["client_id"] = client.id
            if secret is not None:
                fields["client_secret"] = secret
        return self._channel.form(
            self._endpoint("token"), fields=fields, headers=headers, repeatable=repeatable
        )

    def _endpoint(self, kind: str) -> str:
        """Address of the `token` or `authorization` endpoint."""
        configured = {
            "token": self._client.token_endpoint,
            "authorization": self._client.authorization_endpoint,
        }[kind]
        if configured:
            return configured
        if self._metadata is None:
            self._metadata = self._discover()
        url = self._metadata[kind]
        # The client's secret is sent there: it must be as well protected as the service itself.
        return check_url(url, f"the service's {kind} endpoint")

    def _discover(self) -> Mapping[str, str]:
        info = self._info()
        if "oauth2" in info:
            base = text_of(info, "oauth2").rstrip("/").removesuffix("/oauth2")
            return {"token": f"{base}/oauth2/token", "authorization": f"{base}/oauth2/authorize"}
        if "oauth2Issuer" not in info:
            raise CredentialError(
                "the signing service does not say where its authorization server is",
                remedy="set client.token-endpoint and client.authorization-endpoint",
            )
        issuer = text_of(info, "oauth2Issuer")
        parts = urlsplit(check_url(issuer, "the service's oauth2Issuer"))
        path = parts.path.rstrip("/")
        origin = f"{parts.scheme}://{parts.netloc}"
        try:
            metadata = self._channel.get(f"{origin}/.well-known/oauth-authorization-server{path}")
        except Refused:
            metadata = self._channel.get(f"{origin}{path}/.well-known/openid-configuration")
        if metadata.get("issuer") != issuer:
            raise CredentialError("the authorization server names another issuer than the signing service")
        return {kind: text_of(metadata, f"{kind}_endpoint") for kind in ("token", "authorization")}


def _token(answer: Mapping[str, Any], kinds: tuple[str, ...]) -> str:
    value = text_of(answer, "access_token")
    if text_of(answer, "token_type").lower() not in kinds or not _TOKEN.fullmatch(value):
        raise CredentialError("the authorization server gave a token of a kind that is not used here")
    return value
