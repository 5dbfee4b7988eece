"""Seal, three parties, augmentation: what a reader of the finished document sees."""

from __future__ import annotations

import gc
import hashlib
import json
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from io import BytesIO
from itertools import accumulate
from pathlib import Path

import pytest
from asn1crypto import cms
from pyhanko.pdf_utils.reader import PdfFileReader

from signing import (
    Parts,
    SignatureRequest,
    TimestampClient,
    ValidationReport,
    augment,
    embed,
    prepare,
    revisions,
    sign,
    validate,
)
from tests.pki import TestPki
from tests.signing_documents import PARTIES, PKCS1_LASTS, SHOWN, Signers

pytestmark = pytest.mark.pki


@pytest.fixture(scope="module")
def report(final: bytes, signers: Signers) -> ValidationReport:
    return validate(final, signers.trust)


def test_all_signatures_are_b_lta(report: ValidationReport) -> None:
    assert report.indication == "TOTAL-PASSED"
    assert report.sub_indication is None
    assert [s.field for s in report.signatures] == ["seal", *PARTIES]
    assert {s.level for s in report.signatures} == {"B-LTA"}
    assert {s.indication for s in report.signatures} == {"TOTAL-PASSED"}
    assert [s.certifies for s in report.signatures] == [True, False, False, False]
    assert report.modifications == ()


def test_report_names_signers_and_algorithms(report: ValidationReport, signers: Signers) -> None:
    assert [(s.signer, s.algorithm) for s in report.signatures] == [
        ("Arbeids- og velferdsetaten (test)", "ECDSA P-256, SHA-256"),
        ("Łucja Čáhppes Ødegård", "ECDSA P-256, SHA-256"),
        ("Bø Snekkerverksted AS", "RSA-3072 PSS, SHA-256"),
        ("Ingrid Måsø", "ECDSA P-384, SHA-384"),
    ]
    assert {s.issuer for s in report.signatures} == {"Test Issuing CA"}
    for signature in report.signatures:
        expected = signers.credential(signature.field).identity.certificate_sha256
        assert signature.certificate_sha256 == expected


def test_times_come_from_the_timestamps_in_order(report: ValidationReport) -> None:
    times = [s.time for s in report.signatures if s.time is not None]
    assert len(times) == 4
    assert times == sorted(times)
    (stamp,) = report.document_timestamps
    assert stamp.indication == "TOTAL-PASSED"
    assert stamp.authority == "Test TSA 1"
    assert stamp.time is not None
    assert stamp.time >= times[-1]
    assert abs(datetime.now(UTC) - stamp.time) < timedelta(hours=1)


def test_report_as_json(report: ValidationReport) -> None:
    value = json.loads(json.dumps(report.as_json()))
    assert value["indication"] == "TOTAL-PASSED"
    assert value["signatures"][0]["field"] == "seal"
    assert value["signatures"][0]["time"].endswith("Z")
    assert value["document_timestamps"][0]["sub_indication"] is None
    assert value["modifications"] == []


def test_each_revision_is_a_prefix_of_the_next(
    chain_of_revisions: Sequence[bytes], final: bytes, report: ValidationReport
) -> None:
    found = revisions(final)
    assert [r.length for r in found] == [len(r) for r in chain_of_revisions]
    for revision, document in zip(found, chain_of_revisions, strict=True):
        assert final.startswith(document)
        assert revision.sha256 == hashlib.sha256(document).hexdigest()
    assert report.revisions == found
    assert [s.revision_sha256 for s in report.signatures] == [r.sha256 for r in found[1:5]]


def test_validation_needs_no_network(final: bytes, signers: Signers) -> None:
    before = len(signers.pki.requests)
    assert validate(final, signers.trust).passed
    assert len(signers.pki.requests) == before


def test_each_signature_costs_one_request_to_the_authority(sealed: bytes, signers: Signers) -> None:
    before = len(signers.pki.requests)
    signers.sign(sealed, "participant")
    assert signers.pki.requests[before:] == ["/test/tsa/tsa"]


def test_what_is_given_in_parts_is_added_to_and_never_copied(fielded: bytes, signers: Signers) -> None:
    revision = Parts(fielded)
    for field in ("seal", "participant"):
        credential = signers.credential(field)
        prepared = prepare(
            revision,
            SignatureRequest(field, certify=field == "seal"),
            credential.identity,
            at=datetime.now(UTC),
        )
        value = sign(prepared, credential)
        revision = embed(prepared, value, revision=revision, timestamps=signers.timestamps)
    final = augment(revision, trust=signers.trust, timestamps=signers.timestamps, collector=signers.collector)
    assert len(final.parts) == 4
    assert final.parts[0] is fielded
    for document in (final, bytes(final)):
        report = validate(document, signers.trust)
        assert report.passed
        assert {s.level for s in report.signatures} == {"B-LTA"}
        assert [r.length for r in report.revisions][-4:] == [*accumulate(map(len, final.parts))]


def test_a_report_does_not_keep_the_document(final: bytes, signers: Signers) -> None:
    """An erased agreement's content must not live on in a worker's memory."""

    def readers() -> int:
        gc.collect()
        return sum(isinstance(item, PdfFileReader) for item in gc.get_objects())

    before = readers()
    report = validate(final, signers.trust)
    assert report.passed
    assert readers() == before


def test_every_revision_is_valid_so_far(chain_of_revisions: Sequence[bytes], signers: Signers) -> None:
    for number, revision in enumerate(chain_of_revisions[1:-1], start=1):
        report = validate(revision, signers.trust)
        assert len(report.signatures) == number
        # Intact and trusted; what is missing before augmentation is the evidence about revocation.
        assert {(s.indication, s.sub_indication, s.level) for s in report.signatures} == {
            ("INDETERMINATE", "TRY_LATER", "B-T")
        }
        assert all(s.time is not None for s in report.signatures)


@pytest.mark.parametrize("years", [0.01, 1, 4, 15])
def test_still_valid_after_evidence_and_certificates_ended(
    final: bytes, signers: Signers, years: float
) -> None:
    later = datetime.now(UTC) + timedelta(days=365 * years)
    report = validate(final, signers.trust, algorithms=PKCS1_LASTS, at=later)
    assert report.indication == "TOTAL-PASSED"
    assert {s.level for s in report.signatures} == {"B-LTA"}


def test_not_valid_after_the_last_timestamp_ended(final: bytes, signers: Signers) -> None:
    later = datetime.now(UTC) + timedelta(days=365 * 25)
    report = validate(final, signers.trust, algorithms=PKCS1_LASTS, at=later)
    assert report.indication == "INDETERMINATE"
    assert report.document_timestamps[0].sub_indication == "OUT_OF_BOUNDS_NO_POE"


@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
def test_timestamp_is_renewed(final: bytes, signers: Signers, digest: str) -> None:
    renewed = augment(
        final, trust=signers.trust, timestamps=signers.timestamps, collector=signers.collector, digest=digest
    )
    assert renewed.startswith(final)
    report = validate(renewed, signers.trust)
    assert report.indication == "TOTAL-PASSED"
    assert [t.field for t in report.document_timestamps] == ["document-timestamp", "document-timestamp-2"]
    assert report.modifications == ()
    newest = PdfFileReader(BytesIO(renewed)).embedded_timestamp_signatures[-1]
    imprint = newest.signed_data["encap_content_info"]["content"].parsed["message_imprint"]
    assert imprint["hash_algorithm"]["algorithm"].native == digest


def test_augmentation_finds_a_new_authoritys_evidence(sealed: bytes, signers: Signers, pki: TestPki) -> None:
    """The document timestamp comes from another authority than the signature timestamps."""
    other = TimestampClient([pki.tsa2_url], trust=signers.trust)
    augmented = augment(sealed, trust=signers.trust, timestamps=other, collector=signers.collector)
    other.close()
    report = validate(augmented, signers.trust)
    assert report.indication == "TOTAL-PASSED"
    assert report.document_timestamps[0].authority == "Test TSA 2"


def test_signer_known_by_crl_alone(fielded: bytes, signers: Signers) -> None:
    final = signers.augment(signers.sign(fielded, "participant", by="crl-only"))
    report = validate(final, signers.trust)
    assert report.indication == "TOTAL-PASSED"
    assert report.signatures[0].issuer == "Test Root CA"


def test_poppler_finds_every_signature_valid(final: bytes, tmp_path: Path, pki: TestPki) -> None:
    path = tmp_path / "final.pdf"
    path.write_bytes(final)
    output = subprocess.run(["pdfsig", str(path)], capture_output=True, text=True, check=False).stdout
    blocks = output.split("Signature #")[1:]
    assert len(blocks) == 5
    for field, block in zip(("seal", *PARTIES), blocks, strict=False):
        assert f"Signature Field Name: {field}" in block
        assert "Signature Validation: Signature is Valid." in block
    # Poppler reads no RFC 3161 tokens, but sees that the last one covers the whole document.
    assert "Signature Field Name: document-timestamp" in blocks[4]
    assert "Total document signed" in blocks[4]


def test_openssl_verifies_every_timestamp(final: bytes, tmp_path: Path, pki: TestPki) -> None:
    """The document timestamp over all bytes but its own place, the others over the signature values."""
    stamped: list[tuple[bytes, bytes]] = []
    for signature in PdfFileReader(BytesIO(final)).embedded_signatures:
        if signature.sig_object_type == "/DocTimeStamp":
            _, first, second, length = signature.byte_range
            assert second + length == len(final)
            token = cms.ContentInfo.load(signature.pkcs7_content).dump()
            stamped.append((final[:first] + final[second:], token))
        else:
            (attribute,) = signature.signer_info["unsigned_attrs"]
            stamped.append((signature.signer_info["signature"].native, attribute["values"][0].dump()))
    assert len(stamped) == 5
    for data, token in stamped:
        (tmp_path / "data").write_bytes(data)
        (tmp_path / "token").write_bytes(token)
        command = ["openssl", "ts", "-verify", "-data", "data", "-in", "token", "-token_in"]
        result = subprocess.run(
            [*command, "-CAfile", str(pki.root)], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert "Verification: OK" in result.stdout + result.stderr


def test_names_are_drawn_and_can_be_read(final: bytes, tmp_path: Path) -> None:
    path = tmp_path / "final.pdf"
    path.write_bytes(final)
    text = subprocess.run(
        ["pdftotext", "-layout", str(path), "-"], capture_output=True, text=True, check=True
    )
    for name, line in SHOWN.values():
        assert name in text.stdout
        assert line in text.stdout
    fonts = subprocess.run(["pdffonts", str(path)], capture_output=True, text=True, check=True).stdout
    rows = [row for row in fonts.splitlines()[2:] if row.strip()]
    assert rows
    # Columns from the right: object, generation, Unicode map, subset, embedded.
    assert all(row.split()[-5:-2] == ["yes", "yes", "yes"] for row in rows)
