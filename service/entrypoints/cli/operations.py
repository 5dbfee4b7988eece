"""Commands for those who run the service: worker, sweep."""

from __future__ import annotations

import click

from service.bootstrap import open_broker
from service.entrypoints import output
from service.entrypoints.cli.shared import LoadSettings, as_json_option, settings_option

__all__ = ["COMMANDS"]


@click.command()
@click.option(
    "--loglevel", default="INFO", show_default=True, type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"])
)
@as_json_option
@settings_option
def worker(load: LoadSettings, loglevel: str, as_json: bool) -> None:
    """Take commands off the queue and bring agreements to rest, until stopped.

    The log goes to standard error; with --json as JSON objects, one a line (but for Celery's farewell).
    """
    from service.entrypoints.tasks import make_app, run_worker

    settings = load()
    output.start_log(loglevel, as_json=as_json)
    with open_broker(settings) as broker:
        run_worker(make_app(broker, settings), settings, loglevel=loglevel)


@click.command()
@click.option("--all", "everything", is_flag=True, help="Also those that are not due yet.")
@as_json_option
@settings_option
def sweep(load: LoadSettings, everything: bool, as_json: bool) -> None:
    """Bring every agreement on that is not at rest, in this process, and publish events that may not have been.

    Workers do the same every half minute, with what is due.
    """
    from service.entrypoints.tasks import make_app, open_connected_services
    from service.pipeline.sweep import sweep as sweep_store

    settings = load()
    with (
        open_broker(settings) as broker,
        open_connected_services(settings, make_app(broker, settings)) as services,
    ):
        output.swept(list(sweep_store(services, everything=everything)), as_json=as_json)


COMMANDS = (worker, sweep)
