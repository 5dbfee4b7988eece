"""Declarations: what a party must have signed before it may read and sign the agreement (the mentor's confidentiality).

A declaration is a document of its own, so it is an agreement of its own in the store: its own log, version, signature
and receipt, made by the same steps. Two entries tie the logs together: `declaration-requested` and `declared` in the
agreement's, `reported` in the declaration's. Each is written by a step that may be repeated, so no crash parts them.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Mapping
from typing import Any

import rfc8785

from service.domain import moves
from service.domain.agreement import Agreement, Declaration, Status, Version
from service.domain.log import Draft, Occurrence
from service.domain.steps import Capability, Step
from service.domain.template import Manifest
from service.errors import NotFound
from service.pipeline.ledger import Raced, blob_key
from service.pipeline.opening import opening
from service.pipeline.services import Services
from service.pipeline.signers import check_demands

__all__ = ["declarations", "report_declaration", "request_declaration", "withdraw_declaration"]

_NAMESPACE = uuid.UUID("0a7f1c64-5b0e-5d1a-8c39-9b7a2f4de310")


def declarations(
    services: Services, agreement_id: str, number: int, roles: Collection[str], manifest: Manifest
) -> list[dict[str, Any]]:
    """What the version's first entry says of the declarations that these roles sign first."""
    return [
        {
            "role": role,
            "agreement_id": str(uuid.uuid5(_NAMESPACE, f"{agreement_id}/{number}/{role}")),
            "template": {"name": name, "version": services.templates.newest(name)},
        }
        for role, name in manifest.declarations.items()
        if role in roles
    ]


def request_declaration(services: Services, agreement: Agreement, step: Step) -> Draft:
    """Begin the declaration of `step.field`, unless a crash came after that, and have it driven.

    Raises `CommandRejected` when the plan demands what cannot be: the agreement is refused, not its declaration.
    """
    check_demands(services, agreement)
    version = agreement.current
    declaration = _declaration(version, step)
    own, run = declaration.agreement_id, declaration.agreement_id
    marker = services.workbook.begin(own, run, since=0)
    try:
        services.ledger.read(own)
    except NotFound:
        _begin(services, agreement, version, declaration)
    services.hand_over(Capability.RENDER, own, marker.run)
    told = {"role": declaration.role, "declaration": {"agreement_id": own}}
    return Draft(
        "declaration-requested",
        {"role": declaration.role, "agreement_id": own},
        (Occurrence("agreement.declaration-requested", told),),
    )


def _begin(services: Services, agreement: Agreement, version: Version, declaration: Declaration) -> None:
    name, template_version, language = declaration.template, declaration.template_version, version.language
    manifest = services.templates.get(name, template_version, language).manifest
    whole = services.ledger.get_json(agreement.id, version.input_sha256)
    data = _content(whole, declaration, agreement.id, version.number)
    input_sha256 = services.ledger.put_blob(declaration.agreement_id, rfc8785.dumps(data), "json")
    party = version.party(declaration.role)
    planned = {
        "method": party.method,
        "deadline_days": party.deadline_days,
        "level": party.level,
        "eidas": party.eidas,
    }
    plan = {
        "expires_after_days": version.expires_after_days,
        "parties": {declaration.role: {k: v for k, v in planned.items() if v}},
    }
    draft = opening(
        "submitted",
        data,
        plan,
        manifest,
        input_sha256=input_sha256,
        case={"system": agreement.case_system, "reference": agreement.case_reference},
        caused_by=version.command_id,
        declares_for={
            "agreement_id": agreement.id,
            "version": version.number,
            "role": declaration.role,
        },
    )
    try:
        services.ledger.append(declaration.agreement_id, None, draft, version=1)
    except Raced:
        return  # another worker began it, from the same data


def _content(
    whole: Mapping[str, Any], declaration: Declaration, agreement_id: str, number: int
) -> dict[str, Any]:
    """What a declaration says: who declares, and for which agreement. Nothing of the participant."""
    kept = {k: whole[k] for k in ("number", "case", "measure", "language", "period", "unit") if k in whole}
    parties = whole["parties"]
    return {
        **kept,
        "id": declaration.agreement_id,
        "parties": {
            declaration.role: parties[declaration.role],
            "employer": {"organisation": parties["employer"]["organisation"]},
        },
        "declares_for": {"agreement": agreement_id, "version": number},
    }


def report_declaration(services: Services, agreement: Agreement, _step: Step) -> Draft:
    """Tell the agreement that a declaration is for what became of it, and have that one driven on."""
    about = agreement.declares_for
    assert about is not None
    _append(services, about.agreement_id, agreement.id, lambda whole: _outcome(agreement, whole))
    return Draft("reported", {"agreement_id": about.agreement_id})


def _outcome(declaration: Agreement, agreement: Agreement) -> Draft | None:
    """What the agreement's log is to say; None when it has been said, or is of no consequence any more."""
    about, made = declaration.declares_for, declaration.current
    assert about is not None
    version, role = agreement.version(about.version), about.role
    assert version is not None
    if not version.must_declare(role) or not version.status.is_open:
        return None
    match made.status:
        case Status.SIGNED:
            return _declared(declaration, role)
        case Status.DECLINED:
            return moves.decline(agreement, number=version.number, role=role, reason="other")
        case Status.REJECTED:  # the log of the declaration ends with the reason
            said = declaration.head.data
            return moves.reject(
                version,
                step=f"declare:{role}",
                code=said["code"],
                message="the declaration cannot be made",
                errors=said["errors"],
            )
        case _:
            return moves.cancel(agreement, number=version.number, reason="other")


def _declared(declaration: Agreement, role: str) -> Draft:
    made = declaration.current
    document = made.receipted.sha256
    told = {
        "role": role,
        "declaration": {"agreement_id": declaration.id},
        "document": {"sha256": document, "storage_key": blob_key(declaration.id, document, "pdf")},
    }
    return Draft(
        "declared",
        {"role": role, "declaration_sha256": document, "declaration_receipt_sha256": made.receipt_sha256},
        (Occurrence("agreement.declared", told),),
    )


def withdraw_declaration(services: Services, agreement: Agreement, step: Step) -> Draft:
    """The version has ended without all signatures: nobody is to sign a declaration for it any more."""
    declaration = _declaration(agreement.current, step)
    own = declaration.agreement_id
    run = str(uuid.uuid5(_NAMESPACE, f"{own}/withdraw"))

    def cancelled(made: Agreement) -> Draft | None:
        return moves.cancel(made, number=None, reason="withdrawn") if made.current.status.is_open else None

    _append(services, own, run, cancelled)
    return Draft("declaration-withdrawn", {"role": declaration.role})


def _append(
    services: Services, agreement_id: str, run: str, decide: Callable[[Agreement], Draft | None]
) -> None:
    """Append to the other log what `decide` makes of its state, nothing for None, and have that agreement driven on.

    May be repeated: a run that a crash left behind is handed over again.
    """
    while True:
        other = services.ledger.agreement(agreement_id)
        draft = decide(other)
        if draft is None:
            break
        services.workbook.begin(agreement_id, run, since=other.head.seq + 1)
        try:
            services.ledger.append(agreement_id, other.head, draft, version=other.current.number)
        except Raced:
            continue
        break
    if services.workbook.find(agreement_id, run):
        services.hand_over(Capability.SIGN, agreement_id, run)


def _declaration(version: Version, step: Step) -> Declaration:
    return next(d for d in version.declarations if d.role == step.field)
