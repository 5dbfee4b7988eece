"""Commands about the templates at hand: templates list, new, check, preview, diff, publish."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from service.bootstrap import (
    compare_templates,
    open_checks,
    open_preview,
    open_workshop,
    page_pictures,
    shown_places,
    start_template,
)
from service.entrypoints import output
from service.entrypoints.cli.shared import EXIT_FAILED, LoadSettings, as_json_option, settings_option, write
from service.errors import SignertError, TemplateError

if TYPE_CHECKING:
    from service.domain.template import Finding

__all__ = ["GROUP"]

_MAX_DPI = 600


@click.group()
def templates() -> None:
    """The templates at hand, and tools for those who own them; docs/templates.md is their guide."""


@templates.command("list")
@as_json_option
@settings_option
def templates_list(load: LoadSettings, as_json: bool) -> None:
    """Names, versions, languages and titles; drafts, which are not published yet, come last."""
    workshop = open_workshop(load())
    published = workshop.list()
    drafts = [key for key in workshop.versions() if not workshop.is_published(*key)]
    output.templates(published, drafts, as_json=as_json)


@templates.command("new")
@click.argument("name")
@click.option(
    "--from", "source", nargs=2, metavar="NAME VERSION", help="Copy this version, of whatever template."
)
@click.option("--version", help="The new version; otherwise the next minor one, 1.0.0 for a new name.")
@as_json_option
@settings_option
def templates_new(
    load: LoadSettings, name: str, source: tuple[str, str] | None, version: str | None, as_json: bool
) -> None:
    """Start a new version of template NAME: a copy of its newest, or a plain agreement where there is none."""
    output.started(*start_template(load(), name, source=source, version=version), as_json=as_json)


@templates.command("check")
@click.argument("name", required=False)
@click.argument("version", required=False)
@click.option("--no-render", is_flag=True, help="Make no PDF: quicker, and needs no LibreOffice.")
@as_json_option
@settings_option
def templates_check(
    load: LoadSettings, name: str | None, version: str | None, no_render: bool, as_json: bool
) -> None:
    """Look for faults in one version, in all of a template, or in all: each with its place and what to do."""
    settings = load()
    workshop = open_workshop(settings)
    asked = [key for key in workshop.versions(name) if version in (None, key[1])]
    if name is not None and not asked:
        workshop.resolve(name, version)
    with open_checks(settings, render=not no_render) as tools:
        findings = {f"{n} {v}": workshop.check(n, v, tools=tools) for n, v in asked}
    output.findings(findings, as_json=as_json)
    raise SystemExit(EXIT_FAILED if any(findings.values()) else 0)


@templates.command("preview")
@click.argument("name")
@click.argument("version", required=False)
@click.option("--language", help="Only this one, as nb or nn.")
@click.option(
    "--data",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What to print (JSON), instead of the template's sample.",
)
@click.option(
    "-o",
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="The folder to write to; it is made when it is not there.",
)
@click.option(
    "--dpi",
    type=click.IntRange(20, _MAX_DPI),
    default=100,
    show_default=True,
    help="Dots per inch of the PNGs.",
)
@as_json_option
@settings_option
def templates_preview(
    load: LoadSettings,
    name: str,
    version: str | None,
    language: str | None,
    data: Path | None,
    out: Path,
    dpi: int,
    as_json: bool,
) -> None:
    """Write the document as its parties will get it: a PDF, and a PNG of each page, in each language.

    VERSION is the newest when it is left out; drafts too. Frames show where signatures go.
    """
    settings = load()
    workshop = open_workshop(settings)
    name, version = workshop.resolve(name, version)
    found = workshop.open(name, version)
    asked = [template for template in found if language in (None, template.language)]
    if not asked:
        raise TemplateError(
            f"Template {name} {version} is not there in language {language}.",
            code="unknown_language",
            remedy=f"Choose one of: {', '.join(t.language for t in found)}.",
        )
    example = (
        workshop.example_of(data.read_bytes(), asked[0].manifest, str(data))
        if data
        else workshop.example(name, version)
    )
    _make_folder(out)
    written: list[Path] = []
    lost: dict[str, list[str]] = {}
    with open_preview(settings) as make:
        for template in asked:
            made = make(template, example)
            stem = f"{name}-{version}-{template.language}"
            pdf = shown_places(made.pdf)
            for stale in out.glob(f"{stem}-page-*.png"):
                stale.unlink()
            written.append(write(out / f"{stem}.pdf", pdf))
            pages = page_pictures(pdf, dots_per_inch=dpi)
            written += [write(out / f"{stem}-page-{n}.png", page) for n, page in enumerate(pages, start=1)]
            lost[template.language] = made.lost
    output.previewed(written, lost, as_json=as_json)


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise SignertError(
            f"{path} cannot be made: {exc.strerror}", code="output", remedy="Name another folder."
        ) from exc


@templates.command("diff")
@click.argument("name")
@click.argument("old")
@click.argument("new")
@click.option("--language", help="Only this one, as nb or nn.")
@as_json_option
@settings_option
def templates_diff(
    load: LoadSettings, name: str, old: str, new: str, language: str | None, as_json: bool
) -> None:
    """What is different in version NEW of template NAME: texts, variables, and the manifest."""
    changes = compare_templates(open_workshop(load()), name, old, new, language)
    output.differences(f"{name} {old} → {new}", changes, as_json=as_json)


@templates.command("publish")
@click.argument("name", required=False)
@click.argument("version", required=False)
@click.option("--all", "everything", is_flag=True, help="Every version that is not published yet.")
@as_json_option
@settings_option
def templates_publish(
    load: LoadSettings, name: str | None, version: str | None, everything: bool, as_json: bool
) -> None:
    """Check a version, and publish it when nothing is wrong: its hashes are fixed, and it never changes again."""
    if everything == bool(name and version) or (everything and name):
        raise click.UsageError("Name a template and its version, or give --all.")
    settings = load()
    workshop = open_workshop(settings)
    if name and version:
        asked = [workshop.resolve(name, version)]
    else:
        asked = [key for key in workshop.versions() if not workshop.is_published(*key)]
    done: list[tuple[str, str]] = []
    already: list[tuple[str, str]] = []
    findings: dict[str, list[Finding]] = {}
    with open_checks(settings, render=True) as tools:
        for key in asked:
            was_published = workshop.is_published(*key)
            if faults := workshop.publish(*key, tools=tools):
                findings[" ".join(key)] = faults
            else:
                (already if was_published else done).append(key)
    output.published(done, already, findings, as_json=as_json)
    raise SystemExit(EXIT_FAILED if findings else 0)


GROUP = templates
