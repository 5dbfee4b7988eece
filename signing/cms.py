"""CMS signatures put together from their parts (RFC 5652; attributes as ETSI EN 319 122-1 and 319 142-1 ask)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime
from functools import cache
from typing import Final

from asn1crypto import cms, core, tsp

from signing.algorithms import Mechanism
from signing.certificates import certificate_of
from signing.credentials.base import SignerIdentity
from signing.der import CONTEXT_0, CONTEXT_1, SEQUENCE, SET, tlv
from signing.errors import SignatureMismatch
from signing.timestamps import TOKEN_ALLOWANCE

__all__ = [
    "OUTSIDE_SPACE",
    "assemble",
    "attribute",
    "check_attributes",
    "signed_attributes",
    "signed_data",
    "space_for",
    "timestamp_tokens",
    "token_time",
]

_OCSP_RESPONSE: Final = core.ObjectIdentifier("1.3.6.1.5.5.7.16.2").dump()  # id-ri-ocsp-response
_STRUCTURE: Final = 2_048  # attributes, signature value, identifiers and lengths
OUTSIDE_SPACE: Final = 32_768
"""Bytes kept free for a CMS made elsewhere, whose certificates and timestamp are not known yet."""


def signed_attributes(
    identity: SignerIdentity,
    digest: bytes,
    *,
    signing_time: datetime | None = None,
    content_type: str = "data",
) -> bytes:
    """DER of the signed attributes: content type, message digest, signing certificate v2, algorithm protection.

    PAdES forbids the signing-time attribute (EN 319 142-1 6.3), CAdES asks for it (EN 319 122-1 6.3). Written piece by
    piece: asn1crypto takes 20 ms to encode such a nested structure, as it encodes the inner parts again and again.
    """
    mechanism = identity.mechanism
    digest_algorithm, signature_algorithm = _algorithms(mechanism)
    certificate_hash = core.OctetString(hashlib.sha256(identity.certificate).digest()).dump()
    attributes = [
        attribute("content_type", cms.ContentType(content_type).dump()),
        attribute("message_digest", core.OctetString(digest).dump()),
        # SHA-256 is the default of ESSCertIDv2 and left out (RFC 5035 3).
        attribute("signing_certificate_v2", tlv(SEQUENCE, tlv(SEQUENCE, tlv(SEQUENCE, certificate_hash)))),
        attribute(
            "cms_algorithm_protection",
            tlv(SEQUENCE, digest_algorithm + bytes([CONTEXT_1]) + signature_algorithm[1:]),
        ),
    ]
    if signing_time is not None:
        # RFC 5652 11.3: UTCTime until 2049, GeneralizedTime after it.
        form = "utc_time" if signing_time.year < 2050 else "generalized_time"
        attributes.append(attribute("signing_time", cms.Time({form: signing_time}).dump()))
    return tlv(SET, b"".join(sorted(attributes)))


@cache
def _algorithms(mechanism: Mechanism) -> tuple[bytes, bytes]:
    """DER of the identifiers of digest and signature: asn1crypto takes longer for them than a key for signing."""
    return cms.DigestAlgorithm(
        {"algorithm": mechanism.digest_algorithm}
    ).dump(), mechanism.identifier().dump()


def attribute(kind: str, value: bytes) -> bytes:
    """DER of an attribute with one value."""
    return tlv(SEQUENCE, cms.CMSAttributeType(kind).dump() + tlv(SET, value))


def check_attributes(attributes: bytes, identity: SignerIdentity, digest: bytes) -> None:
    """That the attributes are for this digest and certificate. Raises `SignatureMismatch`."""
    try:
        values = {
            attribute["type"].native: attribute["values"]
            for attribute in cms.CMSAttributes.load(attributes, strict=True)
        }
        content_type = values["content_type"][0].native
        message_digest = values["message_digest"][0].native
        signing_certificate = values["signing_certificate_v2"][0]["certs"][0]
        algorithm = signing_certificate["hash_algorithm"]["algorithm"].native
        certificate_hash = signing_certificate["cert_hash"].native
    except (ValueError, KeyError, IndexError, TypeError):
        raise SignatureMismatch("the signed attributes are not those of a PAdES or CAdES signature") from None
    if content_type != "data" or message_digest != digest:
        raise SignatureMismatch(
            "the signed attributes are for other bytes", remedy="prepare the signature again"
        )
    if certificate_hash != hashlib.new(algorithm, identity.certificate).digest():
        raise SignatureMismatch("the signed attributes name another certificate")


def assemble(
    identity: SignerIdentity,
    attributes: bytes,
    value: bytes,
    token: bytes,
    *,
    certificates: Iterable[bytes] = (),
    crls: Iterable[bytes] = (),
    ocsps: Iterable[bytes] = (),
) -> bytes:
    """DER of the detached SignedData: the signer's certificates without the root, and the signature timestamp `token`.

    `certificates`, `crls` and `ocsps` are evidence to go along (EN 319 122-1 5.4.2.2, RFC 5940). All is DER, and is
    put together piece by piece: what asn1crypto has once encoded with a length that ends in 0x80 it takes for one of
    indefinite length, and encodes anew, each level calling several times for those below it. That took a minute for
    one signature in five.
    """
    chain = [der for der in identity.chain if not _is_root(der)]
    foreign = [tlv(CONTEXT_1, _OCSP_RESPONSE + der) for der in ocsps]
    return signed_data(
        identity,
        attributes,
        value,
        # RFC 5652 5.1: version 5 for revocation information of another kind than CRLs.
        version=5 if foreign else 1,
        content=cms.ContentType("data").dump(),
        certificates={identity.certificate, *chain, *certificates},
        evidence=[*crls, *foreign],
        unsigned=attribute("signature_time_stamp_token", token),
    )


def signed_data(
    identity: SignerIdentity,
    attributes: bytes,
    value: bytes,
    *,
    version: int,
    content: bytes,
    certificates: Iterable[bytes],
    evidence: Iterable[bytes] = (),
    unsigned: bytes = b"",
) -> bytes:
    """DER of a ContentInfo with a SignedData of one signer (RFC 5652 5); `content` is in its EncapsulatedContentInfo,
    `evidence` its RevocationInfoChoices, `unsigned` the unsigned attribute.
    """
    digest_algorithm, signature_algorithm = _algorithms(identity.mechanism)
    issuer_and_serial = identity.parsed.issuer.dump() + core.Integer(identity.parsed.serial_number).dump()
    signer_info = tlv(
        SEQUENCE,
        core.Integer(1).dump()
        + tlv(SEQUENCE, issuer_and_serial)
        + digest_algorithm
        + bytes([CONTEXT_0]) + attributes[1:]
        + signature_algorithm
        + core.OctetString(value).dump()
        + (tlv(CONTEXT_1, unsigned) if unsigned else b""),
    )  # fmt: skip
    revocation = b"".join(sorted(evidence))
    signed = tlv(
        SEQUENCE,
        core.Integer(version).dump()
        + tlv(SET, digest_algorithm)
        + tlv(SEQUENCE, content)
        + tlv(CONTEXT_0, b"".join(sorted(certificates)))
        + (tlv(CONTEXT_1, revocation) if revocation else b"")
        + tlv(SET, signer_info),
    )
    return tlv(SEQUENCE, cms.ContentType("signed_data").dump() + tlv(CONTEXT_0, signed))


def _is_root(certificate: bytes) -> bool:
    parsed = certificate_of(certificate)
    return bool(parsed.issuer == parsed.subject)


def space_for(identity: SignerIdentity, token_room: int = TOKEN_ALLOWANCE) -> int:
    """Bytes a signature of this signer may take, with a timestamp of at most `token_room`."""
    certificates = len(identity.certificate) + sum(len(item) for item in identity.chain)
    return certificates + _STRUCTURE + token_room


def timestamp_tokens(signer: cms.SignerInfo) -> list[cms.SignedData]:
    """The signature timestamps among the unsigned attributes."""
    attributes = signer["unsigned_attrs"]
    if isinstance(attributes, core.Void):
        return []
    return [
        value["content"]
        for attribute in attributes
        if attribute["type"].native == "signature_time_stamp_token"
        for value in attribute["values"]
    ]


def token_time(token: cms.SignedData) -> datetime:
    """The time a token states."""
    info: tsp.TSTInfo = token["encap_content_info"]["content"].parsed
    time: datetime = info["gen_time"].native
    return time
