"""What independent judges say of a document signed by five parties by four methods, in two groups."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path

import pytest

from service.domain.agreement import Status
from service.pipeline.services import Services
from tests.conformance.dss import Said, dss
from tests.conformance.verapdf import report, verapdf
from tests.parties import five_parties
from tests.signing_documents import Signers

pytestmark = [pytest.mark.office, pytest.mark.pki, pytest.mark.conformance]

FIELDS = ["seal", "organiser", "participant", "employer", "adviser", "decider"]
"""In the order of their revisions."""


@pytest.fixture(scope="module")
def folder(services: Services, signers: Signers, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every revision as `{number}.pdf`, and the receipt in all its forms."""
    folder = tmp_path_factory.mktemp("five")
    case = five_parties(services, signers, folder)
    version, ledger = case.agreement.current, case.services.ledger
    assert version.status is Status.SIGNED
    assert [r.field for r in version.revisions] == [None, *FIELDS, None]
    for number, revision in enumerate(version.revisions):
        (folder / f"{number}.pdf").write_bytes(ledger.get_blob(case.id, revision.sha256, "pdf"))
    for name, sha256, extension in (
        ("receipt.pdf", version.receipt_pdf_sha256, "pdf"),
        ("receipt.json", version.receipt_sha256, "json"),
        ("receipt.json.p7s", version.receipt_signature_sha256, "p7s"),
    ):
        assert sha256
        (folder / name).write_bytes(ledger.get_blob(case.id, sha256, extension))
    return folder


@pytest.fixture(scope="module")
def revisions(folder: Path) -> Sequence[Path]:
    return [folder / f"{number}.pdf" for number in range(len(FIELDS) + 2)]


@pytest.fixture(scope="module")
def dss_said(revisions: Sequence[Path], folder: Path, signers: Signers) -> Mapping[str, Sequence[Said]]:
    """By file: the document, both forms of the receipt, the document before augmentation, and altered."""
    altered, document = folder / "altered.pdf", revisions[-1].read_bytes()
    place = document.index(b"/Title")
    altered.write_bytes(document[:place] + b"/Titel" + document[place + 6 :])
    receipt = (folder / "receipt.json.p7s", folder / "receipt.json")
    files = [revisions[-1], folder / "receipt.pdf", receipt, revisions[-2], altered]
    said = dss(files, trust=[signers.pki.root])
    return {name: list(found) for name, found in groupby(said, lambda s: s.path.name)}


def test_verapdf_at_every_revision(revisions: Sequence[Path]) -> None:
    failures = verapdf(revisions, "2a") + verapdf(revisions, "ua1")
    assert not failures, report(failures)


def test_pdfsig_at_every_revision(revisions: Sequence[Path]) -> None:
    for number, path in enumerate(revisions):
        done = subprocess.run(["pdfsig", "-nocert", path], capture_output=True, text=True, check=False)
        found = {
            match["field"]
            for block in re.split(r"^Signature #\d+:\n", done.stdout, flags=re.MULTILINE)
            if "Signature Validation: Signature is Valid." in block
            and (match := re.search(r"Signature Field Name: (?P<field>.+)", block))
        }
        assert found == set(FIELDS[:number]), done.stdout


def test_eu_dss_finds_every_signature_good_for_the_long_term(
    revisions: Sequence[Path], dss_said: Mapping[str, Sequence[Said]]
) -> None:
    said = dss_said[revisions[-1].name]
    assert {s.indication for s in said} == {"TOTAL_PASSED", "PASSED"}, _lines(said)
    # OpenSSL writes the signed attribute signing-time, which the baseline of PAdES leaves out (EN 319 142-1 6.3).
    assert _levels(said) == dict.fromkeys(FIELDS, "PAdES-BASELINE-LTA") | {"participant": "PAdES-LTV"}
    assert Counter(s.which for s in said if s.kind == "timestamp") == {
        "SIGNATURE_TIMESTAMP": len(FIELDS),
        "DOCUMENT_TIMESTAMP": len(FIELDS),  # the one, told of each that it protects
    }


def test_eu_dss_finds_both_forms_of_the_receipt_good(dss_said: Mapping[str, Sequence[Said]]) -> None:
    for name, level in (("receipt.pdf", "PAdES-BASELINE-LTA"), ("receipt.json.p7s", "CAdES-BASELINE-LT")):
        said = dss_said[name]
        assert {s.indication for s in said} == {"TOTAL_PASSED", "PASSED"}, _lines(said)
        assert [*_levels(said).values()] == [level]


def test_eu_dss_does_not_pass_what_is_altered_or_not_augmented_yet(
    revisions: Sequence[Path], dss_said: Mapping[str, Sequence[Said]]
) -> None:
    altered = dss_said["altered.pdf"]
    assert {s.indication for s in altered if s.kind == "signature"} == {"TOTAL_FAILED"}, _lines(altered)
    before = dss_said[revisions[-2].name]
    assert {s.indication for s in before} == {"INDETERMINATE"}, _lines(before)
    assert _levels(before) == dict.fromkeys(FIELDS, "PAdES-BASELINE-T") | {"participant": "PAdES-BES"}


def _levels(said: Sequence[Said]) -> dict[str, str]:
    return {s.which: s.format for s in said if s.kind == "signature"}


def _lines(said: Sequence[Said]) -> str:
    return "\n".join(map(str, said))
