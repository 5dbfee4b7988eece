"""Headers that keep a browser from doing with our answers what they are not for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from flask import Flask, Response

__all__ = ["add_security_headers"]

_HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "private, no-store",
}
_HSTS: Final = "max-age=63072000; includeSubDomains"


def add_security_headers(app: Flask, *, https: bool) -> None:
    """The strictest, where a view has said nothing else."""

    def harden(response: Response) -> Response:
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        if https:
            response.headers.setdefault("Strict-Transport-Security", _HSTS)
        response.headers.pop("Server", None)
        return response

    app.after_request(harden)
