"""Where results go: `var/bench/{part}.json`, and the table between the part's markers in docs/performance.md."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

__all__ = ["ROOT", "Result", "placed", "table", "write"]

ROOT = Path(__file__).parents[1]
_PAGE = ROOT / "docs/performance.md"
_FOLDER = ROOT / "var/bench"


@dataclass(frozen=True)
class Result:
    """What a part has measured: `text` is Markdown for the page, `data` everything, for machines.

    `complete` is false for a run of fewer rounds than the part asks for: it is not written to the page.
    """

    part: str
    text: str
    data: dict[str, Any] = field(default_factory=dict)
    complete: bool = True


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; the first column is text, the others are numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def placed(page: str, part: str, text: str) -> str:
    """The page with `text` between the markers of `part`, at its end where it has none yet."""
    begin, end = f"<!-- bench:{part} -->", f"<!-- /bench:{part} -->"
    block = f"{begin}\n{text.strip()}\n{end}"
    if begin not in page:
        return f"{page.rstrip()}\n\n{block}\n"
    before, _, rest = page.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"docs/performance.md: {end} is missing")
    return before + block + after


def write(result: Result, *, page: Path = _PAGE, folder: Path = _FOLDER) -> None:
    """Keep the result, and show it; a run cut short is kept, but leaves the page as it is."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = {"part": result.part, "complete": result.complete, "machine": _machine(), **result.data}
    (folder / f"{result.part}.json").write_text(json.dumps(kept, indent=1) + "\n")
    print(f"\n{result.text}\n", flush=True)
    if result.complete:
        page.write_text(placed(page.read_text(), result.part, result.text))


def _machine() -> dict[str, Any]:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
        "python": platform.python_version(),
        "commit": commit.stdout.strip(),
    }
