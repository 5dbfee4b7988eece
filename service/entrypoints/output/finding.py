"""What is said of agreements that were found, of their versions, and of the index made anew."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from service.domain.agreement import Agreement, Version
from service.domain.summary import Summary
from service.entrypoints.output.text import print_json

if TYPE_CHECKING:
    from service.pipeline.reindex import Reindexed

__all__ = ["found", "reindexed", "reindexing", "versions"]


def found(items: Sequence[Summary], cursor: str | None, *, as_json: bool) -> None:
    if as_json:
        print_json({"agreements": [asdict(item) for item in items], "cursor": cursor})
        return
    for item in items:
        case = f"{item.case_system}/{item.reference}"
        number = f"v{item.versions}"
        template = f"{item.template} {item.template_version}"
        click.echo(
            f"{item.agreement_id}  {item.opened_at[:10]}  {item.status:9}  {number:4}  {case}  {template}"
        )
    if not items:
        click.echo(
            "No agreement was found. Dates are of the day an agreement came in; see `signert find --help`."
        )
    if cursor:
        click.echo(f"There may be more: --cursor {cursor}, or --all.", err=True)


def versions(agreement: Agreement, *, as_json: bool) -> None:
    rows = [_version(agreement, version) for version in agreement.versions]
    if as_json:
        print_json({"id": agreement.id, "versions": rows})
        return
    click.echo(f"Agreement {agreement.id}")
    for row in rows:
        notes = [row["status"]]
        if row["supersedes"]:
            notes.append(f"changes version {row['supersedes']}")
        if row["in_force"]:
            notes.append("in force")
        click.echo(f"Version {row['version']}: {', '.join(notes)}")
        if row["change"]:
            click.echo(f"  change      {', '.join(row['change'])}")
        click.echo(f"  opened      {row['opened_at']}")
        if row["signed_at"]:
            click.echo(f"  signed      {row['signed_at']}")
        click.echo(
            f"  template    {row['template']['name']} {row['template']['version']} ({row['language']})"
        )
        for signature in row["signatures"]:
            by = f" by {signature['by']}" if signature["by"] else ""
            click.echo(f"  {signature['role']:11} {signature['status']}{by} {signature['at'] or ''}".rstrip())
        if row["document_sha256"]:
            click.echo(f"  document    {row['document_sha256']}")


def _version(agreement: Agreement, version: Version) -> dict[str, Any]:
    return {
        "version": version.number,
        "status": version.status,
        "in_force": agreement.in_force is version,
        "supersedes": version.supersedes,
        "change": list(version.change),
        "opened_at": version.opened_at,
        "signed_at": version.signed_at,
        "template": {"name": version.template, "version": version.template_version},
        "language": version.language,
        "signatures": [
            {
                "role": party.role,
                "status": party.status,
                "by": party.signed_by,
                "at": party.signed_at or (party.paper.attached_at if party.paper else None),
            }
            for party in sorted(version.parties, key=lambda p: (p.order, p.role))
        ],
        "document_sha256": version.document.sha256 if version.revisions else None,
    }


@contextlib.contextmanager
def reindexing() -> Iterator[Callable[[Reindexed], None]]:
    """Tells on a terminal how far it has come."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status("Reading the logs") as status:
        yield lambda done: status.update(f"{done.agreements} agreements, {done.entries} entries of the index")


def reindexed(done: Reindexed, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        print_json({"dry_run": dry_run, **asdict(done)})
        return
    would = "would be " if dry_run else ""
    click.echo(f"{done.agreements} agreements read, {done.entered} of them {would}entered anew.")
    click.echo(f"{done.entries} entries of the index looked at, {done.removed} of them {would}removed.")
    for agreement_id in done.unreadable:
        click.echo(f"The log of {agreement_id} cannot be read. See `signert fsck {agreement_id}`.", err=True)
