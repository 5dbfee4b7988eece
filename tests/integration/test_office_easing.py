"""What LibreOffice gets in place of a Word file gives the same PDF: every template's sample, kept and handed over."""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pypdf import PdfReader
from pypdf.generic import NumberObject, StreamObject

from service.adapters.docx import eased
from service.adapters.office import Office
from service.adapters.pdf import finish
from service.adapters.templates import Catalogue
from service.bootstrap.templates import typesetting
from service.config import load_settings
from service.pipeline.render import typeset
from service.pipeline.services import Typesetting

pytestmark = pytest.mark.office

ROOT = Path(__file__).parents[2] / "templates"
CATALOGUE = Catalogue(ROOT)
NOW = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
ID = "5f0c7f0a-91d4-4b53-8d0e-6a1b2c3d4e5f"
SAMPLES = [
    (name, version, file.stem)
    for name, version in CATALOGUE.versions()
    for file in sorted((ROOT / name / version).glob("*.docx"))
]


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Typesetting]:
    settings = load_settings({"SIGNERT_HOME": str(tmp_path_factory.mktemp("home"))})
    with contextlib.ExitStack() as stack:
        yield typesetting(settings, stack)


@pytest.fixture(scope="module")
def plain_office() -> Iterator[Office]:
    with Office() as office:
        yield office


def objects(pdf: bytes) -> list[tuple[str, bytes]]:
    """All that the file says: dictionaries and what streams hold. Lone numbers are lengths of what is packed, and the
    colour profile that LibreOffice makes with the time in it is packed to another length each second."""
    reader = PdfReader(io.BytesIO(pdf))
    found = []
    for number in range(1, reader.trailer["/Size"]):
        value = reader.get_object(number)
        if isinstance(value, NumberObject) or value is None:
            continue
        shown = re.sub(r"IndirectObject\((\d+), (\d+), \d+\)", r"\1 \2 R", repr(value))
        found.append((shown, value.get_data() if isinstance(value, StreamObject) else b""))
    return found


@pytest.mark.parametrize(("name", "version", "language"), SAMPLES)
def test_the_pdf_is_that_of_the_word_file_that_is_kept(
    tools: Typesetting, plain_office: Office, name: str, version: str, language: str
) -> None:
    template = CATALOGUE.get(name, version, language)
    sample = json.loads((ROOT / name / version / "sample.json").read_text())
    data = {"id": ID, **sample, "language": language}
    document = typeset(tools, template, data, identifier=ID, version=1, created=NOW)

    assert eased(document.docx) != document.docx
    kept = plain_office.to_pdf(document.docx)

    done = finish(
        kept,
        title=template.title,
        language={"nb": "nb-NO", "nn": "nn-NO", "en": "en-GB"}[language],
        created=NOW,
    )
    assert objects(document.pdf) == objects(done.pdf)
