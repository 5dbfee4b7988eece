"""Thirty years by a moved clock: CAs and time-stamping units end and follow one another, signers expire and are revoked,
SHA-256 and P-256 are retired, and agreements are renewed by what stands under `due/`. At the end the first one validates.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import Any

import pytest

from service.domain.agreement import Agreement, Status
from service.domain.folding import fold
from service.pipeline.archive import check_against_log, validate_version
from service.pipeline.drive import Rest, drive
from service.pipeline.intake import receive
from service.pipeline.services import Keys, Services
from service.pipeline.sweep import sweep
from signing import AlgorithmPolicy, Credential, EvidenceCollector, TimestampClient, TrustStore, validate
from tests.agreements import Running, command
from tests.fakes import EventList, ManualClock, MemoryStore
from tests.long_lived_pki import LongLivedPki, serve

pytestmark = [pytest.mark.office, pytest.mark.pki]

YEAR = timedelta(days=365, hours=6)
START = datetime(2026, 11, 23, 9, tzinfo=UTC)
END = START + 30 * YEAR
RETIRED = START.year + 15
TODAY = resources.files("signing").joinpath("algorithms.toml").read_text("utf-8")
# What is decided after nine years: the algorithms that all began with are good for six more years.
LATER = (
    TODAY.replace("sha256 = {}", f"sha256 = {{ ends = {RETIRED}-01-01 }}")
    .replace("secp256r1 = {}", f"secp256r1 = {{ ends = {RETIRED}-01-01 }}")
    .replace('padding = "pss"\nbits = 3000\n', f'padding = "pss"\nbits = 3000\nends = {RETIRED}-01-01\n')
)


@dataclass
class World:
    """A service that runs for thirty years, with an operator who keeps its keys, anchors and policy up to date."""

    pki: LongLivedPki
    clock: ManualClock
    running: Running
    store: MemoryStore
    events: EventList

    @property
    def trust(self) -> TrustStore:
        policy = LATER if self.clock.now() > START + 9 * YEAR else TODAY
        return self.pki.trust.accepting(AlgorithmPolicy.parse(policy))

    @property
    def services(self) -> Services:
        def credential(role: str) -> Credential | None:
            return self.pki.credential(role)

        trust = self.trust
        keys = Keys(
            credential=credential,
            timestamps=TimestampClient([self.pki.tsa_url], trust=trust),
            evidence=EvidenceCollector(),
            trust=trust,
            font=self.running.services.keys.font,
            bold_font=self.running.services.keys.bold_font,
            now=self.clock.now,
        )
        return self.running.on(self.store, self.events, clock=self.clock, open_keys=lambda: keys)

    def send(self, name: str, payload: dict[str, Any]) -> str:
        services = self.services
        outcome = drive(services, receive(services, name, {"command_id": str(uuid.uuid4()), **payload}))
        assert outcome.parked is None, outcome.parked
        assert outcome.rest is Rest.AT_REST
        return outcome.agreement.id

    def agreement(self, agreement_id: str) -> Agreement:
        return fold(self.services.ledger.read(agreement_id))

    def live_until(self, end: datetime) -> None:
        """Sweep once a month."""
        while self.clock.now() < end:
            self.clock.advance(min(timedelta(days=30), end - self.clock.now()))
            services = self.services
            for swept in sweep(services):
                assert swept.outcome
                assert swept.outcome.rest is Rest.AT_REST
                waiting = [m.parked and m.parked.message for m in services.workbook.of(swept.id)]
                if waiting:
                    import pickle

                    pickle.dump(
                        (self.store.objects, self.clock.now(), self.trust.anchors),
                        open("/tmp/wt-ren-debug.pickle", "wb"),
                    )
                    print(waiting)
                assert waiting == [], (self.clock.now(), str(waiting))


@pytest.fixture(scope="module")
def world(running: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    clock = ManualClock(START)
    with serve(tmp_path_factory.mktemp("long-lived"), clock) as pki:
        yield World(pki, clock, running, MemoryStore(), EventList())


def reconsider(world: World) -> None:
    pass


def test_the_first_agreement_validates_after_thirty_years(world: World) -> None:
    agreement_id = world.send("submit", {"agreement": command()["agreement"]})
    first = world.agreement(agreement_id).current
    early = world.services.ledger.get_blob(agreement_id, first.document.sha256, "pdf")
    assert validate(early, world.trust, at=world.clock.now()).passed

    world.live_until(START + 1.5 * YEAR)
    world.pki.revoke("adviser", START.year)
    world.live_until(START + 3.3 * YEAR)
    change = {"change": ["position"], "reason": "Ny stilling.", "patch": {"position": {"title": "Baker"}}}
    world.send("amend", {"agreement_id": agreement_id, **change})
    assert [v.status for v in world.agreement(agreement_id).versions] == [Status.SIGNED, Status.SIGNED]
    world.live_until(START + 9.1 * YEAR)
    reconsider(world)
    world.live_until(END)

    agreement = world.agreement(agreement_id)
    for version in agreement.versions:
        document = world.services.ledger.get_blob(agreement_id, version.document.sha256, "pdf")
        report = validate_version(version, document, world.trust, at=world.clock.now())
        print(
            version.number,
            report.indication,
            report.sub_indication,
            [(r.at[:10], r.reason, r.digest, r.head[0]) for r in version.renewals],
        )
        print(
            [
                (t.time and t.time.date().isoformat(), t.algorithm, t.indication, t.sub_indication)
                for t in report.document_timestamps
            ]
        )
        print([(t.field, t.level, t.indication, t.sub_indication) for t in report.signatures])
        assert report.passed
        assert {s.level for s in report.signatures} == {"B-LTA"}
        assert check_against_log(version, document, report) == []
