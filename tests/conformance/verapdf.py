"""veraPDF, the open reference validator for PDF/A and PDF/UA, as a function.

    failures = verapdf([path], "2a")
    assert not failures, report(failures)

It is fetched with Maven when it is not there; the version is the one in `verapdf/pom.xml`.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.maven import fetch

__all__ = ["FailedRule", "report", "verapdf"]

_FOUND_FAILURES = (0, 1)  # exit statuses of a run that reached a verdict on every file


@dataclass(frozen=True)
class FailedRule:
    """One rule of a profile that one file breaks: clause of the standard, and the first place it is broken."""

    path: Path
    flavour: str
    clause: str
    test: int
    description: str
    times: int
    first: str

    def __str__(self) -> str:
        return (
            f"{self.path.name} [{self.flavour}] {self.clause}-{self.test} ×{self.times}: {self.description}\n"
            f"    {self.first}"
        )


def verapdf(paths: Sequence[Path], flavour: str) -> list[FailedRule]:
    """The rules of `flavour` (`2a`, `3a`, `ua1`, …) that these files break, by one Java process; empty when none.

    Raises RuntimeError when a file could not be judged.
    """
    command = ["java", "-jar", str(_jar()), "--format", "json", "--flavour", flavour, *map(str, paths)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode not in _FOUND_FAILURES:
        raise RuntimeError(f"veraPDF ended with status {run.returncode}:\n{run.stdout}\n{run.stderr}")
    jobs = json.loads(run.stdout)["report"]["jobs"]
    if len(jobs) != len(paths) or any("validationResult" not in job for job in jobs):
        raise RuntimeError(f"veraPDF did not judge every file:\n{run.stdout}")
    return [
        FailedRule(
            path=Path(job["itemDetails"]["name"]),
            flavour=flavour,
            clause=rule["clause"],
            test=rule["testNumber"],
            description=rule["description"],
            times=rule["failedChecks"],
            first=f"{rule['checks'][0]['context']}: {rule['checks'][0].get('errorMessage', '')}",
        )
        for job in jobs
        for result in job["validationResult"]
        for rule in result["details"]["ruleSummaries"]
    ]


def _jar() -> Path:
    (jar,) = fetch("verapdf").glob("cli-*.jar")  # it carries its dependencies in itself
    return jar


def report(failures: Iterable[FailedRule]) -> str:
    return "\n".join(map(str, failures))
