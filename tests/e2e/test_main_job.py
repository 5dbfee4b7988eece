"""The main job, as its users see it: a command on the queue; a signed PDF, a receipt and events out."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import EXAMPLES, Installation

pytestmark = [
    pytest.mark.office,
    pytest.mark.broker,
    pytest.mark.pki,
    # What is made does not depend on the broker; test_brokers.py and test_bad_input.py are for both.
    pytest.mark.parametrize("broker_settings", ["valkey"], indirect=True, scope="session"),
]

PARTIES = ["participant", "employer", "adviser"]


def tool(*command: str | Path) -> str:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="session")
def files(installation: Installation, signed: dict[str, Any]) -> Path:
    """Everything that `fetch` gives of the signed agreement."""
    folder = installation.home / "fetched"
    folder.mkdir()
    for what in ("signed", "document", "receipt-pdf"):
        installation.signert("fetch", signed["id"], "--what", what, "-o", folder / f"{what}.pdf")
    for what in ("receipt", "data", "report"):
        installation.signert("fetch", signed["id"], "--what", what, "-o", folder / f"{what}.json")
    return folder


def test_show_tells_of_every_party_and_step(installation: Installation, signed: dict[str, Any]) -> None:
    (version,) = signed["versions"]
    assert version["status"] == "signed"
    assert {p["role"]: p["status"] for p in version["parties"]} == dict.fromkeys(PARTIES, "signed")
    text = installation.signert("show", signed["id"]).stdout
    for line in ("version   1, signed", "signed by participant", "verified: TOTAL-PASSED", "receipt-pdf"):
        assert line in text


def test_verify_passes_for_the_file_and_for_the_agreement(
    installation: Installation, signed: dict[str, Any], files: Path
) -> None:
    report = installation.json("verify", files / "signed.pdf")
    assert report["indication"] == "TOTAL-PASSED"
    assert {s["field"] for s in report["signatures"]} == {"seal", *PARTIES}
    assert all(s["role"] == s["field"] and s["signer"] and s["time"] for s in report["signatures"])
    assert report["modifications"] == []
    assert {s["level"] for s in report["signatures"]} == {"B-LTA"}
    assert len(report["document_timestamps"]) == 1
    assert installation.json("verify", signed["id"])["log"] == []
    assert "TOTAL-PASSED" in installation.signert("verify", files / "receipt-pdf.pdf").stdout


def test_verify_says_no_to_an_altered_file_and_perhaps_to_an_unknown_root(
    installation: Installation, files: Path, tmp_path: Path
) -> None:
    body = bytearray((files / "signed.pdf").read_bytes())
    body[len(body) // 4] ^= 1
    altered = tmp_path / "altered.pdf"
    altered.write_bytes(body)
    assert installation.json("verify", altered, ok=1)["indication"] == "TOTAL-FAILED"
    other = tmp_path / "other.pem"
    tool(
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-keyout", tmp_path / "key.pem", "-out", other, "-subj", "/CN=Another root", "-days", "30",
    )  # fmt: skip
    unknown = installation.json("verify", files / "signed.pdf", "--trust", other, ok=2)
    assert unknown["indication"] == "INDETERMINATE"
    assert {s["sub_indication"] for s in unknown["signatures"]} == {"NO_CERTIFICATE_CHAIN_FOUND"}


def test_pdfsig_agrees(files: Path) -> None:
    told = tool("pdfsig", "-nocert", files / "signed.pdf")
    assert told.count("Signature Validation: Signature is Valid.") == 4
    assert told.count("Signature Type: ETSI.CAdES.detached") == 4
    # The document timestamp covers it all; poppler 22.12 lists it but does not know its type, and does not judge it.
    timestamp = told.partition("Signature Field Name: document-timestamp")[2].partition("Signature #")[0]
    assert "Total document signed" in timestamp
    assert told.count("  - Total document signed") == told.count("Signature has not yet been verified") == 1


def test_the_document_is_tagged_a4_and_titled(files: Path) -> None:
    told = tool("pdfinfo", files / "signed.pdf")
    assert re.search(r"Tagged:\s+yes", told)
    assert re.search(r"Page size:.*A4", told)
    assert re.search(r"Title:\s+\S", told)
    assert 2 <= int(re.search(r"Pages:\s+(\d+)", told)[1]) <= 4  # type: ignore[index]


def test_every_value_sent_is_in_the_text_and_every_signer_is_seen(
    files: Path, example: dict[str, Any]
) -> None:
    text = "".join(tool("pdftotext", "-layout", files / "signed.pdf", "-").split())
    assert "Fjordbakeriet&KaféSandvikaAS" in text
    for role in PARTIES:
        party = example["parties"][role]
        name = f"{party['first_name']}{party['last_name']}".replace(" ", "")
        assert text.count(name) >= 2, role  # in the agreement, and in the visible signature


def test_the_receipt_is_proved_by_openssl_alone(installation: Installation, files: Path) -> None:
    tool(
        "openssl", "cms", "-verify", "-binary", "-inform", "DER", "-purpose", "any",
        "-in", files / "receipt.json.p7s", "-content", files / "receipt.json",
        "-CAfile", installation.home / "devpki/root.pem", "-out", "/dev/null",
    )  # fmt: skip


def test_the_receipt_states_what_was_signed(
    installation: Installation, signed: dict[str, Any], files: Path
) -> None:
    receipt = json.loads((files / "receipt.json").read_bytes())
    document = (files / "signed.pdf").read_bytes()
    assert receipt["document"]["sha256"] == hashlib.sha256(document).hexdigest()
    assert receipt["document"]["sha512"] == hashlib.sha512(document).hexdigest()
    assert {s["role"] for s in receipt["signatures"]} == set(PARTIES)
    store = installation.home / "store"
    assert (
        hashlib.sha256((store / receipt["log"]["storage_key"]).read_bytes()).hexdigest()
        == receipt["log"]["sha256"]
    )
    assert (store / receipt["document"]["storage_key"]).read_bytes() == document
    data = (store / receipt["input"]["storage_key"]).read_bytes()
    assert hashlib.sha256(data).hexdigest() == receipt["input"]["sha256"]
    attached = tool("pdfdetach", "-list", files / "receipt-pdf.pdf")
    assert "receipt.json" in attached


def test_each_revision_is_a_byte_prefix_of_the_signed_document(
    installation: Installation, signed: dict[str, Any], files: Path
) -> None:
    document = (files / "signed.pdf").read_bytes()
    folder = installation.home / "store/agreements" / signed["id"]
    sizes = []
    for path in sorted((folder / "log").iterdir()):
        revision = json.loads(path.read_bytes())["data"].get("revision")
        if revision:
            body = (folder / f"blobs/{revision['sha256']}.pdf").read_bytes()
            assert document.startswith(body)
            sizes.append(len(body))
    assert len(sizes) == 6
    assert sizes == sorted(sizes)


@pytest.mark.parametrize("name", ["minimal", "inclusion_grant", "mentor"])
def test_every_example_is_signed(installation: Installation, name: str) -> None:
    found = installation.submitted(json.loads((EXAMPLES / f"{name}.json").read_text()), f"{name}.json")
    (version,) = found["versions"]
    assert version["status"] == "signed", found
    assert {p["status"] for p in version["parties"]} == {"signed"}


def test_run_does_the_same_with_no_broker(
    installation: Installation, example: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "agreement.json"
    path.write_text(json.dumps({**example, "language": "nn"}))
    found = installation.json("run", path)
    assert found["versions"][0]["status"] == "signed"
    told = [json.loads(line) for line in (installation.home / "events.jsonl").read_text().splitlines()]
    assert [e["type"] for e in told if e["subject"] == found["id"]][-1] == "agreement.signed"
