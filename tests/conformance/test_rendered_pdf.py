"""veraPDF's verdict on what is rendered, before anything is signed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from service.adapters.office import Office
from service.adapters.pdf import finish
from service.domain.ports import Attachment
from tests.conformance.documents import TITLE, accessible
from tests.conformance.verapdf import report, verapdf

pytestmark = [pytest.mark.office, pytest.mark.conformance]
NOW = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def office() -> Iterator[Office]:
    with Office() as office:
        yield office


def test_a_document_is_pdf_a_2a_and_pdf_ua_1_in_both_languages(office: Office, tmp_path: Path) -> None:
    paths = []
    for language in ("nb-NO", "nn-NO"):
        pdf = finish(
            office.to_pdf(accessible(language=language)),
            title=TITLE,
            language=language,
            author="Nav",
            created=NOW,
        ).pdf
        paths.append(tmp_path / f"{language}.pdf")
        paths[-1].write_bytes(pdf)

    failures = verapdf(paths, "2a") + verapdf(paths, "ua1")

    assert not failures, report(failures)


def test_a_document_with_attachments_is_pdf_a_3a_and_pdf_ua_1(office: Office, tmp_path: Path) -> None:
    attachments = (
        Attachment("receipt.json", "application/json", "Kvittering", b'{"version":1}'),
        Attachment("vedlegg æøå.txt", "text/plain", "Et vedlegg", b"tekst"),
    )
    path = tmp_path / "attached.pdf"
    path.write_bytes(
        finish(
            office.to_pdf(accessible(), part=3),
            title=TITLE,
            language="nb-NO",
            attachments=attachments,
            created=NOW,
        ).pdf
    )

    failures = verapdf([path], "3a") + verapdf([path], "ua1")

    assert not failures, report(failures)


def test_what_libreoffice_writes_alone_does_not_pass(office: Office, tmp_path: Path) -> None:
    path = tmp_path / "plain.pdf"
    path.write_bytes(office.to_pdf(accessible()))

    assert {failure.clause for failure in verapdf([path], "2a")} == {"6.2.11.7.3", "6.6.2.3.1", "6.6.4"}
