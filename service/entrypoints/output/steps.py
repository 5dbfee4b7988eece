"""Steps of an agreement in words, and the progress of one that is under way."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

import click

from service.domain.log import Entry
from service.entrypoints.output.text import STEP_WIDTH
from service.pipeline.work import Parked

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["Steps", "progress", "step_text"]


_TEXTS = {
    "submitted": "taken in and validated",
    "amended": "change taken in as version {version}",
    "declaration-requested": "{role} is to sign a declaration first",
    "declared": "{role} has signed its declaration",
    "declaration-withdrawn": "declaration of {role} taken back",
    "reported": "the agreement it is for was told",
    "rendered": "rendered as PDF/A with signature fields",
    "signature-requested": "asked to sign: {asked}",
    "signature-approved": "{role} signs now",
    "signature-prepared": "signature of {field} prepared",
    "signature-received": "signature of {field} came back",
    "signature-discarded": "prepared signature of {field} discarded: {reason}",
    "sealed": "sealed by the organisation",
    "party-signed": "signed by {field}",
    "paper-attached": "signed on paper by {on_paper}",
    "reminded": "reminded: a {what} left",
    "declined": "declined by {role}: {reason}",
    "cancelled": "cancelled: {reason}",
    "expired": "expired",
    "augmented": "evidence and document timestamp added",
    "verified": "verified: {indication}",
    "receipt-rendered": "receipt written",
    "signed": "receipt sealed; the agreement is signed",
    "copy-delivered": "copy of {role} by {channel}: {outcome}",
    "rejected": "refused: {code}",
    "follow-up-told": "told as {what}: {item}",
    "follow-up-done": "done on {done_on}: {item}",
}


def step_text(entry: Entry) -> str:
    """An entry of the log in words."""
    asked = ", ".join(r["role"] for r in entry.data.get("requests", ()))
    on_paper = ", ".join(entry.data.get("roles", ()))
    if entry.data.get("replaces"):
        on_paper += " (scan replaced)"
    said = {**entry.data, "asked": asked, "on_paper": on_paper, "version": entry.version}
    return _TEXTS.get(entry.type, entry.type).format_map(said)


class Steps:
    """One line a step, with the time since the step before it."""

    def __init__(self, bar: Progress | None) -> None:
        self._bar = bar
        self._task = bar.add_task("Taking the command in", total=None) if bar else None
        self._before: datetime | None = None

    def entry(self, entry: Entry) -> None:
        at = datetime.fromisoformat(entry.at)
        took = f"{(at - self._before).total_seconds():6.2f} s" if self._before else " " * 8
        self._before = at
        self._print(f"  {step_text(entry):{STEP_WIDTH}} {took}")
        if self._bar and self._task is not None:
            if entry.type == "submitted":
                # Prepare and sign for the seal and each party; render, augment, verify, receipt, its seal.
                total = 2 * (len(entry.data["parties"]) + 1) + 6
                self._bar.update(self._task, total=total)
            self._bar.update(self._task, advance=1, description=step_text(entry))

    def parked(self, parked: Parked) -> None:
        self._print(f"  Waiting at {parked.step}: {parked.message} Next try {parked.retry_at}.")

    def _print(self, text: str) -> None:
        if self._bar:
            self._bar.console.print(text, highlight=False, markup=False)
        else:
            click.echo(text, err=True)


@contextlib.contextmanager
def progress() -> Iterator[Steps]:
    """Tells of each step as it is done, on standard error: with a bar on a terminal, as plain lines elsewhere."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
    )

    console = Console(stderr=True)
    if not console.is_terminal:
        yield Steps(None)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        yield Steps(bar)
