"""Scans of copies signed by hand: taken in, looked at, kept, and looked for again before a version counts as signed.

A small scan comes inside the command. A larger one is in the store before it, under the blob key of its SHA-256.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from service.domain.agreement import Paper, Version
from service.domain.paper import EXTENSIONS, MAX_SCAN, ScanFault, media_type_of
from service.errors import ChecksumMismatch, CommandRejected, FieldError, NotFound
from service.pipeline.ledger import Ledger, blob_key
from service.pipeline.services import Services

__all__ = ["missing_scans", "retain_scans", "scan_key", "take_scan", "without_content"]


def scan_key(agreement_id: str, paper: Paper) -> str:
    return blob_key(agreement_id, paper.scan_sha256, EXTENSIONS[paper.media_type])


def take_scan(services: Services, agreement_id: str, scan: Mapping[str, Any]) -> None:
    """Store the scan where it came with the command, and look at it. Raises `CommandRejected` for what is no scan.

    Safe to repeat. Nothing in it is run, and it is opened in a process of its own.
    """
    sha256, media_type = scan["sha256"], scan["media_type"]
    content = scan.get("content_base64")
    if content is not None:
        body = base64.b64decode(content)
        if hashlib.sha256(body).hexdigest() != sha256:
            raise _differs()
        _look(services, body, media_type)
        services.ledger.put_blob(agreement_id, body, EXTENSIONS[media_type])
    stored = _stored(services, blob_key(agreement_id, sha256, EXTENSIONS[media_type]))
    if hashlib.sha256(stored).hexdigest() != sha256:
        raise _differs()
    if content is None:
        _look(services, stored, media_type)


def _stored(services: Services, key: str) -> bytes:
    try:
        if services.store.size(key) > MAX_SCAN:
            raise _refused(
                "scan_too_large", "scan.sha256", f"A scan has at most {MAX_SCAN} bytes. Scan in greyscale."
            )
        return services.store.get(key)
    except NotFound:
        raise _refused(
            "scan_missing",
            "scan.sha256",
            "No such file is in the store under the agreement's blobs. Put it there first, or send it along.",
        ) from None
    except ChecksumMismatch as exc:
        raise _differs() from exc


def _look(services: Services, body: bytes, media_type: str) -> None:
    found = media_type_of(body)
    if found != media_type and body:
        told = f"The file is {found or 'none of the types that are taken'}."
        raise _refused("scan_type_differs", "scan.media_type", f"{told} Send its own type: PDF, JPEG or PNG.")
    match services.inspect_scan(body, media_type) if body else ScanFault.BROKEN:
        case ScanFault.BROKEN:
            raise _refused(
                "scan_unreadable",
                "scan",
                "The file is empty, has no page, or is damaged. Scan the signed copy again.",
            )
        case ScanFault.ENCRYPTED:
            raise _refused("scan_encrypted", "scan", "The PDF is encrypted. Save it without a password.")
        case ScanFault.ACTIVE:
            raise _refused(
                "scan_active",
                "scan",
                "The PDF has scripts or other files in it. Scan the signed copy again, or send an image.",
            )


def without_content(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The command as it is kept: its scan is a blob of its own."""
    scan = {name: value for name, value in values["scan"].items() if name != "content_base64"}
    return {**values, "scan": scan}


def missing_scans(ledger: Ledger, agreement_id: str, version: Version) -> Iterator[str]:
    """In words, which of the version's scans are not in the store as the log names them."""
    for party, paper in version.papers:
        which = f"the scan of the signature on paper of '{party.role}'"
        try:
            body = ledger.store.get(scan_key(agreement_id, paper))
        except NotFound:
            yield f"{which} is not in the store"
            continue
        except ChecksumMismatch:
            body = None
        if body is None or hashlib.sha256(body).hexdigest() != paper.scan_sha256:
            yield f"{which} is not what the log says"


def retain_scans(ledger: Ledger, agreement_id: str, version: Version) -> None:
    """Ask the store to keep the scans as it keeps the signed document."""
    for _, paper in version.papers:
        ledger.retain(scan_key(agreement_id, paper), version.kept_until)


def _differs() -> CommandRejected:
    return _refused(
        "scan_differs", "scan.sha256", "The file has another SHA-256. Send that of the file itself."
    )


def _refused(code: str, path: str, message: str) -> CommandRejected:
    return CommandRejected(
        f"the scan cannot be taken: {message}", [FieldError(path, code, message)], code=code
    )
