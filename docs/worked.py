"""The worked example: one command as it goes over the wire, and the events that answer it."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from service.entrypoints.consumer import COMMAND_PREFIX
from service.entrypoints.tasks import COMMANDS
from service.schemas.events import EVENT_SCHEMAS
from service.transport import Broker

__all__ = ["AGREEMENT_ID", "COMMAND_ID", "body", "events", "headers", "properties"]

COMMAND_ID = "0f8c1f52-6f0e-4c0b-9d51-3a2f4f7a9b60"
AGREEMENT_ID = "5f0c7f0a-91d4-4b53-8d0e-6a1b2c3d4e5f"

_DOCS = Path(__file__).resolve().parent


def headers(name: str) -> dict[str, str]:
    """The message's application headers."""
    return {"id": COMMAND_ID, "task": f"{COMMAND_PREFIX}{name}"}


def properties(name: str) -> dict[str, Any]:
    """How the message is published: method arguments of basic.publish, then the message's properties."""
    queue = Broker("amqps://broker.example/").queue(COMMANDS)
    return {
        "exchange": queue.exchange.name,
        "routing_key": queue.routing_key,
        "mandatory": True,
        "properties": {
            "content_type": "application/json",
            "content_encoding": "utf-8",
            "delivery_mode": 2,
            "headers": headers(name),
        },
    }


def body(name: str) -> list[Any]:
    """The message's body."""
    commands = {"submit": {"command_id": COMMAND_ID, "agreement": {"id": AGREEMENT_ID, **_agreement()}}}
    return [[], {"command": commands[name]}, {}]


@cache
def events() -> dict[str, dict[str, Any]]:
    """One event of each type, by type. Raises `KeyError` that names a type without an example."""
    path = _DOCS / "event-examples.json"
    told = {event["type"]: event for event in json.loads(path.read_text(encoding="utf-8"))}
    if missing := EVENT_SCHEMAS.keys() - told.keys():
        raise KeyError(f"add to {path.name} an example of: {', '.join(sorted(missing))}")
    return {name: told[name] for name in EVENT_SCHEMAS}


def _agreement() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((_DOCS.parent / "examples/minimal.json").read_text(encoding="utf-8"))
    return found
