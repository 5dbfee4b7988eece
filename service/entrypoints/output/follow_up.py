"""What is said of an agreement's follow-up: each item in words, and how far it has come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import click

from service.domain.agreement import Agreement, Version
from service.domain.due import Telling
from service.domain.follow_up import FollowUpKind, Item, Planned
from service.entrypoints.output.text import print_json

__all__ = ["follow_up"]


def follow_up(
    found: Agreement,
    version: Version,
    items: Sequence[tuple[Planned, Item]],
    notes: Mapping[str, str],
    today: date,
    *,
    as_json: bool,
) -> None:
    """`notes` are by item, of those that are done."""
    rows = [_row(found, version, plan, item, notes, today) for plan, item in items]
    if as_json:
        print_json({"id": found.id, "version": version.number, "status": version.status, "items": rows})
        return
    click.echo(f"Agreement {found.id}, version {version.number}, {version.status}")
    if not rows:
        click.echo("  No meetings, evaluations or commitments with a date.")
    for row in rows:
        click.echo(f"  {row['date']}  {row['kind']:10}  {row['state']}")
        for text in (row["text"], row["note"]):
            for line in (text or "").splitlines():
                click.echo(f"              {line}")
        click.echo(f"              {row['id']}")


def _row(
    found: Agreement, version: Version, plan: Planned, item: Item, notes: Mapping[str, str], today: date
) -> dict[str, Any]:
    return {
        **item.as_json(),
        "state": _state(found, version, item, today),
        "text": plan.words,
        "told": [str(what) for what in Telling if (item.id, what) in found.told],
        "done_on": found.done[item.id].on if item.id in found.done else None,
        "note": notes.get(item.id),
    }


def _state(found: Agreement, version: Version, item: Item, today: date) -> str:
    if done := found.done.get(item.id):
        return f"done on {done.on}"
    if found.in_force is not version:
        return "planned, when the agreement is signed"
    days = (date.fromisoformat(item.date) - today).days
    if days < 0:
        late = f"{_days(-days)} late" if item.kind is FollowUpKind.COMMITMENT else f"{_days(-days)} ago"
        return f"{late}, not recorded as done"
    when = f"in {_days(days)}" if days else "today"
    return f"{when}, told" if (item.id, Telling.DUE) in found.told else when


def _days(number: int) -> str:
    return f"{number} day" if number == 1 else f"{number} days"
