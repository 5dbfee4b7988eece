"""Files as RFC 9110 has them: strong ETags, conditional requests, one range, HEAD, and bodies that are streamed."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Final

from flask import Response, request

from service.entrypoints.http.errors import HttpProblem

__all__ = ["Part", "content_disposition", "file_response", "is_unchanged", "wanted_part"]

_RANGE: Final = re.compile(
    r"bytes=[ \t]*(?:(?P<first>[0-9]{1,19})-(?P<last>[0-9]{0,20})|-(?P<suffix>[0-9]{1,19}))[ \t]*",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Part:
    """The bytes that are asked for: from `start`, `length` of them, of a file of `size`."""

    start: int
    length: int
    size: int

    @property
    def is_whole(self) -> bool:
        return self.length == self.size


def is_unchanged(sha256: str) -> bool:
    """Whether the reader has it already. Raises `HttpProblem` (412) when it wants another one (`If-Match`)."""
    if "If-Match" in request.headers and not (
        request.if_match.star_tag or request.if_match.is_strong(sha256)
    ):
        raise HttpProblem(
            412,
            "precondition_failed",
            "what is here is not what If-Match names",
            remedy="Read it anew, without If-Match.",
        )
    return "If-None-Match" in request.headers and request.if_none_match.contains_weak(sha256)


def wanted_part(size: int, sha256: str) -> Part:
    """What `Range` and `If-Range` ask for (RFC 9110 14.2): several ranges, and what is no range, get the whole.

    Raises `HttpProblem` (416) for a range that lies outside.
    """
    whole = Part(0, size, size)
    if request.method != "GET" or "Range" not in request.headers:
        return whole
    if "If-Range" in request.headers and request.headers["If-Range"].strip() != f'"{sha256}"':
        return whole
    asked = _RANGE.fullmatch(request.headers["Range"])
    if asked is None:
        return whole
    if asked["suffix"]:
        start, stop = max(0, size - int(asked["suffix"])), size
    else:
        start, stop = int(asked["first"]), min(size, int(asked["last"]) + 1 if asked["last"] else size)
        if asked["last"] and int(asked["last"]) < start:
            return whole  # no range, by 14.1.1
    if start >= stop:
        raise HttpProblem(
            416,
            "range_not_satisfiable",
            "there are no such bytes in this file",
            remedy="Content-Range says how long it is.",
            headers={"Content-Range": f"bytes */{size}"},
        )
    return Part(start, stop - start, size)


def file_response(
    part: Part, *, sha256: str, media_type: str, filename: str, pieces: Callable[[Part], Generator[bytes]]
) -> Response:
    """The file, or the part; `pieces` is called only where there is a body to send."""
    response = Response(status=200 if part.is_whole else 206, mimetype=media_type)
    response.set_etag(sha256)
    response.headers["Accept-Ranges"] = "bytes"
    response.headers["Content-Length"] = str(part.length)
    response.headers["Content-Disposition"] = content_disposition(filename)
    digest = base64.b64encode(bytes.fromhex(sha256)).decode()
    response.headers["Repr-Digest"] = f"sha-256=:{digest}:"  # RFC 9530
    if not part.is_whole:
        last = part.start + part.length - 1
        response.headers["Content-Range"] = f"bytes {part.start}-{last}/{part.size}"
    if request.method != "HEAD":
        body = pieces(part)
        response.response = body
        response.call_on_close(body.close)
    return response


def content_disposition(filename: str) -> str:
    """RFC 6266; our own names are letters, digits, hyphens and full stops."""
    return f'attachment; filename="{filename}"'
