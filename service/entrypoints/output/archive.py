"""What is said of archive packages: what was exported, and what was taken in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from service.entrypoints.output.text import print_json
from service.errors import SignertError

if TYPE_CHECKING:
    from service.pipeline.export import Exported
    from service.pipeline.importing import ArchivePackage, Imported

__all__ = ["exported", "imported"]


def exported(results: Iterable[Exported], total: int, folder: Path, *, as_json: bool) -> int:
    """Tell of each package on standard error as it is done, then what became of all; returns how many failed."""
    done: list[Exported] = []
    for result in results:
        done.append(result)
        said = f"[{len(done)}/{total}] {result.agreement_id} {result.state}"
        click.echo(f"{said}, {_size(result.bytes)}" if result.files else said, err=True)
        if result.error:
            _tell(result.error)
    counts = {state: sum(r.state == state for r in done) for state in ("written", "unchanged", "failed")}
    if as_json:
        print_json(
            {
                "folder": str(folder),
                **counts,
                "files": sum(r.files for r in done),
                "bytes": sum(r.bytes for r in done),
                "packages": [
                    {"agreement_id": r.agreement_id, "state": r.state, "files": r.files, "bytes": r.bytes}
                    | ({"error": r.error.as_json()} if r.error else {})
                    for r in done
                ],
            }
        )
    else:
        size = _size(sum(r.bytes for r in done))
        click.echo(f"{counts['written']} written ({size}), {counts['unchanged']} unchanged, "
                   f"{counts['failed']} failed. Packages are in {folder}.")  # fmt: skip
    return counts["failed"]


def imported(
    packages: Sequence[tuple[Path, Callable[[], ArchivePackage]]],
    take: Callable[[ArchivePackage], Imported],
    *,
    as_json: bool,
) -> int:
    """Take each package, telling what becomes of it; returns how many were refused."""
    told: list[dict[str, Any]] = []
    refused = 0
    for number, (path, opened) in enumerate(packages, start=1):
        said = f"[{number}/{len(packages)}] {path.name}"
        try:
            package = opened()
            result = take(package)
        except SignertError as exc:
            if exc.retryable:
                raise
            refused += 1
            click.echo(f"{said} refused", err=True)
            _tell(exc)
            told.append({"package": str(path), "outcome": "refused", "error": exc.as_json()})
            continue
        click.echo(f"{said} {result.outcome}, {result.entries} log entries, {result.blobs} blobs", err=True)
        told.append(
            {
                "package": str(path),
                "agreement_id": result.agreement_id,
                "outcome": result.outcome,
                "versions": result.versions,
                "entries": result.entries,
                "blobs": result.blobs,
                "added": result.added,
            }
        )
    if as_json:
        print_json({"refused": refused, "packages": told})
    else:
        outcomes = [t["outcome"] for t in told]
        counts = ", ".join(f"{outcomes.count(o)} {o}" for o in dict.fromkeys(outcomes))
        click.echo(f"{counts}.")
    return refused


def _tell(error: SignertError) -> None:
    click.echo(f"  {error.message} [{error.code}]", err=True)
    if error.remedy:
        click.echo(f"  What to do: {error.remedy}", err=True)


def _size(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"
