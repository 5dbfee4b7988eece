"""The store fails, at any request and in any way, and fills up: the agreement ends all the same, once."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from service.adapters.directory import DirectoryStore
from service.adapters.s3 import S3Store
from service.background import child_environment
from service.domain.log import Entry
from service.errors import NotFound, StoreError
from service.pipeline.drive import Rest, drive
from service.pipeline.services import Services
from service.pipeline.sweep import sweep
from tests.agreements import Running, assert_signed, command, submit, swept, waiting
from tests.fakes import EventList
from tests.faultproxy import Fault, FaultProxy, Request, at_random
from tests.full_disk import half_files
from tests.s3server import S3Server

pytestmark = [pytest.mark.office, pytest.mark.pki]

FAULTS = [
    Fault.RESET, Fault.DROP_ANSWER, Fault.ANSWER_500, Fault.ANSWER_503, Fault.ANSWER_409,
    Fault.CUT_ANSWER, Fault.EMPTY, Fault.ALTERED, Fault.NONSENSE,
]  # fmt: skip


@pytest.fixture
def events() -> EventList:
    return EventList()


@pytest.fixture
def prefix() -> str:
    return f"faults/{uuid.uuid4()}"


@pytest.fixture
def proxy(s3_credentials: S3Server) -> Iterator[FaultProxy]:
    with FaultProxy(s3_credentials.endpoint, delay=0.8) as proxy:
        yield proxy


@pytest.fixture
def sound(running: Running, events: EventList, s3_credentials: S3Server, prefix: str) -> Services:
    """Services that see the store as it is, without the proxy."""
    return running.on(S3Store(s3_credentials.PLAIN, prefix, endpoint=s3_credentials.endpoint), events)


def bring_to_rest(services: Services, sound: Services) -> str:
    """Do as a worker does: the queue delivers the command until it is driven, then the sweeper goes on."""
    payload, agreement_id = command(), None
    for _ in range(300):
        try:
            if agreement_id is None:
                agreement_id = drive(services, submit(services, payload)).agreement.id
            elif not list(sound.store.list("work/")):
                return agreement_id
            else:
                list(sweep(services, everything=True))
        except StoreError:
            continue
    raise AssertionError("it does not come to rest")


class EachPlaceOnce:
    """A fault for each kind of request that each state of the log sees, once: the faults by turns.

    The state is the length of the log, the kind the method and the key, without what is new at each attempt.
    """

    def __init__(self) -> None:
        self.places: set[tuple[int, str, str]] = set()
        self._faults = cycle(FAULTS)
        self._length = 0

    def __call__(self, request: Request) -> Fault | None:
        place = (self._length, request.method, self._kind(request))
        if request.method == "PUT" and "/log/" in request.path:
            self._length = int(request.path[-13:-5]) + 1
        if place in self.places:
            return None
        self.places.add(place)
        return next(self._faults)

    @staticmethod
    def _kind(request: Request) -> str:
        address = urlsplit(request.path)
        if "/log/" in address.path:
            return "log"
        if request.method == "PUT" and "/blobs/" in address.path:
            return address.path.rpartition(".")[2]
        return address.path + "".join(parse_qs(address.query).get("prefix", []))


def test_a_fault_at_every_single_request_once(
    running: Running, s3_credentials: S3Server, proxy: FaultProxy, prefix: str,
    sound: Services, events: EventList,
) -> None:  # fmt: skip
    """Without retries in the store, so that the pipeline meets each fault."""
    store = S3Store(s3_credentials.PLAIN, prefix, endpoint=proxy.url, read_timeout=5, attempts=1)
    proxy.chooser = chooser = EachPlaceOnce()
    agreement_id = bring_to_rest(running.on(store, events), sound)
    assert_signed(sound, agreement_id, events)
    assert set(proxy.injected) == set(FAULTS)
    assert sum(proxy.injected.values()) == len(chooser.places) > 100


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_faults_at_random(
    running: Running, s3_credentials: S3Server, proxy: FaultProxy, prefix: str,
    sound: Services, events: EventList, seed: int,
) -> None:  # fmt: skip
    """Answers that come too late, too: the store then does what it was asked long after it was asked again."""
    store = S3Store(s3_credentials.PLAIN, prefix, endpoint=proxy.url, read_timeout=0.5)
    proxy.chooser = at_random(0.2, [*FAULTS, Fault.DELAY], seed=seed)
    agreement_id = bring_to_rest(running.on(store, events), sound)
    proxy.chooser = None
    assert_signed(sound, agreement_id, events)
    assert sum(proxy.injected.values()) > 5


# --- a full disk, and a store that is not there ---------------------------------------------------------------


def test_a_disk_that_is_full_again_and_again(running: Running, tmp_path: Path) -> None:
    """A real file system of 16 KiB that is doubled each time: another try then gets a little further."""
    store = tmp_path / "store"
    store.mkdir()
    unshare = ["unshare", "--mount", *(() if os.geteuid() == 0 else ("--user", "--map-root-user"))]
    if subprocess.run(
        [*unshare, "mount", "-t", "tmpfs", "try", store], check=False, capture_output=True
    ).returncode:
        pytest.skip("no private mounts on this system")
    done = subprocess.run(
        [*unshare, sys.executable, "-W", "error", "-m", "tests.full_disk", running.settings.home, store],
        check=False, env=child_environment(), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    *full, last = map(json.loads, done.stdout.splitlines())
    assert last["rest"] == "at-rest"
    assert all(attempt["half"] == [] for attempt in [*full, last])
    assert {a["code"] for a in full if "code" in a} == {"store"}
    assert all(a["raised"] == "store" and a["retryable"] for a in full if "raised" in a)
    assert all("No space left" in a["message"] for a in full if "raised" in a)
    assert len(full) > 5
    assert len({a.get("step") for a in full}) > 2


@contextmanager
def limited(kind: int, most: int) -> Iterator[None]:
    """This process may have no more than that (setrlimit(2)) for a while."""
    soft, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(kind, (soft, hard))


def test_a_document_that_the_disk_does_not_take(running: Running, events: EventList, tmp_path: Path) -> None:
    services = running.on(DirectoryStore(tmp_path / "store"), events)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill_the_disk(entry: Entry) -> None:
        if entry.type == "rendered":
            resource.setrlimit(resource.RLIMIT_FSIZE, (entry.data["revision"]["bytes"], hard))

    try:
        outcome = drive(services, submit(services), observe=fill_the_disk)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    parked = waiting(services, outcome.agreement.id)
    assert (parked.step, parked.code) == ("sign:seal", "store")
    assert "File too large" in parked.message
    assert "disk space" in parked.remedy
    assert half_files(tmp_path / "store") == []
    assert swept(services).rest is Rest.AT_REST
    assert_signed(services, outcome.agreement.id, events)


def test_a_store_that_cannot_be_looked_through_is_not_empty(
    running: Running, events: EventList, tmp_path: Path
) -> None:
    services = running.on(DirectoryStore(tmp_path / "store"), events)
    marker = submit(services)
    asked = (
        lambda: drive(services, marker),
        lambda: submit(services),
        lambda: list(sweep(services, everything=True)),
    )
    for ask in asked:
        with (
            limited(resource.RLIMIT_NOFILE, 0),
            pytest.raises(StoreError, match="Too many open files") as caught,
        ):
            ask()
        assert caught.value.retryable and not isinstance(caught.value, NotFound)
    away = (tmp_path / "store").rename(tmp_path / "not mounted")
    for ask in asked:
        with pytest.raises(StoreError) as caught:
            ask()
        assert caught.value.retryable and not isinstance(caught.value, NotFound)
    away.rename(tmp_path / "store")
    assert services.workbook.of(marker.agreement_id) == [marker]
    assert [e.type for e in services.ledger.read(marker.agreement_id)] == ["submitted"]
    assert events.events == []
