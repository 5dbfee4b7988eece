"""Five parties sign by four methods in two groups; what comes from outside is refused unless all of it is right."""

from __future__ import annotations

import base64
import importlib
import json
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pypdf
import pytest

from service.config import load_settings
from service.domain.agreement import PartyStatus, Status
from service.domain.folding import fold
from service.domain.periods import norwegian_date
from service.pipeline.archive import check_against_log
from service.pipeline.fsck import StoreCheck
from service.pipeline.sweep import sweep
from service.schemas import event_schema
from signing import Credential, validate
from tests import scans
from tests.fakes import ManualClock, told_times
from tests.parties import MINIMAL, OTHERS, Case, five_parties, new_case
from tests.signing_documents import Signers

pytestmark = [pytest.mark.office, pytest.mark.pki]

signing_prepare = importlib.import_module("signing.prepare")  # the package has a function of that name


@pytest.fixture
def make_case(running: Any, signers: Signers, tmp_path: Path) -> Callable[..., Case]:
    def make(credentials: Mapping[str, Credential], **keys: Any) -> Case:
        return new_case(running.services, signers, tmp_path, credentials, **keys)

    return make


@pytest.fixture
def case(make_case: Callable[..., Case], signers: Signers) -> Case:
    """The participant and the employer sign outside, the adviser by a key that the service has."""
    made = make_case({"adviser": signers.credential("adviser")})
    made.submit({r: OTHERS[r] for r in ("participant", "employer")})
    return made


@pytest.mark.parametrize(("mode", "version"), [("implicit", 2), ("oauth2code", 2), ("oauth2code", 1)])
def test_five_parties_by_four_methods_in_two_groups(
    running: Any, signers: Signers, tmp_path: Path, mode: str, version: int
) -> None:
    """The organiser's key is at a remote service, which signs when it is asked or when a person approves."""
    case = five_parties(running.services, signers, tmp_path, mode=mode, version=version)
    agreement = case.agreement
    current = agreement.current
    assert current.status is Status.SIGNED
    document = case.services.ledger.get_blob(agreement.id, current.document.sha256, "pdf")
    report = validate(document, signers.trust)
    assert check_against_log(current, document, report) == []
    assert {s.level for s in report.signatures} == {"B-LTA"}
    (tmp_path / "signed.pdf").write_bytes(document)
    said = subprocess.run(["pdfsig", "signed.pdf"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert said.stdout.count("Signature Validation: Signature is Valid.") == 6
    for event in case.events.events:
        assert event_schema(str(event["type"])).validate(dict(event)) == {}
    assert [
        f for f in StoreCheck(case.services.store, trust=signers.trust).run() if f.severity == "error"
    ] == []


def test_a_signature_by_the_wrong_person_is_refused_and_the_right_one_still_signs(case: Case) -> None:
    case.sign_with_cms("participant", "adviser")
    kind, told = case.last_event()
    assert (kind, told["role"], told["code"]) == (
        "agreement.signature-refused",
        "participant",
        "wrong_signer",
    )
    assert "17849431021" not in json.dumps(told)
    assert case.status("participant") is PartyStatus.WAITING
    case.sign_with_cms("participant", "person")
    assert case.status("participant") is PartyStatus.SIGNED


def test_a_certificate_of_another_is_refused_before_anybody_signs(case: Case) -> None:
    case.send("sign", role="employer", certificates=case.outside.certificates("person"))
    kind, told = case.last_event()
    assert (kind, told["code"]) == ("agreement.signature-refused", "wrong_signer")
    case.sign_with_value("employer", "organisation")
    assert case.status("employer") is PartyStatus.SIGNED


@pytest.mark.parametrize(("label", "code"), [("impostor", "not_trusted"), ("expired", "credential")])
def test_certificates_that_cannot_be_used(case: Case, label: str, code: str) -> None:
    case.send("sign", role="participant", certificates=case.outside.certificates(label))
    kind, told = case.last_event()
    assert (kind, told["code"]) == ("agreement.signature-refused", code), told


def test_a_person_known_by_the_provider_s_number(case: Case) -> None:
    """The certificate has the provider's reference; the provider tells whose it is."""
    told = {"method": "bankid", "level": "high", "time": "2026-11-22T10:00:00Z"}
    for evidence in (
        told,
        {**told, "subject_serial": "UN:NO-9578-5999-4-1234567", "national_id": "17849431021"},
    ):
        agreement = case.send("sign", role="participant", evidence=evidence)
        cms = case.outside.cms("person-by-reference", case.services, agreement)
        prepared = case.asked("participant")["prepared"]
        case.send("complete-signature", role="participant", prepared=prepared, cms=cms)
        if "national_id" not in evidence:
            assert case.last_event()[1]["code"] == "wrong_signer"
    assert case.status("participant") is PartyStatus.SIGNED


def test_what_comes_late_twice_or_for_other_bytes(case: Case) -> None:
    case.send("sign", role="participant")
    first = case.asked("participant")["prepared"]
    cms = case.outside.cms("person", case.services, case.agreement)
    clock = case.clock
    assert isinstance(clock, ManualClock) or clock
    assert case.refused("sign", role="employer") == "signing_in_progress"
    assert (
        case.refused("complete-signature", role="participant", prepared="0" * 64, cms=cms)
        == "stale_signature"
    )
    other = base64.b64encode(b"\x30\x03\x02\x01\x00").decode()
    case.send("complete-signature", role="participant", prepared=first, cms=other)
    assert case.last_event()[1]["code"] == "signature_malformed"
    assert (
        case.refused("complete-signature", role="participant", prepared=first, cms=cms)
        == "nothing_to_complete"
    )
    case.send("sign", role="participant")
    second = case.asked("participant")["prepared"]
    case.send(
        "complete-signature", role="participant", prepared=second, cms=cms
    )  # over the first one's bytes
    assert case.last_event()[1]["code"] == "signature_mismatch"
    case.sign_with_cms("participant", "person")
    assert (
        case.refused("complete-signature", role="participant", prepared=second, cms=cms) == "already_signed"
    )


def test_a_value_that_takes_more_room_than_was_kept_is_refused_and_not_parked(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an RSA key of 16384 bits would, or a large timestamp: what is signed for is told, and all can go on."""
    real = signing_prepare.space_for
    mine = case.outside.signers.credential("organisation").identity.certificate
    with monkeypatch.context() as small:
        small.setattr(
            signing_prepare,
            "space_for",
            lambda who, room: (
                1024 - case.services.keys.timestamps.token_room
                if who.certificate == mine
                else real(who, room)
            ),
        )
        case.sign_with_value("employer", "organisation")
    kind, told = case.last_event()
    assert (kind, told["code"]) == ("agreement.signature-refused", "signature_too_large")
    assert "1024 were kept free" in told["message"]
    case.sign_with_value("employer", "organisation")
    assert case.status("employer") is PartyStatus.SIGNED


def test_declined_after_one_has_signed(case: Case) -> None:
    case.sign_with_cms("participant", "person")
    before = case.agreement.current.revisions
    agreement = case.send("decline", role="employer", reason="content")
    assert agreement.current.status is Status.DECLINED
    assert agreement.current.revisions == before
    kind, told = case.last_event()
    assert (kind, told["role"], told["signed"]) == ("agreement.declined", "employer", ["participant"])
    assert case.refused("cancel", reason="other") == "declined"
    assert [f for f in StoreCheck(case.services.store).run() if f.severity == "error"] == []


def test_the_adviser_signs_for_a_participant_who_cannot(case: Case, tmp_path: Path) -> None:
    behalf = {"by": "adviser", "reason": "digital_skills", "informed": True}
    assert case.refused("sign", role="participant", on_behalf=behalf) == "employer_first"
    case.sign_with_value("employer", "organisation")
    assert case.refused("sign", role="participant", on_behalf={**behalf, "informed": False}) == "invalid"
    agreement = case.send("sign", role="participant", on_behalf=behalf)
    version = agreement.current
    assert version.status is Status.SIGNED
    assert version.party("participant").signed_by == "adviser"
    document = case.services.ledger.get_blob(case.id, version.document.sha256, "pdf")
    (tmp_path / "signed.pdf").write_bytes(document)
    text = subprocess.run(
        ["pdftotext", "-layout", tmp_path / "signed.pdf", "-"], capture_output=True, check=True
    )
    said = text.stdout.decode()
    assert "På vegne av" in said
    for reason in ("digital_skills", "digitale ferdigheter"):
        assert reason not in said
    assert version.receipt_sha256
    receipt = case.services.ledger.get_json(case.id, version.receipt_sha256)
    behalves = {s["field"]: (s["role"], s["on_behalf_of"]) for s in receipt["signatures"]}
    name = MINIMAL["parties"]["participant"]
    assert behalves["participant"] == ("adviser", f"{name['first_name']} {name['last_name']}")
    assert [
        f
        for f in StoreCheck(case.services.store, trust=case.outside.signers.trust).run()
        if f.severity == "error"
    ] == []


def test_a_level_that_is_demanded_must_be_shown(make_case: Callable[..., Case], signers: Signers) -> None:
    case = make_case({"adviser": signers.credential("adviser")})
    case.submit({r: OTHERS[r] for r in ("participant", "employer")}, parties={"employer": {"level": "high"}})
    certificates = case.outside.certificates("organisation")
    case.send("sign", role="employer", certificates=certificates)
    assert case.last_event()[1]["code"] == "wrong_signer"
    evidence = {"method": "buypass", "level": "high", "time": "2026-11-22T10:00:00Z"}
    case.send("sign", role="employer", certificates=certificates, evidence=evidence)
    assert case.asked("employer")["signed_attributes"]


def test_nobody_comes(make_case: Callable[..., Case], signers: Signers) -> None:
    case = make_case({"adviser": signers.credential("adviser")})
    clock = ManualClock(case.services.clock.now())
    case.services = replace(case.services, clock=clock)
    case.submit({r: OTHERS[r] for r in ("participant", "employer")}, expires_after_days=14)
    for _ in range(16):
        clock.advance(timedelta(days=1, minutes=1))
        list(sweep(case.services))
    told = [e.type for e in case.services.ledger.read(case.id)][-3:]
    assert told == ["reminded", "reminded", "expired"]
    assert case.events.types[-3:] == ["agreement.reminder", "agreement.reminder", "agreement.expired"]
    assert told_times(case.services.store) == []
    assert load_settings({}).approval == "automatic"


def test_a_participant_signs_on_paper_and_the_adviser_attests_it(
    make_case: Callable[..., Case], signers: Signers, tmp_path: Path
) -> None:
    case = make_case({"adviser": signers.credential("adviser")})
    case.submit({r: OTHERS[r] for r in ("participant", "employer")})
    ledger, version = case.services.ledger, case.agreement.current
    sealed = next(r for r in version.revisions if r.field == "seal")
    photo = scans.pixels(ledger.get_blob(case.id, sealed.sha256, "pdf"), "jpeg")
    today = norwegian_date(case.clock.now()).isoformat()
    paper = {"roles": ["participant"], "signed_on": today}
    inside = base64.b64encode(photo).decode()
    case.send("attach-paper", **paper, scan=scans.named(photo, "image/jpeg", content_base64=inside))
    kind, told = case.last_event()
    assert (kind, told["roles"], told["remaining"]) == (
        "agreement.paper-attached",
        ["participant"],
        ["employer", "adviser"],
    )
    assert inside[:64] not in json.dumps(case.events.events)
    # Better a whole PDF, which was put in the store: it takes the photo's place.
    scan = scans.pdf(pages=3, mark="signed")
    key = f"agreements/{case.id}/blobs/{scans.named(scan)['sha256']}.pdf"
    assert case.refused("attach-paper", **paper, scan=scans.named(scan)) == "scan_missing"
    case.services.store.create(key, scan)
    case.send("attach-paper", **paper, scan=scans.named(scan))
    assert case.last_event()[1]["replaces"] == ["participant"]
    assert case.status("participant") is PartyStatus.SIGNED_ON_PAPER
    agreement = case.sign_with_value("employer", "organisation")

    # The adviser's key would sign by itself, but nothing is attested by itself.
    assert [p.role for p in agreement.current.open_parties()] == ["adviser"]
    kind, told = case.last_event()
    assert (kind, told["role"], told["method"]) == ("agreement.signature-requested", "adviser", "approved")
    assert told["attests"][0]["scan"] == {"sha256": scans.named(scan)["sha256"], "storage_key": key}
    version = case.send("sign", role="adviser").current
    assert version.status is Status.SIGNED
    assert case.refused("attach-paper", **paper, scan=scans.named(scan)) == "already_signed"

    document = ledger.get_blob(case.id, version.document.sha256, "pdf")
    (tmp_path / "signed.pdf").write_bytes(document)
    said = subprocess.run(["pdfsig", "signed.pdf"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert said.stdout.count("Signature Validation: Signature is Valid.") == 3
    page = subprocess.run(
        ["pdftotext", "-layout", "signed.pdf", "-"], cwd=tmp_path, capture_output=True, check=True
    )
    assert "Attesterer også papirunderskrift fra deltaker" in " ".join(page.stdout.decode().split())
    reason = f"Attesterer papirunderskrift fra deltaker {today}, skann SHA-256 {scans.named(scan)['sha256']}"
    fields = pypdf.PdfReader(tmp_path / "signed.pdf").get_fields() or {}
    assert {n: f["/V"]["/Reason"] for n, f in fields.items() if "/Reason" in f.get("/V", {})} == {
        "adviser": reason
    }

    report = validate(document, signers.trust)
    assert check_against_log(version, document, report) == []
    entries = ledger.read(case.id)
    forged = [
        replace(e, data={**e.data, "signed_on": "2026-01-01"}) if e.type == "paper-attached" else e
        for e in entries
    ]
    assert check_against_log(fold(forged).current, document, report) == [
        "the signature of 'adviser' attests other signatures on paper than the log says"
    ]
    assert version.receipt_sha256 and version.receipt_pdf_sha256
    receipt = ledger.get_json(case.id, version.receipt_sha256)
    person = MINIMAL["parties"]["participant"]
    [told] = receipt["paper_signatures"]
    assert told.pop("attached_at").endswith("Z")
    assert told == {
        "role": "participant",
        "name": f"{person['first_name']} {person['last_name']}",
        "signed_on": today,
        "scan": {**scans.named(scan), "storage_key": key},
        "attested_by": "adviser",
    }
    assert [s["field"] for s in receipt["signatures"]] == ["employer", "adviser"]
    (tmp_path / "receipt.pdf").write_bytes(ledger.get_blob(case.id, version.receipt_pdf_sha256, "pdf"))
    page = subprocess.run(
        ["pdftotext", "-layout", "receipt.pdf", "-"], cwd=tmp_path, capture_output=True, check=True
    )
    assert "Signert på papir" in page.stdout.decode()
    assert scans.named(scan)["sha256"] in page.stdout.decode()
    for event in case.events.events:
        assert event_schema(str(event["type"])).validate(dict(event)) == {}
    assert [
        f for f in StoreCheck(case.services.store, trust=signers.trust).run() if f.severity == "error"
    ] == []
    case.services.store.put(key, scan + b" ")
    [found] = [f for f in StoreCheck(case.services.store).run() if f.severity == "error"]
    assert (found.code, found.where) == ("blob_altered", key)
