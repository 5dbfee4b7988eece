"""Re-verify a whole store: chains, hashes, orphan blobs, documents, signatures, receipts, and that nothing is lost.

    stores      every key of the store, once
    agreements  one agreement: what belongs to it, and whether it moves
    reading     its log and its blobs, each held against its name
    versions    its documents, signatures and receipts
    findings    what is said, and what to do

A check reads and never writes. It finds what the store can tell: a newest log entry that was altered so that its
blobs still fit, or the newest entries taken away together with all that tells of them, leave no trace here. The
receipts, which the case systems have, do tell.
"""

from __future__ import annotations

from service.pipeline.fsck.findings import Counts, Finding, Severity
from service.pipeline.fsck.stores import StoreCheck

__all__ = ["Counts", "Finding", "Severity", "StoreCheck"]
