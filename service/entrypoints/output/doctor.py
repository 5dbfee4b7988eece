"""What a check-up found, a line each, with what to do below what is wrong."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import click

from service.entrypoints.output.text import print_json

if TYPE_CHECKING:
    from service.pipeline.doctor import Finding

__all__ = ["examination"]

_MARKS = {"ok": "ok", "warning": "WARN", "error": "ERROR"}


@contextlib.contextmanager
def examination(*, as_json: bool) -> Iterator[Callable[[Iterable[Finding]], int]]:
    """Gives what prints findings as they come, and returns how many of them are errors."""
    found: list[Finding] = []

    def tell(findings: Iterable[Finding]) -> int:
        errors = 0
        for finding in findings:
            found.append(finding)
            errors += finding.state == "error"
            if not as_json:
                _print(finding)
        return errors

    yield tell
    counts = {state: sum(f.state == state for f in found) for state in _MARKS}
    if as_json:
        print_json({"well": not counts["error"], "counts": counts, "findings": [f.as_json() for f in found]})
        return
    told = "All is well" if not counts["error"] else f"{counts['error']} wrong"
    click.echo(f"{told}; {counts['warning']} to look at, {counts['ok']} in order.")


def _print(finding: Finding) -> None:
    click.echo(f"{_MARKS[finding.state]:5} {finding.check:13} {finding.subject}: {finding.message}")
    if finding.remedy and finding.state != "ok":
        click.echo(f"{'':5} {'':13} What to do: {finding.remedy}")
