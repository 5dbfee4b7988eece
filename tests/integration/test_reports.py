"""What a report tells beside the verdict: proofs, evidence, algorithms, anchors, and the XML report of TS 119 102-2."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest
from asn1crypto import pem

from signing import seal_detached, validate, verify_detached
from tests.signing_documents import Signers

pytestmark = pytest.mark.pki


def test_every_signature_tells_what_proves_it(final: bytes, signers: Signers) -> None:
    report = validate(final, signers.trust)
    assert report.algorithm_policy == "ETSI TS 119 312 V1.5.1"
    root = hashlib.sha256(pem.unarmor(signers.pki.root.read_bytes())[2]).hexdigest()
    for signature in report.signatures:
        assert signature.proof == "signature-timestamp"
        assert signature.best_signature_time == signature.time
        assert (signature.trust_anchor, signature.trust_anchor_sha256) == ("Test Root CA", root)
        assert signature.algorithm_accepted is True
        assert signature.algorithm_ends is None
        (evidence,) = signature.revocation
        assert (evidence.kind, evidence.fresh) == ("ocsp", True)
        assert evidence.next_update is None or evidence.next_update > evidence.this_update
        (stamp,) = signature.timestamps
        assert (stamp.authority, stamp.indication, stamp.time) == (
            "Test TSA 1",
            "TOTAL-PASSED",
            signature.time,
        )
        assert signature.signed is not None
        assert signature.signed.digest_algorithm in ("sha256", "sha384")
    (stamp,) = report.document_timestamps
    assert stamp.trust_anchor == "Test Root CA"
    assert stamp.certificate_ends is not None
    assert [e.kind for e in stamp.revocation] == ["crl"]


def test_without_evidence_nothing_is_proven(chain_of_revisions: Sequence[bytes], signers: Signers) -> None:
    (seal,) = validate(chain_of_revisions[1], signers.trust).signatures
    assert seal.time is not None  # stated, not proven
    assert (seal.best_signature_time, seal.proof, seal.revocation) == (None, None, ())


def test_a_document_timestamp_proves_too(fielded: bytes, signers: Signers) -> None:
    """A signature without a timestamp of its own: what covers it proves that it existed."""
    from tests.integration.test_algorithms import _sign

    final = signers.augment(_sign(fielded, signers, "participant", "sha256", timestamp=False))
    report = validate(final, signers.trust)
    (signature,) = report.signatures
    assert (signature.proof, signature.proof_field) == ("document-timestamp", "document-timestamp")
    assert signature.best_signature_time == report.document_timestamps[0].time


def test_the_organisation_that_signed(fielded: bytes, signers: Signers) -> None:
    report = validate(signers.sign(fielded, "seal", by="organisation"), signers.trust)
    assert report.signatures[0].organisation == "NTRNO-312300028"


def test_a_detached_seal_tells_the_same(signers: Signers) -> None:
    signature = seal_detached(b"{}", signers.credential("seal"), signers.timestamps, trust=signers.trust)
    found = verify_detached(b"{}", signature, signers.trust)
    assert found.proof == "signature-timestamp"
    assert found.trust_anchor == "Test Root CA"
    assert found.algorithm_accepted
    assert found.signed is not None
    assert found.signed.document_digest == hashlib.sha256(b"{}").hexdigest()
    assert [e.kind for e in found.revocation] == ["ocsp"]
