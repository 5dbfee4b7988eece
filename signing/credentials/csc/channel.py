"""JSON over HTTPS to the signing service and its authorization server, with limits on time and size.

Redirects are not followed. What comes back is never part of an error's text, save for the `error` code
(CSC v2, 10.1; RFC 6749, 5.2): the description may hold personal data.
"""

from __future__ import annotations

import json
import re
import ssl
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import requests
import urllib3

from signing.errors import CredentialError, CredentialUnavailable

__all__ = ["ANSWER_LIMIT", "AnswerLost", "Channel", "Refused", "Unauthorized"]

ANSWER_LIMIT: Final = 1_048_576
"""Bytes; a longer answer is refused."""

_CODE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_MEDIA_TYPE: Final = re.compile(r"[a-z0-9.+-]{1,40}/[a-z0-9.+-]{1,60}")
_PASSING: Final = {"server_error", "temporarily_unavailable"}


class AnswerLost(CredentialUnavailable):
    """The request may or may not have been carried out: no whole answer came."""


class Refused(CredentialError):
    """The service answered that it will not. `reason` is its `error` code, empty when it gave none."""

    def __init__(self, message: str, *, remedy: str = "", reason: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.reason = reason


class Unauthorized(Refused):
    """The access token is not accepted; nothing was carried out."""


class Channel:
    """A session with the service. Keeps its connections."""

    def __init__(
        self, *, connect_timeout: float = 5.0, read_timeout: float = 30.0, ca_file: Path | None = None
    ) -> None:
        self._timeout = (connect_timeout, read_timeout)
        # For each request: an environment's bundle would win over the session's.
        self._verify: bool | str = str(ca_file) if ca_file else True
        self._session = requests.Session()
        # Without this, requests would put a name from a .netrc file in place of the access token.
        self._session.auth = lambda request: request

    def close(self) -> None:
        self._session.close()

    def get(self, url: str) -> dict[str, Any]:
        return self._retry("GET", url)

    def read(
        self, url: str, *, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """POST what changes nothing at the service: once more when the answer is lost."""
        return self._retry("POST", url, json=body, headers=headers)

    def post(
        self, url: str, *, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """POST once. Raises `AnswerLost` when it is not known whether it was carried out."""
        return self._ask("POST", url, json=body, headers=headers)

    def form(
        self,
        url: str,
        *,
        fields: Mapping[str, str],
        headers: Mapping[str, str] | None = None,
        repeatable: bool,
    ) -> dict[str, Any]:
        ask = self._retry if repeatable else self._ask
        return ask("POST", url, data=fields, headers=headers)

    def _retry(self, method: str, url: str, **content: Any) -> dict[str, Any]:
        try:
            return self._ask(method, url, **content)
        except AnswerLost:
            pass
        try:
            return self._ask(method, url, **content)
        except AnswerLost as error:
            raise CredentialUnavailable(error.message, remedy=error.remedy) from None

    def _ask(self, method: str, url: str, **content: Any) -> dict[str, Any]:
        host = urlsplit(url).hostname
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        headers.update(content.pop("headers", None) or {})
        try:
            with self._session.request(
                method,
                url,
                headers=headers,
                timeout=self._timeout,
                verify=self._verify,
                allow_redirects=False,
                stream=True,
                **content,
            ) as response:
                status = response.status_code
                kind = response.headers.get("Content-Type", "").split(";")[0].strip().lower()
                received = self._receive(response, host)
        except requests.exceptions.SSLError as error:
            if _untrusted(error):
                raise CredentialError(
                    f"the TLS certificate of {host} does not verify",
                    remedy="check the address; name the issuer's certificate as ca-file if it is a private one",
                ) from None
            raise _lost(host, error) from None
        except (OSError, urllib3.exceptions.HTTPError) as error:
            if isinstance(error, ValueError):  # so are the errors about the address itself
                raise CredentialError(f"{host} cannot be asked ({type(error).__name__})") from None
            raise _lost(host, error) from None
        return _answer(status, kind, received, host)

    def _receive(self, response: requests.Response, host: str | None) -> bytes:
        # A server that sends a byte now and then passes every read limit: the whole has one too.
        deadline = time.monotonic() + self._timeout[1]
        received = b""
        while chunk := response.raw.read1(65_536, decode_content=False):
            received += chunk
            if len(received) > ANSWER_LIMIT:
                raise CredentialError(f"{host} answered with more than {ANSWER_LIMIT} bytes")
            if time.monotonic() > deadline:
                raise _lost(host, TimeoutError())
        return received


def _answer(status: int, kind: str, received: bytes, host: str | None) -> dict[str, Any]:
    content = None
    if kind == "application/json" or kind.endswith("+json"):
        try:
            content = json.loads(received)
        except (ValueError, RecursionError):
            content = None
    code = ""
    if isinstance(content, dict):
        for name in ("error", "errorCode"):
            value = content.get(name)
            if isinstance(value, str) and _CODE.fullmatch(value):
                code = value
                break
    said = f"{host} answered with HTTP status {status}" + (f", {code}" if code else "")
    if status >= 500 or status in (408, 429) or (status >= 400 and code in _PASSING):
        raise CredentialUnavailable(said, remedy="try again later")
    if 300 <= status < 400:
        raise Refused(f"{said}: redirects are not followed", remedy="write the final address")
    if status == 401 or (status >= 400 and code == "invalid_token"):
        raise Unauthorized(said, remedy="check the client's id, secret and scope")
    if status >= 400:
        raise Refused(said, remedy="see what the service's documentation says of this code", reason=code)
    if not isinstance(content, dict):
        shown = kind if _MEDIA_TYPE.fullmatch(kind) else "no content type"
        raise Refused(
            f"{said} and something that is not a JSON object ({shown})",
            remedy="check the service's address",
        )
    return content


def _lost(host: str | None, error: Exception) -> AnswerLost:
    return AnswerLost(f"no answer from {host} ({type(error).__name__})", remedy="try again later")


def _untrusted(error: requests.exceptions.SSLError) -> bool:
    inner: object = error.args[0] if error.args else None
    inner = getattr(inner, "reason", inner)
    arguments = getattr(inner, "args", ())
    return any(isinstance(item, ssl.SSLCertVerificationError) for item in (inner, *arguments))
