"""The table in docs/conformance.md: what was judged, and what was said."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.etree import ElementTree

__all__ = ["JUDGES", "Results", "committed_rows", "versions", "write"]

PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"
JUDGES = ("veraPDF PDF/A", "veraPDF PDF/UA-1", "EU DSS", "pdfsig", "openssl cms", "openssl ts")
_BEGIN, _END = "<!-- results: written by make conformance -->", "<!-- end of results -->"
_POM = "{http://maven.apache.org/POM/4.0.0}"


class Results:
    """How many a judge was given of each kind, and how many it found good."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], list[int]] = {}

    def add(self, kind: str, judge: str, *, given: int, good: int) -> None:
        count = self._counts.setdefault((kind, judge), [0, 0])
        count[0] += given
        count[1] += good

    def row(self, kind: str, *first: object) -> str:
        cells = [kind, *map(str, first)]
        for judge in JUDGES:
            given, good = self._counts.get((kind, judge), (0, 0))
            cells.append(f"{good} of {given}" if given else "–")
        return f"| {' | '.join(cells)} |"


def versions() -> str:
    """The judges that were asked, in words."""
    poppler = _first_number(["pdfsig", "-v"])
    openssl = _first_number(["openssl", "version"])
    return (
        f"veraPDF {_pinned('verapdf', 'cli')}; EU DSS {_pinned('dss', None)}, by its default policy, with nothing"
        f" fetched; pdfsig (poppler) {poppler}; OpenSSL {openssl}"
    )


def write(rows: Sequence[str], said: str) -> None:
    """Put the table in its place on the page."""
    header = ("Kind", "Languages", "Documents", "Revisions", "Signatures", *JUDGES)
    table = [f"| {' | '.join(header)} |", "|" + "---|" * len(header), *rows]
    section = "\n".join([_BEGIN, "", f"{said}.", "", *table, "", _END])
    before, _, after = _parts()
    PAGE.write_text(before + section + after, encoding="utf-8")


def committed_rows() -> list[str]:
    _, section, _ = _parts()
    return [line for line in section.splitlines() if line.startswith("| ")][1:]


def _parts() -> tuple[str, str, str]:
    page = PAGE.read_text(encoding="utf-8")
    start, end = page.index(_BEGIN), page.index(_END) + len(_END)
    return page[:start], page[start:end], page[end:]


def _first_number(command: Iterable[str]) -> str:
    done = subprocess.run([*command], capture_output=True, text=True, check=False)
    found = re.search(r"\d+(\.\d+)+", done.stdout + done.stderr)
    assert found
    return found[0]


def _pinned(judge: str, artifact: str | None) -> str:
    """The version in its pom.xml: a property, or of the artifact."""
    pom = ElementTree.parse(Path(__file__).parent / judge / "pom.xml").getroot()
    if artifact is None:
        return str(pom.findtext(f"{_POM}properties/{_POM}{judge}.version"))
    (found,) = (
        each.findtext(f"{_POM}version")
        for each in pom.iter(f"{_POM}dependency")
        if each.findtext(f"{_POM}artifactId") == artifact
    )
    return str(found)
