"""Parties sign, decline, wait and are late in any order: no order of commands reaches a state the rules forbid."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from service.domain import moves
from service.domain.agreement import Method, PartyStatus, Status
from service.domain.appearance import attestation, attestation_line
from service.domain.log import Draft
from service.domain.steps import Step, StepKind, end_of, wakes
from service.errors import CommandRejected
from tests.story import Story

ROLES = ["participant", "employer", "mentor", "adviser", "decider"]
OUTSIDE, REDIRECT = Method.OUTSIDE, Method.REDIRECT


def approve(story: Story, role: str, **more: Any) -> Draft:
    values = {"number": None, "certificates_sha256": None, "evidence_sha256": None} | more
    return moves.approve(story.agreement, role=role, now=story.clock.now(), **values)


def answer(story: Story, role: str, prepared: str | None = None, **more: Any) -> Draft:
    found = story.agreement.current.prepared
    state = found.state_sha256 if found else None
    values = {
        "number": None,
        "prepared_sha256": prepared or (found.blob_sha256 if found else "none"),
        "kind": "authorization" if state else "cms",
        "answer_sha256": "a",
        "evidence_sha256": None,
        "state_sha256": state,
    } | more
    return moves.receive_answer(story.agreement, role=role, now=story.clock.now(), **values)


def come_back_without(story: Story, role: str, error: str = "access_denied", **more: Any) -> Draft:
    values = {"number": None, "prepared_sha256": None, "state_sha256": None} | more
    return moves.end_authorization(story.agreement, role=role, error=error, now=story.clock.now(), **values)


def on_paper(story: Story, *roles: str, **more: Any) -> Draft:
    values = {
        "number": None,
        "scan": {"sha256": "5ca" * 20 + "0000", "media_type": "application/pdf", "storage_key": "k"},
        "signed_on": story.clock.now().date().isoformat(),
        "evidence_sha256": None,
    } | more
    return moves.attach_paper(story.agreement, roles=roles, now=story.clock.now(), **values)


def refusal(make: Any, *arguments: Any, **more: Any) -> str:
    with pytest.raises(CommandRejected) as caught:
        make(*arguments, **more)
    assert [e.code for e in caught.value.errors] == [caught.value.code]
    assert caught.value.errors[0].message
    return caught.value.code


def outside_story(**options: Any) -> Story:
    parties = {"participant": 0, "employer": 0, "adviser": 1}
    story = Story(parties, {"participant": OUTSIDE, "employer": OUTSIDE}, **options)
    story.rest()
    return story


def test_a_party_outside_signs_in_two_commands() -> None:
    story = outside_story()
    for role in ("participant", "employer"):
        story.command(approve(story, role))
        story.rest()
        prepared = story.agreement.current.prepared
        assert prepared
        assert prepared.field == role
        assert prepared.lease_until
        story.command(answer(story, role))
        story.rest()
    assert story.agreement.current.status is Status.SIGNED  # the adviser's key is ours


def redirect_story() -> Story:
    story = Story({"participant": 0, "employer": 0}, {"participant": REDIRECT, "employer": OUTSIDE})
    story.rest()
    story.command(approve(story, "participant"))
    story.rest()
    return story


def test_a_person_who_comes_back_from_the_signing_service_has_signed() -> None:
    story = redirect_story()
    story.command(answer(story, "participant", None, prepared_sha256=None))
    assert story.next == Step(StepKind.COLLECT, "participant")
    story.rest()
    party = story.agreement.current.party("participant")
    assert party.status is PartyStatus.SIGNED
    kinds = [e.data["kind"] for e in story.entries if e.type == "signature-received"]
    assert kinds == ["authorization", "signature"]


def test_what_comes_back_belongs_to_the_person_who_was_sent() -> None:
    story = redirect_story()
    assert refusal(answer, story, "participant", state_sha256="another") == "wrong_state"
    assert refusal(come_back_without, story, "participant", state_sha256="another") == "wrong_state"
    assert refusal(answer, story, "participant", kind="cms") == "authorization_expected"
    assert refusal(answer, story, "employer") == "nothing_to_complete"
    prepared = story.agreement.current.prepared
    assert prepared is not None
    assert prepared.answer is None  # none of it has ended what the person was about to do
    story.command(answer(story, "participant"))
    assert refusal(answer, story, "participant") == "already_received"
    assert refusal(come_back_without, story, "participant") == "already_received"
    story.rest()
    story.command(approve(story, "employer"))
    story.rest()
    assert refusal(answer, story, "employer", kind="authorization") == "authorization_not_expected"
    assert refusal(come_back_without, story, "employer") == "authorization_not_expected"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("access_denied", "access_denied"),
        ("server_error", "authorization_failed"),
        ("kari", "authorization_failed"),
    ],
)
def test_a_person_who_comes_back_without_approval_may_go_again(error: str, code: str) -> None:
    story = redirect_story()
    draft = come_back_without(story, "participant", error)
    (told,) = draft.occurrences
    assert (told.type, told.data["code"]) == ("agreement.signature-refused", code)
    assert "kari" not in str(draft)
    story.command(draft)
    version = story.agreement.current
    assert (version.prepared, version.party("participant").approval) == (None, None)
    assert story.next is None
    story.command(approve(story, "participant"))
    story.rest()
    story.command(answer(story, "participant"))
    story.rest()
    assert story.agreement.current.party("participant").status is PartyStatus.SIGNED


def test_a_signing_service_that_never_answers_keeps_nobody_from_signing() -> None:
    story = redirect_story()
    story.command(answer(story, "participant"))
    story.clock.advance(timedelta(minutes=15, seconds=1))
    assert story.next == Step(StepKind.GIVE_UP, "participant")
    story.rest()
    story.command(approve(story, "employer"))
    story.rest()
    assert story.agreement.current.prepared is not None
    assert story.agreement.current.prepared.field == "employer"


def test_a_person_who_signs_is_not_overtaken_and_one_who_does_not_come_back_blocks_nobody() -> None:
    story = outside_story()
    story.command(approve(story, "participant"))
    story.rest()
    assert refusal(approve, story, "employer") == "signing_in_progress"
    assert refusal(approve, story, "participant") == "signing_in_progress"
    story.clock.advance(timedelta(minutes=15, seconds=1))
    assert refusal(answer, story, "participant") == "signature_too_late"
    assert story.next == Step(StepKind.GIVE_UP, "participant")
    story.rest()
    story.command(approve(story, "employer"))
    story.rest()
    story.command(answer(story, "employer"))
    story.rest()
    statuses = {p.role: p.status for p in story.agreement.current.parties}
    assert (statuses["employer"], statuses["participant"]) == (PartyStatus.SIGNED, PartyStatus.WAITING)


def test_wrong_moves_are_refused_with_their_reason() -> None:
    story = outside_story()
    assert refusal(approve, story, "adviser") == "not_your_turn"
    assert refusal(approve, story, "decider") == "no_such_party"
    assert refusal(approve, story, "participant", number=2) == "another_version"
    assert refusal(answer, story, "participant") == "nothing_to_complete"
    story.command(approve(story, "participant"))
    story.rest()
    assert refusal(answer, story, "participant", "other") == "stale_signature"
    assert refusal(answer, story, "employer") == "nothing_to_complete"
    story.command(answer(story, "participant"))
    assert refusal(answer, story, "participant") == "already_received"
    story.rest()
    assert refusal(approve, story, "participant") == "already_signed"
    assert (
        refusal(moves.decline, story.agreement, number=None, role="participant", reason="other")
        == "already_signed"
    )


def test_after_the_end_nothing_more_is_taken() -> None:
    story = outside_story()
    story.command(moves.decline(story.agreement, number=None, role="employer", reason="content"))
    assert story.next is None
    version = story.agreement.current
    assert version.status is Status.DECLINED
    assert {p.role: p.status for p in version.parties} == {
        "participant": PartyStatus.CANCELLED,
        "employer": PartyStatus.DECLINED,
        "adviser": PartyStatus.CANCELLED,
    }
    for make in (approve, answer):
        assert refusal(make, story, "participant") == "declined"
    assert refusal(moves.cancel, story.agreement, number=None, reason="other") == "declined"


def test_twelve_weeks_with_a_warning_a_week_and_a_day_before() -> None:
    story = outside_story()
    start = story.clock.now()
    told: list[tuple[str, int]] = []
    while story.agreement.current.status is Status.SIGNING:
        moment, _ = wakes(story.agreement)[0]
        later = [m for m, _ in wakes(story.agreement) if m > story.now]
        story.clock.advance(timedelta(hours=1) if not later else timedelta(days=1))
        if (step := story.next) is not None:
            told.append((str(step), (story.clock.now() - start).days))
            story.do(step)
        assert moment <= end_of(story.agreement.current)
    assert told == [("remind:week", 77), ("remind:day", 83), ("expire", 84)]


def test_a_group_has_its_own_deadline_and_a_short_one_no_week_s_warning() -> None:
    story = outside_story(deadline_days=3)
    assert [what for _, what in wakes(story.agreement)] == ["day", "expire"]
    story.clock.advance(timedelta(days=2, minutes=1))
    assert story.next == Step(StepKind.REMIND, "day")
    story.rest()
    story.clock.advance(timedelta(days=1))
    assert refusal(approve, story, "participant") == "deadline_passed"
    story.rest()
    assert story.agreement.current.status is Status.EXPIRED


def test_who_is_represented_does_not_sign() -> None:
    story = Story({"participant": 0, "guardian": 0}, absent=frozenset({"participant"}))
    story.rest()
    version = story.agreement.current
    assert version.status is Status.SIGNED
    assert [p.role for p in version.signers] == ["guardian"]
    assert (
        refusal(approve, Story({"participant": 0}, absent=frozenset({"participant"})), "participant")
        == "signs_not"
    )


def test_a_party_signs_on_paper_and_the_adviser_attests_it() -> None:
    story = Story({"participant": 0, "employer": 0, "adviser": 1}, {"participant": OUTSIDE})
    story.rest()
    assert refusal(approve, story, "adviser") == "not_your_turn"
    story.command(on_paper(story, "participant"))
    story.rest()
    version = story.agreement.current
    assert version.party("participant").status is PartyStatus.SIGNED_ON_PAPER
    assert [p.role for p in version.open_parties()] == ["adviser"]
    assert version.party("adviser").method is Method.APPROVED  # its key does not attest by itself
    story.command(approve(story, "adviser"))
    story.rest()
    version = story.agreement.current
    assert version.status is Status.SIGNED
    assert [p.role for p in version.signers] == ["employer", "adviser"]
    assert refusal(on_paper, story, "participant") == "already_signed"


def test_whoever_signs_is_not_disturbed_by_paper_and_the_adviser_prepares_anew() -> None:
    parties = {"participant": 0, "employer": 0, "mentor": 0, "adviser": 0}
    story = Story(parties, dict.fromkeys(parties, OUTSIDE))
    story.rest()
    story.command(approve(story, "employer"))
    story.rest()
    before = story.agreement.current.prepared
    story.command(on_paper(story, "participant"))
    story.rest()
    assert story.agreement.current.prepared == before
    assert refusal(on_paper, story, "employer") == "signing_in_progress"
    story.command(answer(story, "employer"))
    assert refusal(on_paper, story, "employer") == "signing_in_progress"
    story.rest()
    story.command(approve(story, "adviser"))
    story.rest()
    assert refusal(on_paper, story, "mentor") == "signing_in_progress"
    story.clock.advance(timedelta(minutes=16))  # the adviser did not come back
    stale = story.agreement.current.prepared
    assert stale
    story.command(on_paper(story, "mentor"))
    assert story.agreement.current.prepared is None
    assert refusal(answer, story, "adviser", stale.blob_sha256) == "nothing_to_complete"
    story.rest()
    assert story.entries[-1].type == "signature-requested"
    story.command(approve(story, "adviser"))
    story.rest()
    story.command(answer(story, "adviser"))
    story.rest()
    assert story.agreement.current.status is Status.SIGNED
    assert [p.role for p, _ in story.agreement.current.papers] == ["participant", "mentor"]


def test_another_scan_takes_the_former_one_s_place_until_the_adviser_has_signed() -> None:
    story = outside_story()
    story.command(on_paper(story, "participant"))
    story.command(on_paper(story, "employer"))
    story.rest()
    other = {"sha256": "0" * 64, "media_type": "image/png", "storage_key": "k2"}
    draft = on_paper(story, "participant", scan=other)
    assert draft.data["replaces"] == {"participant": "5ca" * 20 + "0000"}
    story.command(draft)
    story.rest()
    assert [paper.scan_sha256[:3] for _, paper in story.agreement.current.papers] == ["000", "5ca"]
    decided = Story({"participant": 1, "adviser": 0, "decider": 2}, {"participant": OUTSIDE})
    decided.rest()
    assert refusal(on_paper, decided, "participant") == "adviser_has_signed"


def test_paper_that_cannot_be_taken() -> None:
    story = outside_story(deadline_days=3)
    assert refusal(on_paper, story, "adviser") == "not_on_paper"
    assert refusal(on_paper, story, "organiser") == "no_such_party"
    assert refusal(on_paper, story, "participant", number=2) == "another_version"
    assert refusal(on_paper, story, "participant", signed_on="2026-11-20") == "date_before_document"
    assert refusal(on_paper, story, "participant", signed_on="2026-11-22") == "date_in_future"
    with pytest.raises(CommandRejected) as caught:
        on_paper(story, "participant", "mentor")
    assert [e.path for e in caught.value.errors] == ["roles.1"]
    later = Story({"participant": 0, "mentor": 1, "adviser": 2}, {"participant": OUTSIDE})
    later.rest()
    assert refusal(on_paper, later, "mentor") == "not_your_turn"
    alone = Story({"participant": 0}, {"participant": OUTSIDE})
    alone.rest()
    assert refusal(on_paper, alone, "participant") == "nobody_attests"
    story.command(on_paper(story, "participant"))
    assert refusal(approve, story, "participant") == "already_signed"
    assert (
        refusal(moves.decline, story.agreement, number=None, role="participant", reason="other")
        == "already_signed"
    )
    draft = moves.decline(story.agreement, number=None, role="employer", reason="content")
    assert draft.occurrences[0].data["signed"] == ["participant"]
    story.clock.advance(timedelta(days=3, minutes=1))
    assert refusal(on_paper, story, "employer") == "deadline_passed"
    story.command(draft)
    assert story.agreement.current.party("participant").status is PartyStatus.SIGNED_ON_PAPER
    assert refusal(on_paper, story, "employer") == "declined"


def test_the_day_is_norway_s() -> None:
    story = outside_story()
    story.clock.advance(timedelta(hours=14, minutes=30))  # 23:30 in UTC, half past midnight in Norway
    on_paper(story, "participant", signed_on="2026-11-22")
    assert refusal(on_paper, story, "participant", signed_on="2026-11-23") == "date_in_future"


def test_what_the_adviser_s_signature_says() -> None:
    story = outside_story()
    assert attestation(story.agreement.current, "adviser") is None
    story.command(on_paper(story, "participant", "employer"))
    version = story.agreement.current
    said = f"fra deltaker og arbeidsgiver 2026-11-21, skann SHA-256 {'5ca' * 20}0000"
    assert attestation(version, "adviser") == f"Attesterer papirunderskrift {said}"
    assert attestation_line(version, "adviser") == (
        "Attesterer også papirunderskrift fra deltaker og arbeidsgiver"
    )
    assert attestation(version, "participant") is attestation_line(version, "decider") is None
    other = {"sha256": "1" * 64, "media_type": "image/png", "storage_key": "k"}
    story.command(on_paper(story, "employer", scan=other))
    nynorsk = attestation(replace(story.agreement.current, language="nn"), "adviser")
    assert nynorsk == (
        f"Attesterer papirunderskrift frå deltakar 2026-11-21, skann SHA-256 {'5ca' * 20}0000; "
        f"frå arbeidsgivar 2026-11-21, skann SHA-256 {'1' * 64}"
    )


class Signing(RuleBasedStateMachine):
    """Commands and time in any order, duplicates and late ones among them, with steps done in between or not."""

    @initialize(
        parties=st.dictionaries(st.sampled_from(ROLES), st.integers(0, 3), min_size=1),
        methods=st.lists(st.sampled_from(Method), min_size=5, max_size=5),
        days=st.integers(1, 20),
        deadline=st.none() | st.integers(1, 10),
    )
    def begin(self, parties: dict[str, int], methods: list[Method], days: int, deadline: int | None) -> None:
        self._begin(parties, dict(zip(ROLES, methods, strict=True)), days, deadline)

    def _begin(
        self, parties: dict[str, int], methods: dict[str, Method], days: int, deadline: int | None
    ) -> None:
        self.story = Story(parties, methods, expires_after_days=days, deadline_days=deadline)
        self.parties = parties
        self.revisions: list[Any] = []
        self.signed: list[str] = []
        self.ended: Status | None = None

    def _try(self, make: Any) -> None:
        try:
            draft = make()
        except CommandRejected:
            return
        assert self.ended is None
        self.story.command(draft)

    @rule(role=st.sampled_from(ROLES))
    def sign(self, role: str) -> None:
        self._try(lambda: approve(self.story, role))

    @rule(role=st.sampled_from(ROLES), stale=st.booleans())
    def complete(self, role: str, stale: bool) -> None:
        self._try(lambda: answer(self.story, role, "stale" if stale else None))

    @rule(role=st.sampled_from(ROLES))
    def come_back_without(self, role: str) -> None:
        self._try(lambda: come_back_without(self.story, role))

    @rule(data=st.data(), scan=st.integers(0, 9))
    def attach_paper(self, data: Any, scan: int) -> None:
        roles = data.draw(st.lists(st.sampled_from(sorted(self.parties)), min_size=1, max_size=2))
        before = self.story.agreement.current.prepared
        live = before and ((before.lease_until or "") >= self.story.now or before.answer)
        file = {"sha256": str(scan) * 64, "media_type": "image/png", "storage_key": "k"}
        entries = len(self.story.entries)
        self._try(lambda: on_paper(self.story, *roles, scan=file))
        if live and len(self.story.entries) > entries:
            assert self.story.agreement.current.prepared == before  # nobody who signs is disturbed

    @precondition(lambda self: len(self.story.entries) > 8)
    @rule(role=st.sampled_from(ROLES))
    def decline(self, role: str) -> None:
        self._try(lambda: moves.decline(self.story.agreement, number=None, role=role, reason="other"))

    @precondition(lambda self: len(self.story.entries) > 12)
    @rule()
    def cancel(self) -> None:
        self._try(lambda: moves.cancel(self.story.agreement, number=None, reason="other"))

    @rule(minutes=st.sampled_from([1, 16, 24 * 60, 7 * 24 * 60]))
    def wait(self, minutes: int) -> None:
        self.story.clock.advance(timedelta(minutes=minutes))

    @rule(steps=st.integers(1, 12))
    def work(self, steps: int) -> None:
        for _ in range(steps):
            if (step := self.story.next) is None:
                break
            self.story.do(step)

    @rule()
    def discard(self) -> None:
        """A key was busy, or a signature from outside was wrong."""
        prepared = self.story.agreement.current.prepared
        if prepared and prepared.field != "seal":
            self.story.append("signature-discarded", field=prepared.field, prepared_sha256="p", reason="x")

    @invariant()
    def the_rules_hold(self) -> None:
        version = self.story.agreement.current
        entries = self.story.entries
        signed = [e.data["role"] for e in entries if e.type == "party-signed"]
        assert signed[: len(self.signed)] == self.signed
        assert len(set(signed)) == len(signed)  # nobody signs twice
        papers = {role for e in entries if e.type == "paper-attached" for role in e.data["roles"]}
        assert not papers & {*signed, "adviser", "decider"}  # nobody signs both ways
        done = [r for e in entries for r in _signing_of(e)]
        orders = [self.parties[role] for role in dict.fromkeys(done)]
        assert orders == sorted(orders)  # nobody signs before a lower group is done
        self._the_adviser_knows_what_it_attests()
        assert list(version.revisions[: len(self.revisions)]) == self.revisions  # nothing signed is destroyed
        assert [p.role for p in version.parties if p.status is PartyStatus.SIGNED] == [
            r for r in self.parties if r in signed
        ]
        if version.status in {Status.COMPLETED, Status.SIGNED}:
            assert {*signed} | papers == self.parties.keys()
            assert not papers or "adviser" in signed
        if self.ended:
            assert version.status is self.ended
        if version.prepared and version.prepared.lease_until:
            assert version.party(version.prepared.field).method in {OUTSIDE, REDIRECT}
        if not version.status.is_open and version.status is not Status.COMPLETED:
            self.ended = version.status
            assert all(p.status is not PartyStatus.WAITING for p in version.parties)
            assert self.story.next is None
        elif self.story.next is None:
            # It waits for somebody, and will be looked at again.
            assert version.status is Status.SIGNING
            assert any(moment > self.story.now for moment, _ in wakes(self.story.agreement))
        self.revisions, self.signed = list(version.revisions), signed

    def _the_adviser_knows_what_it_attests(self) -> None:
        """What it signs was prepared, and asked of it, after the last paper that came; none comes later."""
        types = [(e.type, e.data.get("field")) for e in self.story.entries]
        if ("paper-attached", None) not in types or ("party-signed", "adviser") not in types:
            return
        last = max(n for n, (kind, _) in enumerate(types) if kind == "paper-attached")
        asked = max(
            e.seq
            for e in self.story.entries
            if e.type == "signature-requested"
            and any(r["role"] == "adviser" and r["method"] != "automatic" for r in e.data["requests"])
        )
        approved = max(
            e.seq
            for e in self.story.entries
            if e.type == "signature-approved" and e.data["role"] == "adviser"
        )
        prepared = max(n for n, each in enumerate(types) if each == ("signature-prepared", "adviser"))
        assert last < asked < approved < prepared < types.index(("party-signed", "adviser"))


def _signing_of(entry: Any) -> list[str]:
    if entry.type == "paper-attached":
        return list(entry.data["roles"])
    return [entry.data["role"]] if entry.type == "party-signed" else []


class SigningOnPaper(Signing):
    """The same where somebody may sign on paper, nobody declines, and there is time."""

    decline = cancel = None

    @initialize(
        orders=st.lists(st.integers(0, 1), min_size=3, max_size=3),
        adviser=st.integers(0, 2),
        decider=st.booleans(),
        methods=st.lists(st.sampled_from([OUTSIDE, OUTSIDE, Method.APPROVED]), min_size=3, max_size=3),
        of_adviser=st.sampled_from(Method),
        deadline=st.none() | st.integers(5, 10),
    )
    def begin(
        self,
        orders: list[int],
        adviser: int,
        decider: bool,
        methods: list[Method],
        of_adviser: Method,
        deadline: int | None,
    ) -> None:
        on_paper = ["participant", "employer", "mentor"]
        parties = dict(zip(on_paper, orders, strict=True)) | {"adviser": adviser}
        chosen = dict(zip(on_paper, methods, strict=True)) | {"adviser": of_adviser}
        self._begin(parties | ({"decider": 3} if decider else {}), chosen, 84, deadline)
        self.work(12)

    @rule(minutes=st.sampled_from([1, 1, 16]))
    def wait(self, minutes: int) -> None:
        self.story.clock.advance(timedelta(minutes=minutes))

    @rule(data=st.data())
    def whose_turn_it_is(self, data: Any) -> None:
        """Signs by whatever means, and comes back from outside."""
        asked = [p.role for p in self.story.agreement.current.open_parties()]
        if asked:
            role = data.draw(st.sampled_from(asked))
            self._try(lambda: approve(self.story, role))
            self.work(3)
            self._try(lambda: answer(self.story, role))


TestSigningOnPaper = SigningOnPaper.TestCase
TestSigningOnPaper.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestSigningOnPaper.pytestmark = [pytest.mark.thorough]
TestSigning = Signing.TestCase
TestSigning.settings = settings(max_examples=150, stateful_step_count=40)
TestSigning.pytestmark = [pytest.mark.thorough]
