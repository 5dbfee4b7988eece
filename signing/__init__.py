"""Signs, augments and validates PDFs as PAdES, and detached content as CAdES.

    places = [FieldPlace("seal", "Segl"), FieldPlace("employer", "Signatur", link, width=220, height=60)]
    document = place_fields(pdf, places)
    prepared = prepare(document, SignatureRequest("seal", certify=True), credential.identity, at=now)
    sealed = embed(prepared, sign(prepared, credential), revision=document, timestamps=timestamps)
    final = augment(sealed, trust=trust, timestamps=timestamps)
    assert validate(final, trust).passed

This package knows PDFs, keys and time; nothing of agreements or queues. All errors are `SigningError`s.
"""

from __future__ import annotations

import logging

from signing.algorithms import Mechanism
from signing.credentials import Credential, SignerIdentity, open_credential
from signing.detached import seal_detached, verify_detached
from signing.embed import embed, sign
from signing.errors import (
    AppearanceError,
    CertificateRevoked,
    CredentialError,
    CredentialUnavailable,
    FieldPlaceError,
    NotTrusted,
    RevisionBroken,
    RevocationUnavailable,
    SignatureMismatch,
    SigningError,
    StaleSignature,
    TimestampUnavailable,
)
from signing.extend import DOCUMENT_TIMESTAMP_FIELD, augment
from signing.fields import place_fields
from signing.model import (
    Appearance,
    DocumentTimestampResult,
    FieldPlace,
    Indication,
    Level,
    Modification,
    PreparedSignature,
    Revision,
    SignatureRequest,
    SignatureResult,
    ValidationReport,
)
from signing.pdf import revisions
from signing.prepare import prepare
from signing.revocation import EvidenceCollector
from signing.timestamps import TimestampClient, TimestampToken
from signing.trust import TrustStore
from signing.validate import validate

__all__ = [
    "DOCUMENT_TIMESTAMP_FIELD",
    "Appearance",
    "AppearanceError",
    "CertificateRevoked",
    "Credential",
    "CredentialError",
    "CredentialUnavailable",
    "DocumentTimestampResult",
    "EvidenceCollector",
    "FieldPlace",
    "FieldPlaceError",
    "Indication",
    "Level",
    "Mechanism",
    "Modification",
    "NotTrusted",
    "PreparedSignature",
    "Revision",
    "RevisionBroken",
    "RevocationUnavailable",
    "SignatureMismatch",
    "SignatureRequest",
    "SignatureResult",
    "SignerIdentity",
    "SigningError",
    "StaleSignature",
    "TimestampClient",
    "TimestampToken",
    "TimestampUnavailable",
    "TrustStore",
    "ValidationReport",
    "augment",
    "embed",
    "open_credential",
    "place_fields",
    "prepare",
    "revisions",
    "seal_detached",
    "sign",
    "validate",
    "verify_detached",
]

# pyHanko logs names out of certificates when something does not verify; what it found is in the reports and errors.
for _name in ("pyhanko", "pyhanko_certvalidator", "fontTools"):
    logging.getLogger(_name).addHandler(logging.NullHandler())
    logging.getLogger(_name).propagate = False
