"""Commands as they come off the queue: checked whole, every fault named at once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cache
from typing import Any

from marshmallow import ValidationError

from service.domain.intake_rules import check_agreement
from service.errors import CommandRejected, FieldError
from service.schemas.agreement import AgreementSchema
from service.schemas.amendments import (
    AmendmentSection,
    AmendSchema,
    TerminateSchema,
    TerminationSection,
)
from service.schemas.fields import Obj, StrictSchema, Uuid, messages_by_path
from service.schemas.following import FollowUpDoneSchema
from service.schemas.signing import (
    AttachPaperSchema,
    CancelSchema,
    CompleteSignatureSchema,
    DeclineSchema,
    Evidence,
    SigningPlan,
    SignSchema,
)

__all__ = [
    "COMMAND_SCHEMAS",
    "Command",
    "SubmitSchema",
    "check_evidence",
    "check_version_data",
    "load_agreement",
    "load_command",
    "valid_command_id",
]

MAX_ERRORS = 100
"""Faults named in one answer; a producer that mends these learns of the rest."""

_SAFE_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")
_MAX_DIGITS_IN_NAME = 5
_CODE = re.compile(r"[a-z_]+")
_ROOT = "$"


class SubmitSchema(StrictSchema):
    """The command `submit`: a new agreement, to be made into a document and signed."""

    command_id = Uuid(
        "The producer's id of this command. The same id again, with the same content, is answered once.",
        required=True,
    )
    agreement = Obj(AgreementSchema, required=True)
    signing = Obj(SigningPlan)


@dataclass(frozen=True)
class Command:
    """A command that keeps every rule.

    `values` is the JSON object that was sent, its texts trimmed and composed (see `text.Text`); `command_id` is a
    UUID in lower case.
    """

    name: str
    command_id: str
    values: Mapping[str, Any] = field(repr=False)


def load_command(name: str, payload: object, *, today: date) -> Command:
    """The command of this name, or `CommandRejected`.

    `payload` is what was in the message, read as JSON. `today` is the date in Norway. The error names every
    fault, up to 100; paths start at `command_id` or `agreement`, and a fault of the whole is at `$`.
    """
    try:
        schema = COMMAND_SCHEMAS[name]
    except (KeyError, TypeError):
        raise CommandRejected(
            "There is no command of this name.",
            [FieldError(_ROOT, "unknown_command", f"Send one of: {', '.join(COMMAND_SCHEMAS)}.")],
            code="unknown_command",
        ) from None
    if not isinstance(payload, dict):
        raise _rejected([FieldError(_ROOT, "wrong_type", "Send the command as a JSON object.")])
    errors, valid = _check_shape(_schema(schema), payload)
    errors += _check_rules(name, payload, valid, today)
    if errors:
        raise _rejected(errors)
    return Command(name, valid["command_id"], valid)


def load_agreement(data: dict[str, Any], *, today: date, root: str) -> dict[str, Any]:
    """An agreement that keeps every rule, its texts trimmed and composed. Raises `CommandRejected`.

    `today` is the date in Norway by which dates are judged; the faults' paths start at `root`.
    """
    errors, valid = _check_shape(_schema(AgreementSchema), data)
    faults = [(e.path, e) for e in errors]
    faults += [(e.path.removeprefix("agreement."), e) for e in check_agreement(valid, data, today=today)]
    if faults:
        raise _rejected([replace(e, path=root if path == _ROOT else f"{root}.{path}") for path, e in faults])
    return valid


def check_version_data(data: Mapping[str, Any], *, today: date, root: str) -> None:
    """As `load_agreement`, for the data of any version: with the sections that the service adds.

    Raises `CommandRejected`.
    """
    own = {name: data[name] for name in _SECTIONS if name in data}
    faults = []
    for name, section in own.items():
        errors, _ = _check_shape(_schema(_SECTIONS[name]), section)
        faults += [replace(e, path=f"{root}.{name}.{e.path}") for e in errors]
    if faults:
        raise _rejected(faults)
    load_agreement({k: v for k, v in data.items() if k not in own}, today=today, root=root)


def check_evidence(evidence: object) -> None:
    """Raise `CommandRejected`, as `load_command` does, unless this is evidence that a command can have."""
    if not isinstance(evidence, dict):
        raise _rejected([FieldError("evidence", "wrong_type", "Send the evidence as a JSON object.")])
    errors, _ = _check_shape(_schema(Evidence), evidence)
    if errors:
        raise _rejected(
            replace(e, path="evidence" if e.path == _ROOT else f"evidence.{e.path}") for e in errors
        )


def valid_command_id(payload: object) -> str | None:
    """The command's id, even of a payload that is refused; None where there is no valid one."""
    sent = payload.get("command_id") if isinstance(payload, Mapping) else None
    try:
        return Uuid("").deserialize(sent)
    except ValidationError:
        return None


_SECTIONS: Mapping[str, type[StrictSchema]] = {
    "amendment": AmendmentSection,
    "termination": TerminationSection,
}


def _check_rules(
    name: str, payload: dict[str, Any], valid: Mapping[str, Any], today: date
) -> list[FieldError]:
    """The faults that no single field shows."""
    if name == "submit" and isinstance(payload.get("agreement"), dict):
        return list(check_agreement(valid.get("agreement") or {}, payload["agreement"], today=today))
    if name == "complete-signature":
        return _check_answer(payload)
    if name == "sign" and (valid.get("on_behalf") or {}).get("informed") is False:
        return [FieldError("on_behalf.informed", "not_informed", "Inform the party first; it has to agree.")]
    return []


def _check_answer(payload: Mapping[str, Any]) -> list[FieldError]:
    """What goes together in `complete-signature`."""
    if sum(name in payload for name in ("signature", "cms", "authorization")) != 1:
        return [FieldError(_ROOT, "one_of", "Send one of signature, cms and authorization.")]
    came = payload.get("authorization")
    if came is None:
        needed = {"prepared": "prepared" in payload or "authorization" in payload}
    elif not isinstance(came, Mapping):
        return []  # that is a fault by itself
    elif ("code" in came) == ("error" in came):
        return [FieldError("authorization", "one_of", "Send either code or error.")]
    else:
        needed = {"authorization.state": "state" in came or "error" in came}
    return [FieldError(path, "required", "Send this field.") for path, given in needed.items() if not given]


COMMAND_SCHEMAS: Mapping[str, type[StrictSchema]] = {
    "submit": SubmitSchema,
    "sign": SignSchema,
    "complete-signature": CompleteSignatureSchema,
    "attach-paper": AttachPaperSchema,
    "decline": DeclineSchema,
    "cancel": CancelSchema,
    "amend": AmendSchema,
    "terminate": TerminateSchema,
    "follow-up-done": FollowUpDoneSchema,
}


@cache
def _schema(schema: type[StrictSchema]) -> StrictSchema:
    """Made once: putting the fields together takes longer than loading a command."""
    return schema()


def _check_shape(schema: StrictSchema, payload: dict[str, Any]) -> tuple[list[FieldError], dict[str, Any]]:
    """The faults of single fields, and what is valid among the rest."""
    try:
        return [], schema.load(payload)
    except ValidationError as exc:
        errors = [_field_error(path, message) for path, message in messages_by_path(exc.messages_dict)]
        valid = exc.valid_data
        return errors, valid if isinstance(valid, dict) else {}


def _field_error(path: tuple[Any, ...], message: object) -> FieldError:
    code, separator, text = str(message).partition(": ")
    if not (separator and _CODE.fullmatch(code)):
        # Not one of our own messages: it may quote what was sent, so it is not passed on.
        code, text = "invalid", "This value cannot be used. See the command's JSON Schema."
    return FieldError(".".join(_shown(step) for step in path) or _ROOT, code, text)


def _shown(step: object) -> str:
    """A step of a path. Names of unknown fields come from the producer and may hold personal data."""
    if isinstance(step, int):
        return str(step)
    name = step if isinstance(step, str) else ""
    few_digits = sum(c.isdigit() for c in name) <= _MAX_DIGITS_IN_NAME
    return name if few_digits and _SAFE_NAME.fullmatch(name) else "?"


def _rejected(errors: Iterable[FieldError]) -> CommandRejected:
    found = sorted(set(errors), key=lambda e: (_sorting(e.path), e.code))
    shown = found[:MAX_ERRORS]
    if len(found) > MAX_ERRORS:
        shown.append(
            FieldError(_ROOT, "more_errors", f"There are {len(found) - MAX_ERRORS} more. Mend these first.")
        )
    first = shown[0]
    count = "1 fault" if len(found) == 1 else f"{len(found)} faults"
    return CommandRejected(f"The command has {count}. First: {first.path}: {first.message}", shown)


def _sorting(path: str) -> list[tuple[int, str]]:
    """List items by number, names by alphabet."""
    return [(int(step), "") if step.isdecimal() else (-1, step) for step in path.split(".")]
