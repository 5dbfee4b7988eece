"""What the receipt of a renewal states, as plain JSON: that what proves a signed version was whole, and what proves it
from now on.

It names every file by SHA-256 and by SHA-512: when one is broken, the other one still tells. It holds no names of
persons.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.domain.agreement import Agreement, Version
from service.domain.renewal import Reason

__all__ = ["RENEWAL_RECEIPT_VERSION", "FileFacts", "LogFacts", "renewal_receipt"]

RENEWAL_RECEIPT_VERSION = 1


@dataclass(frozen=True)
class FileFacts:
    """One file in the object store. Hashes are in hex."""

    sha256: str
    sha512: str
    size: int
    storage_key: str

    def as_json(self) -> dict[str, Any]:
        return {
            "sha256": self.sha256,
            "sha512": self.sha512,
            "bytes": self.size,
            "storage_key": self.storage_key,
        }


@dataclass(frozen=True)
class LogFacts:
    """The log up to an entry: that entry's number, hash and key, and the SHA-512 of all entries one after another."""

    seq: int
    sha256: str
    sha512: str
    storage_key: str


def renewal_receipt(
    agreement: Agreement,
    version: Version,
    *,
    reason: Reason,
    covers: Mapping[str, FileFacts],
    scans: Sequence[tuple[str, FileFacts]],
    document: FileFacts,
    receipt_pdf: FileFacts,
    digest: str,
    report: Mapping[str, Any],
    report_file: FileFacts,
    seals: Sequence[str],
    log: LogFacts,
    issued_at: str,
) -> dict[str, Any]:
    """The receipt of the next renewal of `version`.

    `covers` are the files that were there before: `receipt`, `receipt_signature`, `document`, `receipt_pdf`, and from
    the second renewal on `previous` and `previous_signature`; `scans` those of signatures on paper, by role.
    `document` and `receipt_pdf` are as they are now, `report` is the validation of that document, `seals` the
    indications of the seals of receipt.json and of the renewals' receipts until now, oldest first.
    """
    return {
        "renewal_receipt_version": RENEWAL_RECEIPT_VERSION,
        "agreement": {"id": agreement.id, "version": version.number},
        "number": len(version.renewals) + 1,
        "reason": str(reason),
        "covers": {name: file.as_json() for name, file in covers.items()},
        "scans": [{"role": role, **scan.as_json()} for role, scan in scans],
        "document": document.as_json(),
        "receipt_pdf": receipt_pdf.as_json(),
        "digest": digest,
        "document_timestamps": [
            {"time": t["time"], "authority": t["authority"], "algorithm": t["algorithm"]}
            for t in report["document_timestamps"]
        ],
        "validation": {
            "indication": report["indication"],
            "seals": list(seals),
            "report_sha256": report_file.sha256,
            "report_sha512": report_file.sha512,
            "storage_key": report_file.storage_key,
        },
        "log": {
            "seq": log.seq,
            "sha256": log.sha256,
            "sha512": log.sha512,
            "storage_key": log.storage_key,
        },
        "issued_at": issued_at,
    }
