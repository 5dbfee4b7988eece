"""The port's operations as requests to S3."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
import secrets
from collections.abc import Callable, Generator, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import Any, Final, Literal

from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

from service.adapters.s3.connection import (
    BROKEN,
    FAILURES,
    Connection,
    as_error,
    code_of,
    genuine,
    status_of,
)
from service.adapters.s3.race import RACERS, winners
from service.domain.object_keys import check_key, in_byte_order
from service.domain.ports import Body
from service.errors import ChecksumMismatch, ConfigurationError, NotFound, Retained, StoreError

__all__ = ["LockMode", "S3Store"]

LockMode = Literal["GOVERNANCE", "COMPLIANCE"]

_PAGE: Final = 1000
"""Keys that S3 lists at a time, at most."""
_PIECE: Final = 256 * 1024
_WORTH_ASKING: Final = 1024 * 1024
"""Bytes from which on the store is asked whether it will take a body, before that is sent."""


class S3Store:
    """Objects in `bucket`, their keys below `prefix`. Safe in threads and after a fork.

    `endpoint` and `region` default to what AWS's own variables and profiles say; an endpoint given here is
    addressed by path. `read_timeout` in seconds is how long the store may be silent, `attempts` how often one
    request is sent that has no clear answer; `on_retry` is told what was asked for, each time that it is sent again.
    """

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        endpoint: str | None = None,
        region: str | None = None,
        lock: LockMode | None = None,
        read_timeout: float = 20.0,
        attempts: int = 4,
        on_retry: Callable[[str], None] = lambda _doing: None,
    ) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._connection = Connection(
            endpoint, region, read_timeout=read_timeout, attempts=attempts, on_retry=on_retry
        )
        self._lock = lock

    def __repr__(self) -> str:
        return f"S3Store('s3://{self._bucket}/{self._prefix}')"

    @property
    def _client(self) -> Any:
        return self._connection.client

    def create(self, key: str, body: Body, *, retain_until: datetime | None = None) -> None:
        sent = self._sent(key, body) | self._retention(retain_until)
        write = sent["Metadata"]["write"] = secrets.token_hex(16)
        unclear = False  # an attempt without a clear answer may have been carried out

        def attempt() -> None:
            nonlocal unclear
            try:
                genuine(self._client.put_object(**_from_start(sent), IfNoneMatch="*"), "ETag")
            except FAILURES as exc:
                if status_of(exc) != 412:
                    unclear = True
                    raise
                if not (unclear and self._is_there(sent["Key"], write)):
                    raise

        self._connection.ask(attempt, "write", key)

    def put(self, key: str, body: Body) -> None:
        sent = self._sent(key, body)
        self._connection.ask(
            lambda: genuine(self._client.put_object(**_from_start(sent)), "ETag"), "write", key
        )

    def get(self, key: str) -> bytes:
        address = self._address(key)

        def fetch() -> tuple[bytes, str | None]:
            answer = self._client.get_object(**address)
            with contextlib.closing(answer["Body"]) as stream:
                return stream.read(), genuine(answer, "ETag")["Metadata"].get("sha256")

        sha256 = None
        for _ in range(min(2, self._connection.attempts)):  # a body may be damaged on its way
            body, sha256 = self._connection.ask(fetch, "read", key)
            if hashlib.sha256(body).hexdigest() == sha256:
                return body
        raise ChecksumMismatch(
            f"{key} in the store is not what was written there: its checksum is "
            + ("missing" if sha256 is None else "another"),
            remedy="Find out who changed the object, and restore the version that this service wrote.",
        )

    def stream(self, key: str, *, start: int = 0, length: int | None = None) -> Generator[bytes]:
        """As the port says. A connection that breaks is taken up where it broke, as often as any request is sent."""
        pieces = self._pieces(key, start, length)
        next(pieces)  # asks the store, so that a missing object is told now
        return pieces

    def _pieces(self, key: str, start: int, length: int | None) -> Generator[bytes]:
        end = None if length is None else start + length
        answer = first = self._opened(key, start, end)
        breaks = 0
        yield b""
        while answer is not None:
            with contextlib.closing(answer["Body"]) as stream:
                if first is None or answer["ETag"] != first["ETag"]:
                    raise StoreError(f"{key} in the store became another while it was read")
                end = _end_of(answer)
                try:
                    while piece := stream.read(_PIECE):
                        start += len(piece)
                        yield piece
                    if start >= end:
                        return
                    fault: Exception = ResponseParserError("the answer ends too early")
                except BROKEN as exc:
                    fault = exc
            breaks += 1
            if breaks >= self._connection.attempts:
                raise as_error(fault, "read", key) from fault
            answer = self._opened(key, start, end)

    def _opened(self, key: str, start: int, end: int | None) -> dict[str, Any] | None:
        """The store's answer to a GET of these bytes; None where there are none."""
        if end is not None and end <= start:
            self.size(key)
            return None
        asked = self._address(key) | {"Range": f"bytes={start}-" + (str(end - 1) if end is not None else "")}

        def fetch() -> dict[str, Any] | None:
            try:
                answer: dict[str, Any] = self._client.get_object(**asked)
            except ClientError as exc:
                if status_of(exc) == 416:
                    return None
                raise
            try:
                return genuine(genuine(answer, "ETag"), "ContentRange")
            except ResponseParserError:
                answer["Body"].close()  # else its connection is lost to the pool
                raise

        return self._connection.ask(fetch, "read", key)

    def _head(self, key: str) -> dict[str, Any]:
        address = self._address(key)
        return self._connection.ask(
            lambda: genuine(self._client.head_object(**address), "ETag"), "look for", key
        )

    def exists(self, key: str) -> bool:
        try:
            self._head(key)
        except NotFound:
            return False
        return True

    def size(self, key: str) -> int:
        return int(self._head(key)["ContentLength"])

    def retain(self, key: str, until: datetime) -> None:
        """Locks the newest version. A lock that lasts longer is left as it is, for nobody may shorten it."""
        address, retention = self._address(key), self._retention(until)
        if not retention or self._retained_until(key) >= until:
            self.size(key)
            return
        asked = {
            "Mode": retention["ObjectLockMode"],
            "RetainUntilDate": retention["ObjectLockRetainUntilDate"],
        }
        self._connection.ask(
            lambda: self._client.put_object_retention(**address, Retention=asked), "lock", key
        )

    def _retained_until(self, key: str) -> datetime:
        until = self._head(key).get("ObjectLockRetainUntilDate")
        return until if isinstance(until, datetime) else datetime.min.replace(tzinfo=UTC)

    def _versions_of(self, full_key: str) -> Sequence[str]:
        asked = {"Bucket": self._bucket, "Prefix": full_key}
        found = []
        while True:
            page = self._connection.ask(
                lambda: genuine(self._client.list_object_versions(**asked), "Name"), "list", full_key
            )
            listed = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
            found += [item["VersionId"] for item in listed if item["Key"] == full_key]
            if not page.get("IsTruncated"):
                return found
            asked["KeyMarker"] = page["NextKeyMarker"]
            asked["VersionIdMarker"] = page["NextVersionIdMarker"]

    def list(self, prefix: str = "", *, after: str | None = None, limit: int | None = None) -> Iterator[str]:
        if prefix:
            check_key(prefix.rstrip("/"))
        most = min(limit or _PAGE, _PAGE)
        keys = self._listed(prefix, after or "", most)
        if self._connection.endpoint:
            # Amazon S3 lists in byte order. Others, SeaweedFS among them, list folder by folder.
            keys = in_byte_order(keys, prefix, lambda start: any(self._listed(start, "", 1)), patience=most)
        yield from islice(keys, limit)

    def folders(self, prefix: str) -> Iterator[str]:
        check_key(prefix.rstrip("/"))
        for page in self._pages(prefix, Delimiter="/"):
            for found in page.get("CommonPrefixes", ()):
                yield found["Prefix"].removeprefix(self._prefix + prefix).rstrip("/")

    def delete(self, key: str) -> None:
        address = self._address(key)
        self._connection.ask(lambda: self._client.delete_object(**address), "delete", key)

    def retained_until(self, key: str) -> datetime | None:
        until = self._retained_until(key)
        return until if until > datetime.now(UTC) else None

    def erase(self, key: str) -> None:
        """Deletes every version and delete marker of the key. A legal hold refuses as a lock does."""
        address = self._address(key)
        for version in self._versions_of(address["Key"]):
            asked = {**address, "VersionId": version}
            try:
                self._connection.ask(partial(self._client.delete_object, **asked), "erase", key)
            except StoreError as exc:
                if isinstance(exc.__cause__, ClientError) and status_of(exc.__cause__) == 403:
                    raise Retained(
                        f"the store does not let {key} be erased: it is under a lock, or these credentials may not",
                        remedy="See when its lock ends; the credentials need s3:DeleteObjectVersion.",
                    ) from exc
                raise

    def link(self, key: str, *, seconds: int, filename: str) -> str | None:
        """A presigned GET (Signature Version 4: at most seven days)."""
        asked = self._address(key) | {"ResponseContentDisposition": f'attachment; filename="{filename}"'}

        def presign() -> str:
            return str(self._client.generate_presigned_url("get_object", Params=asked, ExpiresIn=seconds))

        return self._connection.ask(presign, "link to", key)

    def check(self) -> None:
        """Refuse a store that agreements would not be safe in. For a worker, once, when it starts.

        Lets 32 writers race for one key, and asks for the bucket's Object Lock when locks are wanted. Raises
        `ConfigurationError` when the store is not fit, `StoreError` when it cannot be reached.
        """
        if self._lock and not self._locks():
            raise ConfigurationError(
                f"SIGNERT_S3_LOCK={self._lock.lower()}, but bucket {self._bucket} has no Object Lock",
                remedy="Use a bucket made with Object Lock, or unset SIGNERT_S3_LOCK.",
            )
        wins = winners(self)
        if wins != 1:
            raise ConfigurationError(
                f"the store let {wins} of {RACERS} conditional writes of one key succeed, where one must: it does "
                "not keep If-None-Match, and two workers could overwrite one another's log entries",
                remedy="Use a store that keeps conditional writes (Amazon S3; SeaweedFS from 4.18), without a "
                "gateway that removes the header, or SIGNERT_STORE=file:///path.",
            )

    def _locks(self) -> bool:
        """Whether the bucket has Object Lock."""

        def ask() -> bool:
            try:
                found = self._client.get_object_lock_configuration(Bucket=self._bucket)
            except ClientError as exc:
                if code_of(exc) == "ObjectLockConfigurationNotFoundError":
                    return False
                raise
            # An answer that lost its body reads as an empty configuration: a gateway's, and no reason to end.
            told = genuine(found.get("ObjectLockConfiguration", {}), "ObjectLockEnabled")
            return bool(told["ObjectLockEnabled"] == "Enabled")

        return self._connection.ask(ask, "tell its Object Lock", "the bucket")

    def _address(self, key: str) -> dict[str, Any]:
        check_key(key)
        return {"Bucket": self._bucket, "Key": self._prefix + key}

    def _sent(self, key: str, body: Body) -> dict[str, Any]:
        md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
        for piece in _pieces_of(body):
            md5.update(piece)
            sha256.update(piece)
        return self._address(key) | {
            # botocore makes a file of `bytes`, and of a file it sends nothing before the store has said "100 Continue".
            "Body": bytearray(body) if isinstance(body, bytes) and len(body) <= _WORTH_ASKING else body,
            "ContentMD5": base64.b64encode(md5.digest()).decode(),
            "Metadata": {"sha256": sha256.hexdigest()},
        }

    def _retention(self, until: datetime | None) -> dict[str, Any]:
        if until is None or self._lock is None:
            return {}
        return {"ObjectLockMode": self._lock, "ObjectLockRetainUntilDate": until.astimezone(UTC)}

    def _is_there(self, key: str, write: str) -> bool:
        """Whether the object of that full key came of the `create` with this id."""
        try:
            found = genuine(self._client.head_object(Bucket=self._bucket, Key=key), "ETag")
        except ClientError as exc:
            if status_of(exc) == 404:  # it was there and has been deleted since: then it is not ours to claim
                return False
            raise
        return bool(found["Metadata"].get("write") == write)

    def _listed(self, prefix: str, after: str, most: int) -> Iterator[str]:
        """Keys as the store lists them, `most` at a time."""
        asked: dict[str, Any] = {"MaxKeys": most}
        if after.startswith(prefix):
            if start := _before(after.removeprefix(prefix)):
                asked["StartAfter"] = self._prefix + prefix + start
        elif after > prefix:
            return
        for page in self._pages(prefix, **asked):
            for item in page.get("Contents", ()):
                if (key := item["Key"].removeprefix(self._prefix)) > after:
                    yield key

    def _pages(self, prefix: str, **more: Any) -> Iterator[dict[str, Any]]:
        asked = {"Bucket": self._bucket, "Prefix": self._prefix + prefix, **more}
        while True:
            page = self._connection.ask(
                lambda: genuine(self._client.list_objects_v2(**asked), "Name"), "list", prefix or "all keys"
            )
            yield page
            if not page.get("IsTruncated"):
                return
            asked["ContinuationToken"] = page["NextContinuationToken"]


def _pieces_of(body: Body) -> Iterator[bytes]:
    if isinstance(body, bytes):
        yield body
        return
    body.seek(0)
    while piece := body.read(_PIECE):
        yield piece


def _from_start(sent: dict[str, Any]) -> dict[str, Any]:
    """What is sent; a file that an attempt has read is sent from its start again."""
    if not isinstance(sent["Body"], bytes | bytearray):
        sent["Body"].seek(0)
    return sent


def _before(after: str) -> str:
    """Where to start, so that all keys after `after` are listed, be it in byte order or folder by folder.

    In the latter, `a/` comes before `a-` and `a.`: so the start is just before `a`.
    """
    stem = re.split("[.-]", after, maxsplit=1)[0].rstrip("/")
    if not stem:
        return ""
    previous = chr(ord(stem[-1]) - 1)
    return f"{stem[:-1]}{'.' if previous == '/' else previous}~"


def _end_of(answer: dict[str, Any]) -> int:
    """Behind the last byte that this answer to a range is to bring (RFC 9110 14.4)."""
    found = re.fullmatch(r"bytes [0-9]+-([0-9]+)/[0-9]+", answer["ContentRange"])
    if found is None:
        raise StoreError("the store's answer does not say which bytes it brings")
    return int(found[1]) + 1
