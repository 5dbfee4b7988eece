"""EU trusted lists (ETSI TS 119 612), given as files: which services are granted, and when they were."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from asn1crypto import x509
from lxml import etree

from signing.errors import CredentialError
from signing.trust import TIMESTAMPS, Period, TrustStore

__all__ = ["is_trusted_list", "read_trusted_list"]

_BEGINNING: Final = 4096
_ROOT: Final = b"TrustServiceStatusList"


def is_trusted_list(path: Path) -> bool:
    """Whether the file begins as a trusted list does. Raises `CredentialError` when it cannot be read."""
    try:
        with path.open("rb") as file:
            return _ROOT in file.read(_BEGINNING)
    except OSError as error:
        raise CredentialError(
            f"the trust anchors in {path} cannot be read ({type(error).__name__})"
        ) from None


def read_trusted_list(path: Path, operators: Sequence[x509.Certificate]) -> TrustStore:
    """The granted services of the list: CA/QC as anchors, TSA/QTST as those of timestamps, with their periods.

    With `operators`, one of these certificates must have signed the list. Raises `CredentialError`.
    """
    from pyhanko.sign.validation.errors import SignatureValidationError
    from pyhanko.sign.validation.qualified import eutl_parse
    from pyhanko.sign.validation.qualified.tsp import CAServiceInformation, QcCertType
    from signxml.exceptions import SignXMLException
    from xsdata.exceptions import ParserError

    try:
        content = path.read_bytes().decode("utf-8")
        if operators:
            registry, _ = eutl_parse.trust_list_to_registry(content, list(operators))
        else:
            registry, _ = eutl_parse.trust_list_to_registry_unsafe(content)
    except (SignatureValidationError, SignXMLException):
        raise CredentialError(
            f"the trusted list {path} is not signed with a certificate of its operator",
            remedy="compare SIGNERT_TRUST_LIST_SIGNERS with the certificates in the list of lists",
        ) from None
    except (OSError, ValueError, AssertionError, TypeError, ParserError, etree.XMLSyntaxError) as error:
        raise CredentialError(f"the trusted list {path} cannot be read ({type(error).__name__})") from None
    periods: dict[bytes, list[Period]] = {}
    issuers: list[bytes] = []
    stamps: list[bytes] = []
    wanted = {QcCertType.QC_ESIGN, QcCertType.QC_ESEAL}
    authorities = {*registry.known_certificate_authorities, *registry.known_timestamp_authorities}
    for service in (
        each for one in authorities for each in registry.applicable_service_definitions(one, None)
    ):
        base = service.base_info
        issues = isinstance(service, CAServiceInformation)
        types = base.additional_info_certificate_type
        if issues and types and not types & wanted:
            continue
        for encoded in (certificate.dump() for certificate in base.provider_certs):
            (issuers if issues else stamps).append(encoded)
            periods.setdefault(encoded, []).append((base.valid_from, base.valid_until))
    if not periods:
        raise CredentialError(f"the trusted list {path} has no granted services of the kinds that count here")
    return TrustStore(
        tuple(dict.fromkeys(issuers)),
        {TIMESTAMPS: tuple(dict.fromkeys(stamps))},
        periods={anchor: tuple(dict.fromkeys(each)) for anchor, each in periods.items()},
    )
