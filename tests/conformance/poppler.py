"""`pdfsig`, poppler's validator, as a function. It has no anchors here: what it says of certificates is left out."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

__all__ = ["valid_fields"]


def valid_fields(path: Path) -> list[str]:
    """The fields whose signatures it finds valid; poppler 22 does not judge document timestamps."""
    done = subprocess.run(["pdfsig", "-nocert", path], capture_output=True, text=True, check=False)
    return [
        match["field"]
        for block in re.split(r"^Signature #\d+:\n", done.stdout, flags=re.MULTILINE)
        if "Signature Validation: Signature is Valid." in block
        and (match := re.search(r"Signature Field Name: (?P<field>.+)", block))
    ]
