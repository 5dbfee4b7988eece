"""Validation of signed PDFs (ETSI EN 319 102-1; PAdES EN 319 142-1): the file is read, `judging` judges what is signed,
and a report says it.
"""

from __future__ import annotations

import hashlib
import logging
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Final, Literal

from asn1crypto import cms
from pyhanko.pdf_utils.misc import PdfDecodeLimitError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.ades.report import AdESFailure, AdESPassed
from pyhanko.sign.validation import generic_cms
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature

from signing import changes
from signing.algorithm_policy import NEVER, AlgorithmPolicy
from signing.algorithms import describe_algorithm
from signing.cms import token_time
from signing.credentials.base import common_name
from signing.details import certificate_details, organisation_of, signed_bytes, timestamp_ends
from signing.judging import Judge, Judgement
from signing.kept import one_document
from signing.limits import LimitExceeded, Limits
from signing.model import (
    DocumentTimestampResult,
    Indication,
    Level,
    Revision,
    SignatureResult,
    SignatureTimestampResult,
    ValidationReport,
)
from signing.parts import Parts
from signing.pdf import end_of_revision
from signing.structure import check_structure
from signing.trust import TrustStore
from signing.verdicts import explain, indication, not_readable, over_limit, sub_indication

__all__ = ["validate"]

_log: Final = logging.getLogger(__name__)
_ENCRYPTED: Final = (
    "Dokumentet er kryptert, og kan ikke kontrolleres. Åpne det med passordet og kontroller en kopi uten."
)
_RANK: Final[dict[Indication, int]] = {"TOTAL-PASSED": 0, "INDETERMINATE": 1, "TOTAL-FAILED": 2}


def validate(
    pdf: bytes | Parts | Path,
    trust: TrustStore,
    *,
    signers: Mapping[str, TrustStore] | None = None,
    algorithms: AlgorithmPolicy | None = None,
    at: datetime | None = None,
    limits: Limits | None = None,
) -> ValidationReport:
    """A report on every signature and document timestamp, and on changes after them. Nothing is fetched.

    `signers` are other anchors than those of `trust`, by field, that the signers of these fields have to lead up to.
    `algorithms` says which algorithms are accepted and until when; the policy of `trust`, when not given. `at` is the
    time to judge for; now, when not given. A damaged or foreign file gets a verdict, never an exception;
    only a path that cannot be read raises `OSError`. `limits` holds but for time and memory, for which see
    `validate_untrusted`.
    """
    bounds = limits or Limits()
    document = pdf.read_bytes() if isinstance(pdf, Path) else bytes(pdf)
    file = BytesIO(document)
    moment = at or datetime.now(UTC)
    digest = hashlib.sha256(document).hexdigest()
    try:
        if algorithms is not None:
            trust = trust.accepting(algorithms)
            signers = {name: each.accepting(algorithms) for name, each in (signers or {}).items()}
        bounds.check_bytes(document)
        with one_document():
            return _Validation(document, file, digest, trust, signers or {}, moment, bounds).report()
    except LimitExceeded as exceeded:
        return over_limit(exceeded.limit, bounds, sha256=digest, at=moment)
    except PdfDecodeLimitError:
        return over_limit("decompressed", bounds, sha256=digest, at=moment)
    except RecursionError:
        return over_limit("nesting", bounds, sha256=digest, at=moment)
    except MemoryError:
        return over_limit("memory", bounds, sha256=digest, at=moment)
    # Files are hostile: pyHanko's reader raises bare KeyError, ValueError, AssertionError and others on some.
    except Exception as error:  # noqa: BLE001
        # Where it stopped, without the error's text: that may quote the document.
        place = traceback.extract_tb(error.__traceback__)[-1]
        _log.warning("validation gave up: %s at %s:%s", type(error).__name__, place.filename, place.lineno)
        return ValidationReport(
            indication="TOTAL-FAILED",
            sub_indication="FORMAT_FAILURE",
            explanation=not_readable(document, error),
            sha256=digest,
            validated_at=moment,
        )
    finally:
        file.close()  # what pyHanko read hangs together in circles: the document is let go now, all else later


class _Validation:
    """One document being validated."""

    def __init__(
        self,
        document: bytes,
        file: BytesIO,
        digest: str,
        trust: TrustStore,
        signers: Mapping[str, TrustStore],
        at: datetime,
        limits: Limits,
    ) -> None:
        self._document = document
        self._digest = digest
        self._at = at
        self._trust = trust
        self._reader = PdfFileReader(file, strict=True, decode_limits=limits.decoding())
        self._signatures: list[EmbeddedPdfSignature] = []
        self._revisions: tuple[Revision, ...] = ()
        self._changes = changes.Changes((), None)
        if self._reader.encrypted:
            return
        limits.check_structure(self._reader)
        for signature in self._reader.embedded_signatures:
            self._signatures.append(signature)
            if len(self._signatures) > limits.signatures:
                raise LimitExceeded("signatures")
        for signature in self._signatures:
            signature.compute_integrity_info(skip_diff=True)
        self._revisions = self._read_revisions()
        faults = check_structure(document, self._signatures, self._revisions)
        self._changes = changes.review(self._reader, self._signatures, document, self._revisions)
        self._judge = Judge(
            self._reader,
            self._signatures,
            trust,
            signers=signers,
            at=at,
            faults=faults,
            changes=self._changes,
        )

    def report(self) -> ValidationReport:
        if self._reader.encrypted:
            return self._report("INDETERMINATE", "SIGNED_DATA_NOT_FOUND", (), (), _ENCRYPTED)
        if not self._signatures:
            return self._report("INDETERMINATE", "SIGNED_DATA_NOT_FOUND", (), ())
        stamps = [item for item in self._signatures if item.sig_object_type == "/DocTimeStamp"]
        signed = [item for item in self._signatures if item.sig_object_type != "/DocTimeStamp"]
        signature_results = tuple(self._signature_result(item) for item in signed)
        stamp_results = tuple(self._stamp_result(item) for item in stamps)
        results: list[SignatureResult | DocumentTimestampResult] = [*signature_results, *stamp_results]
        worst = max(results, key=lambda item: _RANK[item.indication])
        if not signature_results and worst.indication == "TOTAL-PASSED":
            return self._report("INDETERMINATE", "SIGNED_DATA_NOT_FOUND", (), stamp_results)
        return self._report(
            worst.indication, worst.sub_indication, signature_results, stamp_results, worst.explanation
        )

    def _report(
        self,
        indication: Indication,
        sub_indication: str | None,
        signatures: tuple[SignatureResult, ...],
        stamps: tuple[DocumentTimestampResult, ...],
        explanation: str = "",
    ) -> ValidationReport:
        return ValidationReport(
            indication=indication,
            sub_indication=sub_indication,
            explanation=explanation or explain(sub_indication),
            sha256=self._digest,
            validated_at=self._at,
            signatures=signatures,
            document_timestamps=stamps,
            modifications=self._changes.modifications,
            revisions=self._revisions,
            algorithm_policy=self._trust.algorithms.name,
        )

    def _read_revisions(self) -> tuple[Revision, ...]:
        found = []
        running = hashlib.sha256()
        done = 0
        for number in range(self._reader.xrefs.total_revisions):
            length = end_of_revision(self._document, self._reader, number)
            running.update(memoryview(self._document)[done:length])
            done = length
            found.append(Revision(number, length, running.hexdigest()))
        return tuple(found)

    def _signature_result(self, signature: EmbeddedPdfSignature) -> SignatureResult:
        judgement = self._judge.signature(signature)
        outcome = judgement.outcome
        knowledge = self._judge.knowledge
        certificate = signature.signer_cert
        level: Level | None = None
        if outcome.status != AdESFailure.HASH_FAILURE.status:
            level = "B-B" if judgement.time is None else "B-T"
            if (
                level == "B-T"
                and outcome is AdESPassed.OK
                and (knowledge.known_ocsps or knowledge.known_crls)
            ):
                # Nothing is fetched, so what passed did so by the evidence in the document.
                covered = any(number > signature.signed_revision for number in self._judge.holding)
                level = "B-LTA" if covered else "B-LT"
        revision = self._revisions[signature.signed_revision]
        trust = self._judge.trust_of(signature.field_name)
        used_at = judgement.proven or self._at
        ends = trust.algorithms.signer_ends(signature.signer_info, certificate)
        return SignatureResult(
            field=str(signature.field_name),  # pyHanko's would keep all that was read
            signer=common_name(certificate.subject),
            issuer=common_name(certificate.issuer),
            level=level,
            time=judgement.time,
            indication=indication(outcome),
            sub_indication=sub_indication(outcome),
            explanation=judgement.note or explain(sub_indication(outcome)),
            algorithm=describe_algorithm(
                signature.signer_info["signature_algorithm"], signature.md_algorithm, certificate
            ),
            certificate_sha256=certificate.sha256.hex(),
            certificate_serial=f"{certificate.serial_number:x}",
            certifies=signature.docmdp_level is not None and self._is_certification(signature),
            revision=revision.number,
            revision_sha256=revision.sha256,
            claimed_time=signature.self_reported_timestamp,
            reason=str(reason) if (reason := signature.sig_object.get("/Reason")) else None,
            organisation=organisation_of(certificate),
            best_signature_time=judgement.proven,
            proof=_proof(judgement),
            proof_field=self._proving_field(judgement),
            algorithm_accepted=trust.algorithms.accepts(ends, used_at),
            algorithm_ends=None if ends is NEVER else ends,
            timestamps=tuple(_token_result(*each) for each in judgement.tokens),
            signed=signed_bytes(signature.signer_info),
            **certificate_details(signature.signed_data, knowledge, trust, at=used_at),
        )

    def _proving_field(self, judgement: Judgement) -> str | None:
        """The field of the document timestamp by which the signature is proven."""
        if judgement.proven is None or judgement.by_timestamp:
            return None
        times = {
            token_time(item.signed_data): str(item.field_name)
            for item in self._signatures
            if item.sig_object_type == "/DocTimeStamp"
        }
        return times.get(judgement.proven)

    def _stamp_result(self, stamp: EmbeddedPdfSignature) -> DocumentTimestampResult:
        judgement = self._judge.stamps[stamp.signed_revision]
        certificate = stamp.signer_cert
        revision = self._revisions[stamp.signed_revision]
        trust, used_at = self._trust.timestamps, judgement.proven or self._at
        ends = timestamp_ends(stamp.signed_data, trust)
        return DocumentTimestampResult(
            field=str(stamp.field_name),
            authority=common_name(certificate.subject),
            time=judgement.shown_time,
            indication=indication(judgement.outcome),
            sub_indication=sub_indication(judgement.outcome),
            explanation=judgement.note or explain(sub_indication(judgement.outcome)),
            algorithm=describe_algorithm(
                stamp.signer_info["signature_algorithm"], stamp.md_algorithm, certificate
            ),
            certificate_sha256=certificate.sha256.hex(),
            revision=revision.number,
            revision_sha256=revision.sha256,
            algorithm_accepted=trust.algorithms.accepts(ends, used_at),
            algorithm_ends=None if ends is NEVER else ends,
            certificate_ends=certificate.not_valid_after,
            sha256=hashlib.sha256(stamp.signed_data.dump()).hexdigest(),
            **certificate_details(stamp.signed_data, self._judge.knowledge, trust, at=used_at),
        )

    def _is_certification(self, signature: EmbeddedPdfSignature) -> bool:
        root = self._reader.root
        if "/Perms" not in root or "/DocMDP" not in root["/Perms"]:
            return False
        own = signature.sig_field.raw_get("/V")
        certifying = root["/Perms"].raw_get("/DocMDP")
        return bool(own.reference == certifying.reference)


def _proof(judgement: Judgement) -> Literal["signature-timestamp", "document-timestamp"] | None:
    if judgement.proven is None:
        return None
    return "signature-timestamp" if judgement.by_timestamp else "document-timestamp"


def _token_result(token: cms.SignedData, judgement: Judgement) -> SignatureTimestampResult:
    certificate = generic_cms.extract_certs_for_validation(token).signer_cert
    signer = token["signer_infos"][0]
    return SignatureTimestampResult(
        authority=common_name(certificate.subject),
        time=judgement.shown_time,
        indication=indication(judgement.outcome),
        sub_indication=sub_indication(judgement.outcome),
        algorithm=describe_algorithm(
            signer["signature_algorithm"], signer["digest_algorithm"]["algorithm"].native, certificate
        ),
        certificate_sha256=certificate.sha256.hex(),
        sha256=hashlib.sha256(token.dump()).hexdigest(),
    )
