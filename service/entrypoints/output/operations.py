"""What is said of a whole store: what a sweep did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from service.entrypoints.output.text import print_json

if TYPE_CHECKING:
    from service.pipeline.sweep import Swept

__all__ = ["swept"]


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
