"""Who makes a request: a bearer token in `Authorization` (RFC 6750 2.1), and nothing else, is taken."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from flask import request

from service.domain.access import Reader
from service.domain.ports import Clock
from service.entrypoints.http.errors import HttpProblem
from service.entrypoints.http.site import set_reader
from service.errors import ProviderUnavailable, RoleMissing, TokenRefused

__all__ = ["authentication"]

_BEARER: Final = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +(?P<token>[A-Za-z0-9._~+/-]+=*) *")
_REALM: Final = 'Bearer realm="signert"'


def authentication(tokens_reader: Callable[..., Reader], clock: Clock) -> Callable[[], None]:
    """A function to be called before each request that needs a reader. It raises `HttpProblem`."""

    def authenticate() -> None:
        given = request.headers.get("Authorization")
        if given is None:
            raise HttpProblem(
                401,
                "token_missing",
                "this needs a bearer token",
                remedy="Sign in with your provider, and send the token it gives in the header Authorization.",
                headers={"WWW-Authenticate": _REALM},
            )
        match = _BEARER.fullmatch(given)
        if match is None:
            raise _unauthorized(
                "token_malformed", "the header Authorization has no bearer token", "Send: Bearer TOKEN"
            )
        try:
            set_reader(tokens_reader(match["token"], now=clock.now()))
        except TokenRefused as exc:
            raise _unauthorized(exc.code, exc.message, exc.remedy) from None
        except RoleMissing as exc:
            raise HttpProblem(
                403,
                exc.code,
                exc.message,
                remedy=exc.remedy,
                headers={"WWW-Authenticate": f'{_REALM}, error="insufficient_scope"'},
            ) from None
        except ProviderUnavailable as exc:
            raise HttpProblem(
                503,
                exc.code,
                "tokens cannot be checked just now",
                remedy=exc.remedy,
                headers={"WWW-Authenticate": _REALM, "Retry-After": "10"},
            ) from None

    return authenticate


def _unauthorized(code: str, message: str, remedy: str) -> HttpProblem:
    told = f'{_REALM}, error="invalid_token", error_description="{message}"'
    return HttpProblem(401, code, message, remedy=remedy, headers={"WWW-Authenticate": told})
