"""Backup and restore: everything is lost but a copy that an ordinary tool made while workers wrote, and all goes on.

The order in which the tool copies is the one of docs/operations.md. A naive one shows why there has to be one.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from service.domain.agreement import Agreement, Status
from service.domain.folding import fold
from service.domain.ports import ObjectStore
from service.domain.steps import next_step
from service.pipeline.chain import read_chain
from service.pipeline.drive import Rest, drive
from service.pipeline.fsck import Severity, StoreCheck
from service.pipeline.intake import receive
from service.pipeline.recover import Recovered, recover
from service.pipeline.reindex import reindex
from service.pipeline.services import Services
from service.pipeline.sweep import sweep
from tests.agreements import Running, assert_signed, submit
from tests.copying import Buckets, Folders, Paced, Places, copy_store, documented_order, matching
from tests.fakes import EventList, MemoryStore

pytestmark = [pytest.mark.office, pytest.mark.pki]

ROOT = Path(__file__).parents[2]

MADE_ANEW = {"marker_missing", "command_lost", "index_missing"}
"""What a copy in the right order may lack: `recover` and `reindex` make it from the logs."""


@pytest.fixture(scope="module")
def signed(running: Running) -> tuple[str, MemoryStore]:
    """An agreement that is signed, in a store that nobody changes."""
    store = MemoryStore()
    services = running.on(store, EventList())
    return drive(services, submit(services)).agreement.id, store


@pytest.fixture(params=["directory", "s3"])
def places(request: pytest.FixtureRequest, tmp_path: Path) -> Places:
    if request.param == "directory":
        return Folders(tmp_path)
    return Buckets(request.getfixturevalue("s3_credentials"), uuid.uuid4().hex)


def test_a_copy_made_while_workers_write_goes_on_to_every_receipt(
    running: Running, places: Places, signed: tuple[str, MemoryStore]
) -> None:
    events = EventList()
    at_rest, objects = signed
    for key in objects.list():
        places.live().create(key, objects.get(key))
    services = running.on(places.live(), events)
    by_command = replace(services, sign_automatically=False)
    waiting = drive(by_command, submit(by_command)).agreement.id
    half_way = rendered(services)
    with running.pki.away():
        parked = drive(services, submit(services))
    assert parked.rest is Rest.PARKED
    paced = Paced(places.live())
    during = running.on(paced, events)

    def write() -> None:
        begun = submit(during)
        for marker in during.workbook.of(half_way):
            drive(during, marker)
        drive(during, begun)
        sign(replace(during, sign_automatically=False), waiting)

    with writing(paced, write):
        copy_store(places, documented_order(), between=lambda key: paced.grant(1) if key else None)

    copy = places.copy()
    told = [f for f in StoreCheck(copy, settle=0).run() if f.severity is Severity.ERROR]
    assert {f.code for f in told} <= MADE_ANEW, told
    ids = {at_rest, waiting, half_way, parked.agreement.id} | claimed(copy)
    assert len(ids) > 4, "no agreement began while the copy was made"
    assert any(next_step(a, services.clock.now()) for a in agreements(copy).values()), "nothing was half-way"

    restored = running.on(copy, events)
    bring_back(restored)
    for agreement_id in ids - {at_rest}:
        while agreements(copy)[agreement_id].current.status is Status.SIGNING:
            sign(restored, agreement_id)
        assert_signed(restored, agreement_id, events)
    assert agreements(copy).keys() == ids
    left = list(StoreCheck(copy, settle=0).run())
    assert {f.code for f in left} <= {"blob_orphaned"}, left  # what the lost store had written on
    assert not list(StoreCheck(copy, trust=restored.keys.trust, settle=0).run([at_rest]))
    assert recover(copy, restored.clock) == Recovered(
        agreements=len(ids), commands=len(claimed(copy, every=True))
    )


def test_an_agreement_whose_marker_came_too_late_for_the_copy_is_taken_up_again(
    running: Running, tmp_path: Path
) -> None:
    places, events = Folders(tmp_path), EventList()
    services = running.on(places.live(), events)
    agreement_id = rendered(services)

    def work_on(key: str | None) -> None:
        if key is None:  # the logs are copied; now it comes to rest, and its marker goes
            for marker in services.workbook.of(agreement_id):
                drive(services, marker)

    copy_store(places, documented_order(), between=work_on)
    copy = places.copy()
    assert [(f.code, f.where) for f in StoreCheck(copy, settle=0).run() if f.severity is Severity.ERROR] == [
        ("marker_missing", agreement_id)
    ]
    assert recover(copy, services.clock, dry_run=True).marked == [agreement_id]
    assert not list(copy.list("work/"))
    assert on_the_command_line(tmp_path, "recover")["marked"] == [agreement_id]
    assert on_the_command_line(tmp_path, "recover")["marked"] == []
    late = EventList()
    bring_back(running.on(copy, late))
    assert_signed(running.on(copy, late), agreement_id, late)  # also that all its events are told again


def test_a_command_and_a_deadline_that_the_copy_has_not_whole_are_taken_up_again(
    running: Running, tmp_path: Path
) -> None:
    places = Folders(tmp_path)
    services = replace(running.on(places.live(), EventList()), sign_automatically=False)
    waiting = drive(services, submit(services)).agreement.id

    def take_in(key: str | None) -> None:
        if key is None and not new:  # after the logs
            new.append(submit(services).agreement_id)

    new: list[str] = []
    copy_store(places, documented_order(), between=take_in)
    copy = places.copy()
    for key in [*copy.list("work/"), *copy.list("due/")]:
        copy.delete(key)
    done = recover(copy, services.clock)
    assert (done.marked, len(done.taken_up)) == ([waiting], 1)
    restored = running.on(copy, EventList())
    bring_back(restored)
    assert any(waiting in key for key in copy.list("due/"))
    assert_signed(restored, new[0])


def test_a_copy_in_the_order_of_keys_names_what_it_does_not_have(running: Running, tmp_path: Path) -> None:
    places = Folders(tmp_path)
    services = running.on(places.live(), EventList())
    agreement_id = rendered(services)

    def work_on(key: str | None) -> None:
        if key is None:  # the blobs are copied
            for marker in services.workbook.of(agreement_id):
                drive(services, marker)

    by_name = [matching("agreements/*/blobs/**"), matching("agreements/*/log/**")]
    copy_store(places, by_name, between=work_on)
    assert "blob_missing" in {f.code for f in StoreCheck(places.copy(), settle=0).run()}


# --- what workers do --------------------------------------------------------------------------------------


def rendered(services: Services) -> str:
    """An agreement that a worker without keys has brought as far as it could."""
    without_keys = replace(services, open_keys=None)
    outcome = drive(without_keys, submit(without_keys))
    assert outcome.rest is Rest.HANDED_OVER
    return outcome.agreement.id


def sign(services: Services, agreement_id: str) -> None:
    """All whose turn it is sign."""
    for party in fold(services.ledger.read(agreement_id)).current.open_parties():
        command = {"command_id": str(uuid.uuid4()), "agreement_id": agreement_id, "role": party.role}
        drive(services, receive(services, "sign", command))


@contextmanager
def writing(paced: Paced, write: Callable[[], None]) -> Iterator[None]:
    """A worker at work for as long as the context lasts, and then to its end."""
    faults: list[BaseException] = []

    def run() -> None:
        try:
            write()
        except BaseException as exc:  # noqa: BLE001 (told below)
            faults.append(exc)
        finally:
            paced.finished()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        paced.release()
        thread.join()
    assert faults == []


# --- what an operator does --------------------------------------------------------------------------------


def bring_back(services: Services) -> None:
    """What docs/operations.md says to do with a restored store, and a worker that takes it up."""
    reindex(services.store, services.pseudonyms)
    recover(services.store, services.clock)
    for _ in range(5):
        if not list(services.store.list("work/")):
            return
        list(sweep(services, everything=True))
    raise AssertionError(
        f"still not at rest: {[services.workbook.load(k) for k in services.store.list('work/')]}"
    )


def on_the_command_line(folder: Path, command: str) -> Any:
    store = f"file://{folder / 'copy'}"
    done = subprocess.run(
        [sys.executable, "-m", "service.entrypoints.cli", command, "--json"],
        cwd=ROOT, capture_output=True, check=True,
        env={"SIGNERT_HOME": str(folder / "home"), "SIGNERT_STORE": store, "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    return json.loads(done.stdout)


# --- what is in a store -----------------------------------------------------------------------------------


def agreements(store: ObjectStore) -> dict[str, Agreement]:
    ids = [i for i in store.folders("agreements/") if any(store.list(f"agreements/{i}/log/", limit=1))]
    return {i: read_chain(store, i).agreement for i in ids}


def claimed(store: ObjectStore, *, every: bool = False) -> Any:
    """The agreements of all commands that were taken in; with `every`, the commands."""
    claims = [json.loads(store.get(key)) for key in store.list("commands/")]
    return claims if every else {claim["agreement_id"] for claim in claims}
