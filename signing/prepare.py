"""The first half of a signature: all that can be done without the key."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime
from typing import Any, overload

from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import MDPPerm, SigSeedSubFilter
from pyhanko.sign.signers.cms_embedder import (
    PdfCMSEmbedder,
    SigAppearanceSetup,
    SigIOSetup,
    SigMDPSetup,
    SigObjSetup,
)
from pyhanko.sign.signers.pdf_byterange import BuildProps, SignatureObject
from pyhanko.sign.validation import read_certification_data

from signing.algorithms import DIGEST_ALGORITHMS
from signing.appearance import stamp_style
from signing.cms import OUTSIDE_SPACE, signed_attributes, space_for, timestamp_tokens
from signing.credentials.base import SignerIdentity
from signing.errors import CredentialError, FieldPlaceError
from signing.model import PreparedRevision, PreparedSignature, SignatureRequest
from signing.parts import Parts, digest
from signing.pdf import Increment, empty_signature_field, open_writer, readable
from signing.timestamps import MAX_TOKEN_BYTES, TOKEN_ALLOWANCE

__all__ = ["prepare"]


@overload
def prepare(
    revision: bytes | Parts,
    request: SignatureRequest,
    identity: SignerIdentity,
    *,
    at: datetime,
    reserved: int | None = None,
    token_room: int = TOKEN_ALLOWANCE,
) -> PreparedSignature: ...


@overload
def prepare(
    revision: bytes | Parts,
    request: SignatureRequest,
    identity: None,
    *,
    at: datetime,
    digest_algorithm: str = "sha256",
    reserved: int | None = None,
    token_room: int = TOKEN_ALLOWANCE,
) -> PreparedRevision: ...


def prepare(
    revision: bytes | Parts,
    request: SignatureRequest,
    identity: SignerIdentity | None,
    *,
    at: datetime,
    digest_algorithm: str = "sha256",
    reserved: int | None = None,
    token_room: int = TOKEN_ALLOWANCE,
) -> PreparedRevision:
    """Write the new revision but for the signature itself, and the attributes to be signed.

    Without an identity the signer is not known yet: a CMS over the document digest (by `digest_algorithm`) is to come
    from elsewhere, for `embed_cms`. `reserved` is the room kept for the CMS, in bytes; by default what the identity
    needs, or `OUTSIDE_SPACE`, with `token_room` for the timestamp, or more where a signature in the document has a
    larger one. `at` is the claimed time (/M); what counts is the timestamp that `embed` gets.

    Raises `FieldPlaceError` (no such empty field, or certifying after another signature), `CredentialError`
    (certificate not valid at that time, digest refused), `AppearanceError` (text does not fit, font lacks a letter),
    `RevisionBroken` (damaged PDF).
    """
    if identity is None:
        algorithm, space = digest_algorithm, OUTSIDE_SPACE - TOKEN_ALLOWANCE
    else:
        identity.check_validity(at)
        algorithm, space = identity.mechanism.digest_algorithm, space_for(identity, 0)
    if algorithm not in DIGEST_ALGORITHMS:
        raise CredentialError(f"the digest algorithm {algorithm} is not used here", remedy="use sha256")
    writer = open_writer(revision)
    with closing(writer.input_stream), readable():
        empty_signature_field(writer, request.field)
        _check_certification(writer.prev, request)
        space += max(token_room, _roomiest(writer.prev))
        steps = PdfCMSEmbedder().write_cms(request.field, writer, existing_fields_only=True)
        next(steps)
        steps.send(
            SigObjSetup(
                sig_placeholder=SignatureObject(
                    timestamp=at,
                    subfilter=SigSeedSubFilter.PADES,
                    name=request.name,
                    location=request.location,
                    reason=request.reason,
                    app_build_props=BuildProps(name="Signert"),
                    bytes_reserved=2 * (reserved or space),  # written as hexadecimal
                ),
                mdp_setup=SigMDPSetup(
                    md_algorithm=algorithm,
                    certify=request.certify,
                    docmdp_perms=MDPPerm.FILL_FORMS if request.certify else None,
                ),
                appearance_setup=SigAppearanceSetup(
                    style=stamp_style(request.appearance), timestamp=at, name=None
                ),
            )
        )
        output: Any = Increment(revision)
        prepared, _ = steps.send(SigIOSetup(md_algorithm=algorithm, output=output))
    common: dict[str, Any] = {
        "field": request.field,
        "base_sha256": digest(revision).hexdigest(),
        "base_length": len(revision),
        "increment": output.added,
        "reserved_start": prepared.reserved_region_start,
        "reserved_end": prepared.reserved_region_end,
        "document_digest": prepared.document_digest,
        "digest_algorithm": algorithm,
        "certifies": request.certify,
    }
    if identity is None:
        return PreparedRevision(**common)
    return PreparedSignature(
        **common, signed_attributes=signed_attributes(identity, prepared.document_digest), identity=identity
    )


def _roomiest(reader: PdfFileReader) -> int:
    """Bytes that the largest signature timestamp in the document takes, and a quarter more.

    The next one probably comes from the same authority, and another worker may have met it.
    """
    sizes = (
        len(token.dump())
        for signature in reader.embedded_regular_signatures
        for token in timestamp_tokens(signature.signer_info)
    )
    largest = min(max(sizes, default=0), MAX_TOKEN_BYTES)
    return largest + largest // 4


def _check_certification(reader: PdfFileReader, request: SignatureRequest) -> None:
    if request.certify and reader.embedded_signatures:
        raise FieldPlaceError(
            "the document is signed already; a certification signature comes first",
            remedy="seal before the parties",
        )
    certification = read_certification_data(reader)
    if certification is not None and certification.permission is MDPPerm.NO_CHANGES:
        raise FieldPlaceError("the document is certified against any change, further signatures too")
