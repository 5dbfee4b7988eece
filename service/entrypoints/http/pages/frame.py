"""What all pages share: language, session, tokens of forms, headers, and how a template becomes an answer."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import urlencode, urlsplit

from flask import Response, current_app, g, render_template, request, url_for
from markupsafe import Markup, escape
from werkzeug.wrappers import Response as BaseResponse

from service.entrypoints.http.pages.session import FORM_COOKIE, Session, Vault, set_cookie
from service.entrypoints.http.pages.texts import LANGUAGES, Texts, texts
from service.entrypoints.http.site import site

if TYPE_CHECKING:
    from threading import BoundedSemaphore

    from service.adapters.tokens.login import LoginProvider
    from service.pipeline.services import Catalogue
    from signing import TrustStore

__all__ = [
    "Pages",
    "asset",
    "binding",
    "breakable",
    "check_form",
    "current_session",
    "expired",
    "harden",
    "page",
    "pages",
    "texts_for",
]

_Any = TypeVar("_Any", bound=BaseResponse)
LANGUAGE_COOKIE: Final = "__Host-signert-language"
LANGUAGE_QUERY: Final = "sprak"
_YEAR: Final = 365 * 86_400
_STATIC: Final = Path(__file__).parent / "static"


@dataclass(frozen=True)
class Pages:
    """What the pages of one process are given."""

    login: LoginProvider | None
    vault: Vault
    open_trust: Callable[[], TrustStore]
    templates: Catalogue
    public_url: str | None
    verify_bytes: int
    checking: BoundedSemaphore
    """Taken while a stranger's file is checked."""

    @property
    def trust(self) -> TrustStore:
        return self.open_trust()


def pages() -> Pages:
    found = current_app.extensions["signert.pages"]
    assert isinstance(found, Pages)
    return found


# --- who ---


def current_session() -> Session | None:
    """The session of this request, None when nobody is logged in."""
    if "pages_session" not in g:
        found = pages().vault.session(request)
        g.pages_expired = found is not None and found.is_over(site().clock.now())
        g.pages_session = None if g.pages_expired else found
    session: Session | None = g.pages_session
    return session


def expired() -> bool:
    """Whether the browser came with a session that is over."""
    current_session()
    return bool(g.pages_expired)


def binding() -> str:
    """What a form's token is bound to: the session, or this browser."""
    if session := current_session():
        return f"session:{session.id}"
    if "pages_form" not in g:
        g.pages_form = request.cookies.get(FORM_COOKIE) or secrets.token_urlsafe(24)
    return f"browser:{g.pages_form}"


def check_form() -> bool:
    """Whether this POST comes from a form of ours."""
    origin = request.headers.get("Origin")
    own = {request.host_url.rstrip("/"), pages().public_url}
    if origin is not None and origin not in own:
        return False
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}:
        return False
    given = request.form.get("csrf", "")
    return pages().vault.is_form_token(given, binding())


# --- how ---


def language(prefer: str | None = None) -> str:
    """The reader's choice, else `prefer` (the agreement's own), else the browser's, else bokmål."""
    for given in (request.args.get(LANGUAGE_QUERY), request.cookies.get(LANGUAGE_COOKIE), prefer):
        if given in LANGUAGES:
            return str(given)
    wanted = request.accept_languages.best_match([*LANGUAGES, "no"])
    return "nb" if wanted in {None, "no"} else str(wanted)


def texts_for(prefer: str | None = None) -> Texts:
    return texts(language(prefer))


@cache
def _version_of(name: str) -> str:
    return hashlib.sha256((_STATIC / name).read_bytes()).hexdigest()[:12]


def asset(name: str) -> str:
    """Address of a file of ours that may be kept for ever: it changes with what is in it."""
    return url_for("pages.static", filename=name, v=_version_of(name))


def breakable(text: str) -> Markup:
    """An e-mail address may go on to the next line after its @."""
    return Markup(escape(text).replace("@", Markup("@<wbr>")))  # noqa: S704 - escaped


def _languages(here: str) -> list[tuple[str, str, str]]:
    query = {k: v for k, v in request.args.items() if k != LANGUAGE_QUERY} if here == request.path else {}
    return [
        (code, texts(code)("site.language_name"), f"{here}?{urlencode({**query, LANGUAGE_QUERY: code})}")
        for code in LANGUAGES
    ]


def page(
    template: str,
    status: int = 200,
    *,
    prefer: str | None = None,
    here: str | None = None,
    scripts: bool = False,
    headers: Mapping[str, str] | None = None,
    **values: object,
) -> Response:
    """The answer. `here` is where the same page is found again by a link, where this request was no GET."""
    t = texts_for(prefer)
    body = render_template(
        template,
        t=t,
        lang=t.language,
        asset=asset,
        csrf_token=lambda: pages().vault.form_token(binding()),
        languages=_languages(here or request.path),
        is_logged_in=current_session() is not None,
        **values,
    )
    response = Response(body, status, dict(headers or {}), mimetype="text/html")
    if (chosen := request.args.get(LANGUAGE_QUERY)) in LANGUAGES and chosen is not None:
        set_cookie(response, LANGUAGE_COOKIE, chosen, seconds=_YEAR)
    if "pages_form" in g and request.cookies.get(FORM_COOKIE) != g.pages_form:
        set_cookie(response, FORM_COOKIE, g.pages_form)
    login = pages().login
    # A logout goes on to the provider, and a browser asks the policy about every step of a form's way.
    forms = f"'self' {login.origin}" if login and current_session() else "'self'"
    response.headers["Content-Security-Policy"] = (
        f"default-src 'none'; style-src 'self'; img-src 'self'; script-src {chr(39)}{'self' if scripts else 'none'}"
        f"{chr(39)}; form-action {forms}; frame-ancestors 'none'; base-uri 'none'"
    )
    return harden(response)


def harden(response: _Any) -> _Any:
    """The headers of every answer; those that are set already stay."""
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers.setdefault("Content-Security-Policy", "frame-ancestors 'none'; base-uri 'none'")
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["X-Frame-Options"] = "DENY"
    response.headers["Referrer-Policy"] = (
        "same-origin"  # `no-referrer` would make our own forms' origin `null`
    )
    response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    response.headers["Permissions-Policy"] = "camera=(), geolocation=(), microphone=(), payment=()"
    if urlsplit(pages().public_url or "").scheme == "https":
        response.headers["Strict-Transport-Security"] = "max-age=31536000"
    return response


def same(first: str, second: str) -> bool:
    return hmac.compare_digest(first.encode(), second.encode())
