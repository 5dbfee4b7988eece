"""CMS signatures put together from their parts (RFC 5652; attributes as ETSI EN 319 122-1 and 319 142-1 ask)."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Final

from asn1crypto import cms, core, tsp, x509
from pyhanko.sign.signers.pdf_cms import ExternalSigner
from pyhanko_certvalidator.registry import SimpleCertificateStore

from signing.aio import run
from signing.credentials.base import SignerIdentity
from signing.errors import SignatureMismatch
from signing.timestamps import TOKEN_ALLOWANCE, TimestampToken

__all__ = ["assemble", "check_attributes", "signed_attributes", "space_for"]

_SEQUENCE, _SET, _CONTEXT_1 = 0x30, 0x31, 0xA1
_STRUCTURE: Final = 2_048  # attributes, signature value, identifiers and lengths


def signed_attributes(
    identity: SignerIdentity, digest: bytes, *, signing_time: datetime | None = None
) -> bytes:
    """DER of the signed attributes: content type, message digest, signing certificate v2, algorithm protection.

    PAdES forbids the signing-time attribute (EN 319 142-1 6.3), CAdES asks for it (EN 319 122-1 6.3). Written piece by
    piece: asn1crypto takes 20 ms to encode such a nested structure, as it encodes the inner parts again and again.
    """
    mechanism = identity.mechanism
    digest_algorithm = cms.DigestAlgorithm({"algorithm": mechanism.digest_algorithm}).dump()
    signature_algorithm = mechanism.identifier().dump()
    certificate_hash = core.OctetString(hashlib.sha256(identity.certificate).digest()).dump()
    attributes = [
        _attribute("content_type", cms.ContentType("data").dump()),
        _attribute("message_digest", core.OctetString(digest).dump()),
        # SHA-256 is the default of ESSCertIDv2 and left out (RFC 5035 3).
        _attribute(
            "signing_certificate_v2", _tlv(_SEQUENCE, _tlv(_SEQUENCE, _tlv(_SEQUENCE, certificate_hash)))
        ),
        _attribute(
            "cms_algorithm_protection",
            _tlv(_SEQUENCE, digest_algorithm + bytes([_CONTEXT_1]) + signature_algorithm[1:]),
        ),
    ]
    if signing_time is not None:
        attributes.append(_attribute("signing_time", cms.Time({"utc_time": signing_time}).dump()))
    return _tlv(_SET, b"".join(sorted(attributes)))


def _attribute(kind: str, value: bytes) -> bytes:
    return _tlv(_SEQUENCE, cms.CMSAttributeType(kind).dump() + _tlv(_SET, value))


def _tlv(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 128:
        return bytes([tag, size]) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + content


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
    identity: SignerIdentity, attributes: bytes, value: bytes, token: TimestampToken | None
) -> cms.ContentInfo:
    """The SignedData with the signer's certificates (without the root) and the signature timestamp."""
    content: cms.ContentInfo = run(
        _signer(identity, value).async_sign_prescribed_attributes(
            identity.mechanism.digest_algorithm, cms.CMSAttributes.load(attributes)
        )
    )
    if token is not None:
        content["content"]["signer_infos"][0]["unsigned_attrs"] = cms.CMSAttributes(
            [cms.CMSAttribute({"type": "signature_time_stamp_token", "values": [token.content]})]
        )
    return content


def space_for(identity: SignerIdentity) -> int:
    """Bytes a signature of this signer may take, timestamp included."""
    certificates = len(identity.certificate) + sum(len(item) for item in identity.chain)
    return certificates + _STRUCTURE + TOKEN_ALLOWANCE


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


def _signer(identity: SignerIdentity, value: bytes) -> ExternalSigner:
    store = SimpleCertificateStore()
    store.register_multiple([x509.Certificate.load(item) for item in identity.chain])
    return ExternalSigner(
        signing_cert=identity.parsed,
        cert_registry=store,
        signature_value=value,
        signature_mechanism=identity.mechanism.identifier(),
        embed_roots=False,
    )
