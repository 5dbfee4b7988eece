"""What a report tells beside the verdict: proofs, evidence, algorithms, anchors, and the XML report of TS 119 102-2."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import pytest
from asn1crypto import pem

from signing import Limits, seal_detached, validate, verify_detached
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


def test_the_report_in_xml(final: bytes, signers: Signers) -> None:
    """Read back by the classes of the standard's schema, with nothing that these do not know."""
    report = validate(final, signers.trust)
    read = _read(report.as_xml())
    assert len(read.signature_validation_report) == 4
    objects = {item.id: item for item in read.signature_validation_objects.validation_object}
    for found, told in zip(report.signatures, read.signature_validation_report, strict=True):
        assert (
            told.signature_validation_status.main_indication == "urn:etsi:019102:mainindication:total-passed"
        )
        assert told.signature_validation_status.sub_indication == ()
        assert told.signer_information.signer == found.signer
        (certificate,) = told.signer_information.signer_certificate.voreference
        digest = objects[certificate].validation_object_representation.digest_alg_and_value
        assert digest.digest_value.value.hex() == found.certificate_sha256
        assert found.signed is not None
        assert told.signature_identifier.signature_value.value.hex() == found.signed.signature_value
        assert (
            told.signers_document.digest_alg_and_value.digest_value.value.hex()
            == found.signed.document_digest
        )
        proof = told.validation_time_info.best_signature_time
        assert proof.poetime.to_datetime() == found.best_signature_time
        (stamp,) = proof.poeobject.voreference
        assert objects[stamp].object_type == "urn:etsi:019102:validationObject:timestamp"
        assert objects[stamp].poeprovisioning.poetime.to_datetime() == found.best_signature_time
        (data,) = told.signature_validation_status.associated_validation_report_data
        assert data.crypto_information.secure_algorithm is True
        assert data.crypto_information.algorithm.startswith("http://www.w3.org/")
        constraints = told.validation_constraints_evaluation_report.validation_constraint
        assert {item.validation_status.main_indication for item in constraints} == {
            "urn:etsi:019102:mainindication:passed"
        }
    kinds = {item.object_type.rsplit(":", 1)[1] for item in objects.values()}
    assert kinds == {"certificate", "timestamp", "OCSPResponse", "CRL"}


def test_the_report_in_xml_of_what_does_not_pass(final: bytes, fielded: bytes, signers: Signers) -> None:
    altered = final.replace(b"/F 132", b"/F 133", 1)
    said = _read(validate(altered, signers.trust).as_xml()).signature_validation_report
    assert {item.signature_validation_status.main_indication for item in said} == {
        "urn:etsi:019102:mainindication:total-failed"
    }
    assert said[0].signature_validation_status.sub_indication == (
        "urn:etsi:019102:subindication:HASH_FAILURE",
    )
    for content, reason in (
        (fielded, ("urn:etsi:019102:subindication:SIGNED_DATA_NOT_FOUND",)),
        (b"", ("urn:etsi:019102:subindication:FORMAT_FAILURE",)),
    ):
        (alone,) = _read(validate(content, signers.trust).as_xml()).signature_validation_report
        assert alone.signature_validation_status.sub_indication == reason
    over = validate(final, signers.trust, limits=Limits(signatures=1))
    (alone,) = _read(over.as_xml()).signature_validation_report
    assert alone.signature_validation_status.sub_indication == ()


def _read(xml: bytes) -> Any:
    from pyhanko.generated.etsi.ts_11910202 import ValidationReport
    from xsdata.formats.dataclass.parsers import XmlParser
    from xsdata.formats.dataclass.parsers.config import ParserConfig

    strict = ParserConfig(
        fail_on_unknown_properties=True, fail_on_unknown_attributes=True, fail_on_converter_warnings=True
    )
    return XmlParser(config=strict).from_bytes(xml, ValidationReport)
