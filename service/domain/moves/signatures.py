"""The parties' own signatures: a party says that it signs, and what comes back for it."""

from __future__ import annotations

from datetime import datetime

from service.domain.agreement import Agreement, Method, Party, PartyStatus, Prepared, Status, Version
from service.domain.log import Draft, Occurrence, timestamp
from service.domain.moves.checks import open_version, party_of, refuse_if_done, refused
from service.domain.steps import end_of

__all__ = ["ENDED_AUTHORIZATIONS", "approve", "end_authorization", "receive_answer"]

ENDED_AUTHORIZATIONS = {
    "access_denied": "The person did not approve at the signing service.",
    "authorization_failed": "The signing service ended the approval with an error.",
}
"""Why a prepared signature is discarded when a person comes back without a code."""


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
    version = open_version(agreement, number)
    party = party_of(version, role)
    refuse_if_done(party)
    if version.must_declare(role):
        raise refused("declaration_first", "role", "This party signs its declaration first.")
    if version.status is not Status.SIGNING or party.requested_at is None:
        raise refused(
            "not_your_turn", "role", "Wait for the event agreement.signature-requested for this role."
        )
    moment = timestamp(now)
    if moment >= end_of(version):
        raise refused("deadline_passed", "role", "The time for signing is over.")
    lease = version.prepared.lease_until if version.prepared else None
    if lease and lease > moment and version.prepared and version.prepared.field != role:
        raise refused("signing_in_progress", "role", f"Another party is signing; try again after {lease}.")
    if by:
        _check_on_behalf(version, party, by)
    elif party.method is Method.AUTOMATIC:
        raise refused(
            "signs_automatically", "role", "Nothing is to be done: this party's key is used by itself."
        )
    if party.method in {Method.APPROVED, Method.REDIRECT} and certificates_sha256 and not by:
        raise refused(
            "certificates_not_expected",
            "certificates",
            "This party signs with a key that the service reaches.",
        )
    if party.approval and version.prepared and version.prepared.field == role and (lease or "") > moment:
        raise refused("signing_in_progress", "role", f"This party is signing already, until {lease}.")
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
        raise refused("not_on_behalf", "on_behalf", "Only the participant can be signed for in this way.")
    if all(p.role != by for p in version.parties):
        raise refused("no_such_party", "on_behalf.by", "The agreement has no party of this role.")
    if any(p.role == "employer" and p.status is not PartyStatus.SIGNED for p in version.signers):
        raise refused("employer_first", "on_behalf", "The employer signs first. Send it again after that.")


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
        raise refused(
            "authorization_not_expected", "authorization", "No person was sent to a signing service for this."
        )
    if kind != "authorization" and prepared.state_sha256 is not None:
        raise refused(
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
        raise refused(
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
    version = open_version(agreement, number)
    refuse_if_done(party_of(version, role))
    prepared = version.prepared
    if prepared is None or prepared.field != role or prepared.lease_until is None:
        raise refused(
            "nothing_to_complete", "role", "Send `sign` for this role first, and sign what it gives."
        )
    if prepared_sha256 not in {None, prepared.blob_sha256} or (
        prepared.base_sha256 != version.document.sha256
    ):
        raise refused("stale_signature", "prepared", "It is for another revision. Send `sign` again.")
    # Somebody else's answer, or one to an earlier question, must not end what the person is about to do.
    if prepared.state_sha256 and state_sha256 not in {None, prepared.state_sha256}:
        raise refused(
            "wrong_state", "authorization.state", "It is not the state of the newest authorization_url."
        )
    if prepared.answer:
        raise refused("already_received", "prepared", "A signature for this was received already.")
    if timestamp(now) > prepared.lease_until:
        raise refused("signature_too_late", "prepared", "It came too late. Send `sign` again.")
    return prepared
