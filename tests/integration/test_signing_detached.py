"""Detached CAdES: OpenSSL accepts it, and our own verification says what it should."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from asn1crypto import cms
from werkzeug.wrappers import Request, Response

from signing import (
    CredentialError,
    RevocationUnavailable,
    TimestampUnavailable,
    TrustStore,
    seal_detached,
    verify_detached,
)
from tests.signing_documents import PKCS1_LASTS, Signers

pytestmark = pytest.mark.pki

CONTENT = '{"receipt":"æøå"}\r\n'.encode()


def _openssl(
    content: bytes, signature: bytes, root: Path, directory: Path
) -> subprocess.CompletedProcess[bytes]:
    (directory / "content").write_bytes(content)
    (directory / "content.p7s").write_bytes(signature)
    command = ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", "content.p7s"]
    command += ["-content", "content", "-CAfile", str(root), "-purpose", "any"]
    return subprocess.run(command, cwd=directory, capture_output=True, check=False)


@pytest.mark.parametrize("label", ["seal", "employer", "adviser"])
@pytest.mark.parametrize("long_term", [False, True], ids=["B-T", "B-LT"])
def test_openssl_accepts_it(signers: Signers, tmp_path: Path, label: str, long_term: bool) -> None:
    signature = seal_detached(
        CONTENT,
        signers.credential(label),
        signers.timestamps,
        trust=signers.trust if long_term else None,
        collector=signers.collector,
    )
    result = _openssl(CONTENT, signature, signers.pki.root, tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout == CONTENT
    assert _openssl(CONTENT + b" ", signature, signers.pki.root, tmp_path).returncode != 0
    assert _openssl(CONTENT, signature, signers.pki.foreign_root, tmp_path).returncode != 0


def test_long_term_passes_offline_and_later(signers: Signers) -> None:
    signature = seal_detached(CONTENT, signers.credential("seal"), signers.timestamps, trust=signers.trust)
    before = len(signers.pki.requests)
    trust = signers.trust.accepting(PKCS1_LASTS)
    for days in (0, 1, 100, 900):
        result = verify_detached(CONTENT, signature, trust, at=datetime.now(UTC) + timedelta(days=days))
        assert (result.indication, result.level) == ("TOTAL-PASSED", "B-LT")
        assert result.signer == "Arbeids- og velferdsetaten (test)"
        assert result.time is not None
        assert result.claimed_time is not None
    assert len(signers.pki.requests) == before
    ended = verify_detached(CONTENT, signature, trust, at=datetime.now(UTC) + timedelta(days=365 * 4))
    assert (ended.indication, ended.sub_indication) == ("INDETERMINATE", "OUT_OF_BOUNDS_NO_POE")


def test_without_evidence_it_is_left_open(signers: Signers) -> None:
    signature = seal_detached(CONTENT, signers.credential("employer"), signers.timestamps)
    result = verify_detached(CONTENT, signature, signers.trust)
    assert (result.indication, result.sub_indication, result.level) == ("INDETERMINATE", "TRY_LATER", "B-T")
    assert result.algorithm == "RSA-3072 PSS, SHA-256"
    assert result.time is not None


def test_other_content_and_other_trust(signers: Signers) -> None:
    signature = seal_detached(CONTENT, signers.credential("seal"), signers.timestamps, trust=signers.trust)
    changed = verify_detached(CONTENT.replace(b"r", b"R"), signature, signers.trust)
    assert (changed.indication, changed.sub_indication) == ("TOTAL-FAILED", "HASH_FAILURE")
    foreign = verify_detached(CONTENT, signature, TrustStore.from_pem(signers.pki.foreign_root))
    assert (foreign.indication, foreign.sub_indication) == ("INDETERMINATE", "NO_CERTIFICATE_CHAIN_FOUND")


def test_damaged_signature_gets_a_verdict(signers: Signers) -> None:
    signature = seal_detached(CONTENT, signers.credential("seal"), signers.timestamps, trust=signers.trust)
    for damaged in (b"", b"hello", signature[:100], signature[:-1], signature + b"\x00", b"\x30\x80" * 40):
        assert verify_detached(CONTENT, damaged, signers.trust).indication == "TOTAL-FAILED"
    for at in range(0, len(signature), 97):
        flipped = bytearray(signature)
        flipped[at] ^= 0x55
        verdict = verify_detached(CONTENT, bytes(flipped), signers.trust).indication
        assert verdict in (
            "TOTAL-PASSED",
            "TOTAL-FAILED",
            "INDETERMINATE",
        )  # a root may be damaged harmlessly


def test_damaged_signature_value(signers: Signers) -> None:
    signature = seal_detached(CONTENT, signers.credential("seal"), signers.timestamps, trust=signers.trust)
    value = cms.ContentInfo.load(signature)["content"]["signer_infos"][0]["signature"].native
    flipped = bytearray(signature)
    flipped[signature.index(value) + 20] ^= 1
    result = verify_detached(CONTENT, bytes(flipped), signers.trust)
    assert (result.indication, result.sub_indication) == ("TOTAL-FAILED", "SIG_CRYPTO_FAILURE")


def test_nothing_is_given_without_time_or_evidence(signers: Signers) -> None:
    def down(_: Request) -> Response:
        return Response(status=503)

    credential = signers.credential("seal")
    with signers.pki.fault("/tsa/", down), pytest.raises(TimestampUnavailable):
        seal_detached(CONTENT, credential, signers.timestamps)
    with signers.pki.fault("/ocsp/", down), pytest.raises(RevocationUnavailable):
        seal_detached(CONTENT, credential, signers.timestamps, trust=signers.trust)
    with pytest.raises(CredentialError, match="expired"):
        seal_detached(CONTENT, signers.credential("expired"), signers.timestamps)
