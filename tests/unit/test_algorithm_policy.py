"""The algorithm policy: dates out of a file, and what is said of one that is wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

import pytest
from asn1crypto import algos, keys
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from signing import AlgorithmPolicy, AlgorithmPolicyError
from signing.algorithm_policy import NEVER

BUILT_IN = resources.files("signing").joinpath("algorithms.toml").read_text("utf-8")
NOW = datetime(2026, 11, 22, tzinfo=UTC)
END_OF_2028 = datetime(2029, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def policy() -> AlgorithmPolicy:
    return AlgorithmPolicy.load()


def _public(key: object) -> keys.PublicKeyInfo:
    encoded = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]
    return keys.PublicKeyInfo.load(encoded)


@pytest.fixture(scope="module")
def rsa_keys() -> dict[int, keys.PublicKeyInfo]:
    return {bits: _public(rsa.generate_private_key(65537, bits)) for bits in (1024, 2048, 3072)}


@pytest.mark.parametrize(
    ("name", "ends"),
    [
        ("md5", datetime(2004, 8, 1, tzinfo=UTC)),
        ("sha1", datetime(2012, 8, 1, tzinfo=UTC)),
        ("sha224", END_OF_2028),
        ("sha256", None),
        ("sha384", None),
        ("sha512", None),
        ("sha3_256", None),
        ("md2", NEVER),
        ("sha512_256", NEVER),
    ],
)
def test_digests_end(policy: AlgorithmPolicy, name: str, ends: datetime | None) -> None:
    assert policy.digest_ends(name) == ends
    allowed = policy.digest_algorithm_allowed(algos.DigestAlgorithm({"algorithm": name}), NOW)
    assert bool(allowed) is (ends is None or ends > NOW)


def test_what_has_ended_was_accepted_before(policy: AlgorithmPolicy) -> None:
    sha1 = algos.DigestAlgorithm({"algorithm": "sha1"})
    assert policy.digest_algorithm_allowed(sha1, datetime(2012, 7, 31, 23, 59, tzinfo=UTC))
    refused = policy.digest_algorithm_allowed(sha1, datetime(2012, 8, 1, tzinfo=UTC))
    assert not refused
    # The time that pyHanko goes back to is one at which it was accepted.
    assert refused.not_allowed_after == datetime(2012, 7, 31, 23, 59, 59, tzinfo=UTC)
    assert policy.digest_algorithm_allowed(sha1, refused.not_allowed_after)
    never = policy.digest_algorithm_allowed(algos.DigestAlgorithm({"algorithm": "md2"}), NOW)
    assert not never
    assert never.not_allowed_after is None


@pytest.mark.parametrize(
    ("bits", "algorithm", "ends"),
    [
        (1024, "sha256_rsa", NEVER),
        (2048, "sha256_rsa", END_OF_2028),
        (3072, "sha256_rsa", END_OF_2028),
        (3072, "sha1_rsa", datetime(2012, 8, 1, tzinfo=UTC)),
        (1024, "rsassa_pss", NEVER),
        (2048, "rsassa_pss", END_OF_2028),
        (3072, "rsassa_pss", None),
        (3072, "sha256_ecdsa", NEVER),
        (3072, "sha256_dsa", NEVER),
    ],
)
def test_rsa_ends_by_bits_and_padding(
    policy: AlgorithmPolicy,
    rsa_keys: dict[int, keys.PublicKeyInfo],
    bits: int,
    algorithm: str,
    ends: datetime | None,
) -> None:
    identifier = algos.SignedDigestAlgorithm({"algorithm": algorithm})
    if algorithm == "rsassa_pss":
        digest = algos.DigestAlgorithm({"algorithm": "sha256"})
        identifier["parameters"] = algos.RSASSAPSSParams({"hash_algorithm": digest})
    assert policy.signature_ends(identifier, rsa_keys[bits]) == ends


@pytest.mark.parametrize(
    ("curve", "ends"),
    [
        (ec.SECP256R1(), None),
        (ec.SECP384R1(), None),
        (ec.SECP521R1(), None),
        (ec.BrainpoolP256R1(), None),
        (ec.BrainpoolP384R1(), None),
        (ec.BrainpoolP512R1(), None),
        (ec.SECP256K1(), NEVER),
        (ec.SECP224R1(), NEVER),
    ],
)
def test_curves(policy: AlgorithmPolicy, curve: ec.EllipticCurve, ends: datetime | None) -> None:
    key = _public(ec.generate_private_key(curve))
    assert policy.key_ends(key) == ends
    for digest in ("sha256", "sha3_384"):
        identifier = algos.SignedDigestAlgorithm({"algorithm": f"{digest}_ecdsa"})
        assert policy.signature_ends(identifier, key) == ends
    weak = algos.SignedDigestAlgorithm({"algorithm": "sha224_ecdsa"})
    assert policy.signature_ends(weak, key) == (ends or END_OF_2028)


def test_edwards_curves(policy: AlgorithmPolicy) -> None:
    for name, key in (
        ("ed25519", ed25519.Ed25519PrivateKey.generate()),
        ("ed448", ed448.Ed448PrivateKey.generate()),
    ):
        public = _public(key)
        assert policy.key_ends(public) is None
        assert policy.signature_ends(algos.SignedDigestAlgorithm({"algorithm": name}), public) is None


def test_the_digest_for_new_timestamps_is_good_for_years() -> None:
    def ending(**ends: str) -> AlgorithmPolicy:
        text = BUILT_IN
        for name, day in ends.items():
            text = text.replace(f"{name} = {{}}", f"{name} = {{ ends = {day} }}")
        return AlgorithmPolicy.parse(text)

    assert AlgorithmPolicy.load().digest_for(NOW) == "sha256"
    sha256_ends = ending(sha256="2040-01-01")
    assert sha256_ends.digest_for(datetime(2029, 12, 31, tzinfo=UTC)) == "sha256"
    assert sha256_ends.digest_for(datetime(2030, 1, 1, tzinfo=UTC)) == "sha384"
    all_end = ending(sha256="2030-01-01", sha384="2031-01-01", sha512="2030-06-01")
    assert all_end.digest_for(NOW) == "sha384"  # none lasts long enough: the one that lasts longest
    with pytest.raises(AlgorithmPolicyError, match="have ended"):
        all_end.digest_for(datetime(2031, 1, 1, tzinfo=UTC))
    assert AlgorithmPolicy.load().digest_for(datetime(2028, 2, 29, tzinfo=UTC)) == "sha256"


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(BUILT_IN.replace("sha512 = {}", "sha512 = { ends = 2050-01-01 }"))
    policy = AlgorithmPolicy.load(path)
    assert policy.digest_ends("sha512") == datetime(2050, 1, 1, tzinfo=UTC)
    assert AlgorithmPolicy.load().digest_ends("sha512") is None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("format = 1", "format = 2", "format must be 1"),
        ("sha256 = {}", "sha256 = {", r"line \d+, column 11"),
        ("sha224 = { ends = 2029-01-01 }", 'sha224 = { ends = "2029-01-01" }', "digests.sha224.ends must be a date"),
        ("sha256 = {}", "sha256 = true", "digests.sha256 must be a table"),
        ("sha256 = {}", "sha256 = { end = 2029-01-01 }", "digests.sha256.end is not a field"),
        ('padding = "pss"\nbits = 3000', 'padding = "oaep"\nbits = 3000', r"rsa \(entry 3\).padding"),
        ("bits = 3000", "bits = true", r"rsa \(entry 3\).bits"),
        ('digests = ["sha256"', 'digests = ["sha999"', "timestamps.digests: 'sha999'"),
        ("years = 10", "years = -1", "timestamps.years"),
        ("[eddsa]", "[eddsaa]", "eddsaa is not a field"),
        ('name = "ETSI TS 119 312 V1.5.1"', "name = 3", "name must be a text"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in BUILT_IN
    path = tmp_path / "own.toml"
    path.write_text(BUILT_IN.replace(old, new))
    with pytest.raises(AlgorithmPolicyError, match=said) as caught:
        AlgorithmPolicy.load(path)
    assert str(path) in str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(AlgorithmPolicyError, match="cannot be read"):
        AlgorithmPolicy.load(tmp_path / "missing.toml")
    (tmp_path / "latin").write_bytes(b"\xe6\xf8\xe5")
    with pytest.raises(AlgorithmPolicyError, match="not UTF-8"):
        AlgorithmPolicy.load(tmp_path / "latin")
