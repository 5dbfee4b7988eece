"""The agreement: what a case system sends, field by field (format version 1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from marshmallow import Schema

from service.domain.intake_rules import LIMIT_OF_PERCENTAGE
from service.domain.presentation import ROLES
from service.domain.wage_subsidy import WAGE_SUBSIDIES
from service.schemas.fields import Choice, Decimal2, Flag, IsoDate, Items, Obj, StrictSchema, Uuid, Whole
from service.schemas.measures import (
    InclusionGrant,
    MentorTerms,
    PermanentWageSubsidy,
    SummerJob,
    TemporaryWageSubsidy,
)
from service.schemas.parties import Parties, Unit
from service.schemas.text import Email, Phone, Text

__all__ = ["COURTESY_LANGUAGES", "LANGUAGES", "MEASURES", "AgreementSchema", "Template", "choices"]

LANGUAGES = ("nb", "nn")
COURTESY_LANGUAGES = ("en",)
MEASURES = (
    "inclusion_grant",
    "mentor",
    "work_training",
    "temporary_wage_subsidy",
    "permanent_wage_subsidy",
    "summer_job",
)
GOALS = ("job_in_company", "work_experience", "trying_out", "language", "certificate", "other")
STATUSES = ("planned", "in_progress", "done", "cancelled")

MAX_NAME = 100
MAX_LINE = 200
MAX_TEXT = 1000
MAX_PLAN = 2000
MAX_EXPLANATION = 500
MAX_ITEMS = 20


def _responsible() -> Choice:
    return Choice(ROLES, "The party that sees to it. It must be one of the agreement's parties.")


def _status() -> Choice:
    return Choice(STATUSES, "How far it has come.")


def _template_version(description: str, *, required: bool = False) -> Text:
    return Text(
        32,
        description,
        required=required,
        pattern=r"(?:0|[1-9][0-9]{0,4})\.(?:0|[1-9][0-9]{0,4})\.(?:0|[1-9][0-9]{0,4})",
        form="Send three numbers with full stops, e.g. 1.0.0.",
    )


class Template(StrictSchema):
    """The template that the document is made from."""

    name = Text(
        64,
        "Name of the template in the catalogue.",
        required=True,
        pattern=r"[a-z0-9][a-z0-9-]{0,63}",
        form="Send lower-case letters, digits and hyphens.",
    )
    version = _template_version(
        "Version of the template (Semantic Versioning 2.0.0, release versions).", required=True
    )


class AskedTemplate(Template):
    """The template that the document is to be made from, in its newest version where none is named."""

    version = _template_version(
        "Version of the template (Semantic Versioning 2.0.0, release versions). Left out, the newest is used."
    )


class Case(StrictSchema):
    """The case that the agreement belongs to, in the system that holds it."""

    system = Text(
        40,
        "Name of the case system.",
        required=True,
        pattern=r"[a-z0-9-]{1,40}",
        form="Send lower-case letters, digits and hyphens.",
    )
    reference = Text(
        80,
        "The case's reference in that system, without personal data.",
        required=True,
        pattern=r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}",
        form="Send letters A–Z, digits, full stop, underscore and hyphen, a letter or digit first; "
        "write 2026/1234 as 2026-1234.",
    )


class Period(StrictSchema):
    """First and last day of the measure."""

    start = IsoDate("First day.", required=True)
    end = IsoDate("Last day, included.", required=True)


class Contact(StrictSchema):
    """A person to turn to."""

    name = Text(MAX_LINE, "Full name.", required=True)
    role = Text(MAX_NAME, "What the person does, as it is printed.", required=True)
    unit = Text(MAX_LINE, "Unit or organisation.")
    phone = Phone()
    email = Email()


class Position(StrictSchema):
    """The work."""

    title = Text(MAX_NAME, "Title of the position.", required=True)
    tasks = Text(MAX_TEXT, "The tasks.", multiline=True)
    percentage = Decimal2(100, "Percentage of a full position.")
    days_per_week = Decimal2(7, "Days a week.")


class Goal(StrictSchema):
    """What the participant aims at."""

    category = Choice(GOALS, "Kind of goal.", required=True)
    description = Text(MAX_TEXT, "The goal in words.", required=True, multiline=True)


class Accommodation(StrictSchema):
    """A need at work and what is done about it (tilrettelegging)."""

    need = Text(MAX_TEXT, "The need.", required=True, multiline=True)
    measure = Text(MAX_TEXT, "What is done. May come later.", multiline=True)
    responsible = _responsible()
    deadline = IsoDate("When it is to be in place.")
    status = _status()


class Aid(StrictSchema):
    """An aid (hjelpemiddel)."""

    description = Text(MAX_TEXT, "The aid.", required=True, multiline=True)
    responsible = _responsible()
    deadline = IsoDate("When it is to be in place.")
    status = _status()


class Training(StrictSchema):
    """Training during the measure."""

    description = Text(MAX_TEXT, "The training.", required=True, multiline=True)
    responsible = _responsible()
    deadline = IsoDate("When it is to be done.")


class Meeting(StrictSchema):
    """A meeting or an evaluation."""

    date = IsoDate("The day.", required=True)
    topic = Text(MAX_LINE, "What it is about.", required=True)


class Commitment(StrictSchema):
    """Something NAV binds itself to do, with a deadline."""

    description = Text(MAX_TEXT, "What NAV does.", required=True, multiline=True)
    deadline = IsoDate("When it is done at the latest.", required=True)


class FollowUp(StrictSchema):
    """How the agreement is followed up (oppfølging)."""

    plan = Text(MAX_PLAN, "The plan in words.", multiline=True)
    interval_weeks = Whole(1, 52, "Weeks between meetings.")
    meetings = Items(Meeting, MAX_ITEMS, "Meetings with a date.")
    evaluations = Items(Meeting, MAX_ITEMS, "Points of evaluation.")
    commitments = Items(Commitment, MAX_ITEMS, "NAV's commitments.")


class FamilyRelation(StrictSchema):
    """Whether participant and employer are related."""

    related = Flag("Whether there is a family relation.", required=True)
    explanation = Text(
        MAX_EXPLANATION, "The relation in words; required when related is true.", multiline=True
    )


class Backdated(StrictSchema):
    """NAV's exception from the rule that an agreement starts at most seven days back."""

    reason = Text(MAX_EXPLANATION, "The adviser's reason.", required=True, multiline=True)


class Exceptions(StrictSchema):
    """Exceptions that the NAV adviser has granted."""

    backdated = Obj(Backdated)


class AgreementSchema(StrictSchema):
    """A personal agreement on accommodation and follow-up (tilretteleggings- og oppfølgingsavtale).

    Needs may be unknown at the start: contacts, goals, accommodation, aids, follow-up and training may be
    empty or left out, and come with a later version.
    """

    id = Uuid("The agreement's id; assigned by the service when it is left out.")
    number = Text(
        40,
        "The agreement's number as it is printed.",
        pattern=r"[A-Za-z0-9][A-Za-z0-9 ./_-]{0,39}",
        form="Send letters A–Z, digits, space and . / _ - only, a letter or digit first.",
    )
    template = Obj(AskedTemplate, required=True)
    language = Choice(LANGUAGES, "Language of the document: bokmål or nynorsk.", required=True)
    courtesy_translation = Choice(
        COURTESY_LANGUAGES,
        "Language of a translation to read beside the document. It is not binding and is not signed.",
    )
    case = Obj(Case, required=True)
    measure = Choice(MEASURES, "The labour-market measure.", required=True)
    origin = Choice(("adviser", "employer", "case_system"), "Who began the agreement.")
    unit = Obj(Unit, "The NAV unit that follows up.", required=True)
    period = Obj(Period, required=True)
    parties = Obj(Parties, required=True)
    contacts = Items(Contact, MAX_ITEMS, "People to turn to, the fixed contact first.")
    position = Obj(Position, required=True)
    goals = Items(Goal, MAX_ITEMS, "Goals.")
    accommodation = Items(Accommodation, MAX_ITEMS, "Needs and what is done about them.")
    aids = Items(Aid, MAX_ITEMS, "Aids.")
    follow_up = Obj(FollowUp)
    training = Items(Training, MAX_ITEMS, "Training.")
    family_relation = Obj(FamilyRelation, required=True)
    inclusion_grant = Obj(InclusionGrant, "For the measure inclusion_grant, and only for it.")
    mentor = Obj(MentorTerms, "For the measure mentor, and only for it; with parties.mentor.")
    temporary_wage_subsidy = Obj(
        TemporaryWageSubsidy, "For the measure temporary_wage_subsidy, and only for it."
    )
    permanent_wage_subsidy = Obj(
        PermanentWageSubsidy, "For the measure permanent_wage_subsidy, and only for it."
    )
    summer_job = Obj(SummerJob, "For the measure summer_job, and only for it.")
    exceptions = Obj(Exceptions)

    json_schema_conditions: ClassVar[tuple[Mapping[str, Any], ...]] = (
        *(
            {
                "if": {"properties": {"measure": {"const": measure}}},
                "then": {"required": [measure]},
                "else": {"properties": {measure: False}},
            }
            for measure in ("inclusion_grant", "mentor", *WAGE_SUBSIDIES)
        ),
        {
            "if": {"properties": {"measure": {"const": "mentor"}}},
            "then": {"properties": {"parties": {"required": ["mentor"]}}},
            "else": {"properties": {"parties": {"properties": {"mentor": False}}}},
        },
        *(
            {
                "if": {
                    "properties": {
                        "temporary_wage_subsidy": {
                            "properties": {"percentage": {"const": percentage}},
                            "required": ["percentage"],
                        }
                    },
                    "required": ["temporary_wage_subsidy"],
                },
                "then": {
                    "properties": {
                        "temporary_wage_subsidy": {"properties": {"limit_months": {"const": months}}}
                    }
                },
            }
            for percentage, months in LIMIT_OF_PERCENTAGE.items()
        ),
    )
    """Rules between fields that JSON Schema can say; the service checks them itself."""


def choices(schema: Schema | None = None, path: str = "") -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every field of the agreement that takes one of given words: its path (`*` for items of a list), the words."""
    for name, field in (schema or AgreementSchema()).fields.items():
        here = f"{path}.{name}" if path else name
        if isinstance(field, Choice):
            yield here, field.choices
        elif isinstance(field, Obj):
            yield from choices(field.schema, here)
        elif isinstance(field, Items) and isinstance(field.inner, Obj):
            yield from choices(field.inner.schema, f"{here}.*")
