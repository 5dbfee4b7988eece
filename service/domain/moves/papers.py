"""Signatures on paper: a scan is attached, which the adviser attests by signing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime

from service.domain.agreement import ATTESTER, Agreement, PartyStatus, Status, Version
from service.domain.log import Draft, Occurrence, timestamp
from service.domain.moves.checks import open_version, party_of, refuse_if_done, refused
from service.domain.paper import NOT_ON_PAPER
from service.domain.periods import norwegian_date
from service.domain.steps import end_of

__all__ = ["attach_paper"]


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
    version = open_version(agreement, number)
    moment = timestamp(now)
    for place, role in enumerate(roles):
        _check_on_paper(version, role, f"roles.{place}", moment)
    _check_attester(version, moment)
    if moment >= end_of(version):
        raise refused("deadline_passed", "roles", "The time for signing is over.")
    day = date.fromisoformat(signed_on)
    if day > norwegian_date(now):
        raise refused("date_in_future", "signed_on", "Send the day on which the paper was signed.")
    assert version.rendered_at is not None
    if day < norwegian_date(datetime.fromisoformat(version.rendered_at)):
        raise refused(
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
    party = party_of(version, role, path)
    if role in NOT_ON_PAPER:
        raise refused("not_on_paper", path, "The adviser and the decider sign digitally.")
    if party.status is not PartyStatus.SIGNED_ON_PAPER:
        refuse_if_done(party, path)
    if version.status is not Status.SIGNING or party.requested_at is None:
        raise refused("not_your_turn", path, "Wait until this party is asked to sign.")
    _refuse_while_signing(version, role, path, moment)


def _check_attester(version: Version, moment: str) -> None:
    """Somebody must attest the paper, and does not do so at this moment without knowing of it."""
    attester = next((p for p in version.signers if p.role == ATTESTER), None)
    if attester is None:
        raise refused("nobody_attests", "roles", "Without an adviser who signs, nobody may sign on paper.")
    if attester.status is PartyStatus.SIGNED:
        raise refused(
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
        raise refused("signing_in_progress", path, f"A signature by the {role} came. Try again in a minute.")
    if (prepared.lease_until or "") >= moment:
        raise refused(
            "signing_in_progress", path, f"The {role} is signing; try again after {prepared.lease_until}."
        )
