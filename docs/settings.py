"""docs/configuration.md, from the settings' own classes (`service/config/sections.py`)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from enum import Enum
from inspect import cleandoc
from pathlib import Path
from typing import Any

from marshmallow import fields, validate

from service.config import PREFIX, SECTIONS

__all__ = ["page", "rows"]

_HEAD = """
# Configuration

Every process of Signert reads its settings from the environment, once, when it starts. This page is made from the code
by `docs/generate.py`.

- A variable that begins with `SIGNERT_` and is not on this page is an error, so that no misspelt one is passed over in
  silence. `signert doctor` says whether the settings are in order, and whether what they name is there.
- **No variable holds a secret.** Those with 🔑 name a file that does; keep such files to the process's own user. A
  credential's address (`SIGNERT_SEAL`, `SIGNERT_CREDENTIAL_…`) names the file of its passphrase or PIN too. In
  production a password in `SIGNERT_BROKER` or `SIGNERT_HTTP_RATE_STORE` is refused.
- `SIGNERT_ENV=production` refuses what development makes up: the embedded broker, the development PKI, keys made in the
  data folder, and a store reached without TLS. It says which settings are missing.
- Lists have commas between their values. Paths that are not absolute are taken from the working directory.
- Workers, sweeper and HTTP service may share one environment; each looks at what it needs.

Variables of others that matter: `AWS_…` (credentials of the S3 store), `OTEL_…` (where traces are sent), `NO_COLOR`.
"""


def page() -> str:
    parts = [cleandoc(_HEAD)]
    for section in SECTIONS:
        table = ["| Variable | Form | Default | Example | What for |", "|---|---|---|---|---|"]
        table += [f"| {' | '.join(cells)} |" for cells in rows(section)]
        parts.append(f"## {section.__doc__}\n\n" + "\n".join(table))
    return "\n\n".join(parts) + "\n"


def rows(section: Any) -> Iterator[tuple[str, str, str, str, str]]:
    """Variable, form with unit, default, example, purpose: as cells of a table."""
    for name, field in section._declared_fields.items():
        told = field.metadata
        form = ", ".join(part for part in (_form(field), told.get("unit")) if part)
        yield (
            f"`{PREFIX}{name.upper()}`" + (" 🔑" if told.get("secret") else ""),
            form,
            told.get("otherwise") or _default(field.load_default),
            f"`{told['example']}`",
            told["purpose"],
        )


def _form(field: Any) -> str:
    for check in field.validators:
        if isinstance(check, validate.OneOf):
            return " or ".join(f"`{choice}`" for choice in check.choices)
        if isinstance(check, validate.Range):
            return f"{_plain(check.min)} to {_plain(check.max)}"
    if isinstance(field, fields.List):
        return f"list of: {_form(field.inner)}"
    if isinstance(field, fields.Enum):
        return ", ".join(f"`{member.value}`" for member in field.enum)
    if isinstance(field, fields.Url):
        return "address (http, https)"
    if isinstance(field, fields.Email):
        return "e-mail address"
    if isinstance(field, fields.IP):
        return "IP address"
    return "path" if type(field).__name__ == "_Path" else "text"


def _plain(value: Any) -> str:
    return str(int(value.total_seconds()) if isinstance(value, timedelta) else value)


def _default(value: Any) -> str:
    if value is None or value == []:
        return "none"
    if isinstance(value, list):
        return f"`{','.join(str(v.value if isinstance(v, Enum) else v) for v in value)}`"
    assert isinstance(value, str | int | Path), f"say what the default is: {value}"
    return f"`{value}`"
