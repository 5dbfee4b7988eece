"""Who signed is who should: an outside certificate belongs to the party, is trusted, and is strong enough."""

from __future__ import annotations

from service.domain.agreement import SEAL, Agreement, Version
from service.errors import CredentialMissing
from service.pipeline.services import Services
from signing import Credential, SignerIdentity, SignerRequirement, WrongSigner, check_revocation, check_signer

__all__ = ["check_outside_signer", "held_credential", "signing_role"]

_SUFFICIENT = {"substantial": {"substantial", "high"}, "high": {"high"}}
_ORGANISATIONS = {"employer", "organiser"}


def check_outside_signer(
    services: Services, agreement: Agreement, role: str, identity: SignerIdentity
) -> None:
    """Raise `WrongSigner` or another `SigningError` unless this certificate may sign for the party.

    Persons are known by the identity number in the certificate, or by the serial number in its subject where the
    provider has told whose it is; organisations by their number; advisers and deciders by their ident. What the
    agreement does not know of a person cannot be checked, and is then left to the provider's evidence.
    """
    version = agreement.current
    party = version.party(role)
    who = (party.approval and party.approval.by) or role
    data = services.ledger.get_json(agreement.id, version.input_sha256)["parties"][who]
    answer = version.prepared.answer if version.prepared else None
    evidence_sha256 = (answer and answer.evidence_sha256) or (
        party.approval and party.approval.evidence_sha256
    )
    evidence = services.ledger.get_json(agreement.id, evidence_sha256) if evidence_sha256 else {}
    person = data.get("national_id")
    vouched = bool(person and evidence.get("subject_serial") and evidence.get("national_id") == person)
    facts = check_signer(
        identity,
        SignerRequirement(
            trust=services.keys.trust,
            organisation=data["organisation"]["number"] if who in _ORGANISATIONS else None,
            person=None if who in _ORGANISATIONS or vouched else person,
            subject_serial=evidence.get("subject_serial") if vouched else data.get("ident"),
        ),
        at=services.clock.now(),
    )
    check_revocation(identity, services.keys.trust, services.keys.evidence, at=services.clock.now())
    levels = {facts.level, evidence.get("level")}
    if party.level and not levels & _SUFFICIENT[party.level]:
        raise WrongSigner(
            f"the signature has not the level of assurance that is demanded here: {party.level}",
            aspect="level",
            remedy="sign by means of that level, and send the provider's evidence where the certificate does not tell",
        )


def signing_role(version: Version, field: str) -> str:
    """The role whose key signs in this field."""
    approval = None if field == SEAL else version.party(field).approval
    return (approval.by if approval else None) or field


def held_credential(services: Services, field: str) -> Credential:
    credential = services.keys.credential(field)
    if credential is None:
        setting = "SIGNERT_SEAL" if field == SEAL else f"SIGNERT_CREDENTIAL_{field.upper()}"
        raise CredentialMissing(f"no key is configured for '{field}'", remedy=f"Set {setting}.")
    return credential
