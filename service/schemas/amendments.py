"""Amendments: the commands that change or end a signed agreement, and the sections that they add to its data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import fields

from service.domain.changes import CHANGE_TYPES, TERMINATION, TERMINATION_REASONS
from service.domain.presentation import ROLES
from service.schemas.fields import AnyJson, Choice, IsoDate, Items, Obj, StrictSchema, Whole, described, fault
from service.schemas.signing import Follows, SigningPlan
from service.schemas.text import Text

__all__ = ["AmendSchema", "AmendmentSection", "TerminateSchema", "TerminationSection"]

MAX_REASON = 1000
_DEEPEST = 8
"""Levels of a patch; the agreement itself has five."""


class MergePatch(fields.Dict):
    """A JSON Merge Patch (RFC 7396). What it may hold, the agreement's own schema says once it is applied."""

    def __init__(self, description: str) -> None:
        super().__init__(required=True, metadata=described(description, minProperties=1))

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> dict[str, Any]:
        _ = attr, data, kwargs
        if not isinstance(value, dict):
            raise fault("wrong_type", "Send a JSON object here.")
        if not value:
            raise fault("required", "Send the fields that change.")
        if _deeper_than(value, _DEEPEST):
            raise fault("too_deep", f"Send at most {_DEEPEST} levels, as the agreement has them.")
        return value


def _deeper_than(value: Any, levels: int) -> bool:
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels < 0 or any(_deeper_than(child, levels - 1) for child in children)


def _template_version() -> Text:
    return Text(
        32,
        "Version of the agreement's template to print it with; the newest when left out.",
        pattern=r"(?:0|[1-9][0-9]{0,4})\.(?:0|[1-9][0-9]{0,4})\.(?:0|[1-9][0-9]{0,4})",
        form="Send three numbers with full stops, e.g. 1.0.0.",
    )


class AmendSchema(Follows):
    """The command `amend`: a new version of the one in force, which says what changed and why.

    `version` is the one in force. It holds until the new one is signed.
    """

    change = Items(
        Choice(CHANGE_TYPES, "A type of change."),
        len(CHANGE_TYPES),
        "What kinds of change these are; who signs again follows from it.",
        min_items=1,
        required=True,
    )
    reason = Text(MAX_REASON, "Why, in words; it is printed.", required=True, multiline=True)
    asked_by = Choice(ROLES, "The party who asked for the change; it signs. Required to shorten the period.")
    patch = MergePatch(
        "JSON Merge Patch (RFC 7396) on the agreement: only what changes; null takes a field out; a list is sent whole."
    )
    template_version = _template_version()
    signing = Obj(SigningPlan)


class TerminateSchema(Follows):
    """The command `terminate`: the agreement ends. The adviser signs, all are told."""

    reason = Choice(
        TERMINATION_REASONS,
        "Why it ends; it is printed.",
        required=True,
    )
    date = IsoDate("The last day of the agreement.", required=True)
    explanation = Text(MAX_REASON, "More on why, in words; it is printed.", multiline=True)
    template_version = _template_version()
    signing = Obj(SigningPlan)


# --- what the service adds to the data of a later version; no command may send it ---

MAX_CHANGES = 1000


class Change(StrictSchema):
    """One thing that a version has otherwise than the one before."""

    path = Text(200, "Place in the agreement, with full stops; list items by number from 0.", required=True)
    before = AnyJson("What it was; null when it was not there.", required=True)
    after = AnyJson("What it is; null when it is gone.", required=True)


class AmendmentSection(StrictSchema):
    """What the service adds to the data of an amended version, under `amendment`. No command may send it."""

    version = Whole(2, 10_000, "Number of this version.", required=True)
    supersedes = Whole(1, 10_000, "Number of the signed version that it changes.", required=True)
    types = Items(
        Choice((*CHANGE_TYPES, TERMINATION), "A kind of change."),
        len(CHANGE_TYPES) + 1,
        "The kinds of change in it.",
        min_items=1,
        required=True,
    )
    reason = Text(MAX_REASON, "Why, in words; a termination has its own.", multiline=True)
    asked_by = Choice(
        ROLES, "Role of the party that asked for it, where that matters; else null.", nullable=True
    )
    told = Items(
        Choice(ROLES, "A role."), len(ROLES), "Parties that are told and do not sign.", required=True
    )
    changes = Items(Change, MAX_CHANGES, "Every change, in the agreement's order.", required=True)


class TerminationSection(StrictSchema):
    """What the service adds to the data of a version that ends the agreement, under `termination`."""

    reason = Choice(TERMINATION_REASONS, "Why it ends.", required=True)
    date = IsoDate("The last day.", required=True)
    explanation = Text(MAX_REASON, "In words.", multiline=True)
