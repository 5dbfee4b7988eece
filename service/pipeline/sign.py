"""Signatures: request → prepare → store the intent → ask the key → check → embed.

The seal and every party's signature go the same way. What is to be signed is fixed, stored and named in the log
before a key is asked, and it names the revision it is for: a prepared signature for an older revision is never
embedded. A key is this service's own to ask (PKCS#12, HSM, remote service), or somebody else's: then what is to be
signed goes out as an event, and the signature comes back as a command. Between them is a key at a remote service that a
person approves the use of there: the address goes out, the approval comes back, and then the key is asked.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta

from service.domain.agreement import (
    SEAL,
    Agreement,
    KeyPlace,
    Method,
    Party,
    PartyStatus,
    Prepared,
    Version,
)
from service.domain.appearance import attestation, attestation_line, full_name, signature_lines
from service.domain.log import Draft, Occurrence, timestamp
from service.domain.steps import Step, end_of
from service.pipeline.authorization import begin_authorization
from service.pipeline.ledger import blob_key
from service.pipeline.refusals import REFUSALS, cause_of, refuse
from service.pipeline.scans import scan_key
from service.pipeline.services import Services
from service.pipeline.signers import (
    check_demands,
    check_held_signer,
    check_outside_signer,
    held_credential,
    method_of,
    place_of,
    signing_role,
)
from signing import (
    Appearance,
    Credential,
    CredentialError,
    Mechanism,
    Parts,
    PreparedRevision,
    PreparedSignature,
    SignatureMismatch,
    SignatureRequest,
    SignerIdentity,
    SigningError,
    StaleSignature,
    TimestampTooLarge,
    UserAuthorization,
    WrongSigner,
    embed,
    embed_cms,
    is_at_hand,
    needs_person,
    prepare,
    rehearse,
    sign,
    signer_of,
)

__all__ = [
    "complete_signature",
    "give_up_signature",
    "prepare_signature",
    "request_signatures",
]

PREPARED_LIFETIME = timedelta(minutes=15)
"""How far the time shown in the document may lie before the key is asked, and how long a person may take to sign."""

_ON_BEHALF_OF = {"nb": "På vegne av", "nn": "På vegner av"}


def request_signatures(services: Services, agreement: Agreement, _step: Step) -> Draft:
    """Ask the parties whose turn it is: how each signs, and until when.

    Who is to attest what came since is asked again, and has no more time than before.
    """
    version, now = agreement.current, services.clock.now()
    asked = [p for p in version.open_parties() if p.requested_at is None and not version.must_declare(p.role)]
    group = [(party, method_of(services, version, party)) for party in asked]
    deadlines = {
        p.role: p.deadline or timestamp(now + timedelta(days=p.deadline_days))
        for p, _ in group
        if p.deadline_days
    }
    others = (p.deadline for p in version.open_parties() if p.deadline)
    end = min([timestamp(now + timedelta(days=version.expires_after_days)), *deadlines.values(), *others])
    return Draft(
        "signature-requested",
        {
            "requests": [
                {"role": party.role, "method": method, "deadline": deadlines.get(party.role)}
                for party, method in group
            ]
        },
        tuple(
            Occurrence("agreement.signature-requested", _request(agreement, party, method, end))
            for party, method in group
            if method is not Method.AUTOMATIC
        ),
    )


def _request(agreement: Agreement, party: Party, method: Method, deadline: str) -> dict[str, object]:
    version = agreement.current
    sha256 = version.document.sha256
    asked: dict[str, object] = {
        "role": party.role,
        "order": party.order,
        "method": str(method),
        "deadline": deadline,
        "document": {"sha256": sha256, "storage_key": blob_key(agreement.id, sha256, "pdf")},
    }
    if version.attests(party.role):
        asked["attests"] = [
            {
                "role": p.role,
                "signed_on": paper.signed_on,
                "scan": {"sha256": paper.scan_sha256, "storage_key": scan_key(agreement.id, paper)},
            }
            for p, paper in version.papers
        ]
    return asked


@dataclass(frozen=True)
class _Signer:
    """Who is to sign: by a credential of ours, by a certificate that was told, or by one not known yet."""

    credential: Credential | None
    identity: SignerIdentity | None

    @property
    def lasting(self) -> bool:
        """Whether a signature by this key costs a person or a remote service something."""
        return self.credential is None or not is_at_hand(self.credential)


def prepare_signature(services: Services, agreement: Agreement, step: Step) -> Draft:
    """Fix and store what `step.field` will sign."""
    field = _field(step)
    version, now = agreement.current, services.clock.now()
    means = _means(services, version, field)
    if field == SEAL:
        check_demands(services, agreement)
    try:
        signer = _signer(services, agreement, field)
    except REFUSALS as exc:
        if not _is_the_partys(version, field, means, exc):
            raise
        return refuse(version.party(field), None, exc)
    revision = Parts(services.ledger.get_blob(agreement.id, version.document.sha256, "pdf"))
    request = SignatureRequest(
        field=field,
        certify=field == SEAL,
        reason=attestation(version, field),
        appearance=None if field == SEAL else _appearance(services, agreement, field, signer, now),
    )
    if signer.lasting:
        mechanism = signer.identity.mechanism if signer.identity else Mechanism.ECDSA_SHA256
        rehearse(revision, request, mechanism, at=now)
    prepared: PreparedRevision
    room = services.keys.timestamps.token_room
    if signer.identity:
        prepared = prepare(revision, request, signer.identity, at=now, token_room=room)
    else:
        prepared = prepare(revision, request, None, at=now, token_room=room)
    blob_sha256 = services.ledger.put_blob(agreement.id, prepared.to_bytes(), "prepared")
    data = {
        "field": field,
        "base_sha256": version.document.sha256,
        "prepared_sha256": blob_sha256,
        "document_digest": prepared.document_digest.hex(),
        "certificate_sha256": signer.identity.certificate_sha256 if signer.identity else None,
    }
    if means is None:
        return Draft("signature-prepared", {**data, "lease_until": None})
    party = version.party(field)
    started: UserAuthorization | None = None
    if means is Method.REDIRECT:
        assert signer.credential is not None
        assert isinstance(prepared, PreparedSignature)
        try:
            started = begin_authorization(agreement, signer.credential, prepared, blob_sha256)
        except CredentialError as exc:
            return refuse(party, None, exc)
        data["state_sha256"] = hashlib.sha256(started.state.encode()).hexdigest()
    else:
        data["to_sign_sha256"] = services.ledger.put_blob(agreement.id, _to_sign(prepared, revision), "bin")
    lease = timestamp(now + PREPARED_LIFETIME)
    told = {
        **cause_of(party, None),
        **_request(agreement, party, means, end_of(version)),
        "to_sign": {
            "prepared": blob_sha256,
            "field": field,
            "digest_algorithm": prepared.digest_algorithm,
            "document_digest": prepared.document_digest.hex(),
            "expires_at": lease,
            **_to_whom(agreement.id, prepared, started, data.get("to_sign_sha256")),
        },
    }
    return Draft(
        "signature-prepared",
        {**data, "lease_until": lease},
        (Occurrence("agreement.signature-requested", told),),
    )


def _to_whom(
    agreement_id: str,
    prepared: PreparedRevision,
    started: UserAuthorization | None,
    to_sign_sha256: str | None,
) -> dict[str, object]:
    """What the event tells of the way to the signature: where the person is sent, or what is signed outside."""
    if started:
        return {"authorization_url": started.url, "state": started.state}
    assert to_sign_sha256 is not None
    key = blob_key(agreement_id, to_sign_sha256, "bin")
    told: dict[str, object] = {"content": {"sha256": to_sign_sha256, "storage_key": key}}
    if isinstance(prepared, PreparedSignature):
        told["signed_attributes"] = base64.b64encode(prepared.signed_attributes).decode()
    return told


def _to_sign(prepared: PreparedRevision, revision: Parts) -> bytes | Parts:
    """The bytes that are signed: the signed attributes, or where a whole CMS is made the document's own."""
    if isinstance(prepared, PreparedSignature):
        return prepared.signed_attributes
    return prepared.content(revision)


def complete_signature(services: Services, agreement: Agreement, step: Step) -> Draft:
    """Take the prepared signature of `step.field` from its key, or from outside, check it, and embed it."""
    field = _field(step)
    version = agreement.current
    intent = version.prepared
    assert intent is not None
    prepared = PreparedRevision.from_bytes(
        services.ledger.get_blob(agreement.id, intent.blob_sha256, "prepared")
    )
    revision = Parts(services.ledger.get_blob(agreement.id, version.document.sha256, "pdf"))
    if intent.answer:
        try:
            identity, signed = _outside(services, agreement, prepared, revision)
        except TimestampTooLarge as exc:
            # Another authority may answer soon; but a person must not wait for ever for what may never come.
            if not _is_old(services, intent):
                raise
            return refuse(version.party(field), intent, exc)
        except REFUSALS as exc:
            if exc.retryable:
                raise
            return refuse(version.party(field), intent, exc)
        return _signed(services, agreement, field, identity, _place_of_answer(intent), signed)
    credential = held_credential(services, signing_role(version, field))
    if _is_old(services, intent):
        return _discarded(intent, "too_old")
    if not isinstance(prepared, PreparedSignature) or prepared.identity != credential.identity:
        return _discarded(intent, "certificate_changed")
    try:
        signed = embed(
            prepared, sign(prepared, credential), revision=revision, timestamps=services.keys.timestamps
        )
    except (StaleSignature, SignatureMismatch, TimestampTooLarge) as exc:
        # A token's size is known once it came: the next one prepared has room for it.
        return _discarded(intent, exc.code)
    return _signed(services, agreement, field, credential.identity, place_of(credential), signed)


def _is_old(services: Services, intent: Prepared) -> bool:
    return services.clock.now() - datetime.fromisoformat(intent.at) > PREPARED_LIFETIME


def _place_of_answer(intent: Prepared) -> KeyPlace:
    """Where the key of a signature lies that a person made or approved."""
    return KeyPlace.CSC if intent.state_sha256 else KeyPlace.OUTSIDE


def _outside(
    services: Services, agreement: Agreement, prepared: PreparedRevision, revision: Parts
) -> tuple[SignerIdentity, Parts]:
    """The signer and the signed revision, of a signature that a person made or approved. Raises `SigningError`."""
    version, timestamps = agreement.current, services.keys.timestamps
    assert version.prepared is not None
    assert version.prepared.answer is not None
    answer = version.prepared.answer
    body = base64.b64decode(
        json.loads(services.ledger.get_blob(agreement.id, answer.blob_sha256, "json")), validate=True
    )
    if answer.kind == "cms":
        identity = signer_of(body)
        check_outside_signer(services, agreement, prepared.field, identity)
        return identity, embed_cms(
            prepared, body, revision=revision, timestamps=timestamps, trust=services.keys.trust
        )
    if not isinstance(prepared, PreparedSignature):
        raise SignatureMismatch(
            "a bare signature value came back, but no certificate was named when it was asked for",
            remedy="Send `sign` with the signer's certificates, or complete it with a CMS.",
        )
    # The evidence may have come only now, and says something else than what came with `sign`.
    place = _place_of_answer(version.prepared)
    check_outside_signer(services, agreement, prepared.field, prepared.identity, place)
    return prepared.identity, embed(prepared, body, revision=revision, timestamps=timestamps)


def give_up_signature(_services: Services, agreement: Agreement, step: Step) -> Draft:
    """Discard a prepared signature that did not come back in time; the party can sign again."""
    version = agreement.current
    assert version.prepared is not None
    assert version.prepared.field == step.field
    late = SignatureMismatch("no signature came back in time", remedy="Send `sign` again.")
    party = version.party(version.prepared.field)
    return refuse(party, version.prepared, late, code="signature_too_late")


def _signed(
    services: Services,
    agreement: Agreement,
    field: str,
    identity: SignerIdentity,
    place: KeyPlace,
    signed: Parts,
) -> Draft:
    version = agreement.current
    assert version.prepared is not None
    data: dict[str, object] = {
        "field": field,
        "revision": {"sha256": services.ledger.put_blob(agreement.id, signed, "pdf"), "bytes": len(signed)},
        "certificate_sha256": identity.certificate_sha256,
        "key_place": str(place),
    }
    if field == SEAL:
        return Draft("sealed", data)
    party, answer = version.party(field), version.prepared.answer
    evidence = (answer and answer.evidence_sha256) or (party.approval and party.approval.evidence_sha256)
    by = party.approval.by if party.approval else None
    data |= {"role": field, "by": by, "signed_at": version.prepared.at, "evidence_sha256": evidence or None}
    remaining = [p.role for p in version.parties if p.status is PartyStatus.WAITING and p.role != field]
    told = {
        **cause_of(party, answer),
        "role": field,
        "signed_at": data["signed_at"],
        "remaining": remaining,
    }
    return Draft("party-signed", data, (Occurrence("agreement.party-signed", told),))


def _discarded(intent: Prepared, reason: str) -> Draft:
    return Draft(
        "signature-discarded",
        {"field": intent.field, "prepared_sha256": intent.blob_sha256, "reason": reason},
    )


def _means(services: Services, version: Version, field: str) -> Method | None:
    """How a person makes the signature, outside or by redirect; None when a key of ours does without one.

    Who signs in another's place does so by their own means.
    """
    if field == SEAL:
        return None
    who = signing_role(version, field)
    credential = services.keys.credential(who)
    if who == field and version.party(field).method is Method.OUTSIDE:
        return Method.OUTSIDE
    if credential is None:
        return Method.OUTSIDE if who != field else None
    return Method.REDIRECT if needs_person(credential) else None


def _is_the_partys(version: Version, field: str, means: Method | None, fault: SigningError) -> bool:
    """Whether the party is told, who said that it signs: of a key that needs nobody, only that it does not suffice."""
    if means is not None:
        return True
    return isinstance(fault, WrongSigner) and field != SEAL and version.party(field).approval is not None


def _field(step: Step) -> str:
    assert step.field is not None
    return step.field


def _signer(services: Services, agreement: Agreement, field: str) -> _Signer:
    means = _means(services, agreement.current, field)
    if means is not Method.OUTSIDE:
        credential = held_credential(services, signing_role(agreement.current, field))
        if means is Method.REDIRECT:
            check_outside_signer(services, agreement, field, credential.identity, place_of(credential))
        else:
            check_held_signer(services, agreement, field, credential)
        return _Signer(credential, credential.identity)
    approval = agreement.current.party(field).approval
    assert approval is not None
    if approval.certificates_sha256 is None:
        return _Signer(None, None)
    chain = services.ledger.get_blob(agreement.id, approval.certificates_sha256, "json")
    identity = SignerIdentity.from_certificates([base64.b64decode(c) for c in json.loads(chain)])
    check_outside_signer(services, agreement, field, identity)
    return _Signer(None, identity)


def _appearance(
    services: Services, agreement: Agreement, role: str, signer: _Signer, now: datetime
) -> Appearance:
    """What the signature shows. A certificate from outside may hold a name that no font of ours can print."""
    version = agreement.current
    parties = services.ledger.get_json(agreement.id, version.input_sha256)["parties"]
    who = signing_role(version, role)
    template = services.templates.get(version.template, version.template_version, version.language)
    title, *lines = signature_lines(
        name=full_name(parties[who]),
        role=template.labels["role"][who],
        behalf=f"{_ON_BEHALF_OF[version.language]} {full_name(parties[role])}" if who != role else None,
        moment=now,
        certificate=signer.credential.identity.subject if signer.credential else None,
        attests=attestation_line(version, role),
    )
    return Appearance(
        title=title, lines=tuple(lines), font=services.keys.font, bold_font=services.keys.bold_font
    )
