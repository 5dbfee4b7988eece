"""An agreement's versions and their differences, in the agreement's own language."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from service.domain.agreement import Agreement, Status
from service.domain.presentation import Described, long_date
from service.entrypoints.output.text import print_json
from service.pipeline.history import Chapter

__all__ = ["changes", "history"]

_NORWEGIAN = {
    "nb": {
        "version": "Versjon",
        "replaces": "endrer versjon",
        "in_force": "gjelder nå",
        "reason": "Begrunnelse",
        "told": "Orientert",
        "ends": "Avtalen er avsluttet fra",
        Status.SUBMITTED: "tatt inn",
        Status.RENDERED: "til signering",
        Status.SIGNING: "til signering",
        Status.COMPLETED: "signert av alle, kvittering lages",
        Status.SIGNED: "signert",
        Status.REJECTED: "kunne ikke lages",
        Status.DECLINED: "avslått av en part",
        Status.CANCELLED: "trukket tilbake",
        Status.EXPIRED: "utløpt uten alle signaturer",
        "same": "Versjonene sier det samme.",
        "since": "tatt inn",
    },
    "nn": {
        "version": "Versjon",
        "replaces": "endrar versjon",
        "in_force": "gjeld no",
        "reason": "Grunngiving",
        "told": "Orientert",
        "ends": "Avtalen er avslutta frå",
        Status.SUBMITTED: "teken inn",
        Status.RENDERED: "til signering",
        Status.SIGNING: "til signering",
        Status.COMPLETED: "signert av alle, kvittering blir laga",
        Status.SIGNED: "signert",
        Status.REJECTED: "kunne ikkje lagast",
        Status.DECLINED: "avslått av ein part",
        Status.CANCELLED: "trekt tilbake",
        Status.EXPIRED: "gått ut utan alle signaturar",
        "same": "Versjonane seier det same.",
        "since": "teken inn",
    },
}


def history(agreement: Agreement, chapters: Sequence[Chapter], *, as_json: bool) -> None:
    """Every version: when, what kind of change, why, and what exactly."""
    if as_json:
        print_json({"id": agreement.id, "versions": [_chapter_json(c) for c in chapters]})
        return
    for chapter in chapters:
        version = chapter.version
        words = _NORWEGIAN[version.language]
        day = long_date((version.signed_at or version.opened_at)[:10])
        state = (
            f"{words[version.status]} {day}"
            if version.signed_at
            else f"{words['since']} {day}, {words[version.status]}"
        )
        notes = [state]
        if version.supersedes:
            notes.append(f"{words['replaces']} {version.supersedes}")
        if agreement.in_force is version:
            notes.append(words["in_force"])
        click.echo(f"{words['version']} {version.number}: {', '.join(notes)}")
        if chapter.types:
            click.echo(f"  {', '.join(chapter.types)}")
        if chapter.reason:
            click.echo(f"  {words['reason']}: {chapter.reason}")
        if ending := chapter.termination:
            click.echo(f"  {words['ends']} {long_date(ending['date'])}: {ending['reason']}")
            if "explanation" in ending:
                click.echo(f"  {ending['explanation']}")
        _print_changes(chapter.changes)
        if chapter.told:
            click.echo(f"  {words['told']}: {', '.join(chapter.told)}")


def changes(found: Sequence[Described], *, language: str, as_json: bool) -> None:
    """What is different between two versions."""
    if as_json:
        print_json([vars(change) for change in found])
        return
    if not found:
        click.echo(_NORWEGIAN[language]["same"])
    _print_changes(found)


def _print_changes(found: Sequence[Described]) -> None:
    for change in found:
        click.echo(f"  {change.what}")
        for sign, text in (("-", change.before), ("+", change.after)):
            if text != "–":
                for line in text.splitlines():
                    click.echo(f"    {sign} {line}")


def _chapter_json(chapter: Chapter) -> dict[str, Any]:
    version = chapter.version
    return {
        "version": version.number,
        "status": version.status,
        "opened_at": version.opened_at,
        "signed_at": version.signed_at,
        "supersedes": version.supersedes,
        "change": list(version.change),
        "types": list(chapter.types),
        "reason": chapter.reason,
        "changes": [vars(change) for change in chapter.changes],
        "told": list(chapter.told),
        "termination": chapter.termination,
    }
