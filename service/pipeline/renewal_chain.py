"""The chain of sealed receipts: the agreement's receipt.json, then the receipt of each renewal.

A detached seal proves by itself until its certificates or algorithms end. By then the next renewal's receipt has been
sealed, which names the hashes of the one before and of its seal. So its timestamp proves that both were there, and the
older seal is judged as of that time, and so on back to the first.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from service.domain.agreement import SEAL, Agreement, Version
from service.domain.log import Entry
from service.domain.renewal_receipt import FileFacts, LogFacts
from service.pipeline.ledger import Ledger, blob_key
from signing import SignatureResult, TrustStore, verify_detached

__all__ = [
    "SealedReceipt",
    "chain_faults",
    "file_facts",
    "judge_seals",
    "log_facts",
    "renewal_faults",
    "seal_faults",
    "sealed_receipts",
]

_AGED = "OUT_OF_BOUNDS_NO_POE"
Read = Callable[[str], bytes | None]
"""A blob of that key; None when it is not there."""


@dataclass(frozen=True)
class SealedReceipt:
    """A receipt and its detached seal: the version's own has number 0, those of its renewals 1, 2, …"""

    number: int
    body: bytes
    signature: bytes

    @property
    def title(self) -> str:
        return f"the receipt of renewal {self.number}" if self.number else "receipt.json"

    def covers(self, other: SealedReceipt) -> bool:
        """Whether this one names the receipt before it and its seal, by both hashes of each."""
        stated = _parsed(self.body).get("covers")
        names = ("previous", "previous_signature") if other.number else ("receipt", "receipt_signature")
        return isinstance(stated, Mapping) and all(
            _is_of(stated.get(name), body)
            for name, body in zip(names, (other.body, other.signature), strict=True)
        )


def sealed_receipts(agreement_id: str, version: Version, read: Read) -> list[SealedReceipt]:
    """The chain of a signed version, oldest first; without those that `read` does not find."""
    named = [(version.receipt_sha256, version.receipt_signature_sha256)]
    named += [(r.receipt_sha256, r.receipt_signature_sha256) for r in version.renewals]
    found = []
    for number, (receipt, signature) in enumerate(named):
        body = read(blob_key(agreement_id, str(receipt), "json"))
        seal = read(blob_key(agreement_id, str(signature), "p7s"))
        if body is not None and seal is not None:
            found.append(SealedReceipt(number, body, seal))
    return found


def judge_seals(
    receipts: Sequence[SealedReceipt],
    trust: TrustStore,
    *,
    at: datetime,
) -> list[SignatureResult]:
    """The verdict on each seal, oldest first: on the newest as of `at`, on each other as of its proof.

    `trust` has the anchors for seals.
    """
    verdicts: list[SignatureResult] = []
    later: SealedReceipt | None = None
    for receipt in reversed(receipts):
        moment = at
        if later and verdicts[-1].indication == "TOTAL-PASSED" and later.covers(receipt):
            moment = verdicts[-1].time or at
        verdicts.append(verify_detached(receipt.body, receipt.signature, trust, at=moment))
        later = receipt
    return verdicts[::-1]


def seal_faults(receipts: Sequence[SealedReceipt], seals: Sequence[SignatureResult]) -> Iterator[str]:
    """In words, which seals do not hold. One that has outlived its certificate is no fault: a release without renewals
    left it so, and the receipt's PDF, which has the same JSON in it, proves by itself.
    """
    for receipt, seal in zip(receipts, seals, strict=True):
        if seal.indication != "TOTAL-PASSED" and seal.sub_indication != _AGED:
            said = " ".join(filter(None, (seal.indication, seal.sub_indication)))
            yield f"the seal of {receipt.title} is {said}"


def renewal_faults(
    ledger: Ledger,
    agreement: Agreement,
    version: Version,
    document: bytes,
    trust: TrustStore,
    *,
    at: datetime,
) -> Iterator[str]:
    """In words, what is amiss with the receipts of a signed version and of its renewals, as they are in the store.

    `document` is its newest one. Raises `NotFound` for a file that is not there.
    """

    def read(key: str) -> bytes:
        sha256, _, extension = key.rpartition("/")[2].partition(".")
        return ledger.get_blob(agreement.id, sha256, extension)

    receipts = sealed_receipts(agreement.id, version, read)
    yield from seal_faults(receipts, judge_seals(receipts, trust.of(SEAL), at=at))
    yield from chain_faults(
        agreement,
        version,
        receipts,
        document=document,
        receipt_pdf=ledger.get_blob(agreement.id, str(version.receipt_pdf_sha256), "pdf"),
        log=ledger.read(agreement.id),
    )


def chain_faults(
    agreement: Agreement,
    version: Version,
    receipts: Sequence[SealedReceipt],
    *,
    document: bytes,
    receipt_pdf: bytes,
    log: Sequence[Entry],
) -> Iterator[str]:
    """In words, where the receipts of renewals say something else than the log and the files.

    `document` and `receipt_pdf` are the newest ones: each earlier one is their beginning.
    """
    by_number = {r.number: r for r in receipts}
    sizes = {r.sha256: r.size for r in version.revisions}
    before = version.issued_receipt_pdf_sha256
    for number, renewal in enumerate(version.renewals, 1):
        receipt, previous = by_number.get(number), by_number.get(number - 1)
        if receipt is None:
            yield f"the receipt of renewal {number} is not in the store"
            continue
        stated = _parsed(receipt.body)
        covers = _mapping(stated, "covers")
        if previous is None or not receipt.covers(previous):
            yield f"{receipt.title} does not name the receipt before it and its seal"
        first = by_number.get(0)
        if number > 1 and first and not _is_of(covers.get("receipt"), first.body):
            yield f"{receipt.title} does not name receipt.json"
        about = _mapping(stated, "agreement")
        if (about.get("id"), about.get("version"), stated.get("number")) != (
            agreement.id,
            version.number,
            number,
        ):
            yield f"{receipt.title} is about something else"
        for what, body, sha256, size in (
            ("document", document, renewal.document_sha256, sizes[renewal.document_sha256]),
            ("receipt_pdf", receipt_pdf, renewal.receipt_pdf_sha256, renewal.receipt_pdf_size),
        ):
            found = stated.get(what)
            if not (_is_of(found, body[:size]) and _mapping(stated, what).get("sha256") == sha256):
                yield f"{receipt.title} names another {what} than the log"
        old = _mapping(covers, "receipt_pdf")
        if old.get("sha256") != before or not _is_of(old, receipt_pdf[: _size(old)]):
            yield f"{receipt.title} renews another receipt_pdf than the log says"
        before = renewal.receipt_pdf_sha256
        yield from _log_faults(receipt.title, _mapping(stated, "log"), renewal.head[0] - 1, log)


def _log_faults(title: str, stated: Mapping[str, Any], last: int, log: Sequence[Entry]) -> Iterator[str]:
    entries = log[: last + 1]
    facts = log_facts(entries)
    if (stated.get("seq"), stated.get("sha256"), stated.get("sha512")) != (
        facts.seq,
        facts.sha256,
        facts.sha512,
    ):
        yield f"{title} names another log"


def file_facts(key: str, body: bytes) -> FileFacts:
    return FileFacts(hashlib.sha256(body).hexdigest(), hashlib.sha512(body).hexdigest(), len(body), key)


def log_facts(entries: Sequence[Entry]) -> LogFacts:
    """Those of a log's entries from the first on, of which there is at least one."""
    whole = hashlib.sha512()
    for entry in entries:
        whole.update(entry.body)
    last = entries[-1]
    return LogFacts(last.seq, last.sha256, whole.hexdigest(), last.key)


def _parsed(body: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, Mapping) else {}


def _mapping(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = value.get(name)
    return found if isinstance(found, Mapping) else {}


def _size(stated: Mapping[str, Any]) -> int:
    size = stated.get("bytes")
    return size if isinstance(size, int) else 0


def _is_of(stated: Any, body: bytes) -> bool:
    """Whether both hashes and the length that are stated are those of the bytes."""
    return isinstance(stated, Mapping) and (
        stated.get("sha256"),
        stated.get("sha512"),
        stated.get("bytes"),
    ) == (hashlib.sha256(body).hexdigest(), hashlib.sha512(body).hexdigest(), len(body))
