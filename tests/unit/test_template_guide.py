"""docs/templates.md names every finding that `signert templates check` can have, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from service.adapters.docx import safety
from service.errors import NotArchivable, UnreadableDocument

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "templates.md").read_text(encoding="utf-8")
CODE = re.compile(r"[a-z]+(?:_[a-z]+)*")


def _findings(folder: Path) -> Iterator[str]:
    """The codes that are written where findings are made, and where `TemplateError`s are that become findings."""
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name | ast.Attribute):
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
            if name in {"Finding", "_unsafe"}:
                given = node.args[1:2]
            else:
                continue
            yield from (g.value for g in given if isinstance(g, ast.Constant))


def test_the_guide_has_every_finding_and_no_other() -> None:
    adapters = ROOT / "service" / "adapters"
    known = set(_findings(adapters / "templates" / "checks")) | set(_findings(adapters / "docx"))
    known |= set(_findings(adapters / "templates")) | set(safety._MESSAGES)
    # What filling and rendering say of a template's faults.
    known |= {"unsafe_zip", "illegal_character", "undefined_variable", "glyph_missing"}
    known |= {NotArchivable.code, UnreadableDocument.code}

    table = GUIDE.partition("## Det `check` finner")[2].partition("\n## ")[0]
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| `")]
    told = {code for row in rows for code in re.findall(r"`([a-z_]+)`", row[0])}

    assert told == known
    assert all(len(row) == 3 and all(cell.strip(" |") for cell in row) for row in rows)
    assert all(CODE.fullmatch(code) for code in known)


def test_the_guide_s_commands_are_there() -> None:
    from service.entrypoints.cli.templates import GROUP

    assert set(re.findall(r"signert templates ([a-z]+)", GUIDE)) <= set(GROUP.commands)
    assert {name for name in GROUP.commands if name != "list"} <= set(
        re.findall(r"(?:\*\*`|signert templates )([a-z]+)", GUIDE)
    )
