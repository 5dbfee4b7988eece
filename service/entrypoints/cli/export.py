"""Commands for archivists: export to archive packages, and import of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import click

from service.bootstrap import (
    open_catalogue,
    open_packages,
    open_pseudonyms,
    open_store,
    package_writer,
    system_clock,
)
from service.domain.periods import OSLO
from service.entrypoints import output
from service.entrypoints.cli.shared import (
    EXIT_FAILED,
    LoadSettings,
    as_json_option,
    open_ledger,
    open_workbook,
    parse_agreement_id,
    settings_option,
)

__all__ = ["COMMANDS"]


class _Moment(click.ParamType[datetime]):
    """A day (midnight in Norway) or a time with its offset, as an aware datetime in UTC."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            self.fail("must be a day (2026-11-22) or a time (2026-11-22T09:00:00+01:00)", param, ctx)
        return (found if found.tzinfo else found.replace(tzinfo=OSLO)).astimezone(UTC)


def _case(_ctx: click.Context, _param: click.Parameter, value: str | None) -> tuple[str, str] | None:
    if value is None:
        return None
    system, slash, reference = value.partition("/")
    if not (system and slash and reference):
        raise click.BadParameter("must be SYSTEM/REFERENCE, as in tiltak/2036-88412")
    return system, reference


@click.command()
@click.argument("agreement_ids", metavar="[ID]…", nargs=-1)
@click.option("--case", callback=_case, metavar="SYSTEM/REFERENCE", help="All agreements of this case.")
@click.option("--since", type=_Moment(), metavar="DATE", help="Only those that have changed from then on.")
@click.option("--until", type=_Moment(), metavar="DATE", help="Only those whose last change was before.")
@click.option("--all", "everything", is_flag=True, help="Every agreement in the store.")
@click.option(
    "-o", "--output", "folder", required=True, type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR", help="Where packages go; made when it is not there.",
)  # fmt: skip
@click.option("--tar", is_flag=True, help="A tar file for each package, instead of a folder.")
@click.option("--creator", nargs=2, metavar="ID NAME", help="The archive's creator (arkivskaper) in Noark 5.")
@as_json_option
@settings_option
def export(
    load: LoadSettings,
    agreement_ids: tuple[str, ...],
    case: tuple[str, str] | None,
    since: datetime | None,
    until: datetime | None,
    everything: bool,
    folder: Path,
    tar: bool,
    creator: tuple[str, str] | None,
    as_json: bool,
) -> None:
    """Write agreements to archive packages in DIR: E-ARK SIP with METS, PREMIS and Noark 5, one an agreement.

    Interrupted, the same command goes on where it was: packages that are there, whole, and still up to date stay as
    they are. They hold personal data; their names do not. Exits 3 when an agreement could not be exported.
    """
    from service.pipeline.export import Selection, select
    from service.pipeline.export import export as export_all

    chosen = sum(map(bool, (agreement_ids, case, since or until, everything)))
    if not chosen:
        raise click.UsageError("Name agreements by ID, --case, --since or --until; or --all.")
    if agreement_ids and chosen > 1:
        raise click.UsageError("Give IDs, or say which agreements by options; not both.")
    settings = load()
    ledger = open_ledger(settings)
    wanted = Selection(tuple(map(parse_agreement_id, agreement_ids)), case, since, until)
    with package_writer(folder, tar=tar, creator=creator) as writer:
        ids = list(select(ledger, wanted))
        results = export_all(ledger, open_catalogue(settings), writer, ids)
        failed = output.exported(results, len(ids), folder, as_json=as_json)
    raise SystemExit(EXIT_FAILED if failed else 0)


@click.command(name="import")
@click.argument("paths", metavar="PATH…", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--check", is_flag=True, help="Check the packages only; take nothing in.")
@as_json_option
@settings_option
def import_(load: LoadSettings, paths: tuple[Path, ...], check: bool, as_json: bool) -> None:
    """Take archive packages into the store: a package's folder or tar file, or a folder of packages.

    Every checksum and the log's chain are checked before anything is written. A package that was altered is refused,
    and so is an agreement that the store has otherwise. What is there already, the same, stays as it is.
    Exits 3 when a package was refused; the others are taken in.
    """
    from service.pipeline.importing import check_package, import_package
    from service.pipeline.ledger import Ledger

    if check:
        failed = output.imported(open_packages(paths), check_package, as_json=as_json)
    else:
        settings = load()
        retention = timedelta(days=settings.retention_days) if settings.retention_days else None
        ledger = Ledger(open_store(settings), system_clock(), retention)
        take_in = partial(import_package, ledger, open_workbook(ledger), open_pseudonyms(settings))
        failed = output.imported(open_packages(paths), take_in, as_json=as_json)
    raise SystemExit(EXIT_FAILED if failed else 0)


COMMANDS = (export, import_)
