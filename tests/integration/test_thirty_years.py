"""Thirty years by a moved clock: CAs and time-stamping units end and follow one another, signers expire or are revoked,
SHA-256, P-256 and RSA are retired, agreements are renewed by what stands under `due/`, and the first one validates.
"""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import Any

import pytest

from service.domain.agreement import SEAL, Agreement, Status, Version
from service.domain.folding import fold
from service.pipeline.archive import check_against_log, validate_version
from service.pipeline.drive import Rest, drive
from service.pipeline.fsck import StoreCheck
from service.pipeline.intake import receive
from service.pipeline.renewal_chain import judge_seals, sealed_receipts
from service.pipeline.renewals import agreement_ids, look_at, renew
from service.pipeline.services import Keys, Services
from service.pipeline.sweep import sweep
from service.schemas import event_schema
from service.schemas.renewal import RenewalReceiptSchema
from signing import (
    AlgorithmPolicy,
    Credential,
    EvidenceCollector,
    TimestampClient,
    TrustStore,
    validate,
    verify_detached,
)
from tests.agreements import Running, command
from tests.fakes import EventList, ManualClock, MemoryStore
from tests.long_lived_pki import LongLivedPki, serve

pytestmark = [pytest.mark.office, pytest.mark.pki]

YEAR = timedelta(days=365, hours=6)
START = datetime(2026, 11, 23, 9, tzinfo=UTC)
END = START + 30 * YEAR
DECIDED = datetime(2036, 6, 1, tzinfo=UTC)
RETIRED = "2038-12-01"
TODAY = resources.files("signing").joinpath("algorithms.toml").read_text("utf-8")
# What is decided in 2036: the algorithms that all began with are good for two and a half more years.
LATER = (
    TODAY.replace("sha256 = {}", f"sha256 = {{ ends = {RETIRED} }}")
    .replace("secp256r1 = {}", f"secp256r1 = {{ ends = {RETIRED} }}")
    .replace('padding = "pss"\nbits = 3000\n', f'padding = "pss"\nbits = 3000\nends = {RETIRED}\n')
)
assert LATER.count(RETIRED) == 3


@dataclass
class World:
    """A service that runs for thirty years, with an operator who keeps its keys, anchors and policy up to date."""

    pki: LongLivedPki
    clock: ManualClock
    running: Running
    store: MemoryStore
    events: EventList
    timestamps: TimestampClient
    evidence: EvidenceCollector

    @property
    def trust(self) -> TrustStore:
        policy = LATER if self.clock.now() > DECIDED else TODAY
        return self.pki.trust.accepting(AlgorithmPolicy.parse(policy))

    @property
    def services(self) -> Services:
        def credential(role: str) -> Credential | None:
            return self.pki.credential(role)

        usual = self.running.services.keys
        keys = Keys(
            credential=credential,
            timestamps=self.timestamps,
            evidence=self.evidence,
            trust=self.trust,
            font=usual.font,
            bold_font=usual.bold_font,
            now=self.clock.now,
        )
        return self.running.on(self.store, self.events, clock=self.clock, open_keys=lambda: keys)

    def send(self, name: str, **payload: Any) -> str:
        services = self.services
        outcome = drive(services, receive(services, name, {"command_id": str(uuid.uuid4()), **payload}))
        assert outcome.rest is Rest.AT_REST, outcome.parked
        return outcome.agreement.id

    def agreement(self, agreement_id: str) -> Agreement:
        return fold(self.services.ledger.read(agreement_id))

    def blob(self, agreement_id: str, sha256: str | None, extension: str = "pdf") -> bytes:
        return self.services.ledger.get_blob(agreement_id, str(sha256), extension)

    def live_until(self, end: datetime) -> None:
        """Sweep once a month."""
        while self.clock.now() < end:
            self.clock.advance(min(timedelta(days=30), end - self.clock.now()))
            services = self.services
            for swept in sweep(services):
                assert swept.outcome
                assert swept.outcome.rest is Rest.AT_REST
                parked = [m.parked and m.parked.message for m in services.workbook.of(swept.id)]
                assert parked == [], self.clock.now()


@pytest.fixture(scope="module")
def world(running: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    clock = ManualClock(START)
    with (
        serve(tmp_path_factory.mktemp("long-lived"), clock) as pki,
        closing(TimestampClient([pki.tsa_url], trust=None, clock=clock.now)) as timestamps,
        closing(EvidenceCollector()) as evidence,
    ):
        yield World(pki, clock, running, MemoryStore(), EventList(), timestamps, evidence)


def test_the_first_agreement_validates_after_thirty_years(world: World) -> None:
    agreement_id = world.send("submit", agreement=command()["agreement"])
    first = world.agreement(agreement_id).current
    early = world.blob(agreement_id, first.document.sha256)
    receipt = world.blob(agreement_id, first.receipt_sha256, "json")
    seal = world.blob(agreement_id, first.receipt_signature_sha256, "p7s")
    assert validate(early, world.trust, at=world.clock.now()).passed

    world.live_until(START + 1.5 * YEAR)
    world.pki.revoke("adviser", START.year)  # the other signers' certificates end a year later
    world.live_until(START + 3.3 * YEAR)
    patch = {"position": {"title": "Baker"}}
    world.send("amend", agreement_id=agreement_id, change=["position"], reason="Ny stilling.", patch=patch)
    world.live_until(DECIDED + timedelta(days=1))
    reckon_anew(world, agreement_id)
    world.live_until(END)

    agreement = world.agreement(agreement_id)
    assert [v.status for v in agreement.versions] == [Status.SIGNED, Status.SIGNED]
    for version in agreement.versions:
        assert_proven(world, agreement, version)
    check = StoreCheck(world.store, trust=world.trust, at=END, settle=0)
    assert list(check.run()) == []
    assert_told(world, agreement)

    # Who did not renew has nothing left.
    assert world.blob(agreement_id, agreement.versions[0].document.sha256).startswith(early)
    assert not validate(early, world.trust, at=END).passed
    assert verify_detached(receipt, seal, world.trust, at=END).indication != "TOTAL-PASSED"
    halfway = next(r for r in agreement.versions[0].renewals if r.at > "2036").document_sha256
    assert not validate(world.blob(agreement_id, halfway), world.trust, at=END).passed


def reckon_anew(world: World, agreement_id: str) -> None:
    """What the operator does after the policy has changed: what rests on SHA-256 has to be renewed sooner."""
    services = world.services
    before = [v.schedule for v in world.agreement(agreement_id).versions]
    (dry,) = look_at(services, agreement_ids(world.store), anew=True)
    assert [v.schedule for v in world.agreement(agreement_id).versions] == before
    (done,) = renew(services, agreement_ids(world.store))
    assert done.versions == dry.versions
    for now, then in zip(world.agreement(agreement_id).versions, before, strict=True):
        assert now.schedule and then
        assert (now.schedule.reason, now.schedule.ends[:10]) == ("algorithm", RETIRED)
        assert now.schedule.renew_by < then.renew_by
    entries = len(services.ledger.read(agreement_id))
    assert [found.code for found in renew(services, agreement_ids(world.store))] == [None]
    assert len(services.ledger.read(agreement_id)) == entries  # a second time says nothing new


def assert_proven(world: World, agreement: Agreement, version: Version) -> None:
    document = world.blob(agreement.id, version.document.sha256)
    report = validate_version(version, document, world.trust, at=END)
    assert check_against_log(version, document, report) == []
    assert {(s.indication, s.level) for s in report.signatures} == {("TOTAL-PASSED", "B-LTA")}
    assert len(report.signatures) == 4
    assert len(report.document_timestamps) >= (7 if version.number == 1 else 4)
    assert all(t.indication == "TOTAL-PASSED" for t in report.document_timestamps)
    algorithms = [t.algorithm for t in report.document_timestamps]
    assert algorithms == sorted(algorithms)
    assert set(algorithms) == {"ECDSA P-256, SHA-256", "ECDSA P-384, SHA-384"}
    page = validate(world.blob(agreement.id, version.receipt_pdf_sha256), world.trust.of(SEAL), at=END)
    assert page.passed
    assert {s.level for s in page.signatures} == {"B-LTA"}

    def read(key: str) -> bytes:
        return world.store.get(key)

    receipts = sealed_receipts(agreement.id, version, read)
    assert [s.indication for s in judge_seals(receipts, world.trust, at=END)] == ["TOTAL-PASSED"] * len(
        receipts
    )
    assert len(receipts) == 1 + len(version.renewals)
    for number, renewal in enumerate(receipts[1:], 1):
        stated = json.loads(renewal.body)
        assert RenewalReceiptSchema().validate(stated) == {}
        assert (stated["number"], stated["agreement"]["version"]) == (number, version.number)
    # Without the last link but one, the chain does not reach back.
    broken = [*receipts[:-2], receipts[-1]]
    assert judge_seals(broken, world.trust, at=END)[0].indication != "TOTAL-PASSED"


def assert_told(world: World, agreement: Agreement) -> None:
    """One event for each renewal, that its schema knows."""
    renewed = {str(e["id"]): e for e in world.events.events if e["type"] == "agreement.timestamp-renewed"}
    for event in renewed.values():
        assert event_schema("agreement.timestamp-renewed").validate(dict(event)) == {}
    data: list[Any] = [event["data"] for event in renewed.values()]
    told = Counter(d["version"] for d in data)
    assert told == {v.number: len(v.renewals) for v in agreement.versions}
    assert {d["reason"] for d in data} == {"certificate", "algorithm"}
