"""Erasure: an archivist approves, the content goes, the log stays as the tombstone.

The record says what is erased, by whose approval and by which rule; it is stored before the first byte goes, so that a
crash between two of them loses nothing of it, and the organisation seals it when all is gone.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from service.domain.agreement import SEAL, Agreement
from service.domain.erasure import ErasureReason, check_erasable, disposable_from, ordered
from service.domain.log import Draft, Occurrence, canonical, timestamp
from service.domain.ports import ObjectStore
from service.domain.steps import Step
from service.errors import Retained, SignertError
from service.pipeline.ledger import Ledger, Raced, blob_key
from service.pipeline.services import Services
from service.pipeline.signers import held_credential
from service.pipeline.work import Marker
from signing import seal_detached

__all__ = ["Disposable", "disposable", "disposal_keys", "erase_content", "order_erasure"]

RECORD_FORMAT = "signert-erasure/1"


@dataclass(frozen=True)
class Disposable:
    """An agreement that an archivist is to look at: its time is over. `head` is the SHA-256 of its log's last entry."""

    agreement_id: str
    case_system: str
    case_reference: str
    template: str
    versions: int
    reason: ErasureReason
    since: str
    disposal: str | None
    authority: str | None
    head: str

    def as_json(self) -> dict[str, Any]:
        return {**vars(self), "reason": str(self.reason)}


def disposal_keys(services: Services, agreement: Agreement) -> list[str]:
    """The object that says from which day on an archivist is to look at it: a hint for `disposable`, never truth."""
    day = disposable_from(agreement, services.unsigned_days)
    return [f"disposal/{day}/{agreement.id}"] if day is not None else []


def disposable(ledger: Ledger, unsigned_days: int, on: date) -> Iterator[Disposable]:
    """What may be erased on that day, if an archivist approves, by the day it became so."""
    seen = set()
    for key in ledger.store.list("disposal/"):
        _, day, agreement_id = key.split("/")
        if day > on.isoformat():
            return
        if agreement_id in seen:
            continue
        seen.add(agreement_id)
        agreement = ledger.agreement(agreement_id)
        since = disposable_from(agreement, unsigned_days)
        if since is not None and since <= on:
            yield _disposable(agreement, since)


def _disposable(agreement: Agreement, since: date) -> Disposable:
    retention = agreement.retention if agreement.is_archived else None
    return Disposable(
        agreement.id,
        agreement.case_system,
        agreement.case_reference,
        agreement.current.template,
        len(agreement.versions),
        ErasureReason.DISPOSAL if agreement.is_archived else ErasureReason.NOT_SIGNED,
        since.isoformat(),
        str(retention.disposal) if retention else None,
        retention.authority if retention else None,
        agreement.head.sha256,
    )


def order_erasure(
    services: Services, agreement_id: str, *, approved_by: str, head: str | None = None
) -> Marker:
    """Order that the agreement's content be erased; the marker is to be driven.

    `approved_by` is the archivist, `head` the end of the log that was approved: an agreement that has changed since is
    left alone (`changed_since`). Raises `SignertError`: `archive_duty`, `version_open`, `already_erased`; `Retained`
    when the store keeps a part of it under a lock; `NotFound`.
    """
    ledger, now = services.ledger, services.clock.now()
    while True:
        agreement = ledger.agreement(agreement_id)
        if head is not None and agreement.head.sha256 != head:
            raise SignertError(
                f"agreement {agreement_id} has changed since the list was made",
                code="changed_since",
                remedy="Make a new list with `signert disposal list`.",
            )
        reason = check_erasable(agreement, now)
        blobs = list(_blobs(services.store, agreement_id))
        retention = agreement.retention if agreement.is_archived else None
        record = {
            "format": RECORD_FORMAT,
            "agreement": {
                "id": agreement_id,
                "case": {"system": agreement.case_system, "reference": agreement.case_reference},
                "versions": len(agreement.versions),
            },
            "reason": str(reason),
            "retention": retention.as_data() if retention else None,
            "approved_by": approved_by,
            "ordered_at": timestamp(now),
            "log": {"seq": agreement.head.seq, "sha256": agreement.head.sha256},
            "erased": blobs,
        }
        draft = ordered(
            agreement, reason, record_sha256=ledger.put_blob(agreement_id, canonical(record), "json")
        )
        marker = services.workbook.begin(agreement_id, str(uuid.uuid4()), since=agreement.head.seq + 1)
        try:
            ledger.append(agreement_id, agreement.head, draft, version=agreement.current.number)
        except Raced:
            services.workbook.end(marker)
            continue
        return marker


def _blobs(store: ObjectStore, agreement_id: str) -> Iterator[dict[str, Any]]:
    """All blobs of the agreement, those included that a crash left. Raises `Retained` for one under a lock."""
    root = f"agreements/{agreement_id}/blobs/"
    for key in store.list(root):
        if until := store.retained_until(key):
            raise Retained(
                f"{key} is under a lock until {until:%Y-%m-%d}: nothing of agreement {agreement_id} was erased",
                remedy="Try again after that day.",
            )
        sha256, _, extension = key.removeprefix(root).partition(".")
        yield {"sha256": sha256, "extension": extension, "bytes": store.size(key)}


def erase_content(services: Services, agreement: Agreement, _step: Step) -> Draft:
    """Erase every blob but the record, and seal that."""
    erasure, keys, ledger = agreement.erasure, services.keys, services.ledger
    assert erasure is not None
    credential = held_credential(services, SEAL)
    record_key = blob_key(agreement.id, erasure.record_sha256, "json")
    for key in list(services.store.list(f"agreements/{agreement.id}/blobs/")):
        if key != record_key:
            services.store.erase(key)
    record = ledger.get_blob(agreement.id, erasure.record_sha256, "json")
    signature = seal_detached(
        record, credential, keys.timestamps, trust=keys.trust.of(SEAL), collector=keys.evidence
    )
    sealed = ledger.put_blob(agreement.id, signature, "p7s")
    told = {
        "reason": erasure.reason,
        "record": {"sha256": erasure.record_sha256, "storage_key": record_key},
        "record_signature": {"sha256": sealed, "storage_key": blob_key(agreement.id, sealed, "p7s")},
    }
    return Draft(
        "erased",
        {"record_signature_sha256": sealed, "blobs": len(json.loads(record)["erased"])},
        (Occurrence("agreement.erased", told),),
        agreement.current.number,
    )
