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
from dataclasses import dataclass, fields, replace
from typing import Any

import rfc8785

from service.domain.periods import norwegian_date
from service.domain.sender import Sender
from service.domain.signals import COMMANDS
from service.errors import (
    AlreadyExists,
    CommandRejected,
    FieldError,
    NewerFormat,
    NotFound,
)
from service.pipeline.decisions import decide
from service.pipeline.declare import declarations
from service.pipeline.follow_up import plan_follow_up
from service.pipeline.ledger import Raced
from service.pipeline.opening import check_plan, fitting_template, opening
from service.pipeline.quarantine import reject
from service.pipeline.scans import take_scan, without_content
from service.pipeline.senders import check_case_system
from service.pipeline.services import Services
from service.pipeline.work import Marker, marker_key
from service.schemas import Command, load_command, valid_command_id

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
    values_sha256: str
    """The command as it was read."""
    producer: str | None
    """Who signed the command; None when it was not signed."""
    refused: Mapping[str, Any] | None = None
    """Why it was refused after all, when the agreement's state changed between the claim and the entry."""

    @property
    def key(self) -> str:
        return _claim_key(self.command_id)

    @classmethod
    def parse(cls, body: bytes) -> Claim:
        """The claim of these bytes. Raises `NewerFormat` for what this release does not know."""
        raw = json.loads(body)
        if "input_sha256" in raw:  # before commands were kept whole and producers were known
            raw = {"values_sha256": raw.pop("input_sha256"), "producer": None, **raw}
        if unknown := raw.keys() - {field.name for field in fields(cls)}:
            raise NewerFormat(
                f"a claim in the store has fields that this release does not know: {sorted(unknown)}"
            )
        return cls(**raw)

    @property
    def origin(self) -> dict[str, Any]:
        """What the command's entry in the log says of it."""
        return {
            "command_id": self.command_id,
            "payload_sha256": self.payload_sha256,
            "values_sha256": self.values_sha256,
            "producer": self.producer,
        }


def _claim_key(command_id: str) -> str:
    return f"commands/{command_id}.json"


def receive(services: Services, name: str, payload: object, *, signature: object = None) -> Marker:
    """Take in the command `name`; returns the marker with which to `drive` its agreement.

    `signature` is what came with it, None when nothing did (see `adapters/producers.py`).

    Safe to repeat: the same command again leads to the same marker and no second entry. Raises `CommandRejected`
    (hand it to `quarantine.reject`), and retryable `StoreError`.
    """
    with services.ledger.remembering():
        return _receive(services, name, payload, signature)


def _receive(services: Services, name: str, payload: object, signature: object) -> Marker:
    try:
        digest = hashlib.sha256(rfc8785.dumps(payload)).hexdigest()  # type: ignore[arg-type]
    except (rfc8785.CanonicalizationError, RecursionError, UnicodeEncodeError):
        digest = None  # numbers, texts or nesting that no JSON should have: the schema says where
    sender = _sender(services, name, payload, signature)
    claim, is_new = claimed(services, payload) if digest else None, False
    if claim is None:
        services.senders.check_age(sender, now=services.clock.now())
        claim, is_new = _claim(services, name, payload, digest, sender)
    if (claim.command, claim.payload_sha256) != (name, digest):
        raise CommandRejected(
            "this command id was used before, for something else",
            [FieldError("command_id", "command_id_reused", "Give every new command an id of its own.")],
            code="command_id_reused",
        )
    return _append(services, claim, is_new=is_new)


def agreement_id_of(payload: Mapping[str, Any]) -> str | None:
    """The id that the agreement of a `submit` has or will get; None for a payload that no schema lets through."""
    command_id = valid_command_id(payload)
    agreement = payload.get("agreement")
    given = agreement.get("id") if isinstance(agreement, Mapping) else None
    try:
        return str(uuid.UUID(given)) if given else _own_id(str(command_id))
    except (ValueError, TypeError, AttributeError):
        return None


def _own_id(command_id: str) -> str:
    """The id of the agreement that a `submit` makes which names none."""
    return str(uuid.uuid5(_NAMESPACE, command_id))


def resume(services: Services, marker: Marker) -> Marker | None:
    """Finish taking in a command whose entry a crash kept from the log; None when the run is no command's.

    A command that the agreement's state no longer allows is refused now, and None is given.
    """
    claim = _load_claim(services, marker.run)
    if claim is None:
        return None
    try:
        return _append(services, claim)
    except CommandRejected as exc:
        values = services.ledger.get_json(claim.agreement_id, claim.values_sha256)
        reject(services, claim.command, values, exc)
        return None


def claimed(services: Services, payload: object) -> Claim | None:
    """What the command id of `payload` stands for already, if anything."""
    command_id = valid_command_id(payload)
    return _load_claim(services, command_id) if command_id else None


def _load_claim(services: Services, command_id: str) -> Claim | None:
    try:
        return Claim.parse(services.store.get(_claim_key(command_id)))
    except NotFound:
        return None


def _sender(services: Services, name: str, payload: object, signature: object) -> Sender | None:
    command = payload if isinstance(payload, Mapping) else {}
    return services.senders.identify(name, command, signature, now=services.clock.now())


def _claim(
    services: Services, name: str, payload: object, digest: str | None, sender: Sender | None
) -> tuple[Claim, bool]:
    """What the command id stands for from now on, and whether that was claimed just now."""
    command = load_command(name, payload, today=norwegian_date(services.clock.now()))
    agreement_id = _agreement_meant(services, command, sender)
    if digest is None:
        raise CommandRejected(
            "the command is not JSON that every system reads the same",
            [FieldError("$", "not_canonical", "Use text, whole numbers below 2**53 and plain nesting.")],
        )
    kept = without_content(command.values) if name == "attach-paper" else command.values
    if name == "submit":
        manifest = fitting_template(services, kept["agreement"])
        named = {"name": manifest.name, "version": manifest.version}
        kept = {**kept, "agreement": {**kept["agreement"], "id": agreement_id, "template": named}}
    claim = Claim(
        command=name,
        command_id=command.command_id,
        payload_sha256=digest,
        agreement_id=agreement_id,
        values_sha256=services.ledger.put_blob(agreement_id, rfc8785.dumps(kept), "json"),
        producer=sender.name if sender else None,
    )
    try:
        services.store.create(claim.key, rfc8785.dumps(vars(claim)))
    except AlreadyExists:
        return Claim.parse(services.store.get(claim.key)), False
    return claim, True


def _agreement_meant(services: Services, command: Command, sender: Sender | None) -> str:
    """The id of the agreement that the command makes or is about. Raises `CommandRejected` for one that cannot be."""
    if command.name == "submit":
        data = command.values["agreement"]
        check_case_system(sender, data["case"]["system"], "agreement.case.system")
        check_plan(data, command.values.get("signing", {}))
        fitting_template(services, data)
        agreement_id = agreement_id_of(command.values)
        assert agreement_id is not None
        return agreement_id
    agreement_id = str(command.values["agreement_id"])
    try:
        agreement = services.ledger.agreement(agreement_id)
    except NotFound:
        raise CommandRejected(
            "there is no such agreement",
            [FieldError("agreement_id", "no_such_agreement", "Send the id that the events name.")],
            code="no_such_agreement",
        ) from None
    check_case_system(sender, agreement.case_system, "agreement_id")
    decide(services, agreement, command.name, command.values)  # before the id is claimed
    if command.name == "attach-paper":
        take_scan(services, agreement_id, command.values["scan"])
    return agreement_id


def _append(services: Services, claim: Claim, *, is_new: bool = False) -> Marker:
    if claim.refused is not None:
        faults = [FieldError(**e) for e in claim.refused["errors"]]
        raise CommandRejected(claim.refused["message"], faults, code=claim.refused["code"])
    values = services.ledger.get_json(claim.agreement_id, claim.values_sha256)
    if is_new and claim.agreement_id == _own_id(claim.command_id):
        return _append_first(services, claim, values)  # should there be one all the same, that is found out
    return _begin(services, claim, values) if claim.command == "submit" else _go_on(services, claim, values)


def _go_on(services: Services, claim: Claim, values: Mapping[str, Any]) -> Marker:
    """Append what a command does to an agreement that is there."""
    while True:
        agreement = services.ledger.agreement(claim.agreement_id)
        since = agreement.head.seq + 1
        if claim.command_id in agreement.commands:
            services.signals.count(COMMANDS, claim.command, "duplicate", "")
            return services.workbook.begin(claim.agreement_id, claim.command_id, since=since)
        try:
            draft = decide(services, agreement, claim.command, values)
        except CommandRejected as exc:
            refused: dict[str, Any] = {
                "code": exc.code,
                "message": exc.message,
                "errors": [e.as_json() for e in exc.errors],
            }
            services.store.put(claim.key, rfc8785.dumps({**vars(claim), "refused": refused}))
            raise
        marker = services.workbook.begin(claim.agreement_id, claim.command_id, since=since)
        cause = {"command_id": claim.command_id}
        told = tuple(replace(o, data={**cause, **o.data}) for o in draft.occurrences)
        whole = replace(draft, data={**claim.origin, **draft.data}, occurrences=told)
        with contextlib.suppress(Raced):
            version = draft.version or agreement.current.number
            services.ledger.append(claim.agreement_id, agreement.head, whole, version=version)
            services.signals.count(COMMANDS, claim.command, "accepted", "")
            return marker


def _begin(services: Services, claim: Claim, values: Mapping[str, Any]) -> Marker:
    """Append the first entry of an agreement, if it is not there."""
    try:
        agreement = services.ledger.agreement(claim.agreement_id)
    except NotFound:
        return _append_first(services, claim, values)
    if claim.command_id not in agreement.commands:
        services.store.delete(marker_key(claim.agreement_id, claim.command_id))  # of a race that was lost
        raise CommandRejected(
            "there is already an agreement of this id",
            [
                FieldError(
                    "agreement.id", "agreement_exists", "Leave the id out, or use one that is not taken."
                )
            ],
            code="agreement_exists",
        )
    services.signals.count(COMMANDS, claim.command, "duplicate", "")
    return services.workbook.begin(claim.agreement_id, claim.command_id, since=agreement.head.seq + 1)


def _append_first(services: Services, claim: Claim, values: Mapping[str, Any]) -> Marker:
    data = values["agreement"]
    manifest = fitting_template(services, data)
    declaring = declarations(services, claim.agreement_id, 1, data["parties"].keys(), manifest)
    with services.ledger.storing_together():
        draft = opening(
            "submitted",
            data,
            values.get("signing", {}),
            manifest,
            input_sha256=services.ledger.put_blob(claim.agreement_id, rfc8785.dumps(data), "json"),
            follow_up=plan_follow_up(services, data),
            case={"system": data["case"]["system"], "reference": data["case"]["reference"]},
            declarations=declaring,
        )
        marker = services.workbook.begin(claim.agreement_id, claim.command_id, since=0)
    entry = replace(draft, data={**claim.origin, **draft.data})
    try:
        services.ledger.append(claim.agreement_id, None, entry, version=1)
    except Raced:
        services.workbook.end(marker)
        return _begin(services, claim, values)
    services.signals.count(COMMANDS, claim.command, "accepted", "")
    return marker
