"""The access log: a line for each read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import click

from service.entrypoints.output.text import print_json

__all__ = ["access_log"]


def access_log(records: Iterable[Mapping[str, Any]], *, as_json: bool) -> None:
    """In order of time."""
    if as_json:
        print_json({"records": list(records)})
        return
    count = 0
    for count, record in enumerate(records, 1):  # noqa: B007 (told at the end)
        reader = record["reader"]
        who = "+".join(reader["standings"]) or reader["role"]
        version = f"v{record['version']}" if record["version"] else ""
        what = record["detail"].get("document", record["what"])
        whole = "whole on request" if record["detail"].get("whole_on_request") else ""
        told = (record["at"], f"{who:12}", f"{reader['pseudonym'][:12]}@{reader['issuer']}", version, what)
        click.echo("  ".join(filter(None, (*told, record["outcome"], whole))))
        if record["agreement"] is None and record["detail"]:
            click.echo("  " + ", ".join(f"{k} {v}" for k, v in record["detail"].items()))
    if not count:
        click.echo("Nothing has been read.")
