"""How many requests are answered: by address before anything is looked at, and by reader once it is known."""

from __future__ import annotations

import ipaddress
import math
import time
from collections.abc import Callable

from flask import Flask, Response, current_app, request
from flask_limiter import Limiter, RateLimitExceeded
from limits import parse

from service.config import Settings
from service.entrypoints.http.errors import HttpProblem, problem_response
from service.entrypoints.http.health import HEALTH_PATHS
from service.entrypoints.http.site import current_reader, site
from service.errors import ConfigurationError

__all__ = ["add_limits", "limit_address"]


def add_limits(app: Flask, settings: Settings) -> Callable[[], None]:
    """Limit what one address may ask for; the function that is given back limits the reader of a request.

    Where the server that counts is away, each process counts by itself. Raises `ConfigurationError`.
    """
    limiter = Limiter(
        key_func=_address,
        app=app,
        application_limits=[settings.http_address_rate],
        storage_uri=settings.http_rate_store,
        storage_options=_options(settings),
        strategy="fixed-window",
        in_memory_fallback_enabled=True,
        headers_enabled=False,
        key_prefix="signert",
    )
    limiter.request_filter(lambda: request.path in HEALTH_PATHS)
    by_reader = parse(settings.http_rate)

    def limit_reader() -> None:
        pseudonym = site().access_log.pseudonym(current_reader())
        if not limiter.limiter.hit(by_reader, "reader", pseudonym):
            raise _too_many(limiter.limiter.get_window_stats(by_reader, "reader", pseudonym).reset_time)

    def tell(_exc: RateLimitExceeded) -> Response:
        current = limiter.current_limit
        return problem_response(_too_many(current.reset_at if current else time.time() + 60))

    app.register_error_handler(RateLimitExceeded, tell)
    return limit_reader


def _options(settings: Settings) -> dict[str, str | int]:
    """What the server that counts is told beside its address."""
    path = settings.http_rate_store_password_file
    if path is None:
        return {}
    try:
        return {"password": path.read_text(encoding="utf-8").strip()}
    except (OSError, UnicodeDecodeError):
        raise ConfigurationError(
            f"SIGNERT_HTTP_RATE_STORE_PASSWORD_FILE: {path} cannot be read",
            remedy="Name a file with the password.",
        ) from None


def limit_address(what: str, rate: str) -> None:
    """Limit how often one address may do one thing, beside what it may ask for in all. Raises `HttpProblem` (429)."""
    (limiter,) = current_app.extensions["limiter"]
    by_address, address = parse(rate), _address()
    if not limiter.limiter.hit(by_address, what, address):
        raise _too_many(limiter.limiter.get_window_stats(by_address, what, address).reset_time)


def _too_many(reset_at: float) -> HttpProblem:
    seconds = max(1, math.ceil(reset_at - time.time()))
    return HttpProblem(
        429,
        "too_many_requests",
        "too many requests",
        remedy="Wait as Retry-After says, then go on more slowly.",
        headers={"Retry-After": str(seconds)},
    )


def _address() -> str:
    """The caller's address; of IPv6 the network, for one machine has 2**64 addresses."""
    try:
        address = ipaddress.ip_address(request.remote_addr or "")
    except ValueError:
        return "unknown"
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
