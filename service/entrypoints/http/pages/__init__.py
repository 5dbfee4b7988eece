"""The parties' page, and /verify for everybody: HTML that works without JavaScript, in three languages.

    frame       language, session, forms, headers      texts       the words, one file a language
    login       OpenID Connect                         session     who is logged in, kept in the browser alone
    agreements  an agreement and its documents         views       what is said of it
    verify      a PDF that anybody drops               answers     a validation in plain words
    faults      every error as a page with a way out

`add_pages(app)` adds all of it.
"""

from __future__ import annotations

from functools import cache
from threading import BoundedSemaphore

from flask import Blueprint, Flask, Response, request

from service.bootstrap import open_catalogue, open_login, open_trust, session_keys
from service.entrypoints.http.pages import agreements, faults, login, verify
from service.entrypoints.http.pages.frame import (
    Pages,
    breakable,
    check_form,
    current_session,
    expired,
    harden,
    page,
    pages,
    texts_for,
)
from service.entrypoints.http.pages.session import SESSION_COOKIE, Vault, drop_cookie, set_cookie
from service.entrypoints.http.site import Site, site

__all__ = ["add_pages"]

_AT_ONCE = 2
"""Strangers' files that one process checks at a time."""
_YEAR = 365 * 86_400


def add_pages(app: Flask) -> None:
    """Raises `ConfigurationError`."""
    found = app.extensions["signert"]
    assert isinstance(found, Site)
    settings = found.settings
    app.extensions["signert.pages"] = Pages(
        login=open_login(settings),
        vault=Vault(session_keys(settings)),
        open_trust=cache(lambda: open_trust(settings)),
        templates=open_catalogue(settings),
        public_url=settings.public_url.rstrip("/") if settings.public_url else None,
        verify_bytes=settings.verify_max_mb * 1_000_000,
        checking=BoundedSemaphore(_AT_ONCE),
    )
    blueprint = Blueprint(
        "pages", __name__, template_folder="templates", static_folder="static", static_url_path="/static"
    )
    blueprint.before_request(_before)
    blueprint.after_request(_after)
    blueprint.add_url_rule("/", "front", _front)
    for part in (login, agreements, verify):
        part.add(blueprint)
    faults.add(app, blueprint)
    app.request_class = verify.UploadRequest
    app.teardown_request(verify.let_go)
    app.register_blueprint(blueprint)
    app.jinja_env.filters["breakable"] = breakable
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True


def _front() -> Response:
    t = texts_for()
    return page("front.html", title=t("front.title"))


def _before() -> Response | None:
    if request.endpoint == "pages.verify":
        # What goes with a file in a form is little; the file itself is cut off where its limit is.
        request.max_content_length = pages().verify_bytes + 64 * 1024
    if request.method != "POST" or check_form():
        return None
    if not expired():
        return faults.forbidden()
    # Nobody is logged in any more, so the form does nothing; what it was for is a login away, or has come about.
    return login.logged_out() if request.endpoint == "pages.log_out" else login.ask_to_log_in(request.path)


def _after(response: Response) -> Response:
    if request.endpoint == "pages.static":
        response.headers["Cache-Control"] = f"public, max-age={_YEAR}, immutable"
        return harden(response)
    session = current_session()
    if session is None:
        if SESSION_COOKIE in request.cookies and not _sets(response, SESSION_COOKIE):
            drop_cookie(response, SESSION_COOKIE)
    elif (renewed := session.used_at(site().clock.now())) and not _sets(response, SESSION_COOKIE):
        set_cookie(response, SESSION_COOKIE, pages().vault.seal("session", renewed.as_json()))
    return harden(response)


def _sets(response: Response, name: str) -> bool:
    return any(value.startswith(f"{name}=") for value in response.headers.getlist("Set-Cookie"))
