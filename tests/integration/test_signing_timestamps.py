"""Time-stamping authorities that fail in every way: passed over, left alone, and never the end of a document."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from asn1crypto import cms, core, tsp, x509
from werkzeug.wrappers import Request, Response

from service.domain.agreement import Status
from service.pipeline.sweep import sweep
from signing import (
    SignatureRequest,
    SignatureTooLarge,
    TimestampClient,
    TimestampTooLarge,
    TimestampUnavailable,
    augment,
    embed,
    prepare,
    sign,
    validate,
)
from signing.breaker import BreakerRule
from tests.agreements import Running
from tests.fakes import ManualClock
from tests.outside_signer import Outside, prepare_outside
from tests.parties import OTHERS, Case, new_case
from tests.pki import Fault
from tests.signing_documents import Signers

pytestmark = pytest.mark.pki

DIGEST = hashlib.sha256(b"value").digest()


class Seconds:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def open_client(signers: Signers) -> Iterator[Callable[..., TimestampClient]]:
    with contextlib.ExitStack() as stack:

        def opened(*urls: str, **options: Any) -> TimestampClient:
            given = {"trust": signers.trust, "timeout": 5.0} | options
            client = TimestampClient(urls, **given)
            return stack.enter_context(contextlib.closing(client))

        yield opened


def failing(_: Request) -> Response:
    return Response(status=500)


def rejected(reason: str) -> Fault:
    class Answer(core.Sequence):  # type: ignore[misc]
        _fields: ClassVar = [("status", tsp.PKIStatusInfo)]

    status = tsp.PKIStatusInfo({"status": "rejection", "fail_info": tsp.PKIFailureInfo({reason})})
    return lambda _: Response(Answer({"status": status}).dump(), mimetype="application/timestamp-reply")


def padded(signers: Signers, least: int) -> Fault:
    """The real authority's answer, with certificates in its token until that has `least` bytes."""

    def answer(request: Request) -> Response:
        real = tsp.TimeStampResp.load(signers.pki.real_answer(request).get_data())
        token = real["time_stamp_token"]
        certificates = [choice.chosen.dump() for choice in token["content"]["certificates"]]
        more = signers.credential("seal").identity.chain
        while sum(map(len, certificates)) < least:
            certificates += more
        signed = token["content"].copy()
        signed["certificates"] = [
            cms.CertificateChoices("certificate", x509.Certificate.load(der)) for der in certificates
        ]
        larger = cms.ContentInfo({"content_type": "signed_data", "content": signed})
        reply = tsp.TimeStampResp({"status": real["status"], "time_stamp_token": larger})
        return Response(reply.dump(), mimetype="application/timestamp-reply")

    return answer


# One authority after the other


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        ("tsa-expired", "not valid at its own time"),
        ("tsa-other-purpose", "not one for time-stamping"),
        ("foreign-tsa", "not trusted"),
    ],
)
def test_an_authority_with_another_certificate_is_passed_over(
    signers: Signers, open_client: Callable[..., TimestampClient], label: str, reason: str
) -> None:
    pki = signers.pki
    url = pki.foreign_tsa_url if label == "foreign-tsa" else pki.authority_url(label)
    with pytest.raises(TimestampUnavailable, match=reason):
        open_client(url).timestamp(DIGEST, "sha256")
    assert open_client(url, pki.tsa_url).timestamp(DIGEST, "sha256").url == pki.tsa_url


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
def test_every_digest(signers: Signers, open_client: Callable[..., TimestampClient], algorithm: str) -> None:
    digest = hashlib.new(algorithm, b"value").digest()
    token = open_client(signers.pki.tsa_url).timestamp(digest, algorithm)
    imprint = _info(token.encoded)["message_imprint"].native
    assert (imprint["hash_algorithm"]["algorithm"], imprint["hashed_message"]) == (algorithm, digest)


def test_a_connection_that_hangs(signers: Signers, open_client: Callable[..., TimestampClient]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # connections are made, and nobody takes them
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/tsa"
        client = open_client(url, signers.pki.tsa_url, timeout=0.3)
        assert client.timestamp(DIGEST, "sha256").url == signers.pki.tsa_url
        assert [a.failures for a in client.authorities] == [1, 0]


@pytest.mark.parametrize("part", ["head", "body"])
def test_an_answer_that_drips(
    signers: Signers, open_client: Callable[..., TimestampClient], part: str
) -> None:
    pieces, dripped = 3000, []

    def serve(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(65_536)
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/timestamp-reply\r\n"
            connection.sendall(head if part == "head" else head + b"Content-Length: 30000\r\n\r\n")
            waiting = threading.Event()
            with contextlib.suppress(OSError):
                for _ in range(pieces):
                    connection.sendall(b"x")
                    dripped.append(1)
                    waiting.wait(0.01)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,))
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/tsa"
        client = open_client(url, signers.pki.tsa_url, timeout=0.5)
        assert client.timestamp(DIGEST, "sha256").url == signers.pki.tsa_url
        thread.join()
    assert 0 < len(dripped) < pieces


def test_a_time_far_from_our_clock_is_refused(
    signers: Signers, open_client: Callable[..., TimestampClient]
) -> None:
    for minutes, word in ((-6, "+3"), (6, "-3")):
        client = open_client(
            signers.pki.tsa_url, clock=lambda m=minutes: datetime.now(UTC) + timedelta(minutes=m)
        )
        with pytest.raises(TimestampUnavailable, match="this machine's clock") as caught:
            client.timestamp(DIGEST, "sha256")
        assert f"its time is {word}" in caught.value.message
    near = open_client(signers.pki.tsa_url, clock=lambda: datetime.now(UTC) + timedelta(minutes=4))
    assert near.timestamp(DIGEST, "sha256")


def test_the_policy_is_asked_for_and_checked(
    signers: Signers, open_client: Callable[..., TimestampClient]
) -> None:
    own = _info(open_client(signers.pki.tsa_url).timestamp(DIGEST, "sha256").encoded)["policy"].dotted
    asked = []

    def noted(request: Request) -> Response:
        question = request.get_data()
        asked.append(tsp.TimeStampReq.load(question)["req_policy"].native)
        again = Request.from_values(path=request.path, method="POST", data=question)
        return signers.pki.real_answer(again)

    with signers.pki.fault("/tsa/", noted):
        assert open_client(signers.pki.tsa_url, policy=own).timestamp(DIGEST, "sha256")
        with pytest.raises(TimestampUnavailable, match="another policy"):
            open_client(signers.pki.tsa_url, policy="0.4.0.2023.1.1").timestamp(DIGEST, "sha256")
    assert asked == [own, "0.4.0.2023.1.1"]


def test_a_rejection_tells_why(signers: Signers, open_client: Callable[..., TimestampClient]) -> None:
    rule = BreakerRule(failures=1)
    for reason, state in (("bad_alg", "closed"), ("system_failure", "open")):
        client = open_client(signers.pki.tsa_url, rule=rule)
        with (
            signers.pki.fault("/tsa/", rejected(reason)),
            pytest.raises(TimestampUnavailable, match=rf"rejection \({reason}\)"),
        ):
            client.timestamp(DIGEST, "sha256")
        # That it does not take what was asked for says nothing of whether it works.
        assert client.authorities[0].state == state


# Breaker and budget


def test_an_authority_that_fails_again_and_again_is_left_alone_for_a_while(
    signers: Signers, open_client: Callable[..., TimestampClient], caplog: pytest.LogCaptureFixture
) -> None:
    seconds, pki = Seconds(), signers.pki
    secret = pki.tsa2_url.replace("http://", "http://user:swordfish@")
    client = open_client(secret, pki.tsa_url, monotonic=seconds)

    def asked(times: int) -> list[str]:
        before = len(pki.requests)
        for _ in range(times):
            assert client.timestamp(DIGEST, "sha256")
        return [path.rpartition("/")[2] for path in pki.requests[before:]]

    with pki.fault("/tsa/tsa2", failing), caplog.at_level(logging.INFO):
        assert asked(5) == [*["tsa2", "tsa"] * 3, "tsa", "tsa"]
        seconds.now += 30
        assert asked(2) == ["tsa2", "tsa", "tsa"]  # one request tries it
    seconds.now += 59
    assert asked(1) == ["tsa"]
    seconds.now += 1
    assert asked(2) == ["tsa2", "tsa2"]
    assert [(a.tokens, a.failures, a.state) for a in client.authorities] == [
        (2, 4, "closed"),
        (8, 0, "closed"),
    ]
    assert "passed over for 30 s" in caplog.text
    assert "swordfish" not in caplog.text + repr(client.authorities)


def test_with_all_left_alone_nobody_is_asked(
    signers: Signers, open_client: Callable[..., TimestampClient]
) -> None:
    seconds = Seconds()
    client = open_client(signers.pki.tsa_url, monotonic=seconds)
    with signers.pki.fault("/tsa/", failing):
        for _ in range(3):
            with pytest.raises(TimestampUnavailable, match="HTTP status 500"):
                client.timestamp(DIGEST, "sha256")
    before = len(signers.pki.requests)
    with pytest.raises(
        TimestampUnavailable, match="passed over for 30 s, as it failed several times"
    ) as caught:
        client.timestamp(DIGEST, "sha256")
    assert caught.value.retryable
    assert signers.pki.requests[before:] == []
    seconds.now += 30
    assert client.timestamp(DIGEST, "sha256")


def test_all_authorities_share_one_time_budget(
    signers: Signers, open_client: Callable[..., TimestampClient]
) -> None:
    seconds, pki = Seconds(), signers.pki

    def slow(_: Request) -> Response:
        seconds.now += 4
        return Response(status=503)

    urls = [f"{pki.tsa_url}?{number}" for number in range(5)]
    before = len(pki.requests)
    with (
        pki.fault("/tsa/", slow),
        pytest.raises(TimestampUnavailable, match="not asked, the 10 s for all were over") as caught,
    ):
        open_client(*urls, budget=10.0, monotonic=seconds).timestamp(DIGEST, "sha256")
    assert len(pki.requests) - before == 3
    assert caught.value.message.count("HTTP status 503") == 3


def test_threads_share_a_client(signers: Signers, open_client: Callable[..., TimestampClient]) -> None:
    client = open_client(signers.pki.tsa2_url, signers.pki.tsa_url)
    digests = [hashlib.sha256(bytes([number])).digest() for number in range(24)]
    with signers.pki.fault("/tsa/tsa2", failing), ThreadPoolExecutor(8) as pool:
        tokens = list(pool.map(lambda digest: client.timestamp(digest, "sha256"), digests))
    assert [_info(t.encoded)["message_imprint"]["hashed_message"].native for t in tokens] == digests
    assert [a.tokens for a in client.authorities] == [0, 24]
    assert client.authorities[0].state == "open"


# Room


def test_a_token_has_the_room_it_needs(
    sealed: bytes, signers: Signers, open_client: Callable[..., TimestampClient]
) -> None:
    """The first signature tells the size; the next ones have room, and so has the document timestamp."""
    client = open_client(signers.pki.tsa_url)
    with signers.pki.fault("/tsa/", padded(signers, 20_000)):
        prepared = _prepare(sealed, signers, "participant")
        value = sign(prepared, signers.credential("participant"))
        with pytest.raises(TimestampTooLarge) as caught:
            embed(prepared, value, revision=sealed, timestamps=client)
        assert caught.value.retryable
        assert 20_000 < client.token_room < 32_000

        prepared = _prepare(sealed, signers, "participant", token_room=client.token_room)
        signed = embed(
            prepared, sign(prepared, signers.credential("participant")), revision=sealed, timestamps=client
        )
        # Another worker has met no such token, but sees it in the document.
        other = open_client(signers.pki.tsa_url)
        assert other.token_room < 20_000
        prepared = _prepare(signed, signers, "employer", token_room=other.token_room)
        signed = embed(
            prepared, sign(prepared, signers.credential("employer")), revision=signed, timestamps=other
        )
        fresh = open_client(signers.pki.tsa_url)
        final = augment(signed, trust=signers.trust, timestamps=fresh, collector=signers.collector)
    report = validate(final, signers.trust)
    assert report.indication == "TOTAL-PASSED"
    assert [(s.field, s.level) for s in report.signatures] == [
        (field, "B-LTA") for field in ("seal", "participant", "employer")
    ]


def test_a_smaller_token_of_the_next_authority_is_taken(
    sealed: bytes, signers: Signers, open_client: Callable[..., TimestampClient]
) -> None:
    pki = signers.pki
    client = open_client(pki.tsa2_url, pki.tsa_url)
    with pki.fault("/tsa/tsa2", padded(signers, 20_000)):
        signed = signers.sign(sealed, "participant", timestamps=client)
    assert validate(signed, signers.trust).signatures[1].time is not None
    assert [(a.tokens, a.failures) for a in client.authorities] == [(1, 0), (1, 0)]


def test_no_room_is_made_for_a_token_without_measure(
    sealed: bytes, signers: Signers, open_client: Callable[..., TimestampClient]
) -> None:
    client = open_client(signers.pki.tsa_url)
    with (
        signers.pki.fault("/tsa/", padded(signers, 70_000)),
        pytest.raises(TimestampUnavailable, match="65536 are the most"),
    ):
        signers.sign(sealed, "participant", timestamps=client)
    assert client.token_room == 10_240


def test_a_signature_without_room_for_any_timestamp(sealed: bytes, signers: Signers) -> None:
    prepared = _prepare(sealed, signers, "participant", reserved=3_000)
    value = sign(prepared, signers.credential("participant"))
    before = len(signers.pki.requests)
    with pytest.raises(SignatureTooLarge):
        embed(prepared, value, revision=sealed, timestamps=signers.timestamps)
    assert signers.pki.requests[before:] == []  # no token is spent on it


def test_a_cms_from_outside_waits_for_a_token_that_has_room(
    sealed: bytes, signers: Signers, tmp_path: Path
) -> None:
    outside = Outside(signers, sealed, prepare_outside(sealed), tmp_path)
    made = outside.openssl("-cades")
    with (
        signers.pki.fault("/tsa/", padded(signers, 40_000)),
        pytest.raises(TimestampTooLarge),
    ):
        outside.embed(made)
    assert outside.embed(made).startswith(sealed)


# In the pipeline


@pytest.fixture
def make_case(
    running: Running, signers: Signers, tmp_path: Path, open_client: Callable[..., TimestampClient]
) -> Callable[..., Case]:
    def make(*roles: str) -> Case:
        held = {role: signers.credential(role) for role in roles}
        client = open_client(signers.pki.tsa_url)
        return new_case(running.services, signers, tmp_path, held, timestamps=client)

    return make


@pytest.mark.office
def test_an_authority_with_large_tokens_costs_one_signature_more(
    make_case: Callable[..., Case], signers: Signers
) -> None:
    case = make_case("participant", "employer", "adviser")
    with signers.pki.fault("/tsa/", padded(signers, 20_000)):
        agreement = case.submit({})
    assert agreement.current.status is Status.SIGNED
    discarded = [e.data for e in case.services.ledger.read(case.id) if e.type == "signature-discarded"]
    assert [(d["field"], d["reason"]) for d in discarded] == [("seal", "timestamp_too_large")]


@pytest.mark.office
@pytest.mark.parametrize("late", [False, True])
def test_a_persons_signature_waits_a_while_for_a_token_that_has_room(
    make_case: Callable[..., Case], signers: Signers, late: bool
) -> None:
    case = make_case("participant", "adviser")
    clock = ManualClock(case.clock.now())
    case.services = replace(case.services, clock=clock)
    case.submit({"employer": OTHERS["employer"]})

    def signed(role: str) -> dict[str, Any]:
        case.send("sign", role=role, certificates=case.outside.certificates("organisation"))
        asked = case.asked(role)
        value = case.outside.value("organisation", asked)
        return {"role": role, "prepared": asked["prepared"], "signature": value}

    answer = signed("employer")
    with signers.pki.fault("/tsa/", padded(signers, 40_000)):
        parked = case.parked("complete-signature", **answer)
        assert (parked.step, parked.code) == ("sign:employer", "timestamp_too_large")
        if late:
            clock.advance(timedelta(minutes=16))
            assert list(sweep(case.services))
            kind, told = case.last_event()
            assert (kind, told["code"], told["role"]) == (
                "agreement.signature-refused", "timestamp_too_large", "employer",
            )  # fmt: skip
            agreement = case.send("complete-signature", **signed("employer"))  # with room
        else:
            (swept,) = sweep(case.services, everything=True)
            assert swept.outcome
            assert swept.outcome.parked
    if not late:
        (swept,) = sweep(case.services, everything=True)
        assert swept.outcome
        agreement = swept.outcome.agreement
    assert agreement.current.status is Status.SIGNED


def _prepare(revision: bytes, signers: Signers, field: str, **room: int) -> Any:
    request = SignatureRequest(field)
    return prepare(revision, request, signers.credential(field).identity, at=datetime.now(UTC), **room)


def _info(encoded: bytes) -> Any:
    return cms.ContentInfo.load(encoded)["content"]["encap_content_info"]["content"].parsed
