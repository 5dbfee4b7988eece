"""From a Word file by way of LibreOffice: what it writes today can be signed."""

from __future__ import annotations

from pathlib import Path

import pytest

from signing import place_fields, validate
from tests.fixtures.make_signable import convert, write_docx
from tests.signing_documents import PARTIES, PLACES, Signers

pytestmark = [pytest.mark.pki, pytest.mark.office]


def test_fresh_conversion_is_signed_by_all(tmp_path: Path, signers: Signers) -> None:
    write_docx(tmp_path / "signable.docx")
    document = place_fields(convert(tmp_path / "signable.docx", tmp_path).read_bytes(), PLACES)
    for field in ("seal", *PARTIES):
        document = signers.sign(document, field)
    report = validate(signers.augment(document), signers.trust)
    assert report.passed
    assert [s.level for s in report.signatures] == ["B-LTA"] * 4
