"""A party signs its declaration first, and is asked to sign the agreement after that."""

from __future__ import annotations

from datetime import timedelta

import pytest

from service.domain import moves
from service.domain.agreement import Method, PartyStatus, Status
from service.domain.steps import Step, StepKind
from service.errors import CommandRejected
from tests.story import Story


def story(**methods: Method) -> Story:
    return Story({"participant": 0, "mentor": 1, "organiser": 1, "adviser": 2}, methods, declares=("mentor",))


def test_the_declaration_begins_before_anything_else_and_the_others_do_not_wait_for_it() -> None:
    given = story()
    assert given.next == Step(StepKind.DECLARE, "mentor")
    given.rest()
    version = given.agreement.current
    assert {p.role for p in version.parties if p.status is PartyStatus.SIGNED} == {"participant", "organiser"}
    assert version.party("mentor").requested_at is None
    assert given.next is None


def test_the_mentor_is_asked_when_it_has_declared() -> None:
    given = story()
    given.rest()
    given.append("declared", role="mentor", declaration_sha256="d", declaration_receipt_sha256="r")
    assert given.next == Step(StepKind.REQUEST)
    given.rest()
    assert given.agreement.current.status is Status.SIGNED


def test_a_mentor_who_has_not_declared_cannot_sign() -> None:
    given = story(mentor=Method.OUTSIDE)
    given.rest()
    with pytest.raises(CommandRejected) as caught:
        moves.approve(
            given.agreement, number=None, role="mentor", certificates_sha256=None, evidence_sha256=None,
            now=given.clock.now(),
        )  # fmt: skip
    assert caught.value.code == "declaration_first"


def test_a_version_that_ends_takes_its_declaration_back() -> None:
    given = story()
    given.rest()
    given.command(moves.cancel(given.agreement, number=None, reason="other"))
    assert given.next == Step(StepKind.WITHDRAW, "mentor")
    given.rest()
    assert given.agreement.current.status is Status.CANCELLED
    assert given.next is None


def test_a_declaration_that_nobody_signs_expires_with_the_version_that_waits_for_it() -> None:
    given = Story({"mentor": 0, "adviser": 1}, declares=("mentor",), expires_after_days=10)
    given.rest()
    given.clock.advance(timedelta(days=11))
    given.rest()
    assert given.agreement.current.status is Status.EXPIRED
    assert [e.type for e in given.entries][-2:] == ["expired", "declaration-withdrawn"]
