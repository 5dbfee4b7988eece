"""Checks of `sample.json`: it is complete, and what it holds is printed, in the Word file and in the PDF."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from service.adapters.templates.checks.tools import Renderer, WordFiles
from service.domain import presentation
from service.domain.template import Finding, Manifest, Template
from service.errors import CommandRejected, NotArchivable, TemplateError, UnreadableDocument
from service.schemas import check_version_data

__all__ = ["FIXED_TIME", "check_printed", "read_sample"]

FIXED_TIME = datetime(2000, 1, 1, tzinfo=UTC)
_REMEDY = "Print it, or list the path under `unprinted` in the manifest, with the reason."


def read_sample(body: bytes | None, manifest: Manifest) -> tuple[Mapping[str, Any] | None, list[Finding]]:
    """The sample, None when it cannot be used, and what is wrong with it."""
    try:
        sample = json.loads(body or b"")
    except (ValueError, RecursionError):
        sample = None
    if not isinstance(sample, dict):
        message = "The sample is missing or is no JSON object."
        return None, [Finding("sample.json", "sample", message, "Add a complete example.")]
    if manifest.kind != "agreement":
        return sample, []
    try:
        check_version_data(sample, today=_today(sample), root="agreement")
    except CommandRejected as exc:
        return None, [
            Finding(
                f"sample.json: {error.path.removeprefix('agreement.')}",
                "sample",
                "The sample could not be an agreement.",
                error.message,
            )
            for error in exc.errors
        ]
    return sample, []


def _today(sample: Mapping[str, Any]) -> date:
    """A day on which the sample could have been sent: a sample must not grow too old."""
    try:
        return date.fromisoformat(sample["period"]["start"])
    except (KeyError, TypeError, ValueError):
        return FIXED_TIME.date()


def check_printed(
    template: Template,
    sample: Mapping[str, Any],
    word: WordFiles,
    render: Renderer | None,
    *,
    known: Sequence[str] = (),
) -> Iterator[Finding]:
    """Whether every value of the sample is printed; with `render`, whether it is in the finished PDF's text.

    `known` are paths (`*` for items) that are known not to be printed, and told already.
    """
    manifest, language = template.manifest, template.language
    file = f"{language}.docx"
    try:
        data = presentation.context(
            manifest.kind,
            sample,
            labels=template.labels,
            language=language,
            field_labels=template.field_labels,
            unprinted=manifest.unprinted,
        )
        expected = presentation.printed_values(
            manifest.kind,
            sample,
            labels=template.labels,
            language=language,
            field_labels=template.field_labels,
            unprinted=(*manifest.unprinted, *known),
        )
        filled = word.fill(template.docx, data, title=template.title, language=language, created=FIXED_TIME)
    except TemplateError as exc:
        yield Finding(f"{file}: sample.json", exc.code, exc.message, exc.remedy)
        return
    # White space is left out on both sides: the document breaks lines where it likes.
    printed = "".join(word.text(filled).split())
    lost = [path for path, value in expected.items() if "".join(value.split()) not in printed]
    for path in lost:
        message = "The sample's value is not in the document's text."
        yield Finding(f"{file}: {path}", "value_not_printed", message, _REMEDY)
    if render is None:
        return
    try:
        vanished = [
            p for p in render(template, sample) if p not in lost and not presentation.is_unprinted(p, known)
        ]
    except (TemplateError, NotArchivable, UnreadableDocument) as exc:
        yield Finding(f"{file}: made into a PDF with the sample", exc.code, exc.message, exc.remedy)
        return
    for path in vanished:
        message = "The sample's value is in the Word file, but not in the text of the PDF."
        yield Finding(
            f"{file}: {path}", "value_not_printed", message, "Look at the preview: is it cut off or hidden?"
        )
