"""Messages in quarantine, looked at by people and sent again.

That a message was sent again stands in `resubmitted/{id of the message}/{command id}.{hash of what was sent}`. What
became of it tells the command's claim: it is there once the command was taken in.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import rfc8785

from service.domain.log import canonical, timestamp
from service.domain.ports import Clock, ObjectStore
from service.errors import NotFound, SignertError, StoreError
from service.schemas.commands import COMMAND_SCHEMAS, valid_command_id

__all__ = [
    "Command",
    "Kept",
    "NotResubmittable",
    "Resubmission",
    "Wire",
    "command_again",
    "find_kept",
    "kept_messages",
    "record",
]

MALFORMED: Final = "malformed"
"""The task of what is no command: the raw message was kept."""
_NAMESPACE: Final = uuid.UUID("5b0c9a0e-3a52-5f0b-8e0e-2f7e1f0a6d43")
"""For the ids of corrected commands that cannot keep theirs: the same correction again is the same command."""
_PREFIX: Final = re.compile(r"[0-9a-f]{1,64}")


class Unreadable(StoreError):
    """What is in quarantine is not what this service writes there."""

    code = "quarantine_unreadable"
    retryable = False


class NotResubmittable(SignertError):
    """There is no command in this message that could be sent."""

    code = "not_resubmittable"


@dataclass(frozen=True)
class Resubmission:
    """A command that was sent again. `agreement_id` is the agreement that took it in, None while none has."""

    command_id: str
    at: str
    corrected: bool
    agreement_id: str | None


@dataclass(frozen=True)
class Kept:
    """A message in quarantine. `message` and `signature` may hold personal data; the rest does not.

    `task` is the command's name, or `malformed` for a message that is none: then `message` has its headers, its content
    type and its body in base64. `error` and `event` are as JSON.
    """

    id: str
    received_at: str
    task: str
    error: Mapping[str, Any]
    event: Mapping[str, Any]
    message: Any = field(repr=False)
    signature: str | None = field(repr=False)
    resubmissions: tuple[Resubmission, ...] = ()

    @property
    def code(self) -> str:
        return str(self.error.get("code"))

    @property
    def command_id(self) -> str | None:
        found: str | None = self.event["data"].get("command_id")
        return found


@dataclass(frozen=True)
class Command:
    """A command to be sent. `corrected` says that its data are not those of the message."""

    name: str
    command_id: str
    payload: Mapping[str, Any] = field(repr=False)
    signature: str | None = field(repr=False)
    corrected: bool = False


@dataclass(frozen=True)
class Wire:
    """How commands look on the queue: what the names of their tasks start with, and the bytes of a body at most."""

    task_prefix: str
    max_message: int


# --- looking ----------------------------------------------------------------------------------------------


def kept_messages(store: ObjectStore) -> Iterator[Kept]:
    """All messages in quarantine, by id. One that cannot be read is left out: `signert fsck` names it."""
    again = {key.split("/")[1] for key in store.list("resubmitted/")}
    for key in store.list("quarantine/"):
        identity = key.removeprefix("quarantine/").removesuffix(".json")
        try:
            yield _load(store, identity, resubmitted=identity in again)
        except (NotFound, Unreadable):  # `NotFound`: it was removed meanwhile
            continue


def find_kept(store: ObjectStore, prefix: str) -> Kept:
    """The one message whose id starts so. Raises `NotFound`, `StoreError`, and `SignertError` where there are more."""
    keys = list(store.list(f"quarantine/{prefix}")) if _PREFIX.fullmatch(prefix) else []
    if not keys:
        raise NotFound(
            f"there is no message '{prefix}' in quarantine", remedy="See `signert quarantine list`."
        )
    if len(keys) > 1:
        raise SignertError(
            f"there are {len(keys)} messages in quarantine whose ids start with '{prefix}'",
            code="ambiguous",
            remedy="Give more of the id.",
        )
    return _load(store, keys[0].removeprefix("quarantine/").removesuffix(".json"), resubmitted=True)


def _load(store: ObjectStore, identity: str, *, resubmitted: bool) -> Kept:
    key = f"quarantine/{identity}.json"
    try:
        kept = json.loads(store.get(key))
        found = Kept(
            id=identity,
            received_at=str(kept["received_at"]),
            task=str(kept["task"]),
            error={**kept["error"]},
            event={**kept["event"], "data": {**kept["event"]["data"]}},
            message=kept["message"],
            signature=kept.get("signature"),
            resubmissions=tuple(_resubmissions(store, identity)) if resubmitted else (),
        )
    except (ValueError, TypeError, KeyError, RecursionError) as exc:
        raise Unreadable(
            f"{key} cannot be read: {type(exc).__name__}",
            remedy="Restore it from a backup; see `signert fsck`.",
        ) from exc
    return found


def _resubmissions(store: ObjectStore, identity: str) -> Iterator[Resubmission]:
    """Oldest first."""
    found = []
    for key in store.list(f"resubmitted/{identity}/"):
        sent = json.loads(store.get(key))
        command_id = key.rpartition("/")[2].partition(".")[0]
        claim = _claim(store, command_id)
        taken_in = claim is not None and claim["payload_sha256"] == sent["payload_sha256"]
        agreement_id = claim["agreement_id"] if claim and taken_in else None
        found.append(Resubmission(command_id, sent["at"], sent["corrected"], agreement_id))
    yield from sorted(found, key=lambda r: r.at)


def _claim(store: ObjectStore, command_id: str) -> dict[str, str] | None:
    try:
        claim: dict[str, str] = json.loads(store.get(f"commands/{command_id}.json"))
    except NotFound:
        return None
    return claim


# --- sending again ----------------------------------------------------------------------------------------


def command_again(
    store: ObjectStore, kept: Kept, wire: Wire, *, agreement: Mapping[str, Any] | None = None
) -> Command:
    """The command in the message, to be sent as it was; with `agreement`, corrected: with these data instead.

    A corrected command keeps its id where it has one that does not stand for something else already; it has no
    signature, as what its case system signed are other data. Raises `NotResubmittable`.
    """
    if agreement is not None:
        return _corrected(store, kept, agreement, wire)
    name, payload, signature = _original(kept, wire)
    command_id = valid_command_id(payload)
    if command_id is None:
        raise _refused("it has no valid command id")
    return Command(name, command_id, payload, signature)


def _corrected(store: ObjectStore, kept: Kept, agreement: Mapping[str, Any], wire: Wire) -> Command:
    try:
        name, original, _ = _original(kept, wire)
    except NotResubmittable:
        name, original = "submit", {}
    if name != "submit":
        raise NotResubmittable(
            f"a corrected agreement cannot be sent in the place of the command '{name}'",
            remedy="Send the message as it is, or have the case system send another one.",
        )
    command_id = valid_command_id(original)
    payload = {"command_id": command_id, "agreement": agreement}
    claim = _claim(store, command_id) if command_id else None
    if command_id is None or (claim and claim["payload_sha256"] != _sha256(payload)):
        command_id = str(uuid.uuid5(_NAMESPACE, f"{kept.id} {_sha256(agreement)}"))
    return Command(name, command_id, {**payload, "command_id": command_id}, None, corrected=True)


def _original(kept: Kept, wire: Wire) -> tuple[str, Mapping[str, Any], str | None]:
    """Name, payload and signature of the command that was sent."""
    if kept.task == MALFORMED:
        return _from_raw(kept.message, wire)
    if kept.task not in COMMAND_SCHEMAS:
        raise _refused("it is of a task that this release does not know")
    payload, signature = kept.message, kept.signature
    if "wrong_arguments" in _codes(kept):
        payload, signature = _from_arguments(kept.message)
    if not isinstance(payload, dict):
        raise _refused("its command is no JSON object")
    return kept.task, payload, signature


def _codes(kept: Kept) -> list[Any]:
    detail = kept.error.get("detail", {})
    return [error.get("code") for error in detail.get("errors", [])]


def _from_raw(message: Any, wire: Wire) -> tuple[str, Mapping[str, Any], str | None]:
    """The command in a raw message of Celery's message protocol 2, whose body is `[args, kwargs, embed]`."""
    task = str(message["headers"].get("task", ""))
    name = task.removeprefix(wire.task_prefix)
    if not task.startswith(wire.task_prefix) or name not in COMMAND_SCHEMAS:
        raise _refused("its headers name no task that takes commands")
    body = base64.b64decode(message["body_base64"])
    if len(body) > wire.max_message:
        raise _refused(f"it is larger than {wire.max_message} bytes")
    try:
        args, kwargs, _ = json.loads(body)
    except (ValueError, TypeError, RecursionError):
        raise _refused("its body is not [args, kwargs, embed] in JSON") from None
    payload, signature = _from_arguments({"args": args, "kwargs": kwargs})
    return name, payload, signature


def _from_arguments(message: Any) -> tuple[Mapping[str, Any], str | None]:
    kwargs = message["kwargs"]
    payload = kwargs.get("command") if isinstance(kwargs, dict) else None
    if not isinstance(payload, dict):
        raise _refused("it has no JSON object as its keyword argument 'command'")
    signature = kwargs.get("signature")
    return payload, signature if isinstance(signature, str) else None


def _refused(why: str) -> NotResubmittable:
    return NotResubmittable(
        f"the message cannot be sent again: {why}",
        remedy="Give the agreement in a file of its own (--file), or have the case system send it anew.",
    )


def record(store: ObjectStore, clock: Clock, kept: Kept, command: Command) -> None:
    """Mark that the message was sent again as this command."""
    sha256 = _sha256(command.payload)
    body = {
        "v": 1,
        "at": timestamp(clock.now()),
        "corrected": command.corrected,
        "payload_sha256": sha256,
    }
    store.put(f"resubmitted/{kept.id}/{command.command_id}.{(sha256 or 'unhashed')[:16]}", canonical(body))


def _sha256(value: Any) -> str | None:
    """As a claim has it; None for what is not canonical JSON, which no worker takes in."""
    try:
        return hashlib.sha256(rfc8785.dumps(value)).hexdigest()
    except (rfc8785.CanonicalizationError, RecursionError, UnicodeEncodeError):
        return None
