"""Reading an HTTP answer from a server that may be slow, endless or broken."""

from __future__ import annotations

import time

import requests
from urllib3.exceptions import HTTPError

__all__ = ["NotReceived", "received"]

_BLOCK = 65_536


class NotReceived(Exception):
    """The answer did not come whole, in time and in size."""


def received(response: requests.Response, *, limit: int, seconds: float) -> bytes:
    """The body of a streamed answer. Raises `NotReceived`.

    At most `limit` bytes within `seconds`: the time limit of requests is for each block, so that a server which
    sends a byte now and then would hold the caller for hours.
    """
    deadline = time.monotonic() + seconds
    content = bytearray()
    try:
        while block := response.raw.read1(_BLOCK, decode_content=True):
            content += block
            if len(content) > limit:
                raise NotReceived("the answer is too large")
            if time.monotonic() > deadline:
                raise NotReceived("the answer comes too slowly")
    except (HTTPError, OSError) as error:
        raise NotReceived(type(error).__name__) from error
    return bytes(content)
