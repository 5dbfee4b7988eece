"""Which font stands in for a name on this machine: fontconfig decides, and LibreOffice goes by it."""

from __future__ import annotations

import re
import subprocess
from functools import lru_cache

from service.errors import ConfigurationError

__all__ = ["installed_font"]

_SECONDS = 30


@lru_cache(maxsize=256)
def installed_font(name: str) -> str:
    """The family of the font that is used for `name`: the same where it is installed.

    Raises `ConfigurationError` (`tool_missing`) without fontconfig's `fc-match`.
    """
    pattern = re.sub(r"([\\\-:,])", r"\\\1", name)
    try:
        told = subprocess.run(  # noqa: S603 — the name is escaped, and no shell reads it
            ["fc-match", "--format", "%{family}", pattern],  # noqa: S607 — where it lies differs by system
            capture_output=True, text=True, timeout=_SECONDS, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as exc:
        raise ConfigurationError(
            "fc-match cannot be run, so it is not known which fonts there are.",
            code="tool_missing",
            remedy="Install fontconfig (Debian: apt-get install fontconfig).",
        ) from exc
    families = [family.strip() for family in told.stdout.split(",")]
    return next((f for f in families if f.casefold() == name.casefold()), families[0])
