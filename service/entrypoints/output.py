"""What the command line prints: for people by default, JSON when asked. Progress goes to standard error."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from service.domain.agreement import SEAL, Agreement, PartyStatus, Status, Version
from service.domain.log import Entry, timestamp
from service.domain.presentation import ROLES
from service.domain.template import Finding, Manifest
from service.errors import CommandRejected, SignertError
from service.pipeline.ledger import blob_key
from service.pipeline.work import Parked

if TYPE_CHECKING:
    from rich.progress import Progress

    from service.pipeline.sweep import Swept
    from signing import SigningError, ValidationReport

_STEP_WIDTH = 44


def _json(value: object) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def sent(command_id: str, *, as_json: bool) -> None:
    if as_json:
        _json({"command_id": command_id, "sent": True})
    else:
        click.echo(f"Sent as command {command_id}. It is on the queue; a worker will take it in.")


def wrote(paths: Sequence[Path], sha256: str, *, as_json: bool) -> None:
    if as_json:
        _json({"written": [str(p) for p in paths], "sha256": sha256})
        return
    for path in paths:
        click.echo(f"Wrote {path}")


class _JsonLines(logging.Formatter):
    """One JSON object a line. What was raised is named by its type: its text may hold what an agreement says."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": timestamp(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname,
            "logger": record.name,
            "pid": record.process,
            "message": record.getMessage(),
        }
        if record.exc_info and record.exc_info[0]:
            line["exception"] = record.exc_info[0].__name__
        return json.dumps(line, ensure_ascii=False)


def start_log(level: str, *, as_json: bool) -> None:
    """Log to standard error, as text or as JSON lines."""
    handler = logging.StreamHandler()
    text = logging.Formatter("%(asctime)s %(levelname)s %(name)s pid=%(process)d %(message)s")
    handler.setFormatter(_JsonLines() if as_json else text)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(True)


# --- progress ---------------------------------------------------------------------------------------------


class Steps:
    """One line a step, with the time since the step before it."""

    def __init__(self, bar: Progress | None) -> None:
        self._bar = bar
        self._task = bar.add_task("Taking the command in", total=None) if bar else None
        self._before: datetime | None = None

    def entry(self, entry: Entry) -> None:
        at = datetime.fromisoformat(entry.at)
        took = f"{(at - self._before).total_seconds():6.2f} s" if self._before else " " * 8
        self._before = at
        self._print(f"  {step_text(entry):{_STEP_WIDTH}} {took}")
        if self._bar and self._task is not None:
            if entry.type == "submitted":
                # Prepare and sign for the seal and each party; render, augment, verify, receipt, its seal.
                total = 2 * (len(entry.data["parties"]) + 1) + 6
                self._bar.update(self._task, total=total)
            self._bar.update(self._task, advance=1, description=step_text(entry))

    def parked(self, parked: Parked) -> None:
        self._print(f"  Waiting at {parked.step}: {parked.message} Next try {parked.retry_at}.")

    def _print(self, text: str) -> None:
        if self._bar:
            self._bar.console.print(text, highlight=False, markup=False)
        else:
            click.echo(text, err=True)


@contextlib.contextmanager
def progress() -> Iterator[Steps]:
    """Tells of each step as it is done, on standard error: with a bar on a terminal, as plain lines elsewhere."""
    from rich.progress import (
        Progress,
    )

    console = Console(stderr=True)
    if not console.is_terminal:
        yield Steps(None)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        yield Steps(bar)


def step_text(entry: Entry) -> str:
    """An entry of the log in words."""
    field = entry.data.get("field", "")
    match entry.type:
        case "submitted":
            return "taken in and validated"
        case "rendered":
            return "rendered as PDF/A with signature fields"
        case "signature-prepared":
            return f"signature of {field} prepared"
        case "signature-discarded":
            return f"prepared signature of {field} discarded: {entry.data['reason']}"
        case "sealed":
            return "sealed by the organisation"
        case "party-signed":
            return f"signed by {field}"
        case "augmented":
            return "evidence and document timestamp added"
        case "verified":
            return f"verified: {entry.data['indication']}"
        case "receipt-rendered":
            return "receipt written"
        case "signed":
            return "receipt sealed; the agreement is signed"
        case "rejected":
            return f"refused: {entry.data['code']}"
        case _:
            return entry.type


# --- one agreement ----------------------------------------------------------------------------------------


def agreement(found: Agreement, entries: Sequence[Entry], parked: Sequence[Parked], *, as_json: bool) -> None:
    if as_json:
        _json(_agreement_json(found, entries, parked))
        return
    version = found.current
    click.echo(f"Agreement {found.id}")
    click.echo(f"  case      {found.case_system} {found.case_reference}")
    click.echo(f"  version   {version.number}, {version.status}")
    click.echo(f"  template  {version.template} {version.template_version} ({version.language})")
    click.echo("Parties")
    for party in sorted(version.parties, key=lambda p: (p.order, p.role)):
        when = f"{party.signed_at}" if party.signed_at else ""
        click.echo(f"  {party.order}  {party.role:12} {party.status:8} {when}".rstrip())
    click.echo("Log")
    before: datetime | None = None
    for entry in entries:
        at = datetime.fromisoformat(entry.at)
        took = f"{(at - before).total_seconds():6.2f} s" if before else ""
        before = at
        click.echo(f"  {entry.seq:3}  {entry.at}  {step_text(entry):{_STEP_WIDTH}} {took}".rstrip())
    for error in _errors(entries):
        click.echo(f"  {error['path']}: {error['message']}")
    for reason in parked:
        click.echo(f"Waiting at {reason.step} since {reason.since} ({reason.code}): {reason.message}")
        click.echo(f"  tried {reason.attempts} times, next {reason.retry_at}. {reason.remedy}".rstrip())
    if version.status is Status.SIGNED:
        click.echo("Documents")
        for name, key in _documents(found.id, version).items():
            click.echo(f"  {name:18} {key}")


def _agreement_json(found: Agreement, entries: Sequence[Entry], parked: Sequence[Parked]) -> dict[str, Any]:
    return {
        "id": found.id,
        "case": {"system": found.case_system, "reference": found.case_reference},
        "log": {"seq": found.head.seq, "sha256": found.head.sha256},
        "versions": [
            {
                "number": version.number,
                "status": version.status,
                "template": {"name": version.template, "version": version.template_version},
                "language": version.language,
                "parties": [
                    {"role": p.role, "order": p.order, "status": p.status, "signed_at": p.signed_at}
                    for p in version.parties
                ],
                "next": [p.role for p in version.open_parties() if p.status is PartyStatus.WAITING],
                "documents": _documents(found.id, version) if version.status is Status.SIGNED else {},
            }
            for version in found.versions
        ],
        "steps": [{"seq": e.seq, "at": e.at, "type": e.type, "field": e.data.get("field")} for e in entries],
        "errors": _errors(entries),
        "waiting": [vars(p) for p in parked],
    }


def _errors(entries: Sequence[Entry]) -> list[Mapping[str, str]]:
    return [error for entry in entries if entry.type == "rejected" for error in entry.data["errors"]]


def _documents(agreement_id: str, version: Version) -> dict[str, str]:
    blobs = {
        "signed": (version.document.sha256, "pdf"),
        "receipt": (version.receipt_sha256, "json"),
        "receipt-signature": (version.receipt_signature_sha256, "p7s"),
        "receipt-pdf": (version.receipt_pdf_sha256, "pdf"),
        "data": (version.input_sha256, "json"),
    }
    return {name: blob_key(agreement_id, sha256, ext) for name, (sha256, ext) in blobs.items() if sha256}


def swept(results: Sequence[Swept], *, as_json: bool) -> None:
    if as_json:
        _json(
            [
                {
                    "agreement_id": s.agreement_id,
                    "rest": s.outcome.rest if s.outcome else "nothing-to-drive",
                    "waiting": vars(s.outcome.parked) if s.outcome and s.outcome.parked else None,
                }
                for s in results
            ]
        )
        return
    for s in results:
        click.echo(f"{s.agreement_id}  {s.outcome.rest if s.outcome else 'nothing-to-drive'}")
        if s.outcome and s.outcome.parked:
            click.echo(f"  at {s.outcome.parked.step}: {s.outcome.parked.message} [{s.outcome.parked.code}]")
    click.echo(f"{len(results)} agreement(s) looked at.")


# --- verification -----------------------------------------------------------------------------------------


def verdict(report: ValidationReport, indication: str, faults: Sequence[str], *, as_json: bool) -> None:
    """The verdict; `faults` are what the comparison with the log found."""
    body = report.as_json()
    for signature in _dicts(body["signatures"]):
        # Our templates name a field after the role that signs it; a stranger's field has no role.
        signature["role"] = signature["field"] if signature["field"] in {SEAL, *ROLES} else None
    if as_json:
        _json({**body, "indication": indication, "log": list(faults)})
        return
    click.echo(indication)
    for s in _dicts(body["signatures"]):
        told = (s["indication"], s["sub_indication"], s["level"], s["time"])
        click.echo(f"  {s['field']:12} {' '.join(part for part in told if part)}")
        click.echo(f"  {'':12} {s['signer']}, issued by {s['issuer']}")
    for t in _dicts(body["document_timestamps"]):
        click.echo(f"  {'timestamp':12} {t['indication']} {t['time']} {t['authority']}")
    for change in _dicts(body["modifications"]):
        permitted = "permitted" if change["permitted"] else "NOT PERMITTED"
        click.echo(f"  changed after {change['after_field']}: {change['text']} ({permitted})")
    for fault in faults:
        click.echo(f"  log: {fault}")
    if body["explanation"]:
        click.echo(f"  {body['explanation']}")


def _dicts(value: object) -> list[dict[str, Any]]:
    assert isinstance(value, list)
    return value


# --- templates --------------------------------------------------------------------------------------------


def templates(found: Sequence[Manifest], *, as_json: bool) -> None:
    if as_json:
        _json(
            [
                {
                    "name": m.name,
                    "version": m.version,
                    "kind": m.kind,
                    "languages": list(m.languages),
                    "titles": dict(m.titles),
                }
                for m in found
            ]
        )
        return
    for m in found:
        click.echo(
            f"{m.name} {m.version}  {m.kind:9}  {', '.join(m.languages)}  {next(iter(m.titles.values()))}"
        )


def locked(published: Sequence[tuple[str, str]], *, as_json: bool) -> None:
    if as_json:
        _json([{"name": name, "version": version} for name, version in published])
        return
    for name, version in published:
        click.echo(f"published {name} {version}")
    if not published:
        click.echo("every version is published, and none has changed")


def findings(found: Mapping[str, Sequence[Finding]], *, as_json: bool) -> None:
    if as_json:
        _json({name: [f.as_json() for f in several] for name, several in found.items()})
        return
    for name, several in found.items():
        click.echo(f"{name}: {'no faults' if not several else f'{len(several)} fault(s)'}")
        for finding in several:
            click.echo(f"  {finding.where}: {finding.message} {finding.remedy} [{finding.code}]")


# --- errors -----------------------------------------------------------------------------------------------


def error(exc: SignertError | SigningError, *, as_json: bool) -> None:
    if as_json:
        body = exc.as_json() if isinstance(exc, SignertError) else {"code": exc.code, "message": exc.message}
        _json({"error": body})
        return
    stderr = sys.stderr
    print(f"Error: {exc.message} [{exc.code}]", file=stderr)
    if isinstance(exc, CommandRejected):
        for fault in exc.errors:
            print(f"  {fault.path}: {fault.message} [{fault.code}]", file=stderr)
    if exc.remedy:
        print(f"What to do: {exc.remedy}", file=stderr)
