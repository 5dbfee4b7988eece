"""A party whose key is at a remote service approves there; whatever goes wrong is told, and the party can go again."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from werkzeug.wrappers import Request, Response

from service.domain.agreement import PartyStatus
from service.entrypoints import output
from service.pipeline.drive import Rest, drive
from service.pipeline.intake import receive
from service.pipeline.sweep import sweep
from signing import Credential, open_credential
from tests.cscserver import (
    CLIENT_SECRET,
    PERSONAL,
    CscServer,
    RemoteCredential,
    config_file,
    serve_csc,
    visit,
)
from tests.fakes import ManualClock
from tests.integration.test_parties_sign import make_case
from tests.parties import OTHERS, Case
from tests.pki import TestPki
from tests.signing_documents import Signers

__all__ = ["make_case"]

pytestmark = [pytest.mark.office, pytest.mark.pki]

REFUSED, SIGNED = "agreement.signature-refused", "agreement.party-signed"
ROLE = "employer"


@pytest.fixture
def csc(pki: TestPki) -> Iterator[CscServer]:
    with serve_csc(pki) as running:
        running.credentials[ROLE] = RemoteCredential("organisation", mode="oauth2code")
        yield running


@pytest.fixture
def read_timeout() -> str:
    """Seconds; a service that is to be slow makes it shorter."""
    return "30"


@pytest.fixture
def case(
    make_case: Callable[[Mapping[str, Credential]], Case],
    csc: CscServer,
    signers: Signers,
    tmp_path: Path,
    read_timeout: str,
) -> Case:
    """The employer approves at a signing service; the adviser is asked afterwards."""
    remote = config_file(
        tmp_path,
        f"{csc.url}/csc/v2",
        ROLE,
        authorization='"oauth2code"',
        info_max_age="0",
        read_timeout=read_timeout,
    )
    keys = {role: signers.credential("seal") for role in ("participant", "adviser")}
    made = make_case({**keys, ROLE: open_credential(f"csc:{remote}")})
    made.submit({ROLE: OTHERS[ROLE]}, parties={"adviser": {"method": "approved"}})
    return made


def gone(case: Case) -> dict[str, str]:
    """The party says that it signs, goes to the service, and is back."""
    case.send("sign", role=ROLE)
    return visit(case.asked(ROLE)["authorization_url"])


def back(case: Case, came: Mapping[str, str]) -> tuple[str, str]:
    """What is told when this came back: the event, and its code."""
    before = len(case.events.events)
    case.send("complete-signature", role=ROLE, authorization=came)
    (event, *_) = case.events.events[before:]
    data: Any = event["data"]
    assert data["role"] == ROLE
    return str(event["type"]), data.get("code", "")


def assert_refused_and_still_signable(case: Case, code: str) -> None:
    kind, told = case.last_event()
    assert (kind, told["role"], told["code"]) == (REFUSED, ROLE, code)
    assert told["message"]
    assert case.status(ROLE) is PartyStatus.WAITING
    assert case.agreement.current.prepared is None
    assert_nothing_personal_or_secret(case)
    case.sign_by_redirect(ROLE)
    assert case.status(ROLE) is PartyStatus.SIGNED


def assert_nothing_personal_or_secret(case: Case, *secrets: str) -> None:
    """Not in the log, which holds the events too."""
    said = b"".join(entry.body for entry in case.services.ledger.read(case.id)).decode()
    for word in (*PERSONAL.replace(",", "").split(), CLIENT_SECRET, *secrets):
        assert word not in said


def test_what_the_case_system_is_told(case: Case, csc: CscServer, capsys: pytest.CaptureFixture[str]) -> None:
    (first,) = [e["data"] for e in case.events.events if e["type"] == "agreement.signature-requested"]
    assert (first["method"], "to_sign" in first) == ("redirect", False)
    agreement = case.send("sign", role=ROLE)
    asked = case.asked(ROLE)
    assert asked["authorization_url"].startswith(f"{csc.url}/oauth2/authorize?")
    assert "signed_attributes" not in asked
    entries = case.services.ledger.read(case.id)
    output.agreement(agreement, entries, [], [], as_json=False)
    shown = capsys.readouterr().out
    assert f"Waited for at its signing service: {ROLE}, until {asked['expires_at']}" in shown
    assert asked["authorization_url"] in shown
    came = visit(asked["authorization_url"])
    assert came["state"] == asked["state"]
    assert back(case, came)[0] == SIGNED
    (form,) = [f for f in csc.asked("oauth2/token") if f["grant_type"] == "authorization_code"]
    assert_nothing_personal_or_secret(case, came["code"], form["code_verifier"])


def test_each_event_names_the_command_that_led_to_it(case: Case) -> None:
    came = gone(case)
    back(case, {**came, "code": "another"})
    case.sign_by_redirect(ROLE)
    commands = [e.data["command_id"] for e in case.services.ledger.read(case.id) if "command_id" in e.data]
    submit, *later = commands
    told = [
        (e["type"].removeprefix("agreement."), e["data"]["command_id"])
        for e in case.events.events
        if "command_id" in e["data"]
    ]
    assert told == [
        ("rendered", submit),
        ("signature-requested", later[0]),
        ("signature-refused", later[1]),
        ("signature-requested", later[2]),
        ("party-signed", later[3]),
    ]


def test_another_state_is_refused_and_the_person_who_was_sent_is_not_disturbed(case: Case) -> None:
    came = gone(case)
    for wrong in ("another", came["state"].swapcase()):
        assert (
            case.refused("complete-signature", role=ROLE, authorization={**came, "state": wrong})
            == "wrong_state"
        )
    other = {"error": "access_denied", "state": "another"}
    assert case.refused("complete-signature", role=ROLE, authorization=other) == "wrong_state"
    cms = case.outside.certificates("organisation")[0]
    prepared = case.asked(ROLE)["prepared"]
    assert (
        case.refused("complete-signature", role=ROLE, prepared=prepared, cms=cms) == "authorization_expected"
    )
    assert back(case, came) == (SIGNED, "")
    assert case.refused("complete-signature", role=ROLE, authorization=came) == "already_signed"


def test_a_code_that_is_wrong_used_or_expired(case: Case, csc: CscServer) -> None:
    came = gone(case)
    assert back(case, {**came, "code": "another"}) == (REFUSED, "authorization_refused")
    again = gone(case)
    assert again["state"] != came["state"]
    assert back(case, {**again, "code": came["code"]}) == (
        REFUSED,
        "authorization_refused",
    )  # of the first time
    late = gone(case)
    csc.clock.advance(timedelta(seconds=60))
    assert back(case, late) == (REFUSED, "authorization_refused")
    assert_refused_and_still_signable(case, "authorization_refused")


def test_a_person_who_says_no_and_changes_their_mind(case: Case, csc: CscServer) -> None:
    csc.approves = False
    came = gone(case)
    assert came["error"] == "access_denied"
    case.send("complete-signature", role=ROLE, authorization={k: came[k] for k in ("error", "state")})
    csc.approves = True
    assert_refused_and_still_signable(case, "access_denied")


def test_a_service_that_ends_the_approval_with_an_error(case: Case) -> None:
    came = gone(case)
    assert back(case, {"error": "server_error", "state": came["state"]}) == (REFUSED, "authorization_failed")
    assert_refused_and_still_signable(case, "authorization_failed")


def answer(status: int, **content: Any) -> Callable[[Request], Response]:
    body = json.dumps({"error_description": PERSONAL, **content})
    return lambda _: Response(body, status, content_type="application/json")


@pytest.mark.parametrize(
    ("method", "fault", "code"),
    [
        ("oauth2/token", answer(503), "credential_unavailable"),
        ("oauth2/token", answer(400, error="invalid_request"), "credential"),
        ("signatures/signHash", answer(500), "credential_unavailable"),
        ("signatures/signHash", answer(401), "authorization_refused"),
        ("signatures/signHash", answer(200, signatures=["MAYCAQECAQE="]), "signature_mismatch"),
        ("signatures/signHash", answer(200, signatures=[]), "credential"),
    ],
)
def test_a_service_that_answers_badly_when_the_person_is_back(
    case: Case, csc: CscServer, method: str, fault: Any, code: str
) -> None:
    came = gone(case)
    with csc.fault(method, fault):
        assert back(case, came) == (REFUSED, code)
    assert_refused_and_still_signable(case, code)


@pytest.mark.parametrize("read_timeout", ["3"])
def test_a_service_that_is_slow(case: Case, csc: CscServer) -> None:
    came = gone(case)
    released = threading.Event()

    def slow(request: Request) -> Response:
        released.wait(30)
        return csc.real_answer(request)

    with csc.fault("signatures/signHash", slow):
        assert back(case, came) == (REFUSED, "credential_unavailable")
        released.set()
    assert_refused_and_still_signable(case, "credential_unavailable")


def test_a_service_that_is_away_when_the_person_wants_to_sign(case: Case, csc: CscServer) -> None:
    with csc.fault("credentials/info", answer(503)):
        case.send("sign", role=ROLE)
    assert_refused_and_still_signable(case, "credential_unavailable")


def test_a_service_that_is_away_before_the_code_is_used_is_tried_again(case: Case, csc: CscServer) -> None:
    came = gone(case)
    command = {
        "command_id": "5f0c7f0a-91d4-4b53-8d0e-6a1b2c3d4e5f",
        "agreement_id": case.id,
        "role": ROLE,
        "authorization": came,
    }
    with csc.fault("credentials/info", answer(503)):
        outcome = drive(case.services, receive(case.services, "complete-signature", command))
    assert outcome.rest is Rest.PARKED
    assert outcome.parked
    assert outcome.parked.code == "credential_unavailable"
    list(sweep(case.services, everything=True))
    assert case.status(ROLE) is PartyStatus.SIGNED


def test_an_approval_is_not_lost_with_the_time_stamping_authority(
    case: Case, csc: CscServer, signers: Signers
) -> None:
    came = gone(case)
    command = {
        "command_id": "5f0c7f0a-91d4-4b53-8d0e-6a1b2c3d4e5f",
        "agreement_id": case.id,
        "role": ROLE,
        "authorization": came,
    }
    with signers.pki.fault("/tsa", lambda _: Response(status=503)):
        outcome = drive(case.services, receive(case.services, "complete-signature", command))
    assert outcome.parked
    assert outcome.parked.code == "timestamp_unavailable"
    list(sweep(case.services, everything=True))
    assert case.status(ROLE) is PartyStatus.SIGNED
    assert len(csc.asked("signatures/signHash")) == 1


def test_the_code_is_used_by_one_worker(case: Case, csc: CscServer) -> None:
    """While one asks for the signature, another one drives the same agreement."""
    came = gone(case)
    others: list[Any] = []

    def meanwhile(request: Request) -> Response:
        if request.form["grant_type"] == "authorization_code":
            others.extend(sweep(case.services, everything=True))
        return csc.real_answer(request)

    with csc.fault("oauth2/token", meanwhile):
        assert back(case, came)[0] == SIGNED
    (other,) = others
    assert other.outcome.parked.code == "authorization_in_use"
    redeemed = [f for f in csc.asked("oauth2/token") if f["grant_type"] == "authorization_code"]
    assert len(redeemed) == 1
    list(sweep(case.services, everything=True))
    assert list(case.services.store.list("work/")) == []


def test_another_s_certificate_is_refused_before_anybody_is_sent(case: Case, csc: CscServer) -> None:
    csc.credentials[ROLE].label = "person"
    case.send("sign", role=ROLE)
    kind, told = case.last_event()
    assert (kind, told["code"]) == (REFUSED, "wrong_signer")
    assert csc.asked("oauth2/authorize") == []


def test_a_certificate_that_changes_while_the_person_approves(case: Case, csc: CscServer) -> None:
    came = gone(case)
    csc.credentials[ROLE].label = "person"
    assert back(case, came) == (REFUSED, "credential")
    csc.credentials[ROLE].label = "organisation"
    assert_refused_and_still_signable(case, "credential")


def test_nobody_comes_back(case: Case) -> None:
    clock = ManualClock(case.services.clock.now())
    case.services = replace(case.services, clock=clock)
    came = gone(case)
    clock.advance(timedelta(minutes=16))
    assert case.refused("complete-signature", role=ROLE, authorization=came) == "signature_too_late"
    list(sweep(case.services))
    assert_refused_and_still_signable(case, "signature_too_late")


def test_a_service_that_stays_away_until_the_time_is_over(case: Case, csc: CscServer) -> None:
    clock = ManualClock(case.services.clock.now())
    case.services = replace(case.services, clock=clock)
    came = gone(case)
    command = {
        "command_id": "5f0c7f0a-91d4-4b53-8d0e-6a1b2c3d4e5f",
        "agreement_id": case.id,
        "role": ROLE,
        "authorization": came,
    }
    with csc.fault("credentials/info", answer(503)):
        drive(case.services, receive(case.services, "complete-signature", command))
        clock.advance(timedelta(minutes=16))
        list(sweep(case.services, everything=True))
    assert_refused_and_still_signable(case, "signature_too_late")
