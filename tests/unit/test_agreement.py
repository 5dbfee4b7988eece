"""State folded from the log, and the step that follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from service.domain.agreement import SEAL, PartyStatus, Status, Step, StepKind, fold, next_step
from service.domain.log import Entry, following

ROLES = ["participant", "employer", "mentor", "adviser", "decider"]


def submitted(parties: Mapping[str, int]) -> Entry:
    data = {
        "command_id": "c-1",
        "payload_sha256": "00",
        "input_sha256": "01",
        "case": {"system": "tiltak", "reference": "2026-1"},
        "template": {"name": "avtale", "version": "1.0.0"},
        "language": "nb",
        "parties": [{"role": role, "order": order} for role, order in parties.items()],
    }
    return Entry("a-1", 0, None, "e-0", "2026-01-05T09:00:00.000Z", "submitted", 1, data)


class Story:
    """A log that does whatever step comes next, as a worker would."""

    def __init__(self, parties: Mapping[str, int]) -> None:
        self.entries = [submitted(parties)]

    @property
    def agreement(self) -> Any:
        return fold(self.entries)

    def append(self, type: str, **data: Any) -> None:
        last = self.entries[-1]
        self.entries.append(
            following(
                last, id=f"e-{last.seq + 1}", at="2026-01-05T09:00:01.000Z", type=type, version=1, data=data
            )
        )

    def do(self, step: Step) -> None:
        number = len(self.entries)
        revision = {"sha256": f"r{number}", "bytes": 100 + number}
        field = step.field
        match step.kind:
            case StepKind.RENDER:
                self.append("rendered", template_sha256="t", docx_sha256="d", revision=revision)
            case StepKind.PREPARE:
                base = self.agreement.current.document.sha256
                self.append("signature-prepared", field=field, base_sha256=base, prepared_sha256=f"p{number}")
            case StepKind.SIGN if field == SEAL:
                self.append("sealed", field=field, revision=revision)
            case StepKind.SIGN:
                self.append(
                    "party-signed",
                    field=field,
                    role=field,
                    revision=revision,
                    signed_at="t",
                    certificate_sha256="c",
                )
            case StepKind.AUGMENT:
                self.append("augmented", revision=revision)
            case StepKind.VERIFY:
                self.append("verified", report_sha256="v")
            case StepKind.RENDER_RECEIPT:
                self.append("receipt-rendered", receipt_sha256="q", receipt_pdf_sha256="qp")
            case StepKind.ISSUE_RECEIPT:
                self.append("signed", receipt_signature_sha256="s", receipt_pdf_sha256="qs")


PARTIES = st.dictionaries(st.sampled_from(ROLES), st.integers(0, 9), min_size=1)


@given(PARTIES)
def test_every_agreement_comes_to_rest_with_every_party_in_its_order(parties: dict[str, int]) -> None:
    story = Story(parties)
    signed: list[str] = []
    while (step := next_step(story.agreement)) is not None:
        if step.kind is StepKind.SIGN and step.field != SEAL:
            signed.append(str(step.field))
        story.do(step)
        assert len(story.entries) < 40
    version = story.agreement.current
    assert version.status is Status.SIGNED
    assert sorted(signed) == sorted(parties)
    assert [parties[role] for role in signed] == sorted(parties.values())
    assert all(p.status is PartyStatus.SIGNED for p in version.parties)
    # Rendered, sealed, one a party, augmented: every revision is kept, in order.
    assert len(version.revisions) == len(parties) + 3
    assert [r.field for r in version.revisions[1:-1]] == [SEAL, *signed]


@given(PARTIES, st.data())
def test_a_discarded_intent_is_prepared_anew_and_takes_nothing_back(
    parties: dict[str, int], data: st.DataObject
) -> None:
    story = Story(parties)
    discards = data.draw(st.lists(st.integers(2, 30), max_size=4))
    while (step := next_step(story.agreement)) is not None:
        before = story.agreement.current.revisions
        if step.kind is StepKind.SIGN and len(story.entries) in discards:
            story.append("signature-discarded", field=step.field, prepared_sha256="p", reason="too_old")
            assert next_step(story.agreement) == Step(StepKind.PREPARE, step.field)
        else:
            story.do(step)
        assert story.agreement.current.revisions[: len(before)] == before
    assert story.agreement.current.status is Status.SIGNED


def test_an_intent_for_an_older_revision_is_not_signed() -> None:
    story = Story({"participant": 0, "employer": 0})
    for _ in range(3):
        story.do(next_step(story.agreement))  # type: ignore[arg-type]
    story.append("signature-prepared", field="participant", base_sha256="r1", prepared_sha256="p")
    assert next_step(story.agreement) == Step(StepKind.PREPARE, "participant")


def test_a_refused_agreement_rests() -> None:
    story = Story({"participant": 0})
    story.append("rejected", step="render", code="value_not_printed", errors=[])
    assert story.agreement.current.status is Status.REJECTED
    assert next_step(story.agreement) is None
