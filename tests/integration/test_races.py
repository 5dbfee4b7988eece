"""Many at once, on both stores: one chain, one document, no lost update, and each command has one answer."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from service.adapters.directory import DirectoryStore
from service.adapters.s3 import S3Store
from service.bootstrap import open_services
from service.config import load_settings
from service.domain.log import Entry
from service.domain.ports import ObjectStore
from service.errors import CommandRejected
from service.pipeline.drive import Rest, drive
from service.pipeline.intake import receive
from service.pipeline.services import Services
from service.pipeline.work import Marker
from tests.agreements import Running, assert_signed, command, submit, swept
from tests.fakes import EventList
from tests.s3server import S3Server

RACERS = 8
ROUNDS = 2

T = TypeVar("T")
OpenStore = Callable[[], ObjectStore]


@pytest.fixture(params=["directory", "s3"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> OpenStore:
    """Opens the same store anew, as another worker would."""
    if request.param == "directory":
        return lambda: DirectoryStore(tmp_path / "store")
    server: S3Server = request.getfixturevalue("s3_credentials")
    prefix = f"races/{uuid.uuid4()}"
    return lambda: S3Store(server.PLAIN, prefix, endpoint=server.endpoint)


def at_once(calls: Sequence[Callable[[], T]]) -> list[T]:
    """What each of the calls gives; they begin together."""
    start = threading.Barrier(len(calls))

    def run(call: Callable[[], T]) -> T:
        start.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


# --- eight workers on one agreement ---------------------------------------------------------------------------


class Killed(BaseException):
    """The worker's end, as SIGKILL would bring it."""


DEATHS = (1, 3, 5, 7, 9, 10, 12)
"""After which entry of the log each of seven workers ends: with it written, and its events not yet told."""


@pytest.mark.office
@pytest.mark.pki
@pytest.mark.parametrize(
    ("open_store", "last_death"), [("directory", 8), ("s3", None)], indirect=["open_store"]
)
def test_eight_workers_on_one_agreement_of_whom_most_die(
    running: Running, open_store: OpenStore, last_death: int | None
) -> None:
    """Each has services, keys and events of its own; LibreOffice alone is shared, for the machine's sake.

    The eighth brings it to its end, or dies too: then the sweeper does.
    """
    published = [EventList() for _ in range(RACERS)]
    marker = submit(running.on(open_store(), published[0]))

    def work(events: EventList, death: int | None) -> Rest | None:
        def observe(entry: Entry) -> None:
            if death is not None and entry.seq >= death:
                raise Killed

        with open_services(running.settings, publisher=events, hand_over=lambda *_: None) as opened:
            own = replace(opened, store=open_store(), open_typesetting=lambda: running.services.typesetting)
            try:
                return drive(own, marker, observe=observe).rest
            except Killed:
                return None

    deaths = [*DEATHS, last_death]
    rests = at_once([lambda racer=racer: work(*racer) for racer in zip(published, deaths, strict=True)])
    together = EventList()
    together.events = [event for events in published for event in events.events]
    services = running.on(open_store(), together)
    if last_death is None:
        assert rests == [None] * len(DEATHS) + [Rest.AT_REST]
    else:
        assert rests == [None] * RACERS
        outcome = swept(services)
        assert (outcome.parked, outcome.rest) == (None, Rest.AT_REST)
    entries = assert_signed(services, marker.agreement_id, together)
    of_the_log = {str(e["id"]): e for entry in entries for e in entry.cloud_events()}
    assert all(of_the_log[str(event["id"])] == event for event in together.events)


# --- commands that come at once -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Services that take commands in; neither LibreOffice nor a key is opened."""
    settings = load_settings({"SIGNERT_HOME": str(tmp_path_factory.mktemp("home"))})
    with open_services(settings, publisher=EventList(), hand_over=lambda *_: None) as services:
        yield services


def answers(services: Services, open_store: OpenStore, payloads: Sequence[Any]) -> list[Marker | str]:
    """For each of the commands, taken in at once by workers of their own: the marker, or the code of the refusal."""

    def take_in(payload: Any) -> Marker | str:
        try:
            return receive(replace(services, store=open_store()), "submit", payload)
        except CommandRejected as refused:
            return refused.code

    return at_once([lambda payload=payload: take_in(payload) for payload in payloads])


def assert_taken_in_once(services: Services, command_id: str, agreement_id: str) -> None:
    (entry,) = services.ledger.read(agreement_id)
    assert (entry.type, entry.data["command_id"]) == ("submitted", command_id)
    assert [m.run for m in services.workbook.of(agreement_id)] == [command_id]


def test_the_same_command_eight_times(services: Services, open_store: OpenStore) -> None:
    seen = replace(services, store=open_store())
    for _ in range(ROUNDS):
        payload = command()
        markers = answers(services, open_store, [payload] * RACERS)
        assert {m.run if isinstance(m, Marker) else m for m in markers} == {payload["command_id"]}
        (agreement_id,) = {m.agreement_id for m in markers if isinstance(m, Marker)}
        assert_taken_in_once(seen, payload["command_id"], agreement_id)


def test_one_command_id_for_eight_contents(services: Services, open_store: OpenStore) -> None:
    seen = replace(services, store=open_store())
    for _ in range(ROUNDS):
        command_id = str(uuid.uuid4())
        payloads = [
            {**command(position={"title": f"Butikkmedarbeider {number}"}), "command_id": command_id}
            for number in range(RACERS)
        ]
        told = answers(services, open_store, payloads)
        (marker,) = (m for m in told if isinstance(m, Marker))
        assert Counter(c for c in told if isinstance(c, str)) == {"command_id_reused": RACERS - 1}
        assert_taken_in_once(seen, command_id, marker.agreement_id)
        kept = seen.ledger.read(marker.agreement_id)[0].data["input_sha256"]
        winner = payloads[told.index(marker)]["agreement"]["position"]
        assert seen.ledger.get_json(marker.agreement_id, kept)["position"] == winner
        # However often they come again, each gets the answer that it got.
        assert answers(services, open_store, payloads[::-1]) == told[::-1]


def test_eight_commands_for_one_agreement(services: Services, open_store: OpenStore) -> None:
    seen = replace(services, store=open_store())
    for _ in range(ROUNDS):
        agreement_id = str(uuid.uuid4())
        payloads = [command(id=agreement_id) for _ in range(RACERS)]
        told = answers(services, open_store, payloads)
        (marker,) = (m for m in told if isinstance(m, Marker))
        assert Counter(c for c in told if isinstance(c, str)) == {"agreement_exists": RACERS - 1}
        assert_taken_in_once(seen, payloads[told.index(marker)]["command_id"], agreement_id)
        assert answers(services, open_store, payloads) == told
