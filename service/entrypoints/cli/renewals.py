"""The command `renew`: when signed agreements are to be renewed, and renew what is due."""

from __future__ import annotations

import click

from service.bootstrap import open_broker
from service.entrypoints import output
from service.entrypoints.cli.shared import (
    EXIT_FAILED,
    LoadSettings,
    as_json_option,
    parse_agreement_id,
    settings_option,
)

__all__ = ["COMMANDS"]


@click.command()
@click.argument("given", metavar="[ID]…", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All agreements, by the present policy and anchors.")
@click.option("--due", is_flag=True, help="Those that are due by what their logs say.")
@click.option("--now", "asked", is_flag=True, help="Renew the agreements of these IDs, whether due or not.")
@click.option("--dry-run", is_flag=True, help="Only say what is due, and when the others will be.")
@as_json_option
@settings_option
def renew(
    load: LoadSettings,
    given: tuple[str, ...],
    everything: bool,
    due: bool,
    asked: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Put a new document timestamp over what soon proves no longer: certificates and algorithms end.

    Workers do so by themselves when the time comes. This is for after a change: of SIGNERT_ALGORITHMS, of
    SIGNERT_RENEW_BEFORE_DAYS, or from a release that did not renew. Each agreement is validated in full first, and
    one that does not verify is never renewed. May be broken off and repeated.

    Exits 0 when all went well, and 3 when an agreement could not be renewed.
    """
    from service.entrypoints.application import make_app, open_connected_services
    from service.pipeline import renewals

    if bool(given) + everything + due != 1:
        raise click.UsageError("Give IDs, --all or --due.")
    if asked and (not given or dry_run):
        raise click.UsageError("--now goes with IDs, and not with --dry-run.")
    settings = load()
    ids = [parse_agreement_id(one) for one in given]
    with (
        open_broker(settings) as broker,
        open_connected_services(settings, make_app(broker, settings)) as services,
        output.renewing() as observe,
    ):
        wanted = ids or observe(renewals.agreement_ids(services.store))
        if due:
            known = renewals.look_at(services, wanted, anew=False)
            wanted = [found.agreement_id for found in known if found.is_due or found.code]
        looked = (
            renewals.look_at(services, wanted, anew=True)
            if dry_run
            else renewals.renew(services, wanted, asked=asked)
        )
        failed = output.renewals(looked, dry_run=dry_run, as_json=as_json)
    raise SystemExit(EXIT_FAILED if failed else 0)


COMMANDS = (renew,)
