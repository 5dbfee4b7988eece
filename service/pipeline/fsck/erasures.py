"""An agreement whose content is erased: nothing is left but the record, which the organisation has sealed."""

from __future__ import annotations

from collections.abc import Sequence

from service.domain.agreement import SEAL, Agreement
from service.pipeline.fsck.reading import Blobs, Examined
from service.pipeline.ledger import blob_key
from signing import TrustStore, verify_detached

__all__ = ["check_erasure"]


def check_erasure(
    examined: Examined,
    blobs: Blobs,
    agreement: Agreement,
    blob_keys: Sequence[str],
    trust: TrustStore | None,
) -> None:
    """`blob_keys` are those of all blobs that are there. What is ordered and not done yet is left alone."""
    erasure = agreement.erasure
    if erasure is None or erasure.done_at is None:
        return
    record_key = blob_key(agreement.id, erasure.record_sha256, "json")
    signature_key = blob_key(agreement.id, str(erasure.signature_sha256), "p7s")
    for key in sorted({*blob_keys} - {record_key, signature_key}):
        examined.say("blob_not_erased", key, "the agreement is erased, and this is still there")
    record, signature = blobs.read(record_key), blobs.read(signature_key)
    if record is None or signature is None or trust is None:
        return
    found = verify_detached(record, signature, trust.of(SEAL))
    if found.indication == "TOTAL-PASSED":
        examined.counts.signatures += 1
    else:
        said = " ".join(filter(None, (found.indication, found.sub_indication)))
        examined.say("record_not_verified", signature_key, f"the record's detached signature is {said}")
