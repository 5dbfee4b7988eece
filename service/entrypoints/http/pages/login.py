"""Login and logout by OpenID Connect. What must be remembered on the way is in the browser, encrypted."""

from __future__ import annotations

import logging
import re
from datetime import timedelta
from typing import Final
from urllib.parse import urlencode

from flask import Blueprint, Response, redirect, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Response as BaseResponse

from service.entrypoints.http.pages import faults
from service.entrypoints.http.pages.frame import expired, harden, language, page, pages, same, texts_for
from service.entrypoints.http.pages.session import SESSION_COOKIE, Session, drop_cookie, set_cookie
from service.entrypoints.http.site import site
from service.errors import LoginFailed, ProviderUnavailable

__all__ = ["add", "ask_to_log_in", "logged_out", "safe_target"]

log = logging.getLogger(__name__)

LOGIN_COOKIE: Final = "__Host-signert-login"
HINT_COOKIE: Final = "__Host-signert-hint"
_MINUTES: Final = timedelta(minutes=10)
_MAX_COOKIE: Final = 3800
"""Browsers keep cookies of 4096 bytes with name and attributes."""
_TARGET: Final = re.compile(r"/(mine|avtale/[0-9A-Za-z-]{1,64}(/[0-9a-z-]{1,20}){0,4}(\.pdf|\.json)?)?")


def add(blueprint: Blueprint) -> None:
    blueprint.add_url_rule("/logg-inn", "log_in", _log_in)
    blueprint.add_url_rule("/logg-inn/svar", "log_in_answer", _answer)
    blueprint.add_url_rule("/logg-ut", "log_out", _log_out, methods=["POST"])
    blueprint.add_url_rule("/logget-ut", "logged_out", logged_out)


def safe_target(given: str | None) -> str:
    """A page of ours to go on to; anything else is the list of the reader's agreements."""
    return given if given and _TARGET.fullmatch(given) else "/mine"


def ask_to_log_in(target: str, *, about_agreement: bool = True) -> Response:
    """The page before login: the same whatever is behind it."""
    login, t = pages().login, texts_for()
    return page(
        "login.html",
        title=t("login.title" if about_agreement else "login.mine_title"),
        provider=login.name if login else None,
        href=url_for("pages.log_in", til=safe_target(target)),
        notice=t("logged_out.expired") if expired() else None,
    )


def _redirect_uri() -> str:
    return f"{pages().public_url}{url_for('pages.log_in_answer')}"


def _log_in() -> ResponseReturnValue:
    login = pages().login
    target = safe_target(request.args.get("til"))
    if login is None:
        return ask_to_log_in(target)
    try:
        started = login.start(_redirect_uri(), language=language())
    except ProviderUnavailable:
        return faults.provider_away(login.name, url_for("pages.log_in", til=target))
    response = redirect(started.address, 303)
    kept = {
        "state": started.state,
        "nonce": started.nonce,
        "verifier": started.verifier,
        "target": target,
        "at": site().clock.now().timestamp(),
    }
    set_cookie(
        response, LOGIN_COOKIE, pages().vault.seal("login", kept), seconds=int(_MINUTES.total_seconds())
    )
    return harden(response)


def _answer() -> ResponseReturnValue:
    """The provider has sent the person back. The login in hand is used up by this, whatever comes of it."""
    login = pages().login
    kept = pages().vault.open("login", request.cookies.get(LOGIN_COOKIE))
    if login is None or kept is None:
        return _over(faults.login_failed("/mine"))
    target, now = safe_target(kept["target"]), site().clock.now()
    again = url_for("pages.log_in", til=target)
    if now.timestamp() - kept["at"] > _MINUTES.total_seconds() or not same(
        request.args.get("state", ""), kept["state"]
    ):
        return _over(faults.login_failed(target))
    if "error" in request.args:
        # Whatever the provider says is for its log; the person has cancelled, or is told that it did not work.
        if request.args["error"] == "access_denied":
            return _over(faults.login_cancelled(again))
        return _over(faults.login_failed(target))
    try:
        who = login.finish(
            request.args.get("code", ""),
            _redirect_uri(),
            nonce=kept["nonce"],
            verifier=kept["verifier"],
            now=now,
        )
    except ProviderUnavailable:
        return _over(faults.provider_away(login.name, again))
    except LoginFailed as exc:
        log.warning("a login failed: code=%s %s", exc.code, exc.message)
        return _over(faults.login_failed(target))
    response = _over(redirect(target, 303))
    vault = pages().vault
    set_cookie(response, SESSION_COOKIE, vault.seal("session", Session.begin(who.reader, now).as_json()))
    hint = vault.seal("hint", {"id_token": who.id_token})
    if len(hint) <= _MAX_COOKIE:
        set_cookie(response, HINT_COOKIE, hint)
    return harden(response)


def _over(response: BaseResponse) -> BaseResponse:
    drop_cookie(response, LOGIN_COOKIE)
    return response


def _log_out() -> ResponseReturnValue:
    login, vault = pages().login, pages().vault
    hint = (vault.open("hint", request.cookies.get(HINT_COOKIE)) or {}).get("id_token")
    after = f"{pages().public_url or ''}{url_for('pages.logged_out')}"
    address = login.logout_address(hint, after) if login else None
    response = redirect(address or url_for("pages.logged_out"), 303)
    for name in (SESSION_COOKIE, HINT_COOKIE, LOGIN_COOKIE):
        drop_cookie(response, name)
    return harden(response)


def logged_out() -> Response:
    """The page after a logout."""
    t = texts_for()
    again = f"{url_for('pages.log_in')}?{urlencode({'til': '/mine'})}"
    actions = [(t("logged_out.button"), again)] if pages().login else []
    return page(
        "message.html",
        title=t("logged_out.title"),
        text=t("logged_out.text"),
        actions=[*actions, (t("error.to_front"), url_for("pages.front"))],
    )
