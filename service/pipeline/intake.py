"""Commands in: validate, claim the command's id, append its entry. What is refused goes to `quarantine`.

Order matters, for a crash may come between any two lines: the data first, then the claim that names it (only
valid commands are claimed, so a claimed one need not be validated again), then the work marker, then the entry.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import rfc8785

from service.domain.agreement import fold
from service.domain.presentation import ROLES
from service.domain.sender import Sender
from service.domain.template import Manifest
from service.errors import (
    AlreadyExists,
    CommandRejected,
    FieldError,
    NotFound,
    TemplateError,
)
from service.pipeline.ledger import Draft, Raced
from service.pipeline.senders import check_case_system
from service.pipeline.services import Services
from service.pipeline.work import Marker
from service.schemas import load_command, valid_command_id

_UNKNOWN = {"unknown_template": "template", "unknown_language": "language"}
NORWAY = ZoneInfo("Europe/Oslo")

__all__ = [
    "agreement_id_of",
    "claimed",
    "receive",
    "resume",
]

_NAMESPACE = uuid.UUID("6d2f2f0e-6a53-5c0e-9d0a-4b1d5a9f7c11")
"""For the ids of agreements whose producer gave none: the same command gets the same id."""


@dataclass(frozen=True)
class Claim:
    """`commands/{command_id}.json`: what this command id stands for, once and for all."""

    command: str
    command_id: str
    payload_sha256: str
    agreement_id: str
    input_sha256: str
    producer: str | None
    """Who signed the command; None when it was not signed."""

    @property
    def key(self) -> str:
        return f"commands/{self.command_id}.json"


def receive(services: Services, name: str, payload: object, *, signature: object = None) -> Marker:
    """Take in the command `name`; returns the marker with which to `drive` its agreement.

    `signature` is what came with it, None when nothing did (see `adapters/producers.py`).

    Safe to repeat: the same command again leads to the same marker and no second entry. Raises `CommandRejected`
    (hand it to `quarantine.reject`), and retryable `StoreError`.
    """
    try:
        digest = hashlib.sha256(rfc8785.dumps(payload)).hexdigest()  # type: ignore[arg-type]
    except (rfc8785.CanonicalizationError, RecursionError, UnicodeEncodeError):
        digest = None  # numbers, texts or nesting that no JSON should have: the schema says where
    sender = _sender(services, name, payload, signature)
    claim = claimed(services, payload) if digest else None
    if claim is None:
        services.senders.check_age(sender, now=services.clock.now())
        claim = _claim(services, name, payload, digest, sender)
    if (claim.command, claim.payload_sha256) != (name, digest):
        raise CommandRejected(
            "this command id was used before, for something else",
            [FieldError("command_id", "command_id_reused", "Give every new command an id of its own.")],
            code="command_id_reused",
        )
    return _append(services, claim)


def agreement_id_of(payload: Mapping[str, Any]) -> str | None:
    """The id that the agreement of a `submit` has or will get; None for a payload that no schema lets through."""
    command_id = valid_command_id(payload)
    agreement = payload.get("agreement")
    given = agreement.get("id") if isinstance(agreement, Mapping) else None
    try:
        return str(uuid.UUID(given) if given else uuid.uuid5(_NAMESPACE, str(command_id)))
    except (ValueError, TypeError, AttributeError):
        return None


def resume(services: Services, marker: Marker) -> Marker | None:
    """Finish taking in a command whose first entry a crash kept from the log; None when there is no such claim."""
    try:
        claim = Claim(**json.loads(services.store.get(f"commands/{marker.run}.json")))
    except NotFound:
        return None
    return _append(services, claim)


def claimed(services: Services, payload: object) -> Claim | None:
    """What the command id of `payload` stands for already, if anything."""
    command_id = valid_command_id(payload)
    if command_id is None:
        return None
    try:
        return Claim(**json.loads(services.store.get(f"commands/{command_id}.json")))
    except NotFound:
        return None


def _sender(services: Services, name: str, payload: object, signature: object) -> Sender | None:
    command = payload if isinstance(payload, Mapping) else {}
    return services.senders.identify(name, command, signature, now=services.clock.now())


def _claim(
    services: Services, name: str, payload: object, digest: str | None, sender: Sender | None
) -> Claim:
    command = load_command(name, payload, today=services.clock.now().astimezone(NORWAY).date())
    check_case_system(sender, command.agreement["case"]["system"], "agreement.case.system")
    _template(services, command.agreement)
    if digest is None:
        raise CommandRejected(
            "the command is not JSON that every system reads the same",
            [FieldError("$", "not_canonical", "Use text, whole numbers below 2**53 and plain nesting.")],
        )
    agreement_id = agreement_id_of(command.payload)
    assert agreement_id is not None
    data = rfc8785.dumps({**command.agreement, "id": agreement_id})
    claim = Claim(
        command=name,
        command_id=command.command_id,
        payload_sha256=digest,
        agreement_id=agreement_id,
        input_sha256=services.ledger.put_blob(agreement_id, data, "json"),
        producer=sender.name if sender else None,
    )
    try:
        services.store.create(claim.key, rfc8785.dumps(vars(claim)))
    except AlreadyExists:
        claim = Claim(**json.loads(services.store.get(claim.key)))
    return claim


def _append(services: Services, claim: Claim) -> Marker:
    data = services.ledger.get_json(claim.agreement_id, claim.input_sha256)
    manifest = _template(services, data)
    _index(services, data)
    try:
        agreement = fold(services.ledger.read(claim.agreement_id))
    except NotFound:
        marker = services.workbook.begin(claim.agreement_id, claim.command_id, since=0)
        try:
            services.ledger.append(claim.agreement_id, None, _submitted(claim, data, manifest), version=1)
        except Raced:
            services.workbook.end(marker)
            return _append(services, claim)
        return marker
    if claim.command_id not in agreement.commands:
        raise CommandRejected(
            "there is already an agreement of this id",
            [
                FieldError(
                    "agreement.id", "agreement_exists", "Leave the id out, or use one that is not taken."
                )
            ],
            code="agreement_exists",
        )
    return services.workbook.begin(claim.agreement_id, claim.command_id, since=agreement.head.seq + 1)


def _template(services: Services, data: Mapping[str, Any]) -> Manifest:
    """The manifest of the template asked for. Raises `CommandRejected` when it does not fit the agreement."""
    asked = data["template"]
    try:
        manifest = services.templates.get(asked["name"], asked["version"], data["language"]).manifest
    except TemplateError as exc:
        if exc.code not in _UNKNOWN:
            raise
        raise _refused(_UNKNOWN[exc.code], exc.code, f"{exc.message} {exc.remedy}") from exc
    if manifest.kind != "agreement":
        raise _refused("template.name", "unknown_template", "This template is not for agreements.")
    if data["measure"] not in manifest.measures:
        served = ", ".join(manifest.measures)
        raise _refused("measure", "measure_not_served", f"The template is for: {served}.")
    for role, rule in manifest.parties.items():
        if rule.required and role not in data["parties"]:
            raise _refused(f"parties.{role}", "required", "The template needs this party.")
    for role in data["parties"]:
        if role not in manifest.parties:
            raise _refused(f"parties.{role}", "party_not_served", "The template has no place for this party.")
    return manifest


def _refused(path: str, code: str, message: str) -> CommandRejected:
    return CommandRejected(
        "the agreement does not fit its template", [FieldError(f"agreement.{path}", code, message)]
    )


def _submitted(claim: Claim, data: Mapping[str, Any], manifest: Manifest) -> Draft:
    return Draft(
        "submitted",
        {
            "command_id": claim.command_id,
            "payload_sha256": claim.payload_sha256,
            "producer": claim.producer,
            "input_sha256": claim.input_sha256,
            "case": {"system": data["case"]["system"], "reference": data["case"]["reference"]},
            "template": {"name": manifest.name, "version": manifest.version},
            "language": data["language"],
            "parties": [
                {"role": role, "order": data["parties"][role].get("order", manifest.parties[role].order)}
                for role in ROLES
                if role in data["parties"]
            ],
        },
    )


def _index(services: Services, data: Mapping[str, Any]) -> None:
    case = data["case"]
    key = f"index/case/{case['system']}/{case['reference']}/{data['id']}"
    with contextlib.suppress(AlreadyExists):
        services.store.create(key, b"")
