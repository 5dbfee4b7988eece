"""What validation demands: revocation evidence, freshness, key usage, algorithms (ETSI TS 119 172-3 in spirit)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Final

from pyhanko.sign.validation.policy_decl import (
    LocalKnowledge,
    RevinfoOnlineFetchingRule,
    RevocationInfoGatheringSpec,
    SignatureValidationSpec,
)
from pyhanko.sign.validation.settings import KeyUsageConstraints
from pyhanko_certvalidator.context import CertValidationPolicySpec
from pyhanko_certvalidator.policy_decl import REQUIRE_REVINFO, CertRevTrustPolicy, FreshnessReqType

from signing.trust import TrustStore
from signing.verified import VERIFIER

__all__ = ["specification"]

_TOLERANCE: Final = timedelta(minutes=1)
_NO_LIMIT: Final = timedelta(days=365 * 30)


def specification(trust: TrustStore, knowledge: LocalKnowledge) -> SignatureValidationSpec:
    """The policy, with what the document itself brings. Nothing is fetched. Signers lead up to the anchors of `trust`,
    time-stamping authorities to those it has for timestamps. Its algorithms are those accepted in signatures,
    certificates and evidence alike.

    For signers, evidence is fresh until its nextUpdate (EN 319 102-1 5.2.5). For time-stamping certificates there is
    no limit of freshness: the last document timestamp can have no evidence younger than itself, and a token is good
    until its certificate ends or is revoked.
    """
    signers = CertValidationPolicySpec(
        trust_manager=trust.manager,
        algorithm_usage_policy=trust.algorithms,
        revinfo_policy=CertRevTrustPolicy(
            REQUIRE_REVINFO, freshness_req_type=FreshnessReqType.MAX_DIFF_REVOCATION_VALIDATION
        ),
        time_tolerance=_TOLERANCE,
        signature_validator=VERIFIER,
    )
    return SignatureValidationSpec(
        cert_validation_policy=signers,
        ts_cert_validation_policy=replace(
            signers,
            trust_manager=trust.timestamps.manager,
            revinfo_policy=CertRevTrustPolicy(
                REQUIRE_REVINFO,
                freshness=_NO_LIMIT,
                freshness_req_type=FreshnessReqType.MAX_DIFF_REVOCATION_VALIDATION,
            ),
        ),
        revinfo_gathering_policy=RevocationInfoGatheringSpec(RevinfoOnlineFetchingRule.LOCAL_ONLY),
        local_knowledge=knowledge,
        signature_algorithm_policy=trust.algorithms,
        # Seals are often made with digitalSignature alone, personal signatures with nonRepudiation.
        key_usage_settings=KeyUsageConstraints(
            key_usage={"digital_signature", "non_repudiation"}, match_all_key_usages=False
        ),
    )
