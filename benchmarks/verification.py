"""What verification costs: documents with 1, 5, 20 and 50 signatures, and with 1, 50 and 500 pages.

    python benchmarks/verification.py [--signatures N…] [--pages N…] [--profile]

Makes the documents with the project's own API (LibreOffice, development PKI), seals them, adds the signatures and
evidence (PAdES B-LTA), and prints the processor time of `validate` and of comparing the pages, as JSON and Markdown.
Processor time, so that others on the machine do not count.
"""

from __future__ import annotations

import argparse
import cProfile
import io
import json
import pstats
import resource
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from docx import Document

from service.bootstrap import compare_pages, event_file, open_services
from service.config import load_settings
from service.pipeline.services import Services
from signing import (
    DOCUMENT_TIMESTAMP_FIELD,
    FieldPlace,
    SignatureRequest,
    augment,
    embed,
    place_fields,
    prepare,
    sign,
    validate,
)

SEAL = "seal"


def pages(services: Services, count: int) -> bytes:
    """A document of that many pages, as LibreOffice writes it."""
    document = Document()
    for number in range(1, count + 1):
        document.add_paragraph(f"Side {number}")
        for _ in range(8):
            document.add_paragraph("Tilrettelegging og oppfølging, som partene er enige om. " * 5)
        if number < count:
            document.add_page_break()
    body = io.BytesIO()
    document.save(body)
    return services.typesetting.office.to_pdf(body.getvalue())


def signed(services: Services, pdf: bytes, signatures: int) -> bytes:
    """Sealed, signed by so many less one, with evidence and a document timestamp."""
    keys = services.keys
    fields = [SEAL, *(f"party-{number}" for number in range(1, signatures))]
    revision = place_fields(pdf, [FieldPlace(name, name) for name in (*fields, DOCUMENT_TIMESTAMP_FIELD)])
    credential = keys.credential(SEAL)
    assert credential is not None
    for field in fields:
        request = SignatureRequest(field, certify=field == SEAL)
        prepared = prepare(revision, request, credential.identity, at=datetime.now(UTC))
        revision = embed(prepared, sign(prepared, credential), revision=revision, timestamps=keys.timestamps)
    return augment(revision, trust=keys.trust, timestamps=keys.timestamps, collector=keys.evidence)


def processor_time(action: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, those of ended children with them, and what the action gave."""

    def spent() -> float:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.process_time() + children.ru_utime + children.ru_stime

    started = spent()
    result = action()
    return spent() - started, result


def measure(services: Services, document: bytes, *, repeats: int, draw: bool) -> dict[str, float]:
    trust = services.keys.trust
    runs = [processor_time(lambda: validate(document, trust)) for _ in range(repeats)]
    report = runs[0][1]
    assert report.passed, report
    drawn = 0.0
    if draw:
        drawn, compared = processor_time(lambda: compare_pages(document, report))
        assert compared.pages == "same", compared.pages
    return {"bytes": len(document), "validate": min(run[0] for run in runs), "drawn": drawn}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--signatures", type=int, nargs="*", default=[1, 5, 20, 50])
    parser.add_argument("--pages", type=int, nargs="*", default=[1, 50, 500])
    parser.add_argument("--profile", action="store_true", help="Where the time of the largest of each goes.")
    parser.add_argument("--draw", type=int, default=50, help="Compare the pages of documents up to so many.")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as home:
        settings = load_settings({"SIGNERT_HOME": home})
        with open_services(settings, publisher=event_file(settings), hand_over=lambda *_: None) as services:
            one = pages(services, 1)
            validate(signed(services, one, 1), services.keys.trust)  # imports
            made = [(count, 1, one) for count in options.signatures]
            made += [(1, count, pages(services, count)) for count in options.pages]
            for signatures, count, pdf in made:
                document = signed(services, pdf, signatures)
                repeats = 1 if signatures * count > 10 else 3
                rows.append(
                    {
                        "signatures": signatures,
                        "pages": count,
                        **measure(services, document, repeats=repeats, draw=count <= options.draw),
                    }
                )
                print(json.dumps(rows[-1]), flush=True)
                if options.profile:
                    profile = cProfile.Profile()
                    profile.runcall(validate, document, services.keys.trust)
                    pstats.Stats(profile).sort_stats("tottime").print_stats(25)
                    pstats.Stats(profile).sort_stats("cumulative").print_stats(60)
    print("\n| signatures | pages | KB | validate s | of each | pages compared s |")
    print("|---:|---:|---:|---:|---:|---:|")
    for row in rows:
        each = row["validate"] / (row["signatures"] * row["pages"]) * 1000
        print(
            f"| {row['signatures']} | {row['pages']} | {row['bytes'] // 1000} | {row['validate']:.2f} "
            f"| {each:.0f} ms | {row['drawn']:.2f} |"
        )


if __name__ == "__main__":
    main()
