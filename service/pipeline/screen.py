"""The screened edition of a protected participant's agreement: its data, and the proof that it tells nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.domain.agreement import Agreement
from service.domain.presentation.words import texts_of, words_of
from service.domain.screening import Secrets, is_free_text, screened, secrets_of
from service.domain.template import Template
from service.errors import NotFound, RenderFailed
from service.pipeline.ledger import Ledger

__all__ = ["check_screened", "screened_data"]


def screened_data(
    ledger: Ledger, agreement: Agreement, data: Mapping[str, Any]
) -> tuple[dict[str, Any], Secrets]:
    """The current version's `data` without what tells who the participant is or was, and what that is."""
    former = []
    for version in agreement.versions[:-1]:
        try:
            former.append(ledger.get_json(agreement.id, version.input_sha256)["parties"]["participant"])
        except NotFound:
            continue  # erased
    mask = words_of(data["language"]).screened
    return screened(data, mask, former), secrets_of(data, former)


def check_screened(
    pdf_text: str, template: Template, own_text: str, printed: Mapping[str, str], secrets: Secrets
) -> None:
    """Whether the document tells nothing of the participant. Raises `RenderFailed` (`not_screened`) when it does.

    A word that the template itself (`own_text`), a label, a date or another party's name has («Dag», «Mai») tells
    nothing.
    """
    harmless = [
        own_text,
        template.title,
        *(text for texts in template.labels.values() for text in texts.values()),
        *template.field_labels.values(),
        *texts_of(words_of(template.language)),
        *(text for path, text in printed.items() if not is_free_text(path)),
    ]
    told = secrets.found(pdf_text) - secrets.found("\n\n".join(harmless))
    if told:
        raise RenderFailed(
            f"the screened edition still tells of the participant: {', '.join(sorted({kind for kind, _ in told}))}",
            code="not_screened",
            remedy="It is not kept. Report it: this is a fault of Signert.",
        )
