"""A person's approval at a remote signing service (OAuth 2.0, CSC scope `credential`), between two commands.

Nothing secret is kept meanwhile: state and code verifier are derived anew from the client's secret and from what the
log says (`AuthorizationServer.start` tells why), so they are the same for every worker.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping

from service.domain.agreement import Agreement
from service.domain.log import Draft, canonical
from service.domain.steps import Step
from service.errors import AuthorizationInUse
from service.pipeline.refusals import REFUSALS, refuse
from service.pipeline.services import Services
from service.pipeline.signers import held_credential, signing_role
from signing import (
    Credential,
    PreparedSignature,
    UserAuthorization,
    sign_authorized,
    start_authorization,
)

__all__ = ["begin_authorization", "collect_signature"]


def begin_authorization(
    agreement: Agreement, credential: Credential, prepared: PreparedSignature, prepared_sha256: str
) -> UserAuthorization:
    """Where the person is sent to approve this signature; the same each time. Raises `CredentialError`.

    It is named by the agreement, the command `sign` and the prepared signature, so that no two are alike.
    """
    approval = agreement.current.party(prepared.field).approval
    assert approval is not None
    session = f"{agreement.id}/{approval.command_id}/{prepared_sha256}"
    return start_authorization(prepared, credential, session=session)


def collect_signature(services: Services, agreement: Agreement, step: Step) -> Draft:
    """Have the signing service make the signature value that a person has approved.

    Until the code is used, a service that does not answer is tried again, as long as the person has the version; after
    that the person would have to approve anew anyway, and is told at once. The value is stored before it is
    timestamped, so that an approval is not lost with a time-stamping authority.
    """
    field = step.field
    assert field is not None
    version = agreement.current
    intent = version.prepared
    assert intent is not None
    assert intent.answer is not None
    data: dict[str, object] = {"field": field, "prepared_sha256": intent.blob_sha256}
    claim: str | None = None
    try:
        credential = held_credential(services, signing_role(version, field))
        prepared = PreparedSignature.from_bytes(
            services.ledger.get_blob(agreement.id, intent.blob_sha256, "prepared")
        )
        started = begin_authorization(agreement, credential, prepared, intent.blob_sha256)
        claim = _claim(services, agreement)
        value = _redeem(services, agreement, credential, prepared, started)
    except REFUSALS as exc:
        if claim is None and exc.retryable:
            raise
        return refuse(version.party(field), intent, exc, claim_sha256=claim)
    body = json.dumps(base64.b64encode(value).decode()).encode()
    data |= {
        "kind": "signature",
        "answer_sha256": services.ledger.put_blob(agreement.id, body, "json"),
        "evidence_sha256": intent.answer.evidence_sha256,
        "claim_sha256": claim,
    }
    return Draft("signature-received", data)


def _claim(services: Services, agreement: Agreement) -> str:
    """Make sure that this worker alone uses the code: the SHA-256 of the blob that says so.

    An authorization server that sees a code twice may take back what it gave for it (RFC 6749, 4.1.2). Raises
    `AuthorizationInUse`; when that worker has died, the time for the signature runs out.
    """
    intent = agreement.current.prepared
    assert intent is not None
    assert intent.answer is not None
    claim = {"prepared_sha256": intent.blob_sha256, "answer_sha256": intent.answer.blob_sha256}
    found = services.ledger.claim_blob(agreement.id, canonical(claim), "claim")
    if found is None:
        raise AuthorizationInUse(
            "another worker is having the signing service make this signature",
            remedy=f"Should it not come, the party can sign again after {intent.lease_until}.",
        )
    return found


def _redeem(
    services: Services,
    agreement: Agreement,
    credential: Credential,
    prepared: PreparedSignature,
    started: UserAuthorization,
) -> bytes:
    """The signature value that the service makes for the code the person came back with. Raises `SigningError`."""
    intent = agreement.current.prepared
    assert intent is not None
    assert intent.answer is not None
    came: Mapping[str, str] = json.loads(
        services.ledger.get_blob(agreement.id, intent.answer.blob_sha256, "json")
    )
    return sign_authorized(prepared, credential, started, code=came["code"], state=came["state"])
