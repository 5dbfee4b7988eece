"""Signatures: prepare → store the intent → ask the key → check → embed.

The seal and every party's signature go the same way. What is to be signed is fixed, stored and named in the log
before a key is asked, and it names the revision it is for: a prepared signature for an older revision is never
embedded.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from service.domain.agreement import SEAL, Agreement, Prepared, Step, Version
from service.domain.appearance import signature_lines
from service.domain.log import Occurrence
from service.errors import CredentialMissing
from service.pipeline.ledger import Draft
from service.pipeline.services import Services
from signing import (
    Appearance,
    Credential,
    PreparedSignature,
    SignatureMismatch,
    SignatureRequest,
    StaleSignature,
    embed,
    prepare,
    sign,
)

__all__ = ["complete_signature", "prepare_signature"]

PREPARED_LIFETIME = timedelta(minutes=15)
"""How far the time shown in the document may lie before the key is asked; an older intent is made anew."""


def prepare_signature(services: Services, agreement: Agreement, step: Step) -> Draft:
    """Fix and store what `step.field` will sign."""
    field = _field(step)
    version, now = agreement.current, services.clock.now()
    credential = _credential(services, field)
    prepared = prepare(
        services.ledger.get_blob(agreement.id, version.document.sha256, "pdf"),
        SignatureRequest(
            field=field,
            certify=field == SEAL,
            appearance=None if field == SEAL else _appearance(services, agreement, field, credential, now),
        ),
        credential.identity,
        at=now,
    )
    return Draft(
        "signature-prepared",
        {
            "field": field,
            "base_sha256": version.document.sha256,
            "prepared_sha256": services.ledger.put_blob(agreement.id, prepared.to_bytes(), "prepared"),
            "document_digest": prepared.document_digest.hex(),
            "certificate_sha256": credential.identity.certificate_sha256,
        },
    )


def complete_signature(services: Services, agreement: Agreement, step: Step) -> Draft:
    """Ask the key for the prepared signature of `step.field`, check the answer, and embed it."""
    field = _field(step)
    version = agreement.current
    intent = version.prepared
    assert intent is not None
    credential = _credential(services, field)
    prepared = PreparedSignature.from_bytes(
        services.ledger.get_blob(agreement.id, intent.blob_sha256, "prepared")
    )
    if services.clock.now() - datetime.fromisoformat(intent.at) > PREPARED_LIFETIME:
        return _discarded(intent, "too_old")
    if prepared.identity.certificate_sha256 != credential.identity.certificate_sha256:
        return _discarded(intent, "certificate_changed")
    revision = services.ledger.get_blob(agreement.id, version.document.sha256, "pdf")
    try:
        signed = embed(
            prepared, sign(prepared, credential), revision=revision, timestamps=services.keys.timestamps
        )
    except (StaleSignature, SignatureMismatch) as exc:
        return _discarded(intent, exc.code)
    data = {
        "field": field,
        "revision": {"sha256": services.ledger.put_blob(agreement.id, signed, "pdf"), "bytes": len(signed)},
        "certificate_sha256": credential.identity.certificate_sha256,
    }
    if field == SEAL:
        return Draft("sealed", data)
    return _party_signed(version, field, {**data, "role": field, "signed_at": intent.at})


def _party_signed(version: Version, role: str, data: dict[str, object]) -> Draft:
    remaining = [p.role for p in version.parties if p.signed_at is None and p.role != role]
    told = {"role": role, "signed_at": data["signed_at"], "remaining": remaining}
    return Draft("party-signed", data, (Occurrence("agreement.party-signed", told),))


def _discarded(intent: Prepared, reason: str) -> Draft:
    return Draft(
        "signature-discarded",
        {"field": intent.field, "prepared_sha256": intent.blob_sha256, "reason": reason},
    )


def _field(step: Step) -> str:
    assert step.field is not None
    return step.field


def _credential(services: Services, field: str) -> Credential:
    credential = services.keys.credential(field)
    if credential is None:
        setting = "SIGNERT_SEAL" if field == SEAL else f"SIGNERT_CREDENTIAL_{field.upper()}"
        raise CredentialMissing(f"no key is configured for '{field}'", remedy=f"Set {setting}.")
    return credential


def _appearance(
    services: Services, agreement: Agreement, role: str, credential: Credential, now: datetime
) -> Appearance:
    version = agreement.current
    party = services.ledger.get_json(agreement.id, version.input_sha256)["parties"][role]
    template = services.templates.get(version.template, version.template_version, version.language)
    title, *lines = signature_lines(
        name=f"{party['first_name']} {party['last_name']}",
        role=template.labels["role"][role],
        moment=now,
        certificate=credential.identity.subject,
    )
    return Appearance(
        title=title, lines=tuple(lines), font=services.keys.font, bold_font=services.keys.bold_font
    )
