"""Sending a command to the queue, and waiting for what becomes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from service.bootstrap import open_broker, sign_command
from service.config import Settings
from service.domain.agreement import Agreement
from service.entrypoints import output
from service.entrypoints.cli.shared import open_ledger, open_workbook
from service.errors import CommandRejected, SignertError

__all__ = ["send", "sender_options"]

_F = TypeVar("_F", bound=Callable[..., Any])


def sender_options(command: _F) -> _F:
    """`--sign-with` and `--producer`: how a command is signed where signatures are required."""
    key = click.option(
        "--sign-with",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Sign the command with the private key in this file (JWK).",
    )
    name = click.option("--producer", help="The name that the key is registered under.")
    return key(name(command))


def send(
    settings: Settings,
    name: str,
    payload: Mapping[str, Any],
    *,
    seconds: float | None,
    sign_with: Path | None,
    producer: str | None,
    as_json: bool,
    steps: bool = False,
) -> Agreement | None:
    """The agreement at rest after the command, having waited up to `seconds`; None when not asked to wait.

    `steps` prints each step on the way. Raises `CommandRejected`, and `SignertError` when nothing ended in time.
    """
    from service.entrypoints.application import make_app, send_command
    from service.pipeline.follow import Rejection, follow

    signature = _signature(name, payload, sign_with, producer)
    with open_broker(settings) as broker:
        send_command(make_app(broker, settings), name, payload, signature=signature)
        if seconds is None:
            output.sent(payload["command_id"], as_json=as_json)
            return None
        ledger = open_ledger(settings)
        with output.progress() as progress:
            ended = follow(
                ledger, open_workbook(ledger), name, payload, seconds=seconds,
                observe=progress.entry if steps else lambda _: None, parked=progress.parked,
            )  # fmt: skip
    if isinstance(ended, Rejection):
        raise CommandRejected(ended.message, ended.errors, code=ended.code)
    if ended is None:
        raise SignertError(
            f"nothing ended within {seconds:.0f} s; command {payload['command_id']} is kept and goes on",
            code="timeout",
            remedy="Is a worker running (`signert worker`)? Look again with `signert show ID`.",
        )
    return ended


def _signature(name: str, payload: Mapping[str, Any], key: Path | None, producer: str | None) -> str | None:
    """The command's signature, None when no key is given. Raises `ConfigurationError` for an unfit key."""
    if (key is None) != (producer is None):
        raise click.UsageError("--sign-with and --producer go together.")
    if key is None or producer is None:
        return None
    return sign_command(name, payload, producer=producer, key=key)
