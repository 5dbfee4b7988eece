"""From the log to the agreement's state: what each entry changes. A crash anywhere is cured by folding again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from service.domain.agreement import (
    ATTESTER,
    SEAL,
    Agreement,
    Answer,
    Approval,
    Declaration,
    DeclaresFor,
    Done,
    Erasure,
    KeyPlace,
    Method,
    Paper,
    Party,
    PartyStatus,
    Prepared,
    Revision,
    Status,
    Version,
)
from service.domain.delivery import fold_copies, fold_delivery
from service.domain.follow_up import FollowUp
from service.domain.log import Entry
from service.domain.renewal import Reason, Renewal, Schedule
from service.domain.retention import Retention
from service.errors import NewerFormat

__all__ = ["advance", "fold"]

_NO_PLAN: Mapping[str, Any] = {"deadline_days": None, "expires_after_days": 84}
"""For logs from before there were plans of signing (tests/fixtures/stores): every party signs, when it can."""


def fold(entries: Iterable[Entry]) -> Agreement:
    """The state that these entries tell. `entries` is a whole, checked chain of at least one entry."""
    iterator = iter(entries)
    first = next(iterator)
    agreement = Agreement(
        id=first.agreement_id,
        case_system=first.data["case"]["system"],
        case_reference=first.data["case"]["reference"],
        head=first,
        versions=(_submitted(first),),
        commands=_commands(first),
        declares_for=DeclaresFor(**about) if (about := first.data.get("declares_for")) else None,
    )
    for entry in iterator:
        agreement = advance(agreement, entry)
    return agreement


def advance(agreement: Agreement, entry: Entry) -> Agreement:
    """The state after one more entry."""
    versions = agreement.versions
    if entry.type == "amended":
        versions = (*versions, _submitted(entry))
    elif entry.type in _WHOLE_FOLDS:
        agreement = _WHOLE_FOLDS[entry.type](agreement, entry)
    elif entry.type not in _FOLDS:
        raise NewerFormat(f"log entry {entry.seq} is of a type that this release does not know")
    else:
        version = _FOLDS[entry.type](agreement.versions[entry.version - 1], entry)
        versions = (*agreement.versions[: entry.version - 1], version, *agreement.versions[entry.version :])
    commands = {**agreement.commands, **_commands(entry)}
    before, now = agreement.current, versions[-1]
    same = (before.number, before.status) == (now.number, now.status)
    return replace(
        agreement,
        head=entry,
        versions=versions,
        commands=commands,
        status_seq=agreement.status_seq if same else entry.seq,
    )


def _commands(entry: Entry) -> dict[str, str]:
    """The command that this entry is, and the SHA-256 of its payload; empty for what the service does by itself."""
    return {entry.data["command_id"]: entry.data["payload_sha256"]} if "command_id" in entry.data else {}


def _submitted(entry: Entry) -> Version:
    data = entry.data
    return Version(
        opened_at=entry.at,
        changed_at=entry.at,
        expires_after_days=data.get("signing", _NO_PLAN)["expires_after_days"],
        number=entry.version,
        command_id=data.get("command_id") or data["caused_by"],
        input_sha256=data["input_sha256"],
        template=data["template"]["name"],
        template_version=data["template"]["version"],
        language=data["language"],
        parties=tuple(_party(p, data.get("signing", _NO_PLAN)) for p in data["parties"]),
        supersedes=data.get("supersedes"),
        change=tuple(data.get("change", ())),
        declarations=tuple(
            Declaration(d["role"], d["agreement_id"], d["template"]["name"], d["template"]["version"])
            for d in data.get("declarations", ())
        ),
        follow_up=FollowUp.from_data(data),
        retention=Retention.from_data(kept) if (kept := data.get("retention")) else None,
    )


def _party(data: Mapping[str, Any], signing: Mapping[str, Any]) -> Party:
    return Party(
        role=data["role"],
        order=data["order"],
        status=_status(data),
        method=Method(data["method"]) if data.get("method") else None,
        deadline_days=data.get("deadline_days") or signing["deadline_days"],
        level=data.get("level"),
        eidas=data.get("eidas"),
    )


def _status(data: Mapping[str, Any]) -> PartyStatus:
    if data.get("signs", True):
        return PartyStatus.WAITING
    return PartyStatus.TOLD if data.get("told") else PartyStatus.NOT_APPLICABLE


def _revision(data: Mapping[str, Any]) -> Revision:
    return Revision(data["revision"]["sha256"], data["revision"]["bytes"], data.get("field"))


def _rendered(version: Version, entry: Entry) -> Version:
    return replace(
        version,
        status=Status.RENDERED,
        template_sha256=entry.data["template_sha256"],
        docx_sha256=entry.data["docx_sha256"],
        courtesy_sha256=entry.data.get("courtesy_sha256"),
        screened_sha256=entry.data.get("screened_sha256"),
        rendered_at=entry.at,
        revisions=(_revision(entry.data),),
    )


def _rejected(version: Version, _entry: Entry) -> Version:
    return replace(version, status=Status.REJECTED)


def _prepared(version: Version, entry: Entry) -> Version:
    data = entry.data
    prepared = Prepared(
        data["field"],
        data["base_sha256"],
        data["prepared_sha256"],
        entry.at,
        data.get("lease_until"),
        state_sha256=data.get("state_sha256"),
        to_sign_sha256=data.get("to_sign_sha256"),
    )
    return replace(version, prepared=prepared)


def _discarded(version: Version, entry: Entry) -> Version:
    """A signature that came from outside, or did not come, must be asked for anew."""
    field = entry.data["field"]
    prepared = version.prepared
    person = prepared.lease_until is not None if prepared else True
    if field != SEAL and person:
        version = _with_party(version, field, lambda p: replace(p, approval=None))
    return replace(version, prepared=None)


def _with_party(version: Version, role: str, change: Callable[[Party], Party]) -> Version:
    return replace(version, parties=tuple(change(p) if p.role == role else p for p in version.parties))


def _requested(version: Version, entry: Entry) -> Version:
    asked = {r["role"]: r for r in entry.data["requests"]}

    def request(party: Party) -> Party:
        return replace(
            party,
            method=Method(asked[party.role]["method"]),
            requested_at=entry.at,
            deadline=asked[party.role]["deadline"],
        )

    parties = tuple(request(p) if p.role in asked else p for p in version.parties)
    return replace(version, parties=parties, changed_at=entry.at)


def _approved(version: Version, entry: Entry) -> Version:
    data = entry.data
    approval = Approval(
        data["command_id"], entry.at, data["certificates_sha256"], data["evidence_sha256"], data["by"]
    )
    return _with_party(version, data["role"], lambda p: replace(p, approval=approval))


def _received(version: Version, entry: Entry) -> Version:
    assert version.prepared is not None
    data, before = entry.data, version.prepared.answer
    # The value that a signing service gave for an authorisation takes its place; the command stays the same.
    command_id = data.get("command_id") or (before.command_id if before else None)
    answer = Answer(data["kind"], data["answer_sha256"], data["evidence_sha256"], command_id)
    return replace(version, prepared=replace(version.prepared, answer=answer))


def _reminded(version: Version, entry: Entry) -> Version:
    return replace(version, warned=version.warned | {(entry.data["what"], entry.data["end"])})


def _ended(status: Status, party_status: PartyStatus) -> Callable[[Version, Entry], Version]:
    """The version ends without all signatures. Who has signed has signed; the revisions stay."""

    def fold_end(version: Version, entry: Entry) -> Version:
        def end(party: Party) -> Party:
            if party.status is not PartyStatus.WAITING:
                return party
            own = entry.data.get("role") in {None, party.role}
            return replace(party, status=party_status if own else PartyStatus.CANCELLED)

        return replace(version, status=status, parties=tuple(map(end, version.parties)), prepared=None)

    return fold_end


def _with_declaration(version: Version, role: str, **changes: Any) -> Version:
    found = tuple(replace(d, **changes) if d.role == role else d for d in version.declarations)
    return replace(version, declarations=found)


def _declaration_requested(version: Version, entry: Entry) -> Version:
    return _with_declaration(version, entry.data["role"], requested=True)


def _declared(version: Version, entry: Entry) -> Version:
    data = entry.data
    return _with_declaration(
        replace(version, changed_at=entry.at),
        data["role"],
        document_sha256=data["declaration_sha256"],
        receipt_sha256=data["declaration_receipt_sha256"],
    )


def _declaration_withdrawn(version: Version, entry: Entry) -> Version:
    return _with_declaration(version, entry.data["role"], withdrawn=True)


def _reported(version: Version, _entry: Entry) -> Version:
    return replace(version, reported=True)


def _sealed(version: Version, entry: Entry) -> Version:
    revisions = (*version.revisions, _revision(entry.data))
    return replace(version, status=Status.SIGNING, revisions=revisions, prepared=None)


def _party_signed(version: Version, entry: Entry) -> Version:
    parties = tuple(
        replace(
            p,
            status=PartyStatus.SIGNED,
            signed_at=entry.data["signed_at"],
            certificate_sha256=entry.data["certificate_sha256"],
            evidence_sha256=entry.data.get("evidence_sha256"),
            signed_by=entry.data.get("by"),
            key_place=KeyPlace(place) if (place := entry.data.get("key_place")) else None,
        )
        if p.role == entry.data["role"]
        else p
        for p in version.parties
    )
    done = all(p.status is not PartyStatus.WAITING for p in parties)
    return replace(
        version,
        changed_at=entry.at,
        parties=parties,
        status=Status.COMPLETED if done else version.status,
        revisions=(*version.revisions, _revision(entry.data)),
        prepared=None,
    )


def _paper_attached(version: Version, entry: Entry) -> Version:
    """The parties have signed on paper. Whoever attests it is asked anew, and what it was about to sign is void."""
    data = entry.data
    paper = Paper(data["scan"]["sha256"], data["scan"]["media_type"], data["signed_on"], entry.at)

    def attach(party: Party) -> Party:
        if party.role == ATTESTER:
            return replace(party, requested_at=None, approval=None)
        if party.role not in data["roles"]:
            return party
        status, evidence = PartyStatus.SIGNED_ON_PAPER, data["evidence_sha256"]
        return replace(party, status=status, paper=paper, approval=None, evidence_sha256=evidence)

    prepared = version.prepared
    void = prepared is not None and prepared.field in {ATTESTER, *data["roles"]}
    return replace(
        version,
        changed_at=entry.at,
        parties=tuple(map(attach, version.parties)),
        prepared=None if void else prepared,
    )


def _augmented(version: Version, entry: Entry) -> Version:
    return replace(version, augmented=True, revisions=(*version.revisions, _revision(entry.data)))


def _verified(version: Version, entry: Entry) -> Version:
    return replace(
        version,
        report_sha256=entry.data["report_sha256"],
        verified_head=(entry.seq, entry.sha256),
        signed_document=version.document,
    )


def _receipt_rendered(version: Version, entry: Entry) -> Version:
    return replace(
        version,
        receipt_sha256=entry.data["receipt_sha256"],
        receipt_draft_sha256=entry.data["receipt_pdf_sha256"],
    )


def _signed(version: Version, entry: Entry) -> Version:
    return replace(
        version,
        status=Status.SIGNED,
        receipt_signature_sha256=entry.data["receipt_signature_sha256"],
        receipt_pdf_sha256=entry.data["receipt_pdf_sha256"],
        issued_receipt_pdf_sha256=entry.data["receipt_pdf_sha256"],
        signed_at=entry.at,
        schedule=_schedule(entry),
        copies=fold_copies(entry),
    )


def _schedule(entry: Entry) -> Schedule | None:
    """None in entries of releases that did not renew."""
    found = entry.data.get("renewal")
    return Schedule.from_data(found) if found else None


def _renewal_scheduled(version: Version, entry: Entry) -> Version:
    return replace(version, schedule=_schedule(entry))


def _renewed(version: Version, entry: Entry) -> Version:
    data = entry.data
    revisions = (*version.revisions, _revision(data)) if "revision" in data else version.revisions
    renewal = Renewal(
        at=entry.at,
        reason=Reason(data["reason"]),
        digest=data["digest"],
        document_sha256=revisions[-1].sha256,
        receipt_pdf_sha256=data["receipt_pdf_sha256"],
        receipt_pdf_size=data["receipt_pdf_bytes"],
        report_sha256=data["report_sha256"],
        receipt_sha256=data["renewal_receipt_sha256"],
        receipt_signature_sha256=data["renewal_receipt_signature_sha256"],
        head=(entry.seq, entry.sha256),
    )
    return replace(
        version,
        revisions=revisions,
        receipt_pdf_sha256=renewal.receipt_pdf_sha256,
        schedule=_schedule(entry),
        renewals=(*version.renewals, renewal),
    )


def _follow_up_told(agreement: Agreement, entry: Entry) -> Agreement:
    return replace(agreement, told=agreement.told | {(entry.data["item"], entry.data["what"])})


def _follow_up_done(agreement: Agreement, entry: Entry) -> Agreement:
    done = Done(entry.data["done_on"], entry.data.get("values_sha256"))
    return replace(agreement, done={**agreement.done, entry.data["item"]: done})


def _erasure_ordered(agreement: Agreement, entry: Entry) -> Agreement:
    ordered = Erasure(entry.data["reason"], entry.data["record_sha256"], entry.at)
    return replace(agreement, erasure=ordered)


def _erased(agreement: Agreement, entry: Entry) -> Agreement:
    assert agreement.erasure is not None
    sealed = entry.data["record_signature_sha256"]
    return replace(agreement, erasure=replace(agreement.erasure, done_at=entry.at, signature_sha256=sealed))


_WHOLE_FOLDS = {
    "follow-up-told": _follow_up_told,
    "follow-up-done": _follow_up_done,
    "erasure-ordered": _erasure_ordered,
    "erased": _erased,
}
"""Entries that are about the agreement, whichever version is current."""

_FOLDS = {
    "rendered": _rendered,
    "signature-requested": _requested,
    "signature-approved": _approved,
    "signature-received": _received,
    "declaration-requested": _declaration_requested,
    "declared": _declared,
    "declaration-withdrawn": _declaration_withdrawn,
    "reported": _reported,
    "reminded": _reminded,
    "declined": _ended(Status.DECLINED, PartyStatus.DECLINED),
    "cancelled": _ended(Status.CANCELLED, PartyStatus.CANCELLED),
    "expired": _ended(Status.EXPIRED, PartyStatus.EXPIRED),
    "rejected": _rejected,
    "signature-prepared": _prepared,
    "signature-discarded": _discarded,
    "sealed": _sealed,
    "party-signed": _party_signed,
    "paper-attached": _paper_attached,
    "augmented": _augmented,
    "verified": _verified,
    "receipt-rendered": _receipt_rendered,
    "signed": _signed,
    "renewal-scheduled": _renewal_scheduled,
    "renewed": _renewed,
    "copy-delivered": fold_delivery,
}
