"""Parties that act: who is asked, who signs by `signert sign` or outside by OpenSSL, who declines, what is refused."""

from __future__ import annotations

import base64
import contextlib
import copy
import hashlib
import json
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from service.domain.periods import norwegian_date
from tests import scans
from tests.cscserver import RemoteCredential, config_file, serve_csc, visit
from tests.e2e.conftest import EXAMPLES, Installation, running_worker, wait_until
from tests.pki import TestPki

pytestmark = [pytest.mark.office, pytest.mark.broker, pytest.mark.pki]

MINIMAL = json.loads((EXAMPLES / "minimal.json").read_text(encoding="utf-8"))
PARTICIPANT = MINIMAL["parties"]["participant"]["national_id"]
PLAN = {
    "deadline_days": 14,
    "parties": {"participant": {"method": "outside"}, "adviser": {"method": "approved"}},
}
REFUSED = "agreement.signature-refused"


def openssl(*arguments: str | Path) -> bytes:
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A worker on the embedded broker, with the development PKI."""
    found = Installation(tmp_path_factory.mktemp("signert"))
    with running_worker(found):
        yield found


class Person:
    """Somebody with a key and a certificate, who signs by OpenSSL what the events say."""

    def __init__(self, folder: Path, key: Path, chain: Path, issuer: Path) -> None:
        self.folder, self.key, self.chain, self.issuer = folder, key, chain, issuer

    def value(self, to_sign: Mapping[str, Any]) -> Path:
        """The signature value over the signed attributes."""
        attributes, value = self.folder / "attributes", self.folder / "value"
        attributes.write_bytes(base64.b64decode(to_sign["signed_attributes"]))
        openssl("dgst", "-sha256", "-sign", self.key, "-out", value, attributes)
        return value

    def cms(self, content: bytes) -> Path:
        """A whole CMS over these bytes."""
        document, made = self.folder / "content", self.folder / "made.p7s"
        document.write_bytes(content)
        openssl(
            "cms", "-sign", "-binary", "-cades", "-md", "sha256", "-in", document, "-outform", "DER", "-out", made,
            "-signer", self.chain, "-inkey", self.key, "-certfile", self.issuer,
        )  # fmt: skip
        return made


def participant(service: Installation, folder: Path) -> Person:
    """The participant, with a certificate that the development PKI's authority issues by OpenSSL."""
    pki = service.home / "devpki"
    port = json.loads((pki / "devpki.json").read_bytes())["port"]
    key, request, chain = folder / "person.key", folder / "person.csr", folder / "person.pem"
    (folder / "extensions").write_text(
        "keyUsage = critical, nonRepudiation\nsubjectKeyIdentifier = hash\nauthorityKeyIdentifier = keyid\n"
        f"crlDistributionPoints = URI:http://127.0.0.1:{port}/issuing.crl\n"
    )
    openssl(
        "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key,
        "-out", request, "-utf8", "-subj",
        f"/C=NO/CN=UTVIKLING Håkon Bæivi/GN=Håkon/SN=Bæivi/serialNumber=PNONO-{PARTICIPANT}",
    )  # fmt: skip
    issued = openssl(
        "x509", "-req", "-in", request, "-CA", pki / "issuing.pem", "-CAkey", pki / "issuing.key",
        "-set_serial", f"0x{uuid.uuid4().hex[1:]}", "-days", "30", "-extfile", folder / "extensions",
    )  # fmt: skip
    chain.write_bytes(issued + (pki / "issuing.pem").read_bytes())
    return Person(folder, key, chain, pki / "issuing.pem")


def somebody_else(service: Installation, folder: Path) -> Person:
    """The adviser of the development PKI, whose certificate has no identity number."""
    pki = service.home / "devpki"
    key, chain = folder / "other.key", folder / "other.pem"
    openssl(
        "pkcs12", "-in", pki / "adviser.p12", "-passin", f"file:{pki / 'passphrase'}", "-nocerts", "-nodes",
        "-out", key,
    )  # fmt: skip
    chain.write_bytes((pki / "adviser.pem").read_bytes() + (pki / "issuing.pem").read_bytes())
    return Person(folder, key, chain, pki / "issuing.pem")


class Case:
    """An agreement under signing: the employer's key has signed by itself, participant and adviser are asked."""

    def __init__(self, service: Installation) -> None:
        self.service, self.id = service, str(uuid.uuid4())
        agreement = {**copy.deepcopy(MINIMAL), "id": self.id}
        agreement["parties"]["adviser"]["order"] = 0
        service.send_command({"command_id": str(uuid.uuid4()), "agreement": agreement, "signing": PLAN})
        self.told("agreement.party-signed", role="employer")
        # The work that began with the command ends a moment after its last event.
        work = service.home / "store/work" / self.id
        wait_until(lambda: not (work.is_dir() and any(work.iterdir())))

    def told(self, kind: str, **data: Any) -> dict[str, Any]:
        """The data of the first event of this kind with this in it."""
        found = self.service.event(
            lambda e: (
                e["type"] == kind
                and e["subject"] == self.id
                and all(e["data"].get(name) == value for name, value in data.items())
            )
        )
        return dict(found["data"])

    def asked(self, prepared: str) -> dict[str, Any]:
        """The data of the event that gives this to sign."""
        found = self.service.event(lambda e: e["data"].get("to_sign", {}).get("prepared") == prepared)
        return dict(found["data"])

    def version(self) -> dict[str, Any]:
        (version,) = self.service.json("show", self.id)["versions"]
        return dict(version)

    def sign(self, *arguments: str | Path) -> dict[str, Any]:
        (version,) = self.service.json("sign", self.id, *arguments)["versions"]
        return dict(version)

    def content(self, prepared: str) -> bytes:
        """The bytes of the document that a whole CMS is over, as the event names them."""
        to_sign = self.asked(prepared)["to_sign"]
        content = (self.service.home / "store" / to_sign["content"]["storage_key"]).read_bytes()
        assert (
            hashlib.sha256(content).hexdigest() == to_sign["content"]["sha256"] == to_sign["document_digest"]
        )
        return content

    def refused(self, *arguments: str | Path) -> tuple[str, str]:
        """What the command line says of a command that is refused: its error, and the whole text."""
        done = self.service.signert(*arguments, ok=3)
        assert done.stdout == ""
        return done.stderr.splitlines()[0].rpartition("[")[2].rstrip("]"), done.stderr


@pytest.fixture
def case(service: Installation) -> Case:
    return Case(service)


def test_show_tells_who_is_asked_by_which_method_and_until_when(case: Case) -> None:
    version = case.version()
    parties = {p["role"]: p for p in version["parties"]}
    assert {r: (p["status"], p["method"]) for r, p in parties.items()} == {
        "participant": ("waiting", "outside"),
        "employer": ("signed", "automatic"),
        "adviser": ("waiting", "approved"),
    }
    assert sorted(version["next"]) == ["adviser", "participant"]
    assert version["expires_at"] == parties["adviser"]["deadline"] == parties["participant"]["deadline"]
    asked = {r: case.told("agreement.signature-requested", role=r) for r in ("participant", "adviser")}
    assert {r: (a["method"], a["deadline"]) for r, a in asked.items()} == {
        r: (parties[r]["method"], parties[r]["deadline"]) for r in asked
    }
    assert not any("to_sign" in a for a in asked.values())
    text = case.service.signert("show", case.id).stdout
    for role, method in (("participant", "outside"), ("adviser", "approved")):
        (line,) = [line for line in text.splitlines() if line.split()[1:3] == [role, "waiting"]]
        assert f"{method}, asked {parties[role]['requested_at']}, until {parties[role]['deadline']}" in line


def test_one_signs_outside_the_other_is_signed_for_and_the_document_is_whole(
    case: Case, tmp_path: Path
) -> None:
    person = participant(case.service, tmp_path)
    version = case.sign("--role", "participant", "--certificate", person.chain)
    lease = version["signing_now"]
    assert lease["field"] == "participant"
    code, _ = case.refused("sign", case.id, "--role", "adviser")
    assert code == "signing_in_progress"
    to_sign = case.asked(lease["prepared"])["to_sign"]
    assert (to_sign["field"], to_sign["expires_at"]) == ("participant", lease["expires_at"])
    value = person.value(to_sign)
    done = case.service.signert(
        "complete", case.id, "--role", "participant", "--prepared", lease["prepared"], "--signature", value
    )
    assert "signature of participant came back" in done.stdout
    assert "signed by participant" in done.stdout
    assert case.told("agreement.party-signed", role="participant")["remaining"] == ["adviser"]
    assert case.sign("--role", "adviser")["status"] == "signed"
    case.told("agreement.signed")
    assert case.service.json("verify", case.id)["log"] == []
    signed = tmp_path / "signed.pdf"
    case.service.signert("fetch", case.id, "-o", signed)
    report = case.service.json("verify", signed)
    assert report["indication"] == "TOTAL-PASSED"
    signers = {s["field"]: s["signer"] for s in report["signatures"]}
    assert signers["participant"] == "UTVIKLING Håkon Bæivi"
    assert signers.keys() == {"seal", "participant", "employer", "adviser"}


def test_the_participant_signs_a_printed_copy_and_the_adviser_attests_the_scan(
    case: Case, tmp_path: Path
) -> None:
    service, copy, scan = case.service, tmp_path / "copy.pdf", tmp_path / "scan.pdf"
    fetched = service.signert("fetch", case.id, "--what", "copy", "-o", copy)
    assert "NOT SIGNED BY ALL" in fetched.stderr
    assert [s["field"] for s in service.json("verify", copy, ok=2)["signatures"]] == ["seal"]
    assert case.refused("fetch", case.id, "-o", tmp_path / "signed.pdf")[0] == "not_found"
    today = norwegian_date(datetime.now(UTC)).isoformat()
    attach = ("attach-paper", case.id, "--role", "participant", "--signed-on", today, "--scan")
    scan.write_bytes(b"not a scan")
    assert case.refused(*attach, scan)[0] == "scan_type_differs"
    scan.write_bytes(scans.pdf()[:-100])
    code, text = case.refused(*attach, scan)
    assert code == "scan_unreadable"
    assert "Scan the signed copy again" in text
    assert case.refused(*attach[:3], "adviser", *attach[4:], scan)[0] == "not_on_paper"
    scan.write_bytes(scans.pixels(copy.read_bytes(), "png"))
    assert "participant" in service.signert(*attach, scan).stdout
    large = scans.pdf(mark="x" * 800_000)  # too large for the message: it goes by the store
    scan.write_bytes(large)
    done = service.signert(*attach, scan)
    assert "signed on paper by participant (scan replaced)" in done.stdout
    (line,) = [
        line for line in done.stdout.splitlines() if line.split()[1:3] == ["participant", "signed-on-paper"]
    ]
    assert f"{today}, scan attached" in line
    assert "to be attested by the adviser" in line
    looked = tmp_path / "looked.pdf"
    service.signert("fetch", case.id, "--what", "scan", "--role", "participant", "-o", looked)
    assert looked.read_bytes() == large
    assert case.told("agreement.signature-requested", role="adviser", method="approved")
    assert case.sign("--role", "adviser")["status"] == "signed"
    case.told("agreement.signed")
    report = service.json("verify", case.id)
    assert report["log"] == []
    (reason,) = [s["reason"] for s in report["signatures"] if s["field"] == "adviser"]
    assert reason == (
        f"Attesterer papirunderskrift fra deltaker {today}, skann SHA-256 {hashlib.sha256(large).hexdigest()}"
    )
    assert reason in service.signert("verify", case.id).stdout
    service.signert("fsck", case.id)


def test_the_wrong_person_is_refused_whatever_they_send_and_the_right_one_signs_by_cms(
    case: Case, tmp_path: Path
) -> None:
    other = somebody_else(case.service, tmp_path)
    sign = ("sign", case.id, "--role", "participant")
    assert case.refused(*sign, "--certificate", other.chain)[0] == "wrong_signer"
    assert case.version()["signing_now"] is None  # nobody was asked for a signature
    refusal = case.told(REFUSED, role="participant")
    assert refusal["code"] == "wrong_signer"
    assert PARTICIPANT not in json.dumps(refusal)
    text = case.service.signert("show", case.id).stdout
    assert "prepared signature of participant discarded: wrong_signer" in text

    prepared = case.sign("--role", "participant")["signing_now"]["prepared"]
    assert "signed_attributes" not in case.asked(prepared)["to_sign"]
    made = other.cms(case.content(prepared))
    answer = ("complete", case.id, "--role", "participant", "--prepared", prepared, "--cms", made)
    assert case.refused(*answer)[0] == "wrong_signer"
    text = case.service.signert("show", case.id).stdout
    assert text.count("signature of participant discarded: wrong_signer") == 2
    assert case.refused(*answer)[0] == "nothing_to_complete"

    person = participant(case.service, tmp_path)
    document = tmp_path / "document"
    again = case.sign("--role", "participant", "--output", document)["signing_now"]["prepared"]
    assert document.read_bytes() == case.content(again)
    case.service.signert("fetch", case.id, "--what", "to-sign", "-o", tmp_path / "fetched")
    assert (tmp_path / "fetched").read_bytes() == document.read_bytes()
    case.service.signert(
        "complete", case.id, "--role", "participant", "--prepared", again,
        "--cms", person.cms(document.read_bytes()),
    )  # fmt: skip
    assert {p["role"]: p["status"] for p in case.version()["parties"]}["participant"] == "signed"
    told, text = case.refused("fetch", case.id, "--what", "to-sign", "-o", tmp_path / "fetched")
    assert told == "not_found"
    assert "`signert sign`" in text


def test_evidence_is_sent_from_a_file_and_kept(case: Case, tmp_path: Path) -> None:
    path = tmp_path / "evidence.json"
    sign = ("sign", case.id, "--role", "participant", "--evidence", path)
    before = case.service.json("show", case.id)["log"]
    for content, said in (
        ("{", "evidence.json is not JSON (line 1, column 2)"),
        ("[]", "evidence: Send the evidence as a JSON object. [wrong_type]"),
        (
            json.dumps({"method": "bankid", "level": "low", "when": PARTICIPANT}),
            "evidence.level: Send one of: substantial, high.",
        ),
    ):
        path.write_text(content)
        done = case.service.signert(*sign, ok=3)
        assert said in done.stderr, done.stderr
        assert PARTICIPANT not in done.stderr
    case.service.signert("sign", case.id, "--role", "participant", "--evidence", tmp_path / "none", ok=64)
    assert case.service.json("show", case.id)["log"] == before  # nothing was sent
    given = {"method": "bankid", "level": "high", "time": "2026-11-22T10:00:00Z", "reference": "r-1"}
    path.write_text(json.dumps(given))
    person = participant(case.service, tmp_path)
    to_sign = tmp_path / "attributes"
    version = case.sign(*sign[2:], "--certificate", person.chain, "--output", to_sign)
    asked = case.asked(version["signing_now"]["prepared"])["to_sign"]
    assert to_sign.read_bytes() == base64.b64decode(asked["signed_attributes"])
    path.write_text(json.dumps({**given, "reference": "r-2"}))
    case.service.signert(
        "complete", case.id, "--role", "participant", "--prepared", asked["prepared"], "--evidence", path,
        "--signature", person.value(asked),
    )  # fmt: skip
    blobs = case.service.home / "store/agreements" / case.id / "blobs"
    kept = [json.loads(blob.read_bytes()) for blob in blobs.glob("*.json")]
    assert given in kept
    assert {**given, "reference": "r-2"} in kept
    assert (
        case.refused("sign", case.id, "--role", "adviser", "--output", tmp_path / "x")[0] == "nothing_to_sign"
    )


def test_a_party_is_waited_for_at_its_signing_service_and_comes_back(pki: TestPki, tmp_path: Path) -> None:
    with serve_csc(pki) as csc, contextlib.ExitStack() as stack:
        csc.credentials["employer"] = RemoteCredential("organisation", mode="oauth2code")
        remote = config_file(tmp_path, f"{csc.url}/csc/v2", "employer", authorization='"oauth2code"')
        service = Installation(
            tmp_path / "home",
            SIGNERT_SEAL=pki.credential_uri("seal"),
            SIGNERT_TSA=pki.tsa_url,
            SIGNERT_TRUST=str(pki.root),
            SIGNERT_CREDENTIAL_PARTICIPANT=pki.credential_uri("participant"),
            SIGNERT_CREDENTIAL_ADVISER=pki.credential_uri("adviser"),
            SIGNERT_CREDENTIAL_EMPLOYER=f"csc:{remote}",
        )
        stack.enter_context(running_worker(service))
        agreement = {**copy.deepcopy(MINIMAL), "id": str(uuid.uuid4())}
        agreement["parties"]["employer"]["organisation"]["number"] = "312300028"
        name = agreement["id"]
        found = service.submitted(agreement)
        methods = {p["role"]: p["method"] for p in found["versions"][0]["parties"]}
        assert methods["employer"] == "redirect"

        sign = ("sign", name, "--role", "employer")
        text = service.signert(*sign).stdout
        assert "Waited for at its signing service: employer, until " in text
        csc.approves = False
        complete = ("complete", name, "--role", "employer")
        came = visit(url_in(text))
        text = service.signert(*complete, "--error", came["error"], "--state", came["state"]).stdout
        assert "prepared signature of employer discarded: access_denied" in text

        csc.approves = True
        came = visit(url_in(service.signert(*sign).stdout))
        refused = service.signert(*complete, "--code", came["code"], "--state", "another", ok=3)
        assert "[wrong_state]" in refused.stderr
        assert service.json("show", name)["versions"][0]["signing_now"]["state"] == came["state"]
        service.signert(*complete, "--code", came["code"], ok=64)
        service.signert(*complete, "--code", came["code"], "--state", came["state"])
        (version,) = service.json("show", name)["versions"]
        assert version["status"] == "signed"
        assert service.json("verify", name)["log"] == []
        said = service.log.read_text()
        assert came["code"] not in said
        assert came["state"] not in said


def url_in(text: str) -> str:
    """The address that `signert sign` and `show` print."""
    (line,) = [line for line in text.splitlines() if line.startswith("  open ")]
    return line.split()[1]


def test_decline_ends_the_agreement_and_keeps_what_was_signed(case: Case) -> None:
    done = case.service.signert("decline", case.id, "--role", "participant", "--reason", "content")
    assert "version   1, declined" in done.stdout
    told = case.told("agreement.declined")
    assert (told["role"], told["reason"], told["signed"]) == ("participant", "content", ["employer"])
    statuses = {p["role"]: p["status"] for p in case.version()["parties"]}
    assert statuses == {"participant": "declined", "employer": "signed", "adviser": "cancelled"}
    for command in (("sign", case.id, "--role", "adviser"), ("cancel", case.id)):
        code, text = case.refused(*command)
        assert code == "declined"
        assert "send a new agreement" in text


def test_cancel_ends_the_agreement_and_says_what_was_signed(case: Case) -> None:
    version = case.service.json("cancel", case.id, "--reason", "replaced")["versions"][0]
    assert version["status"] == "cancelled"
    told = case.told("agreement.cancelled")
    assert (told["reason"], told["signed"]) == ("replaced", ["employer"])
    assert case.refused("decline", case.id, "--role", "adviser")[0] == "cancelled"


def test_refused_commands_print_reason_and_way_out_and_change_nothing(case: Case) -> None:
    before = case.service.json("show", case.id)["log"]
    for command, code, way_out in (
        (("sign", case.id, "--role", "mentor"), "no_such_party", "The agreement has no party of this role."),
        (
            ("decline", case.id, "--role", "employer"),
            "already_signed",
            "This party has signed; nothing more is needed.",
        ),
    ):
        told, text = case.refused(*command)
        assert told == code
        assert f"  role: {way_out} [{code}]" in text
    nothing = case.service.home / "nothing"
    nothing.write_bytes(b"\x30\x00")
    answer = ("complete", case.id, "--role", "participant", "--prepared", "0" * 64, "--cms", nothing)
    code, text = case.refused(*answer)
    assert code == "nothing_to_complete"
    assert "Send `sign` for this role first" in text
    error = case.service.json("sign", case.id, "--role", "mentor", ok=3)["error"]
    assert error["detail"]["errors"][0]["code"] == "no_such_party"
    assert case.service.json("show", case.id)["log"] == before
    assert case.refused("sign", str(uuid.uuid4()), "--role", "adviser")[0] == "not_found"
    case.service.signert(*answer[:-2], ok=64)
