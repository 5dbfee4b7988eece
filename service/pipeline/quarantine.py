"""Messages that were refused: kept whole, and answered with `agreement.rejected`.

The same message is kept once, however often it comes. Its event waits in `outbox/` until it is published.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from typing import Any

from service.domain.log import timestamp
from service.errors import AlreadyExists, CommandRejected
from service.pipeline.services import Services
from service.schemas import valid_command_id

__all__ = ["publish_rejection", "reject", "rejection_id", "rejections"]


def reject(
    services: Services,
    name: str,
    message: object,
    error: CommandRejected,
    *,
    signature: str | None = None,
) -> dict[str, Any]:
    """Keep a refused message in quarantine and answer it with `agreement.rejected`; returns the event.

    `message` is the command's payload, or the raw message (headers and body) of what is no command, as JSON. The
    same message is kept once, however often it comes, and its event keeps its id.
    """
    identity = rejection_id(name, message)
    event = _rejected_event(services, message, error, identity)
    body = {
        "v": 1,
        "received_at": event["time"],
        "task": name,
        "message": message,
        "signature": signature,
        "error": error.as_json(),
        "event": event,
    }
    services.store.put(f"outbox/{identity}", b"")
    with contextlib.suppress(AlreadyExists):
        services.store.create(f"quarantine/{identity}.json", json.dumps(body, sort_keys=True).encode())
    return publish_rejection(services, identity)


def rejection_id(name: str, message: object) -> str:
    """The name in quarantine of this message, should it be refused (64 hex digits)."""
    return hashlib.sha256(json.dumps([name, message], sort_keys=True).encode()).hexdigest()


def _rejected_event(
    services: Services, message: object, error: CommandRejected, identity: str
) -> dict[str, Any]:
    command_id = valid_command_id(message)
    return {
        "specversion": "1.0",
        "id": f"rejected.{identity}",
        "source": "/signert",
        "type": "agreement.rejected",
        "subject": command_id or identity,
        "time": timestamp(services.clock.now()),
        "datacontenttype": "application/json",
        "data": {
            "command_id": command_id,
            "code": error.code,
            "message": error.message,
            "errors": [e.as_json() for e in error.errors],
            "quarantine": f"quarantine/{identity}.json",
        },
    }


def publish_rejection(services: Services, identity: str) -> dict[str, Any]:
    """Publish the event of a message in quarantine, and forget that it waits. Raises `StoreError`, `NotFound`."""
    event: dict[str, Any] = json.loads(services.store.get(f"quarantine/{identity}.json"))["event"]
    services.publisher.publish(event)
    services.store.delete(f"outbox/{identity}")
    return event


def rejections(services: Services) -> Iterator[str]:
    """The messages in quarantine whose event may not have been published."""
    for key in services.store.list("outbox/"):
        yield key.removeprefix("outbox/")
