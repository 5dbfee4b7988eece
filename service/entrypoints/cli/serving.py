"""Commands of the HTTP service: serve, access-log."""

from __future__ import annotations

from datetime import datetime

import click

from service.bootstrap import needed_pseudonyms, open_store, system_clock, trace_ids
from service.entrypoints import output
from service.entrypoints.cli.shared import LoadSettings, as_json_option, parse_agreement_id, settings_option
from service.errors import ConfigurationError
from service.pipeline.access_log import REFUSED, SEARCHES, AccessLog

__all__ = ["COMMANDS"]


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(1, 65535))
@click.option(
    "--workers",
    default=2,
    show_default=True,
    type=click.IntRange(1, 64),
    help="Processes, of 16 threads each.",
)
@click.option(
    "--loglevel", default="INFO", show_default=True, type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"])
)
@as_json_option
@settings_option
def serve(load: LoadSettings, host: str, port: int, workers: int, loglevel: str, as_json: bool) -> None:
    """Serve agreements over HTTP to archivists, parties, case systems and operators, until stopped.

    Put a proxy with TLS before it, and say so with SIGNERT_HTTP_PROXIES. docs/http.md has all of it.
    """
    settings = load()
    try:
        from service.entrypoints.http.server import serve as run
    except ImportError as exc:
        raise ConfigurationError(
            "the HTTP service is not installed", remedy="pip install 'signert[http]'"
        ) from exc
    output.start_log(loglevel, as_json=as_json or settings.log_format == "json", trace_ids=trace_ids)
    run(settings, host=host, port=port, workers=workers)


@click.command("access-log")
@click.argument("agreement_id", metavar="[ID]", required=False)
@click.option(
    "--refused", is_flag=True, help="Instead, what was asked for by somebody who may not, or is not there."
)
@click.option("--searches", is_flag=True, help="Instead, lists and searches.")
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="From this day (UTC) on.")
@as_json_option
@settings_option
def access_log(
    load: LoadSettings,
    agreement_id: str | None,
    refused: bool,
    searches: bool,
    since: datetime | None,
    as_json: bool,
) -> None:
    """Who has read what of the agreement ID over HTTP, and when. Readers are shown by role and pseudonym."""
    if sum((agreement_id is not None, refused, searches)) != 1:
        raise click.UsageError("Give either an agreement's ID, --refused or --searches.")
    settings = load()
    place = parse_agreement_id(agreement_id) if agreement_id else REFUSED if refused else SEARCHES
    log = AccessLog(open_store(settings), system_clock(), needed_pseudonyms(settings))
    output.access_log(log.read(place, since=since.date() if since else None), as_json=as_json)


COMMANDS = (serve, access_log)
