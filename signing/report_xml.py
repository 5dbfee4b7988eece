"""The validation report in XML, after ETSI TS 119 102-2 (schema of V1.2.1, namespace http://uri.etsi.org/19102/v1.2.1#).

One SignatureValidationReport for each signature, with the certificates, timestamps, OCSP responses and CRLs as
validation objects, by their SHA-256. The document timestamps are validation objects with a report of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from pyhanko.generated.etsi import ts_11910202 as vr
from pyhanko.generated.etsi.xades import DigestAlgAndValueType
from pyhanko.generated.w3c.xmldsig_core import DigestMethod, DigestValue, SignatureValue
from xsdata.formats.dataclass.serializers import XmlSerializer
from xsdata.formats.dataclass.serializers.config import SerializerConfig
from xsdata.models.datatype import XmlDateTime

from signing.model import (
    DocumentTimestampResult,
    Indication,
    RevocationEvidence,
    SignatureResult,
    SignatureTimestampResult,
    ValidationReport,
)

__all__ = ["report_xml"]

_URN: Final = "urn:etsi:019102"
_OWN: Final = "urn:signert"
"""For what the standard leaves to whoever makes the report."""
_MAIN: Final[dict[Indication, str]] = {
    "TOTAL-PASSED": "passed",
    "TOTAL-FAILED": "failed",
    "INDETERMINATE": "indeterminate",
}
# The standard has no name in its list for what is none of its reasons.
_UNNAMED: Final = "GENERIC"
_DIGESTS: Final = {
    "sha1": "http://www.w3.org/2000/09/xmldsig#sha1",
    "sha224": "http://www.w3.org/2001/04/xmldsig-more#sha224",
    "sha256": "http://www.w3.org/2001/04/xmlenc#sha256",
    "sha384": "http://www.w3.org/2001/04/xmldsig-more#sha384",
    "sha512": "http://www.w3.org/2001/04/xmlenc#sha512",
    "md5": "http://www.w3.org/2001/04/xmldsig-more#md5",
    **{
        f"sha3_{bits}": f"http://www.w3.org/2007/05/xmldsig-more#sha3-{bits}" for bits in (224, 256, 384, 512)
    },
}
_NOT_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NAMES: Final = {
    "vr": "http://uri.etsi.org/19102/v1.2.1#",
    "ds": "http://www.w3.org/2000/09/xmldsig#",
    "xades": "http://uri.etsi.org/01903/v1.3.2#",
}


def report_xml(report: ValidationReport) -> bytes:
    """UTF-8 XML of the report. Where there is no signature, its one SignatureValidationReport is the whole verdict."""
    objects: dict[str, vr.ValidationObjectType] = {}
    reports = [_signature(report, item, objects) for item in report.signatures]
    for stamp in report.document_timestamps:
        _stamp(report, stamp, objects)
    if not reports:
        status = _status("total-", report.indication, report.sub_indication)
        reports = [
            vr.SignatureValidationReportType(
                validation_time_info=_times(report), signature_validation_status=status
            )
        ]
    listed = vr.ValidationObjectListType(tuple(objects.values())) if objects else None
    document = vr.ValidationReport(
        signature_validation_report=tuple(reports), signature_validation_objects=listed
    )
    return XmlSerializer(config=SerializerConfig(indent="  ")).render(document, ns_map=_NAMES).encode()


_Objects = dict[str, vr.ValidationObjectType]


def _signature(
    report: ValidationReport, found: SignatureResult, objects: _Objects
) -> vr.SignatureValidationReportType:
    signer = _object(objects, "certificate", found.certificate_sha256)
    for stamp in found.timestamps:
        _signature_timestamp(report, stamp, objects)
    identifier = None
    if found.signed is not None:
        identifier = vr.SignatureIdentifierType(
            digest_alg_and_value=_digest(found.signed.digest_algorithm, found.signed.attributes_digest),
            signature_value=SignatureValue(bytes.fromhex(found.signed.signature_value)),
            hash_only=False,
            doc_hash_only=False,
            id=f"S-{found.signed.attributes_digest[:32]}",
        )
    return vr.SignatureValidationReportType(
        signature_identifier=identifier,
        validation_constraints_evaluation_report=_constraints(found),
        validation_time_info=_times(report, found.best_signature_time, _proving(report, found)),
        signers_document=_signers_document(found),
        signature_attributes=_attributes(found),
        signer_information=vr.SignerInformationType(
            signer_certificate=_reference(signer), signer=_legal(found.signer)
        ),
        signature_quality=vr.SignatureQualityType((f"{_OWN}:level:{found.level}",)) if found.level else None,
        signature_validation_process=vr.SignatureValidationProcessType(
            signature_validation_process_id=f"{_URN}:validationprocess:LTA"
        ),
        signature_validation_status=_status(
            "total-",
            found.indication,
            found.sub_indication,
            vr.ValidationReportDataType(
                trust_anchor=_reference(_object(objects, "certificate", found.trust_anchor_sha256)),
                related_validation_object=tuple(_evidence(found.revocation, objects)),
                crypto_information=_algorithm(
                    signer, found.algorithm, found.algorithm_accepted, found.algorithm_ends
                ),
            ),
        ),
    )


def _stamp(report: ValidationReport, found: DocumentTimestampResult, objects: _Objects) -> None:
    """A document timestamp: a validation object with what it proves and a report of its own."""
    if found.sha256 is None:
        return
    signer = _object(objects, "certificate", found.certificate_sha256)
    data = vr.ValidationReportDataType(
        trust_anchor=_reference(_object(objects, "certificate", found.trust_anchor_sha256)),
        related_validation_object=tuple(_evidence(found.revocation, objects)),
        crypto_information=_algorithm(
            signer, found.algorithm, found.algorithm_accepted, found.algorithm_ends
        ),
    )
    _timestamp(
        report,
        found.sha256,
        found.time,
        found.indication,
        found.sub_indication,
        data,
        found.authority,
        objects,
    )


def _signature_timestamp(
    report: ValidationReport, found: SignatureTimestampResult, objects: _Objects
) -> None:
    signer = _object(objects, "certificate", found.certificate_sha256)
    data = vr.ValidationReportDataType(related_validation_object=tuple(filter(None, [_reference(signer)])))
    _timestamp(
        report,
        found.sha256,
        found.time,
        found.indication,
        found.sub_indication,
        data,
        found.authority,
        objects,
    )


def _timestamp(
    report: ValidationReport,
    sha256: str,
    time: datetime | None,
    indication: Indication,
    sub_indication: str | None,
    data: vr.ValidationReportDataType,
    authority: str,
    objects: _Objects,
) -> None:
    judged = vr.SignatureValidationReportType(
        validation_time_info=_times(report),
        signer_information=vr.SignerInformationType(
            signer_certificate=data.related_validation_object[0]
            if data.crypto_information is None
            else data.crypto_information.validation_object_id,
            signer=_legal(authority),
        ),
        signature_validation_status=_status("", indication, sub_indication, data),
    )
    provided = vr.POEProvisioningType(poetime=_time(time)) if time and indication == "TOTAL-PASSED" else None
    _object(objects, "timestamp", sha256, provided, judged)


def _constraints(found: SignatureResult) -> vr.ValidationConstraintsEvaluationReportType:
    """What was demanded: sound algorithms, a trust anchor, a signature that changes leave alone."""
    reason = found.sub_indication or ""
    chain = reason.startswith(("NO_CERTIFICATE_CHAIN", "CERTIFICATE_CHAIN", "CHAIN_"))
    demands: tuple[tuple[str, bool], ...] = (
        ("algorithms", found.algorithm_accepted is not False),
        ("trust-anchor", found.trust_anchor is not None and not chain),
        ("unchanged", reason not in {"HASH_FAILURE", "FORMAT_FAILURE"}),
    )
    return vr.ValidationConstraintsEvaluationReportType(
        validation_constraint=tuple(
            vr.IndividualValidationConstraintReportType(
                validation_constraint_identifier=f"{_OWN}:constraint:{name}",
                constraint_status=vr.ConstraintStatusType(f"{_URN}:constraintStatus:applied"),
                validation_status=_status("", "TOTAL-PASSED" if met else found.indication, None),
            )
            for name, met in demands
        ),
    )


def _times(
    report: ValidationReport, proven: datetime | None = None, by: str | None = None
) -> vr.ValidationTimeInfoType:
    """When it was judged, and when it is proven to have existed: then, where there is no better proof."""
    proof = vr.POEType(
        poetime=_time(proven or report.validated_at),
        type_of_proof=f"{_URN}:poetype:validation",
        poeobject=_reference(by),
    )
    return vr.ValidationTimeInfoType(validation_time=_time(report.validated_at), best_signature_time=proof)


def _signers_document(found: SignatureResult) -> vr.SignersDocumentType | None:
    if found.signed is None:
        return None
    digest = _digest(found.signed.digest_algorithm, found.signed.document_digest)
    return vr.SignersDocumentType(digest_alg_and_value=digest)


def _attributes(found: SignatureResult) -> vr.SignatureAttributesType | None:
    if found.claimed_time is None and not found.reason:
        return None
    return vr.SignatureAttributesType(
        signing_time=(vr.SASigningTimeType(signed=True, time=_time(found.claimed_time)),)
        if found.claimed_time
        else (),
        reason=(vr.SAReasonType(signed=True, reason_element=_legal(found.reason)),) if found.reason else (),
    )


def _proving(report: ValidationReport, found: SignatureResult) -> str | None:
    """The id of the timestamp by which the signature is proven to have existed."""
    if found.proof == "signature-timestamp":
        hashes = [t.sha256 for t in found.timestamps if t.time == found.best_signature_time]
    else:
        hashes = [t.sha256 for t in report.document_timestamps if t.sha256 and t.field == found.proof_field]
    return _id("timestamp", hashes[0]) if hashes else None


def _evidence(found: Sequence[RevocationEvidence], objects: _Objects) -> Iterator[vr.VOReferenceType]:
    for item in found:
        kind = "CRL" if item.kind == "crl" else "OCSPResponse"
        reference = _reference(_object(objects, kind, item.sha256))
        if reference is not None:
            yield reference


def _algorithm(
    signer: str | None, words: str, accepted: bool | None, ends: datetime | None
) -> vr.CryptoInformationType:
    return vr.CryptoInformationType(
        validation_object_id=_reference(signer),
        algorithm=_algorithm_uri(words),
        secure_algorithm=accepted is not False,
        not_after=_time(ends) if ends else None,
    )


def _algorithm_uri(words: str) -> str:
    """The XML signature identifier (RFC 9231) of an algorithm told in words, `RSA-3072 PSS, SHA-256`."""
    key, _, digest = words.partition(", ")
    name = digest.lower().replace("sha-", "sha")
    if key in ("Ed25519", "Ed448"):
        return f"http://www.w3.org/2021/04/xmldsig-more#eddsa-{key.lower()}"
    if key.startswith("ECDSA"):
        year = "2021/04" if name.startswith("sha3-") else "2001/04"
        return f"http://www.w3.org/{year}/xmldsig-more#ecdsa-{name}"
    if key.endswith("PSS"):
        return f"http://www.w3.org/2007/05/xmldsig-more#{name}-rsa-MGF1"
    if key.startswith("RSA"):
        return f"http://www.w3.org/2001/04/xmldsig-more#rsa-{name}"
    return f"{_OWN}:algorithm:unknown"


def _status(
    prefix: str,
    indication: Indication,
    sub_indication: str | None,
    data: vr.ValidationReportDataType | None = None,
) -> vr.ValidationStatusType:
    main = _MAIN[indication]
    named = () if sub_indication in (None, _UNNAMED) else (f"{_URN}:subindication:{sub_indication}",)
    return vr.ValidationStatusType(
        main_indication=f"{_URN}:mainindication:{main if main == 'indeterminate' else prefix + main}",
        sub_indication=named,
        associated_validation_report_data=(data,) if data else (),
    )


def _object(
    objects: _Objects,
    kind: str,
    sha256: str | None,
    provided: vr.POEProvisioningType | None = None,
    judged: vr.SignatureValidationReportType | None = None,
) -> str | None:
    """The id of the validation object with this hash, which is listed; None without a hash."""
    if not sha256:
        return None
    identifier = _id(kind, sha256)
    objects.setdefault(
        identifier,
        vr.ValidationObjectType(
            object_type=f"{_URN}:validationObject:{kind}",
            validation_object_representation=vr.ValidationObjectRepresentationType(
                digest_alg_and_value=_digest("sha256", sha256)
            ),
            poeprovisioning=provided,
            validation_report=judged,
            id=identifier,
        ),
    )
    return identifier


def _id(kind: str, sha256: str) -> str:
    return f"{kind[0].upper()}{kind[1:].lower()}-{sha256[:32]}"


def _reference(identifier: str | None) -> vr.VOReferenceType | None:
    return vr.VOReferenceType(voreference=(identifier,)) if identifier else None


def _digest(algorithm: str, value: str) -> DigestAlgAndValueType:
    """`value` is in hex."""
    method = DigestMethod(algorithm=_DIGESTS.get(algorithm, f"{_OWN}:digest:{algorithm}"))
    return DigestAlgAndValueType(digest_method=method, digest_value=DigestValue(bytes.fromhex(value)))


def _legal(text: str) -> str:
    """Without what XML 1.0 has no place for (2.2): names come out of strangers' certificates."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def _time(moment: datetime) -> XmlDateTime:
    return XmlDateTime.from_datetime(moment.astimezone(UTC))
