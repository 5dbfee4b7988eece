"""What a command does to an agreement that is there: its entry, made by the domain, its large parts stored as blobs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import rfc8785

from service.domain import moves
from service.domain.agreement import Agreement
from service.domain.log import Draft
from service.domain.paper import EXTENSIONS
from service.pipeline.amend import amend, terminate
from service.pipeline.ledger import blob_key
from service.pipeline.services import Services

__all__ = ["decide"]


def decide(services: Services, agreement: Agreement, name: str, values: Mapping[str, Any]) -> Draft:
    """The entry that the command `name` appends. Raises `CommandRejected` when the state does not allow it.

    May be called any number of times: what it stores is named by its content.
    """
    moves.refuse_erased(agreement)  # before anything of the command is stored
    number = values.get("version")

    def keep(field: str) -> str | None:
        return _kept(services, agreement.id, values[field]) if field in values else None

    match name:
        case "sign":
            return moves.approve(
                agreement,
                number=number,
                role=values["role"],
                certificates_sha256=keep("certificates"),
                evidence_sha256=keep("evidence"),
                by=values.get("on_behalf", {}).get("by"),
                reason=values.get("on_behalf", {}).get("reason"),
                now=services.clock.now(),
            )
        case "complete-signature":
            came: Mapping[str, Any] = values.get("authorization", {})
            state_sha256 = hashlib.sha256(came["state"].encode()).hexdigest() if "state" in came else None
            if "error" in came:
                return moves.end_authorization(
                    agreement,
                    number=number,
                    role=values["role"],
                    prepared_sha256=values.get("prepared"),
                    state_sha256=state_sha256,
                    error=came["error"],
                    now=services.clock.now(),
                )
            kind = next(name for name in ("cms", "signature", "authorization") if name in values)
            answer_sha256 = keep(kind)
            assert answer_sha256 is not None
            return moves.receive_answer(
                agreement,
                number=number,
                role=values["role"],
                prepared_sha256=values.get("prepared"),
                kind=kind,
                answer_sha256=answer_sha256,
                evidence_sha256=keep("evidence"),
                state_sha256=state_sha256,
                now=services.clock.now(),
            )
        case "attach-paper":
            scan = values["scan"]
            place = blob_key(agreement.id, scan["sha256"], EXTENSIONS[scan["media_type"]])
            return moves.attach_paper(
                agreement,
                number=number,
                roles=values["roles"],
                scan={**scan, "storage_key": place},
                signed_on=values["signed_on"],
                evidence_sha256=keep("evidence"),
                now=services.clock.now(),
            )
        case "decline":
            return moves.decline(agreement, number=number, role=values["role"], reason=values["reason"])
        case "amend":
            return amend(services, agreement, values)
        case "terminate":
            return terminate(services, agreement, values)
        case "follow-up-done":
            return moves.follow_up_done(
                agreement, item=values["item"], done_on=values["done_on"], now=services.clock.now()
            )
        case "cancel":
            return moves.cancel(agreement, number=number, reason=values["reason"])
    raise AssertionError(name)


def _kept(services: Services, agreement_id: str, value: object) -> str:
    return services.ledger.put_blob(agreement_id, rfc8785.dumps(value), "json")  # type: ignore[arg-type]
