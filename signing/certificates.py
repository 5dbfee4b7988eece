"""Certificates, CRLs and OCSP responses parsed once: asn1crypto parses when asked, and the object keeps what it found.

Of the same bytes it is always the same, so nothing kept here can age. Certificates of authorities (CAs, time-stamping,
OCSP) come again in every document, and are kept for the process, bounded in number and bytes. What may be a person's is
kept no longer than the document that it came in is looked at, or the run lasts that has several of one agreement
(`one_document`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeVar, cast

from asn1crypto import cms, core, crl, ocsp, x509
from pyhanko.sign import general
from pyhanko.sign.validation import ades, generic_cms

from signing import names
from signing.asn1 import unchanging
from signing.kept import Kept, of_document

__all__ = [
    "certificate_of",
    "crl_of",
    "install",
    "is_authority",
    "kept_authorities",
    "met",
    "ocsp_of",
]

_AUTHORITIES: Final = 128
_AUTHORITIES_BYTES: Final = 256 * 1024
"""Parsed, a certificate takes some 40 KiB."""
_OF_AUTHORITIES: Final = frozenset({"key_cert_sign", "crl_sign"})
_extract: Final = generic_cms.extract_certs_for_validation
_objects: Final[Any] = ades.ValidationObjectSet
_INFO: Final = "_certificate_info"
"""Name of an attribute of our own, of asn1crypto's objects."""

_Parsed = TypeVar("_Parsed", bound=core.Asn1Value)

_authorities: Final[Kept[bytes, x509.Certificate]] = Kept(_AUTHORITIES, _AUTHORITIES_BYTES)


def certificate_of(der: bytes) -> x509.Certificate:
    """The certificate in these bytes. It may be another's too, and is not to be changed."""
    found = _authorities.get(der)
    if found is not None:
        return found
    parsed = _once(x509.Certificate, der)
    if is_authority(parsed) and _parse_all(parsed):
        _authorities.put(der, parsed, len(der))
    return parsed


def crl_of(der: bytes) -> crl.CertificateList:
    """The CRL in these bytes, not to be changed."""
    return _once(crl.CertificateList, der)


def ocsp_of(der: bytes) -> ocsp.OCSPResponse:
    """The OCSP response in these bytes, not to be changed."""
    return _once(ocsp.OCSPResponse, der)


def met(item: crl.CertificateList | ocsp.OCSPResponse) -> None:
    """Have this one when its bytes come again in the document."""
    der = item.dump()
    of_document().put((type(item), der), item, len(der))


def kept_authorities() -> Kept[bytes, x509.Certificate]:
    """What is kept for the process, by its bytes."""
    return _authorities


def _once(kind: type[_Parsed], der: bytes) -> _Parsed:
    kept = of_document()
    found = kept.get((kind, der))
    if found is None:
        found = kind.load(der)
        unchanging(found)
        kept.put((kind, der), found, len(der))
    return cast("_Parsed", found)


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether it is certainly no person's: a CA's, a time-stamping authority's, an OCSP responder's."""
    # Files are hostile: what cannot be read is not kept.
    try:
        usage = certificate.extended_key_usage_value
        if usage is not None and set(usage.native) <= {"time_stamping", "ocsp_signing"}:
            return True
        uses = certificate.key_usage_value
        # Programs give a person who signs for himself a certificate that says CA: it is for more than that.
        return bool(
            certificate.ca and uses and "key_cert_sign" in uses.native and uses.native <= _OF_AUTHORITIES
        )
    except Exception:  # noqa: BLE001
        return False


def _parse_all(certificate: x509.Certificate) -> bool:
    """Threads share what is kept: asn1crypto's parsing when asked is not made for that, and is over before."""
    try:
        certificate.native  # noqa: B018 - parses it
        certificate.critical_extensions  # noqa: B018
        for name in (certificate.subject, certificate.issuer):
            name.human_friendly  # noqa: B018
            names.remember(name)
    except Exception:  # noqa: BLE001
        return False
    return True


def _certificate_info(signed: cms.SignedData) -> general.SignedDataCerts:
    """As pyHanko's `extract_certificate_info`, which copies every certificate anew each time that it is asked."""
    certificates: list[x509.Certificate] = []
    attributes = []
    for choice in signed["certificates"]:
        chosen = choice.chosen.untag()
        if choice.name == "certificate":
            certificates.append(certificate_of(chosen.dump()))
        elif choice.name == "v2_attr_cert":
            attributes.append(chosen)
    signer, others = general._partition_certs(certificates, general.extract_signer_info(signed))
    return general.SignedDataCerts(signer_cert=signer, other_certs=others, attribute_certs=attributes)


def _for_validation(signed: cms.SignedData) -> general.SignedDataCerts:
    """As pyHanko's `extract_certs_for_validation`, once for each message; what is raised is raised each time."""
    found: general.SignedDataCerts | None = vars(signed).get(_INFO)
    if found is None:
        found = _extract(signed)
        setattr(signed, _INFO, found)
    return found


class _Objects(ades.ValidationObjectSet):
    """All evidence, listed and hashed when somebody asks: pyHanko does it thrice a signature, for its own report."""

    def __init__(self, *collections: Iterable[Any]) -> None:
        self._collections = collections
        self._listed: list[Any] | None = None

    def __iter__(self) -> Iterator[Any]:
        if self._listed is None:
            self._listed = list(_objects(*self._collections))
        yield from self._listed


def install() -> None:
    """Let pyHanko use these."""
    theirs: Any = generic_cms
    theirs.extract_certificate_info, theirs.extract_certs_for_validation = _certificate_info, _for_validation
    cast("Any", ades).ValidationObjectSet = _Objects
