"""An agreement's life in words: what each version changed and why, and what is different between any two.

In the agreement's own language, by the labels of the template that the newer version was printed with. The contact
information of a participant who is or was protected is not shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.domain.agreement import Agreement, Version
from service.domain.changes import differences
from service.domain.presentation import WITHHELD, Described, describe_changes, is_protected, is_withheld
from service.domain.template import Template
from service.errors import NotFound
from service.pipeline.amend import content_of
from service.pipeline.ledger import Ledger
from service.pipeline.services import Catalogue

__all__ = ["Chapter", "chapter", "compare", "history"]


@dataclass(frozen=True)
class Chapter:
    """One version: what kinds of change it made (in words), why, what exactly, and who was told only."""

    version: Version
    types: tuple[str, ...]
    reason: str | None
    changes: Sequence[Described]
    told: tuple[str, ...]
    termination: Mapping[str, str] | None


def history(ledger: Ledger, templates: Catalogue, agreement: Agreement) -> list[Chapter]:
    """Every version from the first, whatever became of it. Raises `NotFound` for data that were erased."""
    return [chapter(ledger, templates, agreement.id, version) for version in agreement.versions]


def compare(
    ledger: Ledger, templates: Catalogue, agreement: Agreement, before: int, after: int
) -> list[Described]:
    """What is different in version `after` from version `before`. Raises `NotFound` for one that is not there."""
    inputs = []
    for number in (before, after):
        version = agreement.version(number)
        if version is None:
            raise NotFound(
                f"agreement {agreement.id} has no version {number}", remedy="See `signert show ID --history`."
            )
        inputs.append(ledger.get_json(agreement.id, version.input_sha256))
    old, new = map(content_of, inputs)
    changes = [c.as_json() for c in differences(old, new) if c.path.split(".")[0] != "template"]
    newer = agreement.versions[max(before, after) - 1]
    return _described(templates, newer, changes, withhold=any(map(is_protected, inputs)))


def chapter(ledger: Ledger, templates: Catalogue, agreement_id: str, version: Version) -> Chapter:
    """What this version changed. Raises `NotFound` for data that were erased."""
    data = ledger.get_json(agreement_id, version.input_sha256)
    amendment = data.get("amendment", {})
    changes = amendment.get("changes", [])
    labels = _template(templates, version).labels
    named = labels.get("change_type", {})
    ending = data.get("termination")
    if ending:
        ending = {
            **ending,
            "reason": labels.get("termination_reason", {}).get(ending["reason"], ending["reason"]),
        }
    return Chapter(
        version=version,
        types=tuple(named.get(t, t) for t in version.change),
        reason=amendment.get("reason"),
        changes=_described(templates, version, changes, withhold=is_withheld(data, changes)),
        told=tuple(labels["role"].get(role, role) for role in amendment.get("told", ())),
        termination=ending,
    )


def _described(
    templates: Catalogue, version: Version, changes: Sequence[Mapping[str, Any]], *, withhold: bool
) -> list[Described]:
    template = _template(templates, version)
    return describe_changes(
        changes,
        labels=template.labels,
        field_labels=template.field_labels,
        language=version.language,
        withheld=WITHHELD if withhold else (),
    )


def _template(templates: Catalogue, version: Version) -> Template:
    return templates.get(version.template, version.template_version, version.language)
