"""A person's signature that cannot be used: discarded, with an event that tells why. The party can sign again."""

from __future__ import annotations

from service.domain.agreement import Answer, Party, Prepared
from service.domain.log import Draft, Occurrence
from signing import (
    CertificateRevoked,
    CredentialError,
    NotTrusted,
    SignatureMalformed,
    SignatureMismatch,
    SignatureTooLarge,
    SigningError,
    StaleSignature,
    WrongSigner,
)

__all__ = ["REFUSALS", "cause_of", "refuse"]

REFUSALS = (
    StaleSignature,
    SignatureMalformed,
    SignatureMismatch,
    SignatureTooLarge,
    WrongSigner,
    NotTrusted,
    CertificateRevoked,
    CredentialError,
)
"""What is wrong with a signature that a person made or approved: it is discarded, the person is told, and may try
again. Retryable among it is only that a signing service does not answer, and then the person need not wait for it."""


def refuse(
    party: Party,
    intent: Prepared | None,
    error: SigningError,
    *,
    code: str | None = None,
    claim_sha256: str | None = None,
) -> Draft:
    """A person's signature, or the certificate for one, cannot be used: all are told why; it can be made anew."""
    reason = code or error.code
    told = {
        **cause_of(party, intent.answer if intent else None),
        "role": party.role,
        "code": reason,
        "message": f"{error.message}. {error.remedy}".strip(),
    }
    return Draft(
        "signature-discarded",
        {
            "field": party.role,
            "prepared_sha256": intent.blob_sha256 if intent else None,
            "reason": reason,
            **({"claim_sha256": claim_sha256} if claim_sha256 else {}),
        },
        (Occurrence("agreement.signature-refused", told),),
    )


def cause_of(party: Party, answer: Answer | None) -> dict[str, object]:
    """The command that led to an event: what came back for the signature, else that the party signs."""
    command_id = (answer and answer.command_id) or (party.approval and party.approval.command_id)
    return {"command_id": command_id} if command_id else {}
