"""Fixtures for all tests; what they need is imported when they are used."""

from __future__ import annotations

from tests.pki import pki
from tests.signing_documents import (
    chain_of_revisions,
    fielded,
    final,
    sealed,
    signable,
    signers,
)

__all__ = ["chain_of_revisions", "fielded", "final", "pki", "sealed", "signable", "signers"]
