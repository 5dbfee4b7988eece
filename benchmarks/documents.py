"""What is rendered and signed: the example agreement's Word file, and Word files of so many pages."""

from __future__ import annotations

import contextlib
import json
import tempfile
import uuid
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from docx import Document

from benchmarks.report import ROOT
from service.bootstrap import event_file, open_services
from service.config import load_settings
from service.pipeline.drive import Rest, drive
from service.pipeline.intake import receive
from service.pipeline.services import Services

__all__ = ["command", "driven", "in_process", "pages_docx", "rendered"]


def command(**changes: Any) -> dict[str, Any]:
    """`submit` of the example: four pages in the template of now, three parties."""
    agreement = json.loads((ROOT / "examples/agreement.json").read_text())
    return {"command_id": str(uuid.uuid4()), "agreement": agreement | changes}


def driven(services: Services, payload: dict[str, Any], name: str = "submit") -> str:
    """The id of an agreement brought to rest by a command."""
    marker = receive(services, name, payload)
    outcome = drive(services, marker)
    if outcome.rest is not Rest.AT_REST:
        raise SystemExit(f"agreement parked: {outcome.parked}")
    return marker.agreement_id


@contextlib.contextmanager
def in_process(home: Path | None = None) -> Iterator[Services]:
    """The whole product in this process, on a directory store and the development PKI."""
    with tempfile.TemporaryDirectory() as temporary:
        settings = load_settings({"SIGNERT_HOME": str(home or temporary)})
        with open_services(settings, publisher=event_file(settings), hand_over=lambda *_: None) as services:
            yield services


def rendered(services: Services, agreement_id: str) -> tuple[bytes, bytes]:
    """An agreement's Word file, as the product fills it in, and its PDF with all its fields and no signature."""
    ledger = services.ledger
    data = next(entry.data for entry in ledger.read(agreement_id) if entry.type == "rendered")
    docx = ledger.get_blob(agreement_id, data["docx_sha256"], "docx")
    return docx, ledger.get_blob(agreement_id, data["revision"]["sha256"], "pdf")


def pages_docx(count: int) -> bytes:
    """A document of headings and paragraphs, of that many pages."""
    document = Document()
    document.core_properties.title = "Sider"
    for number in range(1, count + 1):
        document.add_heading(f"Side {number}", level=1 if number == 1 else 2)
        for _ in range(8):
            document.add_paragraph("Tilrettelegging og oppfølging, som partene er enige om. " * 5)
        if number < count:
            document.add_page_break()
    body = BytesIO()
    document.save(body)
    return body.getvalue()
