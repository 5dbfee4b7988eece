"""Signs, augments and validates PDFs as PAdES, and detached content as CAdES.

    places = [FieldPlace("seal", "Segl"), FieldPlace("employer", "Signatur", link, width=220, height=60)]
    document = place_fields(pdf, places)
    prepared = prepare(document, SignatureRequest("seal", certify=True), credential.identity, at=now)
    sealed = embed(prepared, sign(prepared, credential), revision=document, timestamps=timestamps)
    final = augment(sealed, trust=trust, timestamps=timestamps)
    assert validate(final, trust).passed

A signature made elsewhere, as a CMS over the document digest, comes in by another door:

    prepared = prepare(document, SignatureRequest("employer"), None, at=now)  # prepared.document_digest is handed out
    facts = check_signer(signer_of(cms), SignerRequirement(trust, organisation="…", level="substantial"), at=now)
    signed = embed_cms(prepared, cms, revision=document, timestamps=timestamps, trust=trust)

This package knows PDFs, keys and time; nothing of agreements or queues. All errors are `SigningError`s.
"""

from __future__ import annotations

import logging

from signing.algorithm_policy import AlgorithmPolicy
from signing.algorithms import Mechanism
from signing.attached import attached_file
from signing.credentials import (
    Credential,
    SignerIdentity,
    is_at_hand,
    load_certificates,
    open_credential,
    scheme_of,
)
from signing.detached import seal_detached, verify_detached
from signing.embed import embed, embed_cms, sign
from signing.errors import (
    AlgorithmPolicyError,
    AppearanceError,
    AuthorizationRefused,
    CertificateRevoked,
    CredentialError,
    CredentialUnavailable,
    FieldPlaceError,
    NotTrusted,
    RehearsalFailed,
    RevisionBroken,
    RevocationTooEarly,
    RevocationUnavailable,
    SignatureMalformed,
    SignatureMismatch,
    SignatureTooLarge,
    SigningError,
    StaleSignature,
    TimestampTooLarge,
    TimestampUnavailable,
    WrongSigner,
)
from signing.extend import DOCUMENT_TIMESTAMP_FIELD, augment
from signing.fields import place_fields
from signing.isolated import validate_untrusted, verify_detached_untrusted
from signing.kept import Kept, one_document
from signing.lifetime import Lifetime, credential_ends, detached_lifetime, document_lifetime, token_lifetime
from signing.limits import Limits
from signing.model import (
    Appearance,
    DocumentTimestampResult,
    FieldPlace,
    Indication,
    Level,
    Modification,
    PreparedRevision,
    PreparedSignature,
    Revision,
    RevocationEvidence,
    SignatureRequest,
    SignatureResult,
    SignatureTimestampResult,
    SignedBytes,
    ValidationReport,
)
from signing.outside import signer_of
from signing.parts import Parts, PartsFile, digest
from signing.pdf import page_count, revisions
from signing.prepare import prepare
from signing.rehearsal import rehearse
from signing.remote import UserAuthorization, needs_person, sign_authorized, start_authorization
from signing.rendered import Picture, Rasterize, compare_rendered
from signing.requirements import (
    AssuranceLevel,
    SignerFacts,
    SignerRequirement,
    check_path,
    check_revocation,
    check_signer,
)
from signing.revocation import EvidenceCollector
from signing.timestamps import AuthorityState, TimestampAttempt, TimestampClient, TimestampToken
from signing.tokens import TimestampSource
from signing.trust import TIMESTAMPS, TrustStore
from signing.validate import validate

__all__ = [
    "DOCUMENT_TIMESTAMP_FIELD",
    "TIMESTAMPS",
    "AlgorithmPolicy",
    "AlgorithmPolicyError",
    "Appearance",
    "AppearanceError",
    "AssuranceLevel",
    "AuthorityState",
    "AuthorizationRefused",
    "CertificateRevoked",
    "Credential",
    "CredentialError",
    "CredentialUnavailable",
    "DocumentTimestampResult",
    "EvidenceCollector",
    "FieldPlace",
    "FieldPlaceError",
    "Indication",
    "Kept",
    "Level",
    "Lifetime",
    "Limits",
    "Mechanism",
    "Modification",
    "NotTrusted",
    "Parts",
    "PartsFile",
    "Picture",
    "PreparedRevision",
    "PreparedSignature",
    "Rasterize",
    "RehearsalFailed",
    "Revision",
    "RevisionBroken",
    "RevocationEvidence",
    "RevocationTooEarly",
    "RevocationUnavailable",
    "SignatureMalformed",
    "SignatureMismatch",
    "SignatureRequest",
    "SignatureResult",
    "SignatureTimestampResult",
    "SignatureTooLarge",
    "SignedBytes",
    "SignerFacts",
    "SignerIdentity",
    "SignerRequirement",
    "SigningError",
    "StaleSignature",
    "TimestampAttempt",
    "TimestampClient",
    "TimestampSource",
    "TimestampToken",
    "TimestampTooLarge",
    "TimestampUnavailable",
    "TrustStore",
    "UserAuthorization",
    "ValidationReport",
    "WrongSigner",
    "attached_file",
    "augment",
    "check_path",
    "check_revocation",
    "check_signer",
    "compare_rendered",
    "credential_ends",
    "detached_lifetime",
    "digest",
    "document_lifetime",
    "embed",
    "embed_cms",
    "is_at_hand",
    "load_certificates",
    "needs_person",
    "one_document",
    "open_credential",
    "page_count",
    "place_fields",
    "prepare",
    "rehearse",
    "revisions",
    "scheme_of",
    "seal_detached",
    "sign",
    "sign_authorized",
    "signer_of",
    "start_authorization",
    "token_lifetime",
    "validate",
    "validate_untrusted",
    "verify_detached",
    "verify_detached_untrusted",
]

# pyHanko logs names out of certificates when something does not verify; what it found is in the reports and errors.
for _name in ("pyhanko", "pyhanko_certvalidator", "fontTools"):
    logging.getLogger(_name).addHandler(logging.NullHandler())
    logging.getLogger(_name).propagate = False
