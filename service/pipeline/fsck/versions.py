"""One version: its revisions, and once it is signed its signatures, its validation report and its receipts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from service.domain.agreement import SEAL, Agreement, Revision, Status, Version
from service.domain.log import Entry, log_key
from service.domain.receipt import declared
from service.pipeline.archive import LEVEL, check_against_log, validate_version
from service.pipeline.fsck.reading import Blobs, Examined
from service.pipeline.ledger import blob_key
from service.pipeline.renewal_chain import SealedReceipt, chain_faults, judge_seals, sealed_receipts
from service.pipeline.scans import scan_key
from signing import TrustStore, ValidationReport, validate

__all__ = ["check_version"]

_AGED = "OUT_OF_BOUNDS_NO_POE"


def check_version(
    examined: Examined,
    blobs: Blobs,
    agreement: Agreement,
    version: Version,
    trust: TrustStore | None,
    log: Sequence[Entry],
    at: datetime | None = None,
) -> None:
    """Without `trust`, hashes are compared and signatures are left alone. `log` is the agreement's, `at` the time to
    judge for: now, when not given.
    """
    document = _check_revisions(examined, blobs, agreement.id, version)
    if version.status is not Status.SIGNED:
        return
    if document is not None and trust is not None:
        _check_document(examined, agreement.id, version, document, trust, at)
    _check_reports(examined, blobs, agreement.id, version)
    _check_receipt(examined, blobs, agreement, version, document)
    receipts = sealed_receipts(agreement.id, version, blobs.read)
    if trust is not None:
        _check_seals(examined, agreement.id, receipts, trust, at or datetime.now(UTC))
    receipt_pdf = _check_receipt_pdf(examined, blobs, agreement.id, version, trust, at)
    if document is None or receipt_pdf is None:
        return
    for fault in chain_faults(
        agreement, version, receipts, document=document, receipt_pdf=receipt_pdf, log=log
    ):
        examined.say("renewal_receipt_differs", agreement.id, f"version {version.number}: {fault}")


def _check_revisions(examined: Examined, blobs: Blobs, agreement_id: str, version: Version) -> bytes | None:
    """Each revision as long as the log says, and beginning with the one before; returns the newest one's bytes.

    None when anything is amiss: what to say of the document has been said then.
    """
    faults = len(examined.findings)
    body: bytes | None = None
    before: Revision | None = None
    for number, revision in enumerate(version.revisions):
        key = blob_key(agreement_id, revision.sha256, "pdf")
        body = blobs.read(key)
        if body is None:
            before = None
            continue
        examined.counts.revisions += 1
        if len(body) != revision.size:
            said = f"revision {number} has {len(body)} bytes, where the log says {revision.size}"
            examined.say("revision_length", key, said)
        if before and hashlib.sha256(memoryview(body)[: before.size]).hexdigest() != before.sha256:
            said = f"revision {number} does not start with the bytes of the one before"
            examined.say("revision_not_prefix", key, said)
        before = Revision(revision.sha256, len(body))
    return body if len(examined.findings) == faults else None


def _check_document(
    examined: Examined,
    agreement_id: str,
    version: Version,
    document: bytes,
    trust: TrustStore,
    at: datetime | None,
) -> None:
    report = validate_version(version, document, trust, at=at)
    _count(examined, report)
    faults = [*check_against_log(version, document, report), *_failed(report)]
    if faults:
        key = blob_key(agreement_id, version.document.sha256, "pdf")
        examined.say("document_not_verified", key, "; ".join(faults))


def _failed(report: ValidationReport) -> Iterator[str]:
    for signature in report.signatures:
        if signature.indication != "TOTAL-PASSED":
            said = " ".join(filter(None, (signature.indication, signature.sub_indication)))
            yield f"the signature of '{signature.field}' is {said}"
        elif signature.level != LEVEL:
            yield f"the signature of '{signature.field}' is {signature.level}, not {LEVEL}"
    if not report.signatures and report.sub_indication:
        yield report.sub_indication


def _count(examined: Examined, report: ValidationReport) -> None:
    examined.counts.signatures += sum(s.indication == "TOTAL-PASSED" for s in report.signatures)
    examined.counts.document_timestamps += sum(
        t.indication == "TOTAL-PASSED" for t in report.document_timestamps
    )


def _check_reports(examined: Examined, blobs: Blobs, agreement_id: str, version: Version) -> None:
    """A validation report that was kept must be of the document as it was then."""
    kept = [(version.report_sha256, version.receipted.sha256)]
    kept += [(r.report_sha256, r.document_sha256) for r in version.renewals]
    for report_sha256, document_sha256 in kept:
        key = blob_key(agreement_id, str(report_sha256), "json")
        report = _read_json(blobs, key)
        if report is not None and report.get("sha256") != document_sha256:
            examined.say("report_differs", key, "the validation report is of another document")


def _check_receipt(
    examined: Examined,
    blobs: Blobs,
    agreement: Agreement,
    version: Version,
    document: bytes | None,
) -> None:
    key = blob_key(agreement.id, str(version.receipt_sha256), "json")
    receipt = blobs.read(key)
    if receipt is None:
        return
    differing = [
        path
        for path, stated in _stated(agreement, version, document).items()
        if _at(_as_object(receipt), path) != stated
    ]
    if differing:
        said = f"the receipt says something else than the log of: {', '.join(differing)}"
        examined.say("receipt_differs", key, said)


def _check_seals(
    examined: Examined,
    agreement_id: str,
    receipts: Sequence[SealedReceipt],
    trust: TrustStore,
    at: datetime,
) -> None:
    """The detached seals of receipt.json and of the renewals' receipts, each as of what proves it."""
    for receipt, found in zip(receipts, judge_seals(receipts, trust.of(SEAL), at=at), strict=True):
        key = blob_key(agreement_id, hashlib.sha256(receipt.signature).hexdigest(), "p7s")
        if found.indication == "TOTAL-PASSED":
            examined.counts.signatures += 1
        elif found.sub_indication == _AGED:
            said = f"the detached signature of {receipt.title} has outlived its certificate"
            examined.say("receipt_signature_aged", key, said)
        else:
            said = " ".join(filter(None, (found.indication, found.sub_indication)))
            examined.say("receipt_not_verified", key, f"the detached signature of {receipt.title} is {said}")


def _check_receipt_pdf(
    examined: Examined,
    blobs: Blobs,
    agreement_id: str,
    version: Version,
    trust: TrustStore | None,
    at: datetime | None,
) -> bytes | None:
    """The newest one's bytes; None when it is not as it should be, which is said."""
    draft = blobs.read(blob_key(agreement_id, str(version.receipt_draft_sha256), "pdf"))
    key = blob_key(agreement_id, str(version.receipt_pdf_sha256), "pdf")
    sealed = blobs.read(key)
    if sealed is None:
        return None
    if draft is not None and not sealed.startswith(draft):
        examined.say(
            "revision_not_prefix", key, "the sealed receipt does not start with the bytes that were rendered"
        )
        return None
    if trust is None:
        return sealed
    report = validate(sealed, trust.of(SEAL), at=at)
    _count(examined, report)
    faults = list(_failed(report))
    if not report.passed:
        faults.insert(0, f"the validation says {report.indication}")
    if {s.field for s in report.signatures} != {SEAL}:
        faults.append("the signatures are not the seal alone")
    if faults:
        examined.say("receipt_pdf_not_verified", key, "; ".join(faults))
    return sealed


def _stated(agreement: Agreement, version: Version, document: bytes | None) -> dict[str, object]:
    """What the log says of all that a receipt states, by the path in the receipt."""
    assert version.verified_head is not None
    seq, sha256 = version.verified_head
    stated: dict[str, object] = {
        "agreement.id": agreement.id,
        "agreement.version": version.number,
        "agreement.language": version.language,
        "agreement.case.system": agreement.case_system,
        "agreement.case.reference": agreement.case_reference,
        "document.sha256": version.receipted.sha256,
        "document.bytes": version.receipted.size,
        "document.storage_key": blob_key(agreement.id, version.receipted.sha256, "pdf"),
        "template.name": version.template,
        "template.version": version.template_version,
        "template.sha256": version.template_sha256,
        "input.sha256": version.input_sha256,
        "input.storage_key": blob_key(agreement.id, version.input_sha256, "json"),
        "validation.report_sha256": version.report_sha256,
        "log.seq": seq,
        "log.sha256": sha256,
        "log.storage_key": log_key(agreement.id, seq),
    }
    if version.declarations:
        stated["declarations"] = declared(version)
    if document is not None:
        receipted = memoryview(document)[: version.receipted.size]
        stated["document.sha512"] = hashlib.sha512(receipted).hexdigest()
    for party in version.signers:
        stated[f"signatures.{party.role}.certificate.sha256"] = party.certificate_sha256
    for party, paper in version.papers:
        stated |= {
            f"paper_signatures.{party.role}.signed_on": paper.signed_on,
            f"paper_signatures.{party.role}.scan.sha256": paper.scan_sha256,
            f"paper_signatures.{party.role}.scan.storage_key": scan_key(agreement.id, paper),
        }
    return stated


def _as_object(receipt: bytes) -> Any:
    """The receipt, its signatures by role; None for what is no receipt."""
    try:
        found = json.loads(receipt)
        return {
            **found,
            "signatures": {s["field"]: s for s in found["signatures"]},
            "paper_signatures": {s["role"]: s for s in found.get("paper_signatures", ())},
        }
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _at(value: Any, path: str) -> Any:
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _read_json(blobs: Blobs, key: str) -> Mapping[str, Any] | None:
    body = blobs.read(key)
    if body is None:
        return None
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    return found if isinstance(found, Mapping) else {}
