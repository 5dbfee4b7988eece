"""Validation of signed PDFs (ETSI EN 319 102-1; PAdES EN 319 142-1), from the evidence in the document alone.

Document timestamps are judged from the newest back: each that holds proves that what it covers existed at its time.
With those proofs every signature is judged, as of its own timestamp where the present is too late.
"""

from __future__ import annotations

import hashlib
import logging
import traceback
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any, Final, Literal, cast

from asn1crypto import cms
from pyhanko.pdf_utils.misc import PdfDecodeLimitError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.ades.report import AdESFailure, AdESIndeterminate, AdESPassed, AdESSubIndic
from pyhanko.sign.validation import generic_cms
from pyhanko.sign.validation.ades import (
    ades_basic_validation,
    ades_timestamp_validation,
)
from pyhanko.sign.validation.dss import DocumentSecurityStore
from pyhanko.sign.validation.errors import NoDSSFoundError
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature
from pyhanko.sign.validation.policy_decl import (
    LocalKnowledge,
    SignatureValidationSpec,
    bootstrap_validation_data_handlers,
)
from pyhanko.sign.validation.status import SignatureCoverageLevel
from pyhanko_certvalidator.ltv.poe import POEManager, POEType
from pyhanko_certvalidator.ltv.types import ValidationTimingInfo
from pyhanko_certvalidator.revinfo.archival import CRLContainer, OCSPContainer

from signing import changes
from signing.aio import at_once, run
from signing.algorithm_policy import NEVER, AlgorithmPolicy
from signing.algorithms import describe_algorithm
from signing.certificates import certificate_of, crl_of, ocsp_of
from signing.cms import timestamp_tokens, token_time
from signing.credentials.base import common_name
from signing.details import certificate_details, organisation_of, signed_bytes, timestamp_ends
from signing.errors import NotTrusted
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
from signing.past import later_revocation, past_validation
from signing.pdf import end_of_revision
from signing.policy import specification
from signing.structure import check_structure
from signing.trust import TrustStore
from signing.verdicts import PAST_MAY_HELP, explain, indication, not_readable, over_limit, sub_indication
from signing.verified import among, no_paths

__all__ = ["validate"]

_log: Final = logging.getLogger(__name__)
_NOT_PERMITTED: Final = "Dokumentet er endret på en måte som signaturene ikke tillater."
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


# A timestamp that holds but for evidence about revocation, as before augmentation: its time is shown, not relied on.
_TIME_SHOWN: Final = frozenset({AdESPassed.OK, AdESIndeterminate.TRY_LATER})


@dataclass
class _Judgement:
    outcome: AdESSubIndic
    time: datetime | None = None
    note: str = ""
    proven: datetime | None = None
    """When it is proven to have existed, by timestamps that hold."""
    by_timestamp: bool = False
    """Whether its own timestamp is what proves it."""
    tokens: tuple[SignatureTimestampResult, ...] = ()


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
        self.document = document
        self.digest = digest
        self.at = at
        self.trust = trust
        self.signers = signers
        self.reader = PdfFileReader(file, strict=True, decode_limits=limits.decoding())
        self.signatures: list[EmbeddedPdfSignature] = []
        self.revisions: tuple[Revision, ...] = ()
        self.changes = changes.Changes((), None)
        if self.reader.encrypted:
            return
        limits.check_structure(self.reader)
        for signature in self.reader.embedded_signatures:
            self.signatures.append(signature)
            if len(self.signatures) > limits.signatures:
                raise LimitExceeded("signatures")
        for signature in self.signatures:
            signature.compute_integrity_info(skip_diff=True)
        self.knowledge = _read_store(self.reader)
        self.timing = ValidationTimingInfo(
            validation_time=at, best_signature_time=at, point_in_time_validation=True
        )
        self.revisions = self._read_revisions()
        self.faults = check_structure(document, self.signatures, self.revisions)
        self.changes = changes.review(self.reader, self.signatures, document, self.revisions)
        self.proofs = POEManager(current_dt_override=at)
        self.holding: list[int] = []
        """Revisions of the document timestamps that hold, the newest first."""
        self._stores: dict[int, LocalKnowledge] = {}
        self._held: dict[int, Any] = {}
        """Paths that held, by the evidence they held by."""

    def report(self) -> ValidationReport:
        if self.reader.encrypted:
            return self._report("INDETERMINATE", "SIGNED_DATA_NOT_FOUND", (), (), _ENCRYPTED)
        signed = [item for item in self.signatures if item.sig_object_type != "/DocTimeStamp"]
        stamps = [item for item in self.signatures if item.sig_object_type == "/DocTimeStamp"]
        if not self.signatures:
            return self._report("INDETERMINATE", "SIGNED_DATA_NOT_FOUND", (), ())
        judged_stamps: dict[int, _Judgement] = {}
        for stamp in reversed(stamps):
            judged_stamps[stamp.signed_revision] = judgement = self._judge_stamp(stamp)
            if judgement.outcome is AdESPassed.OK:
                self._prove(stamp)
                self.holding.append(stamp.signed_revision)
        signature_results = tuple(self._signature_result(item, self.holding) for item in signed)
        stamp_results = tuple(
            self._stamp_result(item, judged_stamps[item.signed_revision]) for item in stamps
        )
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
            sha256=self.digest,
            validated_at=self.at,
            signatures=signatures,
            document_timestamps=stamps,
            modifications=self.changes.modifications,
            revisions=self.revisions,
            algorithm_policy=self.trust.algorithms.name,
        )

    def _read_revisions(self) -> tuple[Revision, ...]:
        found = []
        running = hashlib.sha256()
        done = 0
        for number in range(self.reader.xrefs.total_revisions):
            length = end_of_revision(self.document, self.reader, number)
            running.update(memoryview(self.document)[done:length])
            done = length
            found.append(Revision(number, length, running.hexdigest()))
        return tuple(found)

    # Judging

    def _judge_stamp(self, stamp: EmbeddedPdfSignature) -> _Judgement:
        digest = stamp.compute_digest()
        judgement = self._judge_token(stamp.signed_data, lambda _: digest, stamp.signed_revision)
        return self._with_structure(stamp, judgement)

    def _judge_token(self, token: cms.SignedData, imprint: Any, revision: int) -> _Judgement:
        """A timestamp token, at the present and then by the proofs there are (EN 319 102-1 5.4, 5.6.2.4)."""
        trust, knowledge = self.trust.timestamps, self._evidence_for(token, revision)
        policy = specification(trust, knowledge)
        result = at_once(
            ades_timestamp_validation(
                token,
                policy,
                imprint,
                timing_info=self.timing,
                validation_data_handlers=self._handlers(policy, knowledge),
            )
        )
        outcome = self._judge_past(token, result.ades_subindic, self.proofs, trust, knowledge)
        if outcome is AdESPassed.OK and not self._accepted(
            trust.algorithms.imprint_ends(token), token, self.proofs
        ):
            outcome = AdESIndeterminate.CRYPTO_CONSTRAINTS_FAILURE_NO_POE
        return _Judgement(outcome, token_time(token), proven=self._proven(token, self.proofs))

    def _proven(self, signed: cms.SignedData, proofs: POEManager) -> datetime | None:
        time: datetime = copy(proofs)[signed["signer_infos"][0]["signature"].native]
        return time if time < self.at else None

    def _judge_past(
        self,
        signed: cms.SignedData,
        outcome: AdESSubIndic,
        proofs: POEManager,
        trust: TrustStore,
        knowledge: LocalKnowledge,
    ) -> AdESSubIndic:
        """As `_by_proofs`, and by an anchor that was granted when the signature is proven to have existed."""
        found = self._by_proofs(signed, outcome, proofs, trust, knowledge)
        if found is not AdESPassed.OK or not trust.periods:
            return found
        certificates = generic_cms.extract_certs_for_validation(signed)
        others = [*certificates.other_certs, *self.knowledge.known_certs]
        try:
            trust.path(certificates.signer_cert, others, at=self._proven(signed, proofs) or self.at)
        except NotTrusted:
            return AdESIndeterminate.NO_CERTIFICATE_CHAIN_FOUND
        return found

    def _by_proofs(
        self,
        signed: cms.SignedData,
        outcome: AdESSubIndic,
        proofs: POEManager,
        trust: TrustStore,
        knowledge: LocalKnowledge,
    ) -> AdESSubIndic:
        """The outcome at the present, or a better one by the proofs of existence (EN 319 102-1 5.6.2.4)."""
        if outcome is AdESIndeterminate.CERTIFICATE_CHAIN_GENERAL_FAILURE:
            outcome = self._refine(signed, outcome, proofs, trust)
        if outcome not in PAST_MAY_HELP:
            return outcome
        past = run(
            past_validation(signed, specification(trust, knowledge), copy(proofs), outcome, at=self.at)
        )
        # Where the past does not help either, the present outcome says more.
        if past is not AdESPassed.OK:
            return outcome
        # Of its own algorithms it says nothing: they must have been sound when it is proven to have existed (5.6.2.4).
        certificate = generic_cms.extract_certs_for_validation(signed).signer_cert
        ends = trust.algorithms.signer_ends(signed["signer_infos"][0], certificate)
        accepted = self._accepted(ends, signed, proofs)
        return past if accepted else AdESIndeterminate.CRYPTO_CONSTRAINTS_FAILURE_NO_POE

    def _accepted(self, ends: datetime | None, signed: cms.SignedData, proofs: POEManager) -> bool:
        """Whether an algorithm that ends then was accepted when the signature is proven to have existed."""
        return ends is None or copy(proofs)[signed["signer_infos"][0]["signature"].native] < ends

    def _refine(
        self, signed: cms.SignedData, outcome: AdESSubIndic, proofs: POEManager, trust: TrustStore
    ) -> AdESSubIndic:
        """pyHanko has one outcome for all other faults of a chain. Where the chain itself holds at the time of the
        signature, what is amiss is the evidence about revocation, or a CA certificate that ended since.
        """
        certificates = generic_cms.extract_certs_for_validation(signed)
        others = [*certificates.other_certs, *self.knowledge.known_certs]
        time = copy(proofs)[signed["signer_infos"][0]["signature"].native]
        try:
            trust.path(certificates.signer_cert, others, at=time)
        except NotTrusted:
            # By a trusted list, an anchor may be one at another time.
            return AdESIndeterminate.NO_CERTIFICATE_CHAIN_FOUND if trust.periods else outcome
        try:
            trust.path(certificates.signer_cert, others, at=self.at)
        except NotTrusted:
            return AdESIndeterminate.OUT_OF_BOUNDS_NO_POE
        return AdESIndeterminate.TRY_LATER

    def _judge_signature(self, signature: EmbeddedPdfSignature) -> _Judgement:
        """A signature with its timestamps (EN 319 102-1 5.5, 5.6.3)."""
        value = signature.signer_info["signature"].native
        proofs = copy(self.proofs)
        time: datetime | None = None
        tokens: list[SignatureTimestampResult] = []
        for token in timestamp_tokens(signature.signer_info):
            judged = self._judge_token(
                token,
                generic_cms.message_imprint_checker(signature.signer_info),
                signature.signed_revision,
            )
            tokens.append(_token_result(token, judged))
            if judged.outcome in _TIME_SHOWN and judged.time is not None:
                time = min(time or judged.time, judged.time)
            if judged.outcome is AdESPassed.OK:
                proofs.register(value, POEType.VALIDATION, judged.time)
        trust = self.signers.get(signature.field_name, self.trust)
        knowledge = self._evidence_for(signature.signed_data, signature.signed_revision)
        policy = specification(trust, knowledge)
        result = at_once(
            ades_basic_validation(
                signature.signed_data,
                policy,
                timing_info=self.timing,
                raw_digest=signature.compute_digest(),
                validation_data_handlers=self._handlers(policy, knowledge),
            )
        )
        outcome = self._judge_past(signature.signed_data, result.ades_subindic, proofs, trust, knowledge)
        if outcome is AdESPassed.OK and time is not None and time < signature.signer_cert.not_valid_before:
            outcome = AdESIndeterminate.NOT_YET_VALID
        proven = self._proven(signature.signed_data, proofs)
        by_timestamp = proven is not None and proven != self._proven(signature.signed_data, self.proofs)
        judgement = _Judgement(outcome, time, "", proven, by_timestamp, tuple(tokens))
        return self._with_structure(signature, judgement)

    def _with_structure(self, signature: EmbeddedPdfSignature, judgement: _Judgement) -> _Judgement:
        """A signature must cover its whole revision, and later changes must be ones it allows."""
        if judgement.outcome.status == AdESFailure.HASH_FAILURE.status:
            return judgement
        if fault := self.faults.get(signature.field_name):
            return replace(judgement, outcome=AdESFailure.FORMAT_FAILURE, note=fault)
        coverage: SignatureCoverageLevel = cast(Any, signature).coverage
        if coverage < SignatureCoverageLevel.ENTIRE_REVISION:
            note = "Signaturen dekker ikke hele dokumentet."
            return replace(judgement, outcome=AdESFailure.FORMAT_FAILURE, note=note)
        if not self.changes.permitted_after(signature.signed_revision):
            return replace(judgement, outcome=AdESFailure.FORMAT_FAILURE, note=_NOT_PERMITTED)
        if self.changes.unsettled and judgement.outcome is AdESPassed.OK:
            outcome = AdESIndeterminate.SIG_CONSTRAINTS_FAILURE
            return replace(judgement, outcome=outcome, note=self.changes.unsettled)
        return judgement

    def _store(self, revision: int) -> LocalKnowledge:
        """The document security store as that revision has it."""
        if revision == self.reader.xrefs.total_revisions - 1:
            return self.knowledge
        if revision not in self._stores:
            self._stores[revision] = _read_store(self.reader.get_historical_resolver(revision))
        return self._stores[revision]

    def _evidence_for(self, signed: cms.SignedData, revision: int) -> LocalKnowledge:
        """What is needed to judge what that revision has in it: the evidence that the next document timestamp covers.

        Of the evidence that came with later renewals only this counts: that a certificate was revoked. Then all of it
        is looked at. To go by all of it always would take exponentially longer with each renewal.
        """
        covering = min((number for number in self.holding if number > revision), default=None)
        if covering is None:
            return self.knowledge
        store = self._store(covering)
        return self.knowledge if later_revocation(signed, store, self.knowledge) else store

    def _handlers(self, policy: SignatureValidationSpec, knowledge: LocalKnowledge) -> Any:
        handlers = bootstrap_validation_data_handlers(
            policy, timing_info=self.timing, poe_manager_override=copy(self.proofs)
        )
        return among(self._held.setdefault(id(knowledge), no_paths()), handlers)

    def _prove(self, stamp: EmbeddedPdfSignature) -> None:
        """Everything the timestamp covers existed at its time (EN 319 102-1 5.6.2.3)."""
        time = token_time(stamp.signed_data)

        def proven(item: Any) -> None:
            self.proofs.register(item, POEType.VALIDATION, time)

        store = self._store(stamp.signed_revision)
        for item in (*store.known_certs, *store.known_crls, *store.known_ocsps):
            proven(item)
        for signature in self.signatures:
            if signature.signed_revision >= stamp.signed_revision:
                continue
            tokens = timestamp_tokens(signature.signer_info)
            for signed in (signature.signed_data, *tokens):
                for certificate in signed["certificates"]:
                    proven(certificate.chosen)
                proven(signed["signer_infos"][0]["signature"].native)

    # Reporting

    def _signature_result(self, signature: EmbeddedPdfSignature, stamps: list[int]) -> SignatureResult:
        judgement = self._judge_signature(signature)
        outcome = judgement.outcome
        certificate = signature.signer_cert
        level: Level | None = None
        if outcome.status != AdESFailure.HASH_FAILURE.status:
            level = "B-B" if judgement.time is None else "B-T"
            if (
                level == "B-T"
                and outcome is AdESPassed.OK
                and (self.knowledge.known_ocsps or self.knowledge.known_crls)
            ):
                # Nothing is fetched, so what passed did so by the evidence in the document.
                level = "B-LTA" if any(number > signature.signed_revision for number in stamps) else "B-LT"
        revision = self.revisions[signature.signed_revision]
        trust = self.signers.get(signature.field_name, self.trust)
        used_at = judgement.proven or self.at
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
            timestamps=judgement.tokens,
            signed=signed_bytes(signature.signer_info),
            **certificate_details(signature.signed_data, self.knowledge, trust, at=used_at),
        )

    def _proving_field(self, judgement: _Judgement) -> str | None:
        """The field of the document timestamp by which the signature is proven."""
        if judgement.proven is None or judgement.by_timestamp:
            return None
        times = {
            token_time(item.signed_data): str(item.field_name)
            for item in self.signatures
            if item.sig_object_type == "/DocTimeStamp"
        }
        return times.get(judgement.proven)

    def _stamp_result(self, stamp: EmbeddedPdfSignature, judgement: _Judgement) -> DocumentTimestampResult:
        certificate = stamp.signer_cert
        revision = self.revisions[stamp.signed_revision]
        trust, used_at = self.trust.timestamps, judgement.proven or self.at
        ends = timestamp_ends(stamp.signed_data, trust)
        return DocumentTimestampResult(
            field=str(stamp.field_name),
            authority=common_name(certificate.subject),
            time=judgement.time if judgement.outcome in _TIME_SHOWN else None,
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
            **certificate_details(stamp.signed_data, self.knowledge, trust, at=used_at),
        )

    def _is_certification(self, signature: EmbeddedPdfSignature) -> bool:
        root = self.reader.root
        if "/Perms" not in root or "/DocMDP" not in root["/Perms"]:
            return False
        own = signature.sig_field.raw_get("/V")
        certifying = root["/Perms"].raw_get("/DocMDP")
        return bool(own.reference == certifying.reference)


def _proof(judgement: _Judgement) -> Literal["signature-timestamp", "document-timestamp"] | None:
    if judgement.proven is None:
        return None
    return "signature-timestamp" if judgement.by_timestamp else "document-timestamp"


def _token_result(token: cms.SignedData, judgement: _Judgement) -> SignatureTimestampResult:
    certificate = generic_cms.extract_certs_for_validation(token).signer_cert
    signer = token["signer_infos"][0]
    return SignatureTimestampResult(
        authority=common_name(certificate.subject),
        time=judgement.time if judgement.outcome in _TIME_SHOWN else None,
        indication=indication(judgement.outcome),
        sub_indication=sub_indication(judgement.outcome),
        algorithm=describe_algorithm(
            signer["signature_algorithm"], signer["digest_algorithm"]["algorithm"].native, certificate
        ),
        certificate_sha256=certificate.sha256.hex(),
        sha256=hashlib.sha256(token.dump()).hexdigest(),
    )


def _read_store(handler: Any) -> LocalKnowledge:
    """Certificates, OCSP responses and CRLs of the document security store."""
    try:
        store = DocumentSecurityStore.read_dss(handler)
    except NoDSSFoundError:
        return LocalKnowledge()
    return LocalKnowledge(
        known_ocsps=[
            part for item in store.ocsps for part in OCSPContainer.load_multi(ocsp_of(item.get_object().data))
        ],
        known_crls=[CRLContainer(crl_of(item.get_object().data)) for item in store.crls],
        known_certs=[certificate_of(item.get_object().data) for item in store.certs.values()],
    )
