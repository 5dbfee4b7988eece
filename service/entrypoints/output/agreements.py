"""What is said of one agreement: that it was sent, where it stands, what was written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from service.domain.agreement import ATTESTER, Agreement, Party, PartyStatus, Status, Version
from service.domain.follow_up import Item
from service.domain.log import Entry
from service.domain.steps import end_of
from service.entrypoints.output.renewals import renewal_json, renewal_lines
from service.entrypoints.output.steps import step_text
from service.entrypoints.output.text import STEP_WIDTH, print_json
from service.pipeline.ledger import blob_key
from service.pipeline.scans import scan_key
from service.pipeline.work import Parked

__all__ = ["agreement", "link", "sent", "wrote"]


def sent(command_id: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"command_id": command_id, "sent": True})
    else:
        click.echo(f"Sent as command {command_id}. It is on the queue; a worker will take it in.")


def link(address: str, sha256: str, *, note: str = "", as_json: bool) -> None:
    """`note` is what must be known of the file."""
    if as_json:
        print_json({"link": address, "sha256": sha256, **({"note": note} if note else {})})
        return
    click.echo(address)
    if note:
        click.echo(note, err=True)


def wrote(paths: Sequence[Path], sha256: str, *, note: str = "", as_json: bool) -> None:
    """`note` is what must be known of the file."""
    if as_json:
        written = [str(p) for p in paths]
        print_json({"written": written, "sha256": sha256, **({"note": note} if note else {})})
        return
    for path in paths:
        click.echo(f"Wrote {path}")
    if note:
        click.echo(note, err=True)


_DUE_NEXT = 5
"""Items of the follow-up that are shown with the agreement; `signert follow-up` has all."""


def agreement(
    found: Agreement,
    entries: Sequence[Entry],
    parked: Sequence[Parked],
    due: Sequence[Item],
    *,
    as_json: bool,
) -> None:
    """`due` is what is still to be done of the follow-up, by date."""
    if as_json:
        print_json(_agreement_json(found, entries, parked, due))
        return
    version = found.current
    click.echo(f"Agreement {found.id}")
    click.echo(f"  case      {found.case_system} {found.case_reference}")
    click.echo(f"  version   {version.number}, {version.status}")
    click.echo(f"  template  {version.template} {version.template_version} ({version.language})")
    click.echo("Parties")
    for party in sorted(version.parties, key=lambda p: (p.order, p.role)):
        click.echo(
            f"  {party.order}  {party.role:12} {party.status:15} {_party_text(version, party)}".rstrip()
        )
    if asked := _signing_now(version, entries):
        if "authorization_url" in asked:
            click.echo(f"Waited for at its signing service: {asked['field']}, until {asked['expires_at']}")
            click.echo(f"  open      {asked['authorization_url']}")
        else:
            click.echo(f"Signing now: {asked['field']}, until {asked['expires_at']}")
        click.echo(f"  prepared  {asked['prepared']}")
        click.echo(f"  {asked['digest_algorithm']:8}  {asked['document_digest']}")
    click.echo("Log")
    before: datetime | None = None
    for entry in entries:
        at = datetime.fromisoformat(entry.at)
        took = f"{(at - before).total_seconds():6.2f} s" if before else ""
        before = at
        click.echo(f"  {entry.seq:3}  {entry.at}  {step_text(entry):{STEP_WIDTH}} {took}".rstrip())
    for error in _errors(entries):
        click.echo(f"  {error['path']}: {error['message']}")
    for reason in parked:
        click.echo(f"Waiting at {reason.step} since {reason.since} ({reason.code}): {reason.message}")
        click.echo(f"  tried {reason.attempts} times, next {reason.retry_at}. {reason.remedy}".rstrip())
    _print_kept(found)
    _print_ahead(found, due)


def _print_ahead(found: Agreement, due: Sequence[Item]) -> None:
    """The renewals until now, and what comes next."""
    for version in found.versions:
        if lines := list(renewal_lines(version)):
            click.echo(f"Renewals of version {version.number}")
            for line in lines:
                click.echo(f"  {line}")
    if due:
        click.echo("Due next")
        for item in due[:_DUE_NEXT]:
            click.echo(f"  {item.date}  {item.kind:10}  {item.id}")


def _print_kept(found: Agreement) -> None:
    """What there is of it, and for how long; or that it is erased."""
    if erasure := found.erasure:
        done = (
            f"erased {erasure.done_at}" if erasure.done_at else f"to be erased, ordered {erasure.ordered_at}"
        )
        click.echo(f"Content {done} ({erasure.reason})")
        click.echo(f"  record    {blob_key(found.id, erasure.record_sha256, 'json')}")
        if erasure.signature_sha256:
            click.echo(f"  sealed    {blob_key(found.id, erasure.signature_sha256, 'p7s')}")
    if retention := found.retention:
        click.echo(f"Kept until {retention.until}, then {retention.disposal} ({retention.authority})")
    if documents := _documents(found, found.current):
        click.echo("Documents")
        for name, key in documents.items():
            click.echo(f"  {name:18} {key}")


def _agreement_json(
    found: Agreement, entries: Sequence[Entry], parked: Sequence[Parked], due: Sequence[Item]
) -> dict[str, Any]:
    return {
        "id": found.id,
        "case": {"system": found.case_system, "reference": found.case_reference},
        "log": {"seq": found.head.seq, "sha256": found.head.sha256},
        "retention": found.retention.as_data() if found.retention else None,
        "erasure": vars(found.erasure) if found.erasure else None,
        "versions": [
            {
                "number": version.number,
                "status": version.status,
                "template": {"name": version.template, "version": version.template_version},
                "language": version.language,
                "parties": [
                    {
                        "role": p.role,
                        "order": p.order,
                        "status": p.status,
                        "method": p.method,
                        "requested_at": p.requested_at,
                        "deadline": p.deadline,
                        "signed_at": p.signed_at,
                        "paper": vars(p.paper) if p.paper else None,
                    }
                    for p in version.parties
                ],
                "expires_at": end_of(version) if version.status is Status.SIGNING else None,
                "signing_now": _signing_now(version, entries),
                "next": [p.role for p in version.open_parties() if p.status is PartyStatus.WAITING],
                "documents": _documents(found, version),
                **renewal_json(version),
            }
            for version in found.versions
        ],
        "steps": [{"seq": e.seq, "at": e.at, "type": e.type, "field": e.data.get("field")} for e in entries],
        "errors": _errors(entries),
        "waiting": [vars(p) for p in parked],
        "due_next": [item.as_json() for item in due[:_DUE_NEXT]],
    }


def _signing_now(version: Version, entries: Sequence[Entry]) -> Mapping[str, str] | None:
    """What a party has for a short while, to sign it outside: as the event has told it."""
    if version.prepared is None or version.prepared.lease_until is None:
        return None
    prepared = next(e for e in reversed(entries) if e.type == "signature-prepared")
    found: Mapping[str, str] = prepared.occurrences[0].data["to_sign"]
    return found


def _party_text(version: Version, party: Party) -> str:
    """When a party signed; or by which means and until when it is to."""
    if party.signed_at:
        return party.signed_at
    if party.paper:
        attester = version.party(ATTESTER)
        by = "attested" if attester.status is PartyStatus.SIGNED else f"to be attested by the {ATTESTER}"
        return f"{party.paper.signed_on}, scan attached {party.paper.attached_at}, {by}"
    if party.status is not PartyStatus.WAITING or party.requested_at is None:
        return ""
    return f"{party.method}, asked {party.requested_at}, until {party.deadline or end_of(version)}"


def _errors(entries: Sequence[Entry]) -> list[Mapping[str, str]]:
    return [error for entry in entries if entry.type == "rejected" for error in entry.data["errors"]]


def _documents(agreement: Agreement, version: Version) -> dict[str, str]:
    """Keys of what a signed version has left; none where that is erased."""
    if agreement.erasure or version.status is not Status.SIGNED:
        return {}
    agreement_id = agreement.id
    blobs = {
        "signed": (version.document.sha256, "pdf"),
        "courtesy": (version.courtesy_sha256, "pdf"),
        "screened": (version.screened_sha256, "pdf"),
        "receipt": (version.receipt_sha256, "json"),
        "receipt-signature": (version.receipt_signature_sha256, "p7s"),
        "receipt-pdf": (version.receipt_pdf_sha256, "pdf"),
        "data": (version.input_sha256, "json"),
    }
    if version.renewals:
        newest = version.renewals[-1]
        blobs["renewal-receipt"] = (newest.receipt_sha256, "json")
        blobs["renewal-receipt-signature"] = (newest.receipt_signature_sha256, "p7s")
    found = {name: blob_key(agreement_id, sha256, ext) for name, (sha256, ext) in blobs.items() if sha256}
    return found | {f"scan {party.role}": scan_key(agreement_id, paper) for party, paper in version.papers}
