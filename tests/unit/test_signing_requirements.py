"""A certificate held against what is asked of the party who signs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier
from hypothesis import example, given
from hypothesis import strategies as st

from signing import (
    CredentialError,
    Mechanism,
    NotTrusted,
    SignerFacts,
    SignerIdentity,
    SignerRequirement,
    SigningError,
    TrustStore,
    WrongSigner,
    check_signer,
)
from signing.der import SEQUENCE, tlv

NUMBER = "17849431021"  # synthetic, as all here
OTHER_NUMBER = "21860164520"
ORGANISATION = "312300028"
REFERENCE = "UN:NO-9578-5999-4-1234567"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAY = timedelta(days=1)

QCP_N, QCP_L, QCP_N_QSCD = "0.4.0.194112.1.0", "0.4.0.194112.1.1", "0.4.0.194112.1.2"
NCP, NCP_PLUS, LCP = "0.4.0.2042.1.1", "0.4.0.2042.1.2", "0.4.0.2042.1.3"
COMPLIANT, DEVICE, SIGN, SEAL, LEGISLATION = "1", "4", "6.1", "6.2", "7"

Attributes = Sequence[tuple[ObjectIdentifier, str]]

BAKERY: Attributes = [
    (NameOID.COUNTRY_NAME, "NO"),
    (NameOID.ORGANIZATION_NAME, "Fjordbakeriet & Kafé AS"),
    (NameOID.COMMON_NAME, "Fjordbakeriet"),
]
HUMAN: Attributes = [
    (NameOID.COUNTRY_NAME, "NO"),
    (NameOID.GIVEN_NAME, "Łucja"),
    (NameOID.SURNAME, "Ødegård"),
    (NameOID.COMMON_NAME, "Łucja Ødegård"),
]
PERSON = [*HUMAN, (NameOID.SERIAL_NUMBER, f"PNONO-{NUMBER}")]
BY_REFERENCE = [*HUMAN, (NameOID.SERIAL_NUMBER, REFERENCE)]
COMPANY = [*BAKERY, (NameOID.ORGANIZATION_IDENTIFIER, f"NTRNO-{ORGANISATION}")]
COMPANY_OLDER = [*BAKERY, (NameOID.SERIAL_NUMBER, ORGANISATION)]


@dataclass(frozen=True)
class Issuer:
    key: CertificateIssuerPrivateKeyTypes
    certificate: x509.Certificate

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)


def _name(attributes: Attributes) -> x509.Name:
    return x509.Name([x509.NameAttribute(kind, value) for kind, value in attributes])


def _usage(*granted: str) -> x509.KeyUsage:
    kinds = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
    )
    kinds += ("key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**{kind: kind in granted for kind in kinds})


def _statements(*kinds: str) -> x509.UnrecognizedExtension:
    """QCStatements (ETSI EN 319 412-5), written by hand."""

    def oid(dotted: str) -> bytes:
        numbers = [int(part) for part in dotted.split(".")]
        content = bytes([40 * numbers[0] + numbers[1]])
        for number in numbers[2:]:
            content += bytes([0x80 | number >> 7, number & 0x7F]) if number > 127 else bytes([number])
        return tlv(0x06, content)

    found = b""
    types = b"".join(oid(f"0.4.0.1862.1.{kind}") for kind in kinds if kind.startswith("6."))
    for kind in kinds:
        if kind == LEGISLATION:
            found += tlv(SEQUENCE, oid("0.4.0.1862.1.7") + tlv(SEQUENCE, tlv(0x13, b"CH")))
        elif "." not in kind:
            found += tlv(SEQUENCE, oid(f"0.4.0.1862.1.{kind}"))
    if types:
        found += tlv(SEQUENCE, oid("0.4.0.1862.1.6") + tlv(SEQUENCE, types))
    return x509.UnrecognizedExtension(ObjectIdentifier("1.3.6.1.5.5.7.1.3"), tlv(SEQUENCE, found))


def _policies(*identifiers: str) -> x509.CertificatePolicies:
    return x509.CertificatePolicies(
        [x509.PolicyInformation(ObjectIdentifier(item), None) for item in identifiers]
    )


def _certificate(
    key: Any,
    subject: Attributes,
    issuer: Issuer | None,
    *extensions: x509.ExtensionType,
    start: datetime = NOW - 30 * DAY,
    end: datetime = NOW + 300 * DAY,
) -> x509.Certificate:
    name = _name(subject)
    builder = x509.CertificateBuilder(
        issuer.certificate.subject if issuer else name, name, key.public_key(), 4711, start, end
    )
    for extension in extensions:
        critical = isinstance(extension, x509.KeyUsage | x509.BasicConstraints)
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(issuer.key if issuer else key, hashes.SHA256())


def _authority(name: str, issuer: Issuer | None = None, *more: x509.ExtensionType) -> Issuer:
    key = ec.generate_private_key(ec.SECP256R1())
    extensions = (x509.BasicConstraints(True, None), _usage("key_cert_sign", "crl_sign"), *more)
    subject = [(NameOID.COMMON_NAME, name)]
    return Issuer(key, _certificate(key, subject, issuer, *extensions))


ROOT = _authority("Root")
ISSUING = _authority("Issuing CA", ROOT)
TRUST = TrustStore((ROOT.der,))
KEY = ec.generate_private_key(ec.SECP256R1())


def _identity(
    subject: Attributes,
    *extensions: x509.ExtensionType,
    usage: Sequence[str] = ("content_commitment",),
    issuer: Issuer = ISSUING,
    key: Any = KEY,
    chain: Sequence[bytes] | None = None,
    **more: Any,
) -> SignerIdentity:
    held = (_usage(*usage), *extensions) if usage else extensions
    certificate = _certificate(key, subject, issuer, *held, **more)
    return SignerIdentity(
        certificate.public_bytes(Encoding.DER),
        (issuer.der,) if chain is None else tuple(chain),
        Mechanism.ECDSA_SHA256,
    )


def _check(identity: SignerIdentity, *, at: datetime = NOW, **asked: Any) -> SignerFacts:
    return check_signer(identity, SignerRequirement(asked.pop("trust", TRUST), **asked), at=at)


# Who it is


def test_person_by_national_number() -> None:
    identity = _identity(PERSON, _statements(COMPLIANT, DEVICE, SIGN), _policies(QCP_N_QSCD))
    facts = _check(identity, person=NUMBER, level="high", qualified=True)
    assert (facts.national_number, facts.country, facts.organisation) == (NUMBER, "NO", None)
    assert (facts.subject, facts.issuer, facts.serial) == ("Łucja Ødegård", "Issuing CA", "1267")
    assert (facts.qualified, facts.qscd, facts.level) == (True, True, "high")
    assert facts.policies == {QCP_N_QSCD}
    assert _check(identity, person=f"PNONO-{NUMBER}").person_reference == f"PNONO-{NUMBER}"


@pytest.mark.parametrize(
    "asked", [OTHER_NUMBER, f"PNONO-{OTHER_NUMBER}", "", REFERENCE, NUMBER[:-1], "PNONO-"]
)
def test_another_person(asked: str) -> None:
    with pytest.raises(WrongSigner, match="another person's") as caught:
        _check(_identity(PERSON), person=asked)
    assert (caught.value.code, caught.value.aspect) == ("wrong_signer", "person")


def test_person_by_the_issuers_reference() -> None:
    identity = _identity(BY_REFERENCE)
    for asked in (REFERENCE, REFERENCE.removeprefix("UN:NO-")):
        assert _check(identity, person=asked).person_reference == REFERENCE
    with pytest.raises(WrongSigner, match="another person's"):
        _check(identity, person=REFERENCE[:-1])
    # The reference is not a national number, and is not taken for one.
    with pytest.raises(WrongSigner, match="holds no national identity number") as caught:
        _check(identity, person=NUMBER)
    assert "reference" in caught.value.remedy


def test_reference_without_the_prefix_in_the_certificate() -> None:
    bare = REFERENCE.removeprefix("UN:NO-")
    assert (
        _check(_identity([*HUMAN, (NameOID.SERIAL_NUMBER, bare)]), person=REFERENCE).person_reference == bare
    )


@pytest.mark.parametrize(
    "serial",
    [
        NUMBER,
        f"PNOSE-{NUMBER}",
        f"PASNO-{NUMBER}",
        f"PNONO-{NUMBER}0",
        f"PNONO-{NUMBER} ",
        f"pnono-{NUMBER}",
        f"PNONO{NUMBER}",
    ],
)
def test_numbers_that_are_no_norwegian_national_number(serial: str) -> None:
    with pytest.raises(WrongSigner) as caught:
        _check(_identity([*HUMAN, (NameOID.SERIAL_NUMBER, serial)]), person=NUMBER)
    assert caught.value.aspect == "person"


def test_two_serial_numbers_name_nobody() -> None:
    identity = _identity([*PERSON, (NameOID.SERIAL_NUMBER, f"PNONO-{OTHER_NUMBER}")])
    for asked in (NUMBER, OTHER_NUMBER):
        with pytest.raises(WrongSigner):
            _check(identity, person=asked)


@pytest.mark.parametrize(
    ("subject", "statements"),
    [(COMPANY, [COMPLIANT, SEAL]), (COMPANY, []), (COMPANY_OLDER, []), (COMPANY_OLDER, [COMPLIANT, SEAL])],
)
def test_organisation(subject: Attributes, statements: list[str]) -> None:
    identity = _identity(subject, _statements(*statements), usage=["digital_signature"])
    facts = _check(identity, organisation=ORGANISATION)
    assert (facts.organisation, facts.person_reference, facts.national_number) == (ORGANISATION, None, None)
    with pytest.raises(WrongSigner, match="another organisation") as caught:
        _check(identity, organisation="889640782")
    assert caught.value.aspect == "organisation"
    with pytest.raises(WrongSigner):
        _check(identity, person=NUMBER)


@pytest.mark.parametrize(
    "subject",
    [
        BAKERY,
        PERSON,
        [*BAKERY, (NameOID.ORGANIZATION_IDENTIFIER, ORGANISATION)],
        [*BAKERY, (NameOID.ORGANIZATION_IDENTIFIER, f"NTRSE-{ORGANISATION}")],
        [*BAKERY, (NameOID.ORGANIZATION_IDENTIFIER, f"NTRNO-{ORGANISATION}1")],
        [*BAKERY, (NameOID.ORGANIZATION_IDENTIFIER, f"XNTRNO-{ORGANISATION}")],
        [*COMPANY, (NameOID.ORGANIZATION_IDENTIFIER, "NTRNO-889640782")],
        # The newer attribute decides: the serial number may be anything then.
        [*COMPANY_OLDER, (NameOID.ORGANIZATION_IDENTIFIER, "NTRSE-5560360793")],
        [(NameOID.COMMON_NAME, "x"), (NameOID.SERIAL_NUMBER, ORGANISATION)],
        [*HUMAN, (NameOID.ORGANIZATION_NAME, "Fjordbakeriet"), (NameOID.SERIAL_NUMBER, ORGANISATION)],
        [*BAKERY, (NameOID.SERIAL_NUMBER, f"{ORGANISATION}-1")],
        [(NameOID.COMMON_NAME, f"NTRNO-{ORGANISATION}")],
    ],
)
def test_certificates_that_name_no_norwegian_organisation(subject: Attributes) -> None:
    with pytest.raises(WrongSigner, match="names no Norwegian organisation"):
        _check(_identity(subject), organisation=ORGANISATION)


def test_employee_of_an_organisation() -> None:
    """A person's certificate may name the organisation too; the person can then be asked for besides."""
    subject = [*PERSON, *COMPANY[1:2], (NameOID.ORGANIZATION_IDENTIFIER, f"NTRNO-{ORGANISATION}")]
    facts = _check(_identity(subject), organisation=ORGANISATION, person=NUMBER)
    assert (facts.organisation, facts.national_number) == (ORGANISATION, NUMBER)
    with pytest.raises(WrongSigner, match="another person's"):
        _check(_identity(subject), organisation=ORGANISATION, person=OTHER_NUMBER)


def test_subject_serial() -> None:
    assert _check(_identity(COMPANY_OLDER), subject_serial=ORGANISATION).subject_serial == ORGANISATION
    for subject in (PERSON, COMPANY):
        with pytest.raises(WrongSigner) as caught:
            _check(_identity(subject), subject_serial=ORGANISATION)
        assert caught.value.aspect == "subject_serial"


# How sure it is


@pytest.mark.parametrize(
    ("statements", "policies", "level", "qualified"),
    [
        ([], [], None, False),
        ([], [LCP], None, False),
        ([DEVICE], [], None, False),
        ([], [NCP], "substantial", False),
        ([COMPLIANT], [], "substantial", True),
        ([COMPLIANT, SIGN], [QCP_N], "substantial", True),
        ([], [NCP_PLUS], "high", False),
        ([COMPLIANT, DEVICE], [], "high", True),
        ([COMPLIANT, SIGN, DEVICE], [QCP_N_QSCD], "high", True),
        # Qualified by Swiss law is not qualified by eIDAS.
        ([COMPLIANT, DEVICE, LEGISLATION], [], None, False),
    ],
)
def test_level(statements: list[str], policies: list[str], level: str | None, qualified: bool) -> None:
    extensions: list[x509.ExtensionType] = [_statements(*statements)]
    if policies:
        extensions.append(_policies(*policies))
    identity = _identity(PERSON, *extensions)
    facts = _check(identity)
    assert (facts.level, facts.qualified) == (level, qualified)
    for asked, reached in (("substantial", level is not None), ("high", level == "high")):
        if reached:
            assert _check(identity, level=asked) == facts
            continue
        with pytest.raises(WrongSigner, match=f"{asked} is asked for") as caught:
            _check(identity, level=asked)
        assert caught.value.aspect == "level"
    if not qualified:
        with pytest.raises(WrongSigner, match="not qualified"):
            _check(identity, qualified=True)


def test_policies() -> None:
    identity = _identity(PERSON, _policies("2.16.578.1.16.1.12.1.1", NCP))
    assert _check(identity, policies=frozenset({NCP, NCP_PLUS})).policies == {"2.16.578.1.16.1.12.1.1", NCP}
    with pytest.raises(WrongSigner) as caught:
        _check(identity, policies=frozenset({NCP_PLUS}))
    assert caught.value.aspect == "policies"


def test_an_issuer_gives_out_no_more_than_it_may() -> None:
    limited = _authority("Limited CA", ROOT, _policies(NCP))
    anything = _authority("Any-policy CA", ROOT, _policies("2.5.29.32.0"))
    assert _check(_identity(PERSON, _policies(NCP, NCP_PLUS), issuer=limited)).policies == {NCP}
    with pytest.raises(WrongSigner):
        _check(_identity(PERSON, _policies(NCP_PLUS), issuer=limited), level="high")
    assert _check(_identity(PERSON, _policies(NCP_PLUS), issuer=anything)).level == "high"


def test_a_seal_is_no_persons_signature() -> None:
    sealing = _identity(PERSON, _statements(COMPLIANT, SEAL))
    with pytest.raises(WrongSigner, match="organisation's seal") as caught:
        _check(sealing, person=NUMBER)
    assert caught.value.aspect == "person"


# Whether the certificate is good at all


@pytest.mark.parametrize(
    ("subject", "usage"),
    [
        (PERSON, ["digital_signature"]),  # for logging in
        (PERSON, ["key_encipherment"]),
        (COMPANY, ["key_encipherment", "key_agreement"]),
        (COMPANY, []),
    ],
)
def test_certificates_not_for_signatures(subject: Attributes, usage: list[str]) -> None:
    with pytest.raises(CredentialError, match="not one for signatures"):
        _check(_identity(subject, usage=usage))


def test_certificates_for_other_ends() -> None:
    for purpose in (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.TIME_STAMPING):
        with pytest.raises(CredentialError, match="not for documents"):
            _check(_identity(COMPANY, x509.ExtendedKeyUsage([purpose])))
    both = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.EMAIL_PROTECTION])
    assert _check(_identity(COMPANY, both)).organisation == ORGANISATION


def test_a_cas_own_certificate_signs_no_document() -> None:
    identity = SignerIdentity(ISSUING.der, (), Mechanism.ECDSA_SHA256)
    with pytest.raises(CredentialError, match="not one for signatures"):
        _check(identity)
    with pytest.raises(NotTrusted):
        _check(_identity(PERSON, issuer=Issuer(KEY, ISSUING.certificate)))


def test_validity() -> None:
    with pytest.raises(CredentialError, match="expired"):
        _check(_identity(PERSON), at=NOW + 301 * DAY)
    with pytest.raises(CredentialError, match="not valid yet"):
        _check(_identity(PERSON), at=NOW - 31 * DAY)
    # The issuer's own, of which the path consists.
    with pytest.raises(NotTrusted):
        _check(_identity(PERSON, end=NOW + 900 * DAY), at=NOW + 400 * DAY)


def test_trust() -> None:
    stranger = _authority("Stranger")
    for identity in (
        _identity(PERSON, issuer=stranger),
        _identity(PERSON, chain=()),
        _identity(PERSON, chain=(stranger.der,)),
        _self_signed(),
    ):
        with pytest.raises(NotTrusted) as caught:
            _check(identity)
        assert "degård" not in str(caught.value)
    with pytest.raises(NotTrusted):
        _check(_identity(PERSON), trust=TrustStore((stranger.der,)))
    # The issuing CA itself may be on the list, and the certificates between come from there.
    assert _check(_identity(PERSON, chain=()), trust=TrustStore((ISSUING.der,))).issuer == "Issuing CA"


def _self_signed() -> SignerIdentity:
    own = _certificate(KEY, PERSON, None, _usage("content_commitment"))
    return SignerIdentity(own.public_bytes(Encoding.DER), (), Mechanism.ECDSA_SHA256)


def test_self_signed_names_nobody_in_the_trust_store_either() -> None:
    identity = _self_signed()
    with pytest.raises(NotTrusted, match="self-signed") as caught:
        TRUST.path(identity.parsed, (), at=NOW)
    assert "degård" not in str(caught.value)


def test_forged_signature_on_the_certificate() -> None:
    identity = _identity(PERSON)
    forged = bytearray(identity.certificate)
    forged[forged.index(NUMBER.encode())] ^= 1
    with pytest.raises(NotTrusted):
        _check(SignerIdentity(bytes(forged), identity.chain, identity.mechanism))


@pytest.mark.parametrize(
    ("key", "word"),
    [
        (rsa.generate_private_key(65537, 1024), "1024 bits"),
        (ec.generate_private_key(ec.SECP224R1()), "secp224r1"),
        (ec.generate_private_key(ec.SECP256K1()), "secp256k1"),
    ],
)
def test_weak_keys(key: Any, word: str) -> None:
    with pytest.raises(CredentialError, match=word):
        _check(_identity(PERSON, key=key))


def test_short_rsa_is_accepted_of_others() -> None:
    assert _check(_identity(PERSON, key=rsa.generate_private_key(65537, 2048))).level is None


def test_certificates_issued_with_sha1() -> None:
    """One that says so: the library that makes these certificates does not sign with SHA-1 any more."""
    key = rsa.generate_private_key(65537, 2048)
    name = [(NameOID.COMMON_NAME, "RSA root")]
    root = Issuer(key, _certificate(key, name, None, x509.BasicConstraints(True, None)))
    identity = _identity(PERSON, issuer=root)
    with_sha256, with_sha1 = (bytes.fromhex(f"2a864886f70d0101{last}") for last in ("0b", "05"))
    older = identity.certificate.replace(with_sha256, with_sha1)
    assert older.count(with_sha1) == 2
    with pytest.raises(CredentialError, match="SHA1"):
        _check(SignerIdentity(older, identity.chain, identity.mechanism), trust=TrustStore((root.der,)))


@pytest.mark.parametrize("content", [b"", b"\x30\x00", b"\x30\x03\x02\x01\x01", b"no certificate"])
def test_bytes_that_are_no_certificate(content: bytes) -> None:
    with pytest.raises(CredentialError, match="cannot be read"):
        _check(SignerIdentity(content, (), Mechanism.ECDSA_SHA256))


def test_broken_statements() -> None:
    broken = x509.UnrecognizedExtension(ObjectIdentifier("1.3.6.1.5.5.7.1.3"), b"\x30\x05\x30")
    with pytest.raises(CredentialError, match="cannot be read"):
        _check(_identity(PERSON, broken))


@example(position=395, bit=0)  # where the signature's bit string says how many bits of it are unused
@given(position=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_damaged_certificates_give_our_errors(position: int, bit: int) -> None:
    sound = DAMAGED_BASE.certificate
    damaged = bytearray(sound)
    damaged[position % len(sound)] ^= 1 << bit
    with pytest.raises(SigningError) as caught:
        _check(SignerIdentity(bytes(damaged), DAMAGED_BASE.chain, DAMAGED_BASE.mechanism), person=NUMBER)
    assert NUMBER not in str(caught.value)


DAMAGED_BASE = _identity(PERSON, _statements(COMPLIANT, DEVICE, SIGN), _policies(QCP_N_QSCD))


def test_nothing_personal_is_printed() -> None:
    requirement = SignerRequirement(TRUST, person=NUMBER, subject_serial=f"PNONO-{NUMBER}")
    facts = check_signer(_identity(PERSON), requirement, at=NOW)
    for text in (repr(requirement), repr(facts)):
        assert NUMBER not in text
        assert "degård" not in text


def test_errors_say_nothing_personal() -> None:
    for asked in ({"person": OTHER_NUMBER}, {"organisation": ORGANISATION}, {"level": "high"}):
        with pytest.raises(WrongSigner) as caught:
            _check(_identity(PERSON), **asked)
        for value in (NUMBER, OTHER_NUMBER, "degård"):
            assert value not in caught.value.message + caught.value.remedy
