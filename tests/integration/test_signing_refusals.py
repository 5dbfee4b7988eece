"""What is refused between preparing and embedding, and when time or evidence cannot be had."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from asn1crypto import cms, tsp
from werkzeug.wrappers import Request, Response

from signing import (
    CertificateRevoked,
    CredentialError,
    EvidenceCollector,
    FieldPlaceError,
    NotTrusted,
    PreparedSignature,
    RevisionBroken,
    RevocationUnavailable,
    SignatureMismatch,
    SignatureRequest,
    StaleSignature,
    TimestampClient,
    TimestampUnavailable,
    augment,
    embed,
    prepare,
    sign,
    validate,
)
from tests.pki import Fault
from tests.signing_documents import Signers

pytestmark = pytest.mark.pki


@pytest.fixture
def prepared(sealed: bytes, signers: Signers) -> PreparedSignature:
    return _prepare(sealed, signers)


def _prepare(sealed: bytes, signers: Signers) -> PreparedSignature:
    identity = signers.credential("participant").identity
    return prepare(sealed, SignatureRequest("participant"), identity, at=datetime.now(UTC))


def test_resumed_from_storage(sealed: bytes, prepared: PreparedSignature, signers: Signers) -> None:
    value = sign(prepared, signers.credential("participant"))
    stored = prepared.to_bytes()
    assert len(stored) < len(sealed) * 2
    resumed = PreparedSignature.from_bytes(stored)
    assert resumed == prepared
    signed = embed(resumed, value, revision=sealed, timestamps=signers.timestamps)
    assert signed.startswith(sealed)
    assert [s.field for s in validate(signed, signers.trust).signatures] == ["seal", "participant"]


def test_stale_signature_is_refused(
    sealed: bytes, fielded: bytes, prepared: PreparedSignature, signers: Signers
) -> None:
    value = sign(prepared, signers.credential("participant"))
    newer = signers.sign(sealed, "employer")
    for other in (newer, fielded, sealed[:-1] + b" "):
        with pytest.raises(StaleSignature):
            embed(prepared, value, revision=other, timestamps=signers.timestamps)


@pytest.mark.parametrize("stored", [b"", b"{}", b"[]", b'{"format": "signert-prepared/0"}', b"\xff", b"null"])
def test_bytes_that_are_no_prepared_signature(stored: bytes) -> None:
    with pytest.raises(StaleSignature):
        PreparedSignature.from_bytes(stored)


def test_value_of_another_key_is_refused(
    sealed: bytes, prepared: PreparedSignature, signers: Signers
) -> None:
    with pytest.raises(CredentialError):
        sign(prepared, signers.credential("seal"))
    for other in ("seal", "employer", "adviser"):
        value = signers.credential(other).sign(prepared.signed_attributes)
        with pytest.raises(SignatureMismatch):
            embed(prepared, value, revision=sealed, timestamps=signers.timestamps)
    with pytest.raises(SignatureMismatch):
        embed(prepared, b"", revision=sealed, timestamps=signers.timestamps)


def test_value_over_other_attributes_is_refused(
    sealed: bytes, prepared: PreparedSignature, signers: Signers
) -> None:
    credential = signers.credential("participant")
    other = _prepare(sealed, signers)
    assert other.signed_attributes != prepared.signed_attributes
    with pytest.raises(SignatureMismatch):
        embed(
            prepared,
            credential.sign(other.signed_attributes),
            revision=sealed,
            timestamps=signers.timestamps,
        )


def _with_digest(attributes: bytes, digest: bytes) -> bytes:
    changed = cms.CMSAttributes.load(attributes)
    for attribute in changed:
        if attribute["type"].native == "message_digest":
            attribute["values"] = [digest]
    return bytes(changed.dump(force=True))


def test_tampered_attributes_are_refused(
    sealed: bytes, prepared: PreparedSignature, signers: Signers
) -> None:
    """Even when the key signed them: they must be for these bytes."""
    credential = signers.credential("participant")
    attributes = _with_digest(prepared.signed_attributes, bytes(32))
    tampered = replace(prepared, signed_attributes=attributes)
    with pytest.raises(SignatureMismatch):
        embed(tampered, credential.sign(attributes), revision=sealed, timestamps=signers.timestamps)
    broken = replace(prepared, signed_attributes=prepared.signed_attributes[:-1])
    with pytest.raises(SignatureMismatch):
        embed(
            broken, credential.sign(broken.signed_attributes), revision=sealed, timestamps=signers.timestamps
        )


def test_attributes_for_another_certificate_are_refused(
    sealed: bytes, prepared: PreparedSignature, signers: Signers
) -> None:
    other = signers.credential("seal")
    tampered = replace(prepared, identity=other.identity)
    value = other.sign(prepared.signed_attributes)
    with pytest.raises(SignatureMismatch):
        embed(tampered, value, revision=sealed, timestamps=signers.timestamps)


@pytest.mark.parametrize(
    "change",
    [
        lambda p: replace(
            p, increment=p.increment.replace(b"/PAdES", b"/pades").replace(b"Signert", b"Sign3rt")
        ),
        lambda p: replace(p, increment=p.increment + b"%"),
        lambda p: replace(p, reserved_start=p.reserved_start + 2),
        lambda p: replace(p, reserved_end=p.reserved_end - 2),
        lambda p: replace(p, reserved_start=0),
        lambda p: replace(p, document_digest=bytes(32)),
        lambda p: replace(p, increment=b""),
    ],
    ids=["bytes", "appended", "start", "end", "before", "digest", "empty"],
)
def test_tampered_document_is_refused(
    sealed: bytes,
    prepared: PreparedSignature,
    signers: Signers,
    change: Callable[[PreparedSignature], PreparedSignature],
) -> None:
    value = sign(prepared, signers.credential("participant"))
    with pytest.raises(SignatureMismatch):
        embed(change(prepared), value, revision=sealed, timestamps=signers.timestamps)


def test_fields_that_cannot_be_signed(fielded: bytes, sealed: bytes, signers: Signers) -> None:
    identity = signers.credential("seal").identity
    now = datetime.now(UTC)
    with pytest.raises(FieldPlaceError, match="signed already"):
        prepare(sealed, SignatureRequest("seal"), identity, at=now)
    with pytest.raises(FieldPlaceError, match="no signature field"):
        prepare(fielded, SignatureRequest("mentor"), identity, at=now)
    with pytest.raises(FieldPlaceError, match="comes first"):
        prepare(sealed, SignatureRequest("participant", certify=True), identity, at=now)
    with pytest.raises(RevisionBroken):
        prepare(b"no pdf", SignatureRequest("seal"), identity, at=now)
    with pytest.raises(RevisionBroken):
        prepare(fielded[:-500], SignatureRequest("seal"), identity, at=now)


def test_expired_certificate_is_not_used(fielded: bytes, signers: Signers) -> None:
    identity = signers.credential("expired").identity
    with pytest.raises(CredentialError, match="expired"):
        prepare(fielded, SignatureRequest("seal"), identity, at=datetime.now(UTC))
    with pytest.raises(CredentialError, match="not valid yet"):
        prepare(fielded, SignatureRequest("seal"), identity, at=datetime.now(UTC) - timedelta(days=365))


# Time-stamping authorities that fail


def _error(_: Request) -> Response:
    return Response("out of order", status=500)


def _nonsense(_: Request) -> Response:
    return Response(b"\x30\x03\x02\x01", mimetype="application/timestamp-reply")


def _page(_: Request) -> Response:
    return Response("<html>log in</html>", mimetype="text/html")


def _empty(_: Request) -> Response:
    return Response(b"", mimetype="application/timestamp-reply")


def _huge(_: Request) -> Response:
    return Response(b"\x30" * 200_000, mimetype="application/timestamp-reply")


def _redirect(request: Request) -> Response:
    return Response(status=302, headers={"Location": request.url})


def _rejection(_: Request) -> Response:
    status = tsp.PKIStatusInfo({"status": "rejection"})
    return Response(tsp.TimeStampResp({"status": status}).dump(), mimetype="application/timestamp-reply")


def _altered(signers: Signers, alter: Callable[[tsp.TimeStampReq], None]) -> Fault:
    """A real authority's answer to a question that was altered on the way."""

    def answer(request: Request) -> Response:
        question = tsp.TimeStampReq.load(request.get_data())
        alter(question)
        other = Request.from_values(path=request.path, method="POST", data=question.dump(force=True))
        return signers.pki.real_answer(other)

    return answer


def _other_nonce(question: tsp.TimeStampReq) -> None:
    question["nonce"] = 4711


def _other_imprint(question: tsp.TimeStampReq) -> None:
    question["message_imprint"]["hashed_message"] = bytes(32)


def _forged(signers: Signers) -> Fault:
    """A token with another time in it than was signed."""

    def answer(request: Request) -> Response:
        body = bytearray(signers.pki.real_answer(request).get_data())
        token = tsp.TimeStampResp.load(bytes(body))["time_stamp_token"]["content"]
        content = bytes(token["encap_content_info"]["content"])
        year = content.index(b"20", content.index(b"\x18"))
        body[bytes(body).index(content) + year + 3] ^= 1
        return Response(bytes(body), mimetype="application/timestamp-reply")

    return answer


@pytest.mark.parametrize(
    "fault",
    ["error", "nonsense", "page", "empty", "huge", "redirect", "rejection", "nonce", "imprint", "forged"],
)
def test_a_failing_authority_is_passed_over(sealed: bytes, signers: Signers, fault: str) -> None:
    answers: dict[str, Fault] = {
        "error": _error,
        "nonsense": _nonsense,
        "page": _page,
        "empty": _empty,
        "huge": _huge,
        "redirect": _redirect,
        "rejection": _rejection,
        "nonce": _altered(signers, _other_nonce),
        "imprint": _altered(signers, _other_imprint),
        "forged": _forged(signers),
    }
    prepared = _prepare(sealed, signers)
    value = sign(prepared, signers.credential("participant"))
    with _client(signers, signers.pki.tsa_url) as alone, signers.pki.fault("/tsa/tsa", answers[fault]):
        with pytest.raises(TimestampUnavailable) as caught:
            embed(prepared, value, revision=sealed, timestamps=alone)
        assert caught.value.retryable
    with (
        _client(signers, signers.pki.tsa_url, signers.pki.tsa2_url) as both,
        _broken_first(signers, answers[fault]),
    ):
        signed = embed(prepared, value, revision=sealed, timestamps=both)
    assert validate(signed, signers.trust).signatures[1].time is not None


@contextmanager
def _broken_first(signers: Signers, answer: Fault) -> Iterator[None]:
    """Only the first authority is broken, though its address is the beginning of the second's."""

    def either(request: Request) -> Response:
        if request.path.endswith("/tsa2"):
            return signers.pki.real_answer(request)
        return answer(request)

    with signers.pki.fault("/tsa/tsa", either):
        yield


@contextmanager
def _client(signers: Signers, *urls: str) -> Iterator[TimestampClient]:
    client = TimestampClient(urls, trust=signers.trust, timeout=5)
    try:
        yield client
    finally:
        client.close()


def test_authority_that_is_down(sealed: bytes, signers: Signers) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/tsa"
        prepared = _prepare(sealed, signers)
        value = sign(prepared, signers.credential("participant"))
        with _client(signers, url) as client, pytest.raises(TimestampUnavailable):
            embed(prepared, value, revision=sealed, timestamps=client)
        with _client(signers, url, signers.pki.tsa_url) as client:
            assert embed(prepared, value, revision=sealed, timestamps=client).startswith(sealed)


def test_authorities_are_tried_in_order(sealed: bytes, signers: Signers) -> None:
    before = len(signers.pki.requests)
    with _client(signers, signers.pki.tsa2_url, signers.pki.tsa_url) as client:
        signers.sign(sealed, "participant", timestamps=client)
    assert signers.pki.requests[before:] == ["/test/tsa/tsa2"]


def test_authority_without_trust(sealed: bytes, signers: Signers) -> None:
    prepared = _prepare(sealed, signers)
    value = sign(prepared, signers.credential("participant"))
    with (
        _client(signers, signers.pki.foreign_tsa_url) as client,
        pytest.raises(TimestampUnavailable, match="not trusted"),
    ):
        embed(prepared, value, revision=sealed, timestamps=client)


def test_token_larger_than_its_place(sealed: bytes, signers: Signers) -> None:
    client = TimestampClient([signers.pki.tsa_url], max_token_bytes=400)
    prepared = _prepare(sealed, signers)
    value = sign(prepared, signers.credential("participant"))
    with pytest.raises(TimestampUnavailable, match="too large"):
        embed(prepared, value, revision=sealed, timestamps=client)
    client.close()


def test_no_token_for_the_document(sealed: bytes, signers: Signers) -> None:
    with signers.pki.fault("/tsa/", _error), pytest.raises(TimestampUnavailable):
        signers.augment(sealed)


# Evidence about revocation


def _augment_anew(revision: bytes, signers: Signers) -> bytes:
    """By a collector that has kept nothing."""
    with closing(EvidenceCollector(timeout=5)) as fresh:
        return augment(revision, trust=signers.trust, timestamps=signers.timestamps, collector=fresh)


def _try_later(_: Request) -> Response:
    return Response(b"\x30\x03\x0a\x01\x03", mimetype="application/ocsp-response")


@pytest.mark.parametrize("answer", [_error, _nonsense, _empty, _huge, _try_later, _page])
def test_without_ocsp_nothing_is_written(sealed: bytes, signers: Signers, answer: Fault) -> None:
    with signers.pki.fault("/ocsp/", answer), pytest.raises(RevocationUnavailable) as caught:
        _augment_anew(sealed, signers)
    assert caught.value.retryable


def test_ocsp_answer_for_another_certificate(sealed: bytes, signers: Signers) -> None:
    from asn1crypto import ocsp

    def other(request: Request) -> Response:
        question = ocsp.OCSPRequest.load(request.get_data())
        question["tbs_request"]["request_list"][0]["req_cert"]["serial_number"] = 1
        altered = Request.from_values(path=request.path, method="POST", data=question.dump(force=True))
        return signers.pki.real_answer(altered)

    with signers.pki.fault("/ocsp/", other), pytest.raises(RevocationUnavailable):
        _augment_anew(sealed, signers)


def test_ocsp_answer_that_is_forged(sealed: bytes, signers: Signers) -> None:
    def forged(request: Request) -> Response:
        body = bytearray(signers.pki.real_answer(request).get_data())
        body[-40] ^= 1  # in the responder's certificate, the last thing in it
        signature = bytes(body).index(b"\x03", 300)
        body[signature + 12] ^= 1
        return Response(bytes(body), mimetype="application/ocsp-response")

    with signers.pki.fault("/ocsp/", forged), pytest.raises(RevocationUnavailable):
        _augment_anew(sealed, signers)


def test_without_crl_nothing_is_written(sealed: bytes, signers: Signers) -> None:
    with signers.pki.fault("/crls/", _error), pytest.raises(RevocationUnavailable):
        _augment_anew(sealed, signers)


def test_revoked_signer_is_not_augmented(fielded: bytes, signers: Signers) -> None:
    signed = signers.sign(fielded, "participant", by="revoked")
    with pytest.raises(CertificateRevoked):
        signers.augment(signed)


def test_unknown_signer_is_not_augmented(fielded: bytes, signers: Signers) -> None:
    signed = signers.sign(fielded, "participant", by="stranger")
    with pytest.raises(NotTrusted):
        signers.augment(signed)


def test_unsigned_document_is_not_augmented(fielded: bytes, signers: Signers) -> None:
    with pytest.raises(FieldPlaceError):
        signers.augment(fielded)
    with pytest.raises(RevisionBroken):
        signers.augment(b"%PDF-1.7 and no more")


def test_errors_name_no_person(fielded: bytes, signers: Signers) -> None:
    signed = signers.sign(fielded, "participant", by="stranger")
    with pytest.raises(NotTrusted) as caught:
        signers.augment(signed)
    assert "Stranger" not in str(caught.value)
