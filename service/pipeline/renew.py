"""Renewal: before what proves a signed version ends, it is validated in full, and a new document timestamp put over it.

A version that does not verify is never renewed: a new timestamp would say that it was whole.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import rfc8785

from service.domain.agreement import SEAL, Agreement, Revision, Status, Version
from service.domain.log import Draft, Entry, Occurrence, canonical, timestamp
from service.domain.renewal import Reason, Schedule, put_off, scheduled
from service.domain.renewal_receipt import FileFacts, renewal_receipt
from service.domain.steps import Step
from service.errors import VerificationFailed
from service.pipeline.archive import check_against_log, level_faults, validate_version
from service.pipeline.ledger import blob_key
from service.pipeline.protection import document_protection, protections
from service.pipeline.renewal_chain import (
    SealedReceipt,
    chain_faults,
    file_facts,
    judge_seals,
    log_facts,
    seal_faults,
    sealed_receipts,
)
from service.pipeline.scans import missing_scans, scan_key
from service.pipeline.services import Keys, Services
from service.pipeline.signers import held_credential, signers_trust
from signing import (
    SignatureResult,
    TrustStore,
    ValidationReport,
    augment,
    credential_ends,
    seal_detached,
    token_lifetime,
    validate,
)

__all__ = ["ask_renewal", "reassess", "renew_version", "schedule_version"]

_REMEDY = "Compare with `signert verify` and `signert fsck`; check SIGNERT_TRUST, which keeps the anchors of all years."


@dataclass(frozen=True)
class _Held:
    """What proves a version, as it is in the store."""

    document: bytes
    receipt_pdf: bytes
    receipts: Sequence[SealedReceipt]

    @classmethod
    def of(cls, services: Services, agreement: Agreement, version: Version) -> _Held:
        ledger = services.ledger

        def read(key: str) -> bytes:
            sha256, _, extension = key.rpartition("/")[2].partition(".")
            return ledger.get_blob(agreement.id, sha256, extension)

        return cls(
            ledger.get_blob(agreement.id, version.document.sha256, "pdf"),
            ledger.get_blob(agreement.id, str(version.receipt_pdf_sha256), "pdf"),
            sealed_receipts(agreement.id, version, read),
        )


# --- when ---------------------------------------------------------------------------------------------------


def schedule_version(services: Services, agreement: Agreement, step: Step) -> Draft:
    """Say when a version is to be renewed whose log does not say it, by the files in the store."""
    version = _version(agreement, step)
    return _scheduled(version, _schedule(services, agreement, version))


def reassess(services: Services, agreement: Agreement) -> Iterator[Draft]:
    """For each signed version whose time of renewal is another one by the present policy: the entry that says so."""
    for version in agreement.versions:
        if version.status is not Status.SIGNED:
            continue
        found = _schedule(services, agreement, version)
        known = version.schedule
        asked = known is not None and known.reason is Reason.ASKED
        if known is None or (not asked and (found.ends, found.reason) != (known.ends, known.reason)):
            yield _scheduled(version, found)


def ask_renewal(services: Services, agreement: Agreement) -> Iterator[Draft]:
    """For each signed version: the entry that has it renewed now, whether it needs it or not."""
    now = timestamp(services.clock.now())
    for version in agreement.versions:
        if version.status is Status.SIGNED:
            ends = _schedule(services, agreement, version).ends
            yield _scheduled(version, Schedule(now, ends, Reason.ASKED))


def _schedule(services: Services, agreement: Agreement, version: Version) -> Schedule:
    held = _Held.of(services, agreement, version)
    seal = held.receipts[-1].signature
    found = protections(services.keys, held.document, held.receipt_pdf, seal)
    return scheduled(found, services.renew_before)


def _scheduled(version: Version, schedule: Schedule) -> Draft:
    return Draft("renewal-scheduled", {"renewal": schedule.as_data()}, version=version.number)


def _version(agreement: Agreement, step: Step) -> Version:
    return agreement.versions[int(str(step.field)) - 1]


# --- the renewal --------------------------------------------------------------------------------------------


def renew_version(services: Services, agreement: Agreement, step: Step) -> Draft:
    """Validate the version in full, augment what will soon prove no longer, and seal a receipt of it.

    1. Where the authority and the seal have nothing that lasts longer today, it is put off.
    2. What is in the store is held against the log and validated as of now (`VerificationFailed`).
    3. The document, and the receipt's PDF, get evidence for the newest timestamp and a new one over all.
    4. Both are validated as of now; they begin with the bytes that they had (`VerificationFailed`).
    5. A receipt of the renewal, which names all that it covers, is sealed.
    """
    version = _version(agreement, step)
    schedule, keys = version.schedule, services.keys
    assert schedule is not None
    if schedule.reason is not Reason.ASKED and not _gains(services, schedule):
        return _scheduled(version, put_off(schedule, services.clock.now()))
    held = _Held.of(services, agreement, version)
    seals = _check(services, agreement, version, held)
    digest = keys.trust.algorithms.digest_for(keys.now())
    asked = schedule.reason is Reason.ASKED
    document = _renewed(
        services, held.document, keys.trust, digest, signers_trust(version, keys.trust), asked=asked
    )
    receipt_pdf = _renewed(services, held.receipt_pdf, keys.trust.of(SEAL), digest, {}, asked=asked)
    revision = Revision(hashlib.sha256(document).hexdigest(), len(document))
    after = (
        version if document == held.document else replace(version, revisions=(*version.revisions, revision))
    )
    report = _report(keys, after, document)
    _refuse(agreement, [*check_against_log(after, document, report), *_pdf_faults(keys, report, receipt_pdf)])
    return _drafted(services, agreement, after, held, document, receipt_pdf, report, seals, digest)


def _renewed(
    services: Services,
    document: bytes,
    trust: TrustStore,
    digest: str,
    signers: Mapping[str, TrustStore],
    *,
    asked: bool,
) -> bytes:
    """The document with a new document timestamp, or as it is when the one that it has lasts."""
    keys = services.keys
    due = document_protection(keys, document).renew_by(services.renew_before) <= services.clock.now()
    if not (due or asked):
        return document
    return augment(
        document,
        trust=trust,
        timestamps=keys.timestamps,
        collector=keys.evidence,
        signers=signers,
        digest=digest,
        at=keys.now(),
    )


def _gains(services: Services, schedule: Schedule) -> bool:
    """Whether a timestamp and a seal of today last longer than what there is."""
    keys = services.keys
    digest = keys.trust.algorithms.digest_for(keys.now())
    token = keys.timestamps.timestamp(hashlib.new(digest, secrets.token_bytes(32)).digest(), digest)
    seal = held_credential(services, SEAL).identity
    ends = min(
        token_lifetime(token, keys.trust).ends,
        credential_ends(seal, keys.trust.of(SEAL), at=keys.now()),
    )
    return timestamp(ends) > schedule.ends


def _check(
    services: Services, agreement: Agreement, version: Version, held: _Held
) -> Sequence[SignatureResult]:
    """The verdicts on the detached seals. Raises `VerificationFailed` when anything is not as it should be."""
    keys, ledger = services.keys, services.ledger
    report = _report(keys, version, held.document)
    seals = judge_seals(held.receipts, keys.trust.of(SEAL), at=keys.now())
    log = _log(services, agreement)
    _refuse(
        agreement,
        [
            *check_against_log(version, held.document, report),
            *missing_scans(ledger, agreement.id, version),
            *_pdf_faults(keys, report, held.receipt_pdf),
            *seal_faults(held.receipts, seals),
            *chain_faults(
                agreement,
                version,
                held.receipts,
                document=held.document,
                receipt_pdf=held.receipt_pdf,
                log=log,
            ),
        ],
    )
    return seals


def _report(keys: Keys, version: Version, document: bytes) -> ValidationReport:
    return validate_version(version, document, keys.trust, at=keys.now())


def _pdf_faults(keys: Keys, report: ValidationReport, receipt_pdf: bytes) -> Iterator[str]:
    yield from level_faults(report)
    found = validate(receipt_pdf, keys.trust.of(SEAL), at=keys.now())
    if not found.passed:
        yield f"the validation of the receipt's PDF says {found.indication}"
    for fault in level_faults(found):
        yield f"{fault} (in the receipt's PDF)"


def _refuse(agreement: Agreement, faults: Sequence[str]) -> None:
    if faults:
        raise VerificationFailed(
            f"agreement {agreement.id} is not renewed, for it does not verify: {'; '.join(faults)}",
            remedy=_REMEDY,
        )


# --- what is written ----------------------------------------------------------------------------------------


def _drafted(
    services: Services,
    agreement: Agreement,
    version: Version,
    held: _Held,
    document: bytes,
    receipt_pdf: bytes,
    report: ValidationReport,
    seals: Sequence[SignatureResult],
    digest: str,
) -> Draft:
    """Store the files, seal the receipt of the renewal, and write the entry that names them."""
    keys, ledger = services.keys, services.ledger
    assert version.schedule is not None
    reason = version.schedule.reason

    def store(body: bytes, extension: str) -> FileFacts:
        sha256 = ledger.put_blob(agreement.id, body, extension, archived=True, until=version.kept_until)
        return file_facts(blob_key(agreement.id, sha256, extension), body)

    files = {"document": store(document, "pdf"), "receipt_pdf": store(receipt_pdf, "pdf")}
    stored_report = store(canonical(report.as_json()), "json")
    stated = renewal_receipt(
        agreement,
        version,
        reason=reason,
        covers=_covered(agreement.id, held),
        scans=_scans(services, agreement.id, version),
        document=files["document"],
        receipt_pdf=files["receipt_pdf"],
        digest=digest,
        report=report.as_json(),
        report_file=stored_report,
        seals=[seal.indication for seal in seals],
        log=log_facts(_log(services, agreement)),
        issued_at=timestamp(services.clock.now()),
    )
    body = rfc8785.dumps(stated)
    signature = _sealed(services, agreement, held, body)
    files |= {
        "renewal_receipt": store(body, "json"),
        "renewal_receipt_signature": store(signature, "p7s"),
    }
    following = scheduled(protections(keys, document, receipt_pdf, signature), services.renew_before)
    changed = version.document.sha256 != hashlib.sha256(held.document).hexdigest()
    revision = {"revision": {"sha256": version.document.sha256, "bytes": version.document.size}}
    told: dict[str, Any] = {
        "reason": str(reason),
        "digest": digest,
        "renewal": following.as_data(),
    }
    stored = {name: {"sha256": f.sha256, "storage_key": f.storage_key} for name, f in files.items()}
    return Draft(
        "renewed",
        {
            **told,
            **(revision if changed else {}),
            "receipt_pdf_sha256": files["receipt_pdf"].sha256,
            "receipt_pdf_bytes": files["receipt_pdf"].size,
            "report_sha256": stored_report.sha256,
            "renewal_receipt_sha256": files["renewal_receipt"].sha256,
            "renewal_receipt_signature_sha256": files["renewal_receipt_signature"].sha256,
        },
        (Occurrence("agreement.timestamp-renewed", {**told, **stored}),),
        version.number,
    )


def _sealed(services: Services, agreement: Agreement, held: _Held, receipt: bytes) -> bytes:
    """The seal of the receipt of the renewal, with which the whole chain of receipts is judged once more."""
    keys = services.keys
    credential, trust = held_credential(services, SEAL), keys.trust.of(SEAL)
    signature = seal_detached(
        receipt, credential, keys.timestamps, trust=trust, collector=keys.evidence, at=keys.now()
    )
    receipts = [*held.receipts, SealedReceipt(len(held.receipts), receipt, signature)]
    verdicts = judge_seals(receipts, trust, at=keys.now())
    newest = verdicts[-1]
    unproven = [] if newest.indication == "TOTAL-PASSED" else [f"the new seal is {newest.indication}"]
    _refuse(agreement, [*unproven, *seal_faults(receipts[:-1], verdicts[:-1])])
    return signature


def _covered(agreement_id: str, held: _Held) -> Mapping[str, FileFacts]:
    def facts(body: bytes, extension: str) -> FileFacts:
        return file_facts(blob_key(agreement_id, hashlib.sha256(body).hexdigest(), extension), body)

    first, last = held.receipts[0], held.receipts[-1]
    covered = {
        "receipt": facts(first.body, "json"),
        "receipt_signature": facts(first.signature, "p7s"),
        "document": facts(held.document, "pdf"),
        "receipt_pdf": facts(held.receipt_pdf, "pdf"),
    }
    if last.number:
        covered |= {
            "previous": facts(last.body, "json"),
            "previous_signature": facts(last.signature, "p7s"),
        }
    return covered


def _scans(services: Services, agreement_id: str, version: Version) -> list[tuple[str, FileFacts]]:
    keys = [(party.role, scan_key(agreement_id, paper)) for party, paper in version.papers]
    return [(role, file_facts(key, services.store.get(key))) for role, key in keys]


def _log(services: Services, agreement: Agreement) -> list[Entry]:
    """The log that the agreement's state is of."""
    return [e for e in services.ledger.read(agreement.id) if e.seq <= agreement.head.seq]
