"""Commands for those who run the service: worker, sweep, fsck, recover, doctor."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import click

from service.bootstrap import open_broker, open_store, open_trust, system_clock, trace_ids
from service.config import PRODUCTION, Settings
from service.entrypoints import output
from service.entrypoints.cli.shared import (
    EXIT_FAILED,
    LoadSettings,
    as_json_option,
    parse_agreement_id,
    settings_option,
    trust_option,
)

__all__ = ["COMMANDS"]

CHECKS = ("broker", "store", "templates", "fonts", "office", "anchors", "keys", "timestamps")


@click.command()
@click.option(
    "--loglevel", default="INFO", show_default=True, type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"])
)
@click.option(
    "--sweep",
    "sweeping",
    type=click.Choice(["also", "only", "no"]),
    default="also",
    show_default=True,
    help="Whether it also looks for what waits or was left behind; one worker of an installation must.",
)
@as_json_option
@settings_option
def worker(load: LoadSettings, loglevel: str, sweeping: str, as_json: bool) -> None:
    """Take commands off the queue and bring agreements to rest, until stopped.

    With --sweep only it does no step itself, and needs neither LibreOffice nor keys.

    The log goes to standard error; with --json or SIGNERT_LOG_FORMAT=json as JSON objects, one a line.
    """
    from service.entrypoints.application import make_app
    from service.entrypoints.worker import Sweeping, run_worker

    settings = load()
    output.start_log(loglevel, as_json=as_json or settings.log_format == "json", trace_ids=trace_ids)
    with open_broker(settings) as broker:
        run_worker(make_app(broker, settings), settings, loglevel=loglevel, sweeping=Sweeping(sweeping))


@click.command()
@click.option("--all", "everything", is_flag=True, help="Also those that are not due yet.")
@as_json_option
@settings_option
def sweep(load: LoadSettings, everything: bool, as_json: bool) -> None:
    """Bring every agreement on that is not at rest, in this process, and publish events that may not have been.

    Workers do the same every half minute, with what is due.
    """
    from service.entrypoints.application import make_app, open_connected_services
    from service.pipeline.sweep import sweep as sweep_store

    settings = load()
    with (
        open_broker(settings) as broker,
        open_connected_services(settings, make_app(broker, settings)) as services,
    ):
        output.swept(list(sweep_store(services, everything=everything)), as_json=as_json)


@click.command()
@click.argument("agreement_ids", metavar="[ID]…", nargs=-1)
@click.option("--no-signatures", is_flag=True, help="Compare hashes only; a good deal faster.")
@trust_option
@as_json_option
@settings_option
def fsck(
    load: LoadSettings,
    agreement_ids: tuple[str, ...],
    no_signatures: bool,
    trust: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Re-verify a whole store, or the agreements of these IDs. Nothing is changed.

    Every log's chain, every blob's hash, every revision as the beginning of the next, every signature of documents and
    receipts, receipts against the log; and that no command is lost, no agreement left behind, none missing from the
    index. Workers may run meanwhile.

    Exits 0 when the store is sound (there may be notes), and 3 when there are errors.
    """
    from service.pipeline.fsck import StoreCheck

    settings = load()
    anchors = None
    if not no_signatures:
        anchors = open_trust(settings, trust)
    wanted = [parse_agreement_id(given) for given in agreement_ids]
    with output.checking() as observe:
        check = StoreCheck(open_store(settings), trust=anchors, observe=observe)
        errors = output.checked(check.run(wanted), check.counts, as_json=as_json)
    raise SystemExit(EXIT_FAILED if errors else 0)


@click.command()
@click.option("--dry-run", is_flag=True, help="Only tell what would be taken up.")
@as_json_option
@settings_option
def recover(load: LoadSettings, dry_run: bool, as_json: bool) -> None:
    """After a restore: have workers take up every agreement that is not at rest or has a deadline, and every command.

    A copy of a store that was made while workers wrote may lack the markers and deadlines by which they find them. Of
    agreements that are not at rest all events are published again, with the ids they had. Workers may run meanwhile.

    Safe to break off and to repeat. Exits 3 when logs could not be read; the rest is done all the same.
    """
    from service.pipeline.recover import recover as recover_store

    settings = load()
    with output.recovering() as observe:
        done = recover_store(open_store(settings), system_clock(), dry_run=dry_run, observe=observe)
    output.recovered(done, dry_run=dry_run, as_json=as_json)
    raise SystemExit(EXIT_FAILED if done.unreadable else 0)


@click.command()
@click.option(
    "--only", multiple=True, type=click.Choice(CHECKS), help="Only this check; may be given more than once."
)
@as_json_option
@settings_option
def doctor(load: LoadSettings, only: tuple[str, ...], as_json: bool) -> None:
    """Check that everything an agreement needs is there and works here: say what is wrong, and how to mend it.

    Settings, broker, store, templates; LibreOffice and fonts where this process renders; trust anchors, keys and their
    certificates, time-stamping authorities and the clock where it signs. Nothing is kept of what it writes.

    Exits 0 when all is well (there may be warnings), and 3 when something is wrong.
    """
    from service.bootstrap import open_checkup
    from service.entrypoints.application import check_broker
    from service.pipeline.doctor import Check, Said, State, examine

    loaded: list[Settings] = []

    def configuration() -> Iterator[Said]:
        settings = load()
        loaded.append(settings)
        yield Said("SIGNERT_ENV", settings.env)
        if settings.env != PRODUCTION and settings.development_pki:
            yield Said(
                "keys", "those of development, which prove nothing", State.WARNING,
                "Set SIGNERT_ENV=production, and name the real ones.",
            )  # fmt: skip

    with output.examination(as_json=as_json) as tell:
        errors = tell(examine([("configuration", configuration)]))
        for settings in loaded:
            with open_checkup(settings) as checks:
                every: list[tuple[str, Check]] = [("broker", partial(check_broker, settings)), *checks]
                errors += tell(examine((name, check) for name, check in every if not only or name in only))
    raise SystemExit(EXIT_FAILED if errors else 0)


COMMANDS = (worker, sweep, fsck, recover, doctor)
