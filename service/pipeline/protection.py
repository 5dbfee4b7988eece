"""How long the files that prove a version do so by themselves."""

from __future__ import annotations

from collections.abc import Sequence

from service.domain.agreement import SEAL
from service.domain.renewal import Protection, Reason
from service.pipeline.services import Keys
from signing import Lifetime, detached_lifetime, document_lifetime

__all__ = ["document_protection", "protections"]


def document_protection(keys: Keys, document: bytes) -> Protection:
    """That of a signed PDF, by its newest document timestamp. Raises `SigningError`."""
    return _protection(document_lifetime(document, keys.trust))


def protections(keys: Keys, document: bytes, receipt_pdf: bytes, seal: bytes) -> Sequence[Protection]:
    """Those of the signed document, of the receipt's PDF, and of the newest receipt's detached seal.

    Older detached seals are proven by the receipts of the renewals, each of which covers the one before it.
    """
    detached = detached_lifetime(seal, keys.trust.of(SEAL))
    return [
        document_protection(keys, document),
        document_protection(keys, receipt_pdf),
        _protection(detached),
    ]


def _protection(found: Lifetime) -> Protection:
    return Protection(found.since, found.ends, Reason(found.ended_by))
