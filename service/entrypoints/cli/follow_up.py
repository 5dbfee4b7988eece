"""The command `follow-up`: what a signed agreement's plan has ahead, and what is done of it."""

from __future__ import annotations

import uuid
from datetime import datetime
from pathlib import Path

import click

from service.bootstrap import system_clock
from service.config import Settings
from service.domain.agreement import Agreement
from service.domain.periods import norwegian_date
from service.entrypoints import output
from service.entrypoints.cli.following import WAIT_SECONDS, follow_options
from service.entrypoints.cli.sending import send
from service.entrypoints.cli.shared import (
    LoadSettings,
    open_ledger,
    parse_agreement_id,
    read_agreement,
)
from service.pipeline.follow_up import planned_items
from service.pipeline.ledger import Ledger

__all__ = ["COMMANDS"]


@click.command("follow-up")
@click.option("--done", "item", metavar="ITEM", help="Record that the item of this id is done.")
@click.option("--on", "day", type=click.DateTime(["%Y-%m-%d"]), help="The day when it was done.")
@click.option("--note", help="What came of it, in words; kept with the command.")
@follow_options
def follow_up(
    load: LoadSettings,
    agreement_id: str,
    item: str | None,
    day: datetime | None,
    note: str | None,
    wait: bool,
    sign_with: Path | None,
    producer: str | None,
    as_json: bool,
) -> None:
    """List meetings, evaluations and NAV's commitments, or record one as done.

    What is listed is of the version in force; before there is one, of the version that is being signed.
    """
    if (item is None) != (day is None) or (note and item is None):
        raise click.UsageError("Give --done ITEM and --on DATE together; --note goes with them.")
    settings = load()
    agreement = read_agreement(settings, agreement_id)
    if item and day:
        payload = {
            "command_id": str(uuid.uuid4()),
            "agreement_id": parse_agreement_id(agreement_id),
            "item": item,
            "done_on": day.date().isoformat(),
            **({"note": note} if note else {}),
        }
        ended = send(
            settings, "follow-up-done", payload, seconds=WAIT_SECONDS if wait else None,
            sign_with=sign_with, producer=producer, as_json=as_json,
        )  # fmt: skip
        if ended is None:
            return
        agreement = ended
    _show(settings, agreement, as_json=as_json)


def _show(settings: Settings, agreement: Agreement, *, as_json: bool) -> None:
    ledger = open_ledger(settings)
    version = agreement.in_force or agreement.current
    items = planned_items(ledger, agreement, version)
    today = norwegian_date(system_clock().now())
    notes = _notes(ledger, agreement)
    output.follow_up(agreement, version, items, notes, today, as_json=as_json)


def _notes(ledger: Ledger, agreement: Agreement) -> dict[str, str]:
    """What was written of the items that are done, by item: it stands with the commands, not in the log."""
    sent = {
        item: ledger.get_json(agreement.id, done.values_sha256)
        for item, done in agreement.done.items()
        if done.values_sha256
    }
    return {item: values["note"] for item, values in sent.items() if "note" in values}


COMMANDS = (follow_up,)
