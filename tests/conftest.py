"""Fixtures for all tests; what they need is imported when they are used."""

from __future__ import annotations

from hypothesis import settings

from tests.pki import pki
from tests.rabbitmq import rabbitmq
from tests.s3server import s3_credentials, s3_server
from tests.signing_documents import (
    chain_of_revisions,
    fielded,
    final,
    sealed,
    signable,
    signers,
)

__all__ = [
    "chain_of_revisions",
    "fielded",
    "final",
    "pki",
    "rabbitmq",
    "s3_credentials",
    "s3_server",
    "sealed",
    "signable",
    "signers",
]

# How long an example takes is the machine's business: a busy one must not fail a test.
settings.register_profile("signert", deadline=None)
settings.load_profile("signert")
