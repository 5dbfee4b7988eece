"""Display strings: what a reader of the document sees for each kind of value."""

from __future__ import annotations

import doctest
import json
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import Schema, fields

from service.adapters.templates import Catalogue
from service.domain import presentation, wage_subsidy
from service.domain.changes import CHANGE_TYPES, TERMINATION, TERMINATION_REASONS
from service.domain.presentation import (
    Described,
    context,
    describe_changes,
    example_contexts,
    is_unprinted,
    local_time,
    printed_values,
)
from service.errors import TemplateError
from service.schemas.agreement import AgreementSchema
from service.schemas.fields import Choice

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.json"))
AGREEMENT = Catalogue(ROOT / "templates").get("tilretteleggingsavtale", "1.1.0", "nb").manifest
LANGUAGES = ("nb", "nn", "en")


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
    for module in (presentation, wage_subsidy):
        assert doctest.testmod(module).failed == 0
        assert doctest.testmod(module).attempted


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
    ("path", "value", "english"),
    [
        ("period.start", "2026-12-01", "1_December 2026"),
        ("parties.participant.national_id", "17849431021", "178494_31021"),
        ("parties.employer.organisation.number", "312300028", "312_300_028"),
        ("position.percentage", 60, "60%"),
        ("position.percentage", 62.5, "62.5%"),
        ("position.days_per_week", 1, "1_day a week"),
        ("position.days_per_week", 3.5, "3.5_days a week"),
        ("follow_up.interval_weeks", 1, "every week"),
        ("follow_up.interval_weeks", 2, "every other week"),
        ("follow_up.interval_weeks", 4, "every 4_weeks"),
        ("inclusion_grant.lines.0.amount", 1234567, "NOK_1,234,567"),
        ("mentor.hourly_wage", 268.5, "NOK_268.50"),
        ("mentor.hourly_wage", 1250, "NOK_1,250"),
        ("mentor.limit_months", 6, "6_months"),
        ("mentor.hours_per_week", 7.5, "7.5_hours a week"),
        ("family_relation.related", False, "No"),
        ("measure", "temporary_wage_subsidy", "Temporary wage subsidy"),
    ],
)
def test_values_are_written_as_in_english(path: str, value: object, english: str) -> None:
    assert shown(path, value, "en") == english


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


_SEGMENTS = st.lists(st.sampled_from(["a", "b", "0", "a.b", "+", ""]), min_size=1, max_size=4)


@given(_SEGMENTS, st.lists(st.lists(st.sampled_from(["*", "a", "b", "0", "+", ""]), min_size=1, max_size=4)))
def test_a_path_is_unprinted_segment_by_segment(path: list[str], patterns: list[list[str]]) -> None:
    found = ".".join(path).split(".")
    wanted = any(
        len(found) >= len(pattern) and all(w in ("*", f) for w, f in zip(pattern, found, strict=False))
        for pattern in patterns
    )
    assert is_unprinted(".".join(path), [".".join(pattern) for pattern in patterns]) is wanted


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
    labels = AGREEMENT.labels[language]
    assert set(labels["change_type"]) == {*CHANGE_TYPES, TERMINATION}
    assert set(labels["termination_reason"]) == set(TERMINATION_REASONS)


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


# --- wage subsidies ---


def test_a_wage_subsidy_is_calculated_and_must_be_printed() -> None:
    """31 200 kr, 12 % holiday pay, 2 % pension, 14.1 % contribution: by hand 40 668.57, and 60 % of 40 669."""
    data = example("temporary_wage_subsidy")
    labels = AGREEMENT.labels["nb"]

    section = context("agreement", data, labels=labels, language="nb")["wage_subsidy"]
    values = printed_values("agreement", data, labels=labels, language="nb")

    plain = {name: text.replace("\N{NO-BREAK SPACE}", " ") for name, text in section.items()}
    assert plain["wage_costs"] == "40 669 kr"
    assert plain["monthly_subsidy"] == "24 401 kr"
    assert (plain["reduced_percentage"], plain["reduced_from"]) == ("50 %", "1. desember 2037")
    assert plain["reduced_subsidy"] == "20 335 kr"
    assert values["temporary_wage_subsidy.monthly_subsidy"] == section["monthly_subsidy"]
    assert values["temporary_wage_subsidy.reduced_subsidy"] == section["reduced_subsidy"]


@pytest.mark.parametrize(
    ("measure", "percentage", "end", "reduced"),
    [
        ("temporary_wage_subsidy", 40, "2037-05-31", ""),
        ("temporary_wage_subsidy", 40, "2037-06-01", "30 % 1. juni 2037"),
        ("temporary_wage_subsidy", 60, "2037-11-30", ""),
        ("temporary_wage_subsidy", 60, "2037-12-01", "50 % 1. desember 2037"),
        ("temporary_wage_subsidy", 50, "2038-11-30", ""),
        ("permanent_wage_subsidy", 67, "2040-11-30", ""),
        ("permanent_wage_subsidy", 68, "2037-11-30", ""),
        ("permanent_wage_subsidy", 75, "2037-12-01", "67 % 1. desember 2037"),
    ],
)
def test_when_a_wage_subsidy_falls(measure: str, percentage: int, end: str, reduced: str) -> None:
    data = example("temporary_wage_subsidy")
    data |= {"measure": measure, measure: {**data.pop("temporary_wage_subsidy"), "percentage": percentage}}
    data["period"]["end"] = end

    found = context("agreement", data, labels=AGREEMENT.labels["nb"], language="nb")["wage_subsidy"]

    told = f"{found['reduced_percentage']} {found['reduced_from']}".strip()
    assert told.replace("\N{NO-BREAK SPACE}", " ") == reduced


# --- changes ---


def described(*changes: dict[str, Any], language: str = "nb", **options: Any) -> list[Described]:
    return describe_changes(
        changes,
        labels=AGREEMENT.labels[language],
        field_labels=AGREEMENT.fields[language],
        language=language,
        **options,
    )


def change(path: str, before: Any, after: Any) -> dict[str, Any]:
    return {"path": path, "before": before, "after": after}


NEED = {"need": "Pauser", "measure": "Hver time", "responsible": "employer", "deadline": "2036-12-01"}


@pytest.mark.parametrize(
    ("made", "what", "before", "after"),
    [
        (change("period.end", "2037-05-31", "2038-05-31"), "Siste dag", "31._mai 2037", "31._mai 2038"),
        (change("position.percentage", None, 60), "Stillingsprosent", "–", "60_%"),
        (change("accommodation.2.measure", "Rampe", None), "Tilrettelegging 3: Tiltak", "Rampe", "–"),
        (change("accommodation.0.status", "planned", "done"), "Tilrettelegging 1: Status", "Planlagt", "På plass"),
        (change("parties.employer.phone", "1", "2"), "Arbeidsgiver: Telefon", "1", "2"),
        (change("parties.employer.organisation.number", None, "312300028"),
         "Arbeidsgiver: Organisasjonsnummer", "–", "312_300_028"),
        (change("follow_up.meetings.1.date", "2036-12-01", "2036-12-08"),
         "Møte 2: Dato", "1._desember 2036", "8._desember 2036"),
        (change("inclusion_grant.lines.3", None, {"amount": 1200, "kind": "aids"}),
         "Tilskuddslinje 4", "–", "Beløp: 1_200_kr\nTilskuddet gjelder: Hjelpemidler"),
        (change("accommodation.1", None, NEED), "Tilrettelegging 2", "–",
         "Behov: Pauser\nTiltak: Hver time\nAnsvarlig: Arbeidsgiver\nFrist: 1._desember 2036"),
        (change("goals", None, [{"category": "other", "description": "A"}, {"category": "language"}]),
         "Mål", "–", "Mål 1, Type mål: Annet\nMål 1, Dette vil vi få til: A\nMål 2, Type mål: Språk"),
        (change("follow_up", {"plan": "Før", "meetings": [{"date": "2036-12-01", "topic": "Start"}]}, None),
         "Oppfølging", "Plan for oppfølging: Før\nMøte 1, Dato: 1._desember 2036\nMøte 1, Tema: Start", "–"),
        (change("family_relation.related", False, True), "I familie med arbeidsgiveren", "Nei", "Ja"),
    ],
    ids=lambda value: value["path"] if isinstance(value, dict) else "",
)  # fmt: skip
def test_a_change_is_told_as_people_say_it(made: dict[str, Any], what: str, before: str, after: str) -> None:
    [told] = described(made)

    assert (told.what, told.before, told.after) == tuple(
        text.replace("_", "\N{NO-BREAK SPACE}") for text in (what, before, after)
    )


def test_changes_are_told_in_every_language() -> None:
    made = change("accommodation.2.deadline", None, "2037-01-15")

    assert [described(made, language=language)[0] for language in LANGUAGES] == [
        Described("Tilrettelegging 3: Frist", "–", "15.\N{NO-BREAK SPACE}januar 2037"),
        Described("Tilrettelegging 3: Frist", "–", "15.\N{NO-BREAK SPACE}januar 2037"),
        Described("Accommodation 3: Deadline", "–", "15\N{NO-BREAK SPACE}January 2037"),
    ]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_field_of_the_schema_can_be_named(language: str) -> None:
    places = {part for path in _fields(AgreementSchema()) for part in _prefixes(path) if part != "id"}

    for path in places:
        [told] = described(change(path, None, None), language=language)
        assert told.what
        assert "_" not in told.what, path


def _prefixes(path: str) -> list[str]:
    steps = path.split(".")
    return [".".join(steps[: n + 1]) for n in range(len(steps))]


def test_a_field_without_a_name_is_told_to_the_author() -> None:
    with pytest.raises(TemplateError, match=r"accommodation\.0\.colour") as caught:
        described(change("accommodation.0.colour", None, "x"))
    assert caught.value.code == "label_missing"


AMENDMENT = {
    "version": 2,
    "supersedes": 1,
    "types": ["goals", "contact_information", "extend"],
    "reason": "Grunn",
    "asked_by": "participant",
    "told": ["employer"],
}
PHONES = change("parties.participant.phone", "+47 000 00 098", "+47 000 00 001")


def amended(*changes: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {**example(), "amendment": {**AMENDMENT, "changes": list(changes), **fields}}


def both(data: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The template's variables, and the values to be found."""
    given: dict[str, Any] = {
        "labels": AGREEMENT.labels["nb"],
        "language": "nb",
        "field_labels": AGREEMENT.fields["nb"],
        "unprinted": AGREEMENT.unprinted,
    }
    return context("agreement", data, **given), printed_values("agreement", data, **given)


def test_what_is_said_of_an_amendment() -> None:
    filled, values = both(amended(change("period.end", "2037-05-31", "2038-05-31")))

    assert filled["amendment"]["types"] == "Mål, kontaktopplysninger og forlengelse"
    assert filled["amendment"]["told"] == "Arbeidsgiver"
    assert filled["amendment"]["asked_by"] == "Deltaker"
    assert (filled["amendment"]["version"], filled["amendment"]["supersedes"]) == ("2", "1")
    [row] = filled["amendment"]["changes"]
    assert row["what"] == "Siste dag"
    for name in ("what", "before", "after"):
        assert values[f"amendment.changes.0.{name}"] == row[name]
    assert values["amendment.types"] == filled["amendment"]["types"]
    assert not [path for path in values if path.startswith("amendment.types.")]


def test_nobody_asked_and_nobody_is_told() -> None:
    filled, values = both(amended(asked_by=None, told=[]))

    assert (filled["amendment"]["asked_by"], filled["amendment"]["told"]) == ("", "")
    assert filled["amendment"]["changes"] == []
    assert "amendment.told" not in values


def test_without_an_amendment_there_is_none() -> None:
    filled, values = both(example())

    assert filled["amendment"] == filled["termination"] == {}
    assert not [path for path in values if path.startswith(("amendment", "termination"))]


@pytest.mark.parametrize(
    ("now", "changed", "is_shown"),
    [
        ("none", [], True),
        ("confidential", [], False),
        (None, [], False),
        # Protected until now: what it was then is not told now.
        ("none", [change("parties.participant.address_protection", "confidential", "none")], False),
        ("none", [change("parties.participant.address_protection", None, "none")], False),
        ("confidential", [change("parties.participant.address_protection", "none", "confidential")], False),
    ],
)
def test_protected_contact_information_is_withheld_in_changes_too(
    now: str | None, changed: list[dict[str, Any]], is_shown: bool
) -> None:
    data = amended(PHONES, *changed)
    data["parties"]["participant"].pop("address_protection")
    if now:
        data["parties"]["participant"]["address_protection"] = now

    filled, values = both(data)

    [row] = filled["amendment"]["changes"]  # that the protection changed is never told
    assert row["what"] == "Deltaker: Telefon"
    assert (row["before"] == PHONES["before"]) is is_shown
    assert (PHONES["before"] in str(filled) + str(values)) is is_shown
    if not is_shown:
        assert (row["before"], row["after"]) == ("Vises ikke", "Vises ikke")


def test_what_is_not_printed_is_not_told_as_a_change_either() -> None:
    adviser = {"first_name": "Ny", "last_name": "Veileder", "ident": "Z990999", "phone": "+47 000 00 003"}
    filled, values = both(
        amended(
            change("parties.adviser.ident", "Z990123", "Z990999"),
            change("parties.adviser", None, adviser),
            change("parties.mentor.national_id", "14836611803", None),
        )
    )

    [row] = filled["amendment"]["changes"]
    assert row["what"] == "Veileder i Nav"
    assert row["after"] == "Fornavn: Ny\nEtternavn: Veileder\nTelefon: +47 000 00 003"
    assert "Z990999" not in str(filled["amendment"]) + str(values)
    assert "14836611803" not in str(filled["amendment"]) + str(values)


# --- who signs ---


@pytest.mark.parametrize(
    ("name", "changes", "signers", "expected"),
    [
        ("agreement", {}, None, {"participant", "employer", "adviser"}),
        ("agreement", {"amendment": {**AMENDMENT, "changes": []}}, None, {"participant", "adviser"}),
        ("agreement", {}, ["adviser"], {"adviser"}),
        ("mentor", {}, None, {"participant", "employer", "mentor", "adviser"}),
    ],
)
def test_who_signs(name: str, changes: dict[str, Any], signers: list[str] | None, expected: set[str]) -> None:
    data = {**example(name), **changes}

    filled = context(
        "agreement",
        data,
        labels=AGREEMENT.labels["nb"],
        language="nb",
        field_labels=AGREEMENT.fields["nb"],
        signers=signers,
    )

    assert {role for role, signs in filled["signs"].items() if signs} == expected


# --- the declaration ---


def test_a_declaration_names_mentor_agreement_and_work_place() -> None:
    template = Catalogue(ROOT / "templates").get("taushetserklaering", "1.0.0", "nb")
    data = json.loads((ROOT / "templates/taushetserklaering/1.0.0/sample.json").read_text())

    filled = context("declaration", data, labels=template.labels, language="nb")
    values = printed_values(
        "declaration",
        data,
        labels=template.labels,
        language="nb",
        unprinted=template.manifest.unprinted,
    )

    assert filled["parties"]["mentor"]["name"] == "Marit Sælen"
    assert filled["measure"] == "Mentor"
    assert set(values) == {
        "number",
        "case.reference",
        "measure",
        "period.start",
        "period.end",
        "unit.name",
        "parties.mentor.first_name",
        "parties.mentor.last_name",
        "parties.employer.organisation.name",
        "parties.employer.organisation.number",
        "declares_for.agreement",
        "declares_for.version",
    }
