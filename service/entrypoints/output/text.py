"""What all output is made of."""

from __future__ import annotations

import json

import click

__all__ = ["STEP_WIDTH", "print_json"]

STEP_WIDTH = 44
"""Characters for what a step is called, before its time."""


def print_json(value: object) -> None:
    text = json.dumps(value, ensure_ascii=False, indent=2)
    click.echo(
        text.encode("utf-8", "replace").decode()
    )  # half a character, out of a damaged file, has no bytes
