"""Java programs that judge our output: fetched with Maven once, into `var/tools`."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

__all__ = ["fetch"]

_TOOLS = Path(__file__).resolve().parents[2] / "var" / "tools"


def fetch(name: str) -> Path:
    """The folder with the jars that `{name}/pom.xml` names, fetched first when they are not there.

    Another pom, another folder. Raises RuntimeError when they cannot be had.
    """
    pom = Path(__file__).parent / name / "pom.xml"
    folder = _TOOLS / name / hashlib.sha256(pom.read_bytes()).hexdigest()[:12]
    if folder.exists():
        return folder
    if shutil.which("mvn") is None or shutil.which("javac") is None:
        raise RuntimeError(
            f"{name} needs Java and Maven: install the packages default-jdk-headless and maven"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_TOOLS) as temporary:
        fetched = Path(temporary) / "jars"
        run = subprocess.run(
            ["mvn", "-q", "-B", "-f", pom, "dependency:copy-dependencies", f"-DoutputDirectory={fetched}"],
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode or not any(fetched.glob("*.jar")):
            raise RuntimeError(
                f"Maven could not fetch {name} (status {run.returncode}):\n{run.stdout}{run.stderr}"
            )
        try:
            fetched.rename(folder)
        except OSError:
            if not folder.exists():  # else another one was first
                raise
    return folder
