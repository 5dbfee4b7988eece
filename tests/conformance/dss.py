"""EU DSS, the European Commission's validator of signatures, as a function. Nothing is fetched for a validation.

    said = dss([path], trust=[root])
    assert [s.indication for s in said] == ["TOTAL_PASSED"], "\\n".join(map(str, said))

It is fetched with Maven; the version is the one in `dss/pom.xml`. The policy is its default one.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.maven import fetch

__all__ = ["Said", "dss"]

_PROGRAM = Path(__file__).parent / "dss" / "Validate.java"


@dataclass(frozen=True)
class Said:
    """What EU DSS says of one signature, or of one timestamp.

    `which` is a signature's field, or the type of a timestamp; `format` is a signature's level, e.g.
    PAdES-BASELINE-LTA.
    """

    path: Path
    kind: str
    which: str
    indication: str
    sub_indication: str
    format: str
    by: str
    messages: str


def dss(
    files: Sequence[Path | tuple[Path, Path]], *, trust: Sequence[Path], reports: Path | None = None
) -> list[Said]:
    """Its words on every signature and timestamp of these files, in order; a detached signature goes with its content.

    `reports` is a folder for its whole reports. Raises RuntimeError when a file could not be judged.
    """
    command = ["java", "-cp", f"{fetch('dss')}/*", str(_PROGRAM)]
    for anchor in trust:
        command += ["-trust", str(anchor)]
    if reports:
        command += ["-reports", str(reports)]
    command += ["=".join(map(str, f)) if isinstance(f, tuple) else str(f) for f in files]
    run = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    if run.returncode:
        raise RuntimeError(f"EU DSS ended with status {run.returncode}:\n{run.stdout}\n{run.stderr}")
    said = [Said(Path(path), *rest) for path, *rest in (line.split("\t") for line in run.stdout.splitlines())]
    if {s.path for s in said} != {f[0] if isinstance(f, tuple) else f for f in files}:
        raise RuntimeError(f"EU DSS did not find a signature in every file:\n{run.stdout}")
    return said
