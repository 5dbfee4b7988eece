"""OCSP responders and CRLs that say anything, over real HTTP: what is taken, kept, waited for and refused."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import cms, core, ocsp, pdf
from cryptography import x509
from werkzeug.wrappers import Request, Response

from signing import (
    CertificateRevoked,
    EvidenceCollector,
    RevocationTooEarly,
    RevocationUnavailable,
    augment,
    revocation,
    validate,
)
from signing.der import SEQUENCE, SET, tlv
from signing.evidence import Evidence
from signing.revocation import Chain
from tests.outside_signer import Outside, prepare_outside
from tests.pki import TestPki
from tests.revocation import REVOKED, UNKNOWN, Issuing
from tests.signing_documents import Signers

pytestmark = pytest.mark.pki

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def issuing(pki: TestPki) -> Issuing:
    return Issuing(pki)


@pytest.fixture
def collector() -> Iterator[EvidenceCollector]:
    with closing(EvidenceCollector(timeout=5)) as collector:
        yield collector


def chain_to(certificate: x509.Certificate, issuing: Issuing, signers: Signers, **more: Any) -> Chain:
    used_at = more.pop("used_at", issuing.now)
    path = signers.trust.path(issuing.parsed(certificate), [issuing.issuer], at=used_at)
    return Chain(path, signers.trust, used_at, for_timestamp=False, **more)


def collected(collector: EvidenceCollector, *chains: Chain, at: datetime | None = None) -> Evidence:
    evidence = Evidence()
    collector.collect(chains, evidence, at=at)
    return evidence


# What a responder may say

Answer = Callable[[Issuing, x509.Certificate], bytes]


def _altered(issuing: Issuing, certificate: x509.Certificate) -> bytes:
    """Another status than was signed: revoked became good."""
    body = issuing.response(certificate, status=REVOKED, revoked=issuing.now - DAY)
    parsed = ocsp.OCSPResponse.load(body)
    basic = parsed.basic_ocsp_response
    basic["tbs_response_data"]["responses"][0]["cert_status"] = ocsp.CertStatus("good")
    parsed["response_bytes"]["response"] = core.ParsableOctetString(basic.dump(force=True))
    return bytes(parsed.dump(force=True))


UNUSABLE: dict[str, tuple[Answer, str]] = {
    "unknown": (lambda i, c: i.response(c, status=UNKNOWN), "does not know the certificate"),
    "stale": (lambda i, c: i.response(c, issued=-DAY, lasts=HOUR), "out of date"),
    "future": (lambda i, c: i.response(c, issued=DAY), "dated in the future"),
    "another": (lambda i, _: i.response(i.loaded("seal")), "for another certificate"),
    "altered": (_altered, "does not verify"),
    "foreign": (lambda i, c: i.response(c, by="stranger"), "not one of the certificate's issuer"),
    "not a responder": (lambda i, c: i.response(c, by="seal"), "not one of the certificate's issuer"),
    "try later": (lambda *_: b"\x30\x03\x0a\x01\x03", "status try_later"),
    "nonsense": (lambda *_: b"\x30\x82\xff", "malformed"),
    "page": (lambda *_: b"<html>log in</html>", "malformed"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_what_does_not_hold_gives_way_to_the_next_source(
    issuing: Issuing, signers: Signers, collector: EvidenceCollector, name: str
) -> None:
    answer, reason = UNUSABLE[name]
    certificate = issuing.certificate(responders=["bad"], lists=["list"])
    listed = issuing.crl()
    with issuing.answering(bad=lambda: answer(issuing, certificate), list=lambda: listed):
        evidence = collected(collector, chain_to(certificate, issuing, signers))
    assert issuing.asked == ["bad", "list"]
    assert listed in evidence.crls
    assert not [item for item in evidence.ocsps.values() if _is_about(item, certificate)]

    alone = issuing.certificate(responders=["bad"])
    with (
        issuing.answering(bad=lambda: answer(issuing, alone)),
        pytest.raises(RevocationUnavailable, match=reason),
    ):
        collected(collector, chain_to(alone, issuing, signers))


def test_the_next_responder_is_asked(
    issuing: Issuing, signers: Signers, collector: EvidenceCollector
) -> None:
    certificate = issuing.certificate(responders=["down", "up"], lists=["list"])
    with issuing.answering(up=lambda: issuing.response(certificate)):
        evidence = collected(collector, chain_to(certificate, issuing, signers))
    assert issuing.asked == ["down", "up"]
    assert [item for item in evidence.ocsps.values() if _is_about(item, certificate)]


def test_revoked_is_believed_at_once(
    issuing: Issuing, signers: Signers, collector: EvidenceCollector
) -> None:
    """No other source is asked to say better; what was revoked after its use was good then."""
    certificate = issuing.certificate(responders=["ocsp"], lists=["list"])
    revoked = issuing.now - timedelta(days=2)
    body = issuing.response(certificate, status=REVOKED, revoked=revoked)
    with issuing.answering(ocsp=lambda: body, list=issuing.crl):
        with pytest.raises(CertificateRevoked):
            collected(collector, chain_to(certificate, issuing, signers))
        assert issuing.asked == ["ocsp"]
        before = chain_to(certificate, issuing, signers, used_at=revoked - HOUR)
        assert body in collected(collector, before).ocsps


@pytest.mark.parametrize(
    ("extension", "reason"),
    [
        (x509.DeltaCRLIndicator(1), "a delta CRL"),
        ({"indirect_crl": True}, "an indirect CRL"),
        ({"only_some_reasons": frozenset({x509.ReasonFlags.key_compromise})}, "some reasons only"),
        ({"only_contains_ca_certs": True}, "other kinds of certificates"),
        ({"only_contains_attribute_certs": True}, "other kinds of certificates"),
        (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), "is not known here"),
    ],
)
def test_a_crl_that_does_not_tell_all_is_refused(
    issuing: Issuing, signers: Signers, collector: EvidenceCollector, extension: Any, reason: str
) -> None:
    if isinstance(extension, dict):
        nothing: dict[str, Any] = {
            "full_name": None, "relative_name": None, "only_contains_user_certs": False,
            "only_contains_ca_certs": False, "only_some_reasons": None, "indirect_crl": False,
            "only_contains_attribute_certs": False,
        }  # fmt: skip
        extension = x509.IssuingDistributionPoint(**(nothing | extension))
    certificate = issuing.certificate(lists=["partial"])
    with (
        issuing.answering(partial=lambda: issuing.crl(extensions=[extension])),
        pytest.raises(RevocationUnavailable, match=reason),
    ):
        collected(collector, chain_to(certificate, issuing, signers))


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"name": "root", "by": "root"}, "another issuer's"),
        ({"by": "root"}, "does not verify"),
        ({"issued": -2 * DAY}, "out of date"),
        ({"issued": DAY}, "dated in the future"),
    ],
)
def test_a_crl_that_does_not_hold(
    issuing: Issuing, signers: Signers, collector: EvidenceCollector, given: dict[str, Any], reason: str
) -> None:
    certificate = issuing.certificate(lists=["wrong", "right"])
    with issuing.answering(wrong=lambda: issuing.crl(**given), right=issuing.crl):
        evidence = collected(collector, chain_to(certificate, issuing, signers))
        assert issuing.crl() in evidence.crls
        assert issuing.asked == ["wrong", "right"]
    with (
        issuing.answering(wrong=lambda: issuing.crl(**given)),
        closing(EvidenceCollector(timeout=5)) as fresh,
        pytest.raises(RevocationUnavailable, match=reason),
    ):
        collected(fresh, chain_to(certificate, issuing, signers))


# What is kept, and how old it may be


def test_an_answer_is_kept_while_it_is_fresh(
    issuing: Issuing, signers: Signers, collector: EvidenceCollector
) -> None:
    certificate = issuing.certificate(responders=["ocsp"])
    used = chain_to(certificate, issuing, signers)
    moment = issuing.now

    def asked(after: timedelta) -> int:
        before = len(issuing.asked)
        issuing.now = moment + after
        collected(collector, used, at=issuing.now)
        return len(issuing.asked) - before

    with issuing.answering(ocsp=lambda: issuing.response(certificate, lasts=timedelta(minutes=40))):
        assert [asked(timedelta(minutes=m)) for m in (0, 1, 39, 41, 60, 80, 82)] == [1, 0, 0, 1, 0, 0, 1]
    issuing.now = moment + DAY
    with issuing.answering(ocsp=lambda: issuing.response(certificate, lasts=10 * DAY)):
        assert [asked(DAY + timedelta(minutes=m)) for m in (0, 59, 62)] == [1, 0, 1]


def test_for_a_later_signature_an_answer_is_fetched_anew(
    issuing: Issuing, signers: Signers, collector: EvidenceCollector
) -> None:
    certificate = issuing.certificate(responders=["ocsp"])
    with issuing.answering(ocsp=lambda: issuing.response(certificate)):
        collected(collector, chain_to(certificate, issuing, signers))
        later = issuing.now + timedelta(minutes=1)
        collected(collector, chain_to(certificate, issuing, signers, used_at=later), at=later)
    assert issuing.asked == ["ocsp", "ocsp"]


def test_what_is_kept_has_bounds(issuing: Issuing, signers: Signers) -> None:
    lists = [f"list{number}" for number in range(4)]
    certificates = [issuing.certificate(lists=[name]) for name in lists]
    body = issuing.crl()
    with (
        closing(EvidenceCollector(timeout=5, max_kept=3)) as few,
        closing(EvidenceCollector(timeout=5, max_kept_bytes=len(body) * 3 // 2)) as small,
        issuing.answering(**dict.fromkeys(lists, lambda: body)),
    ):
        for collector, kept in ((few, 3), (small, 1)):
            for certificate in certificates:
                collected(collector, chain_to(certificate, issuing, signers, used_at=issuing.now - HOUR))
            assert len(collector._kept) == kept


def test_evidence_about_an_end_certificate_may_have_a_greatest_age(
    issuing: Issuing, signers: Signers
) -> None:
    """The issuing CA's own evidence, a CRL of its root, is older than that, as it may be."""
    certificate = issuing.certificate(responders=["ocsp"], lists=["list"])
    chain = chain_to(certificate, issuing, signers)
    old, new = issuing.response(certificate, issued=-2 * HOUR, lasts=DAY), issuing.crl(issued=-HOUR / 2)
    with closing(EvidenceCollector(timeout=5, max_age=HOUR)) as strict:
        with issuing.answering(ocsp=lambda: old, list=lambda: new):
            assert new in collected(strict, chain).crls
        with (
            issuing.answering(ocsp=lambda: old, list=lambda: issuing.crl(issued=-2 * HOUR)),
            closing(EvidenceCollector(timeout=5, max_age=HOUR)) as fresh,
            pytest.raises(RevocationUnavailable, match="older than 1:00:00"),
        ):
            collected(fresh, chain)


# The grace period


def test_within_the_grace_period_nobody_is_asked(
    issuing: Issuing, signers: Signers, collector: EvidenceCollector
) -> None:
    certificate = issuing.certificate(responders=["ocsp"])
    end = issuing.now + HOUR
    with (
        issuing.answering(ocsp=lambda: issuing.response(certificate)),
        pytest.raises(RevocationTooEarly) as caught,
    ):
        collected(collector, chain_to(certificate, issuing, signers, issued_after=end), at=issuing.now)
    assert (caught.value.retry_at, caught.value.retryable, issuing.asked) == (end, True, [])


def test_after_the_grace_period_evidence_must_be_from_after_it(
    issuing: Issuing, signers: Signers, collector: EvidenceCollector
) -> None:
    certificate = issuing.certificate(responders=["ocsp"], lists=["list"])
    end, now = issuing.now + HOUR, issuing.now + HOUR + timedelta(minutes=1)
    waited = chain_to(certificate, issuing, signers, issued_after=end)
    old = issuing.response(certificate, lasts=timedelta(minutes=65))
    with (
        issuing.answering(ocsp=lambda: old, list=lambda: issuing.crl(issued=-DAY, lasts=3 * DAY)),
        pytest.raises(RevocationTooEarly, match="it was issued") as caught,
    ):
        collected(collector, waited, at=now)
    assert caught.value.retry_at == issuing.now + timedelta(minutes=65)  # then there is another one
    new = issuing.response(certificate, issued=HOUR)
    with issuing.answering(ocsp=lambda: new):
        assert new in collected(collector, waited, at=now).ocsps


def test_augmentation_waits_for_the_grace_period(sealed: bytes, signers: Signers) -> None:
    signed = signers.sign(sealed, "participant")
    last = validate(signed, signers.trust).signatures[-1].time
    assert last is not None
    with closing(EvidenceCollector(timeout=5)) as fresh, pytest.raises(RevocationTooEarly) as caught:
        augment(signed, trust=signers.trust, timestamps=signers.timestamps, collector=fresh, grace=HOUR)
    assert caught.value.retry_at == last + HOUR


# Stapled to a signature from outside


@pytest.fixture
def outside(sealed: bytes, signers: Signers, tmp_path: Path) -> Outside:
    return Outside(signers, sealed, prepare_outside(sealed), tmp_path)


def _in_crls(response: bytes, outside: Outside) -> bytes:
    """RFC 5940."""
    other = cms.OtherRevocationInfoFormat(
        {"other_rev_info_format": "ocsp_response", "other_rev_info": ocsp.OCSPResponse.load(response)}
    ).dump()
    return outside.by_hand(evidence=[b"\xa1" + other[1:]])


def _in_attribute(response: bytes, outside: Outside) -> bytes:
    """adbe-revocationInfoArchival, which is signed."""
    archive = pdf.RevocationInfoArchival({"ocsp": [ocsp.OCSPResponse.load(response)]}).dump()
    return _with_archive(archive, outside)


def _with_archive(archive: bytes, outside: Outside) -> bytes:
    kind = cms.CMSAttributeType("adobe_revocation_info_archival").dump()
    attribute = tlv(SEQUENCE, kind + tlv(SET, archive))

    def change(attributes: bytes) -> bytes:
        items = [item.dump() for item in cms.CMSAttributes.load(attributes)]
        return tlv(SET, b"".join(sorted([*items, attribute])))

    return outside.by_hand(change=change)


@pytest.mark.parametrize("staple", [_in_crls, _in_attribute])
def test_stapled_evidence_does_where_the_responder_is_down(
    outside: Outside, issuing: Issuing, signers: Signers, staple: Callable[[bytes, Outside], bytes]
) -> None:
    response = issuing.response(issuing.loaded("person"))
    signed = outside.embed(staple(response, outside))

    def only_the_seal(request: Request) -> Response:
        if _asks_for(request, issuing.loaded("person")):
            return Response(status=503)
        return signers.pki.real_answer(_again(request))

    with signers.pki.fault("/ocsp/", only_the_seal), closing(EvidenceCollector(timeout=5)) as fresh:
        final = augment(signed, trust=signers.trust, timestamps=signers.timestamps, collector=fresh)
        report = validate(final, signers.trust)
        assert (report.indication, {s.level for s in report.signatures}) == ("TOTAL-PASSED", {"B-LTA"})

        bare = outside.embed(outside.by_hand())
        with pytest.raises(RevocationUnavailable):
            augment(bare, trust=signers.trust, timestamps=signers.timestamps, collector=fresh)


@pytest.mark.parametrize("name", UNUSABLE)
def test_stapled_evidence_is_held_to_the_same(
    outside: Outside, issuing: Issuing, signers: Signers, name: str
) -> None:
    answer, _ = UNUSABLE[name]
    body = answer(issuing, issuing.loaded("person"))
    nonsense = name in ("nonsense", "page")  # no CMS can be put together of it
    made = _with_archive(b"\x30\x04\xa1\x02\x30\x00", outside) if nonsense else _in_crls(body, outside)
    signed = outside.embed(made)
    with (
        signers.pki.fault("/ocsp/", lambda _: Response(status=503)),
        closing(EvidenceCollector(timeout=5)) as fresh,
        pytest.raises(RevocationUnavailable),
    ):
        augment(signed, trust=signers.trust, timestamps=signers.timestamps, collector=fresh)
    with closing(EvidenceCollector(timeout=5)) as fresh:
        final = augment(signed, trust=signers.trust, timestamps=signers.timestamps, collector=fresh)
    assert validate(final, signers.trust).indication == "TOTAL-PASSED"


def test_a_stapled_word_of_revocation_counts(outside: Outside, issuing: Issuing, signers: Signers) -> None:
    moment = issuing.now - DAY
    response = issuing.response(issuing.loaded("person"), status=REVOKED, revoked=moment, issued=HOUR / 30)
    signed = outside.embed(_in_crls(response, outside))
    with closing(EvidenceCollector(timeout=5)) as fresh, pytest.raises(CertificateRevoked):
        augment(signed, trust=signers.trust, timestamps=signers.timestamps, collector=fresh)


def _is_about(item: ocsp.OCSPResponse, certificate: x509.Certificate) -> bool:
    (single,) = item.response_data["responses"]
    return bool(single["cert_id"]["serial_number"].native == certificate.serial_number)


def _asks_for(request: Request, certificate: x509.Certificate) -> bool:
    (asked,) = ocsp.OCSPRequest.load(request.get_data())["tbs_request"]["request_list"]
    return bool(asked["req_cert"]["serial_number"].native == certificate.serial_number)


def _again(request: Request) -> Request:
    return Request.from_values(path=request.path, method="POST", data=request.get_data())


# Threads


def test_what_is_fetched_is_fetched_at_the_same_time_by_few_threads(
    issuing: Issuing, signers: Signers, collector: EvidenceCollector
) -> None:
    names = ["first", "second", "third"]
    made = {name: issuing.certificate(responders=[name]) for name in names}
    answers = {name: issuing.response(each) for name, each in made.items()}
    all_asked = threading.Barrier(len(names), timeout=10)

    def answer(name: str) -> bytes:
        all_asked.wait()  # nobody is answered before all are asked
        return answers[name]

    for _ in range(8):
        with issuing.answering(**{name: partial(answer, name) for name in names}):
            evidence = collected(collector, *(chain_to(each, issuing, signers) for each in made.values()))
        assert set(answers.values()) <= set(evidence.ocsps)
        collector._kept.clear()
    assert len(issuing.asked) == 8 * len(names)
    assert len([each for each in threading.enumerate() if each.name.startswith("evidence")]) <= 8


def test_for_what_is_at_hand_there_is_no_thread(
    issuing: Issuing, signers: Signers, collector: EvidenceCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed, made = issuing.crl(), [issuing.certificate(lists=["list"]) for _ in range(3)]
    chains = [chain_to(each, issuing, signers, used_at=issuing.now - HOUR) for each in made]
    with issuing.answering(list=lambda: listed):
        first = collected(collector, *chains)
    asked = len(signers.pki.requests)
    monkeypatch.setattr(revocation, "_threads", None)
    again = collected(collector, *chains)
    assert list(again.crls) == list(first.crls)
    assert listed in again.crls
    assert len(signers.pki.requests) == asked
