"""`signert verify` as somebody has it who got the files: documents, receipts, and what is wrong with them."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from service.config import load_settings
from service.domain.agreement import Agreement
from service.domain.log import canonical
from service.entrypoints.cli import cli
from service.errors import NotFound, SignertError
from service.pipeline.drive import Rest, drive
from service.pipeline.intake import receive
from tests.agreements import Running, running_services
from tests.certificates import write_certificates

STORY = Path(__file__).parents[2] / "examples/story"

pytestmark = pytest.mark.office


@dataclass(frozen=True)
class Files:
    """An agreement and its first amendment, as files that were handed out; the store they came from."""

    folder: Path
    home: Path
    agreement: Agreement
    empty: Path

    def verify(self, *arguments: object, at_home: bool = False, trust: Path | None = None) -> Result:
        environment = {name: None for name in os.environ if name.startswith("SIGNERT_")}
        home = self.home if at_home else self.empty
        anchors = () if at_home else ("--trust", str(trust or self.folder / "root.pem"))
        return CliRunner().invoke(
            cli,
            ["verify", *map(str, arguments), *anchors],
            obj=load_settings,
            env={**environment, "SIGNERT_HOME": str(home)},
            catch_exceptions=False,
        )

    def json(
        self, *arguments: object, code: int, at_home: bool = False, trust: Path | None = None
    ) -> dict[str, Any]:
        result = self.verify(*arguments, "--json", at_home=at_home, trust=trust)
        assert result.exit_code == code, result.output
        found: dict[str, Any] = json.loads(result.stdout)
        return found


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Files]:
    home, folder = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("files")
    with running_services(home) as running:
        submitted, amended = (
            json.loads((STORY / name).read_text()) for name in ("1-submit.json", "2-needs.json")
        )
        agreement = _carry_out(running, "submit", {"agreement": submitted})
        agreement = _carry_out(running, "amend", {"agreement_id": agreement.id, **amended})
        ledger = running.services.ledger
        for version in agreement.versions:
            number = version.number
            for name, sha256, extension in (
                (f"document{number}.pdf", version.document.sha256, "pdf"),
                (f"receipt{number}.json", version.receipt_sha256, "json"),
                (f"receipt{number}.json.p7s", version.receipt_signature_sha256, "p7s"),
                (f"receipt{number}.pdf", version.receipt_pdf_sha256, "pdf"),
            ):
                (folder / name).write_bytes(ledger.get_blob(agreement.id, str(sha256), extension))
        shutil.copy(home / "devpki" / "root.pem", folder / "root.pem")
        yield Files(folder, home, agreement, tmp_path_factory.mktemp("empty"))


def _carry_out(running: Running, name: str, fields: Mapping[str, Any]) -> Agreement:
    outcome = drive(
        running.services, receive(running.services, name, {"command_id": str(uuid.uuid4()), **fields})
    )
    assert outcome.rest is Rest.AT_REST, outcome.parked
    return outcome.agreement


def outcomes(found: Mapping[str, Any]) -> dict[str, str]:
    """The outcome of each kind of check, the worst of those of one kind."""
    order = ["holds", "not-checked", "does-not-hold"]
    worst: dict[str, str] = {}
    for check in found["checks"]:
        before = worst.get(check["code"], "holds")
        worst[check["code"]] = max(before, check["outcome"], key=order.index)
    return worst


# Receipts


def test_a_receipt_with_all_beside_it(files: Files) -> None:
    found = files.json(
        files.folder / "receipt2.json",
        "--document",
        files.folder / "document2.pdf",
        "--with",
        files.folder,
        code=0,
    )
    assert found["receipt"]["agreement_id"] == files.agreement.id
    said = outcomes(found)
    for code in (
        "seal",
        "form",
        "document-sha256",
        "document-sha512",
        "document-validation",
        "signature",
        "chain",
        "chain-seal",
    ):
        assert said[code] == "holds", code
    assert {said[code] for code in ("input", "report", "log")} == {"not-checked"}
    assert found["document"]["indication"] == "TOTAL-PASSED"
    assert len([c for c in found["checks"] if c["code"] == "chain"]) == 2


def test_a_receipt_alone_says_what_was_not_checked(files: Files) -> None:
    found = files.json(files.folder / "receipt2.json", code=0)
    said = outcomes(found)
    assert (said["seal"], said["document"], said["chain"]) == ("holds", "not-checked", "not-checked")
    text = files.verify(files.folder / "receipt2.json").stdout
    assert "Kvitteringen er ekte" in text
    assert "--document" in text
    assert "--with" in text


def test_the_store_has_the_rest(files: Files) -> None:
    found = files.json(files.folder / "receipt2.json", code=0, at_home=True)
    assert set(outcomes(found).values()) == {"holds"}


def test_the_pdf_that_carries_the_receipt(files: Files) -> None:
    found = files.json(files.folder / "receipt1.pdf", "--document", files.folder / "document1.pdf", code=0)
    said = outcomes(found)
    assert said["seal"] == said["document-sha256"] == said["chain"] == "holds"
    assert found["page"]["indication"] == "TOTAL-PASSED"
    altered = files.folder / "altered-page.pdf"
    altered.write_bytes((files.folder / "receipt1.pdf").read_bytes().replace(b"/F 132", b"/F 133", 1))
    assert outcomes(files.json(altered, code=1))["seal"] == "does-not-hold"


def _edited(body: bytes) -> bytes:
    values = json.loads(body)
    values["signatures"][0]["name"] = "Somebody Else"
    return canonical(values)


def _other_certificate(body: bytes) -> bytes:
    values = json.loads(body)
    values["signatures"][0]["certificate"]["sha256"] = "0" * 64
    return canonical(values)


@pytest.mark.parametrize(
    ("change", "failing"),
    [
        (_edited, {"seal"}),
        (lambda body: body[: len(body) // 2], {"seal", "form"}),
        (lambda body: json.dumps(json.loads(body), indent=1).encode(), {"seal", "form"}),
        (lambda _: b"{}", {"seal", "form"}),
        (lambda _: b"{" * 100_000, {"seal", "form"}),
    ],
)  # fmt: skip
def test_an_edited_receipt(
    files: Files, tmp_path: Path, change: Callable[[bytes], bytes], failing: set[str]
) -> None:
    receipt = tmp_path / "receipt.json"
    receipt.write_bytes(change((files.folder / "receipt2.json").read_bytes()))
    shutil.copy(files.folder / "receipt2.json.p7s", tmp_path / "receipt.json.p7s")
    said = outcomes(files.json(receipt, code=1))
    assert {code for code, outcome in said.items() if outcome == "does-not-hold"} == failing


def test_a_receipt_that_states_another_signature(files: Files, tmp_path: Path) -> None:
    receipt = tmp_path / "receipt.json"
    receipt.write_bytes(_other_certificate((files.folder / "receipt2.json").read_bytes()))
    found = files.json(receipt, "--document", files.folder / "document2.pdf", code=1)
    assert outcomes(found)["signature"] == "does-not-hold"
    assert [c["text"] for c in found["checks"] if "sertifikatet" in c["text"]]


def test_signatures_that_are_not_the_receipts(files: Files, tmp_path: Path) -> None:
    swapped = files.json(
        files.folder / "receipt2.json", "--signature", files.folder / "receipt1.json.p7s", code=1
    )
    assert outcomes(swapped)["seal"] == "does-not-hold"
    broken = tmp_path / "broken.p7s"
    broken.write_bytes((files.folder / "receipt2.json.p7s").read_bytes()[:500])
    assert (
        outcomes(files.json(files.folder / "receipt2.json", "--signature", broken, code=1))["seal"]
        == "does-not-hold"
    )
    alone = tmp_path / "receipt.json"
    shutil.copy(files.folder / "receipt2.json", alone)
    assert outcomes(files.json(alone, code=2))["seal"] == "not-checked"


def test_a_document_that_is_not_the_receipts(files: Files, tmp_path: Path) -> None:
    receipt = files.folder / "receipt2.json"
    swapped = outcomes(files.json(receipt, "--document", files.folder / "document1.pdf", code=1))
    assert swapped["document-sha256"] == swapped["document-sha512"] == "does-not-hold"
    assert swapped["signature"] == "does-not-hold"
    assert swapped["document-validation"] == "holds"
    cut = tmp_path / "cut.pdf"
    cut.write_bytes((files.folder / "document2.pdf").read_bytes()[:-2000])
    assert outcomes(files.json(receipt, "--document", cut, code=1))["document-sha256"] == "does-not-hold"


def test_an_earlier_receipt_that_is_another(files: Files, tmp_path: Path) -> None:
    """The chain is by hash: an edited receipt is not the one that is named."""
    (tmp_path / "receipt1.json").write_bytes(_edited((files.folder / "receipt1.json").read_bytes()))
    found = files.json(files.folder / "receipt2.json", "--with", tmp_path, code=0)
    assert outcomes(found)["chain"] == "not-checked"


def test_under_other_anchors_it_cannot_be_confirmed(files: Files, tmp_path: Path) -> None:
    write_certificates(tmp_path)
    found = files.json(files.folder / "receipt2.json", code=2, trust=tmp_path / "other-ca.pem")
    assert outcomes(found)["seal"] == "not-checked"


# Documents


def test_a_document_in_words_and_in_xml(files: Files, tmp_path: Path) -> None:
    xml = tmp_path / "report.xml"
    result = files.verify(files.folder / "document2.pdf", "--xml", xml)
    assert result.exit_code == 0
    for words in (
        "TOTAL-PASSED",
        "Gyldig: alle signaturene holder",
        "Bevist ved",
        "Utstedt av",
        "OCSP av",
        "B-LTA",
        "Tidsstempler over hele dokumentet",
        "SHA-256",
    ):
        assert words in result.stdout, words
    assert b"urn:etsi:019102:mainindication:total-passed" in xml.read_bytes()


def test_an_agreement_of_the_store(files: Files) -> None:
    assert files.json(files.agreement.id, code=0, at_home=True)["log"] == []
    assert "Dokumentet er det loggen sier." in files.verify(files.agreement.id, at_home=True).stdout


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "Filen er tom."),
        (b"hello", "Filen er ikke et PDF-dokument."),
        (b"%PDF-1.7\n%%EOF", "Filen følger ikke formatet"),
    ],
)
def test_what_is_no_document(files: Files, tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    result = files.verify(path)
    assert result.exit_code == 1
    assert said in result.stdout


def test_a_folder(files: Files) -> None:
    result = files.verify(files.folder)
    assert (result.exit_code, "Dette er en mappe" in result.stdout) == (1, True)


def test_a_document_with_no_signatures_and_one_that_is_locked(
    files: Files, signable: bytes, tmp_path: Path
) -> None:
    from pypdf import PdfReader, PdfWriter

    plain, locked = tmp_path / "plain.pdf", tmp_path / "locked.pdf"
    plain.write_bytes(signable)
    writer = PdfWriter(clone_from=PdfReader(plain))
    writer.encrypt("secret", algorithm="AES-256")
    writer.write(locked)
    for path, said in ((plain, "Dokumentet har ingen signaturer."), (locked, "Dokumentet er kryptert")):
        result = files.verify(path)
        assert result.exit_code == 2, result.stdout
        assert said in result.stdout


def test_a_file_too_large_is_not_read(files: Files, tmp_path: Path) -> None:
    huge = tmp_path / "huge.pdf"
    with huge.open("wb") as file:
        file.write(b"%PDF-1.7\n")
        file.truncate(10 * 1024**3)
    result = files.verify(huge)
    assert result.exit_code == 2
    assert "er større enn" in result.stdout


def test_a_file_that_is_not_there(files: Files, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="neither a file nor an agreement's id"):
        files.verify(tmp_path / "missing.pdf")
    with pytest.raises(SignertError, match="cannot be read"):
        files.verify(files.folder / "receipt2.json", "--document", tmp_path / "missing.pdf")
