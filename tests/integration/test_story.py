"""One agreement's life, as examples/story tells it: six versions, each verified, history readable."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from service.domain.agreement import Agreement, PartyStatus, Status
from service.domain.folding import fold
from service.pipeline.archive import check_against_log
from service.pipeline.drive import Rest, drive
from service.pipeline.fsck import StoreCheck
from service.pipeline.history import compare, history
from service.pipeline.intake import receive
from service.pipeline.render import typeset_version
from service.pipeline.services import Services
from signing import validate
from tests.agreements import running_services
from tests.fakes import EventList, ManualClock, MemoryStore
from tests.story import Story

STORY = Path(__file__).parents[2] / "examples/story"


@dataclass(frozen=True)
class Told:
    services: Services
    events: EventList
    agreement: Agreement

    def data(self, number: int) -> dict[str, Any]:
        return self.services.ledger.get_json(
            self.agreement.id, self.agreement.versions[number - 1].input_sha256
        )

    def receipt(self, number: int) -> dict[str, Any]:
        return self.services.ledger.get_json(
            self.agreement.id, str(self.agreement.versions[number - 1].receipt_sha256)
        )

    def text(self, number: int) -> str:
        sha256 = self.agreement.versions[number - 1].document.sha256
        pdf = self.services.ledger.get_blob(self.agreement.id, sha256, "pdf")
        return " ".join(self.services.typesetting.pdf.text(pdf).split())


def carry_out(services: Services, name: str, fields: Mapping[str, Any]) -> Agreement:
    marker = receive(services, name, {"command_id": str(uuid.uuid4()), **fields})
    outcome = drive(services, marker)
    assert outcome.rest is Rest.AT_REST, outcome.parked
    assert outcome.agreement.current.status is Status.SIGNED
    return outcome.agreement


def sign_by_word(services: Services, agreement_id: str) -> None:
    """All steps to the receipt, as entries in the log that tell of documents that are not there."""
    entries = services.ledger.read(agreement_id)
    story = Story.of(entries, ManualClock(services.clock.now()))
    story.rest()
    for entry in story.entries[len(entries) :]:
        services.store.create(entry.key, entry.body)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    files = {p.name: json.loads(p.read_text()) for p in sorted(STORY.glob("*.json"))}
    submitted = files.pop("1-submit.json")
    with running_services(tmp_path_factory.mktemp("story")) as running:
        events = EventList()
        services = running.on(MemoryStore(), events)
        # It began with the template of those days; the first change is printed with the newest.
        older = {**submitted, "template": {"name": "tilretteleggingsavtale", "version": "1.0.0"}}
        agreement = carry_out(services, "submit", {"agreement": older})
        for name, fields in files.items():
            command = "terminate" if "termination" in name else "amend"
            agreement = carry_out(services, command, {"agreement_id": agreement.id, **fields})
        yield Told(services, events, agreement)


def test_every_version_is_signed_by_whom_it_concerns_and_verified(told: Told) -> None:
    signed = [{p.role for p in v.parties if p.status is PartyStatus.SIGNED} for v in told.agreement.versions]
    everybody = {"participant", "employer", "adviser"}
    assert signed == [
        everybody | {"decider"}, everybody, {"employer", "adviser"}, everybody, {"adviser"}, {"adviser"},
    ]  # fmt: skip
    for version in told.agreement.versions:
        document = told.services.ledger.get_blob(told.agreement.id, version.document.sha256, "pdf")
        report = validate(document, told.services.keys.trust)
        assert check_against_log(version, document, report) == []
        assert {s.level for s in report.signatures} == {"B-LTA"}
    assert told.agreement.in_force is told.agreement.current
    assert told.agreement.current.terminates


def test_the_whole_store_is_sound(told: Told) -> None:
    check = StoreCheck(told.services.store, trust=told.services.keys.trust)
    assert [f for f in check.run() if f.severity == "error"] == []


def test_receipts_are_a_chain(told: Told) -> None:
    assert told.receipt(1)["supersedes"] is None
    for number, version in enumerate(told.agreement.versions[:-1], start=1):
        assert told.receipt(number + 1)["supersedes"] == {
            "version": number,
            "sha256": version.document.sha256,
            "receipt_sha256": version.receipt_sha256,
        }


def test_events_tell_what_took_whose_place(told: Told) -> None:
    found = [(e["type"], e["data"]["version"]) for e in told.events.events]  # type: ignore[index]
    assert [n for t, n in found if t == "agreement.amended"] == [2, 3, 4, 5, 6]
    assert [n for t, n in found if t == "agreement.superseded"] == [1, 2, 3, 4, 5]
    assert [n for t, n in found if t == "agreement.terminated"] == [6]
    assert [n for t, n in found if t == "agreement.signed"] == [1, 2, 3, 4, 5, 6]


def test_each_document_says_what_changed_and_why(told: Told) -> None:
    for number in range(2, 6):
        assert told.data(number)["amendment"]["reason"] in told.text(number)
    assert "Lyset over symaskinen blender og gir hodepine." in told.text(2)
    assert "Lampe med justerbart lys til arbeidsbordet" in told.text(3)
    assert "31. mai 2037" in told.text(4)  # what it was
    assert "30. november 2037" in told.text(4)
    assert "avsluttet" in told.text(6)
    assert "30. september 2037" in told.text(6)
    # Consolidated: what was added once stays.
    assert "Lyset over symaskinen blender og gir hodepine." in told.text(6)


def test_a_version_is_made_again_of_its_own_data_and_template_alone(told: Told) -> None:
    first = told.agreement.versions[0]
    assert (first.template_version, told.agreement.current.template_version) == ("1.0.0", "1.2.0")
    made = typeset_version(told.services, told.agreement, first, first.language)
    again = " ".join(told.services.typesetting.pdf.text(made.pdf).split())
    document = told.services.ledger.get_blob(told.agreement.id, first.revisions[0].sha256, "pdf")
    assert again == " ".join(told.services.typesetting.pdf.text(document).split())


def test_the_first_version_is_the_same_after_ten_amendments_and_another_template(told: Told) -> None:
    """Nobody signs here for real: what is told is that nothing later reaches into what was."""
    services = told.services
    first = {**told.data(1), "id": str(uuid.uuid4())}
    marker = receive(services, "submit", {"command_id": str(uuid.uuid4()), "agreement": first})

    def agreement() -> Agreement:
        return fold(services.ledger.read(marker.agreement_id))

    def text() -> str:
        made = typeset_version(services, agreement(), agreement().versions[0], "nb")
        return services.typesetting.pdf.text(made.pdf)

    before = text()
    for number in range(10):
        sign_by_word(services, marker.agreement_id)
        change = {
            "change": ["position"],
            "reason": "Ny.",
            "patch": {"position": {"title": f"Stilling {number}"}},
        }
        receive(
            services,
            "amend",
            {"command_id": str(uuid.uuid4()), "agreement_id": marker.agreement_id, **change},
        )
    assert len(agreement().versions) == 11
    assert {v.template_version for v in agreement().versions} == {"1.0.0", "1.2.0"}
    assert text() == before
    assert "Stilling 9" not in before


def test_the_history_is_told_in_words(told: Told) -> None:
    services = told.services
    chapters = history(services.ledger, services.templates, told.agreement)
    assert [len(c.types) for c in chapters] == [0, 1, 1, 2, 1, 1]
    assert chapters[4].changes[0].before == "+47 000 00 022"
    assert chapters[4].changes[0].after == "+47 000 00 029"
    assert chapters[5].termination is not None
    assert chapters[5].termination["reason"] != "started_in_job"  # in words
    between = compare(services.ledger, services.templates, told.agreement, 1, 5)
    assert {"+47 000 00 029", "30. november 2037"} <= {
        c.after.replace("\N{NO-BREAK SPACE}", " ") for c in between
    }
