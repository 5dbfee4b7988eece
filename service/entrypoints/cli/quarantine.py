"""Commands about messages that were refused: quarantine list, show, resubmit."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator
from typing import Any

import click

from service.bootstrap import open_broker, open_store, system_clock
from service.entrypoints import output
from service.entrypoints.cli.shared import (
    EXIT_FAILED,
    LoadSettings,
    as_json_option,
    read_json,
    settings_option,
)
from service.errors import SignertError

__all__ = ["GROUP"]


@click.group()
def quarantine() -> None:
    """The messages that were refused.

    Each was kept whole and answered with an event. An unambiguous beginning of an ID is enough.
    """


@quarantine.command("list")
@click.option("--code", help="Only those with this error code.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=50, show_default=True, help="The newest so many."
)
@as_json_option
@settings_option
def quarantine_list(load: LoadSettings, code: str | None, limit: int, as_json: bool) -> None:
    """Newest first: when, what task, why, and whether it was sent again; then how many there are of each code.

    Shows nothing of what the messages say.
    """
    from service.pipeline.resubmission import kept_messages

    store = open_store(load())
    codes: Counter[str] = Counter()

    def counted() -> Iterator[output.KeptLine]:
        for kept in kept_messages(store):
            codes[kept.code] += 1
            if code in {None, kept.code}:
                yield output.KeptLine.of(kept)

    newest = heapq.nlargest(limit, counted(), key=lambda line: (line.received_at, line.id))
    output.kept_list(newest, codes, code=code, as_json=as_json)


@quarantine.command("show")
@click.argument("message_id", metavar="ID")
@click.option(
    "--content",
    is_flag=True,
    help="Also the message itself, whole. It may hold personal data: names, identity numbers, health.",
)
@as_json_option
@settings_option
def quarantine_show(load: LoadSettings, message_id: str, content: bool, as_json: bool) -> None:
    """Why a message was refused, with every field at fault, and how it was answered."""
    from service.pipeline.resubmission import find_kept

    store = open_store(load())
    kept = find_kept(store, message_id)
    waiting = store.exists(f"outbox/{kept.id}")
    output.kept_message(kept, waiting=waiting, content=content, as_json=as_json)


@quarantine.command("resubmit")
@click.argument("message_ids", metavar="[ID]…", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All that were not sent again yet, the oldest first.")
@click.option("--code", help="With --all: only those with this error code.")
@click.option(
    "--file",
    "corrected",
    type=click.File("rb"),
    help="With one ID: send the agreement in this file (JSON; - for standard input) instead of the one that was sent.",
)
@as_json_option
@settings_option
def quarantine_resubmit(
    load: LoadSettings,
    message_ids: tuple[str, ...],
    everything: bool,
    code: str | None,
    corrected: Any,
    as_json: bool,
) -> None:
    """Send refused commands to the queue again, once what was wrong is mended.

    As they were; or with --file corrected, under the same command id unless it has none that is valid and free. A
    corrected command has no signature of its case system: where signatures are required, the case system must send it.

    A message that is no command is sent where one can be read in it. What cannot be sent is told, with exit code 3.
    """
    if bool(message_ids) == everything:
        raise click.UsageError("Give the IDs of messages, or --all.")
    if code and not everything:
        raise click.UsageError("--code goes with --all.")
    if corrected and len(message_ids) != 1:
        raise click.UsageError("--file goes with one ID.")
    from service.entrypoints.application import make_app, send_command
    from service.entrypoints.consumer import COMMAND_PREFIX, MAX_MESSAGE
    from service.pipeline.resubmission import (
        NotResubmittable,
        Wire,
        command_again,
        find_kept,
        kept_messages,
        record,
    )

    agreement = read_json(corrected) if corrected else None
    if corrected and not isinstance(agreement, dict):
        raise SignertError(
            "the file holds no JSON object",
            code="not_json",
            remedy="See examples/agreement.json for the shape.",
        )
    settings = load()
    store = open_store(settings)
    if everything:
        fresh = (m for m in kept_messages(store) if not m.resubmissions and code in {None, m.code})
        ids = [identity for _, identity in sorted((m.received_at, m.id) for m in fresh)]
    else:
        ids = list(dict.fromkeys(find_kept(store, given).id for given in message_ids))
    wire = Wire(COMMAND_PREFIX, MAX_MESSAGE)
    sent, refused = [], []
    with open_broker(settings) as broker:
        app = make_app(broker, settings)
        for identity in ids:
            kept = find_kept(store, identity)
            try:
                command = command_again(store, kept, wire, agreement=agreement)
            except NotResubmittable as exc:
                refused.append((kept, exc))
                continue
            send_command(app, command.name, command.payload, signature=command.signature)
            record(store, system_clock(), kept, command)
            sent.append((kept, command))
    output.resubmitted(sent, refused, as_json=as_json)
    raise SystemExit(EXIT_FAILED if refused else 0)


GROUP = quarantine
