"""Commands about an agreement that is signed: amend, terminate, diff."""

from __future__ import annotations

from typing import Any

import click

from service.bootstrap import open_catalogue
from service.domain.moves import amendable
from service.entrypoints import output
from service.entrypoints.cli.following import follow_options, send_about
from service.entrypoints.cli.shared import (
    LoadSettings,
    agreement_argument,
    as_json_option,
    open_ledger,
    read_agreement,
    read_json,
    settings_option,
)
from service.pipeline.history import compare

__all__ = ["COMMANDS"]

_FILE_REMEDY = "See examples/story and docs/integration.md."


@click.command()
@follow_options
@click.argument("file", type=click.File("rb"))
def amend(load: LoadSettings, agreement_id: str, file: Any, **sending: Any) -> None:
    """Change a signed agreement by what FILE says (JSON; - for standard input).

    FILE has change (the types), reason, patch (JSON Merge Patch: only what changes), and where needed asked_by,
    template_version and signing. The version in force holds until the new one is signed.
    """
    _send(load, "amend", agreement_id, file, sending)


@click.command()
@follow_options
@click.argument("file", type=click.File("rb"))
def terminate(load: LoadSettings, agreement_id: str, file: Any, **sending: Any) -> None:
    """End a signed agreement by what FILE says (JSON; - for standard input): reason, date, explanation."""
    _send(load, "terminate", agreement_id, file, sending)


def _send(load: LoadSettings, name: str, agreement_id: str, file: Any, sending: dict[str, Any]) -> None:
    fields = read_json(file, remedy=_FILE_REMEDY)
    base = amendable(read_agreement(load(), agreement_id), number=None)
    send_about(load, name, agreement_id, fields, version=base.number, **sending)


@click.command()
@agreement_argument
@click.argument("before", type=click.IntRange(min=1))
@click.argument("after", type=click.IntRange(min=1))
@as_json_option
@settings_option
def diff(load: LoadSettings, agreement_id: str, before: int, after: int, as_json: bool) -> None:
    """What is different between two versions, field by field, in the agreement's own language."""
    settings = load()
    agreement = read_agreement(settings, agreement_id)
    changes = compare(open_ledger(settings), open_catalogue(settings), agreement, before, after)
    language = agreement.versions[max(before, after) - 1].language
    output.changes(changes, language=language, as_json=as_json)


COMMANDS = (amend, terminate, diff)
