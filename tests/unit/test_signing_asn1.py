"""What is read by the short way is what asn1crypto reads, and what cannot be read is told as it tells it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from operator import getitem
from typing import Any

import pytest
from asn1crypto import core, x509
from cryptography import x509 as made
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from signing import asn1


@pytest.fixture(scope="module")
def der() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = made.Name([made.NameAttribute(NameOID.COMMON_NAME, "Kari Nordmann")])
    now = datetime.now(UTC)
    builder = made.CertificateBuilder(name, name, key.public_key(), 17, now, now + timedelta(days=1))
    builder = builder.add_extension(made.BasicConstraints(ca=True, path_length=None), critical=True)
    builder = builder.add_extension(
        made.SubjectAlternativeName([made.DNSName("a.invalid"), made.RFC822Name("a@b.invalid")]),
        critical=False,
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def _walked(value: Any, field: Callable[[Any, Any], Any], item: Callable[[Any, Any], Any]) -> list[Any]:
    """All that is in a value, read twice over."""
    found: list[Any] = []
    for _ in range(2):
        found.append((type(value), value.dump()))
        if isinstance(value, core.Sequence):
            for name in value:
                found += _walked(field(value, name), field, item)
        elif isinstance(value, core.SequenceOf):
            for index in range(len(value)):
                found += _walked(item(value, index), field, item)
            assert [each.dump() for each in value] == [item(value, n).dump() for n in range(len(value))]
        elif isinstance(value, core.Choice):
            assert value.chosen is value.parse()
            found += _walked(value.chosen, field, item)
    return found


def test_the_same_fields(der: bytes) -> None:
    ours = _walked(x509.Certificate.load(der), getitem, getitem)
    theirs = _walked(x509.Certificate.load(der), asn1._sequence_item, asn1._list_item)
    assert len(ours) > 1000
    assert ours == theirs


def _said(ask: Callable[[], object]) -> tuple[type[Exception], str]:
    with pytest.raises(Exception) as caught:
        ask()
    return type(caught.value), str(caught.value)


@pytest.mark.parametrize("key", ["nothing", 3, -4, None, [], 1.5])
def test_what_is_not_there(der: bytes, key: object) -> None:
    for parsed in (False, True):
        one, other = x509.Certificate.load(der), x509.Certificate.load(der)
        if parsed:
            assert one.subject == other.subject
        assert _said(partial(getitem, one, key)) == _said(partial(asn1._sequence_item, other, key))
        first, second = one.subject.chosen, other.subject.chosen
        assert _said(partial(getitem, first, key)) == _said(partial(asn1._list_item, second, key))


def test_what_cannot_be_read_is_told_each_time(der: bytes) -> None:
    # The time is no time: found out when it is asked for.
    der = der.replace(b"\x17\x0d", b"\x04\x0d", 1)
    one, other = x509.Certificate.load(der), x509.Certificate.load(der)
    for _ in range(2):
        told = _said(lambda: one["tbs_certificate"]["validity"]["not_before"].native)
        assert told == _said(
            lambda: (
                asn1._sequence_item(
                    asn1._sequence_item(asn1._sequence_item(other, "tbs_certificate"), "validity"),
                    "not_before",
                ).native
            )
        )


def test_changes_are_seen_however_deep(der: bytes) -> None:
    certificate = x509.Certificate.load(der)
    assert certificate.subject.native == {"common_name": "Kari Nordmann"}
    assert certificate.dump() == der
    certificate["tbs_certificate"]["validity"]["not_after"] = x509.Time(
        {"utc_time": datetime(2030, 1, 1, tzinfo=UTC)}
    )
    changed = certificate.dump()
    assert changed != der
    assert x509.Certificate.load(changed).not_valid_after == datetime(2030, 1, 1, tzinfo=UTC)


def test_bytes_are_kept_of_what_is_not_changed(der: bytes) -> None:
    certificate, other = x509.Certificate.load(der + b"behind"), x509.Certificate.load(der)
    asn1.unchanging(certificate)
    assert certificate.dump() == der
    assert certificate.dump() is certificate.dump()
    assert certificate.dump(force=True) == der
    copied = certificate.copy()
    copied["tbs_certificate"]["serial_number"] = 18
    assert copied.dump() != certificate.dump() == other.dump()
