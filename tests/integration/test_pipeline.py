"""The pipeline on real LibreOffice and the development PKI: split, parked, crashed, and always to the same end."""

from __future__ import annotations

import json
import shutil
import uuid
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from service.adapters.templates import Catalogue
from service.bootstrap import open_services
from service.config import load_settings
from service.domain.agreement import Agreement, Status
from service.domain.steps import Capability
from service.errors import AlreadyExists, NotFound, RenderFailed
from service.pipeline.archive import check_against_log
from service.pipeline.drive import Rest, drive
from service.pipeline.intake import receive
from service.pipeline.services import Keys, Services, Typesetting
from service.pipeline.sweep import sweep
from service.pipeline.work import Marker, marker_key
from signing import TimestampClient, validate
from tests.fakes import EventList, MemoryStore

pytestmark = [pytest.mark.office, pytest.mark.pki]

ROOT = Path(__file__).parents[2]
EXAMPLE = json.loads((ROOT / "examples/minimal.json").read_text())


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Services whose LibreOffice and keys are shared by the tests; each test has a store of its own."""
    settings = load_settings({"SIGNERT_HOME": str(tmp_path_factory.mktemp("home"))})
    with open_services(settings, publisher=EventList(), hand_over=lambda *_: None) as services:
        yield services


@pytest.fixture
def events() -> EventList:
    return EventList()


@pytest.fixture
def services(opened: Services, events: EventList) -> Services:
    return replace(
        opened,
        store=MemoryStore(),
        publisher=events,
        open_typesetting=lambda: opened.typesetting,
        open_keys=lambda: opened.keys,
    )


def submit(services: Services) -> Marker:
    return receive(services, "submit", {"command_id": str(uuid.uuid4()), "agreement": EXAMPLE})


def assert_signed(services: Services, agreement: Agreement) -> None:
    version = agreement.current
    assert version.status is Status.SIGNED
    services.ledger.read(agreement.id)  # an unbroken chain
    document = services.ledger.get_blob(agreement.id, version.document.sha256, "pdf")
    assert check_against_log(version, document, validate(document, services.keys.trust)) == []
    assert list(services.store.list("work/")) == []


def test_rendering_and_signing_may_be_different_workers(services: Services, events: EventList) -> None:
    """The render side has no keys, the sign side no LibreOffice; between them travel ids."""
    handed: list[tuple[Capability, str, str]] = []
    split = replace(services, hand_over=lambda *message: handed.append(message))
    sides = {
        Capability.RENDER: replace(split, open_keys=None),
        Capability.SIGN: replace(split, open_typesetting=None),
    }
    outcome = drive(sides[Capability.SIGN], submit(services))
    route = []
    while outcome.rest is Rest.HANDED_OVER:
        capability, agreement_id, run = handed.pop()
        route.append(capability)
        marker = services.workbook.load(marker_key(agreement_id, run))
        assert marker
        outcome = drive(sides[capability], marker)
    assert route == [Capability.RENDER, Capability.SIGN, Capability.RENDER, Capability.SIGN]
    assert_signed(services, outcome.agreement)
    assert len({str(e["id"]) for e in events.events}) == len(events.events) == 5


def test_a_handed_over_agreement_whose_message_is_lost_is_swept(services: Services) -> None:
    only_sign = replace(services, open_typesetting=None)
    assert drive(only_sign, submit(services)).rest is Rest.HANDED_OVER
    (swept,) = sweep(services, everything=True)
    assert swept.outcome
    assert_signed(services, swept.outcome.agreement)


def test_without_a_timestamp_nothing_is_signed_and_all_waits(services: Services, events: EventList) -> None:
    def no_tsa() -> Keys:
        return replace(services.keys, timestamps=TimestampClient(("http://127.0.0.1:9/",), trust=None))

    marker = submit(services)
    for attempt in (1, 2):
        outcome = drive(replace(services, open_keys=no_tsa), marker)
        assert outcome.rest is Rest.PARKED
        assert outcome.parked
        assert (outcome.parked.code, outcome.parked.step) == ("timestamp_unavailable", "sign:seal")
        assert outcome.parked.attempts == attempt
        (marker,) = services.workbook.of(marker.agreement_id)
    assert len(outcome.agreement.current.revisions) == 1
    assert events.types == ["agreement.rendered"]  # told once, however often the step is tried
    (swept,) = sweep(services, everything=True)
    assert swept.outcome
    assert_signed(services, swept.outcome.agreement)


def test_a_parked_agreement_is_not_due_before_its_time(services: Services) -> None:
    class Broken:
        def start(self) -> str:
            return ""

        def to_pdf(self, docx: bytes, *, part: int = 2) -> bytes:
            raise RenderFailed("LibreOffice is gone")

    def broken() -> Typesetting:
        return replace(services.typesetting, office=Broken())

    outcome = drive(replace(services, open_typesetting=broken), submit(services))
    assert outcome.parked
    assert outcome.parked.code == "render_failed"
    assert list(sweep(services)) == []
    assert [s.outcome.rest for s in sweep(services, everything=True) if s.outcome] == [Rest.AT_REST]


def test_a_template_with_a_missing_variable_is_answered(
    services: Services, events: EventList, tmp_path: Path
) -> None:
    root = tmp_path / "templates"
    shutil.copytree(ROOT / "templates", root)
    broken = root / "tilretteleggingsavtale/1.0.1"
    shutil.copytree(root / "tilretteleggingsavtale/1.0.0", broken)
    manifest = broken / "manifest.toml"
    manifest.write_text(manifest.read_text().replace('version = "1.0.0"', 'version = "1.0.1"'))
    with zipfile.ZipFile(root / "tilretteleggingsavtale/1.0.0/nb.docx") as good:
        parts = {name: good.read(name) for name in good.namelist()}
    body = parts["word/document.xml"].replace(b"{{ position.title }}", b"{{ position.tittel }}")
    assert body != parts["word/document.xml"]
    with zipfile.ZipFile(broken / "nb.docx", "w") as bad:
        for name, part in {**parts, "word/document.xml": body}.items():
            bad.writestr(name, part)
    catalogue = Catalogue(root)
    catalogue.lock()

    template = {"name": "tilretteleggingsavtale", "version": "1.0.1"}
    payload = {"command_id": str(uuid.uuid4()), "agreement": {**EXAMPLE, "template": template}}
    given = replace(services, templates=catalogue)
    outcome = drive(given, receive(given, "submit", payload))
    assert outcome.rest is Rest.AT_REST
    assert outcome.agreement.current.status is Status.REJECTED
    (event,) = events.events
    data: Any = event["data"]
    assert (event["type"], data["code"], data["command_id"]) == (
        "agreement.rejected", "undefined_variable", payload["command_id"],
    )  # fmt: skip
    assert [e["path"] for e in data["errors"]] == ["agreement.template"]
    assert "tittel" in data["errors"][0]["message"]


def test_an_unforeseen_error_parks_without_its_text(services: Services) -> None:
    def fill(*_: object, **__: object) -> bytes:
        raise KeyError("17849431021")

    def broken() -> Typesetting:
        return replace(services.typesetting, fill=fill)

    outcome = drive(replace(services, open_typesetting=broken), submit(services))
    assert outcome.parked
    assert outcome.parked.code == "internal"
    assert "17849431021" not in " ".join(map(str, vars(outcome.parked).values()))


class Crash(BaseException):
    pass


class CrashingStore(MemoryStore):
    """Crashes once at each kind of write after each entry of the log: before the write and after it by turns."""

    def __init__(self) -> None:
        super().__init__()
        self.crashes = 0
        self._crashed: set[tuple[int, str]] = set()

    def create(self, key: str, body: bytes, *, retain_until: datetime | None = None) -> None:
        self._write(key, lambda: MemoryStore.create(self, key, body))

    def put(self, key: str, body: bytes) -> None:
        self._write(key, lambda: MemoryStore.put(self, key, body))

    def _write(self, key: str, write: Callable[[], None]) -> None:
        length = sum("/log/" in k for k in self.objects)
        blob = "/blobs/" in key
        kind = "log" if "/log/" in key else key.rpartition(".")[2] if blob else key.partition("/")[0]
        place = (length, kind)
        crashing = place not in self._crashed
        self._crashed.add(place)
        if crashing:
            self.crashes += 1
        if crashing and self.crashes % 2:
            raise Crash
        write()
        if crashing:
            raise Crash


def test_a_crash_at_every_single_write_loses_nothing(services: Services, events: EventList) -> None:
    store = CrashingStore()
    crashing = replace(services, store=store)
    payload = {"command_id": str(uuid.uuid4()), "agreement": EXAMPLE}
    outcome: Any = None
    while outcome is None:
        try:
            outcome = drive(crashing, receive(crashing, "submit", payload))
        except (Crash, AlreadyExists, NotFound):
            continue
        assert outcome.rest is Rest.AT_REST
    assert store.crashes > 20
    assert_signed(crashing, outcome.agreement)
    types = [e.type for e in crashing.ledger.read(outcome.agreement.id)]
    assert types.count("submitted") == types.count("rendered") == types.count("signed") == 1
    assert {"agreement.rendered", "agreement.party-signed", "agreement.signed"} <= set(events.types)
