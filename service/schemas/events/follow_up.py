"""What is to be done while the agreement is in force."""

from __future__ import annotations

from service.domain.follow_up import FollowUpKind
from service.schemas.events.parts import Event, VersionData, event_type
from service.schemas.fields import Choice, IsoDate, Obj, StrictSchema
from service.schemas.following import item_id

__all__ = ["AgreementCommitmentOverdue", "AgreementFollowUpDone", "AgreementFollowUpDue"]


class FollowUpItem(StrictSchema):
    """A meeting, a point of evaluation or a commitment of NAV's. What it is about, the agreement says."""

    id = item_id()
    kind = Choice([str(kind) for kind in FollowUpKind], "What it is.", required=True)
    date = IsoDate("When it takes place, or is to be done at the latest.", required=True)


class FollowUpDueData(VersionData):
    """An item of the follow-up is due soon. It is told once."""

    item = Obj(FollowUpItem, required=True)


class CommitmentOverdueData(VersionData):
    """A commitment's deadline has passed, and it is not recorded as done. It is told once."""

    item = Obj(FollowUpItem, required=True)


class FollowUpDoneData(VersionData):
    """An item of the follow-up was recorded as done."""

    item = Obj(FollowUpItem, required=True)
    done_on = IsoDate("The day when it was done.", required=True)


class AgreementFollowUpDue(Event):
    """Something of the follow-up is due soon."""

    type = event_type("agreement.follow-up-due")
    data = Obj(FollowUpDueData, required=True)


class AgreementCommitmentOverdue(Event):
    """A commitment is overdue."""

    type = event_type("agreement.commitment-overdue")
    data = Obj(CommitmentOverdueData, required=True)


class AgreementFollowUpDone(Event):
    """Something of the follow-up is done."""

    type = event_type("agreement.follow-up-done")
    data = Obj(FollowUpDoneData, required=True)
