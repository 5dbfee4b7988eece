"""Past signature validation (ETSI EN 319 102-1 5.6.2): by proofs of existence, of what does not hold at the present.

In place of pyHanko's own, for three reasons. That one takes the system's clock for the time of validation. It judges a
certificate as of the time of the newest evidence, even when the certificate had ended by then, as where a renewal
brought a younger CRL; the standard asks for a time within its validity (5.6.2.1.4). And of a certificate that names
only a CRL it finds no evidence.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from datetime import datetime, timedelta
from typing import Final

from asn1crypto import cms, crl, x509
from pyhanko.sign.ades.report import AdESFailure, AdESIndeterminate, AdESPassed, AdESSubIndic
from pyhanko.sign.validation import generic_cms
from pyhanko.sign.validation.policy_decl import (
    LocalKnowledge,
    SignatureValidationSpec,
    bootstrap_validation_data_handlers,
)
from pyhanko_certvalidator.context import CertValidationPolicySpec, ValidationDataHandlers
from pyhanko_certvalidator.ltv.ades_past import past_validate
from pyhanko_certvalidator.ltv.poe import POEManager, digest_for_poe
from pyhanko_certvalidator.ltv.time_slide import ades_gather_prima_facie_revinfo
from pyhanko_certvalidator.path import ValidationPath
from pyhanko_certvalidator.registry import PathBuilder
from pyhanko_certvalidator.revinfo.archival import OCSPContainer

__all__ = ["later_revocation", "past_validation"]

_SECOND: Final = timedelta(seconds=1)
_OUT_OF_BOUNDS: Final = frozenset(
    {AdESIndeterminate.OUT_OF_BOUNDS_NO_POE, AdESIndeterminate.OUT_OF_BOUNDS_NOT_REVOKED}
)
_ENDED: Final = _OUT_OF_BOUNDS | {AdESIndeterminate.CERTIFICATE_CHAIN_GENERAL_FAILURE}
"""Outcomes of a control time at which a certificate of the path had ended; the last is for a CA's, among others."""
_WITH_EVIDENCE: Final = _OUT_OF_BOUNDS | {AdESIndeterminate.REVOKED_NO_POE, AdESIndeterminate.TRY_LATER}
"""Outcomes at the present that need evidence about the signer's certificate that is proven to be old enough."""
_IMPROVED: Final = _WITH_EVIDENCE | {
    AdESIndeterminate.REVOKED_CA_NO_POE,
    AdESIndeterminate.CRYPTO_CONSTRAINTS_FAILURE_NO_POE,
}


async def past_validation(
    signed: cms.SignedData,
    policy: SignatureValidationSpec,
    proofs: POEManager,
    outcome: AdESIndeterminate,
    *,
    at: datetime,
) -> AdESSubIndic:
    """PASSED, or why the past does not help (5.6.2.4). `outcome` is the one at the present, which is `at`.

    The evidence is that of `policy`, and nothing is raised for what does not hold. `proofs` are used up.
    """
    time = proofs[signed["signer_infos"][0]["signature"].native]
    stamp = signed["encap_content_info"]["content_type"].native == "tst_info"
    rules = (policy.ts_cert_validation_policy if stamp else None) or policy.cert_validation_policy
    certificates = generic_cms.extract_certs_for_validation(signed)
    certificate = certificates.signer_cert
    reason: AdESSubIndic = AdESIndeterminate.NO_CERTIFICATE_CHAIN_FOUND
    handlers = _handlers(policy, proofs, certificates.other_certs)
    builder = PathBuilder(trust_manager=rules.trust_manager, registry=handlers.cert_registry)
    for path in await builder.async_build_paths(certificate):
        # From the present back; and where that stops at a moment when a certificate had ended, from that end back.
        ends = [item.not_valid_after - _SECOND for item in path.iter_certs(include_root=False)]
        for start in (at, min(at, *ends)):
            handlers = _handlers(policy, proofs, certificates.other_certs)
            has_evidence = await _evidence_of_its_time(
                path, handlers, rules, start, until=certificate.not_valid_after
            )
            result = await generic_cms.handle_certvalidator_errors(
                certificate, past_validate(path, rules, handlers, init_control_time=start)
            )
            if result.error_subindic not in _ENDED:
                break
        if result.error_subindic is not None:
            reason = result.error_subindic
            continue
        assert result.success_result is not None
        reason = _settled(outcome, certificate, time, result.success_result, has_evidence=has_evidence)
        if reason is AdESPassed.OK:
            return reason
    return reason


def later_revocation(signed: cms.SignedData, store: LocalKnowledge, everything: LocalKnowledge) -> bool:
    """Whether evidence that is not in `store` says that a certificate was revoked that the signature may rest on."""
    known = {item.crl_data.dump() for item in store.known_crls}
    lists = [item.crl_data for item in everything.known_crls if item.crl_data.dump() not in known]
    answered = {item.ocsp_response_data.dump() for item in store.known_ocsps}
    answers = [item for item in everything.known_ocsps if item.ocsp_response_data.dump() not in answered]
    certificates = [choice.chosen for choice in signed["certificates"] if choice.name == "certificate"]
    certificates += [item for item in store.known_certs if item.ca]
    return any(
        _is_listed(certificate, lists) or _is_answered(certificate, answers) for certificate in certificates
    )


def _is_listed(certificate: x509.Certificate, lists: Iterable[crl.CertificateList]) -> bool:
    return any(
        entry["user_certificate"].native == certificate.serial_number
        for found in lists
        if found.issuer.dump() == certificate.issuer.dump()
        for entry in found["tbs_cert_list"]["revoked_certificates"] or ()
    )


def _is_answered(certificate: x509.Certificate, answers: Iterable[OCSPContainer]) -> bool:
    return any(
        single["cert_id"]["serial_number"].native == certificate.serial_number
        for answer in answers
        if (single := answer.extract_single_response()) is not None
        and single["cert_status"].name == "revoked"
    )


def _handlers(
    policy: SignatureValidationSpec, proofs: POEManager, others: Iterable[x509.Certificate]
) -> ValidationDataHandlers:
    handlers = bootstrap_validation_data_handlers(
        policy, is_historical=True, poe_manager_override=copy(proofs)
    )
    handlers.cert_registry.register_multiple(others)
    return handlers


async def _evidence_of_its_time(
    path: ValidationPath,
    handlers: ValidationDataHandlers,
    rules: CertValidationPolicySpec,
    control_time: datetime,
    *,
    until: datetime,
) -> bool:
    """Whether there is evidence about the leaf whose issuer is proven to be older than `until`, the leaf's end. Then
    other is left out.
    """
    manager, proofs = handlers.revinfo_manager, handlers.poe_manager
    crls, ocsps = await ades_gather_prima_facie_revinfo(
        path, manager, control_time, rules.revinfo_policy.revocation_checking_policy.ee_certificate_rule
    )
    young_crls = {
        digest_for_poe(item.crl.crl_data.dump())
        for item in crls
        if all(proofs[issuer.path.leaf] > until for issuer in item.prov_paths)
    }
    young_ocsps = {
        digest_for_poe(item.ocsp_response.ocsp_response_data.dump())
        for item in ocsps
        if proofs[item.prov_path.leaf] > until
    }
    if len(young_crls) + len(young_ocsps) == len(crls) + len(ocsps):
        return False
    manager.evict_crls(young_crls)
    manager.evict_ocsps(young_ocsps)
    return True


def _settled(
    outcome: AdESIndeterminate,
    certificate: x509.Certificate,
    time: datetime,
    control_time: datetime,
    *,
    has_evidence: bool,
) -> AdESSubIndic:
    """What the outcome at the present becomes, when the path held at `control_time` and the signature was there at
    `time` (5.6.2.4.4).
    """
    if time > control_time:
        return outcome
    if outcome in _WITH_EVIDENCE and not has_evidence:
        return AdESIndeterminate.REVOCATION_OUT_OF_BOUNDS_NO_POE
    if outcome in _OUT_OF_BOUNDS:
        if time < certificate.not_valid_before:
            return AdESFailure.NOT_YET_VALID
        return AdESPassed.OK if time <= certificate.not_valid_after else outcome
    return AdESPassed.OK if outcome in _IMPROVED else outcome
