"""The second half of a signature: what the key gave is checked, timestamped and put in its place."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Final

from signing.algorithms import verify_raw
from signing.cms import assemble, check_attributes
from signing.credentials.base import Credential
from signing.errors import (
    CredentialError,
    SignatureMalformed,
    SignatureMismatch,
    SignatureTooLarge,
    TimestampTooLarge,
)
from signing.model import PreparedRevision, PreparedSignature
from signing.outside import read_cms
from signing.parts import Body, Parts, digest
from signing.pdf import check_step
from signing.timestamps import TOKEN_ALLOWANCE
from signing.tokens import TimestampSource, check_token
from signing.trust import TrustStore

__all__ = ["check_prepared_for", "embed", "embed_cms", "sign"]

_LENGTHS: Final = 64
"""Bytes by which the lengths of what holds a token grow with it."""
_LEAST_TOKEN: Final = 1_024
"""No token is smaller: less room is none."""


def sign(prepared: PreparedSignature, credential: Credential) -> bytes:
    """The signature value over the prepared attributes. Raises `CredentialError` when the key is another's."""
    check_prepared_for(prepared, credential)
    return credential.sign(prepared.signed_attributes)


def check_prepared_for(prepared: PreparedSignature, credential: Credential) -> None:
    """Raise `CredentialError` when the signature was prepared for another certificate than the credential's."""
    if credential.identity.certificate != prepared.identity.certificate:
        raise CredentialError(
            f"the signature in field {prepared.field} was prepared for another certificate",
            remedy="prepare it again with this key's certificate",
        )


def embed(
    prepared: PreparedSignature, signature_value: bytes, *, revision: Body, timestamps: TimestampSource
) -> Body:
    """The new revision, with a PAdES B-T signature. There is always a signature timestamp, or no signature.

    Given a revision as `Parts`, the new one is that too, and shares them: a large document is not copied.

    The value is by the identity's mechanism: RSASSA-PSS with a salt as long as the digest, or ECDSA in DER.

    1. The revision is the one it was prepared for (`StaleSignature`).
    2. The document's digest is the one in the attributes, and they name the certificate (`SignatureMismatch`).
    3. The value verifies with the certificate's key over the attributes (`SignatureMismatch`).
    4. All of it has room (`SignatureTooLarge`), and an authority timestamps the value: `TimestampUnavailable`, and the
       value can be embedded later; of those `TimestampTooLarge` where a token came for which the room is too small.
    5. The new revision begins with the old one's bytes and changes only the form (`RevisionBroken`).
    """
    prepared.check_base(revision)
    _check_digest(prepared, revision)
    check_attributes(prepared.signed_attributes, prepared.identity, prepared.document_digest)
    verify_raw(prepared.identity.parsed, prepared.mechanism, signature_value, prepared.signed_attributes)
    algorithm = prepared.mechanism.digest_algorithm
    bare = len(assemble(prepared.identity, prepared.signed_attributes, signature_value, b""))
    if bare + _LEAST_TOKEN > _room(prepared):
        raise SignatureTooLarge(
            f"the signature takes {bare} bytes and a timestamp, {_room(prepared)} were kept free",
            remedy="prepare it again; if it comes back, the certificates are unusually large",
        )
    token = timestamps.timestamp(
        hashlib.new(algorithm, signature_value).digest(), algorithm, room=_room(prepared) - bare - _LENGTHS
    )
    content = assemble(prepared.identity, prepared.signed_attributes, signature_value, token.encoded)
    return _place(prepared, content, revision)


def embed_cms(
    prepared: PreparedRevision,
    cms: bytes,
    *,
    revision: Body,
    timestamps: TimestampSource,
    trust: TrustStore,
) -> Body:
    """The new revision, with a PAdES B-T signature out of a CMS that someone else made over the document digest.

    Without a signature timestamp one is added, and the signed part keeps its bytes; one that is there has to lead to
    `trust`. Who signed is for the caller to check before, with `signer_of` and `check_signer`.

    1. The revision is the one it was prepared for (`StaleSignature`), and the CMS has room (`SignatureMalformed`).
    2. It is a detached CMS of one signer, and verifies in itself (`read_cms`: `SignatureMalformed`,
       `SignatureMismatch`, `CredentialError`), by the prepared certificate where there is one.
    3. It is over the prepared document (`SignatureMismatch`).
    4. Its timestamp holds (`check_token`), or an authority gives one (`TimestampUnavailable`; it can be embedded
       later; where a token has no room, `TimestampTooLarge`). The signer's certificate is valid at that time
       (`CredentialError`).
    5. The new revision begins with the old one's bytes and changes only the form (`RevisionBroken`).
    """
    prepared.check_base(revision)
    _check_digest(prepared, revision)
    _check_outside_room(prepared, len(cms))
    signature = read_cms(cms, trust.algorithms)
    if (
        isinstance(prepared, PreparedSignature)
        and signature.identity.certificate != prepared.identity.certificate
    ):
        raise SignatureMismatch("the signature was prepared for another certificate")
    signature.check_digest(
        prepared.document_digest, prepared.digest_algorithm, lambda: prepared.content(revision)
    )
    time: datetime
    if signature.tokens:
        time = min(check_token(token, signature.value, trust) for token in signature.tokens)
    else:
        algorithm = prepared.digest_algorithm
        room = _room(prepared) - len(cms) - _LENGTHS
        _check_outside_room(prepared, len(cms), _LEAST_TOKEN)
        try:
            token = timestamps.timestamp(
                hashlib.new(algorithm, signature.value).digest(), algorithm, room=room
            )
        except TimestampTooLarge:
            if room < TOKEN_ALLOWANCE:  # it is the CMS that took it
                _check_outside_room(prepared, len(cms), TOKEN_ALLOWANCE)
            raise
        signature, time = signature.with_token(token.encoded), token.time
    signature.identity.check_validity(time)
    content = signature.encoded()
    _check_outside_room(prepared, len(content))
    return _place(prepared, content, revision)


def _place(prepared: PreparedRevision, content: bytes, revision: Body) -> Body:
    """The document with the CMS, which has room, in the place kept for it."""
    increment = bytearray(prepared.increment)
    start = prepared.reserved_start + 1 - prepared.base_length  # inside < and >
    increment[start : start + 2 * len(content)] = content.hex().upper().encode("ascii")
    signed = revision + bytes(increment)
    check_step(revision, signed, first=prepared.certifies)
    return signed


def _room(prepared: PreparedRevision) -> int:
    """Bytes kept free for the CMS, which is written as hexadecimal between < and >."""
    return (prepared.reserved_end - prepared.reserved_start - 2) // 2


def _check_outside_room(prepared: PreparedRevision, size: int, token: int = 0) -> None:
    if size + token > _room(prepared):
        raise SignatureMalformed(
            f"the CMS takes {size} bytes{' and a timestamp' if token else ''}, {_room(prepared)} were kept free",
            remedy="send fewer certificates, or prepare it again with more room",
        )


def _check_digest(prepared: PreparedRevision, revision: bytes | Parts) -> None:
    """The prepared bytes are what was digested: their byte range covers all but the place for the signature."""
    base, increment = prepared.base_length, prepared.increment
    start, end, length = prepared.reserved_start, prepared.reserved_end, base + len(increment)
    if not base < start < end <= length:
        raise SignatureMismatch("the prepared signature names a place outside its revision")
    region = increment[start - base : end - base]
    if region[:1] != b"<" or region[-1:] != b">" or region[1:-1].strip(b"0"):
        raise SignatureMismatch("the place for the signature is not empty")
    if b"[0 %d %d %d]" % (start, end, length - end) not in increment:
        raise SignatureMismatch("the prepared byte range does not cover the whole revision")
    found = digest(revision, prepared.digest_algorithm)
    found.update(increment[: start - base])
    found.update(increment[end - base :])
    if found.digest() != prepared.document_digest:
        raise SignatureMismatch(
            "the prepared bytes are not those that were digested", remedy="prepare it again"
        )
