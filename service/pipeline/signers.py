"""Who signed is who should: a certificate is the party's, trusted for its way of signing, and strong enough."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from service.domain.agreement import SEAL, Agreement, KeyPlace, Method, Party, Version
from service.errors import CommandRejected, CredentialMissing, FieldError
from service.pipeline.services import Services
from signing import (
    Credential,
    NotTrusted,
    SignerIdentity,
    SignerRequirement,
    TrustStore,
    WrongSigner,
    check_path,
    check_revocation,
    check_signer,
    needs_person,
    scheme_of,
)

__all__ = [
    "check_demands",
    "check_held_signer",
    "check_outside_signer",
    "held_credential",
    "method_of",
    "place_of",
    "signers_trust",
    "signing_role",
]

_SUFFICIENT = {"substantial": {"substantial", "high"}, "high": {"high"}}
_ORGANISATIONS = {"employer", "organiser"}
_LATER = {Method.APPROVED: {"level"}, Method.REDIRECT: {"level", "person"}}
"""What evidence may still show when the party signs, of what a certificate does not."""


def place_of(credential: Credential) -> KeyPlace:
    """Where this key of the service lies."""
    return KeyPlace(scheme_of(credential))


def signers_trust(version: Version, trust: TrustStore) -> dict[str, TrustStore]:
    """Which anchors the signer of each field has to lead up to.

    Where an earlier release signed, the log does not say where the key lay: then any list will do.
    """
    places = {p.role: trust.of(p.key_place) for p in version.signers if p.key_place}
    return {SEAL: trust.of(SEAL), **places}


def signing_role(version: Version, field: str) -> str:
    """The role whose key signs in this field."""
    approval = None if field == SEAL else version.party(field).approval
    return (approval.by if approval else None) or field


def held_credential(services: Services, field: str) -> Credential:
    """The key of the service for a role or the seal. Raises `CredentialMissing`."""
    credential = services.keys.credential(field)
    if credential is None:
        setting = "SIGNERT_SEAL" if field == SEAL else f"SIGNERT_CREDENTIAL_{field.upper()}"
        raise CredentialMissing(f"no key is configured for '{field}'", remedy=f"Set {setting}.")
    return credential


def method_of(services: Services, version: Version, party: Party) -> Method:
    """How this party signs, by the plan and by the keys that there are."""
    credential, method = services.keys.credential(party.role), party.method
    if method is not Method.OUTSIDE and credential and needs_person(credential):
        return Method.REDIRECT  # whatever the plan says: this key cannot be used otherwise
    if method is None and credential is None:
        method = Method.OUTSIDE
    elif method is None:
        method = Method.AUTOMATIC if services.sign_automatically else Method.APPROVED
    return version.method_of(party.role, method)


def check_outside_signer(
    services: Services,
    agreement: Agreement,
    role: str,
    identity: SignerIdentity,
    place: KeyPlace = KeyPlace.OUTSIDE,
) -> None:
    """Raise `WrongSigner` or another `SigningError` unless this certificate may sign for the party.

    It is held to the anchors for `place`: outside, or `CSC` where a person approves at a remote signing service. That
    key is one of the service's, but like one from outside it has to be shown to be the party's own.

    Persons are known by the identity number in the certificate, or by the serial number in its subject where the
    provider has told whose it is; organisations by their number; advisers and deciders by their ident. What the
    agreement does not know of a person cannot be checked, and is then left to the provider's evidence.
    """
    _check(services, agreement, role, identity, place, own=True)
    check_revocation(identity, services.keys.trust.of(place), services.keys.evidence, at=services.clock.now())


def check_held_signer(services: Services, agreement: Agreement, field: str, credential: Credential) -> None:
    """Raise `WrongSigner` or another `SigningError` unless this key of the service may sign in the field.

    That it is the role's own is for the operator to see to; the plan may demand that its certificate shows it.
    """
    place = SEAL if field == SEAL else place_of(credential)
    try:
        if field == SEAL:
            check_path(credential.identity, services.keys.trust.of(SEAL), at=services.clock.now())
        else:
            _check(services, agreement, field, credential.identity, place_of(credential), own=False)
    except NotTrusted as exc:
        setting = "SIGNERT_TRUST" if field == SEAL else f"SIGNERT_TRUST_{place.upper()} (or SIGNERT_TRUST)"
        raise NotTrusted(
            f"the certificate of the key for '{field}' does not lead to an issuer that is trusted for such keys",
            remedy=f"Add its issuer's root to {setting}, or name another key.",
        ) from exc


def check_demands(services: Services, agreement: Agreement) -> None:
    """Raise `CommandRejected` when the plan demands what a key of this service can never show.

    What evidence may still show, with the command `sign`, is not known yet.
    """
    faults = list(_plan_faults(services, agreement))
    if faults:
        raise CommandRejected(
            "the plan demands more of a signature than the key that the service has for it can show",
            faults,
            code="level_not_met",
        )


def _plan_faults(services: Services, agreement: Agreement) -> Iterator[FieldError]:
    for party in agreement.current.signers:
        if not (party.level or party.eidas) or party.method is Method.OUTSIDE:
            continue
        credential = services.keys.credential(party.role)
        if credential is None:
            continue  # it signs outside; where the plan says otherwise, that is told when it is its turn
        method = method_of(services, agreement.current, party)
        try:
            check_held_signer(services, agreement, party.role, credential)
        except WrongSigner as exc:
            if exc.aspect in _LATER.get(method, set()):
                continue
            which = "level" if exc.aspect == "level" else "eidas"
            yield FieldError(
                f"signing.parties.{party.role}.{which}",
                "level_not_met",
                "The certificate of the key that the service has for this party does not show it. Leave it out, or "
                "have the party sign by a method that does: outside, or (for level) approved, with evidence.",
            )


def _check(
    services: Services,
    agreement: Agreement,
    role: str,
    identity: SignerIdentity,
    place: KeyPlace,
    *,
    own: bool,
) -> None:
    """With `own`, the certificate must be known to be the party's whether the plan demands it or not."""
    party = agreement.current.party(role)
    trust, now = services.keys.trust.of(place), services.clock.now()
    if not own and not party.level and not party.eidas:
        check_path(identity, trust, at=now)
        return
    evidence = _evidence(services, agreement, party)
    requirement = SignerRequirement(trust, qualified=_qualified(party), qscd=_qualified(party))
    if own or party.eidas:
        requirement = _named(services, agreement, party, evidence, requirement)
    facts = check_signer(identity, requirement, at=now)
    if party.level and not {facts.level, evidence.get("level")} & _SUFFICIENT[party.level]:
        raise WrongSigner(
            f"the signature has not the level of assurance that is demanded here: {party.level}",
            aspect="level",
            remedy="sign by means of that level, and send the provider's evidence where the certificate does not tell",
        )


def _qualified(party: Party) -> bool:
    return party.eidas == "qualified"


def _evidence(services: Services, agreement: Agreement, party: Party) -> Mapping[str, Any]:
    """What the provider has said of who signs for this party; what came last counts."""
    prepared = agreement.current.prepared
    answer = prepared.answer if prepared and prepared.field == party.role else None
    sha256 = (answer and answer.evidence_sha256) or (party.approval and party.approval.evidence_sha256)
    found: Mapping[str, Any] = services.ledger.get_json(agreement.id, sha256) if sha256 else {}
    return found


def _named(
    services: Services,
    agreement: Agreement,
    party: Party,
    evidence: Mapping[str, Any],
    requirement: SignerRequirement,
) -> SignerRequirement:
    """The requirement, with what the certificate must say of whose it is. Raises `WrongSigner` where nothing is known
    of a party whose signature has to be advanced.
    """
    who = (party.approval and party.approval.by) or party.role
    data = services.ledger.get_json(agreement.id, agreement.current.input_sha256)["parties"][who]
    if who in _ORGANISATIONS:
        return replace(requirement, organisation=data["organisation"]["number"])
    person = data.get("national_id")
    vouched = bool(person and evidence.get("subject_serial") and evidence.get("national_id") == person)
    serial = evidence.get("subject_serial") if vouched else data.get("ident")
    if party.eidas and not person and not serial:
        raise WrongSigner(
            f"the agreement holds nothing by which a certificate could be known as that of '{who}', and the signature"
            " has to be advanced",
            aspect="person",
            remedy="send the party's identity number in the agreement",
        )
    return replace(requirement, person=None if vouched else person, subject_serial=serial)
