"""Rehearsals: a signature that would fail is found out with a throwaway key, and leaves no trace."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pytest
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.fields import SigFieldSpec, append_signature_field

from signing import (
    Appearance,
    Mechanism,
    RehearsalFailed,
    SignatureRequest,
    augment,
    prepare,
    rehearse,
    sign,
    validate,
)
from signing.embed import embed
from signing.throwaway import throwaway_authority, throwaway_credential, throwaway_trust
from signing.tokens import check_token
from tests.signing_documents import REGULAR, Signers, appearance

pytestmark = pytest.mark.pki


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def refuse(*_: object) -> None:
        raise AssertionError("a rehearsal used the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    yield


def _request(field: str) -> SignatureRequest:
    shown = None if field == "seal" else appearance(field)
    return SignatureRequest(field, certify=field == "seal", appearance=shown)


@pytest.mark.parametrize("mechanism", Mechanism)
def test_what_will_go_well(fielded: bytes, sealed: bytes, no_network: None, mechanism: Mechanism) -> None:
    before = bytes(sealed)
    rehearse(fielded, _request("seal"), mechanism, at=datetime.now(UTC))
    rehearse(sealed, _request("participant"), mechanism, at=datetime.now(UTC))
    assert sealed == before


def test_every_step_of_a_document(fielded: bytes, signers: Signers, no_network: None) -> None:
    """With throwaway keys all the way: each rehearsal says what the signature after it turns out to be."""
    now = datetime.now(UTC)
    credential, authority = throwaway_credential(Mechanism.ECDSA_SHA384), throwaway_authority(now)
    revision = fielded
    for field in ("seal", "participant", "employer", "adviser"):
        rehearse(revision, _request(field), Mechanism.ECDSA_SHA384, at=now)
        prepared = prepare(revision, _request(field), credential.identity, at=now)
        revision = embed(prepared, sign(prepared, credential), revision=revision, timestamps=authority)
    report = validate(revision, throwaway_trust(credential, authority.credential), at=now)
    assert report.passed
    assert {signature.level for signature in report.signatures} == {"B-T"}
    # Nobody else trusts any of it.
    assert not validate(revision, signers.trust, at=now).passed


def test_beside_real_signatures(chain_of_revisions: list[bytes], no_network: None) -> None:
    """Theirs are not judged by the throwaway trust, only that they still hold."""
    _, sealed, first, second, *_ = chain_of_revisions
    for revision, field in ((sealed, "adviser"), (first, "employer"), (second, "adviser")):
        rehearse(revision, _request(field), Mechanism.ECDSA_SHA256, at=datetime.now(UTC))


def test_with_an_agreements_own_clock(sealed: bytes) -> None:
    for days in (-200, 200, 10_000):
        now = datetime.now(UTC) + timedelta(days=days)
        rehearse(sealed, _request("participant"), Mechanism.ECDSA_SHA256, at=now)


def _fails(revision: bytes, request: SignatureRequest) -> RehearsalFailed:
    with pytest.raises(RehearsalFailed) as caught:
        rehearse(revision, request, Mechanism.ECDSA_SHA256, at=datetime.now(UTC))
    assert caught.value.code == "rehearsal_failed"
    assert not caught.value.retryable
    return caught.value


def test_fields_that_cannot_be_signed(fielded: bytes, sealed: bytes) -> None:
    assert _fails(sealed, _request("seal")).cause_code == "field_place"
    assert _fails(fielded, SignatureRequest("mentor")).cause_code == "field_place"
    assert _fails(sealed, SignatureRequest("adviser", certify=True)).cause_code == "field_place"


def test_what_cannot_be_drawn(sealed: bytes, tmp_path: Path) -> None:
    for shown in (
        Appearance("漢字", ("does not exist in the font",), REGULAR),
        Appearance("Name", ("line",) * 60, REGULAR),
        Appearance("Name", (), tmp_path / "no-such-font.ttf"),
    ):
        error = _fails(sealed, SignatureRequest("participant", appearance=shown))
        assert error.cause_code == "appearance"
        assert error.remedy


def test_damaged_documents(sealed: bytes) -> None:
    for damaged in (b"no pdf", sealed[:-900], sealed.replace(b"/Root", b"/Toor")):
        assert _fails(damaged, _request("participant")).cause_code == "revision_broken"


def test_document_that_was_changed_behind_the_seal(sealed: bytes) -> None:
    """Its seal is broken already: no party is asked to sign such a document."""
    writer = IncrementalPdfFileWriter(BytesIO(sealed))
    page = writer.root["/Pages"]["/Kids"].raw_get(0)
    page.get_object()["/Rotate"] = generic.NumberObject(90)
    writer.mark_update(page)
    output = BytesIO()
    writer.write(output)
    error = _fails(output.getvalue(), _request("participant"))
    assert error.cause_code == "revision_broken"
    assert "field seal would not hold any more (FORMAT_FAILURE)" in error.message


def test_byte_changed_under_the_seal(sealed: bytes) -> None:
    changed = sealed.replace(b"/XYZ null null 0", b"/XYZ null null 1", 1)
    assert changed != sealed
    assert "HASH_FAILURE" in _fails(changed, _request("participant")).message


def test_field_made_after_the_seal(sealed: bytes) -> None:
    """The signature itself would come out well, and the seal before it would not hold."""
    writer = IncrementalPdfFileWriter(BytesIO(sealed))
    append_signature_field(writer, SigFieldSpec("late", box=(10, 10, 100, 100), on_page=0))
    output = BytesIO()
    writer.write(output)
    error = _fails(output.getvalue(), SignatureRequest("late"))
    assert error.cause_code == "revision_broken"
    assert "field seal would not hold any more" in error.message


def test_augmented_document_can_be_rehearsed_for_a_later_field(sealed: bytes, signers: Signers) -> None:
    """With evidence and a document timestamp in it that the throwaway trust knows nothing of."""
    augmented = augment(
        sealed, trust=signers.trust, timestamps=signers.timestamps, collector=signers.collector
    )
    rehearse(augmented, _request("participant"), Mechanism.RSA_PSS_SHA256, at=datetime.now(UTC))


def test_keys_are_made_once() -> None:
    first = throwaway_credential(Mechanism.RSA_PSS_SHA256)
    assert throwaway_credential(Mechanism.RSA_PSS_SHA256) is first
    assert throwaway_credential(Mechanism.ECDSA_SHA256) is not first
    assert (
        throwaway_authority(datetime.now(UTC)).credential is throwaway_authority(datetime.now(UTC)).credential
    )


def test_tokens_are_real(signers: Signers) -> None:
    """The throwaway authority's tokens pass the checks that others' tokens get."""
    now = datetime(2031, 2, 3, 4, 5, 6, 789, tzinfo=UTC)
    authority = throwaway_authority(now)
    token = authority.timestamp(hashlib.sha384(b"value").digest(), "sha384")
    trust = throwaway_trust(authority.credential)
    assert check_token(token.encoded, b"value", trust) == now.replace(microsecond=0)
