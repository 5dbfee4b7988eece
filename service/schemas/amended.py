"""What the service adds to an agreement's data when a later version is made. No command may send it."""

from __future__ import annotations

from service.domain.presentation import ROLES
from service.schemas.fields import AnyJson, Choice, IsoDate, Items, StrictSchema, Whole
from service.schemas.text import Text

__all__ = ["CHANGE_TYPES", "TERMINATION_REASONS", "AmendmentSection", "TerminationSection"]

CHANGE_TYPES = (
    "goals",
    "accommodation",
    "follow_up",
    "position",
    "mentor",
    "extend",
    "inclusion_grant",
    "shorten",
    "contact_information",
    "termination",
)
TERMINATION_REASONS = (
    "wrongly_registered",
    "started_in_job",
    "other_measure",
    "ill",
    "did_not_show_up",
    "expired",
    "completed",
    "other",
)

MAX_TEXT = 1000
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
        Choice(CHANGE_TYPES, "A kind of change."),
        len(CHANGE_TYPES),
        "The kinds of change in it.",
        min_items=1,
        required=True,
    )
    reason = Text(MAX_TEXT, "Why, in words.", required=True, multiline=True)
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
    explanation = Text(MAX_TEXT, "In words.", multiline=True)
