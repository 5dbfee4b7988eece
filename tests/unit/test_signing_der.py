"""DER is read in its one form, or not at all."""

from __future__ import annotations

import pytest

from signing import SignatureMalformed, signer_of
from signing.der import SEQUENCE, EncodingError, check, tlv


@pytest.mark.parametrize(
    ("encoded", "reason"),
    [
        ("3080020101" + "0000", "indefinite"),
        ("30810302" + "0101", "not the shortest"),
        ("3082000302" + "0101", "not the shortest"),
        ("3085000000000302" + "0101", "out of bounds"),
        ("3084", "out of bounds"),
        ("30", "no length"),
        ("3004020101", "beyond the bytes"),
        ("1f810103020101", "long form"),
        ("2403040161", "in pieces"),
        ("1003020101", "one form"),
        ("30030101" + "01", "one form"),
        ("300402020001", "one form"),
        ("30040202ff80", "one form"),
        ("30020200", "one form"),
        ("3003050100", "one form"),
        ("3003030107", "one form"),
        ("3004030201ff", "one form"),
        ("3004030208ff", "one form"),
        ("30020600", "one form"),
        ("3003060180", "one form"),
        ("3080" * 60, "indefinite"),
    ],
)
def test_one_encoding_only(encoded: str, reason: str) -> None:
    with pytest.raises(EncodingError, match=reason):
        check(bytes.fromhex(encoded))
    with pytest.raises(SignatureMalformed):
        signer_of(bytes.fromhex(encoded))


def test_nested_without_end() -> None:
    nested = b""
    for _ in range(2_000):
        nested = tlv(SEQUENCE, nested)
    with pytest.raises(SignatureMalformed, match="too deep"):
        signer_of(nested)


def test_sound_encodings() -> None:
    for encoded in (
        "300302017f",
        "30050203008000",
        "30030101ff",
        "30020500",
        "3003030100",
        "3004030201fe",
        "3000",
    ):
        assert check(bytes.fromhex(encoded)).encoded.hex() == encoded
