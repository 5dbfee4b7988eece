"""Retention and erasure: who may erase what from when, and what an agreement says of itself afterwards."""

from __future__ import annotations

import doctest
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from service.adapters.templates import Catalogue
from service.adapters.templates.manifest import parse_manifest
from service.domain import moves, retention
from service.domain.erasure import ErasureReason, check_erasable, disposable_from, ordered
from service.domain.retention import Disposal, Retention, RetentionRule
from service.domain.steps import StepKind, next_step, wakes
from service.errors import CommandRejected, SignertError, TemplateError
from tests.story import Story

TEMPLATES = Path(__file__).parents[2] / "templates"
KEPT = {"until": "2036-11-30", "disposal": "review", "authority": "Arkivplanen"}


def story(**more: Any) -> Story:
    told = Story({"participant": 0, "adviser": 1})
    told.entries[0].data.update(more)  # type: ignore[attr-defined]
    return told


def signed(**more: Any) -> Story:
    told = story(**more)
    told.rest()
    return told


def refusal(told: Story, day: str) -> str:
    with pytest.raises(SignertError) as caught:
        check_erasable(told.agreement, datetime.fromisoformat(day).replace(hour=12, tzinfo=UTC))
    assert caught.value.remedy
    return caught.value.code


def test_the_last_day_of_keeping() -> None:
    assert doctest.testmod(retention).failed == 0
    kept = RetentionRule(10, Disposal.DISPOSE, "x").of("2026-12-31")
    assert kept == Retention("2036-12-31", Disposal.DISPOSE, "x")
    assert kept.ends_at == datetime(2036, 12, 31, 23, tzinfo=UTC)  # midnight in Norway
    assert Retention.from_data(kept.as_data()) == kept


@pytest.mark.parametrize("name", ["tilretteleggingsavtale", "taushetserklaering"])
def test_the_newest_templates_say_how_long(name: str) -> None:
    catalogue = Catalogue(TEMPLATES)
    manifest = catalogue.get(name, catalogue.newest(name), "nb").manifest
    assert manifest.retention == RetentionRule(10, Disposal.REVIEW, "Arkivplanen")


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("years = 10", "years = 0", "years"),
        ("years = 10", "years = true", "years"),
        ('disposal = "review"', 'disposal = "burn"', "keep, dispose, review"),
        ('authority = "Arkivplanen"', 'authority = ""', "authority"),
        ("years = 10\n", "", "years, disposal and authority"),
    ],
)
def test_a_manifest_with_another_rule_is_refused(old: str, new: str, word: str) -> None:
    text = (TEMPLATES / "tilretteleggingsavtale/1.2.0/manifest.toml").read_text()
    assert old in text
    with pytest.raises(TemplateError, match=word):
        parse_manifest(text.replace(old, new))


def test_archive_duty_holds_until_the_last_day_is_over() -> None:
    told = signed(retention=KEPT)
    assert refusal(told, "2026-12-01") == "archive_duty"
    assert refusal(told, "2036-11-30") == "archive_duty"
    day = datetime(2036, 12, 1, 12, tzinfo=UTC)
    assert check_erasable(told.agreement, day) is ErasureReason.DISPOSAL
    assert disposable_from(told.agreement, 90) == date(2036, 12, 1)


@pytest.mark.parametrize("kept", [{}, {"retention": {**KEPT, "disposal": "keep"}}])
def test_what_is_kept_for_ever_or_by_no_rule_is_never_erased(kept: dict[str, Any]) -> None:
    told = signed(**kept)
    assert refusal(told, "2999-01-01") == "archive_duty"
    assert disposable_from(told.agreement, 90) is None


def test_an_agreement_is_kept_as_long_as_any_of_its_signed_versions() -> None:
    told = signed(retention=KEPT)
    told.amend(retention={**KEPT, "until": "2035-01-31"}, supersedes=1, change=["shorten"])
    assert refusal(told, "2036-12-31") == "version_open"
    told.rest()
    assert told.agreement.retention == Retention.from_data(KEPT)
    assert refusal(told, "2036-11-30") == "archive_duty"
    told.amend(retention={**KEPT, "disposal": "keep"}, supersedes=2, change=["goals"])
    told.rest()
    assert refusal(told, "2999-01-01") == "archive_duty"


def test_what_was_never_signed_waits_only_for_its_end() -> None:
    told = story(retention=KEPT)
    assert refusal(told, "2026-11-22") == "version_open"
    assert disposable_from(told.agreement, 90) is None
    told.append("declined", role="participant", reason="other")
    assert check_erasable(told.agreement, told.clock.now()) is ErasureReason.NOT_SIGNED
    ended = datetime.fromisoformat(told.agreement.current.changed_at).date()
    assert disposable_from(told.agreement, 90) == ended + timedelta(days=91)


def test_from_the_order_on_nothing_else_is_done() -> None:
    told = signed(retention=KEPT)
    draft = ordered(told.agreement, ErasureReason.DISPOSAL, record_sha256="rec")
    told.append(draft.type, **draft.data)
    agreement = told.agreement
    step = next_step(agreement, told.clock.now())
    assert step is not None
    assert step.kind is StepKind.ERASE
    assert wakes(agreement) == []
    assert agreement.in_force is None
    with pytest.raises(CommandRejected) as caught:
        moves.refuse_erased(agreement)
    assert caught.value.code == "erased"
    told.append("erased", record_signature_sha256="sig", blobs=12)
    assert next_step(told.agreement, told.clock.now()) is None
    assert told.agreement.erasure is not None
    assert (told.agreement.erasure.record_sha256, told.agreement.erasure.signature_sha256) == ("rec", "sig")
    assert refusal(told, "2999-01-01") == "already_erased"
