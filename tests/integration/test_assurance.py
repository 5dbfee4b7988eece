"""What the plan demands of a signature: level of assurance, and advanced or qualified after eIDAS."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from service.domain.agreement import PartyStatus, Status
from service.pipeline.drive import drive
from signing import Credential
from tests.parties import OTHERS, PERSON, Case, new_case
from tests.signing_documents import Signers

pytestmark = [pytest.mark.office, pytest.mark.pki]

MENTOR = json.loads((Path(__file__).parents[2] / "examples/mentor.json").read_text())
MakeCase = Callable[..., Case]
HIGH = {"method": "bankid", "level": "high", "time": "2026-11-22T10:00:00Z"}
SUBSTANTIAL = {**HIGH, "level": "substantial"}
ROLES = {role: OTHERS[role] for role in ("participant", "employer")}
REFUSED = "agreement.signature-refused"


@pytest.fixture
def make_case(running: Any, signers: Signers, tmp_path: Path) -> MakeCase:
    def make(credentials: Mapping[str, str]) -> Case:
        """Roles whose key the service holds, with the label of each in the test PKI."""
        held: dict[str, Credential] = {role: signers.credential(label) for role, label in credentials.items()}
        return new_case(running.services, signers, tmp_path, held)

    return make


def refusals(case: Case) -> list[tuple[str, str]]:
    """Role and code of each signature that was refused."""
    told: list[Any] = [e["data"] for e in case.events.events if e["type"] == REFUSED]
    return [(t["role"], t["code"]) for t in told]


@pytest.mark.parametrize(
    ("role", "label", "demand", "field"),
    [
        ("adviser", "adviser", {"level": "substantial"}, "level"),
        ("employer", "organisation", {"level": "high"}, "level"),
        ("employer", "organisation", {"eidas": "qualified"}, "eidas"),  # qualified, but in no device
        ("adviser", "adviser", {"eidas": "advanced"}, "eidas"),  # it does not say whose it is
        ("adviser", "adviser", {"eidas": "advanced", "method": "approved"}, "eidas"),
    ],
)
def test_a_plan_that_a_key_of_the_service_cannot_meet_is_refused_before_anybody_signs(
    make_case: MakeCase, role: str, label: str, demand: Mapping[str, str], field: str
) -> None:
    case = make_case({role: label})
    version = case.submit(ROLES, parties={role: demand}).current
    assert version.status is Status.REJECTED
    assert [r.field for r in version.revisions] == [None]  # not even sealed
    kind, told = case.last_event()
    assert (kind, told["code"]) == ("agreement.rejected", "level_not_met")
    assert [(e["path"], e["code"]) for e in told["errors"]] == [
        (f"signing.parties.{role}.{field}", "level_not_met")
    ]


def test_a_key_of_the_service_whose_certificate_shows_it_signs(make_case: MakeCase) -> None:
    case = make_case({"participant": "person", "employer": "organisation", "adviser": "adviser"})
    plan = {
        "participant": {"level": "high", "eidas": "qualified"},
        "employer": {"level": "substantial", "eidas": "advanced"},
    }
    assert case.submit(ROLES, parties=plan).current.status is Status.SIGNED


def test_what_the_certificate_does_not_show_comes_with_the_approval(make_case: MakeCase) -> None:
    case = make_case({"participant": "person", "employer": "organisation", "adviser": "adviser"})
    case.submit(ROLES, parties={"adviser": {"method": "approved", "level": "high"}})
    for evidence in (None, SUBSTANTIAL):
        case.send("sign", role="adviser", **({"evidence": evidence} if evidence else {}))
        assert case.status("adviser") is PartyStatus.WAITING
    assert refusals(case) == [("adviser", "wrong_signer")] * 2
    agreement = case.send("sign", role="adviser", evidence=HIGH)
    assert agreement.current.status is Status.SIGNED


def test_a_qualified_signature_from_outside(make_case: MakeCase) -> None:
    case = make_case({"employer": "organisation", "adviser": "adviser"})
    case.submit(ROLES, parties={"participant": {"method": "outside", "eidas": "qualified"}})
    vouched = {**HIGH, "subject_serial": "UN:NO-9578-5999-4-1234567", "national_id": "17849431021"}
    agreement = case.send("sign", role="participant", evidence=vouched)
    # Hers, and qualified, but the key is in no device.
    cms = case.outside.cms("person-by-reference", case.services, agreement)
    prepared = case.asked("participant")["prepared"]
    case.send("complete-signature", role="participant", prepared=prepared, cms=cms)
    kind, told = case.last_event()
    assert (kind, told["code"]) == (REFUSED, "wrong_signer")
    assert "qualified" in told["message"]
    assert case.sign_with_cms("participant", "person").current.status is Status.SIGNED


def test_an_advanced_signature_is_known_to_be_the_party_s_own(make_case: MakeCase) -> None:
    """A certificate with another number is refused anyhow; here the agreement first knows none to compare it with."""
    plan = {"guardian": {"method": "outside", "eidas": "advanced"}}
    guardian = {
        **PERSON,
        "scope": "with",
        "kind": "guardian",
        "verification_code": "ABC-123",
        "order": 0,
    }
    for known in ({}, {"national_id": "17849431021"}):
        case = make_case(dict.fromkeys(("participant", "employer", "adviser"), "adviser"))
        case.submit({"guardian": guardian | known}, parties=plan)
        case.sign_with_cms("guardian", "person")
        if not known:
            assert refusals(case) == [("guardian", "wrong_signer")]
            assert "the agreement holds nothing" in case.last_event()[1]["message"]
    assert refusals(case) == []
    assert case.agreement.current.status is Status.SIGNED


def test_evidence_that_comes_with_the_signature_counts(make_case: MakeCase) -> None:
    """With `sign` came a level that suffices; with the value comes one that does not."""
    case = make_case({"participant": "person", "adviser": "adviser"})
    case.submit(ROLES, parties={"employer": {"level": "high"}})
    certificates = case.outside.certificates("organisation")
    for evidence in (SUBSTANTIAL, HIGH):
        case.send("sign", role="employer", certificates=certificates, evidence=HIGH)
        asked = case.asked("employer")
        value = case.outside.value("organisation", asked)
        agreement = case.send(
            "complete-signature",
            role="employer",
            prepared=asked["prepared"],
            signature=value,
            evidence=evidence,
        )
    assert refusals(case) == [("employer", "wrong_signer")]
    assert agreement.current.status is Status.SIGNED
    kept = agreement.current.party("employer").evidence_sha256
    assert kept
    assert case.services.ledger.get_json(case.id, kept)["level"] == "high"


def test_a_plan_for_an_amendment_that_cannot_be_met_leaves_what_is_in_force(make_case: MakeCase) -> None:
    case = make_case({"participant": "person", "employer": "organisation", "adviser": "adviser"})
    case.submit(ROLES)
    before = case.agreement.current
    assert before.status is Status.SIGNED
    change = {
        "change": ["accommodation"],
        "reason": "Vi vet mer nå.",
        "patch": {"accommodation": [{"need": "N", "measure": "T", "responsible": "employer"}]},
    }
    version = case.send("amend", **change, signing={"parties": {"employer": {"eidas": "qualified"}}}).current
    assert (version.number, version.status) == (2, Status.REJECTED)
    kind, told = case.last_event()
    assert (kind, told["code"]) == ("agreement.rejected", "level_not_met")
    assert [e["path"] for e in told["errors"]] == ["signing.parties.employer.eidas"]
    assert case.agreement.in_force == before
    version = case.send("amend", **change, signing={"parties": {"employer": {"eidas": "advanced"}}}).current
    assert (version.number, version.status) == (3, Status.SIGNED)


def test_a_declaration_is_not_begun_for_a_plan_that_cannot_be_met(make_case: MakeCase) -> None:
    agreement = copy.deepcopy(MENTOR)
    agreement["parties"]["mentor"]["national_id"] = OTHERS["participant"]["national_id"]
    plan = {"parties": {"mentor": {"eidas": "qualified", "level": "high"}}}
    held = {"participant": "adviser", "employer": "organisation", "adviser": "adviser"}
    case = make_case({**held, "mentor": "adviser"})
    version = case.send("submit", agreement={**agreement, "id": case.id}, signing=plan).current
    assert version.status is Status.REJECTED
    assert case.last_event()[1]["code"] == "level_not_met"
    assert not any(d.requested for d in version.declarations)

    case = make_case({**held, "mentor": "person"})
    version = case.send("submit", agreement={**agreement, "id": case.id}, signing=plan).current
    (declaration,) = version.declarations
    marker = case.services.workbook.find(declaration.agreement_id, declaration.agreement_id)
    assert marker
    made = drive(case.services, marker).agreement.current
    assert made.status is Status.SIGNED, case.last_event()
    assert (made.party("mentor").eidas, made.party("mentor").level) == ("qualified", "high")
