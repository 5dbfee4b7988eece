"""Messages that were refused: kept whole, and answered with `agreement.rejected`.

The same message is kept once, however often it comes, with the newest error. Its event waits in `outbox/` until it is
published. What was kept is read and sent again by `resubmission`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from service.domain.log import timestamp
from service.domain.signals import COMMANDS
from service.errors import AlreadyExists, CommandRejected, NotFound
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
    same message is kept once, however often it comes. Refused for the same reason it is answered with the same
    event; refused for another one, the newest error is kept, and the event is a new one.
    """
    services.signals.count(COMMANDS, name, "refused", error.code)
    identity = rejection_id(name, message)
    key = f"quarantine/{identity}.json"
    told = json.loads(json.dumps(error.as_json()))
    kept = _kept(services, key)
    while kept is None or kept.get("error") != told:
        if kept and services.store.exists(f"outbox/{identity}"):
            publish_rejection(services, identity)  # the answer that is about to be replaced
        event = _rejected_event(services, message, error, identity, before=kept)
        body = {
            "v": 1,
            "received_at": event["time"],
            "task": name,
            "message": message,
            "signature": signature or (kept or {}).get("signature"),
            "error": told,
            "event": event,
        }
        encoded = json.dumps(body, sort_keys=True).encode()
        services.store.put(f"outbox/{identity}", b"")
        if kept is not None:
            services.store.put(key, encoded)
            kept = body
            break
        try:
            services.store.create(key, encoded)
        except AlreadyExists:  # another worker has the same message
            kept = _kept(services, key)
        else:
            kept = body
    services.store.put(f"outbox/{identity}", b"")
    return _publish(services, identity, kept["event"])


def _kept(services: Services, key: str) -> dict[str, Any] | None:
    """What is kept of the message, `{}` when it cannot be read, None when nothing is."""
    try:
        kept = json.loads(services.store.get(key))
    except NotFound:
        return None
    except ValueError:
        return {}
    return kept if isinstance(kept, dict) else {}


def rejection_id(name: str, message: object) -> str:
    """The name in quarantine of this message, should it be refused (64 hex digits)."""
    return hashlib.sha256(json.dumps([name, message], sort_keys=True).encode()).hexdigest()


def _rejected_event(
    services: Services,
    message: object,
    error: CommandRejected,
    identity: str,
    *,
    before: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """The answer. Its id is the same for the same errors in the same order, so that no crash makes a second one."""
    command_id = valid_command_id(message)
    previous = before.get("event", {}).get("id") if before else None
    reason = hashlib.sha256(json.dumps([previous, error.as_json()], sort_keys=True).encode()).hexdigest()
    return {
        "specversion": "1.0",
        "id": f"rejected.{identity}.{reason[:16]}",
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
    return _publish(services, identity, event)


def _publish(services: Services, identity: str, event: dict[str, Any]) -> dict[str, Any]:
    services.publisher.publish(event)
    services.store.delete(f"outbox/{identity}")
    return event


def rejections(services: Services) -> Iterator[str]:
    """The messages in quarantine whose event may not have been published."""
    for key in services.store.list("outbox/"):
        yield key.removeprefix("outbox/")
