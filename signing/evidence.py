"""What an OCSP response or a CRL says of one certificate, read strictly; and evidence that came with a signature.

Everything is checked here but the path above the issuer: form, right certificate, period, and that it is signed by the
issuer, or for OCSP by a responder that the issuer made one (RFC 6960 4.2.2.2). What fails is passed over for another
source.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias

from asn1crypto import algos, cms, core, crl, ocsp, pdf, x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from pyhanko_certvalidator.errors import InvalidCertificateError

from signing.der import SEQUENCE, tlv
from signing.verified import VERIFIER

__all__ = [
    "CLOCK_SKEW",
    "MALFORMED",
    "Evidence",
    "Item",
    "Statement",
    "Unusable",
    "carried",
    "ocsp_request",
    "read_crl",
    "read_ocsp",
    "responder_certificates",
    "sources",
]

Item: TypeAlias = ocsp.OCSPResponse | crl.CertificateList

CLOCK_SKEW: Final = timedelta(minutes=5)
MALFORMED: Final = (ValueError, TypeError, KeyError, IndexError, AttributeError, UnsupportedAlgorithm)
"""What asn1crypto, pyHanko and cryptography raise for bytes that mean nothing: asn1crypto parses when asked."""
_WEAK: Final = frozenset({"md2", "md5", "sha1"})
_KNOWN_EXTENSIONS: Final = frozenset(
    {"issuing_distribution_point", "authority_key_identifier", "crl_number", "delta_crl_indicator"}
)


class Unusable(Exception):
    """Why one source's answer is not used. `early`: it is sound, but was issued too early."""

    def __init__(self, reason: str, *, early: bool = False, next_update: datetime | None = None) -> None:
        super().__init__(reason)
        self.early = early
        self.next_update = next_update


@dataclass(frozen=True)
class Statement:
    """A sound OCSP response or CRL, with when what it says was known to be right, and until when it counts."""

    item: Item
    this_update: datetime
    next_update: datetime | None


@dataclass
class Evidence:
    """Certificates, OCSP responses and CRLs, each once, as DER."""

    certificates: dict[bytes, x509.Certificate] = field(default_factory=dict)
    ocsps: dict[bytes, ocsp.OCSPResponse] = field(default_factory=dict)
    crls: dict[bytes, crl.CertificateList] = field(default_factory=dict)

    def add(self, item: x509.Certificate | Item) -> None:
        if isinstance(item, x509.Certificate):
            self.certificates.setdefault(item.dump(), item)
        elif isinstance(item, ocsp.OCSPResponse):
            self.ocsps.setdefault(item.dump(), item)
            for certificate in responder_certificates(item):
                self.certificates.setdefault(certificate.dump(), certificate)
        else:
            self.crls.setdefault(item.dump(), item)

    def update(self, other: Evidence) -> None:
        for mine, others in (
            (self.certificates, other.certificates),
            (self.ocsps, other.ocsps),
            (self.crls, other.crls),
        ):
            for der, item in others.items():
                mine.setdefault(der, item)


def sources(certificate: x509.Certificate, *, prefer_crl: bool) -> list[tuple[str, str]]:
    """Where evidence about the certificate can be fetched, in order: `ocsp` or `crl`, and the address."""
    responders = [("ocsp", url) for url in certificate.ocsp_urls if _over_http(url)]
    lists = [
        ("crl", url)
        for point in certificate.crl_distribution_points or ()
        if (url := point.url) is not None and _over_http(url)
    ]
    return [*lists, *responders] if prefer_crl else [*responders, *lists]


def ocsp_request(certificate: x509.Certificate, issuer: x509.Certificate) -> bytes:
    """DER of an OCSPRequest (RFC 6960 4.1.1), piece by piece: asn1crypto encodes nested values again and again."""
    request: bytes = (
        # SHA-1 only names the issuer here; it is the one algorithm every responder knows (RFC 5019 2.1.1).
        algos.DigestAlgorithm({"algorithm": "sha1"}).dump()
        + core.OctetString(certificate.issuer.sha1).dump()
        + core.OctetString(issuer.public_key.sha1).dump()
        + core.Integer(certificate.serial_number).dump()
    )
    for _ in ("CertID", "Request", "requestList", "TBSRequest", "OCSPRequest"):
        request = tlv(SEQUENCE, request)
    return request


def read_ocsp(
    response: ocsp.OCSPResponse, certificate: x509.Certificate, issuer: x509.Certificate, now: datetime
) -> Statement:
    """What a response says of the certificate: good or revoked, and not "unknown". Raises `Unusable`."""
    try:
        status = response["response_status"].native
        if status != "successful":
            raise Unusable(f"status {status}")
        single = _about(response, certificate, issuer)
        if single["cert_status"].name == "unknown":
            raise Unusable("the responder does not know the certificate")
        this_update, next_update = single["this_update"].native, single["next_update"].native
        _check_period(this_update, next_update, now)
        _check_responder(response, issuer, now)
    except MALFORMED as error:
        raise Unusable(f"the answer is malformed ({type(error).__name__})") from error
    return Statement(response, this_update, next_update)


def read_crl(
    found: crl.CertificateList, certificate: x509.Certificate, issuer: x509.Certificate, now: datetime
) -> Statement:
    """What a complete CRL of the issuer says; a delta, an indirect and a partial one is refused. Raises `Unusable`."""
    try:
        listing = found["tbs_cert_list"]
        if listing["issuer"] != issuer.subject:
            raise Unusable("the CRL is another issuer's")
        _check_scope(found, certificate)
        this_update, next_update = listing["this_update"].native, listing["next_update"].native
        if next_update is None:
            raise Unusable("the CRL does not say until when it holds")
        _check_period(this_update, next_update, now)
        _check_signature(
            issuer, found["signature"].native, listing.dump(), found["signature_algorithm"], "the CRL"
        )
    except MALFORMED as error:
        raise Unusable(f"the answer is malformed ({type(error).__name__})") from error
    return Statement(found, this_update, next_update)


def carried(signed: cms.SignedData, signer: cms.SignerInfo | None = None) -> Evidence:
    """OCSP responses and CRLs that came with a CMS signature, not checked: among its CRLs (RFC 5652 10.2.1, RFC 5940),
    or in the signed attribute adbe-revocationInfoArchival (ISO 32000-1 12.8.3.3.2). What cannot be read is left out.
    """
    found = Evidence()
    for read in (_among_crls(signed), _archived(signer)):
        try:
            for item in read:
                found.add(item)
        except MALFORMED:
            continue
    return found


def responder_certificates(item: object) -> list[x509.Certificate]:
    """The certificates that an OCSP response brings along; of anything else, none."""
    if isinstance(item, ocsp.OCSPResponse):
        return list(item.basic_ocsp_response["certs"] or ())
    return []


def _about(response: ocsp.OCSPResponse, certificate: x509.Certificate, issuer: x509.Certificate) -> Any:
    for single in response.response_data["responses"]:
        named = single["cert_id"]
        algorithm = named["hash_algorithm"]["algorithm"].native
        if algorithm not in ("sha1", "sha256"):  # it only names the issuer here
            continue
        if (
            named["serial_number"].native == certificate.serial_number
            and named["issuer_key_hash"].native == getattr(issuer.public_key, algorithm)
            and named["issuer_name_hash"].native
            in (getattr(issuer.subject, algorithm), getattr(certificate.issuer, algorithm))
        ):
            return single
    raise Unusable("the answer is for another certificate")


def _check_responder(response: ocsp.OCSPResponse, issuer: x509.Certificate, now: datetime) -> None:
    basic = response.basic_ocsp_response
    identifier = basic["tbs_response_data"]["responder_id"]
    for candidate in (issuer, *responder_certificates(response)):
        candidate.ocsp_no_check_value  # noqa: B018 (asn1crypto parses when asked)
        if identifier.name == "by_name":
            named = identifier.chosen == candidate.subject
        else:
            named = identifier.chosen.native == candidate.public_key.sha1
        if not named:
            continue
        _check_signature(
            candidate,
            basic["signature"].native,
            basic["tbs_response_data"].dump(),
            basic["signature_algorithm"],
            "the answer",
        )
        if candidate.dump() != issuer.dump():
            _check_delegated(candidate, issuer, now)
        return
    raise Unusable("the responder's certificate is not in the answer")


def _check_delegated(responder: x509.Certificate, issuer: x509.Certificate, now: datetime) -> None:
    """That the issuer itself made it a responder (RFC 6960 4.2.2.2)."""
    usage = responder.extended_key_usage_value
    if usage is None or "ocsp_signing" not in usage.native or responder.issuer != issuer.subject:
        raise Unusable("the responder is not one of the certificate's issuer")
    if not responder.not_valid_before - CLOCK_SKEW <= now <= responder.not_valid_after + CLOCK_SKEW:
        raise Unusable("the responder's certificate is not valid now")
    _check_signature(
        issuer,
        responder["signature_value"].native,
        responder["tbs_certificate"].dump(),
        responder["signature_algorithm"],
        "the responder's certificate",
    )


def _check_scope(found: crl.CertificateList, certificate: x509.Certificate) -> None:
    """RFC 5280 5.2: a CRL that does not tell of all reasons and all certificates of the issuer proves less."""
    extensions = found["tbs_cert_list"]["crl_extensions"]
    for extension in () if isinstance(extensions, core.Void) else extensions:
        name = extension["extn_id"].native
        if name == "delta_crl_indicator":
            raise Unusable("it is a delta CRL, which tells only what changed")
        if extension["critical"].native and name not in _KNOWN_EXTENSIONS:
            raise Unusable("the CRL has a critical extension that is not known here")
    scope = found.issuing_distribution_point_value
    if scope is None:
        return
    if scope["indirect_crl"].native:
        raise Unusable("it is an indirect CRL, which is not taken here")
    if scope["only_some_reasons"].native:
        raise Unusable("the CRL is for some reasons only")
    other = "only_contains_user_certs" if certificate.ca else "only_contains_ca_certs"
    if scope["only_contains_attribute_certs"].native or scope[other].native:
        raise Unusable("the CRL is for other kinds of certificates")


def _check_signature(
    issuer: x509.Certificate, value: bytes, data: bytes, algorithm: algos.SignedDigestAlgorithm, what: str
) -> None:
    try:
        digest = algorithm.hash_algo
    except ValueError:
        digest = ""  # of a scheme that has its own
    if digest in _WEAK:
        raise Unusable(f"{what} is signed with {digest}")
    try:
        VERIFIER.validate_signature(value, data, issuer.public_key, algorithm)
    except (InvalidSignature, InvalidCertificateError):
        raise Unusable(f"the signature of {what} does not verify") from None


def _check_period(this_update: datetime, next_update: datetime | None, now: datetime) -> None:
    if this_update > now + CLOCK_SKEW:
        raise Unusable("the answer is dated in the future")
    if next_update is not None and next_update < now - CLOCK_SKEW:
        raise Unusable("the answer is out of date")


def _among_crls(signed: cms.SignedData) -> Iterator[Item]:
    choices = signed["crls"]
    for choice in () if isinstance(choices, core.Void) else choices:
        if choice.name == "crl":
            yield choice.chosen
        elif choice.chosen["other_rev_info_format"].native == "ocsp_response":
            yield _parsed(choice.chosen["other_rev_info"], ocsp.OCSPResponse)


def _archived(signer: cms.SignerInfo | None) -> Iterator[Item]:
    attributes: Iterable[Any] = () if signer is None else signer["signed_attrs"]
    for attribute in () if isinstance(attributes, core.Void) else attributes:
        if attribute["type"].native != "adobe_revocation_info_archival":
            continue
        for value in attribute["values"]:
            archive = _parsed(value, pdf.RevocationInfoArchival)
            for part in ("ocsp", "crl"):
                yield from () if isinstance(archive[part], core.Void) else archive[part]


def _parsed(value: Any, kind: Any) -> Any:
    return value if isinstance(value, kind) else kind.load(value.dump(), strict=True)


def _over_http(url: str) -> bool:
    return url.lower().startswith(("http://", "https://"))
