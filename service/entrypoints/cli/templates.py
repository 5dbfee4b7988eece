"""Commands about the templates at hand: templates list, check, lock."""

from __future__ import annotations

import click

from service.bootstrap import check_template, open_catalogue
from service.entrypoints import output
from service.entrypoints.cli.shared import EXIT_FAILED, LoadSettings, as_json_option, settings_option
from service.errors import NotFound

__all__ = ["GROUP"]


@click.group()
def templates() -> None:
    """The templates at hand."""


@templates.command("list")
@as_json_option
@settings_option
def templates_list(load: LoadSettings, as_json: bool) -> None:
    """Names, versions, languages and hashes."""
    output.templates(open_catalogue(load()).list(), as_json=as_json)


@templates.command("check")
@click.argument("name", required=False)
@click.argument("version", required=False)
@as_json_option
@settings_option
def templates_check(load: LoadSettings, name: str | None, version: str | None, as_json: bool) -> None:
    """Look for faults in one template, or in all: hashes, syntax, variables, signature places, unsafe content."""
    catalogue = open_catalogue(load())
    asked = [
        (m.name, m.version)
        for m in catalogue.list()
        if name in {None, m.name} and version in {None, m.version}
    ]
    if not asked:
        raise NotFound(
            f"there is no template {name} {version or ''}".strip(), remedy="See `signert templates list`."
        )
    findings = {f"{n} {v}": check_template(catalogue, n, v) for n, v in asked}
    output.findings(findings, as_json=as_json)
    raise SystemExit(EXIT_FAILED if any(findings.values()) else 0)


@templates.command("lock")
@as_json_option
@settings_option
def templates_lock(load: LoadSettings, as_json: bool) -> None:
    """Publish every version that is not published yet: its hashes are fixed, and it never changes again."""
    output.locked(open_catalogue(load()).lock(), as_json=as_json)


GROUP = templates
