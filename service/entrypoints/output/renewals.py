"""What is said of renewals: of a whole store, and of one version."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click

from service.domain.agreement import Version
from service.entrypoints.output.text import print_json

if TYPE_CHECKING:
    from service.pipeline.renewals import Looked, VersionState

__all__ = ["renewal_json", "renewal_lines", "renewals", "renewing"]


@contextlib.contextmanager
def renewing() -> Iterator[Callable[[Iterable[str]], Iterator[str]]]:
    """Tells on a terminal how far it has come."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield iter
        return
    with console.status("Reading the store") as status:

        def counted(ids: Iterable[str]) -> Iterator[str]:
            for number, agreement_id in enumerate(ids, 1):
                status.update(f"Agreement {number}: {agreement_id}")
                yield agreement_id

        yield counted


def renewals(looked: Iterable[Looked], *, dry_run: bool, as_json: bool) -> int:
    """Print each as it comes, then the counts; returns how many could not be looked at or renewed."""
    kept: list[dict[str, Any]] = []
    agreements = done = due = failed = 0
    for found in looked:
        agreements += 1
        done += sum(v.renewed for v in found.versions)
        due += sum(v.due for v in found.versions)
        failed += found.code is not None
        if as_json:
            kept.append(_looked_json(found))
        else:
            _print(found, dry_run=dry_run)
    counts = {"agreements": agreements, "renewed": done, "due": due, "failed": failed}
    if as_json:
        print_json({"counts": counts, "agreements": kept})
    elif dry_run:
        click.echo(f"{agreements} looked at, {due} versions due, {failed} with faults.")
    else:
        click.echo(f"{agreements} looked at, {done} versions renewed, {failed} with faults.")
    return failed


def _print(found: Looked, *, dry_run: bool) -> None:
    for version in found.versions:
        if version.renewed or version.due or dry_run:
            click.echo(f"{found.agreement_id}  version {version.number}  {_state(version)}")
    if found.code:
        click.echo(f"{found.agreement_id}  [{found.code}] {found.message}")
        if found.remedy:
            click.echo(f"  What to do: {found.remedy}")


def _state(version: VersionState) -> str:
    said = "renewed; next" if version.renewed else "due since" if version.due else "to be renewed by"
    schedule = version.schedule
    return f"{said} {schedule.renew_by[:10]} ({schedule.reason})" if schedule else "not known yet"


def _looked_json(found: Looked) -> dict[str, Any]:
    return {
        "id": found.agreement_id,
        "versions": [
            {
                "number": v.number,
                "due": v.due,
                "renewed": v.renewed,
                "renewal": v.schedule.as_data() if v.schedule else None,
            }
            for v in found.versions
        ],
        "error": {"code": found.code, "message": found.message, "remedy": found.remedy}
        if found.code
        else None,
    }


def renewal_lines(version: Version) -> Iterator[str]:
    """The renewals of a signed version, and when the next one is due."""
    for renewal in version.renewals:
        yield f"{renewal.at}  {renewal.reason}, timestamp over {renewal.digest}"
    if version.schedule:
        yield f"next by {version.schedule.renew_by[:10]}: {version.schedule.reason} ends {version.schedule.ends[:10]}"


def renewal_json(version: Version) -> dict[str, Any]:
    return {
        "renewals": [
            {
                "at": r.at,
                "reason": r.reason,
                "digest": r.digest,
                "document_sha256": r.document_sha256,
                "receipt_sha256": r.receipt_sha256,
            }
            for r in version.renewals
        ],
        "renewal": version.schedule.as_data() if version.schedule else None,
    }
