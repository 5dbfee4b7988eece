"""What a report tells of a signature beside the verdict: evidence, algorithms, trust anchor, what was signed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from asn1crypto import cms, core, ocsp, x509
from pyhanko.sign.validation import generic_cms
from pyhanko.sign.validation.policy_decl import LocalKnowledge

from signing.algorithm_policy import ends_first
from signing.credentials.base import common_name
from signing.errors import NotTrusted
from signing.model import RevocationEvidence, SignedBytes
from signing.trust import TrustStore

__all__ = ["certificate_details", "organisation_of", "signed_bytes", "timestamp_ends"]


def certificate_details(
    signed: cms.SignedData, knowledge: LocalKnowledge, trust: TrustStore, *, at: datetime
) -> dict[str, Any]:
    """Trust anchor and evidence about revocation of a CMS's signer, as of the time it is proven to have existed."""
    certificates = generic_cms.extract_certs_for_validation(signed)
    certificate = certificates.signer_cert
    told: dict[str, Any] = {"revocation": tuple(revocation_evidence(certificate, knowledge, at))}
    try:
        path = trust.path(certificate, [*certificates.other_certs, *knowledge.known_certs], at=at)
    except NotTrusted:
        return told
    anchor: x509.Certificate = path.first
    return told | {"trust_anchor": common_name(anchor.subject), "trust_anchor_sha256": anchor.sha256.hex()}


def organisation_of(certificate: x509.Certificate) -> str | None:
    """The organisation identifier of the subject, when there is one."""
    value = certificate.subject.native.get("organization_identifier")
    return str(value[-1] if isinstance(value, list) else value) if value else None


def signed_bytes(signer: cms.SignerInfo) -> SignedBytes | None:
    """What the signature is over; None for one of another form."""
    attributes = signer["signed_attrs"]
    if isinstance(attributes, core.Void):
        return None
    algorithm = signer["digest_algorithm"]["algorithm"].native
    digests = [item["values"][0].native for item in attributes if item["type"].native == "message_digest"]
    if len(digests) != 1 or algorithm not in hashlib.algorithms_available or algorithm.startswith("shake"):
        return None
    return SignedBytes(
        digest_algorithm=algorithm,
        document_digest=digests[0].hex(),
        attributes_digest=hashlib.new(algorithm, attributes.untag().dump()).hexdigest(),
        signature_value=signer["signature"].native.hex(),
    )


def timestamp_ends(token: cms.SignedData, trust: TrustStore) -> datetime | None:
    """When the first of a token's algorithms ends: the signature's, or the digest's of what it is for."""
    certificate = generic_cms.extract_certs_for_validation(token).signer_cert
    return ends_first(
        trust.algorithms.signer_ends(token["signer_infos"][0], certificate),
        trust.algorithms.imprint_ends(token),
    )


def revocation_evidence(
    certificate: x509.Certificate, knowledge: LocalKnowledge, at: datetime
) -> Iterator[RevocationEvidence]:
    """The OCSP responses and CRLs about the certificate, newest first of each kind."""
    answers = [
        (single, container.ocsp_response_data.dump())
        for container in knowledge.known_ocsps
        for single in _about(container.extract_basic_ocsp_response(), certificate)
    ]
    found = [
        _evidence("ocsp", single["this_update"].native, single["next_update"].native, encoded, at)
        for single, encoded in answers
    ]
    for container in knowledge.known_crls:
        listing = container.crl_data
        if listing.issuer == certificate.issuer:
            body = listing["tbs_cert_list"]
            found.append(
                _evidence("crl", body["this_update"].native, body["next_update"].native, listing.dump(), at)
            )
    yield from sorted(found, key=lambda item: (item.kind == "crl", -item.this_update.timestamp()))


def _about(
    response: ocsp.BasicOCSPResponse | None, certificate: x509.Certificate
) -> Iterable[ocsp.SingleResponse]:
    for single in response["tbs_response_data"]["responses"] if response is not None else ():
        identifier = single["cert_id"]
        algorithm = identifier["hash_algorithm"]["algorithm"].native
        if identifier["serial_number"].native == certificate.serial_number and (
            identifier["issuer_name_hash"].native
            == hashlib.new(algorithm, certificate.issuer.dump()).digest()
        ):
            yield single


def _evidence(
    kind: Any, this_update: datetime, next_update: datetime | None, encoded: bytes, at: datetime
) -> RevocationEvidence:
    fresh = this_update >= at or (next_update is not None and at <= next_update)
    return RevocationEvidence(kind, this_update, next_update, fresh, hashlib.sha256(encoded).hexdigest())
