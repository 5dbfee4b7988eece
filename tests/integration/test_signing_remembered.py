"""What is kept between documents gives the answers that would be found anew, and nothing of a person is kept."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pyhanko_certvalidator
import pytest
from asn1crypto import ocsp, x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from pyhanko_certvalidator.context import CertValidationPolicySpec, bootstrap_validation_data_handlers
from pyhanko_certvalidator.errors import PathValidationError
from pyhanko_certvalidator.ltv.poe import POEManager
from pyhanko_certvalidator.ltv.types import ValidationTimingInfo
from pyhanko_certvalidator.policy_decl import (
    CertRevTrustPolicy,
    RevocationCheckingPolicy,
    RevocationCheckingRule,
)
from pyhanko_certvalidator.revinfo.archival import CRLContainer

from signing import AlgorithmPolicy, NotTrusted, TrustStore, validate, verified
from signing import names as prepared_names
from signing.aio import at_once
from signing.certificates import certificate_of, crl_of, kept_authorities
from signing.evidence import Unusable, ocsp_request, read_crl
from signing.kept import Kept, one_document
from signing.verified import Verifier
from tests.pki import TestPki
from tests.revocation import Issuing
from tests.signing_documents import Signers

pytestmark = pytest.mark.pki

NOW = datetime.now(UTC)
YEAR = timedelta(days=365)


def _outcome(ask: Callable[[], object]) -> object:
    try:
        return ask()
    except (NotTrusted, Unusable) as error:
        return type(error), str(error)


def _path(trust: TrustStore, leaf: x509.Certificate, others: list[x509.Certificate], at: datetime) -> object:
    def ask() -> list[bytes]:
        return [each.dump() for each in trust.path(leaf, others, at=at).iter_certs(include_root=True)]

    return _outcome(ask)


_POLICY = """
format = 1
name = "ends soon"
[digests.sha256]
ends = 2040-01-01
[[rsa]]
padding = "pkcs1"
bits = 1900
[[rsa]]
padding = "pss"
bits = 1900
[ecdsa.secp256r1]
ends = {end:%Y-%m-%d}
[ecdsa.secp384r1]
[eddsa]
[timestamps]
digests = ["sha256"]
years = 0
"""


@pytest.mark.parametrize("label", ["tsa", "participant"])
def test_a_kept_path_is_held_to_each_time(pki: TestPki, signers: Signers, label: str) -> None:
    pem = pki.certificate_pem(label)
    leaf = TrustStore.from_pem(pem).certificates[0]
    issuing = Issuing(pki)
    others = [issuing.issuer, *(issuing.parsed(issuing.loaded(other)) for other in ("ocsp", "tsa"))]
    ends = leaf.not_valid_after
    times = [
        NOW, NOW - 60 * YEAR, leaf.not_valid_before - timedelta(seconds=2), leaf.not_valid_before, NOW,
        ends, ends + timedelta(seconds=2), ends + YEAR, NOW + timedelta(days=2), NOW + timedelta(days=4),
    ]  # fmt: skip
    policy = AlgorithmPolicy.parse(_POLICY.format(end=NOW + timedelta(days=3)))
    root = TrustStore.from_pem(pki.root)
    granted = {root.anchors[0]: ((NOW - YEAR, NOW + timedelta(days=1)),)}
    stores: list[Callable[[], TrustStore]] = [
        lambda: TrustStore(root.anchors),
        lambda: TrustStore(root.anchors, algorithms=policy),
        lambda: TrustStore(root.anchors, periods=granted),
        lambda: TrustStore.from_pem(pki.foreign_root),
    ]
    for make in stores:
        used = make()
        with one_document():
            found = [_path(used, leaf, others, at) for at in times]
        assert found == [_path(make(), leaf, others, at) for at in times]
        # Another way up than the one that was kept is none.
        assert _path(used, leaf, [], NOW) == _path(make(), leaf, [], NOW)
    assert isinstance(_path(signers.trust, leaf, others, NOW), list)
    assert not isinstance(_path(signers.trust, leaf, others, ends + YEAR), list)


def test_two_lists_of_one_day_tell_different_things(pki: TestPki) -> None:
    issuing = Issuing(pki)
    certificate = issuing.certificate()
    parsed, now = issuing.parsed(certificate), issuing.now
    clean, telling = issuing.crl(), issuing.crl((certificate, now - timedelta(hours=1)))
    forged = bytearray(clean)
    forged[-1] ^= 1

    def read(der: bytes) -> object:
        def ask() -> int:
            item = read_crl(crl_of(der), parsed, issuing.issuer, now).item
            return len(item["tbs_cert_list"]["revoked_certificates"] or ())

        return _outcome(ask)

    with one_document():
        for _ in range(2):
            assert read(clean) == 0
            assert read(telling) == 1
            assert read(bytes(forged)) == (Unusable, "the signature of the CRL does not verify")


def test_nothing_of_a_person_is_kept(final: bytes, signers: Signers) -> None:
    trust = TrustStore(signers.trust.anchors)
    report = validate(final, trust)
    assert report.passed
    shown = {item.certificate_sha256 for item in report.signatures}
    kept = kept_authorities()
    assert len(kept) > 0
    authorities = [certificate for certificate, _ in kept._items.values()]
    paths = [path for path, _ in trust.timestamps._paths._items.values()]
    assert paths
    held = {each.sha256.hex() for each in authorities}
    held |= {each.sha256.hex() for path in paths for each in path.iter_certs(include_root=True)}
    assert not shown & held
    assert certificate_of(authorities[0].dump()) is authorities[0]


def test_a_certificate_of_a_person_lasts_as_long_as_the_document(pki: TestPki) -> None:
    (person,) = TrustStore.from_pem(pki.certificate_pem("participant")).anchors
    with one_document():
        first = certificate_of(person)
        assert certificate_of(person) is first
    assert certificate_of(person) is not first


def test_who_says_ca_of_himself_is_no_authority(pki: TestPki) -> None:
    from cryptography import x509 as made
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = made.Name([made.NameAttribute(NameOID.COMMON_NAME, "Kari Nordmann")])
    builder = made.CertificateBuilder(name, name, key.public_key(), 1, NOW, NOW + YEAR)
    builder = builder.add_extension(made.BasicConstraints(ca=True, path_length=None), critical=True)
    der = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
    assert certificate_of(der) is not certificate_of(der)
    (root,) = TrustStore.from_pem(pki.root).anchors
    assert certificate_of(root).ca


def test_a_signature_that_verified_is_no_other_one(pki: TestPki) -> None:
    issuing = Issuing(pki)
    certificate = issuing.parsed(issuing.certificate())
    data, value = certificate["tbs_certificate"].dump(), certificate["signature_value"].native
    algorithm, key = certificate["signature_algorithm"], issuing.issuer.public_key
    other = TrustStore.from_pem(pki.certificate_pem("employer")).certificates[0].public_key
    verifier = Verifier(kept=2)
    for _ in range(2):
        verifier.validate_signature(value, data, key, algorithm)
        for wrong in ((value, data + b"\0", key), (value, data, other), (value[:-1] + b"\0", data, key)):
            with pytest.raises(InvalidSignature):
                verifier.validate_signature(*wrong, algorithm)
    assert len(verifier.holding) == 1


class _Counted:
    """pyHanko's validation of a path, and how often it was asked."""

    def __init__(self) -> None:
        self.times = 0
        self._validate = verified._validate_path

    async def __call__(self, context: Any, path: Any, parameters: Any) -> Any:
        self.times += 1
        return await self._validate(context, path, parameters)


def test_a_path_that_held_is_validated_anew_where_anything_differs(
    pki: TestPki, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuing = Issuing(pki)
    made = issuing.certificate(lists=["list"])
    leaf, now = issuing.parsed(made), issuing.now
    clean, telling = issuing.crl(lasts=YEAR), issuing.crl((made, now - timedelta(hours=1)), lasts=YEAR)
    trust = TrustStore.from_pem(pki.root)
    rules = RevocationCheckingPolicy(RevocationCheckingRule.CRL_REQUIRED, RevocationCheckingRule.NO_CHECK)
    counted = _Counted()
    monkeypatch.setattr(verified, "_validate_path", counted)

    def holds(
        held: Kept[Any, Any],
        *,
        by: TrustStore = trust,
        at: datetime = now,
        signed: datetime | None = None,
        evidence: bytes = clean,
        others: tuple[x509.Certificate, ...] = (),
        skew: timedelta = timedelta(),
    ) -> bool:
        handlers = bootstrap_validation_data_handlers(
            None,
            crls=[CRLContainer(crl_of(evidence))],
            certs=[issuing.issuer, *others],
            poe_manager=POEManager(at),
        )
        policy = CertValidationPolicySpec(
            trust_manager=by.manager,
            revinfo_policy=CertRevTrustPolicy(rules),
            algorithm_usage_policy=by.algorithms,
            time_tolerance=skew,
            signature_validator=verified.VERIFIER,
        )
        timing = ValidationTimingInfo(at, signed or at, point_in_time_validation=True)
        context = policy.build_validation_context(timing, verified.among(held, handlers))
        paths = context.path_builder.async_build_paths_lazy(leaf)
        try:
            at_once(pyhanko_certvalidator.find_valid_path(leaf, paths, context))
        except PathValidationError:
            return False
        return True

    held = verified.no_paths()
    assert holds(held)
    assert holds(held)
    assert counted.times == 1
    minute = timedelta(minutes=1)
    ended = AlgorithmPolicy.parse(_POLICY.format(end=now).replace("2040-01-01", "2020-01-01"))
    differing: list[tuple[dict[str, Any], bool]] = [
        ({"at": now + minute}, True),
        ({"at": leaf.not_valid_after + minute}, False),
        ({"signed": now - minute}, True),
        ({"skew": minute}, True),
        ({"others": (issuing.parsed(issuing.loaded("ocsp")),)}, True),
        ({"by": TrustStore(trust.anchors)}, True),
        ({"by": TrustStore(trust.anchors, algorithms=ended)}, False),
    ]
    for differs, outcome in differing:
        times = counted.times
        assert holds(held, **differs) is outcome
        assert counted.times == times + 1
        assert holds(held, **differs) is outcome
        assert counted.times == times + (1 if outcome else 2)  # what does not hold is tried anew
    assert not holds(verified.no_paths(), evidence=telling)


def test_a_report_does_not_hang_on_what_held(
    final: bytes, signers: Signers, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = [NOW, NOW + timedelta(days=2), NOW + YEAR, NOW + 8 * YEAR, NOW + 40 * YEAR, NOW - YEAR]
    counted = _Counted()
    monkeypatch.setattr(verified, "_validate_path", counted)
    reports = [validate(final, signers.trust, at=at).as_json() for at in times]
    kept, counted.times = counted.times, 0
    module = importlib.import_module("signing.judging")
    monkeypatch.setattr(module, "no_paths", lambda: Kept(0, 0))
    assert [validate(final, signers.trust, at=at).as_json() for at in times] == reports
    assert kept < counted.times
    assert len({report["indication"] for report in reports}) > 1


_TEXTS = st.sampled_from(["Nav", "NAV", "nav ", "Na  v", "Na v", "Nav\u00ad", "Åse", "A\u030ase", "ØST", ""])
_NAMES = st.lists(
    st.tuples(st.sampled_from(["common_name", "organization_name", "locality_name"]), _TEXTS), max_size=3
)


@given(_NAMES, _NAMES)
def test_names_are_compared_as_before(one: list[tuple[str, str]], other: list[tuple[str, str]]) -> None:
    first, second = (x509.Name.load(x509.Name.build(dict(each)).dump()) for each in (one, other))
    for _ in range(2):
        assert (first == second) == prepared_names._compare(first, second)
        assert (first != second) != (first == second)
        assert first.hashable == prepared_names._hashable(first)
    assert first != one


_LETTERS = st.characters(max_codepoint=0x2100) | st.sampled_from(" \u00a0\u00ad\u0130ßµÿ×÷–—\u0301")


@given(st.text(_LETTERS, max_size=6))
def test_texts_are_prepared_as_before(text: str) -> None:
    value = x509.NameTypeAndValue()

    def prepared(prepare: Callable[..., str]) -> object:
        try:
            return prepare(value, text)
        except ValueError as error:
            return str(error)

    assert prepared(prepared_names._prepared_string) == prepared(prepared_names._string_prep)


def test_each_letter_is_prepared_as_before() -> None:
    value = x509.NameTypeAndValue()
    letters = [chr(code) for code in range(0x2100) if prepared_names._LATIN.fullmatch(chr(code))]
    assert len(letters) > 150
    for text in (*letters, *("A" + letter + " b" for letter in letters)):
        assert prepared_names._prepared_string(value, text) == prepared_names._string_prep(value, text)


def test_an_ocsp_request_is_written_as_asn1crypto_writes_it(pki: TestPki) -> None:
    issuing = Issuing(pki)
    certificate = issuing.parsed(issuing.certificate())
    identifier = {
        "hash_algorithm": {"algorithm": "sha1"},
        "issuer_name_hash": certificate.issuer.sha1,
        "issuer_key_hash": issuing.issuer.public_key.sha1,
        "serial_number": certificate.serial_number,
    }
    request = ocsp.OCSPRequest({"tbs_request": {"request_list": [{"req_cert": identifier}]}})
    assert ocsp_request(certificate, issuing.issuer) == request.dump()


def test_public_key_of_a_kept_certificate_is_whole(pki: TestPki) -> None:
    (root,) = TrustStore.from_pem(pki.root).anchors
    issuing = Issuing(pki)
    der = issuing.loaded("interm").public_bytes(Encoding.DER)
    key = issuing.loaded("interm").public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert certificate_of(der).public_key.dump() == key
    assert certificate_of(der).dump() == der
    assert certificate_of(root).dump() == root
