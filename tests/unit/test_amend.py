"""Amendments: only what changed is sent, the whole is checked, and the right parties sign again."""

from __future__ import annotations

import copy
import json
import uuid
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from service.domain.agreement import Agreement, PartyStatus, Status, Version
from service.domain.changes import Change, differences, merged, signing_again, types_covering
from service.domain.folding import fold
from service.errors import CommandRejected
from service.pipeline.intake import receive
from tests.fakes import ManualClock, without_tools
from tests.story import Story

ROOT = Path(__file__).parents[2]
EXAMPLE = json.loads((ROOT / "examples/inclusion_grant.json").read_text())


class Case:
    """One agreement in a store in memory, taken in for real; signing is told, not done."""

    def __init__(self, agreement: Mapping[str, Any] = EXAMPLE) -> None:
        self.clock = ManualClock()
        self.services = without_tools(clock=self.clock)
        marker = receive(
            self.services,
            "submit",
            {"command_id": str(uuid.uuid4()), "agreement": copy.deepcopy(dict(agreement))},
        )
        self.id = marker.agreement_id

    @property
    def agreement(self) -> Agreement:
        return fold(self.services.ledger.read(self.id))

    @property
    def version(self) -> Version:
        return self.agreement.current

    @property
    def data(self) -> dict[str, Any]:
        return self.services.ledger.get_json(self.id, self.version.input_sha256)

    def signed(self) -> Case:
        """All steps to the receipt, as entries in the log."""
        before = self.services.ledger.read(self.id)
        story = Story.of(before, self.clock)
        story.rest()
        for declaration in story.agreement.current.declarations:
            story.append(
                "declared", role=declaration.role, declaration_sha256="d", declaration_receipt_sha256="r"
            )
            story.rest()
        for entry in story.entries[len(before) :]:
            self.services.store.create(entry.key, entry.body)
        assert self.version.status is Status.SIGNED
        return self

    def send(self, name: str, **fields: Any) -> None:
        payload = {"command_id": str(uuid.uuid4()), "agreement_id": self.id, **fields}
        receive(self.services, name, payload)

    def amend(self, patch: Mapping[str, Any], *change: str, **more: Any) -> None:
        self.send("amend", patch=patch, change=list(change), **{"reason": "Nye behov.", **more})

    def refusals(self, patch: Mapping[str, Any], *change: str, **more: Any) -> list[tuple[str, str]]:
        with pytest.raises(CommandRejected) as caught:
            self.amend(patch, *change, **more)
        assert all(e.message for e in caught.value.errors)
        return [(e.path, e.code) for e in caught.value.errors]

    @property
    def waiting(self) -> set[str]:
        return {p.role for p in self.version.parties if p.status is PartyStatus.WAITING}

    @property
    def told(self) -> set[str]:
        return {p.role for p in self.version.parties if p.status is PartyStatus.TOLD}


NEED = {"need": "Støy", "measure": "Hørselvern", "responsible": "employer", "status": "planned"}
LINE = {"amount": 5000, "kind": "aids", "description": "Hørselvern"}


def with_need() -> dict[str, Any]:
    return {"accommodation": [*EXAMPLE.get("accommodation", []), NEED]}


def with_line() -> dict[str, Any]:
    return {"inclusion_grant": {"lines": [*EXAMPLE["inclusion_grant"]["lines"], LINE]}}


def test_an_amendment_is_a_whole_version_that_says_what_changed() -> None:
    case = Case().signed()
    case.amend(with_need(), "accommodation")
    version, data = case.version, case.data
    assert (version.number, version.supersedes, version.change) == (2, 1, ("accommodation",))
    assert version.status is Status.SUBMITTED
    assert case.agreement.in_force is not None
    assert case.agreement.in_force.number == 1
    assert data["accommodation"][-1] == NEED
    assert {k: v for k, v in data.items() if k not in {"accommodation", "amendment", "template"}} == {
        k: v for k, v in {**EXAMPLE, "id": case.id}.items() if k not in {"accommodation", "template"}
    }
    index = len(EXAMPLE.get("accommodation", []))
    assert data["amendment"]["changes"] == [{"path": f"accommodation.{index}", "before": None, "after": NEED}]
    assert data["amendment"]["reason"] == "Nye behov."
    assert case.waiting == {"participant", "employer", "adviser"}


def test_the_log_and_the_event_hold_no_text_of_the_change() -> None:
    case = Case().signed()
    case.amend(with_need(), "accommodation")
    entry = case.services.ledger.read(case.id)[-1]
    assert "Hørselvern" not in entry.body.decode()
    assert "Nye behov" not in entry.body.decode()
    (told,) = entry.cloud_events()
    assert told["type"] == "agreement.amended"
    assert told["data"] == {
        "agreement_id": case.id, "command_id": entry.data["command_id"],
        "version": 2, "supersedes": 1, "change": ["accommodation"],
        "signs": ["participant", "employer", "adviser"], "told": ["decider"],
    }  # fmt: skip


def test_a_line_of_the_grant_is_signed_by_employer_and_adviser_and_the_participant_is_told() -> None:
    case = Case().signed()
    case.amend(with_line(), "inclusion_grant")
    assert case.waiting == {"employer", "adviser"}
    assert case.told == {"participant", "decider"}
    case.signed()
    assert case.agreement.in_force is not None
    assert case.agreement.in_force.number == 2


def test_contact_information_is_signed_by_the_adviser_alone() -> None:
    case = Case().signed()
    case.amend({"parties": {"employer": {"phone": "+4799887766"}}}, "contact_information")
    assert case.waiting == {"adviser"}
    assert case.told == {"participant", "employer", "decider"}


def test_who_asks_for_a_shorter_period_signs() -> None:
    case = Case().signed()
    patch = {"period": {"end": EXAMPLE["period"]["start"]}}
    assert case.refusals(patch, "shorten") == [("asked_by", "required")]
    assert case.refusals(patch, "shorten", asked_by="mentor") == [("asked_by", "no_such_party")]
    case.amend(patch, "shorten", asked_by="participant")
    assert case.waiting == {"participant", "adviser"}


def test_the_version_in_force_holds_when_a_change_is_declined() -> None:
    case = Case().signed()
    case.amend(with_need(), "accommodation")
    case.send("cancel", reason="other")
    assert case.version.status is Status.CANCELLED
    assert case.agreement.in_force is not None
    assert case.agreement.in_force.number == 1
    case.amend(with_line(), "inclusion_grant")  # starts from what is in force: the need is not in it
    assert case.version.number == 3
    assert case.version.supersedes == 1
    assert NEED not in case.data.get("accommodation", [])


def test_two_amendments_at_once_are_one_and_a_refusal() -> None:
    case = Case().signed()
    case.amend(with_need(), "accommodation")
    assert case.refusals(with_line(), "inclusion_grant") == [("agreement_id", "version_open")]
    case.signed()
    case.amend(with_line(), "inclusion_grant")
    assert case.data["accommodation"][-1] == NEED


@pytest.mark.thorough
def test_ten_amendments_end_in_eleven_versions() -> None:
    case = Case().signed()
    for number in range(10):
        case.amend({"position": {"title": f"Stilling {number}"}}, "position")
        case.signed()
    agreement = case.agreement
    assert [v.supersedes for v in agreement.versions] == [None, *range(1, 11)]
    assert case.data["position"]["title"] == "Stilling 9"
    assert case.data["amendment"]["supersedes"] == 10


def test_termination_is_signed_by_the_adviser_and_ends_everything() -> None:
    case = Case().signed()
    case.send("terminate", reason="started_in_job", date=EXAMPLE["period"]["end"])
    assert case.waiting == {"adviser"}
    assert case.data["termination"] == {"reason": "started_in_job", "date": EXAMPLE["period"]["end"]}
    case.signed()
    assert case.refusals(with_need(), "accommodation") == [("agreement_id", "terminated")]


def test_a_termination_after_the_end_is_refused() -> None:
    case = Case().signed()
    with pytest.raises(CommandRejected) as caught:
        case.send("terminate", reason="completed", date="2098-01-01")
    assert [(e.path, e.code) for e in caught.value.errors] == [("date", "after_the_end")]


def test_what_was_never_signed_is_not_amended() -> None:
    case = Case()
    assert case.refusals(with_need(), "accommodation") == [("agreement_id", "version_open")]
    case.send("cancel", reason="other")
    assert case.refusals(with_need(), "accommodation") == [("agreement_id", "never_signed")]


def test_an_agreement_whose_time_is_over_is_not_amended() -> None:
    case = Case().signed()
    case.clock.advance(timedelta(days=20 * 365))
    assert case.refusals(with_need(), "accommodation") == [("agreement_id", "period_over")]


def test_a_change_of_another_version_than_the_one_in_force_is_refused() -> None:
    case = Case().signed()
    case.amend(with_need(), "accommodation", version=1)
    case.signed()
    assert case.refusals(with_line(), "inclusion_grant", version=1) == [("version", "another_version")]


@pytest.mark.parametrize(
    ("patch", "change", "expected"),
    [
        ({"colour": "red"}, ["goals"], [("patch.colour", "unknown_field")]),
        ({"amendment": {"version": 7}}, ["goals"], [("patch.amendment", "unknown_field")]),
        ({"measure": "work_training"}, ["goals"], [("patch.inclusion_grant", "not_allowed")]),
        (
            {"case": {"reference": "other"}, **with_need()},
            ["accommodation"],
            [("patch.case.reference", "read_only")],
        ),
        ({"language": "nn"}, ["goals"], [("patch.language", "read_only"), ("change.0", "change_without_effect")]),
        (
            with_need(),
            ["goals"],
            [("patch.accommodation.0", "change_type_missing"), ("change.0", "change_without_effect")],
        ),
        (with_need(), ["accommodation", "goals"], [("change.1", "change_without_effect")]),
        ({"period": {"end": EXAMPLE["period"]["end"]}}, ["extend"], [("patch", "no_change")]),
        ({}, ["extend"], [("patch", "required")]),
        ({"inclusion_grant": {"lines": [LINE]}}, ["inclusion_grant"], None),
        ({"period": None}, ["position"], [("patch.period", "required")]),
        (
            {"inclusion_grant": {"lines": [*EXAMPLE["inclusion_grant"]["lines"], {**LINE, "amount": 160_400}]}},
            ["inclusion_grant"],
            [("patch.inclusion_grant.lines", "over_ceiling")],
        ),
        ({"goals": [[[[[[[[[[]]]]]]]]]]}, ["goals"], [("patch", "too_deep")]),
    ],
)  # fmt: skip
def test_what_an_amendment_may_not_do(
    patch: dict[str, Any], change: list[str], expected: list[tuple[str, str]] | None
) -> None:
    case = Case().signed()
    found = case.refusals(patch, *change)
    if expected is None:
        lines = EXAMPLE["inclusion_grant"]["lines"]
        expected = [(f"patch.inclusion_grant.lines.{i}", "grant_line_changed") for i in range(len(lines))]
    position = len(EXAMPLE.get("accommodation", []))
    assert found == [(p.replace("accommodation.0", f"accommodation.{position}"), c) for p, c in expected]
    assert case.version.number == 1


def test_the_same_amendment_twice_is_one_version() -> None:
    case = Case().signed()
    payload = {
        "command_id": str(uuid.uuid4()), "agreement_id": case.id, "patch": with_need(),
        "change": ["accommodation"], "reason": "Nye behov.",
    }  # fmt: skip
    receive(case.services, "amend", payload)
    receive(case.services, "amend", payload)
    assert case.version.number == 2


# --- the rules by themselves -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [  # RFC 7396, appendix A
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch_is_that_of_the_rfc(target: Any, patch: Any, result: Any) -> None:
    assert merged(target, patch) == result


def test_an_item_taken_out_of_the_middle_is_one_change() -> None:
    before = {"goals": [{"t": "a"}, {"t": "b"}, {"t": "c"}]}
    after = {"goals": [{"t": "a"}, {"t": "c"}]}
    assert [*differences(before, after)] == [Change("goals.1", {"t": "b"}, None)]


def test_a_changed_item_is_a_changed_leaf() -> None:
    before = {"goals": [{"t": "a", "s": 1}, {"t": "b"}]}
    after = {"goals": [{"t": "a", "s": 2}, {"t": "b"}, {"t": "c"}]}
    assert [*differences(before, after)] == [Change("goals.0.s", 1, 2), Change("goals.2", None, {"t": "c"})]


def test_a_section_that_appears_is_told_by_its_leaves() -> None:
    after = {"position": {"title": "Kokk", "tasks": "Lage mat"}}
    assert [*differences({}, after)] == [
        Change("position.title", None, "Kokk"),
        Change("position.tasks", None, "Lage mat"),
    ]


def test_later_is_an_extension_and_earlier_is_not() -> None:
    assert types_covering(Change("period.end", "2027-01-01", "2027-02-01")) == ("extend",)
    assert types_covering(Change("period.end", "2027-01-01", "2026-12-01")) == ("shorten",)
    assert types_covering(Change("period.start", "2027-01-01", "2026-12-01")) == ()


def test_a_guardian_signs_where_the_participant_does() -> None:
    parties: dict[str, Any] = {
        "participant": {},
        "guardian": {"scope": "with"},
        "employer": {},
        "adviser": {},
    }
    assert signing_again(["goals"], parties) == ("participant", "guardian", "employer", "adviser")
    parties["guardian"]["scope"] = "for"
    assert signing_again(["goals"], parties) == ("guardian", "employer", "adviser")
    assert signing_again(["inclusion_grant"], parties) == ("employer", "adviser")


def test_the_manifest_may_name_others() -> None:
    parties: dict[str, Any] = {"participant": {}, "employer": {}, "adviser": {}, "decider": {}}
    rules = {"inclusion_grant": ("adviser", "decider")}
    assert signing_again(["inclusion_grant"], parties, rules=rules) == ("adviser", "decider")


def test_a_new_mentor_signs_though_the_change_is_not_theirs_to_agree_to() -> None:
    mentor = json.loads((ROOT / "examples/mentor.json").read_text())
    case = Case(mentor).signed()
    somebody = EXAMPLE["parties"]["participant"]["national_id"]
    other = {**mentor["parties"]["mentor"], "first_name": "Ny", "national_id": somebody}
    case.amend({"parties": {"mentor": other}}, "mentor")
    assert case.waiting == {"participant", "employer", "mentor", "adviser"}
