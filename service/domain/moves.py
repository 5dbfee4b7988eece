"""What the parties and the case system may do to an agreement in its present state.

Each function gives the entry to append, or raises `CommandRejected` with the reason and the way out. Nothing that
is signed is undone by any of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime

from service.domain.agreement import (
    ATTESTER,
    Agreement,
    Method,
    Party,
    PartyStatus,
    Prepared,
    Status,
    Version,
)
from service.domain.log import Draft, Occurrence, timestamp
from service.domain.paper import NOT_ON_PAPER
from service.domain.periods import norwegian_date
from service.domain.steps import end_of
from service.errors import CommandRejected, FieldError

__all__ = [
    "ENDED_AUTHORIZATIONS",
    "amendable",
    "approve",
    "attach_paper",
    "cancel",
    "decline",
    "end_authorization",
    "follow_up_done",
    "receive_answer",
    "reject",
]

ENDED_AUTHORIZATIONS = {
    "access_denied": "The person did not approve at the signing service.",
    "authorization_failed": "The signing service ended the approval with an error.",
}
"""Why a prepared signature is discarded when a person comes back without a code."""

_ENDED = {
    Status.COMPLETED: ("already_signed", "All parties have signed this version."),
    Status.SIGNED: ("already_signed", "All parties have signed this version."),
    Status.DECLINED: ("declined", "A party has declined; send a new agreement."),
    Status.CANCELLED: ("cancelled", "This version is cancelled; send a new agreement."),
    Status.EXPIRED: ("expired", "The time for signing is over; send a new agreement."),
    Status.REJECTED: ("rejected", "This version never became a document; send a new agreement."),
}


def approve(
    agreement: Agreement,
    *,
    number: int | None,
    role: str,
    certificates_sha256: str | None,
    evidence_sha256: str | None,
    by: str | None = None,
    reason: str | None = None,
    now: datetime,
) -> Draft:
    """The command `sign`: this party signs now, by its key that we reach or by one outside.

    With `by`, that party signs in its place, for a `reason`.
    """
    version = _version(agreement, number)
    party = _party(version, role)
    _refuse_if_done(party)
    if version.must_declare(role):
        raise _refused("declaration_first", "role", "This party signs its declaration first.")
    if version.status is not Status.SIGNING or party.requested_at is None:
        raise _refused(
            "not_your_turn", "role", "Wait for the event agreement.signature-requested for this role."
        )
    moment = timestamp(now)
    if moment >= end_of(version):
        raise _refused("deadline_passed", "role", "The time for signing is over.")
    lease = version.prepared.lease_until if version.prepared else None
    if lease and lease > moment and version.prepared and version.prepared.field != role:
        raise _refused("signing_in_progress", "role", f"Another party is signing; try again after {lease}.")
    if by:
        _check_on_behalf(version, party, by)
    elif party.method is Method.AUTOMATIC:
        raise _refused(
            "signs_automatically", "role", "Nothing is to be done: this party's key is used by itself."
        )
    if party.method in {Method.APPROVED, Method.REDIRECT} and certificates_sha256 and not by:
        raise _refused(
            "certificates_not_expected",
            "certificates",
            "This party signs with a key that the service reaches.",
        )
    if party.approval and version.prepared and version.prepared.field == role and (lease or "") > moment:
        raise _refused("signing_in_progress", "role", f"This party is signing already, until {lease}.")
    return Draft(
        "signature-approved",
        {
            "role": role,
            "by": by,
            "reason": reason,
            "certificates_sha256": certificates_sha256,
            "evidence_sha256": evidence_sha256,
        },
    )


def _check_on_behalf(version: Version, party: Party, by: str) -> None:
    """The adviser may sign for the participant, once the employer has (DOMAIN: "On behalf of the participant")."""
    if party.role != "participant":
        raise _refused("not_on_behalf", "on_behalf", "Only the participant can be signed for in this way.")
    if all(p.role != by for p in version.parties):
        raise _refused("no_such_party", "on_behalf.by", "The agreement has no party of this role.")
    if any(p.role == "employer" and p.status is not PartyStatus.SIGNED for p in version.signers):
        raise _refused("employer_first", "on_behalf", "The employer signs first. Send it again after that.")


def receive_answer(
    agreement: Agreement,
    *,
    number: int | None,
    role: str,
    prepared_sha256: str | None,
    kind: str,
    answer_sha256: str,
    evidence_sha256: str | None,
    state_sha256: str | None = None,
    now: datetime,
) -> Draft:
    """The command `complete-signature`: a signature made outside has come back, or a person from a signing service.

    The signature is checked when it is embedded, the code by the signing service. `kind` is an `Answer`'s;
    `prepared_sha256` is None where a person brings a `state` instead.
    """
    prepared = _awaited(agreement, number, role, prepared_sha256, state_sha256, now)
    if kind == "authorization" and prepared.state_sha256 is None:
        raise _refused(
            "authorization_not_expected", "authorization", "No person was sent to a signing service for this."
        )
    if kind != "authorization" and prepared.state_sha256 is not None:
        raise _refused(
            "authorization_expected",
            kind,
            "The person approves at the signing service. Send what it gives as authorization.",
        )
    return Draft(
        "signature-received",
        {
            "field": role,
            "prepared_sha256": prepared.blob_sha256,
            "kind": kind,
            "answer_sha256": answer_sha256,
            "evidence_sha256": evidence_sha256,
        },
    )


def end_authorization(
    agreement: Agreement,
    *,
    number: int | None,
    role: str,
    prepared_sha256: str | None,
    state_sha256: str | None,
    error: str,
    now: datetime,
) -> Draft:
    """The command `complete-signature` with an `error`: the person came back without approval, and may go again."""
    prepared = _awaited(agreement, number, role, prepared_sha256, state_sha256, now)
    if prepared.state_sha256 is None:
        raise _refused(
            "authorization_not_expected", "authorization", "No person was sent to a signing service for this."
        )
    code = error if error in ENDED_AUTHORIZATIONS else "authorization_failed"
    told = {
        "role": role,
        "code": code,
        "message": f"{ENDED_AUTHORIZATIONS[code]} Send `sign` to try again.",
    }
    return Draft(
        "signature-discarded",
        {"field": role, "prepared_sha256": prepared.blob_sha256, "reason": code},
        (Occurrence("agreement.signature-refused", told),),
    )


def _awaited(
    agreement: Agreement,
    number: int | None,
    role: str,
    prepared_sha256: str | None,
    state_sha256: str | None,
    now: datetime,
) -> Prepared:
    """The prepared signature that a party's answer is for, which is awaited still."""
    version = _version(agreement, number)
    _refuse_if_done(_party(version, role))
    prepared = version.prepared
    if prepared is None or prepared.field != role or prepared.lease_until is None:
        raise _refused(
            "nothing_to_complete", "role", "Send `sign` for this role first, and sign what it gives."
        )
    if prepared_sha256 not in {None, prepared.blob_sha256} or (
        prepared.base_sha256 != version.document.sha256
    ):
        raise _refused("stale_signature", "prepared", "It is for another revision. Send `sign` again.")
    # Somebody else's answer, or one to an earlier question, must not end what the person is about to do.
    if prepared.state_sha256 and state_sha256 not in {None, prepared.state_sha256}:
        raise _refused(
            "wrong_state", "authorization.state", "It is not the state of the newest authorization_url."
        )
    if prepared.answer:
        raise _refused("already_received", "prepared", "A signature for this was received already.")
    if timestamp(now) > prepared.lease_until:
        raise _refused("signature_too_late", "prepared", "It came too late. Send `sign` again.")
    return prepared


def attach_paper(
    agreement: Agreement,
    *,
    number: int | None,
    roles: Sequence[str],
    scan: Mapping[str, str],
    signed_on: str,
    evidence_sha256: str | None,
    now: datetime,
) -> Draft:
    """The command `attach-paper`: these parties have signed a printed copy, and this is its scan.

    `scan` has `sha256`, `media_type` and `storage_key`; `signed_on` is a date in Norway. Until the adviser has signed,
    a scan for a party that has one already takes its place.
    """
    version = _version(agreement, number)
    moment = timestamp(now)
    for place, role in enumerate(roles):
        _check_on_paper(version, role, f"roles.{place}", moment)
    _check_attester(version, moment)
    if moment >= end_of(version):
        raise _refused("deadline_passed", "roles", "The time for signing is over.")
    day = date.fromisoformat(signed_on)
    if day > norwegian_date(now):
        raise _refused("date_in_future", "signed_on", "Send the day on which the paper was signed.")
    assert version.rendered_at is not None
    if day < norwegian_date(datetime.fromisoformat(version.rendered_at)):
        raise _refused(
            "date_before_document",
            "signed_on",
            "The document was not there yet. Have this version's printed copy signed, and send that day.",
        )
    replaced = {p.role: p.paper.scan_sha256 for p in version.parties if p.role in roles and p.paper}
    what = {"sha256": scan["sha256"], "media_type": scan["media_type"]}
    waiting = [p.role for p in version.parties if p.status is PartyStatus.WAITING and p.role not in roles]
    told = {
        "roles": list(roles),
        "signed_on": signed_on,
        "media_type": scan["media_type"],
        "scan": {"sha256": scan["sha256"], "storage_key": scan["storage_key"]},
        "replaces": sorted(replaced),
        "remaining": waiting,
    }
    return Draft(
        "paper-attached",
        {
            "roles": list(roles),
            "scan": what,
            "signed_on": signed_on,
            "evidence_sha256": evidence_sha256,
            "replaces": replaced,
        },
        (Occurrence("agreement.paper-attached", told),),
    )


def _check_on_paper(version: Version, role: str, path: str, moment: str) -> None:
    """Whether this party may sign on paper now."""
    party = _party(version, role, path)
    if role in NOT_ON_PAPER:
        raise _refused("not_on_paper", path, "The adviser and the decider sign digitally.")
    if party.status is not PartyStatus.SIGNED_ON_PAPER:
        _refuse_if_done(party, path)
    if version.status is not Status.SIGNING or party.requested_at is None:
        raise _refused("not_your_turn", path, "Wait until this party is asked to sign.")
    _refuse_while_signing(version, role, path, moment)


def _check_attester(version: Version, moment: str) -> None:
    """Somebody must attest the paper, and does not do so at this moment without knowing of it."""
    attester = next((p for p in version.signers if p.role == ATTESTER), None)
    if attester is None:
        raise _refused("nobody_attests", "roles", "Without an adviser who signs, nobody may sign on paper.")
    if attester.status is PartyStatus.SIGNED:
        raise _refused(
            "adviser_has_signed",
            "roles",
            "The adviser's signature would not attest it. Send a new agreement.",
        )
    _refuse_while_signing(version, ATTESTER, "roles", moment)


def _refuse_while_signing(version: Version, role: str, path: str, moment: str) -> None:
    """A person who signs is not overtaken, nor a signature that has come back."""
    prepared = version.prepared
    if prepared is None or prepared.field != role:
        return
    if prepared.answer:
        raise _refused("signing_in_progress", path, f"A signature by the {role} came. Try again in a minute.")
    if (prepared.lease_until or "") >= moment:
        raise _refused(
            "signing_in_progress", path, f"The {role} is signing; try again after {prepared.lease_until}."
        )


def decline(agreement: Agreement, *, number: int | None, role: str, reason: str) -> Draft:
    """The command `decline`: a party will not sign, and so the version ends."""
    version = _version(agreement, number)
    _refuse_if_done(_party(version, role))
    told = {"role": role, "reason": reason, "signed": _signed(version)}
    return Draft("declined", {"role": role, "reason": reason}, (Occurrence("agreement.declined", told),))


def cancel(agreement: Agreement, *, number: int | None, reason: str) -> Draft:
    """The command `cancel`: the case system takes the version back before all have signed."""
    version = _version(agreement, number)
    told = {"reason": reason, "signed": _signed(version)}
    return Draft("cancelled", {"reason": reason}, (Occurrence("agreement.cancelled", told),))


def amendable(agreement: Agreement, *, number: int | None) -> Version:
    """The version in force, which `amend` and `terminate` start from. One change is made at a time."""
    current, base = agreement.current, agreement.in_force
    if agreement.declares_for:
        raise _refused("is_declaration", "agreement_id", "A declaration is not changed; amend its agreement.")
    if current.status.is_open or current.status is Status.COMPLETED:
        raise _refused(
            "version_open",
            "agreement_id",
            f"Version {current.number} is not signed by all yet. Send it again after agreement.signed, "
            "or cancel that version first.",
        )
    if base is None:
        raise _refused("never_signed", "agreement_id", "No version was signed; send a new agreement.")
    if base.terminates:
        raise _refused("terminated", "agreement_id", "The agreement is terminated; send a new agreement.")
    if number is not None and number != base.number:
        raise _refused("another_version", "version", f"The version in force is {base.number}.")
    return base


def follow_up_done(agreement: Agreement, *, item: str, done_on: str, now: datetime) -> Draft:
    """The command `follow-up-done`: an item of the follow-up is done. No new version comes of it."""
    version = agreement.in_force
    if version is None:
        raise _refused("not_in_force", "agreement_id", "Nothing is signed yet. Wait for agreement.signed.")
    found = next((i for i in version.follow_up.items if i.id == item), None)
    if found is None:
        raise _refused(
            "no_such_item",
            "item",
            f"Version {version.number} has none of this id. Send one that an event has named.",
        )
    if item in agreement.done:
        raise _refused("already_done", "item", "It was recorded as done before; nothing more is needed.")
    if done_on > norwegian_date(now).isoformat():
        raise _refused("date_in_future", "done_on", "Send it on the day when it is done, or after.")
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


def _signed(version: Version) -> list[str]:
    return [p.role for p in version.parties if p.status.has_signed]


def _version(agreement: Agreement, number: int | None) -> Version:
    """The current version, which is the one meant and still open."""
    version = agreement.current
    if number is not None and number != version.number:
        raise _refused("another_version", "version", f"The current version is {version.number}.")
    if not version.status.is_open:
        code, way_out = _ENDED[version.status]
        raise _refused(code, "agreement_id", way_out)
    return version


def _party(version: Version, role: str, path: str = "role") -> Party:
    party = next((p for p in version.parties if p.role == role), None)
    if party is None:
        raise _refused("no_such_party", path, "The agreement has no party of this role.")
    return party


def _refuse_if_done(party: Party, path: str = "role") -> None:
    if party.status.has_signed:
        raise _refused("already_signed", path, "This party has signed; nothing more is needed.")
    if party.status is PartyStatus.NOT_APPLICABLE:
        raise _refused("signs_not", path, "Somebody else signs for this party.")
    if party.status is PartyStatus.TOLD:
        raise _refused("signs_not", path, "This party is told of the change, and need not sign it again.")


def _refused(code: str, path: str, message: str) -> CommandRejected:
    fault = FieldError(path, code, message)
    return CommandRejected(f"the agreement does not allow this: {message}", [fault], code=code)
