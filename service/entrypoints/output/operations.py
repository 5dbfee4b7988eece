"""What is said of a whole store: what a sweep did, and what a check found."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from service.entrypoints.output.text import print_json

if TYPE_CHECKING:
    from service.pipeline.fsck import Counts, Finding
    from service.pipeline.recover import Recovered
    from service.pipeline.sweep import Swept

__all__ = ["checked", "checking", "recovered", "recovering", "swept"]


def swept(results: Sequence[Swept], *, as_json: bool) -> None:
    if as_json:
        print_json(
            [
                {
                    "what": s.what,
                    "id": s.id,
                    "rest": s.outcome.rest if s.outcome else None,
                    "code": s.code,
                    "waiting": vars(s.outcome.parked) if s.outcome and s.outcome.parked else None,
                }
                for s in results
            ]
        )
        return
    for s in results:
        click.echo(f"{s.id}  {s.outcome.rest if s.outcome else s.what}{f' [{s.code}]' if s.code else ''}")
        if s.outcome and s.outcome.parked:
            click.echo(f"  at {s.outcome.parked.step}: {s.outcome.parked.message} [{s.outcome.parked.code}]")
    click.echo(f"{len(results)} looked at.")


@contextlib.contextmanager
def checking() -> Iterator[Callable[[Counts], None]]:
    """Tells on a terminal how far a check has come."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status("Reading the store") as status:
        yield lambda counts: status.update(f"{counts.agreements} agreements, {_size(counts.bytes)} checked")


def checked(found: Iterable[Finding], counts: Counts, *, as_json: bool) -> int:
    """Print findings as they come, then the counts; returns the number of errors."""
    kept = []
    errors = notes = 0
    for finding in found:
        if finding.severity == "error":
            errors += 1
        else:
            notes += 1
        if as_json:
            kept.append(finding.as_json())
        else:
            click.echo(f"{finding.severity.upper():5} {finding.code}  {finding.where}")
            click.echo(f"      {finding.message}")
            click.echo(f"      What to do: {finding.remedy}")
    if as_json:
        print_json({"sound": not errors, "counts": counts.as_json(), "findings": kept})
        return errors
    for line in _counted(counts):
        click.echo(line)
    told = "The store is sound" if not errors else f"The store has {_number(errors, 'error')}"
    click.echo(f"{told}, with {_number(notes, 'note')}." if notes else f"{told}.")
    return errors


def _counted(counts: Counts) -> Iterator[str]:
    statuses = ", ".join(f"{n} {status}" for status, n in sorted(counts.statuses.items()))
    yield f"{_number(counts.agreements, 'agreement')}{f': {statuses}' if statuses else ''}"
    yield (
        f"{_number(counts.versions, 'version')}, {_number(counts.entries, 'log entry', 'log entries')}, "
        f"{_number(counts.blobs, 'blob')}, {_number(counts.revisions, 'revision')}, {_size(counts.bytes)} read"
    )
    yield (
        f"{_number(counts.signatures, 'signature')} and "
        f"{_number(counts.document_timestamps, 'document timestamp')} verified"
    )
    yield f"{_number(counts.commands, 'command')}, {_number(counts.quarantined, 'message')} in quarantine"


def _number(number: int, name: str, several: str = "") -> str:
    return f"{number} {name if number == 1 else several or f'{name}s'}"


def _size(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"


@contextlib.contextmanager
def recovering() -> Iterator[Callable[[Recovered], None]]:
    """Tells on a terminal how far it has come."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status("Reading the logs") as status:
        yield lambda done: status.update(f"{done.agreements} agreements, {done.commands} commands")


def recovered(done: Recovered, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        print_json({"dry_run": dry_run, **asdict(done)})
        return
    would = "would be " if dry_run else ""
    click.echo(f"{done.agreements} agreements read, {len(done.marked)} of them {would}taken up.")
    click.echo(f"{done.commands} commands looked at, {len(done.taken_up)} of them {would}taken in.")
    for agreement_id in done.unreadable:
        click.echo(f"The log of {agreement_id} cannot be read. See `signert fsck {agreement_id}`.", err=True)
