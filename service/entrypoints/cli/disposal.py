"""Commands for the archivist: what may be erased, and its erasure (kassasjon)."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from service.bootstrap import open_broker, system_clock
from service.domain.periods import norwegian_date
from service.entrypoints import output
from service.entrypoints.cli.shared import (
    EXIT_FAILED,
    LoadSettings,
    agreement_argument,
    as_json_option,
    open_ledger,
    parse_agreement_id,
    read_json,
    settings_option,
    write,
)
from service.errors import SignertError

if TYPE_CHECKING:
    from service.config import Settings

__all__ = ["COMMANDS"]

LIST_FORMAT = "signert-disposal/1"

approver_option = click.option(
    "--approver",
    required=True,
    metavar="IDENT",
    help="Who approves: it stands in the sealed record of each erasure.",
)


@click.group()
def disposal() -> None:
    """What may be erased: its retention is over, or it was never signed. An archivist approves."""


@disposal.command("list")
@click.option("--on", "day", type=click.DateTime(["%Y-%m-%d"]), help="As of this day; today when not given.")
@click.option(
    "-o", "--output", "target", type=click.Path(dir_okay=False, path_type=Path), help="File to write it to."
)
@as_json_option
@settings_option
def disposal_list(load: LoadSettings, day: datetime | None, target: Path | None, as_json: bool) -> None:
    """List what may be erased. Written to a file, it is what `disposal approve` takes: remove what is to be kept."""
    from service.pipeline.erase import disposable

    settings = load()
    on = day.date() if day else norwegian_date(system_clock().now())
    found = list(disposable(open_ledger(settings), settings.unsigned_days, on))
    if target is not None:
        write(target, output.disposal_file(LIST_FORMAT, on.isoformat(), found))
    output.disposal_list(found, target, as_json=as_json)


@disposal.command("approve")
@click.argument("file", type=click.File("rb"))
@approver_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json_option
@settings_option
def disposal_approve(load: LoadSettings, file: Any, approver: str, yes: bool, as_json: bool) -> None:
    """Erase the agreements on the list in FILE. One that has changed since the list was made is left alone.

    Exits 3 when one was not erased; the others are.
    """
    settings = load()
    wanted = _read_list(file)
    if not yes:
        click.confirm(f"Erase {len(wanted)} agreements for good?", abort=True, err=True)
    raise SystemExit(_erase(settings, wanted, approver, as_json=as_json))


@click.command()
@agreement_argument
@approver_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json_option
@settings_option
def erase(load: LoadSettings, agreement_id: str, approver: str, yes: bool, as_json: bool) -> None:
    """Erase the content of one agreement for good; its log stays, and a sealed record of what was erased.

    Refused while archive duty holds, or while the store keeps a part of it under a lock.
    """
    settings = load()
    wanted: list[tuple[str, str | None]] = [(parse_agreement_id(agreement_id), None)]
    if not yes:
        click.confirm(f"Erase the content of agreement {wanted[0][0]} for good?", abort=True, err=True)
    raise SystemExit(_erase(settings, wanted, approver, as_json=as_json))


def _read_list(file: Any) -> list[tuple[str, str | None]]:
    """Ids with the ends of their logs."""
    remedy = "Use a file that `signert disposal list -o FILE` wrote."
    listed = read_json(file, remedy=remedy)
    try:
        if listed["format"] != LIST_FORMAT:
            raise ValueError(listed["format"])
        date.fromisoformat(listed["on"])
        return [
            (parse_agreement_id(each["agreement_id"]), str(each["head"])) for each in listed["agreements"]
        ]
    except (KeyError, TypeError, ValueError) as exc:
        raise SignertError(f"{file.name} is not a disposal list", code="not_a_list", remedy=remedy) from exc


def _erase(settings: Settings, wanted: list[tuple[str, str | None]], approver: str, *, as_json: bool) -> int:
    """Erase them all, each on its own; returns the exit code."""
    from service.entrypoints.application import make_app, open_connected_services
    from service.pipeline.drive import drive
    from service.pipeline.erase import order_erasure

    results: list[output.Erased] = []
    with (
        open_broker(settings) as broker,
        open_connected_services(settings, make_app(broker, settings)) as services,
    ):
        for agreement_id, head in wanted:
            try:
                marker = order_erasure(services, agreement_id, approved_by=approver, head=head)
            except SignertError as exc:
                results.append(output.Erased(agreement_id, None, exc))
                continue
            outcome = drive(services, marker)
            results.append(output.Erased(agreement_id, outcome, None))
    output.erased(results, as_json=as_json)
    return EXIT_FAILED if any(each.refused for each in results) else 0


COMMANDS = (disposal, erase)
