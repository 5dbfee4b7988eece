"""What must hold before somebody may do something, and how it is refused when it does not."""

from __future__ import annotations

from service.domain.agreement import Agreement, Party, PartyStatus, Status, Version
from service.errors import CommandRejected, FieldError

__all__ = ["ENDED", "open_version", "party_of", "refuse_erased", "refuse_if_done", "refused", "signed_roles"]

ENDED = {
    Status.COMPLETED: ("already_signed", "All parties have signed this version."),
    Status.SIGNED: ("already_signed", "All parties have signed this version."),
    Status.DECLINED: ("declined", "A party has declined; send a new agreement."),
    Status.CANCELLED: ("cancelled", "This version is cancelled; send a new agreement."),
    Status.EXPIRED: ("expired", "The time for signing is over; send a new agreement."),
    Status.REJECTED: ("rejected", "This version never became a document; send a new agreement."),
}


def open_version(agreement: Agreement, number: int | None) -> Version:
    """The current version, which is the one meant and still open."""
    version = agreement.current
    if number is not None and number != version.number:
        raise refused("another_version", "version", f"The current version is {version.number}.")
    if not version.status.is_open:
        code, way_out = ENDED[version.status]
        raise refused(code, "agreement_id", way_out)
    return version


def refuse_erased(agreement: Agreement) -> None:
    """Nothing is done to an agreement whose content is erased, or about to be."""
    if agreement.erasure:
        raise refused("erased", "agreement_id", "Its content is erased; send a new agreement.")


def party_of(version: Version, role: str, path: str = "role") -> Party:
    party = next((p for p in version.parties if p.role == role), None)
    if party is None:
        raise refused("no_such_party", path, "The agreement has no party of this role.")
    return party


def refuse_if_done(party: Party, path: str = "role") -> None:
    if party.status.has_signed:
        raise refused("already_signed", path, "This party has signed; nothing more is needed.")
    if party.status is PartyStatus.NOT_APPLICABLE:
        raise refused("signs_not", path, "Somebody else signs for this party.")
    if party.status is PartyStatus.TOLD:
        raise refused("signs_not", path, "This party is told of the change, and need not sign it again.")


def signed_roles(version: Version) -> list[str]:
    return [p.role for p in version.parties if p.status.has_signed]


def refused(code: str, path: str, message: str) -> CommandRejected:
    fault = FieldError(path, code, message)
    return CommandRejected(f"the agreement does not allow this: {message}", [fault], code=code)
