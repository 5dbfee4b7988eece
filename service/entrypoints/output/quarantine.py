"""What is said of refused messages. Of what they say themselves: nothing, unless it is asked for."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from service.entrypoints.output.text import print_json
from service.errors import SignertError

if TYPE_CHECKING:
    from service.pipeline.resubmission import Command, Kept, Resubmission

__all__ = ["KeptLine", "kept_list", "kept_message", "resubmitted"]

_SHORT = 12
"""Characters of an id that are shown in lists: enough to tell 2**24 messages apart."""
_PLAIN_HEADERS: Final = frozenset({"id", "task", "lang", "root_id", "parent_id", "retries", "eta", "expires"})
"""Headers of Celery's protocol that hold no arguments; `argsrepr` and `kwargsrepr` do."""
_PLAIN: Final = re.compile(r"[\w.:+@-]{0,100}", re.ASCII)


@dataclass(frozen=True)
class KeptLine:
    """What a list shows of one message."""

    id: str
    received_at: str
    task: str
    code: str
    command_id: str | None
    resubmissions: tuple[Resubmission, ...]

    @classmethod
    def of(cls, kept: Kept) -> KeptLine:
        return cls(kept.id, kept.received_at, kept.task, kept.code, kept.command_id, kept.resubmissions)

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "received_at": self.received_at,
            "task": self.task,
            "code": self.code,
            "command_id": self.command_id,
            "resubmitted": [vars(r) for r in self.resubmissions],
        }


def kept_list(
    lines: Sequence[KeptLine], codes: Mapping[str, int], *, code: str | None, as_json: bool
) -> None:
    """`codes` counts all messages by their error code, shown or not."""
    by_code = dict(sorted(codes.items(), key=lambda item: (-item[1], item[0])))
    total = sum(by_code.values())
    if as_json:
        print_json({"messages": [line.as_json() for line in lines], "total": total, "by_code": by_code})
        return
    width = max((len(line.code) for line in lines), default=0)
    for line in lines:
        click.echo(
            f"{line.id[:_SHORT]}  {line.received_at}  {line.task:9}  {line.code:{width}}  {line.command_id or '-'}"
        )
        if line.resubmissions:
            click.echo(f"{'':{_SHORT}}  {_again(line.resubmissions[-1])}")
    matching = by_code.get(code, 0) if code else total
    if matching > len(lines):
        click.echo(f"… and {matching - len(lines)} older (--limit)")
    told = ", ".join(f"{number} {name}" for name, number in by_code.items())
    click.echo(f"{total} in quarantine{f': {told}' if told else ''}")


def _again(last: Resubmission) -> str:
    became = f"agreement {last.agreement_id}" if last.agreement_id else "not taken in so far"
    corrected = ", corrected," if last.corrected else ""
    return f"sent again{corrected} {last.at} as command {last.command_id}: {became}"


def kept_message(kept: Kept, *, waiting: bool, content: bool, as_json: bool) -> None:
    """`waiting` says that the event may not be published yet."""
    headers = kept.message.get("headers") if kept.task == "malformed" else None
    shown = _headers(headers) if isinstance(headers, Mapping) else None
    if as_json:
        body = {
            **KeptLine.of(kept).as_json(),
            "error": dict(kept.error),
            "event": dict(kept.event),
            "event_waits": waiting,
            "signed": kept.signature is not None,
            "headers": shown,
        }
        print_json({**body, "message": _content(kept)} if content else body)
        return
    click.echo(f"Message {kept.id}")
    click.echo(f"  received  {kept.received_at}")
    click.echo(f"  task      {kept.task}{', signed' if kept.signature else ''}")
    click.echo(f"  command   {kept.command_id or 'no valid id'}")
    click.echo(f"Error {kept.code}: {kept.error.get('message')}")
    for error in kept.error.get("detail", {}).get("errors", []):
        click.echo(f"  {error['path']}: {error['message']} [{error['code']}]")
    click.echo(f"Event {kept.event['type']}, {'waits to be published' if waiting else 'published'}")
    click.echo(f"  id        {kept.event['id']}")
    click.echo(f"  subject   {kept.event['subject']}")
    click.echo(f"  time      {kept.event['time']}")
    if shown is not None:
        click.echo("Headers")
        for name, value in shown.items():
            click.echo(f"  {name:16} {'(see --content)' if value is None else value}")
    for resubmission in kept.resubmissions:
        click.echo(_again(resubmission).capitalize())
    if content:
        click.echo("Message")
        click.echo(json.dumps(_content(kept), ensure_ascii=False, indent=2))


def _headers(headers: Mapping[str, Any]) -> dict[str, str | None]:
    """The headers, with None in place of values that may hold what the message says."""
    shown: dict[str, str | None] = {}
    for name, value in headers.items():
        if _PLAIN.fullmatch(name):
            text = str(value)
            shown[name] = text if name in _PLAIN_HEADERS and _PLAIN.fullmatch(text) else None
    return shown


def _content(kept: Kept) -> Any:
    """The message; the body of a raw one as text where it is text."""
    if kept.task != "malformed":
        return kept.message
    message = dict(kept.message)
    try:
        text = base64.b64decode(message["body_base64"]).decode()
    except (ValueError, KeyError):
        return message
    del message["body_base64"]
    return {**message, "body": text}


def resubmitted(
    sent: Sequence[tuple[Kept, Command]], refused: Sequence[tuple[Kept, SignertError]], *, as_json: bool
) -> None:
    if as_json:
        print_json(
            {
                "sent": [
                    {"id": k.id, "task": c.name, "command_id": c.command_id, "corrected": c.corrected}
                    for k, c in sent
                ],
                "refused": [{"id": k.id, **exc.as_json()} for k, exc in refused],
            }
        )
        return
    for kept, command in sent:
        corrected = " corrected" if command.corrected else ""
        click.echo(f"{kept.id[:_SHORT]}  sent again{corrected} as command {command.command_id}")
    for kept, exc in refused:
        click.echo(f"{kept.id[:_SHORT]}  not sent: {exc.message} [{exc.code}]", err=True)
        click.echo(f"{'':{_SHORT}}  What to do: {exc.remedy}", err=True)
    if sent:
        click.echo(
            "On the queue; a worker will take it in. See `signert quarantine list` for what became of it."
        )
    elif not refused:
        click.echo("Nothing to send: every message was sent again before. Name it to send it once more.")
