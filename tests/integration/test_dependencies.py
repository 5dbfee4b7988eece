"""TSA, OCSP and CRL, LibreOffice and the broker fail: the agreement waits, says why, and ends by itself."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from kombu import Connection, Queue

from service.adapters.broker import EmbeddedBroker
from service.adapters.directory import DirectoryStore
from service.adapters.office import Office, OfficeSettings
from service.background import child_environment
from service.bootstrap import event_publisher
from service.domain.folding import fold
from service.domain.log import Entry
from service.domain.steps import next_step
from service.pipeline.drive import Outcome, Rest, drive
from service.pipeline.services import Services
from service.pipeline.sweep import sweep
from service.pipeline.work import Parked
from service.transport import Broker
from signing import EvidenceCollector, TimestampClient, validate
from tests.agreements import Running, assert_signed, levels, submit, swept, waiting
from tests.fakes import EventList
from tests.faultproxy import Fault, FaultProxy, Request, meeting
from tests.processes import soffice_of, stop, wait_until

pytestmark = [pytest.mark.office, pytest.mark.pki]


@pytest.fixture
def events() -> EventList:
    return EventList()


@pytest.fixture
def services(running: Running, events: EventList, tmp_path: Path) -> Services:
    return running.on(DirectoryStore(tmp_path / "store"), events)


# --- the TSA, the OCSP responder, the CRLs --------------------------------------------------------------------

TROUBLE = {
    "refused": None,
    "slow": Fault.DELAY,
    "dripping": Fault.DRIP,
    "reset": Fault.RESET,
    "status 500": Fault.ANSWER_500,
    "web page": Fault.NONSENSE,
    "empty": Fault.EMPTY,
    "cut": Fault.CUT_ANSWER,
    "signature does not verify": Fault.ALTERED,
}
PATIENCE = 0.2
"""Seconds that a client waits for a slow answer, which takes twice that."""
TSA_REMEDY = "try again later, or name another authority"


def patience(name: str) -> float:
    return PATIENCE if name in {"slow", "dripping"} else 10.0


@contextlib.contextmanager
def trouble(proxy: FaultProxy, fault: Fault | None, *parts: str) -> Iterator[None]:
    """What lies under `parts` of the PKI's addresses answers with this fault; None: nobody listens."""
    if fault is None:
        with proxy.away():
            yield
        return
    proxy.delay, proxy.chooser = 2 * PATIENCE, meeting(fault, *parts)
    try:
        yield
    finally:
        proxy.chooser = None


@contextlib.contextmanager
def clients(services: Services, *, tsa: float = 10.0, revocation: float = 10.0) -> Iterator[Services]:
    """The same services with new clients, which have kept no CRL, and these time limits."""
    keys = services.keys
    with (
        closing(TimestampClient(keys.timestamps.urls, trust=keys.trust, timeout=tsa)) as timestamps,
        closing(EvidenceCollector(timeout=revocation)) as evidence,
    ):
        own = replace(keys, timestamps=timestamps, evidence=evidence)
        yield replace(services, open_keys=lambda: own)


def assert_waits(services: Services, outcome: Outcome, step: str, code: str) -> Parked:
    """Parked there and for that, visibly, and nothing was done in spite of it."""
    parked = waiting(services, outcome.agreement.id)
    assert (outcome.rest, outcome.parked) == (Rest.PARKED, parked)
    assert (parked.step, parked.code) == (step, code)
    assert datetime.fromisoformat(parked.retry_at) > datetime.now(UTC)
    agreement = fold(services.ledger.read(outcome.agreement.id))
    assert step in {"publish", str(next_step(agreement, services.clock.now()))}
    return parked


def shown(home: Path, agreement_id: str, *options: str) -> str:
    """What `signert show` prints, for the store in `home`."""
    done = subprocess.run(
        [sys.executable, "-m", "service.entrypoints.cli", "show", agreement_id, *options],
        env=child_environment() | {"SIGNERT_HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def after(passes: int, fault: Fault, part: str) -> Callable[[Request], Fault | None]:
    """Chooses `fault` for what asks for `part`, except the first `passes` times."""
    asked = iter(range(passes))

    def choose(request: Request) -> Fault | None:
        return fault if part in request.path and next(asked, None) is None else None

    return choose


STEPS = {
    "sign:seal": list(TROUBLE),
    "sign:participant": ["refused", "reset"],
    "sign:employer": ["status 500", "empty"],
    "sign:adviser": ["web page", "signature does not verify"],
    "augment": ["refused", "slow", "cut", "signature does not verify"],
    "issue-receipt": list(TROUBLE),
}
"""Every step that needs the TSA, and the trouble it meets there."""


def test_no_tsa_in_any_step(running: Running, services: Services, events: EventList) -> None:
    pki = running.pki
    with trouble(pki, Fault.ANSWER_500, "/tsa"):
        outcome = drive(services, submit(services))
    for step, names in STEPS.items():
        for attempt, name in enumerate(names, 2):
            with clients(services, tsa=patience(name)) as own, trouble(pki, TROUBLE[name], "/tsa"):
                outcome = swept(own)
            # Evidence is fetched before the document timestamp, and from the same server.
            evidence_first = step == "augment" and name == "refused"
            code = "revocation_unavailable" if evidence_first else "timestamp_unavailable"
            parked = assert_waits(services, outcome, step, code)
            assert parked.attempts == attempt
            assert pki.url in parked.message
        assert "agreement.signed" not in events.types
        assert levels(services, outcome.agreement) <= {"B-T", "B-LTA"}
        if step != "issue-receipt":  # the TSA is back for the one token of this step
            pki.chooser = after(1, Fault.RESET, "/tsa")
            outcome = swept(services)
    pki.chooser = None
    assert swept(services).rest is Rest.AT_REST
    assert_signed(services, outcome.agreement.id, events)
    assert len(events.events) == 5  # each once, however often the steps were tried


def test_no_evidence_about_revocation(running: Running, services: Services, events: EventList) -> None:
    """Neither OCSP nor CRL, for the document and then for the receipt."""
    pki, status = running.pki, ("/ocsp", ".crl")
    only_sign = replace(services, open_typesetting=None)
    with clients(services) as own, trouble(pki, Fault.ANSWER_500, *status):
        outcome = drive(own, submit(services))
    for step, able in (("augment", only_sign), ("issue-receipt", services)):
        for name, fault in TROUBLE.items():
            if step == "issue-receipt" and name == "refused":
                continue  # then there is no TSA either, and this step asks it first
            with clients(services, revocation=patience(name)) as own, trouble(pki, fault, *status):
                outcome = swept(own)
            assert_waits(services, outcome, step, "revocation_unavailable")
        with clients(able) as own:
            with trouble(pki, Fault.ALTERED, *status):
                assert swept(own).rest is Rest.PARKED
            outcome = swept(own)  # what did not verify has not been kept
    assert_signed(services, outcome.agreement.id, events)


def test_a_crl_does_where_ocsp_is_down(running: Running, services: Services, events: EventList) -> None:
    with clients(services) as own, trouble(running.pki, Fault.ANSWER_503, "/ocsp"):
        marker = submit(services)
        assert drive(own, marker).rest is Rest.AT_REST
    assert_signed(services, marker.agreement_id, events)


def test_show_says_why_it_waits_and_until_when(running: Running, services: Services, tmp_path: Path) -> None:
    with trouble(running.pki, Fault.ANSWER_503, "/tsa"):
        parked = drive(services, marker := submit(services)).parked
    assert parked
    (told,) = json.loads(shown(tmp_path, marker.agreement_id, "--json"))["waiting"]
    assert told == vars(parked)
    text = shown(tmp_path, marker.agreement_id)
    for part in ("sign:seal", parked.code, "HTTP status 503", running.pki.url, parked.retry_at, TSA_REMEDY):
        assert part in text
    assert swept(services).rest is Rest.AT_REST
    assert services.workbook.of(marker.agreement_id) == []


def test_the_grace_period_parks_until_it_is_over(
    running: Running, services: Services, events: EventList, tmp_path: Path
) -> None:
    patient = replace(services, revocation_grace=timedelta(hours=1))
    outcome = drive(patient, marker := submit(services))
    parked = assert_waits(patient, outcome, "augment", "revocation_too_early")
    document = services.ledger.get_blob(marker.agreement_id, outcome.agreement.current.document.sha256, "pdf")
    last = max(s.time for s in validate(document, services.keys.trust).signatures if s.time)
    assert datetime.fromisoformat(parked.retry_at) == last + timedelta(hours=1)
    assert list(sweep(patient)) == []  # it is nobody's work before that
    text = shown(tmp_path, marker.agreement_id)
    for part in ("augment", "revocation_too_early", "grace period", parked.retry_at):
        assert part in text

    def evidence_is_from_after_it() -> bool:
        with clients(replace(services, revocation_grace=timedelta(seconds=1))) as own:
            return swept(own).rest is Rest.AT_REST

    wait_until(evidence_is_from_after_it)
    assert_signed(services, marker.agreement_id, events)


# --- LibreOffice ----------------------------------------------------------------------------------------------


def test_libreoffice_hangs_dies_and_grows_old(
    running: Running, services: Services, events: EventList, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is stopped over a document, then killed over one, and then replaced after each."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    settings = OfficeSettings(timeout_seconds=2, recycle_after=1)
    with Office(settings) as office:
        typesetting = replace(running.services.typesetting, office=office)
        own = replace(services, open_typesetting=lambda: typesetting)
        groups = set()

        office.start()
        groups.add(office.process_group)
        stop(soffice_of(office))
        outcome = drive(own, submit(own))
        parked = assert_waits(own, outcome, "render", "render_timeout")
        assert "fresh instance" in parked.remedy

        office.start()
        groups.add(office.process_group)
        soffice = soffice_of(office)
        stop(soffice)
        with ThreadPoolExecutor(1) as pool:
            sweeping = pool.submit(swept, own)
            wait_until(lambda: any(tmp_path.glob("signert-office-*/in.docx")))
            os.kill(soffice, signal.SIGKILL)
            outcome = sweeping.result()
        assert_waits(own, outcome, "render", "render_failed")

        while outcome.rest is not Rest.AT_REST:  # a busy machine may need more than the time limit
            outcome = swept(own)
        groups.add(office.process_group)
        assert office.process_group is None  # the instance for the receipt has been replaced already
    assert not any(tmp_path.glob("signert-office-*"))
    assert_signed(own, outcome.agreement.id, events)


# --- the broker -----------------------------------------------------------------------------------------------


def ids_on_the_queue(url: str) -> list[str]:
    with Connection(url) as connection, connection.channel() as channel:
        queue, ids = Queue("signert.events", channel=channel), []
        while (message := queue.get()) is not None:
            message.ack()
            assert message.properties["message_id"] == json.loads(message.body)["id"]
            ids.append(str(message.properties["message_id"]))
        return ids


@pytest.mark.broker
def test_events_wait_for_the_broker(running: Running, services: Services, tmp_path: Path) -> None:
    broker = EmbeddedBroker(tmp_path / "broker")
    url = broker.ensure_running()

    def end_of_the_broker(entry: Entry) -> None:
        if entry.type == "party-signed":
            broker.stop()

    with event_publisher(Broker(url)) as publisher:
        own = replace(services, publisher=publisher)
        outcome = drive(own, submit(own), observe=end_of_the_broker)
        parked = assert_waits(own, outcome, "publish", "broker_unavailable")
        assert "SIGNERT_BROKER" in parked.remedy
        assert outcome.agreement.head.type == "party-signed"  # it stands in the log before it is told
        assert swept(own).parked  # and while the broker is away nothing goes on in silence
        assert broker.ensure_running() == url
        assert swept(own).rest is Rest.AT_REST
    entries = assert_signed(own, outcome.agreement.id)
    assert ids_on_the_queue(url) == [str(e["id"]) for entry in entries for e in entry.cloud_events()]
    broker.stop()
