"""The command `signert`.

Exit codes: 0 done; `verify` 0, 1 and 2 for TOTAL-PASSED, TOTAL-FAILED and INDETERMINATE; 3 refused or failed, with
the reason; 64 for a wrong call.
"""

from __future__ import annotations

import json
import logging
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard, TypeVar, cast

import click

from service.bootstrap import (
    check_template,
    event_file,
    open_broker,
    open_catalogue,
    open_services,
    open_store,
    open_trust,
    system_clock,
)
from service.config import Settings, load_settings
from service.domain.agreement import Agreement, Status, Version, fold
from service.entrypoints import output
from service.errors import CommandRejected, FieldError, NotFound, SignertError
from service.pipeline.ledger import Ledger
from service.pipeline.work import Workbook

if TYPE_CHECKING:
    from signing import SigningError, TrustStore, ValidationReport

EXIT_FAILED, EXIT_USAGE = 3, 64
_EXIT_OF = {"TOTAL-PASSED": 0, "TOTAL-FAILED": 1, "INDETERMINATE": 2}

_F = TypeVar("_F", bound=Callable[..., Any])
as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output.")
agreement_argument = click.argument("agreement_id", metavar="ID")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="signert")
@click.pass_context
def cli(context: click.Context) -> None:
    """Agreement data in, signed and archived PDF with a sealed receipt out.

    Settings come from the environment (SIGNERT_HOME, SIGNERT_STORE, SIGNERT_BROKER …); see README.md.
    """
    logging.getLogger().addHandler(logging.NullHandler())  # the worker logs; the other commands answer
    context.obj = load_settings


def settings_option(command: _F) -> _F:
    """Hand the command the settings' loader, so that `--help` works with wrong ones."""
    return cast(_F, click.pass_obj(command))


@cli.command()
@click.argument("file", type=click.File("rb"))
@click.option("--wait", is_flag=True, help="Follow the agreement until it is signed or refused.")
@click.option("--timeout", default=300, show_default=True, help="Seconds to wait.")
@click.option("--command-id", type=click.UUID, help="Id of this command; the same id again is answered once.")
@as_json_option
@settings_option
def submit(
    load: Callable[[], Settings],
    file: Any,
    wait: bool,
    timeout: int,
    command_id: uuid.UUID | None,
    as_json: bool,
) -> None:
    """Send the agreement in FILE (JSON; - for standard input) to the queue."""
    from service.entrypoints.tasks import make_app, send_command
    from service.pipeline.follow import Rejection, follow

    settings = load()
    payload = {"command_id": str(command_id or uuid.uuid4()), "agreement": _read_json(file)}
    with open_broker(settings) as broker_url:
        send_command(make_app(broker_url, settings), "submit", payload)
        if not wait:
            output.sent(payload["command_id"], as_json=as_json)
            return
        ledger = _ledger(settings)
        with output.progress() as progress:
            ended = follow(
                ledger, _workbook(ledger), "submit", payload,
                seconds=timeout, observe=progress.entry, parked=progress.parked,
            )  # fmt: skip
    if isinstance(ended, Rejection):
        raise CommandRejected(ended.message, ended.errors, code=ended.code)
    if ended is None:
        raise SignertError(
            f"nothing ended within {timeout} s; command {payload['command_id']} is kept and goes on",
            code="timeout", remedy="Is a worker running (`signert worker`)? Look again with `signert show ID`.",
        )  # fmt: skip
    _refuse_rejected(ended)
    _show(settings, ended, as_json=as_json)


@cli.command()
@click.argument("file", type=click.File("rb"))
@as_json_option
@settings_option
def run(load: Callable[[], Settings], file: Any, as_json: bool) -> None:
    """Do all of it in this process, with no broker: FILE in, signed agreement out.

    Events are written to events.jsonl in SIGNERT_HOME.
    """
    from service.pipeline.drive import Rest, drive
    from service.pipeline.intake import receive
    from service.pipeline.quarantine import reject

    settings = load()
    payload = {"command_id": str(uuid.uuid4()), "agreement": _read_json(file)}
    with open_services(settings, publisher=event_file(settings), hand_over=_no_other_worker) as services:
        with output.progress() as progress:
            try:
                marker = receive(services, "submit", payload)
            except CommandRejected as exc:
                reject(services, "submit", payload, exc)
                raise
            for entry in services.ledger.read(marker.agreement_id):
                progress.entry(entry)
            outcome = drive(services, marker, observe=progress.entry)
        if outcome.rest is Rest.PARKED and outcome.parked:
            raise SignertError(
                f"agreement {outcome.agreement.id} waits at {outcome.parked.step}: {outcome.parked.message}",
                code=outcome.parked.code,
                remedy=f"{outcome.parked.remedy} Then go on with `signert sweep --all`.".strip(),
            )
        _refuse_rejected(outcome.agreement)
        _show(settings, outcome.agreement, as_json=as_json)


def _refuse_rejected(agreement: Agreement) -> None:
    """Raise `CommandRejected` when data and template could not become a document."""
    if agreement.current.status is Status.REJECTED:
        said = agreement.head.data
        faults = [FieldError(**error) for error in said["errors"]]
        raise CommandRejected(f"agreement {agreement.id} was refused", faults, code=said["code"])


def _no_other_worker(capability: object, _agreement_id: str, _run: str) -> None:
    raise SignertError(
        f"the next step needs the capability '{capability}'",
        code="capability_missing",
        remedy="Set SIGNERT_CAPABILITIES=render,sign, or use `signert submit` and workers.",
    )


@cli.command()
@click.option(
    "--loglevel", default="INFO", show_default=True, type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"])
)
@as_json_option
@settings_option
def worker(load: Callable[[], Settings], loglevel: str, as_json: bool) -> None:
    """Take commands off the queue and bring agreements to rest, until stopped.

    The log goes to standard error; with --json as JSON objects, one a line (but for Celery's farewell).
    """
    from service.entrypoints.tasks import make_app, run_worker

    settings = load()
    output.start_log(loglevel, as_json=as_json)
    with open_broker(settings) as broker_url:
        run_worker(make_app(broker_url, settings), settings, loglevel=loglevel)


@cli.command()
@click.option("--all", "everything", is_flag=True, help="Also those that are not due yet.")
@as_json_option
@settings_option
def sweep(load: Callable[[], Settings], everything: bool, as_json: bool) -> None:
    """Bring every agreement on that is not at rest, in this process; workers do it every half minute too."""
    from service.pipeline.sweep import sweep as sweep_store

    settings = load()
    with open_services(settings, publisher=event_file(settings), hand_over=_no_other_worker) as services:
        output.swept(list(sweep_store(services, everything=everything)), as_json=as_json)


@cli.command()
@agreement_argument
@as_json_option
@settings_option
def show(load: Callable[[], Settings], agreement_id: str, as_json: bool) -> None:
    """Where an agreement stands: parties, steps with their times, documents, and why it waits."""
    settings = load()
    _show(settings, _agreement(settings, agreement_id), as_json=as_json)


_WHATS: dict[str, tuple[Callable[[Version], str | None], str]] = {
    "signed": (lambda v: v.document.sha256 if v.status is Status.SIGNED else None, "pdf"),
    "document": (lambda v: v.revisions[0].sha256 if v.revisions else None, "pdf"),
    "receipt": (lambda v: v.receipt_sha256 if v.status is Status.SIGNED else None, "json"),
    "receipt-signature": (lambda v: v.receipt_signature_sha256, "p7s"),
    "receipt-pdf": (lambda v: v.receipt_pdf_sha256, "pdf"),
    "data": (lambda v: v.input_sha256, "json"),
    "report": (lambda v: v.report_sha256, "json"),
}


@cli.command()
@agreement_argument
@click.option("--version", "number", type=click.IntRange(min=1), help="Version; the newest when not given.")
@click.option("--what", type=click.Choice(list(_WHATS)), default="signed", show_default=True)
@click.option(
    "-o",
    "--output",
    "target",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="File to write.",
)
@as_json_option
@settings_option
def fetch(
    load: Callable[[], Settings],
    agreement_id: str,
    number: int | None,
    what: str,
    target: Path,
    as_json: bool,
) -> None:
    """Write one of an agreement's documents to a file.

    signed: the signed PDF. document: the PDF before signing. receipt: receipt.json; a detached signature is written
    beside it as .p7s. receipt-signature: that signature alone. receipt-pdf: the receipt for people. data: what was
    sent in. report: the validation report.
    """
    settings = load()
    agreement = _agreement(settings, agreement_id)
    version = agreement.version(number or len(agreement.versions))
    if version is None:
        raise NotFound(f"agreement {agreement_id} has no version {number}", remedy="See `signert show`.")
    find, extension = _WHATS[what]
    sha256 = find(version)
    if sha256 is None:
        raise NotFound(
            f"version {version.number} of agreement {agreement_id} has no '{what}' yet: it is {version.status}",
            remedy="Half-signed documents are not handed out as signed. See `signert show`.",
        )
    ledger = _ledger(settings)
    written = [_write(target, ledger.get_blob(agreement.id, sha256, extension))]
    if what == "receipt" and version.receipt_signature_sha256:
        signature = ledger.get_blob(agreement.id, version.receipt_signature_sha256, "p7s")
        written.append(_write(target.with_name(target.name + ".p7s"), signature))
    output.wrote(written, sha256, as_json=as_json)


@cli.command()
@click.argument("target", metavar="PATH|ID")
@click.option(
    "--trust",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="Trust anchors (PEM); may be given more than once.",
)
@as_json_option
@settings_option
def verify(load: Callable[[], Settings], target: str, trust: tuple[Path, ...], as_json: bool) -> None:
    """Validate the signatures of a PDF, or of a signed agreement, which is also compared with its log.

    Exits 0 for TOTAL-PASSED, 1 for TOTAL-FAILED and 2 for INDETERMINATE.
    """
    from signing import TrustStore, validate

    settings = load()
    anchors = TrustStore.from_pem(*trust) if trust else open_trust(settings)
    faults: list[str] = []
    if Path(target).exists():
        report = validate(Path(target), anchors)
    else:
        report, faults = _verify_agreement(settings, target, anchors)
    indication = "TOTAL-FAILED" if faults and report.indication == "TOTAL-PASSED" else report.indication
    output.verdict(report, indication, faults, as_json=as_json)
    raise SystemExit(_EXIT_OF[indication])


def _verify_agreement(
    settings: Settings, agreement_id: str, anchors: TrustStore
) -> tuple[ValidationReport, list[str]]:
    from service.pipeline.archive import check_against_log
    from signing import validate

    agreement = _agreement(settings, agreement_id)
    version = agreement.current
    if version.status is not Status.SIGNED:
        raise NotFound(
            f"agreement {agreement_id} is not signed yet: it is {version.status}",
            remedy="See `signert show`.",
        )
    document = _ledger(settings).get_blob(agreement.id, version.document.sha256, "pdf")
    report = validate(document, anchors)
    return report, check_against_log(version, document, report)


@cli.group()
def templates() -> None:
    """The templates at hand."""


@templates.command("list")
@as_json_option
@settings_option
def templates_list(load: Callable[[], Settings], as_json: bool) -> None:
    """Names, versions, languages and hashes."""
    output.templates(open_catalogue(load()).list(), as_json=as_json)


@templates.command("check")
@click.argument("name", required=False)
@click.argument("version", required=False)
@as_json_option
@settings_option
def templates_check(
    load: Callable[[], Settings], name: str | None, version: str | None, as_json: bool
) -> None:
    """Look for faults in one template, or in all: hashes, syntax, variables, signature places, unsafe content."""
    catalogue = open_catalogue(load())
    asked = [
        (m.name, m.version)
        for m in catalogue.list()
        if name in {None, m.name} and version in {None, m.version}
    ]
    if not asked:
        raise NotFound(
            f"there is no template {name} {version or ''}".strip(), remedy="See `signert templates list`."
        )
    findings = {f"{n} {v}": check_template(catalogue, n, v) for n, v in asked}
    output.findings(findings, as_json=as_json)
    raise SystemExit(EXIT_FAILED if any(findings.values()) else 0)


@templates.command("lock")
@as_json_option
@settings_option
def templates_lock(load: Callable[[], Settings], as_json: bool) -> None:
    """Publish every version that is not published yet: its hashes are fixed, and it never changes again."""
    output.locked(open_catalogue(load()).lock(), as_json=as_json)


def _ledger(settings: Settings) -> Ledger:
    return Ledger(open_store(settings), system_clock())


def _workbook(ledger: Ledger) -> Workbook:
    return Workbook(ledger.store, system_clock())


def _agreement(settings: Settings, agreement_id: str) -> Agreement:
    try:
        agreement_id = str(uuid.UUID(agreement_id))
    except ValueError:
        raise NotFound(
            f"'{agreement_id}' is neither a file nor an agreement's id",
            remedy="An id is a UUID; see `signert submit --wait`.",
        ) from None
    return fold(_ledger(settings).read(agreement_id))


def _show(settings: Settings, agreement: Agreement, *, as_json: bool) -> None:
    ledger = _ledger(settings)
    markers = _workbook(ledger).of(agreement.id)
    output.agreement(
        agreement, ledger.read(agreement.id), [m.parked for m in markers if m.parked], as_json=as_json
    )


def _read_json(file: Any) -> Any:
    try:
        return json.load(file)
    except (ValueError, RecursionError) as exc:
        place = f" (line {exc.lineno}, column {exc.colno})" if isinstance(exc, json.JSONDecodeError) else ""
        raise SignertError(
            f"{file.name} is not JSON{place}",
            code="not_json",
            remedy="See examples/agreement.json for the shape.",
        ) from exc


def _write(path: Path, body: bytes) -> Path:
    try:
        path.write_bytes(body)
    except OSError as exc:
        raise SignertError(
            f"{path} cannot be written: {exc.strerror}", code="output", remedy="Name another file."
        ) from exc
    return path


def main() -> None:
    """Run the command; every error of ours becomes its text, its way out, and exit code 3."""
    as_json = "--json" in sys.argv
    try:
        cli(standalone_mode=False)
    except click.exceptions.Exit as exc:
        raise SystemExit(exc.exit_code) from None
    except click.UsageError as exc:
        exc.show()
        raise SystemExit(EXIT_USAGE) from None
    except (click.Abort, KeyboardInterrupt):
        raise SystemExit(130) from None
    except Exception as exc:
        if not _is_ours(exc):
            raise
        output.error(exc, as_json=as_json)
        raise SystemExit(EXIT_FAILED) from None


def _is_ours(exc: Exception) -> TypeGuard[SignertError | SigningError]:
    """Whether a package of ours raised this on purpose; `signing` is not loaded for a command that needs it not."""
    signing = sys.modules.get("signing")
    return isinstance(exc, SignertError) or (signing is not None and isinstance(exc, signing.SigningError))


if __name__ == "__main__":
    main()
