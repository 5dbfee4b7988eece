"""Commands that find agreements and list their versions: find, versions, reindex."""

from __future__ import annotations

from datetime import date, datetime
from typing import TextIO

import click

from service.bootstrap import open_pseudonyms, open_store
from service.config import Settings
from service.domain.agreement import Status
from service.domain.identifiers import is_national_id
from service.domain.summary import Query
from service.entrypoints import output
from service.entrypoints.cli.shared import (
    EXIT_FAILED,
    LoadSettings,
    agreement_argument,
    as_json_option,
    read_agreement,
    settings_option,
)
from service.errors import ConfigurationError, SignertError

__all__ = ["COMMANDS"]

_STATUSES = [status.value for status in Status]
_DATE = click.DateTime(["%Y-%m-%d"])


@click.command()
@click.option("--case", metavar="SYSTEM/REFERENCE", help="The case that they belong to.")
@click.option("--case-system", metavar="SYSTEM", help="The case system that they came from.")
@click.option("--organisation", metavar="NUMBER", help="Organisation number of the employer or organiser.")
@click.option("--template", metavar="NAME", help="The template of the newest version.")
@click.option(
    "--status",
    type=click.Choice([status.value for status in Status]),
    help="Where the newest version stands.",
)
@click.option("--since", type=_DATE, help="Opened on that day (in Norway) or later.")
@click.option("--until", type=_DATE, help="Opened on that day or before.")
@click.option(
    "--person",
    "person",
    type=click.File("r"),
    help="File with the national identity number of participant, mentor or guardian; - asks for it.",
)
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True, help="At most so many.")
@click.option("--cursor", help="Go on from where an answer ended.")
@click.option("--all", "everything", is_flag=True, help="All there are, however many.")
@as_json_option
@settings_option
def find(
    load: LoadSettings,
    case: str | None,
    case_system: str | None,
    organisation: str | None,
    template: str | None,
    status: str | None,
    since: datetime | None,
    until: datetime | None,
    person: TextIO | None,
    limit: int,
    cursor: str | None,
    everything: bool,
    as_json: bool,
) -> None:
    """Find agreements, the newest first, by all that is given; with nothing given, all of them.

    Exits 0 also when none is found.
    """
    from service.pipeline.search import MAX_LIMIT, search

    reference = None
    if case is not None:
        named, slash, reference = case.partition("/")
        if not (named and slash and reference) or case_system not in {None, named}:
            raise click.UsageError("Give --case SYSTEM/REFERENCE, e.g. --case tiltak/2036-1234.")
        case_system = named
    if everything and cursor:
        raise click.UsageError("--all begins with the newest: give it without --cursor.")
    settings = load()
    query = Query(
        case_system=case_system,
        reference=reference,
        organisation=organisation,
        template=template,
        status=Status(status) if status else None,
        opened_from=_day(since),
        opened_to=_day(until),
        party=_pseudonym(settings, person) if person else None,
    )
    store = open_store(settings)
    page = search(store, query, cursor=cursor, limit=MAX_LIMIT if everything else limit)
    items = list(page.items)
    while page.cursor and (everything or len(items) < limit):
        page = search(store, query, cursor=page.cursor, limit=MAX_LIMIT if everything else limit - len(items))
        items += page.items
    output.found(items, page.cursor, as_json=as_json)


def _day(given: datetime | None) -> date | None:
    return given.date() if given else None


def _pseudonym(settings: Settings, file: TextIO) -> str:
    """The pseudonym of the person whose number is in the file. The number is in no error, and in no argument."""
    pseudonyms = open_pseudonyms(settings)
    if pseudonyms is None:
        raise ConfigurationError(
            "people are not found without the key of their pseudonyms",
            remedy="Set SIGNERT_PSEUDONYM_KEY_FILE as the workers have it.",
        )
    given: str = (
        click.prompt("National identity number", hide_input=True, err=True) if file.isatty() else file.read()
    )
    number = given.strip()
    if not is_national_id(number):
        raise SignertError(
            "what was given is no national identity number",
            code="invalid_national_id",
            remedy="Give eleven digits, without spaces; check the last two.",
        )
    return pseudonyms.of(number)


@click.command()
@agreement_argument
@as_json_option
@settings_option
def versions(load: LoadSettings, agreement_id: str, as_json: bool) -> None:
    """Every version of an agreement: where it stands, what kind of change it made, who has signed, its document.

    What exactly a version changed: `signert show ID --history`.
    """
    output.versions(read_agreement(load(), agreement_id), as_json=as_json)


@click.command()
@click.option("--dry-run", is_flag=True, help="Only tell what would be done.")
@as_json_option
@settings_option
def reindex(load: LoadSettings, dry_run: bool, as_json: bool) -> None:
    """Make the index anew from the logs, and take away what leads nowhere. Workers may run meanwhile.

    Safe to break off and to repeat. Exits 3 when logs could not be read; the rest is done all the same.
    """
    from service.pipeline.reindex import reindex as reindex_store

    settings = load()
    with output.reindexing() as observe:
        done = reindex_store(
            open_store(settings), open_pseudonyms(settings), dry_run=dry_run, observe=observe
        )
    output.reindexed(done, dry_run=dry_run, as_json=as_json)
    raise SystemExit(EXIT_FAILED if done.unreadable else 0)


COMMANDS = (find, versions, reindex)
