"""What is said of templates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path

import click

from service.domain.template import Finding, Manifest
from service.domain.template_diff import Change
from service.entrypoints.output.text import print_json

__all__ = ["differences", "findings", "previewed", "published", "started", "templates"]

Key = tuple[str, str]


def templates(found: Sequence[Manifest], drafts: Sequence[Key], *, as_json: bool) -> None:
    if as_json:
        print_json(
            [
                {
                    "name": m.name,
                    "version": m.version,
                    "published": True,
                    "kind": m.kind,
                    "languages": list(m.languages),
                    "titles": dict(m.titles),
                }
                for m in found
            ]
            + [{"name": name, "version": version, "published": False} for name, version in drafts]
        )
        return
    for m in found:
        click.echo(
            f"{m.name} {m.version}  {m.kind:9}  {', '.join(m.languages)}  {next(iter(m.titles.values()))}"
        )
    for name, version in drafts:
        click.echo(f"{name} {version}  draft, not published")


def started(folder: Path, key: Key, source: Key | None, *, as_json: bool) -> None:
    name, version = key
    if as_json:
        copied = None if source is None else {"name": source[0], "version": source[1]}
        print_json({"folder": str(folder), "name": name, "version": version, "copy_of": copied})
        return
    click.echo(
        f"{folder}: " + (f"a copy of {' '.join(source)}" if source else "a plain agreement to start from")
    )
    click.echo("Edit it in Word, then look at it:")
    click.echo(f"  signert templates check {name} {version}")
    click.echo(f"  signert templates preview {name} {version} -o FOLDER")


def findings(found: Mapping[str, Sequence[Finding]], *, as_json: bool) -> None:
    if as_json:
        print_json(_findings_json(found))
        return
    for name, several in found.items():
        click.echo(f"{name}: {'no faults' if not several else f'{len(several)} fault(s)'}")
        for finding in several:
            click.echo(f"  {finding.where}: {finding.message} {finding.remedy} [{finding.code}]")


def _findings_json(found: Mapping[str, Sequence[Finding]]) -> dict[str, list[dict[str, str]]]:
    return {name: [f.as_json() for f in several] for name, several in found.items()}


def published(
    done: Sequence[Key], already: Sequence[Key], refused: Mapping[str, Sequence[Finding]], *, as_json: bool
) -> None:
    if as_json:
        print_json(
            {
                "published": [{"name": name, "version": version} for name, version in done],
                "already": [{"name": name, "version": version} for name, version in already],
                "refused": _findings_json(refused),
            }
        )
        return
    for name, version in done:
        click.echo(f"published {name} {version}; it never changes again")
    for name, version in already:
        click.echo(f"{name} {version} is published already, and has not changed")
    if not (done or already or refused):
        click.echo("every version is published")
    findings(refused, as_json=False)
    for name in refused:
        click.echo(f"{name} is not published: mend the faults first.", err=True)


def previewed(written: Sequence[Path], lost: Mapping[str, Sequence[str]], *, as_json: bool) -> None:
    if as_json:
        print_json({"written": [str(path) for path in written], "not_printed": dict(lost)})
        return
    for path in written:
        click.echo(str(path))
    for language, paths in lost.items():
        if paths:
            click.echo(f"{language}: not in the document's text: {', '.join(paths)}", err=True)


def differences(title: str, changes: Sequence[Change], *, as_json: bool) -> None:
    if as_json:
        print_json([change.as_json() for change in changes])
        return
    click.echo(title)
    if not changes:
        click.echo("  nothing is different")
    for file, in_file in groupby(changes, lambda change: change.file):
        click.echo(f"{file}:")
        for (kind, where), several in groupby(
            in_file, lambda c: (c.kind, c.where if c.kind == "text" else "")
        ):
            if where:
                click.echo(f"  under «{where}»:")
            for change in several:
                _difference(kind, change)


def _difference(kind: str, change: Change) -> None:
    if kind == "look":
        click.echo(f"  no text is different, but {change.before}")
    elif kind == "variable":
        click.echo(f"  {change.where} is {'no longer' if change.after is None else 'now'} printed")
    elif kind == "manifest" and "listed" in (change.before, change.after):
        key, _, item = change.where.partition(": ")
        click.echo(f"  {key}: {item} is {'no longer' if change.after is None else 'now'} listed")
    elif kind == "manifest":
        shown = [text if text is not None else "nothing" for text in (change.before, change.after)]
        click.echo(f"  {change.where}: was {shown[0]}, is {shown[1]}")
    elif change.before is None:
        click.echo(f"    new:  {change.after}")
    elif change.after is None:
        click.echo(f"    gone: {change.before}")
    else:
        click.echo(f"    was:  {change.before}\n    is:   {change.after}")
