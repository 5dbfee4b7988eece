"""/verify: anybody's PDF, and whether its signatures hold. Nothing of it is kept, and nobody needs an account.

The file is in memory, or, when it is large, in a temporary file that has no name; both are gone with the request. It is
looked at in a process of its own, with limits on time and memory (`signing`).
"""

from __future__ import annotations

import time
from tempfile import SpooledTemporaryFile
from typing import IO, Final, cast

from flask import Blueprint, Request, Response, g, request
from flask.typing import ResponseReturnValue

from service.entrypoints.http.limits import limit_address
from service.entrypoints.http.pages.answers import answer
from service.entrypoints.http.pages.checking import TooHeavy, check_upload
from service.entrypoints.http.pages.frame import page, pages, texts_for

__all__ = ["UploadRequest", "add", "let_go", "too_large"]

_IN_MEMORY: Final = 1_000_000
_HEAD: Final = 1024
"""A PDF says that it is one within its first bytes (ISO 32000-1, Annex H, implementation note 13)."""
_RATE: Final = "20/minute"
_DRAIN_SECONDS: Final = 10.0
_DRAIN_TIMES: Final = 4


def add(blueprint: Blueprint) -> None:
    blueprint.add_url_rule("/verify", "verify", _verify, methods=["GET", "POST"])


class UploadRequest(Request):
    """A request whose files are let go of with it, also when the form is cut off in the middle of one."""

    def _get_file_stream(self, *_told: object, **_more: object) -> IO[bytes]:
        file = SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - closed in `let_go`
        g.setdefault("uploads", []).append(file)
        return cast(IO[bytes], file)


def let_go(_exc: BaseException | None) -> None:
    for file in g.pop("uploads", ()):
        file.close()


def _verify() -> ResponseReturnValue:
    if request.method != "POST":
        return _form()
    limit_address("verify", _RATE)
    upload = request.files.get("document")
    if upload is None or not upload.filename:
        return _form("verify.no_file", 400)
    body = upload.stream.read(pages().verify_bytes + 1)
    if len(body) > pages().verify_bytes:
        return _form("verify.too_large", 413)
    if b"%PDF-" not in body[:_HEAD]:
        return _form("verify.not_pdf", 415)
    if not pages().checking.acquire(blocking=False):
        return _form("verify.busy", 503, {"Retry-After": "5"})
    try:
        report = check_upload(body)
    except TooHeavy:
        return _form("verify.too_heavy", 422)
    finally:
        pages().checking.release()
    t = texts_for()
    if report.sub_indication == "FORMAT_FAILURE" and not report.signatures:
        return _form("verify.unreadable", 422)
    return page(
        "verify.html",
        title=t("verify.title"),
        scripts=True,
        answer=answer(t, report, ours=False),
        fault=None,
        limit=t.size(pages().verify_bytes),
    )


def too_large() -> Response:
    """Said of a file that was cut off. What is still coming is let come for a while: a browser that is cut off while it
    sends shows its own error in the place of our page."""
    announced = request.content_length
    if announced is not None and announced <= _DRAIN_TIMES * pages().verify_bytes:
        _drain(announced)
    return _form("verify.too_large", 413, {"Connection": "close"})


def _drain(left: int) -> None:
    stream, deadline = request.environ["wsgi.input"], time.monotonic() + _DRAIN_SECONDS
    while left > 0 and time.monotonic() < deadline:
        piece = stream.read(min(left, 256 * 1024))
        if not piece:
            return
        left -= len(piece)


def _form(fault: str | None = None, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    t = texts_for()
    size = t.size(pages().verify_bytes)
    return page(
        "verify.html",
        status,
        title=t("verify.title"),
        scripts=True,
        answer=None,
        fault=t(fault, size=size) if fault else None,
        limit=size,
        headers=headers,
    )
