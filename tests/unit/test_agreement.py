"""State folded from the log, and the step that follows from it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.agreement import SEAL, PartyStatus, Status
from service.domain.steps import Step, StepKind
from tests.story import Story

ROLES = ["participant", "employer", "mentor", "adviser", "decider"]


PARTIES = st.dictionaries(st.sampled_from(ROLES), st.integers(0, 9), min_size=1)


@given(PARTIES)
def test_every_agreement_comes_to_rest_with_every_party_in_its_order(parties: dict[str, int]) -> None:
    story = Story(parties)
    signed: list[str] = []
    while (step := story.next) is not None:
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


@pytest.mark.thorough
@given(PARTIES, st.data())
def test_a_discarded_intent_is_prepared_anew_and_takes_nothing_back(
    parties: dict[str, int], data: st.DataObject
) -> None:
    story = Story(parties)
    discards = data.draw(st.lists(st.integers(2, 30), max_size=4))
    while (step := story.next) is not None:
        before = story.agreement.current.revisions
        if step.kind is StepKind.SIGN and len(story.entries) in discards:
            story.append("signature-discarded", field=step.field, prepared_sha256="p", reason="too_old")
            assert story.next == Step(StepKind.PREPARE, step.field)
        else:
            story.do(step)
        assert story.agreement.current.revisions[: len(before)] == before
    assert story.agreement.current.status is Status.SIGNED


def test_an_intent_for_an_older_revision_is_not_signed() -> None:
    story = Story({"participant": 0, "employer": 0})
    for _ in range(4):
        story.do(story.next)  # type: ignore[arg-type]
    story.append("signature-prepared", field="participant", base_sha256="r1", prepared_sha256="p")
    assert story.next == Step(StepKind.PREPARE, "participant")


def test_a_refused_agreement_rests() -> None:
    story = Story({"participant": 0})
    story.append("rejected", step="render", code="value_not_printed", errors=[])
    assert story.agreement.current.status is Status.REJECTED
    assert story.next is None
