"""Errors as pages in the same style, in plain words and with a way out. What is not a page's gets Problem Details."""

from __future__ import annotations

from flask import Blueprint, Flask, Response, request, url_for
from flask.typing import ResponseReturnValue
from flask_limiter import RateLimitExceeded
from werkzeug.exceptions import HTTPException

from service.entrypoints.http.errors import HttpProblem, as_problem, problem_response
from service.entrypoints.http.health import HEALTH_PATHS
from service.entrypoints.http.pages.frame import page, texts_for
from service.entrypoints.http.site import trace

__all__ = [
    "AccessEnded",
    "Erased",
    "add",
    "forbidden",
    "login_cancelled",
    "login_failed",
    "provider_away",
    "too_large",
]


class AccessEnded(Exception):
    """The reader was a party, and time has ended its access."""


class Erased(Exception):
    """What was there has been erased."""


_KEYS = {
    400: "bad_request",
    403: "forbidden",
    404: "not_found",
    405: "not_found",
    429: "too_many",
    503: "later",
}


def add(app: Flask, blueprint: Blueprint) -> None:
    blueprint.register_error_handler(Exception, _page)
    # What is refused before there is a view belongs to no blueprint: people's is a page, the API's Problem Details.
    too_many = app.error_handler_spec[None][429][RateLimitExceeded]

    def unrouted(exc: Exception) -> Response:
        return _page(exc) if _is_for_people() else problem_response(as_problem(exc))

    def limited(exc: Exception) -> ResponseReturnValue:
        return _page(exc) if _is_for_people() else app.ensure_sync(too_many)(exc)

    for code in (404, 405):
        app.register_error_handler(code, unrouted)
    app.register_error_handler(RateLimitExceeded, limited)


def _is_for_people() -> bool:
    return not (request.path.startswith("/api/") or request.path in HEALTH_PATHS)


def _page(exc: Exception) -> Response:
    if isinstance(exc, AccessEnded):
        return _message("ended", 403, [_front()])
    if isinstance(exc, Erased):
        return _message("gone", 410, [_front()])
    if isinstance(exc, HTTPException) and exc.code and exc.code < 400:
        return exc.get_response()  # type: ignore[return-value]
    problem = as_problem(exc)
    if problem.status == 413:
        return too_large(problem)
    key = _KEYS.get(problem.status) or ("server" if problem.status >= 500 else "bad_request")
    again = [(texts_for()("error.try_again"), request.path)] if key in {"later", "server", "too_many"} else []
    return _message(
        key,
        problem.status,
        [*again, _front()] if request.method == "GET" else [_front()],
        headers={k: v for k, v in problem.headers.items() if k in {"Retry-After", "Allow"}},
        show_trace=problem.status >= 500,
    )


def too_large(problem: HttpProblem) -> Response:
    from service.entrypoints.http.pages import verify

    if request.endpoint == "pages.verify":
        return verify.too_large()
    return _message("bad_request", problem.status, [_front()])


def forbidden() -> Response:
    return _message("forbidden", 403, [_front()])


def login_failed(target: str) -> Response:
    again = (texts_for()("error.try_again"), url_for("pages.log_in", til=target))
    return _message("login_failed", 400, [again, _front()])


def login_cancelled(again: str) -> Response:
    return _message("cancelled", 200, [(texts_for()("error.try_again"), again), _front()])


def provider_away(name: str, again: str) -> Response:
    t = texts_for()
    return _message(
        "provider", 503, [(t("error.try_again"), again), _front()], title=t("error.provider", provider=name),
        headers={"Retry-After": "30"},
    )  # fmt: skip


def _front() -> tuple[str, str]:
    return texts_for()("error.to_front"), url_for("pages.front")


def _message(
    key: str,
    status: int,
    actions: list[tuple[str, str]],
    *,
    title: str | None = None,
    headers: dict[str, str] | None = None,
    show_trace: bool = False,
) -> Response:
    t = texts_for()
    return page(
        "message.html",
        status,
        here="/" if request.method != "GET" else None,
        title=title or t(f"error.{key}"),
        text=t(f"error.{key}_text"),
        actions=actions,
        trace=trace() if show_trace else None,
        headers=headers,
    )
