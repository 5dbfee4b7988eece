"""The verdicts of veraPDF and EU DSS on what a signed agreement leaves behind, at every revision, in both languages."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from service.domain.agreement import Agreement, Status
from service.domain.folding import fold
from service.entrypoints.cli.shared import OneProcess
from service.pipeline.intake import receive
from service.pipeline.services import Services
from tests.conformance.dss import dss
from tests.conformance.verapdf import report, verapdf

pytestmark = [pytest.mark.office, pytest.mark.pki, pytest.mark.conformance]

EXAMPLES = Path(__file__).parents[2] / "examples"
LANGUAGES = ("nb", "nn")


@pytest.fixture(scope="module")
def agreements(services: Services) -> list[Agreement]:
    """The complete example in bokmål and in nynorsk, and the others in both too, signed; the mentors' declarations;
    and an amended version and a termination."""
    signed, declarations, process = [], [], services.hand_over
    assert isinstance(process, OneProcess)

    def send(name: str, **fields: Any) -> Agreement:
        marker = receive(services, name, {"command_id": str(uuid.uuid4()), **fields})
        return process.drive_all(services, marker, lambda _: None).agreement

    for path in sorted(EXAMPLES.glob("*.json")):
        for language in LANGUAGES:
            agreement = {**json.loads(path.read_text()), "language": language}
            signed.append(send("submit", agreement=agreement))
            declarations += [d.agreement_id for d in signed[-1].current.declarations]
    assert len(declarations) == len(LANGUAGES)
    signed += [fold(services.ledger.read(i)) for i in declarations]
    story = {p.stem[2:]: json.loads(p.read_text()) for p in (EXAMPLES / "story").glob("*.json")}
    for language in LANGUAGES:
        told = send("submit", agreement={**story["submit"], "language": language})
        signed.append(send("amend", agreement_id=told.id, **story["needs"]))
        signed.append(
            send("terminate", agreement_id=told.id, **{**story["termination"], "date": "2037-05-31"})
        )
    assert {a.current.status for a in signed} == {Status.SIGNED}
    return signed


def test_every_document_is_pdf_a_2a_and_pdf_ua_1(
    services: Services, agreements: list[Agreement], tmp_path: Path
) -> None:
    """The first two at every revision, from rendering to document timestamp; the others at the last."""
    paths = []
    for agreement in agreements:
        version = agreement.current
        chosen = list(enumerate(version.revisions))
        for number, revision in chosen if agreement in agreements[:2] else chosen[-1:]:
            paths.append(tmp_path / f"{version.language}-{agreement.id}-{number}-{revision.field}.pdf")
            paths[-1].write_bytes(services.ledger.get_blob(agreement.id, revision.sha256, "pdf"))
    assert len(paths) == 2 * 6 + len(agreements) - 2
    translated = [a for a in agreements if a.current.courtesy_sha256]
    assert translated
    for agreement in translated:
        paths.append(tmp_path / f"en-{agreement.id}.pdf")
        sha256 = str(agreement.current.courtesy_sha256)
        paths[-1].write_bytes(services.ledger.get_blob(agreement.id, sha256, "pdf"))
    failures = verapdf(paths, "2a") + verapdf(paths, "ua1")
    assert not failures, report(failures)


def test_every_receipt_is_pdf_a_3a_and_pdf_ua_1(
    services: Services, agreements: list[Agreement], tmp_path: Path
) -> None:
    paths = []
    for agreement in agreements:
        version = agreement.current
        assert version.receipt_pdf_sha256
        paths.append(tmp_path / f"{version.language}-{agreement.id}.pdf")
        paths[-1].write_bytes(services.ledger.get_blob(agreement.id, version.receipt_pdf_sha256, "pdf"))
    failures = verapdf(paths, "3a") + verapdf(paths, "ua1")
    assert not failures, report(failures)


def test_eu_dss_finds_the_complete_example_and_its_receipt_good(
    services: Services, agreements: list[Agreement], tmp_path: Path
) -> None:
    agreement = agreements[0]
    version = agreement.current
    files = {}
    for name, sha256, extension in (
        ("signed.pdf", version.document.sha256, "pdf"),
        ("receipt.pdf", version.receipt_pdf_sha256, "pdf"),
        ("receipt.json", version.receipt_sha256, "json"),
        ("receipt.json.p7s", version.receipt_signature_sha256, "p7s"),
    ):
        assert sha256
        files[name] = tmp_path / name
        files[name].write_bytes(services.ledger.get_blob(agreement.id, sha256, extension))
    root = tmp_path / "root.der"
    root.write_bytes(services.keys.trust.anchors[0])
    detached = (files["receipt.json.p7s"], files["receipt.json"])
    said = dss([files["signed.pdf"], files["receipt.pdf"], detached], trust=[root])
    assert {s.indication for s in said} == {"TOTAL_PASSED", "PASSED"}, "\n".join(map(str, said))
    levels = [(s.path.name, s.which, s.format) for s in said if s.kind == "signature"]
    assert levels == [
        *(("signed.pdf", f, "PAdES-BASELINE-LTA") for f in ("seal", "participant", "employer", "adviser")),
        ("receipt.pdf", "seal", "PAdES-BASELINE-LTA"),
        ("receipt.json.p7s", "", "CAdES-BASELINE-LT"),
    ]
