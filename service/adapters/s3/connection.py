"""The client of a bucket: what is asked for again, and what an answer, or none, means."""

from __future__ import annotations

import logging
import os
import random
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004 (botocore's, for what has no connection; not the built-in one)
    HTTPClientError,
    IncompleteReadError,
)
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from service.errors import AlreadyExists, NotFound, StoreError

__all__ = [
    "BROKEN",
    "FAILURES",
    "MOST_CONNECTIONS",
    "Connection",
    "as_error",
    "code_of",
    "genuine",
    "status_of",
]

log = logging.getLogger(__name__)

_FIRST_PAUSE: Final = 0.2
_CONNECT_TIMEOUT: Final = 5.0
MOST_CONNECTIONS: Final = 32
"""Requests that may be under way at once without one waiting for another."""
_NOT_ANSWERED: Final = (ConnectionError, HTTPClientError, IncompleteReadError, ResponseParserError, HTTPError)
"""No answer, half of one, or one that means nothing. botocore lets urllib3's own through when the refusal of a
`GetObject` breaks off (`botocore.endpoint.convert_to_response_dict` reads it outside the session)."""
BROKEN: Final = (*_NOT_ANSWERED, OSError)
"""What reading an answer's body may end with."""
FAILURES: Final = (ClientError, BotoCoreError, ResponseParserError, HTTPError)
"""What a request may end with."""

_T = TypeVar("_T")


class Connection:
    """A process's client for the store at `endpoint`, and how often it is asked (`S3Store` has the meaning of each)."""

    def __init__(
        self,
        endpoint: str | None,
        region: str | None,
        *,
        read_timeout: float,
        attempts: int,
        on_retry: Callable[[str], None],
    ) -> None:
        self.endpoint = endpoint
        self.attempts = attempts
        self._region = region
        self._read_timeout = read_timeout
        self._on_retry = on_retry

    @property
    def client(self) -> Any:
        return _client(os.getpid(), self.endpoint, self._region, self._read_timeout)

    def ask(self, call: Callable[[], _T], doing: str, key: str) -> _T:
        """Ask the store, again and later when it has no clear answer. Raises `StoreError` and its kinds."""
        for attempt in range(1, self.attempts + 1):
            try:
                return call()
            except FAILURES as exc:
                if attempt < self.attempts and _is_passing(exc):
                    log.warning(
                        "store did not %s %s: attempt=%d of %d fault=%s",
                        doing,
                        key,
                        attempt,
                        self.attempts,
                        _name(exc),
                    )
                    self._on_retry(doing)
                    time.sleep(random.uniform(0.5, 1) * _FIRST_PAUSE * 2 ** (attempt - 1))  # noqa: S311
                    continue
                error = as_error(exc, doing, key)
                # What a credential provider says may hold what it was given.
                raise error from (exc if isinstance(exc, (ClientError, *_NOT_ANSWERED)) else None)
        raise AssertionError


@lru_cache(maxsize=8)
def _client(_process: int, endpoint: str | None, region: str | None, read_timeout: float) -> Any:
    """The process's one client: threads share it, a fork makes its own (connections cannot be shared)."""
    return boto3.session.Session().client(
        "s3",
        endpoint_url=endpoint,
        region_name=region,
        config=Config(
            # Checksums that not every store knows are sent only where S3 itself demands them; ours are in `store.py`.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            retries={"total_max_attempts": 1},
            connect_timeout=_CONNECT_TIMEOUT,
            read_timeout=read_timeout,
            tcp_keepalive=True,
            max_pool_connections=MOST_CONNECTIONS,
            # Next to nothing each, but for every request: a long name made anew, our own arguments looked through,
            # and one more hash of the body. It is under Content-MD5 and the SHA-256 in the metadata, and both are
            # signed; over https botocore leaves the rest to TLS in any case.
            user_agent="signert",
            parameter_validation=False,
            s3={"addressing_style": "path" if endpoint else "auto", "payload_signing_enabled": False},
        ),
    )


def genuine(answer: dict[str, Any], field: str) -> dict[str, Any]:
    """The answer, unless it lacks what S3 always says: then some gateway gave it."""
    if field not in answer:
        raise ResponseParserError(f"the answer has no {field}")
    return answer


def status_of(exc: Exception) -> int:
    """HTTP's status of a refusal; 0 where there was no answer."""
    return int(exc.response["ResponseMetadata"]["HTTPStatusCode"]) if isinstance(exc, ClientError) else 0


def code_of(exc: ClientError) -> str:
    """S3's word for a refusal."""
    return str(exc.response["Error"].get("Code", ""))


def _name(exc: Exception) -> str:
    return f"HTTP {status_of(exc)} {code_of(exc)}" if isinstance(exc, ClientError) else type(exc).__name__


def _is_passing(exc: Exception) -> bool:
    """Whether the same request may fare better in a moment."""
    if isinstance(exc, ClientError):
        return status_of(exc) in {409, 429} or status_of(exc) >= 500 or code_of(exc) == "RequestTimeout"
    return isinstance(exc, _NOT_ANSWERED)


def as_error(exc: Exception, doing: str, key: str) -> StoreError:
    """Our error for what a request ended with, and the way out."""
    if not isinstance(exc, ClientError):
        remedy = "Check SIGNERT_S3_ENDPOINT, and that the store runs and can be reached from here."
        if not isinstance(exc, _NOT_ANSWERED):
            remedy = (
                "Check the credentials for the store (AWS_ACCESS_KEY_ID, AWS_PROFILE or the machine's role)."
            )
        return StoreError(f"the store could not {doing} {key}: {_name(exc)}", remedy=remedy)
    status, code = status_of(exc), code_of(exc)
    if status == 404 and code in {"404", "NoSuchKey"}:
        return NotFound(f"{key} is not in the store")
    if status == 412:
        return AlreadyExists(f"{key} is already in the store")
    remedy = "Look up the code in the store's documentation; the work goes on when the store does."
    if code == "NoSuchBucket":
        remedy = "Check the bucket's name in SIGNERT_STORE."
    elif status in {401, 403}:
        remedy = (
            "Check the credentials, this machine's clock, and that they may do s3:GetObject, s3:PutObject, "
            "s3:DeleteObject, s3:ListBucket (with locks: s3:PutObjectRetention, s3:GetBucketObjectLockConfiguration)."
        )
    return StoreError(f"the store could not {doing} {key}: {_name(exc)}", remedy=remedy)
