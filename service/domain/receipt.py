"""What a receipt states, as plain JSON: everything that proves a signed version, by name and hash.

The receipt is made of the log, the validation report and the agreement's data; it holds names, so it is a
blob. Its bytes are RFC 8785, so that anybody can make them again and compare.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from service.domain.agreement import ATTESTER, SEAL, Agreement, Version
from service.domain.appearance import full_name

__all__ = ["RECEIPT_VERSION", "declared", "receipt"]

RECEIPT_VERSION = 1


def receipt(
    agreement: Agreement,
    *,
    title: str,
    data: Mapping[str, Any],
    report: Mapping[str, Any],
    sha512: str,
    pages: int,
    storage: Mapping[str, str],
    issued_at: str,
) -> dict[str, Any]:
    """The receipt of the agreement's current version, which is verified.

    `data` is the agreement's input, `report` the validation report's JSON, `sha512` (hex) and `pages` are of
    the signed document, `storage` maps `document`, `input`, `report`, `log` and the SHA-256 of each scan to keys in
    the object store, and `issued_at` is RFC 3339 in UTC.
    """
    version = agreement.current
    assert version.verified_head is not None
    signatures = {s["field"]: s for s in report["signatures"]}
    return {
        "receipt_version": RECEIPT_VERSION,
        "agreement": {
            "id": agreement.id,
            "number": data.get("number"),
            "version": version.number,
            "title": title,
            "language": version.language,
            "measure": data["measure"],
            "case": {"system": agreement.case_system, "reference": agreement.case_reference},
        },
        "supersedes": _superseded(agreement, version.supersedes),
        "declarations": declared(version),
        "document": {
            "sha256": version.receipted.sha256,
            "sha512": sha512,
            "bytes": version.receipted.size,
            "pages": pages,
            "storage_key": storage["document"],
        },
        "template": {
            "name": version.template,
            "version": version.template_version,
            "sha256": version.template_sha256,
        },
        "input": {"sha256": version.input_sha256, "storage_key": storage["input"]},
        "signatures": [
            _signature(
                signatures[p.role],
                role=p.signed_by or p.role,
                name=full_name(data["parties"][p.signed_by or p.role]),
                on_behalf_of=full_name(data["parties"][p.role]) if p.signed_by else None,
            )
            for p in sorted(version.signers, key=lambda p: (p.signed_at or "", p.role))
        ],
        "paper_signatures": [
            {
                "role": party.role,
                "name": full_name(data["parties"][party.role]),
                "signed_on": paper.signed_on,
                "attached_at": paper.attached_at,
                "scan": {
                    "media_type": paper.media_type,
                    "sha256": paper.scan_sha256,
                    "storage_key": storage[paper.scan_sha256],
                },
                "attested_by": ATTESTER,
            }
            for party, paper in version.papers
        ],
        "seal": _signature(signatures[SEAL], role=SEAL, name=signatures[SEAL]["signer"]),
        "document_timestamps": [
            {"time": t["time"], "authority": t["authority"]} for t in _listed(report["document_timestamps"])
        ],
        "validation": {
            "indication": report["indication"],
            "report_sha256": version.report_sha256,
            "storage_key": storage["report"],
        },
        "log": {
            "seq": version.verified_head[0],
            "sha256": version.verified_head[1],
            "storage_key": storage["log"],
        },
        "issued_at": issued_at,
    }


def declared(version: Version) -> list[dict[str, Any]]:
    """The declarations that parties signed before this version, by the hashes of document and receipt."""
    return [
        {
            "role": d.role,
            "agreement_id": d.agreement_id,
            "sha256": d.document_sha256,
            "receipt_sha256": d.receipt_sha256,
        }
        for d in version.declarations
        if d.document_sha256
    ]


def _superseded(agreement: Agreement, number: int | None) -> dict[str, Any] | None:
    """The version before, by the hashes of its document and its receipt: receipts form a chain."""
    before = agreement.version(number) if number else None
    if before is None:
        return None
    return {
        "version": before.number,
        "sha256": before.receipted.sha256,
        "receipt_sha256": before.receipt_sha256,
    }


def _signature(
    found: Mapping[str, Any], *, role: str, name: str, on_behalf_of: str | None = None
) -> dict[str, Any]:
    return {
        "field": found["field"],
        "role": role,
        "name": name,
        "on_behalf_of": on_behalf_of,
        "signed_at": found["time"],
        "certificate": {
            "subject": found["signer"],
            "issuer": found["issuer"],
            "serial": found["certificate_serial"],
            "sha256": found["certificate_sha256"],
        },
        "level": found["level"],
        "indication": found["indication"],
    }


def _listed(value: object) -> Sequence[Mapping[str, Any]]:
    assert isinstance(value, list)
    return value
