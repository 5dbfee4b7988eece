"""Every `ObjectStore` keeps the contract of `service.domain.ports`."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from service.adapters.directory import DirectoryStore
from service.adapters.s3 import S3Store
from service.domain.ports import ObjectStore
from service.errors import AlreadyExists, NotFound, Retained, StoreError
from signing.parts import PartsFile
from tests.s3server import S3Server

StoreFactory = Callable[[], ObjectStore]


@pytest.fixture(params=["directory", "s3"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> StoreFactory:
    """Opens the same store anew at each call, as another process would."""
    if request.param == "directory":
        return lambda: DirectoryStore(tmp_path / "store")
    server: S3Server = request.getfixturevalue("s3_credentials")
    prefix = f"contract/{uuid.uuid4()}"
    return lambda: S3Store(server.LOCKED, prefix, endpoint=server.endpoint, lock="COMPLIANCE")


@pytest.fixture
def store(open_store: StoreFactory) -> ObjectStore:
    return open_store()


def test_what_is_created_is_read_back_by_another_process(open_store: StoreFactory) -> None:
    open_store().create("a/b.json", b"body")
    assert open_store().get("a/b.json") == b"body"


def test_create_never_replaces(store: ObjectStore) -> None:
    store.create("a/b", b"first")
    with pytest.raises(AlreadyExists):
        store.create("a/b", b"second")
    assert store.get("a/b") == b"first"


def test_what_is_to_be_retained_is_read_as_anything_else(store: ObjectStore) -> None:
    store.create("kept", b"first", retain_until=datetime.now(UTC) + timedelta(minutes=5))
    with pytest.raises(AlreadyExists):
        store.create("kept", b"second", retain_until=datetime.now(UTC) + timedelta(minutes=5))
    assert store.get("kept") == b"first"


def test_a_link_is_read_by_anybody_as_a_file_of_that_name(store: ObjectStore) -> None:
    store.create("a/b.pdf", b"body")
    address = store.link("a/b.pdf", seconds=60, filename="avtale.pdf")
    if isinstance(store, DirectoryStore):
        assert address is None
        return
    assert address
    answer = requests.get(address, timeout=20)
    assert (answer.status_code, answer.content) == (200, b"body")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="avtale.pdf"'
    assert requests.get(address.replace("b.pdf", "c.pdf"), timeout=20).status_code == 403


def test_put_replaces(store: ObjectStore) -> None:
    store.put("a", b"first")
    store.put("a", b"second")
    assert store.get("a") == b"second"


@pytest.mark.parametrize("parts", [(b"first ", b"second"), (b"1" * 700_001, b"", b"2" * 3), ()])
def test_a_body_in_parts_is_stored_as_their_join(store: ObjectStore, parts: tuple[bytes, ...]) -> None:
    body = PartsFile(parts)
    body.read(4)
    store.create("created", body)
    store.put("put", body)
    with pytest.raises(AlreadyExists):
        store.create("created", body)
    assert store.get("created") == store.get("put") == b"".join(parts)
    assert store.size("created") == len(body)
    assert not body.closed


def test_an_empty_body_is_a_body(store: ObjectStore) -> None:
    store.create("empty", b"")
    assert store.exists("empty")
    assert store.get("empty") == b""


@pytest.mark.parametrize("key", ["missing", "a/missing", "a/b/below-an-object", "a"])
def test_a_key_that_is_not_there(store: ObjectStore, key: str) -> None:
    store.create("a/b", b"x")
    with pytest.raises(NotFound):
        store.get(key)
    assert not store.exists(key)


def test_deleting_twice_is_the_same_as_once(store: ObjectStore) -> None:
    store.create("a/b/c", b"x")
    store.create("a/d", b"y")
    store.delete("a/b/c")
    store.delete("a/b/c")
    assert list(store.list()) == ["a/d"]
    store.create("a/b/c", b"again")
    assert store.get("a/b/c") == b"again"


def test_list_is_sorted_and_by_prefix(store: ObjectStore) -> None:
    for key in ["b/2", "b/10", "b.c", "a/x/y", "b/1/deep"]:
        store.create(key, b"")
    assert list(store.list()) == ["a/x/y", "b.c", "b/1/deep", "b/10", "b/2"]
    assert list(store.list("b/")) == ["b/1/deep", "b/10", "b/2"]
    assert list(store.list("b/1")) == ["b/1/deep", "b/10"]
    assert list(store.list("none/")) == []


TREE = [
    "a-/x",
    "a-b/y",
    "a.b/1",
    "a/1-2/x",
    "a/1.5",
    "a/1/x",
    "a/1/y",
    "a/10",
    "a/2/x",
    "a0",
    "b-1",
    "b/c/d",
    "b/e",
]


@pytest.fixture
def tree(store: ObjectStore) -> ObjectStore:
    for key in TREE:
        store.create(key, b"")
    return store


@pytest.mark.parametrize("prefix", ["", "a", "a/", "a/1", "b/", "none/"])
def test_a_list_may_begin_after_any_text_and_end_after_some(tree: ObjectStore, prefix: str) -> None:
    wanted = [key for key in sorted(TREE) if key.startswith(prefix)]
    for after in ["", *TREE, "a", "a-", "a.", "a/", "a/1-", "a/1~", "a0~", "b/c/", "~"]:
        following = [key for key in wanted if key > after]
        assert list(tree.list(prefix, after=after)) == following, after
        for limit in (0, 1, 2, 100):
            assert list(tree.list(prefix, after=after, limit=limit)) == following[:limit], (after, limit)


def test_folders_are_listed_once(tree: ObjectStore) -> None:
    assert sorted(tree.folders("a/")) == ["1", "1-2", "2"]
    assert sorted(tree.folders("a/1/")) == []
    assert list(tree.folders("none/")) == []


@pytest.mark.parametrize(
    "key", ["", "/a", "a/", "a//b", "../a", "a/../b", ".", "a b", "å", "a\x00", "x" * 513]
)
def test_keys_that_are_no_keys(store: ObjectStore, key: str) -> None:
    for use in (
        store.get,
        store.exists,
        store.delete,
        lambda k: store.create(k, b""),
        lambda k: store.put(k, b""),
    ):
        with pytest.raises(StoreError) as caught:
            use(key)
        assert not isinstance(caught.value, NotFound)


def test_of_many_racing_creations_one_wins(open_store: StoreFactory) -> None:
    for race in range(5):
        wins: list[int] = []
        start = threading.Barrier(8)

        def write(
            number: int, race: int = race, wins: list[int] = wins, start: threading.Barrier = start
        ) -> None:
            own = open_store()
            start.wait()
            try:
                own.create(f"race/{race}", str(number).encode())
            except AlreadyExists:
                return
            wins.append(number)

        threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(wins) == 1
        assert open_store().get(f"race/{race}") == str(wins[0]).encode()


def test_creations_and_deletions_of_neighbours_do_not_disturb_each_other(open_store: StoreFactory) -> None:
    def churn(number: int) -> None:
        own = open_store()
        for turn in range(50):
            own.create(f"work/shared/{number}-{turn}", b"x")
            own.delete(f"work/shared/{number}-{turn}")

    threads = [threading.Thread(target=churn, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(open_store().list("work/")) == []


@pytest.mark.parametrize(("doing", "place"), [("create", "link"), ("put", "replace")])
def test_an_object_that_another_deletes_before_it_is_flushed_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, doing: str, place: str
) -> None:
    """The last object of its folder, which goes with it: neither the writer nor the deleter is told of a fault."""
    store, other = DirectoryStore(tmp_path / "store"), DirectoryStore(tmp_path / "store")
    real = getattr(os, place)

    def place_and_delete(*args: Any, **kwargs: Any) -> None:
        real(*args, **kwargs)
        other.delete("work/a/b")

    monkeypatch.setattr(os, place, place_and_delete)
    getattr(store, doing)("work/a/b", b"x")
    assert list(other.list()) == []
    assert not (tmp_path / "store/work").exists()


def test_what_was_written_and_is_gone_before_it_has_its_name_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the disk is taken away: the writer is told, and does not try for ever."""
    store = DirectoryStore(tmp_path / "store")
    real = os.link

    def lose_and_place(temporary: Path, *args: Any, **kwargs: Any) -> None:
        temporary.unlink()
        real(temporary, *args, **kwargs)

    monkeypatch.setattr(os, "link", lose_and_place)
    with pytest.raises(StoreError, match="could not write a/b"):
        store.create("a/b", b"x")


def test_a_folder_that_links_to_a_missing_disk_is_no_object(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "store")
    (tmp_path / "store/agreements").symlink_to(tmp_path / "not-mounted")
    with pytest.raises(StoreError, match="link to nowhere") as caught:
        store.create("agreements/1", b"x")
    assert not isinstance(caught.value, AlreadyExists)


def test_the_size_is_told_without_reading(store: ObjectStore) -> None:
    store.create("a/b", b"12345")
    assert store.size("a/b") == 5
    for missing in ("a", "a/c"):
        with pytest.raises(NotFound):
            store.size(missing)


def test_what_is_there_may_be_retained_later_and_longer(store: ObjectStore) -> None:
    store.create("late", b"body")
    now = datetime.now(UTC)
    for until in (now + timedelta(minutes=5), now + timedelta(minutes=9), now + timedelta(minutes=5)):
        store.retain("late", until)
    assert store.get("late") == b"body"
    with pytest.raises(NotFound):
        store.retain("nothing", now + timedelta(minutes=5))


def test_what_is_erased_is_gone_with_all_that_was_there_before(open_store: StoreFactory) -> None:
    store = open_store()
    store.create("a/b", b"first")
    store.put("a/b", b"second")
    store.delete("a/b")
    store.create("a/b", b"third")
    store.create("a/b.longer", b"another")
    assert store.retained_until("a/b") is None
    store.erase("a/b")
    store.erase("a/b")  # once is as good as twice
    assert not open_store().exists("a/b")
    assert open_store().get("a/b.longer") == b"another"
    with pytest.raises(NotFound):
        store.retained_until("a/b")
    if isinstance(store, S3Store):
        left = store._client.list_object_versions(Bucket=store._bucket, Prefix=f"{store._prefix}a/b")
        found = [item["Key"] for item in (*left["Versions"], *left.get("DeleteMarkers", ()))]
        assert found == [f"{store._prefix}a/b.longer"]


def test_what_is_under_a_lock_is_not_erased(store: ObjectStore) -> None:
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=5)
    store.create("kept", b"body", retain_until=until)
    if isinstance(store, DirectoryStore):  # a file system has no locks
        assert store.retained_until("kept") is None
        return
    assert store.retained_until("kept") == until
    with pytest.raises(Retained, match="under a lock"):
        store.erase("kept")
    assert store.get("kept") == b"body"


BODY = bytes(range(256)) * 4096 + b"end"
"""A little over 1 MiB, so that it comes in more than one piece."""


@pytest.mark.parametrize(
    ("start", "length"),
    [(0, None), (0, 10), (5, None), (255, 300_000), (len(BODY) - 3, None), (len(BODY) - 3, 50), (len(BODY), None),
     (len(BODY) + 7, 3), (0, 0), (4, 0)],
)  # fmt: skip
def test_a_part_is_read_in_pieces(store: ObjectStore, start: int, length: int | None) -> None:
    store.create("large", BODY)
    pieces = list(store.stream("large", start=start, length=length))
    assert b"".join(pieces) == BODY[start:][:length]
    assert all(0 < len(piece) <= 1024**2 for piece in pieces)


def test_nothing_comes_of_an_empty_object(store: ObjectStore) -> None:
    store.create("empty", b"")
    assert list(store.stream("empty")) == []
    assert list(store.stream("empty", start=0, length=5)) == []


@pytest.mark.parametrize(("start", "length"), [(0, None), (3, None), (3, 4), (0, 0)])
def test_a_missing_object_is_told_before_the_first_piece(
    store: ObjectStore, start: int, length: int | None
) -> None:
    store.create("a/b", b"x")
    for missing in ("nothing", "a", "a/b/c"):
        with pytest.raises(NotFound):
            store.stream(missing, start=start, length=length)
    with pytest.raises(StoreError):
        store.stream("../a")


def test_half_read_streams_hold_nothing_open(store: ObjectStore) -> None:
    """Of more streams than a store has connections, or a process files, some are never read to their end."""
    store.create("large", BODY)
    for _ in range(200):
        stream = store.stream("large")
        next(stream)
        stream.close()
    store.stream("large").close()
    assert b"".join(store.stream("large")) == BODY


def test_one_key_at_a_time_is_enough(store: ObjectStore) -> None:
    keys = ["a/b/c", "a/b.d", "a/e", "f"]
    for key in keys:
        store.create(key, b"")
    found: list[str] = []
    while more := list(store.list(after=found[-1] if found else None, limit=1)):
        found += more
    assert found == sorted(keys)
