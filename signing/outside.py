"""Signatures made elsewhere: a CMS over the document digest, read strictly before it comes near the document.

What may be in it is what PAdES B-B and B-T have (ETSI EN 319 142-1 6.3, EN 319 122-1 5 and 6.3): one signer, content
left out, the signer's certificate among those sent and named in the signed attributes, and no unsigned attribute but
a signature timestamp. It is read from its bytes, so that what is checked is what is embedded. Tolerated is a signed
signing-time, which PAdES leaves out (EN 319 142-1 6.3) and most signing software writes all the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from asn1crypto import algos, cms, core, x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509 import load_der_x509_certificate

from signing import der
from signing.accepted import AcceptedAlgorithm, accepted_algorithm, accepted_key, mechanism_of
from signing.algorithm_policy import AlgorithmPolicy
from signing.algorithms import DIGEST_ALGORITHMS
from signing.cms import attribute
from signing.credentials.base import SignerIdentity
from signing.der import CONTEXT_0, CONTEXT_1, OCTET_STRING, SEQUENCE, SET, Element, tlv
from signing.errors import SignatureMalformed, SignatureMismatch
from signing.parts import Parts, digest

__all__ = ["MAX_CMS_BYTES", "OutsideSignature", "read_cms", "signer_of"]

MAX_CMS_BYTES: Final = 256 * 1024
_DATA: Final = cms.ContentType("data").dump()
_SIGNED_DATA: Final = cms.ContentType("signed_data").dump()
_TIMESTAMP: Final = cms.CMSAttributeType("signature_time_stamp_token").dump()
_COUNTER_SIGNATURE: Final = cms.CMSAttributeType("counter_signature").dump()
_KEY_IDENTIFIER: Final = 0x80
_SIGNED_PARTS: Final = 6  # of a SignerInfo; a seventh holds the unsigned attributes


@dataclass(frozen=True)
class OutsideSignature:
    """A signature by itself: checked in form, and verified with its own certificate over its own attributes."""

    identity: SignerIdentity
    algorithm: AcceptedAlgorithm
    message_digest: bytes
    value: bytes
    tokens: tuple[bytes, ...]
    """Signature timestamps that came along, as DER; not checked yet."""
    _signed_data: tuple[Element, ...]
    _signer: tuple[Element, ...]

    def check_digest(self, expected: bytes, algorithm: str, content: Callable[[], bytes | Parts]) -> None:
        """That it is over the bytes with this digest. Raises `SignatureMismatch`.

        `content` gives these bytes: Ed25519 has a digest of its own (RFC 8419 3.1), whatever was prepared.
        """
        if self.algorithm.scheme == "ed25519":
            algorithm = self.algorithm.digest
            expected = digest(content(), algorithm).digest()
        if self.algorithm.digest != algorithm:
            raise SignatureMismatch(
                f"the signature's digest algorithm is {self.algorithm.digest}, not {algorithm}",
                remedy="sign the digest that was handed over, by its algorithm",
            )
        if self.message_digest != expected:
            raise SignatureMismatch(
                "the signature is over other bytes than the prepared document",
                remedy="sign the document digest that was handed over",
            )

    def with_token(self, token: bytes) -> OutsideSignature:
        """The same signature with this as its one signature timestamp; what is signed keeps its bytes."""
        (unsigned,) = der.elements(tlv(CONTEXT_1, attribute("signature_time_stamp_token", token)))
        return replace(self, tokens=(token,), _signer=(*self._signer[:_SIGNED_PARTS], unsigned))

    def encoded(self) -> bytes:
        """DER of the ContentInfo."""
        signer_infos = tlv(SET, tlv(SEQUENCE, _joined(self._signer)))
        signed = tlv(SEQUENCE, _joined(self._signed_data[:-1]) + signer_infos)
        return tlv(SEQUENCE, _SIGNED_DATA + tlv(CONTEXT_0, signed))


def signer_of(encoded: bytes) -> SignerIdentity:
    """Who made this CMS: the certificate whose key signed its attributes, with those above it that came along.

    For checks of the person before embedding; whether it is over the right document is checked by `embed_cms`. The
    identity's mechanism is what the key would be asked for here; the CMS may use another. Raises as `read_cms`.
    """
    return read_cms(encoded).identity


def read_cms(encoded: bytes, algorithms: AlgorithmPolicy | None = None) -> OutsideSignature:
    """Read a CMS and verify it in itself. `algorithms` are those accepted; the built-in policy's, when not given.

    Raises `SignatureMalformed` for one of another form, `SignatureMismatch` when signature, attributes and
    certificate do not belong together, `CredentialError` for a weak key or algorithm.
    """
    if len(encoded) > MAX_CMS_BYTES:
        raise SignatureMalformed(f"the CMS is {len(encoded)} bytes, more than {MAX_CMS_BYTES}")
    with _readable():
        outer = _sequence(der.check(encoded))
        if len(outer) != 2 or outer[0].encoded != _SIGNED_DATA or outer[1].tag != CONTEXT_0:
            raise SignatureMalformed("the CMS is not a SignedData")
        (signed_data,) = der.elements(outer[1].content)
        return _read(_sequence(signed_data), algorithms)


@contextmanager
def _readable() -> Iterator[None]:
    """Turns what is said of broken structures into `SignatureMalformed`, without quoting them."""
    remedy = "send the DER of a detached SignedData"
    try:
        yield
    except der.EncodingError as error:
        raise SignatureMalformed(f"what came is not a CMS in DER: {error}", remedy=remedy) from None
    # asn1crypto gives these, and parses when asked.
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
        raise SignatureMalformed("what came cannot be read as a CMS", remedy=remedy) from error


def _read(parts: list[Element], algorithms: AlgorithmPolicy | None) -> OutsideSignature:
    """The parts of a SignedData (RFC 5652 5.1)."""
    _, digest_algorithms, encapsulated, *rest = parts
    content = _sequence(encapsulated)
    if content[0].encoded != _DATA:
        raise SignatureMalformed("the CMS is over another kind of content than data")
    if len(content) != 1:
        raise SignatureMalformed("the CMS has content attached", remedy="leave the content out (detached)")
    if digest_algorithms.tag != SET or [item.tag for item in rest] not in (
        [CONTEXT_0, SET],
        [CONTEXT_0, CONTEXT_1, SET],
    ):
        raise SignatureMalformed(
            "the CMS sends no certificates"
            if CONTEXT_0 not in [item.tag for item in rest]
            else "the parts of the CMS are not those of a SignedData"
        )
    signers = der.elements(rest[-1].content)
    if len(signers) != 1:
        raise SignatureMalformed(f"the CMS has {len(signers)} signers, and there is to be one")
    signer = _sequence(signers[0])
    shape = [item.tag for item in signer]
    if shape[3:4] != [CONTEXT_0]:
        raise SignatureMalformed("the CMS has no signed attributes")
    if shape[2:6] != [SEQUENCE, CONTEXT_0, SEQUENCE, OCTET_STRING] or shape[_SIGNED_PARTS:] not in (
        [],
        [CONTEXT_1],
    ):
        raise SignatureMalformed("the parts of the signer's information are not those of a CMS")
    attributes = _attributes(signer[3])
    digest = _digest_algorithm(signer[2])
    if digest not in [_digest_algorithm(item) for item in der.elements(digest_algorithms.content)]:
        raise SignatureMalformed("the signer's digest algorithm is not among those of the CMS")
    algorithm = accepted_algorithm(algos.SignedDigestAlgorithm.load(signer[4].encoded), digest, algorithms)
    certificates = _certificates(rest[0])
    certificate = _signers_certificate(signer[1], certificates)
    _check_named(attributes, certificate)
    _check_protection(attributes, signer[2], signer[4])
    key = accepted_key(certificate, algorithms)
    # The attributes are signed as a SET, not with the tag they have in the structure (RFC 5652 5.4).
    algorithm.verify(key, signer[5].content, tlv(SET, signer[3].content))
    return OutsideSignature(
        identity=SignerIdentity(
            certificate.dump(), tuple(_chain(certificate, certificates)), mechanism_of(key)
        ),
        algorithm=algorithm,
        message_digest=_one(attributes, "message_digest").native,
        value=signer[5].content,
        tokens=tuple(_tokens(signer[_SIGNED_PARTS:])),
        _signed_data=tuple(parts),
        _signer=tuple(signer),
    )


def _attributes(element: Element) -> dict[str, Any]:
    """The signed attributes by name (RFC 5652 5.3, 11): each once, in the order that is signed."""
    items = der.elements(element.content)
    if not der.in_order(items):
        raise SignatureMalformed("the signed attributes are not in the order of DER")
    found: dict[str, Any] = {}
    for item in cms.CMSAttributes.load(tlv(SET, element.content), strict=True):
        name = item["type"].native
        if name in found:
            raise SignatureMalformed("a signed attribute is there twice")
        found[name] = item["values"]
    if _one(found, "content_type").native != "data":
        raise SignatureMalformed("the signed content type is not data")
    _one(found, "message_digest")
    return found


def _one(attributes: dict[str, Any], name: str) -> Any:
    if name not in attributes or len(attributes[name]) != 1:
        raise SignatureMalformed(f"the signed attribute {name.replace('_', '-')} is missing or not alone")
    return attributes[name][0]


def _digest_algorithm(element: Element) -> str:
    return str(algos.DigestAlgorithm.load(element.encoded, strict=True)["algorithm"].native)


def _certificates(element: Element) -> list[x509.Certificate]:
    """Certificates sent, each once. Other kinds (RFC 5652 10.2.2) have no place here."""
    found: dict[bytes, x509.Certificate] = {}
    for item in der.elements(element.content):
        if item.tag != SEQUENCE:
            raise SignatureMalformed("the CMS sends something else than X.509 certificates")
        try:
            load_der_x509_certificate(item.encoded)  # asn1crypto reads little until it is asked
        except (ValueError, UnsupportedAlgorithm):
            raise SignatureMalformed("a certificate in the CMS cannot be read") from None
        found[item.encoded] = x509.Certificate.load(item.encoded, strict=True)
    return list(found.values())


def _signers_certificate(identifier: Element, certificates: Sequence[x509.Certificate]) -> x509.Certificate:
    """The certificate that the SignerIdentifier names (RFC 5652 5.3)."""
    if identifier.tag == _KEY_IDENTIFIER:
        # Legal in CMS, but Poppler for one then finds no signature at all.
        raise SignatureMalformed(
            "the signer is identified by a key identifier, which many readers of PDF do not know",
            remedy="identify the signer by issuer and serial number",
        )
    named = cms.IssuerAndSerialNumber.load(identifier.encoded, strict=True)
    matching = [
        item
        for item in certificates
        if item.serial_number == named["serial_number"].native and item.issuer == named["issuer"]
    ]
    if len(matching) != 1:
        raise SignatureMalformed(
            "the signer's certificate is not among those sent"
            if not matching
            else "several certificates sent go by the signer's name",
            remedy="send the signer's certificate and those above it",
        )
    return matching[0]


def _check_named(attributes: dict[str, Any], certificate: x509.Certificate) -> None:
    """That signing-certificate, in either form, names the certificate (RFC 5035, EN 319 122-1 5.2.2)."""
    forms = [name for name in ("signing_certificate_v2", "signing_certificate") if name in attributes]
    if not forms:
        raise SignatureMalformed(
            "the signed attributes do not name the signer's certificate",
            remedy="sign as CAdES or PAdES, with signing-certificate-v2",
        )
    for name in forms:
        named = _one(attributes, name)["certs"][0]
        algorithm = "sha1"  # the one the older form has; it only names a certificate that is sent along
        if name == "signing_certificate_v2":
            algorithm = named["hash_algorithm"]["algorithm"].native
            if algorithm not in DIGEST_ALGORITHMS:
                raise SignatureMalformed("signing-certificate-v2 uses a digest that is not accepted")
        issuer = named["issuer_serial"]
        wrong = named["cert_hash"].native != hashlib.new(algorithm, certificate.dump()).digest()
        if not isinstance(issuer, core.Void) and issuer["serial_number"].native != certificate.serial_number:
            wrong = True
        if wrong:
            raise SignatureMismatch("the signed attributes name another certificate")


def _check_protection(attributes: dict[str, Any], digest: Element, signature: Element) -> None:
    """Algorithms that are protected are those used (RFC 6211 2)."""
    if "cms_algorithm_protection" not in attributes:
        return
    protected = _one(attributes, "cms_algorithm_protection")
    if (
        protected["digest_algorithm"]["algorithm"].native != _digest_algorithm(digest)
        or isinstance(protected["signature_algorithm"], core.Void)
        or protected["signature_algorithm"].native
        != algos.SignedDigestAlgorithm.load(signature.encoded).native
    ):
        raise SignatureMismatch("the algorithms are not those the signed attributes protect")


def _chain(certificate: x509.Certificate, others: Sequence[x509.Certificate]) -> Iterator[bytes]:
    """The certificates above it that were sent, in order; the root may be the last."""
    left = [item for item in others if item.dump() != certificate.dump()]
    current = certificate
    while above := next((item for item in left if _issued(item, current)), None):
        yield above.dump()
        left = [item for item in left if item is not above]
        current = above
    yield from (item.dump() for item in left)


def _issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    identifier = certificate.authority_key_identifier
    same_key = identifier is None or issuer.key_identifier in (None, identifier)
    return issuer.subject == certificate.issuer and same_key


def _tokens(unsigned: Sequence[Element]) -> Iterator[bytes]:
    """The signature timestamps; any other unsigned attribute is refused."""
    for item in unsigned:
        if not item.content:
            raise SignatureMalformed("the CMS has unsigned attributes, but none in them")
        for entry in der.elements(item.content):
            kind, values = _sequence(entry)
            if kind.encoded == _COUNTER_SIGNATURE:
                raise SignatureMalformed("the CMS has a counter-signature, and there is to be one signer")
            if kind.encoded != _TIMESTAMP:
                raise SignatureMalformed("the CMS has an unsigned attribute other than a signature timestamp")
            yield from (value.encoded for value in der.elements(values.content))


def _sequence(element: Element) -> list[Element]:
    if element.tag != SEQUENCE:
        raise der.EncodingError("a value is not the SEQUENCE it should be")
    return der.elements(element.content)


def _joined(items: Sequence[Element]) -> bytes:
    return b"".join(item.encoded for item in items)
