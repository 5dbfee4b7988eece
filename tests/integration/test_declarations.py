"""A mentor signs the declaration of confidentiality as a document of its own, and then the agreement."""

from __future__ import annotations

import copy
import json
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from service.domain.agreement import Agreement, Status
from service.domain.folding import fold
from service.entrypoints.cli.shared import OneProcess
from service.pipeline.archive import check_against_log
from service.pipeline.drive import Rest, drive
from service.pipeline.fsck import StoreCheck
from service.pipeline.intake import receive
from service.pipeline.services import Services
from service.pipeline.sweep import sweep
from signing import validate
from tests.agreements import Running, running_services
from tests.fakes import EventList, MemoryStore

EXAMPLE = json.loads((Path(__file__).parents[2] / "examples/mentor.json").read_text())


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_services(tmp_path_factory.mktemp("declarations")) as found:
        yield found


class Case:
    """One agreement with a mentor; `automatic` says whether the parties' keys are used without asking."""

    def __init__(self, running: Running, *, automatic: bool = True) -> None:
        self.events, self.process = EventList(), OneProcess()
        self.services: Services = running.on(
            MemoryStore(), self.events, hand_over=self.process, sign_automatically=automatic
        )
        self.id = str(uuid.uuid4())

    def send(self, name: str, **fields: Any) -> Agreement:
        marker = receive(self.services, name, {"command_id": str(uuid.uuid4()), **fields})
        outcome = self.process.drive_all(self.services, marker, lambda _: None)
        assert outcome.rest is Rest.AT_REST, outcome.parked
        return self.agreement

    def submit(self, example: Mapping[str, Any] = EXAMPLE) -> Agreement:
        return self.send("submit", agreement={**copy.deepcopy(dict(example)), "id": self.id})

    @property
    def agreement(self) -> Agreement:
        return fold(self.services.ledger.read(self.id))

    @property
    def declaration(self) -> Agreement:
        (asked,) = self.agreement.current.declarations
        return fold(self.services.ledger.read(asked.agreement_id))

    def text(self, agreement: Agreement) -> str:
        pdf = self.services.ledger.get_blob(agreement.id, agreement.current.document.sha256, "pdf")
        return " ".join(self.services.typesetting.pdf.text(pdf).split())

    def told(self) -> list[tuple[str, str]]:
        return [(str(e["type"]), str(e["subject"])) for e in self.events.events]

    def assert_sound(self) -> None:
        assert list(self.services.store.list("work/")) == []
        found = list(StoreCheck(self.services.store, trust=self.services.keys.trust, settle=0).run())
        assert [f for f in found if f.severity == "error"] == []


def test_the_declaration_is_signed_first_and_stands_by_itself(running: Running) -> None:
    case = Case(running)
    agreement = case.submit()
    declaration = case.declaration
    assert agreement.current.status is declaration.current.status is Status.SIGNED
    assert declaration.declares_for is not None
    assert declaration.declares_for.agreement_id == agreement.id
    signed = {role: at for a in (declaration, agreement) for role, at in _signed(a)}
    assert str(declaration.current.signed_at) < signed["agreement:mentor"]

    parties, text = EXAMPLE["parties"], case.text(declaration)
    assert f"{parties['mentor']['first_name']} {parties['mentor']['last_name']}" in text
    for hidden in (parties["participant"]["last_name"], parties["participant"]["national_id"][:6]):
        assert hidden not in text
    for found in (declaration, agreement):
        document = case.services.ledger.get_blob(found.id, found.current.document.sha256, "pdf")
        report = validate(document, case.services.keys.trust)
        assert check_against_log(found.current, document, report) == []
    receipt = case.services.ledger.get_json(agreement.id, str(agreement.current.receipt_sha256))
    assert receipt["declarations"] == [
        {
            "role": "mentor",
            "agreement_id": declaration.id,
            "sha256": declaration.current.document.sha256,
            "receipt_sha256": declaration.current.receipt_sha256,
        }
    ]
    told = case.told()
    assert told.index(("agreement.declaration-requested", agreement.id)) < told.index(
        ("agreement.signed", declaration.id)
    )
    assert told.index(("agreement.signed", declaration.id)) < told.index(("agreement.declared", agreement.id))
    assert told[-1] == ("agreement.signed", agreement.id)
    case.assert_sound()


def _signed(agreement: Agreement) -> list[tuple[str, str]]:
    kind = "declaration" if agreement.declares_for else "agreement"
    return [(f"{kind}:{p.role}", str(p.signed_at)) for p in agreement.current.parties]


def test_a_mentor_who_will_not_declare_declines_the_agreement(running: Running) -> None:
    case = Case(running, automatic=False)
    case.submit()
    case.send("decline", agreement_id=case.declaration.id, role="mentor", reason="not_involved")
    assert case.declaration.current.status is Status.DECLINED
    assert case.agreement.current.status is Status.DECLINED
    assert case.told()[-1] == ("agreement.declined", case.id)
    case.assert_sound()


def test_an_agreement_that_is_cancelled_takes_its_declaration_back(running: Running) -> None:
    case = Case(running, automatic=False)
    case.submit()
    case.send("cancel", agreement_id=case.id, reason="other")
    assert case.declaration.current.status is Status.CANCELLED
    assert ("agreement.cancelled", case.declaration.id) in case.told()
    case.assert_sound()


def test_a_lost_message_is_found_by_the_sweeper(running: Running) -> None:
    """The broker loses everything that is handed over: both documents are signed all the same."""
    case = Case(running)
    lost = running.on(case.services.store, case.events, hand_over=lambda *_: None)
    payload = {"command_id": str(uuid.uuid4()), "agreement": {**copy.deepcopy(EXAMPLE), "id": case.id}}
    drive(lost, receive(lost, "submit", payload))
    for _ in range(4):
        assert {s.what for s in sweep(lost, everything=True)} <= {"driven", "ended"}
    assert case.agreement.current.status is Status.SIGNED
    case.assert_sound()


def test_a_new_mentor_declares_and_the_same_one_does_not_again(running: Running) -> None:
    case = Case(running)
    case.submit()
    first = case.declaration.id
    case.send(
        "amend", agreement_id=case.id, change=["mentor"], reason="Flere timer.",
        patch={"mentor": {"hours_per_week": EXAMPLE["mentor"]["hours_per_week"] + 1}},
    )  # fmt: skip
    assert case.agreement.current.declarations == ()
    other = json.loads((Path(__file__).parents[2] / "examples/inclusion_grant.json").read_text())
    mentor = {
        **EXAMPLE["parties"]["mentor"],
        "last_name": "Ny",
        "national_id": other["parties"]["participant"]["national_id"],
    }
    case.send(
        "amend", agreement_id=case.id, change=["mentor"], reason="Ny mentor.", patch={"parties": {"mentor": mentor}},
    )  # fmt: skip
    assert case.agreement.current.status is Status.SIGNED
    assert case.declaration.id != first
    assert "Ny" in case.text(case.declaration)
    case.assert_sound()


def test_a_declaration_cannot_be_amended(running: Running) -> None:
    from service.errors import CommandRejected

    case = Case(running)
    case.submit()
    with pytest.raises(CommandRejected) as caught:
        case.send("terminate", agreement_id=case.declaration.id, reason="other", date="2036-12-31")
    assert caught.value.code == "is_declaration"
