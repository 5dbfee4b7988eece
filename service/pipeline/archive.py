"""From "all have signed" to a receipt: evidence for the long term, our own verification, and the receipt's seals."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from service.domain.agreement import SEAL, Agreement, Status, Version
from service.domain.appearance import attestation
from service.domain.log import Draft, Occurrence, canonical
from service.domain.renewal import scheduled
from service.domain.steps import Step
from service.errors import VerificationFailed
from service.pipeline.deliver import copies_of
from service.pipeline.ledger import blob_key
from service.pipeline.protection import protections
from service.pipeline.scans import missing_scans, retain_scans
from service.pipeline.services import Services
from service.pipeline.signers import held_credential, signers_trust
from service.pipeline.together import together
from signing import (
    Parts,
    SignatureRequest,
    TrustStore,
    ValidationReport,
    augment,
    embed,
    prepare,
    seal_detached,
    sign,
    validate,
    verify_detached,
)

__all__ = [
    "LEVEL",
    "augment_document",
    "check_against_log",
    "issue_receipt",
    "level_faults",
    "validate_version",
    "verify_document",
]

LEVEL = "B-LTA"
"""The PAdES baseline level (ETSI EN 319 142-1) that every signature must have before a version is signed."""


def augment_document(services: Services, agreement: Agreement, _step: Step) -> Draft:
    """Add certificates, OCSP answers and CRLs for every signature, and one document timestamp over all."""
    keys, version = services.keys, agreement.current
    revision = Parts(services.ledger.get_blob(agreement.id, version.document.sha256, "pdf"))
    augmented = augment(
        revision,
        trust=keys.trust,
        timestamps=keys.timestamps,
        collector=keys.evidence,
        signers=signers_trust(version, keys.trust),
        grace=services.revocation_grace,
        digest=keys.trust.algorithms.digest_for(keys.now()),
        at=keys.now(),
    )
    sha256 = services.ledger.put_blob(agreement.id, augmented, "pdf", archived=True, until=version.kept_until)
    return Draft("augmented", {"revision": {"sha256": sha256, "bytes": len(augmented)}, "level": LEVEL})


def verify_document(services: Services, agreement: Agreement, _step: Step) -> Draft:
    """Validate the final bytes as a stranger would, and compare them with the log.

    Raises `VerificationFailed`: the version stays unsigned, and an operator must look at it.
    """
    version = agreement.current
    document = services.ledger.get_blob(agreement.id, version.document.sha256, "pdf", stored=True)
    keys = services.keys
    report = validate_version(version, document, keys.trust, at=keys.now())
    faults = [
        *check_against_log(version, document, report),
        *missing_scans(services.ledger, agreement.id, version),
        *level_faults(report),
    ]
    if faults:
        raise VerificationFailed(
            f"the signed document of agreement {agreement.id} does not verify: {'; '.join(faults)}",
            remedy="Compare with `signert verify`; check SIGNERT_TRUST (and SIGNERT_TRUST_…), and the "
            "certificates of the signers.",
        )
    retain_scans(services.ledger, agreement.id, version)
    body = canonical(report.as_json())
    return Draft(
        "verified",
        {
            "report_sha256": services.ledger.put_blob(
                agreement.id, body, "json", archived=True, until=version.kept_until
            ),
            "indication": report.indication,
        },
    )


def validate_version(
    version: Version,
    document: bytes,
    trust: TrustStore,
    *,
    at: datetime | None = None,
) -> ValidationReport:
    """The validation of the version's document, each signer by the anchors for its way of signing."""
    return validate(document, trust, signers=signers_trust(version, trust), at=at)


def check_against_log(version: Version, document: bytes, report: ValidationReport) -> list[str]:
    """In words, where `document` is not what the version's log says: no entry means that all is right.

    Each revision that the log names must be a byte prefix of the document, each signature must be made with the
    certificate that the log names, and what it attests must be what the log says, no more and no less.
    """
    faults = [
        f"revision {number} is not a prefix of the document"
        for number, revision in enumerate(version.revisions)
        if hashlib.sha256(memoryview(document)[: revision.size]).hexdigest() != revision.sha256
    ]
    if len(document) != version.document.size:
        faults.append("the document is not as long as the log says")
    if not report.passed:
        faults.append(f"the validation says {report.indication}")
    found = {s.field: s.certificate_sha256 for s in report.signatures}
    if found.keys() != {SEAL, *(p.role for p in version.signers)}:
        faults.append("the signatures are not those of the seal and the parties")
    faults += [
        f"the signature of '{p.role}' is made with another certificate than the log says"
        for p in version.signers
        if p.role in found and found[p.role] != p.certificate_sha256
    ]
    reasons = {s.field: s.reason for s in report.signatures}
    faults += [
        f"the signature of '{p.role}' attests other signatures on paper than the log says"
        for p in version.signers
        if p.role in found and (reasons[p.role] or None) != attestation(version, p.role)
    ]
    return faults


def level_faults(report: ValidationReport) -> Iterator[str]:
    """In words, which signatures are not of the level that lasts."""
    for signature in report.signatures:
        if signature.level != LEVEL:
            yield f"the signature of '{signature.field}' is {signature.level}, not {LEVEL}"


def issue_receipt(services: Services, agreement: Agreement, _step: Step) -> Draft:
    """Seal the receipt in its two forms, JSON with a detached CAdES and PDF, and close the version."""
    keys, ledger, version = services.keys, services.ledger, agreement.current
    assert version.receipt_sha256 is not None
    assert version.receipt_draft_sha256 is not None
    credential = held_credential(services, SEAL)
    receipt = ledger.get_blob(agreement.id, version.receipt_sha256, "json")
    trust = keys.trust.of(SEAL)
    signature = seal_detached(
        receipt, credential, keys.timestamps, trust=trust, collector=keys.evidence, at=keys.now()
    )
    draft = ledger.get_blob(agreement.id, version.receipt_draft_sha256, "pdf")
    # By now the authority's size is known: the detached seal has a token of its.
    prepared = prepare(
        draft,
        SignatureRequest(field=SEAL, certify=True),
        credential.identity,
        at=services.clock.now(),
        token_room=keys.timestamps.token_room,
    )
    sealed = embed(prepared, sign(prepared, credential), revision=draft, timestamps=keys.timestamps)
    final = augment(
        sealed,
        trust=trust,
        timestamps=keys.timestamps,
        collector=keys.evidence,
        digest=keys.trust.algorithms.digest_for(keys.now()),
        at=keys.now(),
    )
    now = keys.now()
    report = validate(final, trust, at=now)
    seal = verify_detached(receipt, signature, trust, at=now)
    if not report.passed or [*level_faults(report)] or seal.indication != "TOTAL-PASSED":
        raise VerificationFailed(
            f"the sealed receipt of agreement {agreement.id} does not verify: "
            f"{report.indication} (PDF), {seal.indication} (JSON)",
            remedy="Check SIGNERT_TRUST, and the certificate of the seal.",
        )
    until = version.kept_until
    with ledger.storing_together():
        hashes = {
            "receipt_sha256": version.receipt_sha256,
            "receipt_signature_sha256": ledger.put_blob(
                agreement.id, signature, "p7s", archived=True, until=until
            ),
            "receipt_pdf_sha256": ledger.put_blob(agreement.id, final, "pdf", archived=True, until=until),
        }
        _retain_all(services, agreement)
    document = ledger.get_blob(agreement.id, version.document.sha256, "pdf")
    schedule = scheduled(protections(keys, document, final, signature), services.renew_before)
    signed = Occurrence("agreement.signed", _told(agreement.id, version, hashes))
    copies, available = copies_of(services, agreement)
    told = (signed, *_replaced(version), *available)
    return Draft("signed", {**hashes, "renewal": schedule.as_data(), **copies}, told)


def _retain_all(services: Services, agreement: Agreement) -> None:
    """What was not stored as archived is now; and what an earlier version left is kept as long as this one."""
    until = agreement.current.kept_until
    if until is None:
        return
    version = agreement.current
    others = [version.courtesy_sha256, version.screened_sha256]
    kept = [(version.input_sha256, "json"), *((sha256, "pdf") for sha256 in others)]
    for earlier in agreement.versions[:-1]:
        if earlier.status is Status.SIGNED and (earlier.kept_until or until) < until:
            kept += [
                (earlier.document.sha256, "pdf"),
                (earlier.report_sha256, "json"),
                (earlier.receipt_sha256, "json"),
                (earlier.receipt_signature_sha256, "p7s"),
                (earlier.receipt_pdf_sha256, "pdf"),
            ]
    together(
        partial(services.ledger.retain, blob_key(agreement.id, sha256, extension), until)
        for sha256, extension in kept
        if sha256
    )


def _replaced(version: Version) -> Iterator[Occurrence]:
    """What an amendment does to the version that it changes."""
    if version.supersedes is None:
        return
    yield Occurrence("agreement.superseded", {"version": version.supersedes, "superseded_by": version.number})
    if version.terminates:
        yield Occurrence("agreement.terminated", {"supersedes": version.supersedes})


def _told(agreement_id: str, version: Version, hashes: Mapping[str, str]) -> dict[str, Any]:
    """The event's data: where the document and the receipt are, and their hashes."""
    extensions = {
        "receipt": ("receipt_sha256", "json"),
        "receipt_signature": ("receipt_signature_sha256", "p7s"),
        "receipt_pdf": ("receipt_pdf_sha256", "pdf"),
    }
    told = {
        name: {"sha256": hashes[key], "storage_key": blob_key(agreement_id, hashes[key], extension)}
        for name, (key, extension) in extensions.items()
    }
    document = version.document.sha256
    return {"document": {"sha256": document, "storage_key": blob_key(agreement_id, document, "pdf")}, **told}
