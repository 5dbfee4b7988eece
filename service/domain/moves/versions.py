"""What becomes of a version as a whole: it ends without all signatures, or is changed or followed up when in force."""

from __future__ import annotations

from datetime import datetime

from service.domain.agreement import Agreement, Status, Version
from service.domain.log import Draft, Occurrence
from service.domain.moves.checks import open_version, party_of, refuse_if_done, refused, signed_roles
from service.domain.periods import norwegian_date

__all__ = ["amendable", "cancel", "decline", "follow_up_done", "reject"]


def decline(agreement: Agreement, *, number: int | None, role: str, reason: str) -> Draft:
    """The command `decline`: a party will not sign, and so the version ends."""
    version = open_version(agreement, number)
    refuse_if_done(party_of(version, role))
    told = {"role": role, "reason": reason, "signed": signed_roles(version)}
    return Draft("declined", {"role": role, "reason": reason}, (Occurrence("agreement.declined", told),))


def cancel(agreement: Agreement, *, number: int | None, reason: str) -> Draft:
    """The command `cancel`: the case system takes the version back before all have signed."""
    version = open_version(agreement, number)
    told = {"reason": reason, "signed": signed_roles(version)}
    return Draft("cancelled", {"reason": reason}, (Occurrence("agreement.cancelled", told),))


def amendable(agreement: Agreement, *, number: int | None) -> Version:
    """The version in force, which `amend` and `terminate` start from. One change is made at a time."""
    current, base = agreement.current, agreement.in_force
    if agreement.declares_for:
        raise refused("is_declaration", "agreement_id", "A declaration is not changed; amend its agreement.")
    if current.status.is_open or current.status is Status.COMPLETED:
        raise refused(
            "version_open",
            "agreement_id",
            f"Version {current.number} is not signed by all yet. Send it again after agreement.signed, "
            "or cancel that version first.",
        )
    if base is None:
        raise refused("never_signed", "agreement_id", "No version was signed; send a new agreement.")
    if base.terminates:
        raise refused("terminated", "agreement_id", "The agreement is terminated; send a new agreement.")
    if number is not None and number != base.number:
        raise refused("another_version", "version", f"The version in force is {base.number}.")
    return base


def follow_up_done(agreement: Agreement, *, item: str, done_on: str, now: datetime) -> Draft:
    """The command `follow-up-done`: an item of the follow-up is done. No new version comes of it."""
    version = agreement.in_force
    if version is None:
        raise refused("not_in_force", "agreement_id", "Nothing is signed yet. Wait for agreement.signed.")
    found = next((i for i in version.follow_up.items if i.id == item), None)
    if found is None:
        raise refused(
            "no_such_item",
            "item",
            f"Version {version.number} has none of this id. Send one that an event has named.",
        )
    if item in agreement.done:
        raise refused("already_done", "item", "It was recorded as done before; nothing more is needed.")
    if done_on > norwegian_date(now).isoformat():
        raise refused("date_in_future", "done_on", "Send it on the day when it is done, or after.")
    told = {"item": found.as_json(), "done_on": done_on}
    return Draft(
        "follow-up-done",
        {"item": item, "done_on": done_on},
        (Occurrence("agreement.follow-up-done", told),),
        version.number,
    )


def reject(version: Version, *, step: str, code: str, message: str, errors: list[dict[str, str]]) -> Draft:
    """Found out late: the data and the template cannot become a document, now or ever."""
    told = {"command_id": version.command_id, "code": code, "message": message, "errors": errors}
    said = {"step": step, "code": code, "errors": errors}
    return Draft("rejected", said, (Occurrence("agreement.rejected", told),))
