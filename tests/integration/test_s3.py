"""S3: what the contract of `ObjectStore` does not say: locks, tampering, lost answers, and stores not to trust."""

from __future__ import annotations

import itertools
import multiprocessing
import socket
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from service.adapters.s3 import LockMode, S3Store
from service.bootstrap import check_store, open_store
from service.config import load_settings
from service.errors import AlreadyExists, ConfigurationError, NotFound, StoreError
from tests.faultproxy import Fault, FaultProxy, Request, at_random
from tests.s3server import S3Server


@pytest.fixture
def prefix() -> str:
    return f"s3/{uuid.uuid4()}"


@pytest.fixture
def store(s3_credentials: S3Server, prefix: str) -> S3Store:
    return S3Store(s3_credentials.LOCKED, prefix, endpoint=s3_credentials.endpoint)


@pytest.fixture
def proxy(s3_server: S3Server) -> Iterator[FaultProxy]:
    with FaultProxy(s3_server.endpoint) as proxy:
        yield proxy


@pytest.fixture
def faulty(s3_credentials: S3Server, proxy: FaultProxy, prefix: str) -> S3Store:
    """The same store, seen through the proxy."""
    return S3Store(s3_credentials.LOCKED, prefix, endpoint=proxy.url, read_timeout=1)


def versions(server: S3Server, key: str) -> list[dict[str, Any]]:
    found = server.client().list_object_versions(Bucket=server.LOCKED, Prefix=key)
    return [v for v in found.get("Versions", []) if v["Key"] == key]


# ---- Object Lock


@pytest.mark.parametrize("mode", ["GOVERNANCE", "COMPLIANCE"])
def test_a_locked_version_cannot_be_deleted(s3_credentials: S3Server, prefix: str, mode: LockMode) -> None:
    server, key = s3_credentials, f"{prefix}/final.pdf"
    store = S3Store(server.LOCKED, prefix, endpoint=server.endpoint, lock=mode)
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    store.create("final.pdf", b"signed", retain_until=until)

    (version,) = versions(server, key)
    address = {"Bucket": server.LOCKED, "Key": key, "VersionId": version["VersionId"]}
    retention = server.client().get_object_retention(**address)["Retention"]
    assert (retention["Mode"], retention["RetainUntilDate"]) == (mode, until)
    with pytest.raises(ClientError, match="AccessDenied"):
        server.client().delete_object(**address)

    store.delete("final.pdf")  # hides it, and no more
    store.create("final.pdf", b"another")
    assert server.client().get_object(**address)["Body"].read() == b"signed"


def test_what_is_locked_later_cannot_be_deleted_either(s3_credentials: S3Server, prefix: str) -> None:
    server, key = s3_credentials, f"{prefix}/scan.pdf"
    store = S3Store(server.LOCKED, prefix, endpoint=server.endpoint, lock="COMPLIANCE")
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    store.create("scan.pdf", b"scan")
    for asked in (until, until - timedelta(hours=1)):  # a lock is never shortened
        store.retain("scan.pdf", asked)
    (version,) = versions(server, key)
    address = {"Bucket": server.LOCKED, "Key": key, "VersionId": version["VersionId"]}
    retention = server.client().get_object_retention(**address)["Retention"]
    assert (retention["Mode"], retention["RetainUntilDate"]) == ("COMPLIANCE", until)
    with pytest.raises(ClientError, match="AccessDenied"):
        server.client().delete_object(**address)


def test_only_what_is_to_be_retained_is_locked(s3_credentials: S3Server, store: S3Store, prefix: str) -> None:
    until = datetime.now(UTC) + timedelta(days=1)
    locking = S3Store(s3_credentials.LOCKED, prefix, endpoint=s3_credentials.endpoint, lock="COMPLIANCE")
    locking.create("marker", b"")
    store.create("unlocked", b"", retain_until=until)  # no lock mode is set
    for key in ("marker", "unlocked"):
        (version,) = versions(s3_credentials, f"{prefix}/{key}")
        s3_credentials.client().delete_object(
            Bucket=s3_credentials.LOCKED, Key=f"{prefix}/{key}", VersionId=version["VersionId"]
        )
        assert not store.exists(key)


def test_locks_that_the_bucket_has_not_are_refused_at_the_start(s3_credentials: S3Server) -> None:
    settings = load_settings(
        {
            "SIGNERT_STORE": f"s3://{s3_credentials.PLAIN}/start",
            "SIGNERT_S3_ENDPOINT": s3_credentials.endpoint,
            "SIGNERT_S3_LOCK": "governance",
        }
    )
    with pytest.raises(ConfigurationError, match="no Object Lock") as caught:
        check_store(settings)
    assert "SIGNERT_S3_LOCK" in caught.value.remedy


# ---- tampering


@pytest.mark.parametrize("keep_metadata", [True, False])
def test_bytes_that_another_wrote_are_found_out(
    s3_credentials: S3Server, store: S3Store, prefix: str, keep_metadata: bool
) -> None:
    store.create("receipt.json", b"ours")
    address = {"Bucket": s3_credentials.LOCKED, "Key": f"{prefix}/receipt.json"}
    metadata = s3_credentials.client().head_object(**address)["Metadata"]
    s3_credentials.client().put_object(**address, Body=b"theirs", Metadata=metadata if keep_metadata else {})
    with pytest.raises(StoreError, match="checksum") as caught:
        store.get("receipt.json")
    assert caught.value.code == "store_checksum"
    assert caught.value.retryable  # an operator can bring the right version back


# ---- answers that do not come

LOST = [Fault.DROP_ANSWER, Fault.RESET, Fault.ANSWER_409, Fault.ANSWER_500, Fault.ANSWER_503, Fault.NONSENSE]


@pytest.mark.parametrize(
    "faults", [*([f] for f in LOST), [Fault.DROP_ANSWER, Fault.ANSWER_503, Fault.DROP_ANSWER]]
)
def test_ones_own_retried_write_is_no_conflict(
    s3_credentials: S3Server, faulty: S3Store, proxy: FaultProxy, prefix: str, faults: list[Fault]
) -> None:
    proxy.next(*faults, method="PUT")
    faulty.create("log/1", b"entry")
    assert not proxy.planned
    assert faulty.get("log/1") == b"entry"
    assert len(versions(s3_credentials, f"{prefix}/log/1")) == 1


@pytest.mark.parametrize("fault", LOST)
def test_anothers_write_is_a_conflict_also_after_a_lost_answer(
    store: S3Store, faulty: S3Store, proxy: FaultProxy, fault: Fault
) -> None:
    store.create("log/1", b"theirs")
    proxy.next(fault, method="PUT")
    with pytest.raises(AlreadyExists):
        faulty.create("log/1", b"theirs")  # the same bytes are still another's write
    assert not proxy.planned


def test_of_two_writers_who_lose_their_answers_one_wins(
    s3_credentials: S3Server, faulty: S3Store, proxy: FaultProxy
) -> None:
    for race in range(3):
        proxy.next(Fault.DROP_ANSWER, Fault.DROP_ANSWER, method="PUT")

        def write(body: bytes, race: int = race) -> bool:
            try:
                faulty.create(f"race/{race}", body)
            except AlreadyExists:
                return False
            return True

        with ThreadPoolExecutor(2) as pool:
            won = list(pool.map(write, [b"0", b"1"]))
        assert sorted(won) == [False, True]
        assert faulty.get(f"race/{race}") == str(won.index(True)).encode()


@pytest.mark.parametrize("fault", [f for f in Fault if f is not Fault.NONSENSE])
def test_every_call_survives_a_fault(faulty: S3Store, proxy: FaultProxy, fault: Fault) -> None:
    faulty.create("a", b"first")
    calls: list[Callable[[], object]] = [
        lambda: faulty.put("a", b"second"),
        lambda: faulty.get("a"),
        lambda: faulty.exists("a"),
        lambda: list(faulty.list()),
        lambda: faulty.delete("a"),
        lambda: faulty.exists("a"),
    ]
    outcomes = []
    for call in calls:
        proxy.next(fault)
        outcomes.append(call())
    assert outcomes == [None, b"second", True, ["a"], None, False]
    assert not proxy.planned


def test_answers_that_mean_nothing_are_not_believed(faulty: S3Store, proxy: FaultProxy) -> None:
    faulty.create("a", b"there")
    proxy.chooser = lambda _request: Fault.NONSENSE
    calls: list[Callable[[], object]] = [
        lambda: faulty.create("b", b""),
        lambda: faulty.put("b", b""),
        lambda: faulty.get("a"),
        lambda: faulty.exists("missing"),
        lambda: list(faulty.list()),
    ]
    for call in calls:
        with pytest.raises(StoreError) as caught:
            call()
        assert caught.value.retryable
    proxy.chooser = None
    assert list(faulty.list()) == ["a"]


def test_many_writes_through_many_faults_lose_nothing(
    faulty: S3Store, store: S3Store, proxy: FaultProxy
) -> None:
    proxy.chooser = at_random(0.2, [f for f in LOST if f is not Fault.NONSENSE], seed=1)
    written = []
    for number in range(60):
        try:
            faulty.create(f"log/{number:02}", str(number).encode())
        except StoreError as exc:
            assert not isinstance(exc, (AlreadyExists, NotFound))
            continue
        written.append(number)
    assert proxy.injected
    assert written
    assert all(store.get(f"log/{n:02}") == str(n).encode() for n in written)


# ---- stores that are not to be had


def test_a_store_that_is_down_is_worth_another_try(s3_credentials: S3Server) -> None:
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        store = S3Store("bucket", endpoint=f"http://127.0.0.1:{taken.getsockname()[1]}")
        for call in (store.get, store.exists, store.delete, lambda key: store.create(key, b"x")):
            with pytest.raises(StoreError, match="EndpointConnectionError") as caught:
                call("a/b")
            assert caught.value.retryable
            assert "SIGNERT_S3_ENDPOINT" in caught.value.remedy


def test_a_store_that_hangs_is_given_up(faulty: S3Store, proxy: FaultProxy) -> None:
    proxy.chooser = lambda _request: Fault.DELAY
    with pytest.raises(StoreError, match="ReadTimeoutError") as caught:
        faulty.get("a")
    assert caught.value.retryable


@pytest.mark.parametrize(
    ("environ", "remedy"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong-secret"}, "credentials"),
        ({"AWS_ACCESS_KEY_ID": "unknown-key-id"}, "credentials"),
        ({"AWS_PROFILE": "no-such-profile"}, "credentials"),
    ],
)
def test_refused_credentials_are_not_told(
    s3_credentials: S3Server, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], remedy: str
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    # An other timeout: a process keeps the client, and with it the credentials, that it has.
    store = S3Store(s3_credentials.LOCKED, endpoint=s3_credentials.endpoint, read_timeout=next(TIMEOUTS))
    with pytest.raises(StoreError) as caught:
        store.get("a")
    assert remedy in caught.value.remedy
    told = f"{caught.value} {caught.value.remedy} {caught.value.__cause__} {caught.value.as_json()}"
    assert "not-a-secret" not in told
    assert "wrong-secret" not in told
    assert "unknown-key-id" not in told


TIMEOUTS = itertools.count(30)


def test_a_bucket_that_does_not_exist_is_named_in_the_remedy(s3_credentials: S3Server) -> None:
    store = S3Store("no-such-bucket", endpoint=s3_credentials.endpoint)
    for call in (store.get, lambda key: store.create(key, b""), lambda key: list(store.list(key))):
        with pytest.raises(StoreError, match="NoSuchBucket") as caught:
            call("a")
        assert not isinstance(caught.value, NotFound)
        assert "SIGNERT_STORE" in caught.value.remedy


# ---- the probe


def test_a_store_with_conditional_writes_and_locks_passes(s3_credentials: S3Server, prefix: str) -> None:
    settings = load_settings(
        {
            "SIGNERT_STORE": f"s3://{s3_credentials.LOCKED}/{prefix}",
            "SIGNERT_S3_ENDPOINT": s3_credentials.endpoint,
            "SIGNERT_S3_REGION": "eu-north-1",
            "SIGNERT_S3_LOCK": "compliance",
        }
    )
    check_store(settings)
    assert list(open_store(settings).list()) == []


def test_a_store_where_all_conditional_writes_win_is_refused(s3_credentials: S3Server, prefix: str) -> None:
    # Without its condition the request no longer fits its signature, so it goes unsigned.
    with FaultProxy(s3_credentials.endpoint, strip=["If-None-Match", "Authorization"]) as proxy:
        store = S3Store(s3_credentials.OPEN, prefix, endpoint=proxy.url)
        with pytest.raises(ConfigurationError, match="32 of 32 conditional writes") as caught:
            store.check()
    assert "SeaweedFS from 4.18" in caught.value.remedy


def test_a_store_where_two_conditional_writes_win_is_refused(s3_credentials: S3Server, prefix: str) -> None:
    """A store that looks before it writes: of those that look at the same time, more than one writes."""
    lucky = itertools.count()

    def choose(request: Request) -> Fault | None:
        return Fault.UNCONDITIONAL if request.method == "PUT" and next(lucky) < 2 else None

    with FaultProxy(s3_credentials.endpoint, strip=["Authorization"]) as proxy:
        proxy.chooser = choose
        store = S3Store(s3_credentials.OPEN, prefix, endpoint=proxy.url)
        with pytest.raises(ConfigurationError, match=r" [23] of 32 conditional writes"):
            store.check()


# ---- the rest


def test_only_a_large_body_is_announced_before_it_is_sent(faulty: S3Store, proxy: FaultProxy) -> None:
    """To ask first costs a round trip, and a quarter of the processor time of a small write."""
    asked: list[str | None] = []

    def look(request: Request) -> Fault | None:
        if request.method == "PUT":
            asked.append(request.header("Expect"))
        return None

    proxy.chooser = look
    bodies = [b"", b"small", bytes(2**20), bytes(2**20 + 1)]
    for number, body in enumerate(bodies):
        faulty.create(f"announced/{number}", body)
    assert asked == [None, None, None, "100-continue"]
    assert [faulty.get(f"announced/{number}") for number in range(4)] == bodies


def test_a_list_of_many_pages_is_in_byte_order(store: S3Store) -> None:
    keys = [f"{folder}{number}" for number in range(350) for folder in ("a/", "a-", "a.b/")]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: store.put(key, b""), keys))
    assert list(store.list()) == sorted(keys)
    assert list(store.list("a/")) == sorted(k for k in keys if k.startswith("a/"))


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_fork_and_its_parent_do_not_mix_their_answers(store: S3Store) -> None:
    for number in range(20):
        store.create(f"{number}", str(number).encode() * 1000)

    def read_all() -> bool:
        return all(store.get(f"{n}") == str(n).encode() * 1000 for _ in range(3) for n in range(20))

    context = multiprocessing.get_context("fork")
    right = context.Value("b", 0)

    def child() -> None:
        right.value = read_all()

    forks = [context.Process(target=child) for _ in range(2)]
    for fork in forks:
        fork.start()
    assert read_all()
    for fork in forks:
        fork.join()
        assert fork.exitcode == 0
    assert right.value
