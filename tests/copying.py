"""An ordinary tool that copies a store object by object, as a backup does, and writers that go on meanwhile.

The tool knows nothing of Signert. It lists what a pattern includes and copies each object as it comes to it; what has
gone in between it leaves out. After each object, the writers may write a little: as much as they are granted.
"""

from __future__ import annotations

import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from service.adapters.directory import DirectoryStore
from service.adapters.s3 import S3Store
from service.domain.ports import ObjectStore
from tests.s3server import S3Server

__all__ = ["Buckets", "Folders", "Paced", "Places", "copy_store", "documented_order", "matching"]

DOCUMENT = Path(__file__).parents[1] / "docs/operations.md"
PATIENCE = 120.0


class Places(Protocol):
    """Where the store is, and where its copy goes."""

    def live(self) -> ObjectStore: ...

    def copy(self) -> ObjectStore: ...

    def listed(self) -> Iterator[str]:
        """Keys, as the tool comes to them."""

    def copy_object(self, key: str) -> None:
        """Copy it as it is now; nothing happens when it has gone."""


class Folders:
    def __init__(self, root: Path) -> None:
        self._live, self._copy = root / "live", root / "copy"

    def live(self) -> ObjectStore:
        return DirectoryStore(self._live)

    def copy(self) -> ObjectStore:
        return DirectoryStore(self._copy)

    def listed(self) -> Iterator[str]:
        for folder, folders, files in os.walk(self._live):
            folders.sort()
            for name in sorted(files):
                yield (Path(folder) / name).relative_to(self._live).as_posix()

    def copy_object(self, key: str) -> None:
        target = self._copy / key
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        try:
            shutil.copy2(self._live / key, target)
        except FileNotFoundError:
            return


class Buckets:
    """From the bucket with versions and locks to the one without, and from one prefix to another."""

    def __init__(self, server: S3Server, name: str) -> None:
        self._server, self._client = server, server.client()
        self._from, self._to = f"live/{name}/", f"copies/{name}/"

    def live(self) -> ObjectStore:
        return self._store(S3Server.LOCKED, self._from)

    def copy(self) -> ObjectStore:
        return self._store(S3Server.PLAIN, self._to)

    def _store(self, bucket: str, prefix: str) -> S3Store:
        region = self._server.environ["AWS_DEFAULT_REGION"]
        return S3Store(bucket, prefix.rstrip("/"), endpoint=self._server.endpoint, region=region, lock=None)

    def listed(self) -> Iterator[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=S3Server.LOCKED, Prefix=self._from, PaginationConfig={"PageSize": 25}
        )
        for page in pages:
            for found in page.get("Contents", ()):
                yield found["Key"].removeprefix(self._from)

    def copy_object(self, key: str) -> None:
        source: Any = {"Bucket": S3Server.LOCKED, "Key": self._from + key}
        try:
            self._client.copy_object(Bucket=S3Server.PLAIN, Key=self._to + key, CopySource=source)
        except self._client.exceptions.ClientError as exc:
            if exc.response["Error"]["Code"] not in {"NoSuchKey", "404"}:
                raise


Pass = Callable[[str], object]
"""One round of the tool: whether a key is included."""


def documented_order() -> list[Pass]:
    """The rounds that the operator's page has the tool make, in its order."""
    lines = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("rclone copy")]
    assert len(lines) > 1
    return [_included(line) for line in lines]


def _included(line: str) -> Pass:
    included, excluded = (
        [matching(glob) for glob in re.findall(rf"--{option} '/([^']+)'", line)]
        for option in ("include", "exclude")
    )
    return lambda key: (not included or any(i(key) for i in included)) and not any(e(key) for e in excluded)


def matching(glob: str) -> Pass:
    """`*` stands for anything within a folder, `**` for anything."""
    return re.compile(re.escape(glob).replace(r"\*\*", ".*").replace(r"\*", "[^/]*")).fullmatch


def copy_store(
    places: Places, rounds: list[Pass], *, between: Callable[[str | None], None] = lambda _: None
) -> int:
    """Make these rounds, one after another; gives how many objects were copied.

    `between` is called after each object with its key, and after each round with None.
    """
    copied = 0
    for included in rounds:
        for key in places.listed():
            if included(key) and not key.startswith(".tmp/"):
                places.copy_object(key)
                copied += 1
                between(key)
        between(None)
    return copied


class Paced:
    """A store whose writers wait before each write until it is granted. Reads go through."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._changed = threading.Condition()
        self._granted, self._open, self._done = 0, False, False

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        if name not in {"create", "put", "delete"}:
            return method

        def paced(*args: Any, **kwargs: Any) -> Any:
            with self._changed:
                assert self._changed.wait_for(lambda: self._granted or self._open, PATIENCE), "never granted"
                self._granted -= not self._open
            try:
                return method(*args, **kwargs)
            finally:
                with self._changed:
                    self._changed.notify_all()

        return paced

    def grant(self, writes: int) -> None:
        """Let the writers make so many writes, and return when they have come to the next one, or are done."""
        with self._changed:
            self._granted += writes
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: self._granted <= 0 or self._done, PATIENCE), "nobody writes"

    def release(self) -> None:
        """Let the writers write as they please."""
        with self._changed:
            self._open = True
            self._changed.notify_all()

    def finished(self) -> None:
        """The writers are done."""
        with self._changed:
            self._done = True
            self._changed.notify_all()
