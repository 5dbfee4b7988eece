"""What is said of templates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click

from service.domain.template import Finding, Manifest
from service.entrypoints.output.text import print_json

__all__ = ["findings", "locked", "templates"]


def templates(found: Sequence[Manifest], *, as_json: bool) -> None:
    if as_json:
        print_json(
            [
                {
                    "name": m.name,
                    "version": m.version,
                    "kind": m.kind,
                    "languages": list(m.languages),
                    "titles": dict(m.titles),
                }
                for m in found
            ]
        )
        return
    for m in found:
        click.echo(
            f"{m.name} {m.version}  {m.kind:9}  {', '.join(m.languages)}  {next(iter(m.titles.values()))}"
        )


def locked(published: Sequence[tuple[str, str]], *, as_json: bool) -> None:
    if as_json:
        print_json([{"name": name, "version": version} for name, version in published])
        return
    for name, version in published:
        click.echo(f"published {name} {version}")
    if not published:
        click.echo("every version is published, and none has changed")


def findings(found: Mapping[str, Sequence[Finding]], *, as_json: bool) -> None:
    if as_json:
        print_json({name: [f.as_json() for f in several] for name, several in found.items()})
        return
    for name, several in found.items():
        click.echo(f"{name}: {'no faults' if not several else f'{len(several)} fault(s)'}")
        for finding in several:
            click.echo(f"  {finding.where}: {finding.message} {finding.remedy} [{finding.code}]")
