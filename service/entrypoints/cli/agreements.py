"""Commands about one agreement: submit, run, show, fetch, verify."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from service.bootstrap import event_file, open_catalogue, open_services
from service.domain.agreement import SEAL, Agreement, Status, Version
from service.domain.paper import EXTENSIONS
from service.domain.presentation import ROLES
from service.entrypoints import output
from service.entrypoints.cli.sending import send, sender_options
from service.entrypoints.cli.shared import (
    LoadSettings,
    OneProcess,
    agreement_argument,
    as_json_option,
    open_ledger,
    read_agreement,
    read_json,
    refuse_erased,
    settings_option,
    show_agreement,
    write,
)
from service.errors import CommandRejected, FieldError, NotFound, SignertError
from service.pipeline.history import history
from service.pipeline.ledger import blob_key

if TYPE_CHECKING:
    pass

__all__ = ["COMMANDS"]

_EXIT_OF = {"TOTAL-PASSED": 0, "TOTAL-FAILED": 1, "INDETERMINATE": 2}


@click.command()
@click.argument("file", type=click.File("rb"))
@click.option("--wait", is_flag=True, help="Follow the agreement until it is signed or refused.")
@click.option("--timeout", default=300, show_default=True, help="Seconds to wait.")
@click.option("--command-id", type=click.UUID, help="Id of this command; the same id again is answered once.")
@sender_options
@as_json_option
@settings_option
def submit(
    load: LoadSettings,
    file: Any,
    wait: bool,
    timeout: int,
    command_id: uuid.UUID | None,
    sign_with: Path | None,
    producer: str | None,
    as_json: bool,
) -> None:
    """Send the agreement in FILE (JSON; - for standard input) to the queue."""
    settings = load()
    payload = {"command_id": str(command_id or uuid.uuid4()), "agreement": read_json(file)}
    ended = send(
        settings, "submit", payload, seconds=timeout if wait else None, steps=True,
        sign_with=sign_with, producer=producer, as_json=as_json,
    )  # fmt: skip
    if ended is None:
        return
    _refuse_rejected(ended)
    show_agreement(settings, ended, as_json=as_json)


@click.command()
@click.argument("file", type=click.File("rb"))
@as_json_option
@settings_option
def run(load: LoadSettings, file: Any, as_json: bool) -> None:
    """Do all of it in this process, with no broker: FILE in, signed agreement out.

    Events are written to events.jsonl in SIGNERT_HOME.
    """
    from service.pipeline.drive import Rest
    from service.pipeline.intake import receive
    from service.pipeline.quarantine import reject

    settings = load()
    payload = {"command_id": str(uuid.uuid4()), "agreement": read_json(file)}
    process = OneProcess()
    with open_services(settings, publisher=event_file(settings), hand_over=process) as services:
        with output.progress() as progress:
            try:
                marker = receive(services, "submit", payload)
            except CommandRejected as exc:
                reject(services, "submit", payload, exc)
                raise
            for entry in services.ledger.read(marker.agreement_id):
                progress.entry(entry)
            outcome = process.drive_all(services, marker, progress.entry)
        if outcome.rest is Rest.PARKED and outcome.parked:
            raise SignertError(
                f"agreement {outcome.agreement.id} waits at {outcome.parked.step}: {outcome.parked.message}",
                code=outcome.parked.code,
                remedy=f"{outcome.parked.remedy} Then go on with `signert sweep --all`.".strip(),
            )
        _refuse_rejected(outcome.agreement)
        show_agreement(settings, outcome.agreement, as_json=as_json)


def _refuse_rejected(agreement: Agreement) -> None:
    """Raise `CommandRejected` when data and template could not become a document."""
    if agreement.current.status is Status.REJECTED:
        said = agreement.head.data
        faults = [FieldError(**error) for error in said["errors"]]
        raise CommandRejected(f"agreement {agreement.id} was refused", faults, code=said["code"])


@click.command()
@agreement_argument
@click.option("--history", "in_words", is_flag=True, help="Instead, every version: what it changed, and why.")
@as_json_option
@settings_option
def show(load: LoadSettings, agreement_id: str, in_words: bool, as_json: bool) -> None:
    """Where an agreement stands: parties, steps with their times, documents, and why it waits."""
    settings = load()
    agreement = read_agreement(settings, agreement_id)
    if in_words:
        chapters = history(open_ledger(settings), open_catalogue(settings), agreement)
        output.history(agreement, chapters, as_json=as_json)
        return
    show_agreement(settings, agreement, as_json=as_json)


def _sealed(version: Version) -> str | None:
    return next((r.sha256 for r in version.revisions if r.field == SEAL), None)


_WHATS: dict[str, tuple[Callable[[Version], str | None], str]] = {
    "signed": (lambda v: v.document.sha256 if v.status is Status.SIGNED else None, "pdf"),
    "copy": (_sealed, "pdf"),
    "document": (lambda v: v.revisions[0].sha256 if v.revisions else None, "pdf"),
    "courtesy": (lambda v: v.courtesy_sha256, "pdf"),
    "screened": (lambda v: v.screened_sha256, "pdf"),
    "receipt": (lambda v: v.receipt_sha256 if v.status is Status.SIGNED else None, "json"),
    "receipt-signature": (lambda v: v.receipt_signature_sha256, "p7s"),
    "receipt-pdf": (lambda v: v.receipt_pdf_sha256, "pdf"),
    "data": (lambda v: v.input_sha256, "json"),
    "report": (lambda v: v.report_sha256, "json"),
    "renewal-receipt": (lambda v: v.renewals[-1].receipt_sha256 if v.renewals else None, "json"),
    "renewal-receipt-signature": (
        lambda v: v.renewals[-1].receipt_signature_sha256 if v.renewals else None,
        "p7s",
    ),
    "to-sign": (lambda v: v.prepared.to_sign_sha256 if v.prepared else None, "bin"),
}


@click.command()
@agreement_argument
@click.option("--version", "number", type=click.IntRange(min=1), help="Version; the newest when not given.")
@click.option("--what", type=click.Choice([*_WHATS, "scan"]), default="signed", show_default=True)
@click.option(
    "--renewal",
    type=click.IntRange(min=1),
    help="With --what renewal-receipt: which one; the newest when not given.",
)
@click.option("--role", type=click.Choice(ROLES), help="With --what scan: the party that signed on paper.")
@click.option(
    "-o",
    "--output",
    "target",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write.",
)
@click.option(
    "--link",
    "minutes",
    type=click.IntRange(1, 60 * 24 * 7),
    help="Instead of writing a file, print an address at which anybody can read it for so many MINUTES (S3 only).",
)
@as_json_option
@settings_option
def fetch(
    load: LoadSettings,
    agreement_id: str,
    number: int | None,
    what: str,
    renewal: int | None,
    role: str | None,
    target: Path | None,
    minutes: int | None,
    as_json: bool,
) -> None:
    """Write one of an agreement's documents to a file, or print a link to it.

    signed: the signed PDF. copy: the sealed PDF with no party's signature, to print and sign by hand. scan: of a copy
    that was signed by hand. document: the PDF before the seal. courtesy: the translation to read beside it. screened:
    of a protected participant, the PDF without what tells who it is. receipt: receipt.json; a detached signature is
    written beside it as .p7s. receipt-signature: that signature alone. receipt-pdf: the receipt for people.
    renewal-receipt: that of the newest renewal, with its signature; renewal-receipt-signature: that alone. data: what
    was sent in. report: the validation report. to-sign: the bytes that a party is to sign outside now, of which its
    signing service makes a CMS or a bare signature value.
    """
    if (target is None) == (minutes is None):
        raise click.UsageError("Give either --output FILE or --link MINUTES.")
    settings = load()
    agreement = read_agreement(settings, agreement_id)
    refuse_erased(agreement)
    version = agreement.version(number or len(agreement.versions))
    if version is None:
        raise NotFound(f"agreement {agreement_id} has no version {number}", remedy="See `signert show`.")
    if (role is not None) != (what == "scan"):
        raise click.UsageError("--role goes with --what scan, and that needs it.")
    if renewal is not None:
        if not what.startswith("renewal-"):
            raise click.UsageError("--renewal goes with --what renewal-receipt.")
        version = replace(version, renewals=version.renewals[:renewal][renewal - 1 :])
    sha256, extension = _scan(version, str(role)) if what == "scan" else _found(version, what)
    note = _NOT_SIGNED if what == "copy" else ""
    if sha256 is None:
        raise NotFound(
            f"version {version.number} of agreement {agreement_id} has no '{what}' yet: it is {version.status}",
            remedy="Say that the party signs with `signert sign`."
            if what == "to-sign"
            else "Half-signed documents are not handed out as signed. See `signert show`.",
        )
    ledger = open_ledger(settings)
    if target is None:
        name = f"{agreement.id}-{version.number}-{_FILE_NAMES.get(what, what)}.{extension}"
        place = blob_key(agreement.id, sha256, extension)
        address = ledger.store.link(place, seconds=60 * (minutes or 0), filename=name)
        if address is None:
            raise SignertError(
                "this store gives no links", code="no_links", remedy="Use --output, or a store in S3."
            )
        output.link(address, sha256, note=note, as_json=as_json)
        return
    written = [write(target, ledger.get_blob(agreement.id, sha256, extension))]
    seal, _ = _found(version, f"{what}-signature") if what in _SEALED else (None, "")
    if seal:
        signature = ledger.get_blob(agreement.id, seal, "p7s")
        written.append(write(target.with_name(target.name + ".p7s"), signature))
    output.wrote(written, sha256, note=note, as_json=as_json)


_SEALED = frozenset({"receipt", "renewal-receipt"})
"""What is written with its detached signature beside it."""
_FILE_NAMES = {"copy": "copy-not-signed"}
_NOT_SIGNED = (
    "This copy is NOT SIGNED BY ALL: it has the organisation's seal and no party's signature. "
    "It is for printing and signing by hand."
)


def _found(version: Version, what: str) -> tuple[str | None, str]:
    find, extension = _WHATS[what]
    return find(version), extension


def _scan(version: Version, role: str) -> tuple[str | None, str]:
    papers = {party.role: paper for party, paper in version.papers}
    paper = papers.get(role)
    return (paper.scan_sha256, EXTENSIONS[paper.media_type]) if paper else (None, "")


COMMANDS = (submit, run, show, fetch)
