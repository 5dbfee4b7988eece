"""Errors as Problem Details (RFC 9457) in the product's own words: code, message, remedy, fields at fault.

{"type": "urn:signert:problem:not_found", "title": "…", "status": 404, "code": "not_found",
 "detail": "…", "remedy": "…", "errors": [{"path": …, "code": …, "message": …}]}

The trace stands in the header `Signert-Trace`, so that two answers that must not differ do not.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from flask import Flask, Response, json
from werkzeug.exceptions import HTTPException

from service.errors import FieldError, NotFound, SignertError, StoreError

__all__ = ["HttpProblem", "add_error_handlers", "problem_response"]

log = logging.getLogger(__name__)


class HttpProblem(SignertError):
    """A refusal with its HTTP status; `headers` go with it."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        remedy: str = "",
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, code=code, remedy=remedy)
        self.status = status
        self.errors = tuple(errors)
        self.headers = dict(headers or {})


def problem_response(problem: HttpProblem) -> Response:
    body: dict[str, object] = {
        "type": f"urn:signert:problem:{problem.code}",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "code": problem.code,
        "detail": problem.message,
    }
    if problem.remedy:
        body["remedy"] = problem.remedy
    if problem.errors:
        body["errors"] = [error.as_json() for error in problem.errors]
    return Response(
        json.dumps(body),
        problem.status,
        {**problem.headers, "Cache-Control": "no-store"},
        mimetype="application/problem+json",
    )


_WORDS: Mapping[int, tuple[str, str, str]] = {
    400: ("bad_request", "the request cannot be read", "Check the address and the headers."),
    404: (
        "not_found",
        "there is nothing here that you may see",
        "Check the address, and who you are signed in as.",
    ),
    405: ("method_not_allowed", "this cannot be done here", "See /api/docs for what can."),
    408: ("timeout", "the request took too long", "Send it again."),
    413: ("too_large", "the request is too large", "Send less."),
    414: ("too_large", "the address is too long", "Send a shorter one."),
    415: ("media_type", "this kind of content is not taken", "See /api/docs."),
    429: ("too_many_requests", "too many requests", "Wait as Retry-After says, then go on more slowly."),
    431: ("too_large", "the headers are too large", "Send less."),
}


def as_problem(exc: Exception) -> HttpProblem:
    """What is told of an exception. Nothing is told of one that we did not raise on purpose."""
    if isinstance(exc, HttpProblem):
        return exc
    if isinstance(exc, NotFound):
        return HttpProblem(404, *_WORDS[404][:2], remedy=_WORDS[404][2])
    if isinstance(exc, HTTPException) and exc.code:
        if exc.code not in _WORDS:
            return HttpProblem(exc.code, "http", exc.name)
        code, message, remedy = _WORDS[exc.code]
        kept = {k: v for k, v in exc.get_headers() if k in {"Allow", "Retry-After", "WWW-Authenticate"}}
        return HttpProblem(exc.code, code, message, remedy=remedy, headers=kept)
    if isinstance(exc, StoreError) or (isinstance(exc, SignertError) and exc.retryable):
        log.warning("request failed: code=%s %s", exc.code, exc.message)
        return HttpProblem(
            503,
            exc.code,
            "the service cannot do this just now",
            remedy="Try again in a while.",
            headers={"Retry-After": "10"},
        )
    log.error("request failed: %s", type(exc).__name__, exc_info=exc)
    return HttpProblem(
        500,
        "internal",
        "the service has failed at this",
        remedy="Tell an operator, with the trace, if it happens again.",
    )


def add_error_handlers(app: Flask) -> None:
    def handle(exc: Exception) -> Response:
        return problem_response(as_problem(exc))

    app.register_error_handler(Exception, handle)
    app.register_error_handler(HTTPException, handle)
