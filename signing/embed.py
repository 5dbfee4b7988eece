"""The second half of a signature: the key's value is checked, timestamped and put in its place."""

from __future__ import annotations

import hashlib

from signing.algorithms import verify_raw
from signing.cms import assemble, check_attributes
from signing.credentials.base import Credential
from signing.errors import CredentialError, SignatureMismatch, SigningError
from signing.model import PreparedSignature
from signing.pdf import check_step
from signing.timestamps import TimestampClient

__all__ = ["embed", "sign"]


def sign(prepared: PreparedSignature, credential: Credential) -> bytes:
    """The signature value over the prepared attributes. Raises `CredentialError` when the key is another's."""
    if credential.identity.certificate != prepared.identity.certificate:
        raise CredentialError(
            f"the signature in field {prepared.field} was prepared for another certificate",
            remedy="prepare it again with this key's certificate",
        )
    return credential.sign(prepared.signed_attributes)


def embed(
    prepared: PreparedSignature, signature_value: bytes, *, revision: bytes, timestamps: TimestampClient
) -> bytes:
    """The new revision, with a PAdES B-T signature. There is always a signature timestamp, or no signature.

    1. The revision is the one it was prepared for (`StaleSignature`).
    2. The document's digest is the one in the attributes, and they name the certificate (`SignatureMismatch`).
    3. The value verifies with the certificate's key over the attributes (`SignatureMismatch`).
    4. An authority timestamps the value (`TimestampUnavailable`; the value can be embedded later).
    5. The new revision begins with the old one's bytes and changes only the form (`RevisionBroken`).
    """
    document = bytearray(prepared.document(revision))
    _check_digest(prepared, document)
    check_attributes(prepared.signed_attributes, prepared.identity, prepared.document_digest)
    verify_raw(prepared.identity.parsed, prepared.mechanism, signature_value, prepared.signed_attributes)
    algorithm = prepared.mechanism.digest_algorithm
    token = timestamps.timestamp(hashlib.new(algorithm, signature_value).digest(), algorithm)
    content = assemble(prepared.identity, prepared.signed_attributes, signature_value, token.encoded)
    start, end = prepared.reserved_start + 1, prepared.reserved_end - 1  # inside < and >
    if 2 * len(content) > end - start:
        raise SigningError(
            f"the signature takes {len(content)} bytes, {(end - start) // 2} were kept free",
            remedy="prepare it again; if it comes back, the certificates or the token are unusually large",
        )
    document[start : start + 2 * len(content)] = content.hex().upper().encode("ascii")
    signed = bytes(document)
    check_step(revision, signed, first=prepared.certifies)
    return signed


def _check_digest(prepared: PreparedSignature, document: bytearray) -> None:
    """The prepared bytes are what was digested: their byte range covers all but the place for the signature."""
    start, end = prepared.reserved_start, prepared.reserved_end
    if not prepared.base_length < start < end <= len(document):
        raise SignatureMismatch("the prepared signature names a place outside its revision")
    region = document[start:end]
    if region[:1] != b"<" or region[-1:] != b">" or region[1:-1].strip(b"0"):
        raise SignatureMismatch("the place for the signature is not empty")
    if b"[0 %d %d %d]" % (start, end, len(document) - end) not in prepared.increment:
        raise SignatureMismatch("the prepared byte range does not cover the whole revision")
    digest = hashlib.new(prepared.mechanism.digest_algorithm)
    digest.update(memoryview(document)[:start])
    digest.update(memoryview(document)[end:])
    if digest.digest() != prepared.document_digest:
        raise SignatureMismatch(
            "the prepared bytes are not those that were digested", remedy="prepare it again"
        )
