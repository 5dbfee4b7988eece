"""Events as they go out: CloudEvents 1.0 in JSON (CloudEvents 1.0.2; JSON event format 1.0.2).

Their data are ids, roles, times and hashes, never a name, a number or a text of the agreement.
"""

from __future__ import annotations

from collections.abc import Mapping

from service.schemas.events.afterwards import (
    AgreementCopyAvailable,
    AgreementDelivered,
    AgreementDeliveryFailed,
    AgreementErased,
    AgreementTimestampRenewed,
)
from service.schemas.events.changes import AgreementAmended, AgreementSuperseded, AgreementTerminated
from service.schemas.events.follow_up import (
    AgreementCommitmentOverdue,
    AgreementFollowUpDone,
    AgreementFollowUpDue,
)
from service.schemas.events.parts import Event
from service.schemas.events.signing import (
    AgreementCancelled,
    AgreementDeclarationRequested,
    AgreementDeclared,
    AgreementDeclined,
    AgreementExpired,
    AgreementPaperAttached,
    AgreementPartySigned,
    AgreementRejected,
    AgreementReminder,
    AgreementRendered,
    AgreementSignatureRefused,
    AgreementSignatureRequested,
    AgreementSigned,
)

__all__ = ["EVENT_SCHEMAS", "event_schema"]

EVENT_SCHEMAS: Mapping[str, type[Event]] = {
    "agreement.rejected": AgreementRejected,
    "agreement.rendered": AgreementRendered,
    "agreement.signature-requested": AgreementSignatureRequested,
    "agreement.signature-refused": AgreementSignatureRefused,
    "agreement.declined": AgreementDeclined,
    "agreement.cancelled": AgreementCancelled,
    "agreement.expired": AgreementExpired,
    "agreement.reminder": AgreementReminder,
    "agreement.party-signed": AgreementPartySigned,
    "agreement.paper-attached": AgreementPaperAttached,
    "agreement.signed": AgreementSigned,
    "agreement.declaration-requested": AgreementDeclarationRequested,
    "agreement.declared": AgreementDeclared,
    "agreement.amended": AgreementAmended,
    "agreement.superseded": AgreementSuperseded,
    "agreement.terminated": AgreementTerminated,
    "agreement.copy-available": AgreementCopyAvailable,
    "agreement.delivered": AgreementDelivered,
    "agreement.delivery-failed": AgreementDeliveryFailed,
    "agreement.follow-up-due": AgreementFollowUpDue,
    "agreement.commitment-overdue": AgreementCommitmentOverdue,
    "agreement.follow-up-done": AgreementFollowUpDone,
    "agreement.timestamp-renewed": AgreementTimestampRenewed,
    "agreement.erased": AgreementErased,
}


def event_schema(event_type: str) -> Event:
    """The schema of one type of event, for `load` and `validate`. Raises `KeyError` for an unknown type."""
    return EVENT_SCHEMAS[event_type]()
