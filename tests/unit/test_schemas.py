"""What is taken in and what is refused: the whole answer that a producer gets, field by field."""

import copy
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.intake_rules import CEILINGS, ceiling_for
from service.domain.periods import last_day
from service.errors import CommandRejected
from service.schemas import COMMAND_SCHEMAS, Command, load_command, valid_command_id
from service.schemas.amendments import AmendmentSection, TerminationSection

EXAMPLES = Path(__file__).parents[2] / "examples"
COMMAND_ID = "6f1c2c7e-3b1a-4d7f-9a53-0f0f6a9d2d11"
TODAY = date(2026, 11, 21)
ABSENT = object()


def example(name="agreement"):
    return json.loads((EXAMPLES / f"{name}.json").read_text(encoding="utf-8"))


def with_changes(agreement, changes):
    """A copy with the value at each dotted path replaced, added, or (ABSENT) taken away."""
    agreement = copy.deepcopy(agreement)
    for path, value in changes.items():
        *steps, last = (int(s) if s.isdecimal() else s for s in path.split("."))
        node = agreement
        for step in steps:
            node = node[step] if isinstance(step, int) else node.setdefault(step, {})
        if value is ABSENT:
            del node[last]
        else:
            node[last] = value
    return agreement


def submit(agreement, *, today=TODAY, command_id=COMMAND_ID):
    return load_command("submit", {"command_id": command_id, "agreement": agreement}, today=today)


def faults(agreement, *, today=TODAY):
    """`(path, code)` of every fault, without the leading `agreement.`."""
    with pytest.raises(CommandRejected) as caught:
        submit(agreement, today=today)
    return [(e.path.removeprefix("agreement."), e.code) for e in caught.value.errors]


# --- what is taken in ---


@pytest.mark.parametrize("name", sorted(file.stem for file in EXAMPLES.glob("*.json")))
@pytest.mark.parametrize(
    "today", [datetime.now(ZoneInfo("Europe/Oslo")).date(), date(2032, 1, 1), date(2036, 12, 8)]
)
def test_examples_are_valid_today_and_for_years(name, today):
    command = submit(example(name), today=today)
    assert isinstance(command, Command)
    assert command.values["agreement"] == example(name)
    assert (command.name, command.command_id) == ("submit", COMMAND_ID)


def test_what_was_sent_is_normalised():
    agreement = with_changes(
        example(),
        {
            "id": "9F0D2C64-5B3E-4E7B-8A7D-0C9D5E6F7A10",
            "position.title": "  Bakerimedarbeider\n",
            "position.tasks": "Å veie opp.\r\nÅ bake.\u00a0",
            "position.percentage": 60.0,
        },
    )
    agreement["position"]["tasks"] = agreement["position"]["tasks"].replace("Å", "A\u030a")
    command = submit(agreement, command_id=COMMAND_ID.upper())
    assert command.command_id == COMMAND_ID
    assert command.values["agreement"]["id"] == "9f0d2c64-5b3e-4e7b-8a7d-0c9d5e6f7a10"
    assert command.values["agreement"]["position"]["title"] == "Bakerimedarbeider"
    assert command.values["agreement"]["position"]["tasks"] == "Å veie opp.\nÅ bake."
    assert json.dumps(command.values["agreement"]["position"]["percentage"]) == "60"


def test_a_command_shows_no_personal_data_when_it_is_printed():
    shown = repr(submit(example()))
    assert "17849431021" not in shown
    assert "Øvergård" not in shown


@pytest.mark.parametrize("name", ["contacts", "goals", "accommodation", "aids", "training"])
def test_needs_may_be_unknown(name):
    assert name not in submit(with_changes(example(), {name: ABSENT})).values["agreement"]
    assert submit(with_changes(example(), {name: []})).values["agreement"][name] == []


def test_every_role_and_an_order_for_each():
    person = {"first_name": "Eli", "last_name": "Bø", "phone": "+47 000 00 009"}
    agreement = with_changes(
        example("mentor"),
        {
            "parties.guardian": {
                **person, "kind": "enduring_power", "scope": "with", "verification_code": "AB12-CD34",
            },
            "parties.organiser": {
                **person, "organisation": {"number": "313500055", "name": "Trygg Vei AS"},
            },
            "parties.decider": {**person, "ident": "Z990111"},
        },
    )  # fmt: skip
    for order, role in enumerate(agreement["parties"]):
        agreement["parties"][role]["order"] = order
    assert submit(agreement).values["agreement"] == agreement


# --- shape ---

PARTICIPANT = "parties.participant"
LONG = "x" * 1001
SHAPE = {
    # missing
    "no measure": ({"measure": ABSENT}, [("measure", "required")]),
    "no participant": ({PARTICIPANT: ABSENT}, [(PARTICIPANT, "required")]),
    "no national id": ({f"{PARTICIPANT}.national_id": ABSENT}, [(f"{PARTICIPANT}.national_id", "required")]),
    "no organisation": (
        {"parties.employer.organisation": ABSENT}, [("parties.employer.organisation", "required")],
    ),
    "a commitment without deadline": (
        {"follow_up.commitments.1.deadline": ABSENT}, [("follow_up.commitments.1.deadline", "required")],
    ),
    "no relation said": ({"family_relation": ABSENT}, [("family_relation", "required")]),
    # unknown
    "unknown field": ({"colour": "blue"}, [("colour", "unknown_field")]),
    "unknown field of a goal": ({"goals.1.weight": 1}, [("goals.1.weight", "unknown_field")]),
    "unknown party": ({"parties.neighbour": {}}, [("parties.neighbour", "unknown_field")]),
    # wrong types
    "number for text": ({"position.title": 7}, [("position.title", "wrong_type")]),
    "text for number": ({"position.percentage": "60"}, [("position.percentage", "wrong_type")]),
    "truth for number": ({"position.days_per_week": True}, [("position.days_per_week", "wrong_type")]),
    "number for truth": ({"family_relation.related": 0}, [("family_relation.related", "wrong_type")]),
    "text for truth": ({"family_relation.related": "true"}, [("family_relation.related", "wrong_type")]),
    "truth for order": ({f"{PARTICIPANT}.order": False}, [(f"{PARTICIPANT}.order", "wrong_type")]),
    "float for whole": ({"follow_up.interval_weeks": 4.0}, [("follow_up.interval_weeks", "wrong_type")]),
    "object for list": ({"goals": {}}, [("goals", "wrong_type")]),
    "text for list": ({"goals": "job"}, [("goals", "wrong_type")]),
    "list for object": ({"period": []}, [("period", "wrong_type")]),
    "text for item": ({"aids.1": "bord"}, [("aids.1", "wrong_type")]),
    "null": ({"number": None}, [("number", "null_not_allowed")]),
    "null item": ({"aids.0": None}, [("aids.0", "null_not_allowed")]),
    "text for agreement parts": ({"parties": "alle"}, [("parties", "wrong_type")]),
    "number for a section with responsible parties": ({"aids": 7}, [("aids", "wrong_type")]),
    # choices
    "language": ({"language": "sv"}, [("language", "invalid_choice")]),
    "measure": ({"measure": "lønnstilskudd"}, [("measure", "invalid_choice")]),
    "goal category": ({"goals.0.category": "fun"}, [("goals.0.category", "invalid_choice")]),
    "status": ({"aids.0.status": "ordered"}, [("aids.0.status", "invalid_choice")]),
    "protection": (
        {f"{PARTICIPANT}.address_protection": "kode 6"}, [(f"{PARTICIPANT}.address_protection", "invalid_choice")],
    ),
    "responsible": (
        {"accommodation.0.responsible": "nav"}, [("accommodation.0.responsible", "invalid_choice")],
    ),
    # limits
    "text too long": ({"position.tasks": LONG}, [("position.tasks", "too_long")]),
    "text of a megabyte": ({"position.tasks": " " * 2**20}, [("position.tasks", "too_long")]),
    "explanation too long": (
        {"family_relation": {"related": True, "explanation": LONG[:501]}},
        [("family_relation.explanation", "too_long")],
    ),
    "too many goals": ({"goals": [{"category": "other", "description": "x"}] * 21}, [("goals", "too_many_items")]),
    "order above 9": ({f"{PARTICIPANT}.order": 10}, [(f"{PARTICIPANT}.order", "out_of_range")]),
    "order below 0": ({f"{PARTICIPANT}.order": -1}, [(f"{PARTICIPANT}.order", "out_of_range")]),
    "percentage above 100": ({"position.percentage": 100.01}, [("position.percentage", "out_of_range")]),
    "percentage 0": ({"position.percentage": 0}, [("position.percentage", "out_of_range")]),
    "percentage with three decimals": ({"position.percentage": 33.333}, [("position.percentage", "too_precise")]),
    "not a number": ({"position.percentage": float("nan")}, [("position.percentage", "out_of_range")]),
    "infinite": ({"position.percentage": float("inf")}, [("position.percentage", "out_of_range")]),
    "eight days a week": ({"position.days_per_week": 8}, [("position.days_per_week", "out_of_range")]),
    "white space only": ({"position.title": " \u2003\u00a0"}, [("position.title", "blank")]),
    "empty": ({"position.title": ""}, [("position.title", "blank")]),
    # forms
    "name of template": ({"template.name": "../secret"}, [("template.name", "invalid_format")]),
    "version of template": ({"template.version": "1.0"}, [("template.version", "invalid_format")]),
    "version with leading zero": ({"template.version": "1.02.0"}, [("template.version", "invalid_format")]),
    "case system": ({"case.system": "Arena!"}, [("case.system", "invalid_format")]),
    "case reference with slash": ({"case.reference": "2036/88412"}, [("case.reference", "invalid_format")]),
    "case reference that climbs": ({"case.reference": ".."}, [("case.reference", "invalid_format")]),
    "id": ({"id": "17"}, [("id", "invalid_uuid")]),
    "id in braces": ({"id": f"{{{COMMAND_ID}}}"}, [("id", "invalid_uuid")]),
    "nil id": ({"id": "00000000-0000-0000-0000-000000000000"}, [("id", "invalid_uuid")]),
    "unit number": ({"unit.number": "219"}, [("unit.number", "invalid_format")]),
    "ident": ({"parties.adviser.ident": "z990123"}, [("parties.adviser.ident", "invalid_ident")]),
    "phone": ({f"{PARTICIPANT}.phone": "ring meg"}, [(f"{PARTICIPANT}.phone", "invalid_phone")]),
    "phone too short": ({f"{PARTICIPANT}.phone": "+47 1"}, [(f"{PARTICIPANT}.phone", "invalid_phone")]),
    "email": ({f"{PARTICIPANT}.email": "ajlin(at)example"}, [(f"{PARTICIPANT}.email", "invalid_email")]),
    "two emails": ({f"{PARTICIPANT}.email": "a@b.no,c@d.no"}, [(f"{PARTICIPANT}.email", "invalid_email")]),
    "email with a header": (
        {f"{PARTICIPANT}.email": "a@b.no\nBcc: c@d.no"}, [(f"{PARTICIPANT}.email", "illegal_character")],
    ),
    "no such day": ({"period.end": "2037-02-30"}, [("period.end", "invalid_date")]),
    "date without hyphens": ({"period.end": "20370531"}, [("period.end", "invalid_date")]),
    "week date": ({"period.end": "2037-W01-1"}, [("period.end", "invalid_date")]),
    "date with time": ({"period.end": "2037-05-31T00:00:00Z"}, [("period.end", "invalid_date")]),
    "date far away": ({"period.end": "2137-05-31"}, [("period.end", "invalid_date")]),
    # identifiers
    "identity number with a wrong digit": (
        {f"{PARTICIPANT}.national_id": "17849431022"}, [(f"{PARTICIPANT}.national_id", "invalid_national_id")],
    ),
    "identity number with a space": (
        {f"{PARTICIPANT}.national_id": "178494 31021"}, [(f"{PARTICIPANT}.national_id", "invalid_national_id")],
    ),
    "identity number as a number": (
        {f"{PARTICIPANT}.national_id": 17849431021}, [(f"{PARTICIPANT}.national_id", "wrong_type")],
    ),
    "organisation number with a wrong digit": (
        {"parties.employer.organisation.number": "312300029"},
        [("parties.employer.organisation.number", "invalid_organisation_number")],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "expected"), SHAPE.values(), ids=SHAPE.keys())
def test_a_fault_in_a_field_is_named_by_its_path(changes, expected):
    assert faults(with_changes(example(), changes)) == expected


FORBIDDEN = {
    "NUL": "\x00",
    "bell": "\x07",
    "vertical tab": "\x0b",
    "form feed": "\x0c",
    "escape": "\x1b",
    "delete": "\x7f",
    "next line": "\x85",
    "soft hyphen": "\xad",
    "zero-width space": "\u200b",
    "line separator": "\u2028",
    "right-to-left override": "\u202e",
    "isolate": "\u2066",
    "byte order mark": "\ufeff",
    "high surrogate": "\ud83d",
    "low surrogate": "\udc00",
    "private use": "\ue000",
    "private use, plane 16": "\U00100000",
    "tag": "\U000e0041",
    "noncharacter": "\ufdd0",
    "U+FFFE": "\ufffe",
    "U+FFFF": "\uffff",
    "noncharacter, plane 1": "\U0001fffe",
}
TEXTS = [
    "number",
    f"{PARTICIPANT}.first_name",
    "parties.employer.organisation.name",
    "position.tasks",
    "goals.0.description",
    "follow_up.plan",
    "contacts.0.role",
    "unit.name",
]


@pytest.mark.parametrize("character", FORBIDDEN.values(), ids=FORBIDDEN.keys())
@pytest.mark.parametrize("path", TEXTS)
def test_characters_that_would_be_lost_or_mislead_are_refused(path, character):
    assert faults(with_changes(example(), {path: f"før{character}etter"})) == [(path, "illegal_character")]


@pytest.mark.parametrize(
    "text", ["ČčĐđŊŋŠšŦŧŽž", "ĄąĆćĘęŁłŃńÓóŚśŹźŻż", "æøåÆØÅ", 'R&D <b> "x" {{ y }} {% z %}', "–—«»’€½ 𝒜"]
)
def test_letters_and_signs_are_kept(text):
    assert (
        submit(with_changes(example(), {"goals.0.description": text})).values["agreement"]["goals"][0][
            "description"
        ]
        == text
    )


def test_line_breaks_are_for_long_texts():
    assert faults(with_changes(example(), {"position.title": "a\nb"})) == [
        ("position.title", "illegal_character")
    ]
    assert (
        submit(with_changes(example(), {"position.tasks": "a\n\tb"})).values["agreement"]["position"]["tasks"]
        == "a\n\tb"
    )


def test_a_text_may_be_as_long_as_its_limit():
    text = "å" * 1000
    assert (
        submit(with_changes(example(), {"position.tasks": text})).values["agreement"]["position"]["tasks"]
        == text
    )
    assert (
        len(
            submit(with_changes(example(), {"position.tasks": f" {text}\n"})).values["agreement"]["position"][
                "tasks"
            ]
        )
        == 1000
    )


def test_all_faults_are_told_at_once_in_order():
    agreement = with_changes(
        example(),
        {"language": "se", "period.end": "2036-11-30", f"{PARTICIPANT}.national_id": "1", "extra": 1},
    )
    assert faults(agreement) == [
        ("extra", "unknown_field"),
        ("language", "invalid_choice"),
        (f"{PARTICIPANT}.national_id", "invalid_national_id"),
        ("period.end", "dates_reversed"),
    ]


def test_list_items_are_told_in_the_order_of_the_list():
    goals = [{"category": "other", "description": "x"} for _ in range(12)]
    for index in (10, 2, 9):
        goals[index]["category"] = "?"
    assert [path for path, _ in faults(with_changes(example(), {"goals": goals}))] == [
        "goals.2.category",
        "goals.9.category",
        "goals.10.category",
    ]


def test_very_many_faults_are_counted():
    with pytest.raises(CommandRejected) as caught:
        submit({**example(), **{f"field-{n:04}": n for n in range(250)}})
    assert len(caught.value.errors) == 101
    assert caught.value.errors[-1].as_json() == {
        "path": "$",
        "code": "more_errors",
        "message": "There are 150 more. Mend these first.",
    }
    assert caught.value.message.startswith("The command has 250 faults. First: agreement.field-0000: ")


# --- the command around the agreement ---


@pytest.mark.parametrize("payload", [None, 7, "submit", [], [{}]])
def test_a_command_that_is_no_object(payload):
    with pytest.raises(CommandRejected) as caught:
        load_command("submit", payload, today=TODAY)
    assert [(e.path, e.code) for e in caught.value.errors] == [("$", "wrong_type")]


def test_an_empty_command():
    with pytest.raises(CommandRejected) as caught:
        load_command("submit", {}, today=TODAY)
    assert [(e.path, e.code) for e in caught.value.errors] == [
        ("agreement", "required"),
        ("command_id", "required"),
    ]
    assert caught.value.code == "invalid"
    assert not caught.value.retryable


@pytest.mark.parametrize("name", ["", "Submit", "fold", "submit ", "__init__"])
def test_an_unknown_command(name):
    with pytest.raises(CommandRejected) as caught:
        load_command(name, {}, today=TODAY)
    assert caught.value.code == "unknown_command"
    assert caught.value.errors[0].message == ("Send one of: " + ", ".join(COMMAND_SCHEMAS) + ".")


@pytest.mark.parametrize(
    "payload",
    [None, [], {}, {"command_id": None}, {"command_id": 7}, {"command_id": "x"}, {"command_id": {}}],
)
def test_no_valid_command_id(payload):
    assert valid_command_id(payload) is None


def test_the_id_of_a_refused_command():
    assert valid_command_id({"command_id": COMMAND_ID.upper(), "agreement": 7}) == COMMAND_ID


# --- rules between fields ---


def period(start, end):
    return {"period.start": str(start), "period.end": str(end)}


def test_dates_reversed():
    assert faults(with_changes(example(), period("2036-12-02", "2036-12-01"))) == [
        ("period.end", "dates_reversed")
    ]
    assert submit(with_changes(example(), period("2036-12-01", "2036-12-01")))


def test_start_at_most_a_week_back_unless_nav_makes_an_exception():
    at_limit = with_changes(example(), period(TODAY - timedelta(days=7), "2027-01-31"))
    before = with_changes(example(), period(TODAY - timedelta(days=8), "2027-01-31"))
    assert submit(at_limit)
    assert faults(before) == [("period.start", "start_too_early")]
    assert submit(with_changes(before, {"exceptions.backdated.reason": "Brevet kom for sent frem."}))
    assert faults(with_changes(before, {"exceptions.backdated": {}})) == [
        ("exceptions.backdated.reason", "required")
    ]


@pytest.mark.parametrize(
    ("start", "months", "last"),
    [
        ("2026-12-01", 12, "2027-11-30"),
        ("2026-12-15", 18, "2028-06-14"),
        ("2026-01-01", 12, "2026-12-31"),
        ("2028-02-29", 12, "2029-02-28"),
        ("2026-08-31", 6, "2027-02-28"),
        ("2026-03-31", 36, "2029-03-30"),
    ],
)
def test_the_last_day_of_some_months(start, months, last):
    assert last_day(date.fromisoformat(start), months) == date.fromisoformat(last)


@pytest.mark.parametrize(
    ("name", "changes", "last"),
    [
        ("inclusion_grant", {}, "2037-11-30"),
        ("agreement", {}, "2038-05-31"),
        ("mentor", {}, "2039-11-30"),
        ("mentor", {"mentor.limit_months": 6}, "2037-05-31"),
    ],
)
def test_longest_period(name, changes, last):
    agreement = with_changes(example(name), {**changes, **period("2036-12-01", last)})
    assert submit(agreement)
    over = date.fromisoformat(last) + timedelta(days=1)
    assert faults(with_changes(agreement, {"period.end": str(over)})) == [("period.end", "period_too_long")]


def test_sixteen_at_the_start():
    # Born 21 June 2001 by the synthetic number.
    young = with_changes(example("minimal"), {"exceptions.backdated.reason": "x"})
    assert faults(with_changes(young, period("2017-06-20", "2017-12-31"))) == [
        (f"{PARTICIPANT}.national_id", "too_young")
    ]
    assert submit(with_changes(young, period("2017-06-21", "2017-12-31")))


def test_under_seventy_two_at_the_end():
    # Born 30 November 1979 by the synthetic number.
    old = with_changes(example("minimal"), {f"{PARTICIPANT}.national_id": "30917940467"})
    assert submit(with_changes(old, period("2051-01-01", "2051-11-29")))
    assert faults(with_changes(old, period("2051-01-01", "2051-11-30"))) == [
        (f"{PARTICIPANT}.national_id", "too_old")
    ]


def test_an_unknown_century_is_refused_only_when_no_century_fits():
    today = date(2036, 1, 1)  # numbers of both series are in use: 1901 or 2001
    agreement = with_changes(example("minimal"), {})
    assert submit(agreement, today=today)
    late = with_changes(agreement, period("2080-01-01", "2080-06-30"))
    assert faults(late, today=today) == [(f"{PARTICIPANT}.national_id", "too_old")]
    early = with_changes(
        agreement, {**period("2012-01-01", "2012-06-30"), "exceptions.backdated.reason": "x"}
    )
    assert faults(early, today=today) == [(f"{PARTICIPANT}.national_id", "age_out_of_range")]


@pytest.mark.parametrize(
    ("year", "ceiling"),
    [(2019, 143_900), (2023, 143_900), (2024, 149_100), (2025, 154_800), (2026, 160_400), (2036, 160_400)],
)
def test_ceiling_by_the_year_of_the_end(year, ceiling):
    assert ceiling_for(date(year, 12, 31)) == ceiling


@pytest.mark.parametrize("year", CEILINGS)
def test_over_the_ceiling(year):
    today = date(year, 1, 1)
    agreement = with_changes(example("inclusion_grant"), period(today, date(year, 12, 31)))
    first, *_, last = agreement["inclusion_grant"]["lines"]
    agreement["inclusion_grant"]["lines"] = [first, last]
    first["amount"], last["amount"] = CEILINGS[year] - 1000, 1000
    assert submit(agreement, today=today)
    last["amount"] = 1001
    with pytest.raises(CommandRejected) as caught:
        submit(agreement, today=today)
    [error] = caught.value.errors
    assert (error.path, error.code) == ("agreement.inclusion_grant.lines", "over_ceiling")
    assert f"{CEILINGS[year] // 1000} {CEILINGS[year] % 1000}" in error.message


def test_a_later_ceiling_than_is_known_is_explained():
    agreement = with_changes(example("inclusion_grant"), {"inclusion_grant.lines.0.amount": 160_400})
    with pytest.raises(CommandRejected) as caught:
        submit(agreement)
    [error] = caught.value.errors
    assert "160 400 kroner, the ceiling of 2026, the newest that is known" in error.message


@pytest.mark.parametrize("amount", [0, -5, 10_000_001])
def test_amount_out_of_range(amount):
    agreement = with_changes(example("inclusion_grant"), {"inclusion_grant.lines.2.amount": amount})
    assert faults(agreement) == [("inclusion_grant.lines.2.amount", "out_of_range")]


def test_a_grant_needs_lines_and_a_reason():
    agreement = with_changes(
        example("inclusion_grant"), {"inclusion_grant.lines": [], "inclusion_grant.reason": ABSENT}
    )
    assert faults(agreement) == [
        ("inclusion_grant.lines", "too_few_items"),
        ("inclusion_grant.reason", "required"),
    ]


def test_each_measure_has_its_own_section():
    assert faults(with_changes(example(), {"measure": "inclusion_grant"})) == [
        ("inclusion_grant", "required")
    ]
    assert faults(with_changes(example(), {"measure": "mentor"})) == [
        ("mentor", "required"),
        ("parties.mentor", "required"),
    ]
    assert faults(with_changes(example("mentor"), {"measure": "work_training"})) == [
        ("mentor", "not_allowed"),
        ("parties.mentor", "not_allowed"),
    ]
    for measure in ("temporary_wage_subsidy", "permanent_wage_subsidy"):
        assert faults(with_changes(example(), {"measure": measure})) == [(measure, "required")]
    assert faults(with_changes(example("summer_job"), {"measure": "permanent_wage_subsidy"})) == [
        ("permanent_wage_subsidy", "required"),
        ("summer_job", "not_allowed"),
    ]
    grant = with_changes(example("inclusion_grant"), {"measure": "work_training"})
    assert faults(grant) == [("inclusion_grant", "not_allowed")]


# --- wage subsidies and summer jobs ---

TEMPORARY, PERMANENT, SUMMER = "temporary_wage_subsidy", "permanent_wage_subsidy", "summer_job"


@pytest.mark.parametrize(
    ("percentage", "months", "found"),
    [
        (40, 12, []),
        (50, 12, []),
        (50, 24, []),
        (60, 24, []),
        (40, 24, [("limit_months", "percentage_not_for_group")]),
        (60, 12, [("limit_months", "percentage_not_for_group")]),
        (45, 12, [("percentage", "invalid_choice")]),
        (60, 18, [("limit_months", "invalid_choice")]),
    ],
)
def test_percentage_and_months_of_a_temporary_wage_subsidy(percentage, months, found):
    agreement = with_changes(
        example(TEMPORARY),
        {
            f"{TEMPORARY}.percentage": percentage,
            f"{TEMPORARY}.limit_months": months,
            "period.end": "2037-11-30",
        },
    )
    if found:
        assert faults(agreement) == [(f"{TEMPORARY}.{field}", code) for field, code in found]
    else:
        assert submit(agreement).values["agreement"] == agreement


@pytest.mark.parametrize(
    ("percentage", "months", "last", "over"),
    [(40, 12, "2037-11-30", "2037-12-01"), (60, 24, "2038-11-30", "2038-12-01")],
)
def test_longest_temporary_wage_subsidy(percentage, months, last, over):
    agreement = with_changes(
        example(TEMPORARY), {f"{TEMPORARY}.percentage": percentage, f"{TEMPORARY}.limit_months": months}
    )
    assert submit(with_changes(agreement, {"period.end": last}))
    with pytest.raises(CommandRejected) as caught:
        submit(with_changes(agreement, {"period.end": over}))
    [error] = caught.value.errors
    assert (error.path, error.code) == ("agreement.period.end", "period_too_long")
    assert f"{TEMPORARY}.limit_months" in error.message


def test_a_permanent_wage_subsidy_has_no_longest_period_and_at_most_75_per_cent():
    agreement = with_changes(example(PERMANENT), {f"{PERMANENT}.monthly_subsidy": ABSENT})
    assert submit(with_changes(agreement, {"period.end": "2050-12-31"}))
    for percentage, code in ((76, "out_of_range"), (0, "out_of_range"), (67.5, "wrong_type")):
        assert faults(with_changes(agreement, {f"{PERMANENT}.percentage": percentage})) == [
            (f"{PERMANENT}.percentage", code)
        ]


@pytest.mark.parametrize("measure", [TEMPORARY, PERMANENT, SUMMER])
@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("monthly_wage", 0, "out_of_range"),
        ("monthly_wage", 31200.5, "wrong_type"),
        ("monthly_wage", ABSENT, "required"),
        ("holiday_pay_rate", 0.12, "invalid_choice"),
        ("holiday_pay_rate", "12", "wrong_type"),
        ("holiday_pay_rate", True, "wrong_type"),
        ("pension_rate", -1, "out_of_range"),
        ("pension_rate", 30.01, "out_of_range"),
        ("pension_rate", 2.125, "too_precise"),
        ("pension_rate", float("nan"), "out_of_range"),
        ("employer_contribution_rate", 14, "invalid_choice"),
        ("employer_contribution_rate", float("inf"), "invalid_choice"),
        ("monthly_subsidy", 1, "sum_differs"),
        ("limit", 12, "unknown_field"),
    ],
)
def test_wage_and_rates_of_a_subsidy(measure, field, value, code):
    assert faults(with_changes(example(measure), {f"{measure}.{field}": value})) == [
        (f"{measure}.{field}", code)
    ]


@pytest.mark.parametrize("rate", [0, 30, 2.25])
def test_rates_that_are_taken(rate):
    agreement = with_changes(example(TEMPORARY), {f"{TEMPORARY}.pension_rate": rate})
    assert submit(agreement).values["agreement"] == agreement


def test_the_sum_that_was_sent_is_compared_with_the_calculation():
    """17 350 kr, 12 % holiday pay, 4.5 % pension, 10.6 % contribution: 22 459 kr by hand, and 75 % of it."""
    assert example(PERMANENT)[PERMANENT]["monthly_subsidy"] == 16844
    assert submit(example(PERMANENT))
    assert faults(with_changes(example(PERMANENT), {f"{PERMANENT}.monthly_subsidy": 16845})) == [
        (f"{PERMANENT}.monthly_subsidy", "sum_differs")
    ]
    # A broken rate is one fault, not two.
    broken = {f"{PERMANENT}.monthly_subsidy": 16845, f"{PERMANENT}.pension_rate": "x"}
    assert faults(with_changes(example(PERMANENT), broken)) == [(f"{PERMANENT}.pension_rate", "wrong_type")]


@pytest.mark.parametrize(
    ("start", "end", "found"),
    [
        ("2037-06-01", "2037-06-28", []),
        ("2037-08-31", "2037-09-27", []),
        ("2037-06-01", "2037-06-29", [("period.end", "period_too_long")]),
        ("2037-05-31", "2037-06-20", [("period.start", "not_in_summer")]),
        ("2037-09-01", "2037-09-14", [("period.start", "not_in_summer")]),
        ("2037-12-01", "2038-02-28", [("period.end", "period_too_long"), ("period.start", "not_in_summer")]),
    ],
)
def test_a_summer_job_is_four_weeks_in_summer(start, end, found):
    agreement = with_changes(example(SUMMER), period(start, end))
    if found:
        assert faults(agreement) == found
    else:
        assert submit(agreement)


def test_a_summer_job_is_for_those_not_over_thirty():
    # Born 22 February 2016 by the synthetic number; a birthday outside of summer, so the rule is seen by the year.
    assert submit(with_changes(example(SUMMER), period("2045-06-22", "2045-07-19")))
    assert faults(with_changes(example(SUMMER), period("2046-06-22", "2046-07-19"))) == [
        (f"{PARTICIPANT}.national_id", "too_old_for_summer_job")
    ]


def test_who_turns_thirty_on_the_first_day_is_not_over_thirty():
    # Born 21 June 2001 by the synthetic number.
    agreement = with_changes(
        example(SUMMER),
        {f"{PARTICIPANT}.national_id": example("minimal")["parties"]["participant"]["national_id"]},
    )
    assert submit(with_changes(agreement, period("2031-06-21", "2031-07-18")))
    assert faults(with_changes(agreement, period("2031-06-22", "2031-07-19"))) == [
        (f"{PARTICIPANT}.national_id", "too_old_for_summer_job")
    ]


def test_a_summer_job_percentage():
    assert submit(with_changes(example(SUMMER), {f"{SUMMER}.percentage": 50}))
    assert faults(with_changes(example(SUMMER), {f"{SUMMER}.percentage": 60})) == [
        (f"{SUMMER}.percentage", "invalid_choice")
    ]


# --- what only the service may say ---


@pytest.mark.parametrize("section", ["amendment", "termination"])
def test_no_producer_sends_what_the_service_adds(section):
    assert faults(with_changes(example(), {section: {"reason": "x"}})) == [(section, "unknown_field")]


def test_the_service_s_own_sections_have_a_form():
    amendment = {
        "version": 2, "supersedes": 1, "types": ["goals"], "reason": "Nye mål", "asked_by": None, "told": [],
        "changes": [{"path": "goals.0", "before": None, "after": {"category": "other", "description": "x"}}],
    }  # fmt: skip
    assert AmendmentSection().load(amendment) == amendment
    spoiled = {"types": ["colour"], "told": ["boss"], "asked_by": "boss", "version": 1}
    assert AmendmentSection().validate({**amendment, **spoiled}).keys() == spoiled.keys()
    assert TerminationSection().load({"reason": "ill", "date": "2037-01-31"})
    assert TerminationSection().validate({"reason": "tired", "date": "31.1.2037"}).keys() == {
        "reason",
        "date",
    }


def test_a_courtesy_translation_is_in_english():
    assert submit(with_changes(example(), {"courtesy_translation": "en"}))
    assert faults(with_changes(example(), {"courtesy_translation": "nb"})) == [
        ("courtesy_translation", "invalid_choice")
    ]
    assert faults(with_changes(example(), {"language": "en"})) == [("language", "invalid_choice")]


def test_the_template_s_version_may_be_left_out():
    assert submit(with_changes(example(), {"template.version": ABSENT}))
    assert faults(with_changes(example(), {"template.version": "1.1"})) == [
        ("template.version", "invalid_format")
    ]


def test_a_broken_section_is_not_called_missing_too():
    assert faults(with_changes(example("mentor"), {"mentor": 7})) == [("mentor", "wrong_type")]
    assert faults(with_changes(example("mentor"), {"parties.mentor": []})) == [
        ("parties.mentor", "wrong_type")
    ]


def test_people_who_must_not_be_the_same():
    participant = example("mentor")["parties"]["participant"]["national_id"]
    assert faults(with_changes(example("mentor"), {"parties.mentor.national_id": participant})) == [
        ("parties.mentor.national_id", "same_person")
    ]
    adviser = example("inclusion_grant")["parties"]["adviser"]["ident"]
    assert faults(with_changes(example("inclusion_grant"), {"parties.decider.ident": adviser})) == [
        ("parties.decider.ident", "same_person")
    ]


def test_who_is_responsible_must_be_a_party():
    assert faults(with_changes(example(), {"training.1.responsible": "mentor"})) == [
        ("training.1.responsible", "party_missing")
    ]
    with_a_broken_one = with_changes(
        example(), {"aids": [None, {"description": "x", "responsible": "organiser"}]}
    )
    assert faults(with_a_broken_one) == [
        ("aids.0", "null_not_allowed"),
        ("aids.1.responsible", "party_missing"),
    ]


def test_a_family_relation_is_explained():
    assert faults(with_changes(example(), {"family_relation": {"related": True}})) == [
        ("family_relation.explanation", "required")
    ]
    assert faults(with_changes(example(), {"family_relation.explanation": "Søsken."})) == [
        ("family_relation.explanation", "not_allowed")
    ]


@pytest.mark.parametrize("path", ["number", "case.reference"])
@pytest.mark.parametrize("text", ["17849431021", "sak-17849431021", "917849431021"])
def test_no_identity_number_as_a_reference(path, text):
    assert faults(with_changes(example(), {path: text})) == [(path, "personal_data")]


# --- whatever comes ---

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=20)
    | st.sampled_from(["2036-12-01", "17849431021", "_schema", "mentor"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def places(node, path=()):
    yield path
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, below in items:
        yield from places(below, (*path, key))


COMMAND = {"command_id": COMMAND_ID, "agreement": {**example("mentor"), **{"goals": example()["goals"]}}}


@settings(max_examples=300)
@given(st.sampled_from(sorted(places(COMMAND), key=str)), JSON)
def test_any_json_anywhere_is_taken_or_refused_with_reasons(path, value):
    payload = {"root": copy.deepcopy(COMMAND)}
    node, last = payload, "root"
    for step in path:
        node, last = node[last], step
    node[last] = value
    try:
        load_command("submit", payload["root"], today=TODAY)
    except CommandRejected as error:
        assert error.errors
        for fault in error.errors:
            assert fault.path
            assert fault.message.endswith(".")
            assert fault.code.replace("_", "").isalpha()
            assert fault.code != "invalid"  # a message of marshmallow's own, which may quote what was sent


SECRET = "Qz7-17849431021-hemmelig"


@pytest.mark.parametrize(
    "path", sorted({p for p in places(COMMAND) if p}, key=str), ids=lambda p: ".".join(map(str, p))
)
def test_an_error_never_repeats_what_was_sent(path):
    payload = copy.deepcopy(COMMAND)
    node = payload
    for step in path[:-1]:
        node = node[step]
    for value in (f"{SECRET}\x00", [SECRET] * 30, {SECRET: SECRET}):
        node[path[-1]] = value
        with pytest.raises(CommandRejected) as caught:
            load_command("submit", payload, today=TODAY)
        told = json.dumps(caught.value.as_json(), ensure_ascii=False) + str(caught.value)
        assert "hemmelig" not in told
        assert "17849431021" not in told


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("colour", "colour"),
        ("Colour-2_b", "Colour-2_b"),
        ("12345", "12345"),
        ("178494", "?"),
        ("17-84-94", "?"),
        ("Kari Nordmann", "?"),
        ("a.b", "?"),
        ("", "?"),
        ("ø", "?"),
        ("x" * 41, "?"),
        ("\ud800", "?"),
    ],
)
def test_the_name_of_an_unknown_field_is_shown_only_when_it_is_harmless(name, shown):
    assert faults(with_changes(example(), {}) | {name: 1}) == [(shown, "unknown_field")]


def test_the_day_is_the_callers_and_not_the_clocks():
    long_ago = with_changes(example(), period("2020-01-06", "2020-06-30"))
    assert submit(long_ago, today=datetime(2020, 1, 13, tzinfo=UTC).date())
