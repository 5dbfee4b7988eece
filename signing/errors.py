"""Errors of the signing package: one root, with a stable code and whether trying again may help."""

from __future__ import annotations

from datetime import datetime


class SigningError(Exception):
    """Root. `code` is for machines, `retryable` says the same call may succeed later."""

    code = "signing"
    retryable = False

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class CredentialError(SigningError):
    """A key or its certificate cannot be used: missing, locked, expired, or of a refused algorithm."""

    code = "credential"


class AuthorizationRefused(CredentialError):
    """What a person came back with from a signing service is not accepted: wrong, used before, or expired."""

    code = "authorization_refused"


class CredentialUnavailable(CredentialError):
    """A key cannot be reached for now: the HSM or signing service does not answer, or has no session free."""

    code = "credential_unavailable"
    retryable = True


class AlgorithmPolicyError(SigningError):
    """The file that says which algorithms are accepted cannot be used, or has none left for what is asked."""

    code = "algorithm_policy"


class FieldPlaceError(SigningError):
    """The document has no such signature field, or the place for one is missing, double or already signed."""

    code = "field_place"


class StaleSignature(SigningError):
    """The prepared signature is for another revision than the one at hand."""

    code = "stale_signature"


class SignatureMismatch(SigningError):
    """The signature value does not belong to the prepared bytes or to the certificate's key."""

    code = "signature_mismatch"


class SignatureTooLarge(SigningError):
    """The signature with its certificates and timestamp takes more than the room kept free in the document."""

    code = "signature_too_large"


class SignatureMalformed(SignatureMismatch):
    """What came is not a CMS of the form asked for: not DER, not detached, several signers, too large."""

    code = "signature_malformed"


class WrongSigner(SigningError):
    """The certificate holds, but is not the one of the party who is to sign, or not of the level asked for.

    `aspect` says which part of the requirement it does not meet: organisation, person, subject_serial, level,
    qualified or policies.
    """

    code = "wrong_signer"

    def __init__(self, message: str, *, aspect: str, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.aspect = aspect


class RehearsalFailed(SigningError):
    """A signature with a throwaway key came out wrong: no person and no real key is asked.

    `cause_code` is the code of the error that the real signature would meet.
    """

    code = "rehearsal_failed"

    def __init__(self, message: str, *, cause_code: str, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.cause_code = cause_code


class TimestampUnavailable(SigningError):
    """No time-stamping authority gave a token that verifies."""

    code = "timestamp_unavailable"
    retryable = True


class TimestampTooLarge(TimestampUnavailable):
    """Tokens came, but none has room in the place kept for the signature."""

    code = "timestamp_too_large"


class RevocationUnavailable(SigningError):
    """OCSP or CRL evidence needed for long-term validation could not be had.

    `retry_at` is when there will be some, where that is known.
    """

    code = "revocation_unavailable"
    retryable = True

    def __init__(self, message: str, *, remedy: str = "", retry_at: datetime | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.retry_at = retry_at


class RevocationTooEarly(RevocationUnavailable):
    """The grace period after the last signature is not over, or no evidence was issued since."""

    code = "revocation_too_early"


class NotTrusted(SigningError):
    """A certificate does not chain to the trust anchors given."""

    code = "not_trusted"


class RevisionBroken(SigningError):
    """A new revision does not start with the bytes of the one before it, or changes what it may not."""

    code = "revision_broken"


class AppearanceError(SigningError):
    """What a visible signature is to show cannot be drawn: no such font, a character it lacks, too little room."""

    code = "appearance"


class CertificateRevoked(SigningError):
    """A certificate was revoked before the time it was used."""

    code = "certificate_revoked"
