"""Every `signert …` that the operators' pages and the README tell people to type is one that the command line takes."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from service.entrypoints.cli import cli

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/operations.md", "docs/runbooks.md")
_FENCED = re.compile(r"(?ms)^```(?:sh|bash|console)\n(.*?)^```")
_INLINE = re.compile(r"`((?:\.venv/bin/)?signert [^`]+)`")
_PLACEHOLDERS = {
    "ID": "0b6f6f0e-6f0a-4f57-9d6e-6f2f1f0f5a11",
    "FILE": "file.json",
    "DIR": "folder",
    "DATO": "2026-11-21",
}


def commands(text: str) -> Iterator[str]:
    """The commands in a page's code, without comments; `a|b` stands for two. Those in running text end in `…`."""
    lines = [line for block in _FENCED.findall(text) for line in block.splitlines()]
    lines += [found.replace("\n", " ") + " …" for found in _INLINE.findall(_FENCED.sub("", text))]
    for line in lines:
        typed = re.sub(r"\s+#.*", "", line.strip()).removeprefix("$ ").removeprefix(".venv/bin/")
        if typed.startswith("signert "):
            typed = re.sub(r"\s(?:[&>]|\|\s).*", "", f"{typed} ").strip()
            words = [
                w.split("|") if re.fullmatch(r"[\w-]+(?:\|[\w-]+)+", w) else [w] for w in typed.split(" ")
            ]
            yield from map(" ".join, itertools.product(*words))


def check(typed: str) -> None:
    """Raises `click.UsageError` for a command, option or value that there is not, and for one that lacks.

    Where `…` stands, something may lack. Files need not be there.
    """
    words = [_PLACEHOLDERS.get(w, w) for w in shlex.split(typed.replace("…", ""))[1:]]
    command: click.Command = cli
    context = click.Context(cli, info_name="signert")
    while isinstance(command, click.Group):
        if not words or words in (["--help"], ["--version"]):
            return
        name, found, words = command.resolve_command(context, words)
        assert found is not None
        command, context = found, click.Context(found, info_name=name, parent=context)
    try:
        given, rest, _ = command.make_parser(context).parse_args(list(words))
    except click.BadOptionUsage:  # running text may name an option without its value
        if "…" in typed and any(words[-1] in p.opts for p in command.params):
            return
        raise
    if rest:
        raise click.UsageError(f"too many arguments: {rest}")
    for parameter in command.params:
        value = given.get(parameter.name)
        there = isinstance(value, str | bool) or (isinstance(value, tuple | list) and bool(value))
        if parameter.required and not there and "…" not in typed:
            raise click.MissingParameter(param=parameter, ctx=context)
        if there and not isinstance(parameter.type, click.Path | click.File):
            parameter.type_cast_value(context, value)


def documented() -> list[tuple[str, str]]:
    pages = [page for page in PAGES if (ROOT / page).exists()]
    return [(page, typed) for page in pages for typed in dict.fromkeys(commands((ROOT / page).read_text()))]


@pytest.mark.parametrize(("page", "typed"), documented())
def test_the_command_line_takes_what_is_documented(page: str, typed: str) -> None:
    check(typed)


def test_pages_have_commands() -> None:
    found = documented()
    assert sum(page == "docs/operations.md" for page, _ in found) > 20
    assert sum(page == "README.md" for page, _ in found) > 20
    assert ("README.md", "signert attach-paper ID …") in found


@pytest.mark.parametrize(
    "typed",
    [
        "signert recovr",
        "signert fsck --signatures",
        "signert doctor --only disk",
        "signert show",
        "signert find --limit x",
    ],
)
def test_what_is_not_there_is_noticed(typed: str) -> None:
    with pytest.raises(click.UsageError):
        check(typed)
