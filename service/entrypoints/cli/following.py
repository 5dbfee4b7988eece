"""Commands about an agreement that is there: what they all take, how they are sent, and what is shown after."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from service.domain.agreement import Agreement
from service.entrypoints.cli.sending import send, sender_options
from service.entrypoints.cli.shared import (
    LoadSettings,
    agreement_argument,
    as_json_option,
    open_ledger,
    parse_agreement_id,
    read_agreement,
    settings_option,
    show_agreement,
)
from service.errors import SignertError
from service.pipeline.ledger import Ledger

__all__ = ["WAIT_SECONDS", "follow_options", "send_about"]

_F = TypeVar("_F", bound=Callable[..., Any])
WAIT_SECONDS = 120


def follow_options(command: _F) -> _F:
    """What each of these commands takes: the agreement, how it is sent, and whether its effect is awaited."""
    wait = click.option("--wait/--no-wait", default=True, help="Wait until it is taken in.  [default: wait]")
    wrapped = settings_option(as_json_option(sender_options(wait(command))))
    return agreement_argument(wrapped)


def send_about(
    load: LoadSettings,
    name: str,
    agreement_id: str,
    fields: Mapping[str, Any],
    *,
    version: int | None = None,
    before_show: Callable[[Ledger, Agreement], None] | None = None,
    wait: bool,
    sign_with: Path | None,
    producer: str | None,
    as_json: bool,
) -> Agreement | None:
    """The agreement after the command about `version` (the current one when None); None when that is not awaited.

    `before_show` is called with what came of it, before anything is printed.

    Raises `CommandRejected`, and `SignertError` with the reason when a signature could not be used.
    """
    settings = load()
    agreement = read_agreement(settings, agreement_id)
    payload = {
        "command_id": str(uuid.uuid4()),
        "agreement_id": parse_agreement_id(agreement_id),
        "version": version or agreement.current.number,
        **fields,
    }
    ended = send(
        settings, name, payload, seconds=WAIT_SECONDS if wait else None,
        sign_with=sign_with, producer=producer, as_json=as_json,
    )  # fmt: skip
    if ended is not None:
        _refuse_discarded(open_ledger(settings), ended, payload["command_id"])
        if before_show:
            before_show(open_ledger(settings), ended)
        show_agreement(settings, ended, as_json=as_json)
    return ended


def _refuse_discarded(ledger: Ledger, agreement: Agreement, command_id: object) -> None:
    """Raise what a party was told when the command was taken in, but its signature could not be used."""
    entries = ledger.read(agreement.id)
    taken_in = next(e.seq for e in entries if e.data.get("command_id") == command_id)
    for entry in entries[taken_in + 1 :]:  # that a person did not approve is what the command itself says
        for told in entry.occurrences:
            if told.type == "agreement.signature-refused":
                remedy = "The party can sign again."
                raise SignertError(told.data["message"], code=told.data["code"], remedy=remedy)
