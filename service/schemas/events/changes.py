"""What an amendment does to the version before."""

from __future__ import annotations

from service.domain.changes import CHANGE_TYPES, TERMINATION
from service.domain.presentation import ROLES
from service.schemas.events.parts import MAX_VERSION, Event, VersionData, event_type
from service.schemas.fields import Choice, Items, Obj, Whole

__all__ = ["AgreementAmended", "AgreementSuperseded", "AgreementTerminated"]


class AmendedData(VersionData):
    """A change was taken in as a new version, which is now made into a document and signed."""

    supersedes = Whole(
        1, MAX_VERSION, "The version in force, which holds until this one is signed.", required=True
    )
    change = Items(
        Choice((*CHANGE_TYPES, TERMINATION), "A type of change."), len(CHANGE_TYPES) + 1, "What kinds of change.",
        required=True,
    )  # fmt: skip
    signs = Items(Choice(ROLES, "A party."), len(ROLES), "The parties that must sign it.", required=True)
    told = Items(
        Choice(ROLES, "A party."), len(ROLES), "The parties that are to be told only.", required=True
    )


class SupersededData(VersionData):
    """A version is replaced by a newer one, which is signed."""

    superseded_by = Whole(1, MAX_VERSION, "The version now in force.", required=True)


class TerminatedData(VersionData):
    """The version that ends the agreement is signed."""

    supersedes = Whole(1, MAX_VERSION, "The version that was in force.", required=True)


class AgreementAmended(Event):
    """A change to the agreement was taken in."""

    type = event_type("agreement.amended")
    data = Obj(AmendedData, required=True)


class AgreementSuperseded(Event):
    """A version is no longer in force."""

    type = event_type("agreement.superseded")
    data = Obj(SupersededData, required=True)


class AgreementTerminated(Event):
    """The agreement has ended."""

    type = event_type("agreement.terminated")
    data = Obj(TerminatedData, required=True)
