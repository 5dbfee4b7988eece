"""Who signed is who should: a certificate held against what is asked of the party who signs.

Read are the names of ETSI EN 319 412-1 (organisation and person in the subject), the QCStatements of EN 319 412-5 and
the certificate policies of EN 319 411-1 and -2. The trust anchors are those of the method, so what an issuer below
them states is believed. Error texts name what was asked for and never what stands in the certificate.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from asn1crypto import x509
from pyhanko.sign.ades.qualified_asn1 import QcStatements
from pyhanko_certvalidator.path import ValidationPath

from signing.accepted import accepted_issue, accepted_key
from signing.credentials.base import SignerIdentity, common_name
from signing.errors import CredentialError, NotTrusted, WrongSigner
from signing.revocation import Chain, Evidence, EvidenceCollector
from signing.trust import TrustStore

__all__ = [
    "AssuranceLevel",
    "SignerFacts",
    "SignerRequirement",
    "check_path",
    "check_revocation",
    "check_signer",
]

AssuranceLevel = Literal["substantial", "high"]

_RANK: Final[dict[AssuranceLevel | None, int]] = {None: 0, "substantial": 1, "high": 2}
_QC_STATEMENTS: Final = "1.3.6.1.5.5.7.1.3"
_ANY_POLICY: Final = "2.5.29.32.0"
# EN 319 411-1 5.3, EN 319 411-2 5.3: persons identified as for a qualified certificate; + and -qscd: key in a device.
_SUBSTANTIAL_POLICIES: Final = frozenset({"0.4.0.2042.1.1", "0.4.0.194112.1.0", "0.4.0.194112.1.1"})
_HIGH_POLICIES: Final = frozenset({"0.4.0.2042.1.2", "0.4.0.194112.1.2", "0.4.0.194112.1.3"})
_OTHER_USES: Final = frozenset({"server_auth", "code_signing", "time_stamping", "ocsp_signing"})

_ORGANISATION: Final = re.compile(r"NTRNO-([0-9]{9})")
_ORGANISATION_ALONE: Final = re.compile(r"[0-9]{9}")
_NATIONAL_NUMBER: Final = re.compile(r"[0-9]{11}")
_LOCAL_SCHEME: Final = "UN:NO-"


@dataclass(frozen=True)
class SignerRequirement:
    """What is asked of a signer. What is None, or empty, is not asked for.

    `organisation`: nine digits. `person`: a national identity number (eleven digits), which the certificate then has
    to hold, or the reference by which the certificate's issuer knows the person. `subject_serial`: the subject's
    serialNumber, to the letter. `level`: at least this. `qualified`: a qualified certificate (QcCompliance). `qscd`:
    its key is in a qualified device (QcSSCD). `policies`: at least one of these object identifiers.
    """

    trust: TrustStore
    organisation: str | None = None
    person: str | None = field(default=None, repr=False)
    subject_serial: str | None = field(default=None, repr=False)
    level: AssuranceLevel | None = None
    qualified: bool = False
    qscd: bool = False
    policies: frozenset[str] = frozenset()


@dataclass(frozen=True)
class SignerFacts:
    """What a certificate that holds says of its subject.

    `person_reference` is the subject's serialNumber where it stands for a person: `PNONO-` with the national identity
    number, or the issuer's own. `level` is read from statements and policies, see `check_signer`.
    """

    organisation: str | None
    person_reference: str | None = field(repr=False)
    subject: str = field(repr=False)
    subject_serial: str | None = field(repr=False)
    country: str | None
    issuer: str
    serial: str
    """The certificate's, in hex."""
    qualified: bool
    qscd: bool
    types: frozenset[str]
    """Of esign, eseal and web (EN 319 412-5 4.2.3)."""
    policies: frozenset[str]
    level: AssuranceLevel | None

    @property
    def national_number(self) -> str | None:
        """The Norwegian national identity number, where the certificate holds it (EN 319 412-1 5.1.3)."""
        prefix, _, number = (self.person_reference or "").partition("-")
        return number if prefix == "PNONO" and _NATIONAL_NUMBER.fullmatch(number) else None


def check_signer(identity: SignerIdentity, requirement: SignerRequirement, *, at: datetime) -> SignerFacts:
    """Hold the certificate against the requirement as of `at`, and say what it states. Revocation is not looked at.

    Level, our reading: `high` where the key is in a qualified device (QcSSCD, QCP-n-qscd, QCP-l-qscd) or a secure one
    (NCP+), `substantial` for qualified certificates (QcCompliance, QCP-n, QCP-l) and NCP.

    Raises `CredentialError` (expired, weak, or not a certificate for signatures), `NotTrusted` (no path to the
    requirement's anchors), `WrongSigner` (another organisation or person, too low a level).
    """
    try:
        if identity.parsed["signature_value"].contents[0]:  # unused bits: a signature is whole octets
            raise ValueError
        path = _path(identity, requirement.trust, at)
        facts = _facts(identity.parsed, path)
        _check_usage(identity.parsed, facts, requirement)
    # asn1crypto parses when asked, and gives these for what it cannot read.
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        raise CredentialError("the signer's certificate cannot be read") from None
    _check_name(facts, requirement)
    _check_level(facts, requirement)
    return facts


def check_revocation(
    identity: SignerIdentity, trust: TrustStore, evidence: EvidenceCollector, *, at: datetime
) -> None:
    """That no certificate of the path is revoked now: it would be found out when nobody can sign again.

    Raises `CertificateRevoked`, `RevocationUnavailable` (retryable), `NotTrusted`.
    """
    chain = Chain(_path(identity, trust, at), trust, at, for_timestamp=False)
    evidence.collect([chain], Evidence())


def check_path(identity: SignerIdentity, trust: TrustStore, *, at: datetime) -> None:
    """That the certificate, with those that come along, leads to a trust anchor. Raises `NotTrusted`."""
    _path(identity, trust, at)


def _path(identity: SignerIdentity, trust: TrustStore, at: datetime) -> ValidationPath:
    """The path, after what can be said more clearly than that it does not hold."""
    certificate = identity.parsed
    others = [x509.Certificate.load(item) for item in identity.chain]
    identity.check_validity(at)
    accepted_key(certificate, trust.algorithms, at=at)
    for item in (certificate, *others):
        # What an anchor was signed with does not matter.
        if item.issuer != item.subject and item not in trust:
            accepted_issue(item, trust.algorithms, at=at)
    try:
        return trust.path(certificate, others, at=at)
    except NotTrusted:
        raise NotTrusted(
            "the signer's certificate does not lead to an issuer that is trusted for this way of signing",
            remedy="sign with a certificate of an issuer on the list, and send the certificates between",
        ) from None


def _check_usage(certificate: x509.Certificate, facts: SignerFacts, requirement: SignerRequirement) -> None:
    """Keys for signatures (EN 319 412-2 4.3.2): of a person, for signatures that commit, not for logging in."""
    usage = certificate.key_usage_value
    granted = set() if usage is None else usage.native
    of_person = facts.person_reference is not None or "esign" in facts.types
    needed = {"non_repudiation"} if of_person else {"non_repudiation", "digital_signature"}
    if certificate.ca or not granted & needed:
        raise CredentialError(
            "the signer's certificate is not one for signatures",
            remedy="sign with the certificate for signatures, not the one for logging in or encryption",
        )
    extended = certificate.extended_key_usage_value
    if extended is not None and set(extended.native) <= _OTHER_USES:
        raise CredentialError(
            "the signer's certificate is for servers, code or timestamps, not for documents"
        )
    if requirement.person is not None and facts.types and "esign" not in facts.types:
        raise WrongSigner(
            "the certificate is an organisation's seal, where a person is to sign", aspect="person"
        )


def _check_name(facts: SignerFacts, requirement: SignerRequirement) -> None:
    if requirement.organisation is not None and facts.organisation != requirement.organisation:
        raise WrongSigner(
            "the certificate names another organisation than the one that is to sign"
            if facts.organisation
            else "the certificate names no Norwegian organisation, where one is to sign",
            aspect="organisation",
            remedy="sign with a certificate that holds the party's organisation number",
        )
    if requirement.subject_serial is not None and facts.subject_serial != requirement.subject_serial:
        raise WrongSigner("the certificate is another subject's", aspect="subject_serial")
    if requirement.person is None:
        return
    if _NATIONAL_NUMBER.fullmatch(requirement.person):
        if facts.national_number is None:
            raise WrongSigner(
                "the certificate holds no national identity number to compare with",
                aspect="person",
                remedy="give the reference by which the certificate's issuer knows the person",
            )
        same = facts.national_number == requirement.person
    else:
        same = facts.person_reference is not None and _bare(facts.person_reference) == _bare(
            requirement.person
        )
    if not same:
        raise WrongSigner("the certificate is another person's than the one who is to sign", aspect="person")


def _bare(reference: str) -> str:
    """An issuer's own reference with or without the prefix of the local scheme (EN 319 412-1 5.1.3)."""
    return reference.removeprefix(_LOCAL_SCHEME)


def _check_level(facts: SignerFacts, requirement: SignerRequirement) -> None:
    if requirement.qualified and not facts.qualified:
        raise WrongSigner(
            "the certificate is not qualified, and the signature has to be",
            aspect="qualified",
            remedy="sign with a qualified certificate",
        )
    if requirement.qscd and not facts.qscd:
        raise WrongSigner(
            "the certificate does not say that its key is in a qualified device, and the signature has to be qualified",
            aspect="qualified",
            remedy="sign by means of a qualified signature creation device",
        )
    if _RANK[facts.level] < _RANK[requirement.level]:
        raise WrongSigner(
            f"the certificate's level of assurance is {facts.level or 'not stated'}, and {requirement.level} is"
            " asked for",
            aspect="level",
            remedy="sign by a method of that level",
        )
    if requirement.policies and not requirement.policies & facts.policies:
        raise WrongSigner(
            "the certificate was issued under none of the policies that are accepted", aspect="policies"
        )


def _facts(certificate: x509.Certificate, path: ValidationPath) -> SignerFacts:
    compliant, qscd, types = _statements(certificate)
    policies = _policies(certificate, path)
    level: AssuranceLevel | None = None
    if compliant or policies & _SUBSTANTIAL_POLICIES:
        level = "substantial"
    if (compliant and qscd) or policies & _HIGH_POLICIES:
        level = "high"
    serial = _only(certificate.subject, "serial_number")
    organisation = _organisation(certificate.subject, serial)
    # The serial number is an organisation's in its seal, and in the older profile where it is the number itself.
    of_person = serial is not None and serial != organisation and types != {"eseal"}
    return SignerFacts(
        organisation=organisation,
        person_reference=serial if of_person else None,
        subject=common_name(certificate.subject),
        subject_serial=serial,
        country=_only(certificate.subject, "country_name"),
        issuer=common_name(certificate.issuer),
        serial=f"{certificate.serial_number:x}",
        qualified=compliant,
        qscd=qscd,
        types=types,
        policies=policies,
        level=level,
    )


def _organisation(subject: x509.Name, serial: str | None) -> str | None:
    """The organisation number (EN 319 412-1 5.1.4), or the serial number of the older Norwegian profile (SEID 1)."""
    identifiers = list(_values(subject, "organization_identifier"))
    if identifiers:
        found = [_ORGANISATION.fullmatch(item) for item in identifiers]
        numbers = {item.group(1) for item in found if item is not None}
        # Beside another register's identifier it may stand; two organisations are none.
        return numbers.pop() if len(numbers) == 1 else None
    of_person = any(True for name in ("given_name", "surname", "pseudonym") for _ in _values(subject, name))
    if serial is None or of_person or not list(_values(subject, "organization_name")):
        return None
    return serial if _ORGANISATION_ALONE.fullmatch(serial) else None


def _values(name: x509.Name, kind: str) -> Iterator[str]:
    for relative in name.chosen:
        for pair in relative:
            if pair["type"].native == kind:
                yield str(pair["value"].native)


def _only(name: x509.Name, kind: str) -> str | None:
    """The one value of an attribute; one that is there twice says nothing for certain."""
    found = list(_values(name, kind))
    return found[0] if len(found) == 1 else None


def _statements(certificate: x509.Certificate) -> tuple[bool, bool, frozenset[str]]:
    """Qualified in the EU and EEA, key in a qualified device, and types (EN 319 412-5 4.2, 4.3)."""
    found: dict[str, object] = {}
    for extension in certificate["tbs_certificate"]["extensions"]:
        if extension["extn_id"].dotted == _QC_STATEMENTS:
            for statement in QcStatements.load(bytes(extension["extn_value"]), strict=True):
                found[statement["statement_id"].native] = statement["statement_info"].native
    # With a country's legislation named, it is qualified by that and not by eIDAS.
    compliant = "qc_compliance" in found and "qc_cc_legislation" not in found
    stated = found.get("qc_type")
    types = {str(item).removeprefix("qct_") for item in stated} if isinstance(stated, list) else set()
    if compliant and not types:
        types = {"esign"}  # 4.2.3: what is qualified and has no type is for electronic signatures
    return compliant, "qc_sscd" in found, frozenset(types)


def _policies(certificate: x509.Certificate, path: ValidationPath) -> frozenset[str]:
    """The certificate's policies, as far as the issuers above it may give them out (RFC 5280 4.2.1.4).

    An issuer whose certificate names no policies is not limited by it.
    """
    found = _named_policies(certificate) or frozenset()
    for issuer in list(path.iter_certs(include_root=False))[:-1]:
        allowed = _named_policies(issuer)
        if allowed is not None and _ANY_POLICY not in allowed:
            found &= allowed
    return found


def _named_policies(certificate: x509.Certificate) -> frozenset[str] | None:
    named = certificate.certificate_policies_value
    return None if named is None else frozenset(item["policy_identifier"].dotted for item in named)
