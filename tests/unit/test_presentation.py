"""Display strings: what a reader of the document sees for each kind of value."""

from __future__ import annotations

import doctest
import json
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from marshmallow import Schema, fields

from service.adapters.templates import Catalogue
from service.domain import presentation
from service.domain.presentation import context, example_contexts, is_unprinted, local_time, printed_values
from service.errors import TemplateError
from service.schemas.agreement import AgreementSchema
from service.schemas.fields import Choice

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.json"))
AGREEMENT = Catalogue(ROOT / "templates").get("tilretteleggingsavtale", "1.0.0", "nb").manifest
LANGUAGES = ("nb", "nn")


def example(name: str = "agreement") -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((ROOT / "examples" / f"{name}.json").read_text())
    return loaded


def shown(path: str, value: object, language: str = "nb") -> str:
    """How one value at `path` is printed."""
    data: Any = value
    for part in reversed(path.split(".")):
        data = [data] if part == "0" else {part: data}
    if not path.startswith("parties.participant"):
        data.setdefault("parties", {}).setdefault("participant", {})["address_protection"] = "none"
    values = printed_values("agreement", data, labels=AGREEMENT.labels[language], language=language)
    return values[path].replace("\N{NO-BREAK SPACE}", "_")


def test_the_module_s_own_examples_hold() -> None:
    assert doctest.testmod(presentation).failed == 0


@pytest.mark.parametrize(
    ("path", "value", "nb", "nn"),
    [
        ("period.start", "2026-12-01", "1._desember 2026", "1._desember 2026"),
        ("parties.participant.national_id", "17849431021", "178494_31021", "178494_31021"),
        ("parties.employer.organisation.number", "312300028", "312_300_028", "312_300_028"),
        ("position.percentage", 60, "60_%", "60_%"),
        ("position.percentage", 62.5, "62,5_%", "62,5_%"),
        ("position.days_per_week", 1, "1_dag i uken", "1_dag i veka"),
        ("position.days_per_week", 3.5, "3,5_dager i uken", "3,5_dagar i veka"),
        ("follow_up.interval_weeks", 1, "hver uke", "kvar veke"),
        ("follow_up.interval_weeks", 2, "annenhver uke", "annakvar veke"),
        ("follow_up.interval_weeks", 4, "hver 4._uke", "kvar 4._veke"),
        ("inclusion_grant.lines.0.amount", 900, "900_kr", "900_kr"),
        ("inclusion_grant.lines.0.amount", 1234567, "1_234_567_kr", "1_234_567_kr"),
        ("mentor.hourly_wage", 268.5, "268,50_kr", "268,50_kr"),
        ("mentor.hourly_wage", 1250, "1_250_kr", "1_250_kr"),
        ("mentor.hours_per_week", 7.5, "7,5_timer i uken", "7,5_timar i veka"),
        ("mentor.limit_months", 6, "6_måneder", "6_månader"),
        ("family_relation.related", True, "Ja", "Ja"),
        ("family_relation.related", False, "Nei", "Nei"),
        ("measure", "temporary_wage_subsidy", "Midlertidig lønnstilskudd", "Mellombels lønstilskot"),
    ],
)
def test_values_are_written_as_norwegians_write_them(path: str, value: object, nb: str, nn: str) -> None:
    assert shown(path, value) == nb
    assert shown(path, value, "nn") == nn


@pytest.mark.parametrize(
    ("instant", "expected"),
    [
        ("2026-11-20T13:03:12Z", "20._november 2026 kl._14.03.12 CET_(UTC+01:00)"),
        ("2027-06-30T22:30:00+00:00", "1._juli 2027 kl._00.30.00 CEST_(UTC+02:00)"),
        ("2026-10-25T00:59:59Z", "25._oktober 2026 kl._02.59.59 CEST_(UTC+02:00)"),
        ("2026-10-25T01:00:00Z", "25._oktober 2026 kl._02.00.00 CET_(UTC+01:00)"),
    ],
)
def test_instants_are_norwegian_time_with_zone(instant: str, expected: str) -> None:
    assert local_time(instant).replace("\N{NO-BREAK SPACE}", "_") == expected


def test_an_instant_without_offset_is_refused() -> None:
    with pytest.raises(ValueError, match="offset"):
        local_time("2026-11-20T13:03:12")


def test_text_is_composed_and_has_one_kind_of_line_end() -> None:
    decomposed = unicodedata.normalize("NFD", "Šárá Å")

    assert shown("goals.0.description", f"{decomposed}\r\nlinje\rto") == "Šárá Å\nlinje\nto"


@pytest.mark.parametrize("protection", ["confidential", "strictly_confidential", None])
def test_a_protected_participant_s_contact_information_is_withheld(protection: str | None) -> None:
    data = example()
    data["parties"]["participant"].pop("address_protection")
    if protection:
        data["parties"]["participant"]["address_protection"] = protection

    filled = context("agreement", data, labels=AGREEMENT.labels["nb"], language="nb")
    values = printed_values("agreement", data, labels=AGREEMENT.labels["nb"], language="nb")

    assert (filled["parties"]["participant"]["phone"], filled["parties"]["participant"]["email"]) == ("", "")
    assert "parties.participant.phone" not in values
    assert "parties.participant.email" not in values
    assert "parties.employer.phone" in values


def test_an_unprotected_participant_s_contact_information_is_printed() -> None:
    values = printed_values("agreement", example(), labels=AGREEMENT.labels["nb"], language="nb")

    assert values["parties.participant.phone"] == example()["parties"]["participant"]["phone"]


def test_the_grant_s_lines_are_added_up() -> None:
    data = example("inclusion_grant")
    total = sum(line["amount"] for line in data["inclusion_grant"]["lines"])

    filled = context("agreement", data, labels=AGREEMENT.labels["nb"], language="nb")

    assert filled["inclusion_grant"]["total"] == presentation.amount(total)


def test_what_was_not_sent_is_empty_and_not_undefined() -> None:
    filled = context("agreement", example("minimal"), labels=AGREEMENT.labels["nb"], language="nb")

    assert filled["goals"] == filled["aids"] == filled["contacts"] == []
    assert filled["follow_up"] == filled["mentor"] == filled["parties"]["guardian"] == {}
    assert filled["position"]["tasks"] == filled["backdated"] == filled["number"] == ""


def test_an_adviser_without_a_unit_belongs_to_the_unit_of_follow_up() -> None:
    data = example("minimal")

    filled = context("agreement", data, labels=AGREEMENT.labels["nb"], language="nb")

    assert filled["parties"]["adviser"]["unit"]["name"] == data["unit"]["name"]


def test_a_code_without_label_is_named() -> None:
    data = {**example(), "measure": "unheard_of"}

    with pytest.raises(TemplateError, match=r"measure\.unheard_of") as caught:
        context("agreement", data, labels=AGREEMENT.labels["nb"], language="nb")
    assert caught.value.code == "label_missing"


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(TemplateError) as caught:
        context("agreement", example(), labels={}, language="se")
    assert caught.value.code == "unknown_language"


@pytest.mark.parametrize(
    ("path", "covered"),
    [
        ("parties.mentor.national_id", True),
        ("parties.mentor.phone", False),
        ("template.name", True),
        ("template", True),
        ("templates", False),
        ("parties", False),
    ],
)
def test_unprinted_paths(path: str, covered: bool) -> None:
    assert is_unprinted(path, ("parties.*.national_id", "template")) is covered


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda p: p.stem)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_example_can_be_presented(file: Path, language: str) -> None:
    data = json.loads(file.read_text())
    labels = AGREEMENT.labels[language]

    filled = context("agreement", data, labels=labels, language=language)
    values = printed_values(
        "agreement", data, labels=labels, language=language, unprinted=AGREEMENT.unprinted
    )

    assert filled["parties"]["participant"]["name"]
    assert values
    assert all(values.values())


def _choices(schema: Schema, path: str = "") -> Iterator[tuple[str, Choice]]:
    for name, field in schema.fields.items():
        at = f"{path}.{name}" if path else name
        inner: Any = field
        if isinstance(field, fields.List):
            inner, at = field.inner, f"{at}.0"
        if isinstance(inner, fields.Nested):
            yield from _choices(inner.schema, at)
        elif isinstance(inner, Choice):
            yield at, inner


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_word_of_the_schema_s_choices_has_a_label(language: str) -> None:
    """A choice is either unprinted, or each of its values has words of its own in the language."""
    seen = 0
    for path, field in _choices(AgreementSchema()):
        if is_unprinted(path, AGREEMENT.unprinted):
            continue
        seen += 1
        for value in field.choices:
            assert shown(path, value, language) != value, f"{path}: {value}"
    assert seen >= 10


def _leaves(value: Any, path: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for inner in value[:1]:
            yield from _leaves(inner, f"{path}.0")
    else:
        yield path


def _fields(schema: Schema, path: str = "") -> Iterator[str]:
    for name, field in schema.fields.items():
        at = f"{path}.{name}" if path else name
        inner: Any = field
        if isinstance(field, fields.List):
            inner, at = field.inner, f"{at}.0"
        if isinstance(inner, fields.Nested):
            yield from _fields(inner.schema, at)
        else:
            yield at


def test_every_field_of_the_schema_is_known_to_templates() -> None:
    """A template may name any field of the schema, sent or not."""
    known = set(_leaves(example_contexts("agreement")["full"]))

    lacking = {p for p in _fields(AgreementSchema()) if p not in known}

    assert {p for p in lacking if not p.endswith(".order") and not p.startswith("template.")} == set()
