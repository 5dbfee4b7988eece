"""Signature timestamps: where ours come from, and what is asked of one that came along (RFC 3161, EN 319 122-1 5.3)."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Protocol

from asn1crypto import cms, tsp
from pyhanko.sign.general import SigningError as PyHankoError
from pyhanko.sign.general import extract_signer_info
from pyhanko.sign.validation import generic_cms

from signing.accepted import accepted_algorithm, accepted_key
from signing.algorithms import DIGEST_ALGORITHMS
from signing.cms import token_time
from signing.errors import CredentialError, NotTrusted, SignatureMalformed, SignatureMismatch
from signing.timestamps import TimestampToken
from signing.trust import TrustStore
from signing.verified import VERIFIER

__all__ = ["TimestampSource", "check_token"]


class TimestampSource(Protocol):
    """Gives timestamps: a `TimestampClient`, or a throwaway authority in a rehearsal."""

    def timestamp(self, digest: bytes, algorithm: str, *, room: int | None = None) -> TimestampToken:
        """A token over `digest` of at most `room` bytes. Raises `TimestampTooLarge`, `TimestampUnavailable`."""
        ...


def check_token(encoded: bytes, value: bytes, trust: TrustStore) -> datetime:
    """The time of a token over the signature value, made by an authority that is trusted.

    Raises `SignatureMalformed` for what is no token, `SignatureMismatch` for one over other bytes or that does not
    verify, `NotTrusted` for an authority that is not trusted for timestamps, `CredentialError` for weak algorithms.
    """
    try:
        info = cms.ContentInfo.load(encoded, strict=True)
        if info["content_type"].native != "signed_data":
            raise ValueError
        return _check(info["content"], value, trust)
    # asn1crypto and pyHanko give these and their own for nonsense.
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, PyHankoError) as error:
        raise SignatureMalformed("the signature timestamp in the CMS cannot be read") from error


def _check(signed: cms.SignedData, value: bytes, trust: TrustStore) -> datetime:
    if signed["encap_content_info"]["content_type"].native != "tst_info":
        raise ValueError
    content = signed["encap_content_info"]["content"]
    info: tsp.TSTInfo = content.parsed
    certificates = generic_cms.extract_certs_for_validation(signed)
    authority, others = certificates.signer_cert, tuple(certificates.other_certs)
    signer = extract_signer_info(signed)
    digest_algorithm = signer["digest_algorithm"]["algorithm"].native
    accepted_algorithm(signer["signature_algorithm"], digest_algorithm, trust.algorithms)
    accepted_key(authority, trust.algorithms)
    imprint = info["message_imprint"]
    algorithm = imprint["hash_algorithm"]["algorithm"].native
    if algorithm not in DIGEST_ALGORITHMS:
        raise CredentialError("the signature timestamp's digest algorithm is not accepted")
    if imprint["hashed_message"].native != hashlib.new(algorithm, value).digest():
        raise SignatureMismatch("the signature timestamp is over another signature")
    usage = authority.extended_key_usage_value
    if usage is None or usage.native != ["time_stamping"]:
        raise NotTrusted("the signature timestamp's certificate is not one for time-stamping")
    hashed = hashlib.new(digest_algorithm, bytes(content)).digest()
    intact, valid = generic_cms.validate_sig_integrity(
        signer, authority, "tst_info", hashed, sig_validator=VERIFIER
    )
    if not (intact and valid):
        raise SignatureMismatch("the signature timestamp does not verify")
    time = token_time(signed)
    trust.timestamps.path(authority, others, at=time)  # validity at that time is part of it
    return time
