"""Detached CAdES signatures over any content (ETSI EN 319 122-1), as `openssl cms -verify` reads them."""

from __future__ import annotations

import hashlib
from contextlib import closing
from datetime import UTC, datetime

from asn1crypto import cms, core
from pyhanko.sign.ades.report import AdESFailure, AdESIndeterminate, AdESPassed, AdESSubIndic
from pyhanko.sign.general import SigningError as PyHankoError
from pyhanko.sign.general import extract_signer_info
from pyhanko.sign.validation import generic_cms
from pyhanko.sign.validation.ades import ades_basic_validation, ades_timestamp_validation
from pyhanko.sign.validation.policy_decl import (
    LocalKnowledge,
    SignatureValidationSpec,
    bootstrap_validation_data_handlers,
)
from pyhanko_certvalidator.context import ValidationDataHandlers
from pyhanko_certvalidator.ltv.poe import POEManager
from pyhanko_certvalidator.ltv.types import ValidationTimingInfo
from pyhanko_certvalidator.revinfo.archival import CRLContainer, OCSPContainer

from signing.aio import at_once
from signing.algorithm_policy import NEVER
from signing.algorithms import describe_algorithm, verify_raw
from signing.certificates import certificate_of, crl_of, ocsp_of
from signing.cms import assemble, signed_attributes, timestamp_tokens, token_time
from signing.credentials.base import Credential, common_name
from signing.details import certificate_details, organisation_of, signed_bytes
from signing.errors import NotTrusted
from signing.kept import one_document
from signing.model import Level, SignatureResult
from signing.policy import specification
from signing.revocation import Chain, Evidence, EvidenceCollector
from signing.timestamps import TimestampClient
from signing.trust import TrustStore
from signing.verdicts import explain, indication, sub_indication

__all__ = ["seal_detached", "verify_detached"]


@one_document()
def seal_detached(
    content: bytes,
    credential: Credential,
    timestamps: TimestampClient,
    *,
    trust: TrustStore | None = None,
    collector: EvidenceCollector | None = None,
    at: datetime | None = None,
) -> bytes:
    """DER of a CMS signature over `content`, with the signer's chain and a signature timestamp, content not included.

    Without `trust` it is CAdES-B-T. With it, the certificates, OCSP responses and CRLs needed to verify it go along
    (B-LT), so that it verifies offline. `at` is the time to sign at, now when not given. Raises `CredentialError`,
    `SignatureMismatch`, `TimestampUnavailable`, and for B-LT `NotTrusted`, `RevocationUnavailable` or
    `CertificateRevoked`.
    """
    if trust is not None and collector is None:
        with closing(EvidenceCollector()) as own_collector:
            return seal_detached(content, credential, timestamps, trust=trust, collector=own_collector, at=at)
    moment = (at or datetime.now(UTC)).replace(microsecond=0)
    identity = credential.identity
    identity.check_validity(moment)
    algorithm = identity.mechanism.digest_algorithm
    attributes = signed_attributes(identity, hashlib.new(algorithm, content).digest(), signing_time=moment)
    value = credential.sign(attributes)
    verify_raw(identity.parsed, identity.mechanism, value, attributes)
    token = timestamps.timestamp(hashlib.new(algorithm, value).digest(), algorithm)
    evidence = Evidence()
    if trust is not None and collector is not None:
        own = [certificate_of(der) for der in identity.chain]
        chains = [
            Chain(trust.path(identity.parsed, own, at=token.time), trust, token.time, for_timestamp=False),
            Chain(
                trust.timestamps.path(token.authority, token.certificates, at=token.time),
                trust.timestamps,
                token.time,
                for_timestamp=True,
            ),
        ]
        collector.collect(chains, evidence, at=at)
    return assemble(
        identity,
        attributes,
        value,
        token.encoded,
        certificates=evidence.certificates,
        crls=evidence.crls,
        ocsps=evidence.ocsps,
    )


@one_document()
def verify_detached(
    content: bytes, signature: bytes, trust: TrustStore, *, at: datetime | None = None
) -> SignatureResult:
    """What is to be said of a detached signature, from what it carries; nothing is fetched, nothing is raised.

    The signer is judged as of the signature timestamp: evidence given out after it proves that the certificate was
    good then. That ends with the certificate, as nothing proves how old the evidence itself is.
    """
    moment = at or datetime.now(UTC)
    try:
        info = cms.ContentInfo.load(signature, strict=True)
        signed = info["content"]
        signer = extract_signer_info(signed)
        certificate = generic_cms.extract_certs_for_validation(signed).signer_cert
        algorithm = signer["digest_algorithm"]["algorithm"].native
        digest = hashlib.new(algorithm, content).digest()
        knowledge = _read_evidence(signed)
        outcome, time = _judge(signed, signer, digest, trust, knowledge, moment)
        ends = trust.algorithms.signer_ends(signer, certificate)
        level: Level | None = None
        if not isinstance(outcome, AdESFailure):
            level = "B-B" if time is None else "B-LT" if outcome is AdESPassed.OK else "B-T"
        return SignatureResult(
            field="",
            signer=common_name(certificate.subject),
            issuer=common_name(certificate.issuer),
            level=level,
            time=time,
            indication=indication(outcome),
            sub_indication=sub_indication(outcome),
            explanation=explain(sub_indication(outcome)),
            algorithm=describe_algorithm(signer["signature_algorithm"], algorithm, certificate),
            certificate_sha256=certificate.sha256.hex(),
            certificate_serial=f"{certificate.serial_number:x}",
            claimed_time=generic_cms.extract_self_reported_ts(signer),
            organisation=organisation_of(certificate),
            best_signature_time=time,
            proof="signature-timestamp" if time else None,
            algorithm_accepted=trust.algorithms.accepts(ends, time or moment),
            algorithm_ends=None if ends is NEVER else ends,
            signed=signed_bytes(signer),
            **certificate_details(signed, knowledge, trust, at=time or moment),
        )
    # asn1crypto and pyHanko give many kinds of errors for bytes that are not such a signature.
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, PyHankoError) as error:
        return SignatureResult(
            field="",
            signer="",
            issuer="",
            level=None,
            time=None,
            indication="TOTAL-FAILED",
            sub_indication="FORMAT_FAILURE",
            explanation=f"Dette er ikke en løsrevet CMS-signatur. ({type(error).__name__})",
            algorithm="",
            certificate_sha256="",
            certificate_serial="",
        )


def _judge(
    signed: cms.SignedData,
    signer: cms.SignerInfo,
    digest: bytes,
    trust: TrustStore,
    knowledge: LocalKnowledge,
    at: datetime,
) -> tuple[AdESSubIndic, datetime | None]:
    policy = specification(trust, knowledge)
    time: datetime | None = None
    proven = True
    for token in timestamp_tokens(signer):
        timing, handlers = _as_of(at, policy)
        judged = at_once(
            ades_timestamp_validation(
                token,
                policy,
                generic_cms.message_imprint_checker(signer),
                timing_info=timing,
                validation_data_handlers=handlers,
            )
        )
        shown: AdESSubIndic = judged.ades_subindic
        if shown is AdESPassed.OK and not trust.algorithms.accepts(trust.algorithms.imprint_ends(token), at):
            shown = AdESIndeterminate.CRYPTO_CONSTRAINTS_FAILURE_NO_POE
        if shown is AdESIndeterminate.CERTIFICATE_CHAIN_GENERAL_FAILURE:
            shown = _refine(token, trust.timestamps, token_time(token), shown)
        # A timestamp that lacks only evidence about revocation still tells the time, but no seal passes by it.
        proven = proven and shown is AdESPassed.OK
        if shown in (AdESPassed.OK, AdESIndeterminate.TRY_LATER):
            time = min(time or token_time(token), token_time(token))
    timing, handlers = _as_of(time or at, policy)
    result = at_once(
        ades_basic_validation(
            signed, policy, timing_info=timing, raw_digest=digest, validation_data_handlers=handlers
        )
    )
    outcome: AdESSubIndic = result.ades_subindic
    if outcome is AdESIndeterminate.CERTIFICATE_CHAIN_GENERAL_FAILURE:
        outcome = _refine(signed, trust, time or at, outcome)
    if outcome is AdESPassed.OK and trust.periods:
        outcome = _refine(
            signed, trust, time or at, AdESIndeterminate.NO_CERTIFICATE_CHAIN_FOUND, held=outcome
        )
    if outcome is AdESPassed.OK and not proven:
        outcome = AdESIndeterminate.TRY_LATER
    if (
        outcome is AdESPassed.OK
        and generic_cms.extract_certs_for_validation(signed).signer_cert.not_valid_after < at
    ):
        outcome = AdESIndeterminate.OUT_OF_BOUNDS_NO_POE
    return outcome, time


def _refine(
    signed: cms.SignedData,
    trust: TrustStore,
    at: datetime,
    outcome: AdESSubIndic,
    *,
    held: AdESSubIndic = AdESIndeterminate.TRY_LATER,
) -> AdESSubIndic:
    """The outcome, or `held` where the chain holds at that time.

    pyHanko has one outcome for other faults of a chain; where the chain holds, evidence is what lacks.
    """
    certificates = generic_cms.extract_certs_for_validation(signed)
    try:
        trust.path(certificates.signer_cert, certificates.other_certs, at=at)
    except NotTrusted:
        return outcome
    return held


def _as_of(
    at: datetime, policy: SignatureValidationSpec
) -> tuple[ValidationTimingInfo, ValidationDataHandlers]:
    timing = ValidationTimingInfo(validation_time=at, best_signature_time=at, point_in_time_validation=True)
    handlers = bootstrap_validation_data_handlers(
        policy, timing_info=timing, poe_manager_override=POEManager(current_dt_override=at)
    )
    return timing, handlers


def _read_evidence(signed: cms.SignedData) -> LocalKnowledge:
    ocsps: list[OCSPContainer] = []
    crls: list[CRLContainer] = []
    choices = signed["crls"]
    for choice in () if isinstance(choices, core.Void) else choices:
        if choice.name == "crl":
            crls.append(CRLContainer(crl_of(choice.chosen.dump())))
        elif choice.chosen["other_rev_info_format"].native == "ocsp_response":
            ocsps.extend(OCSPContainer.load_multi(ocsp_of(choice.chosen["other_rev_info"].dump())))
    certificates = [
        certificate_of(choice.chosen.dump())
        for choice in signed["certificates"]
        if choice.name == "certificate"
    ]
    return LocalKnowledge(known_ocsps=ocsps, known_crls=crls, known_certs=certificates)
