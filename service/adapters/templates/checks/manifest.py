"""Checks of `manifest.toml` beyond its form: names, roles and their places, labels for every code that may be sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from service.domain import presentation
from service.domain.template import Finding, Manifest
from service.domain.template_fields import SHAPES, leaf_paths
from service.errors import TemplateError
from service.schemas.agreement import MEASURES, choices

__all__ = ["can_come", "check_labels", "check_manifest"]


def check_manifest(manifest: Manifest, name: str, version: str) -> Iterator[Finding]:
    if (manifest.name, manifest.version) != (name, version):
        yield Finding(
            "manifest.toml",
            "template_manifest",
            f"The manifest names {manifest.name} {manifest.version}, the folders {name} {version}.",
            "Name and version are the names of the folders.",
        )
    places = Counter(p.role for p in manifest.places)
    for role in sorted(manifest.parties.keys() | places.keys()):
        if role not in manifest.parties or places[role] != 1:
            yield Finding(
                f"manifest.toml: {role}",
                "signature_place",
                "A role has a rule under parties and one place for its signature, no more and no less.",
                "Add or remove the rule or the place.",
            )


def check_labels(manifest: Manifest) -> Iterator[Finding]:
    """Every code that an agreement may hold has a label: without it, an agreement with that code is refused."""
    fields = {path for path in leaf_paths(SHAPES[manifest.kind]) if can_come(manifest, path)}
    codes = [(path, code) for path, several in choices() if path in fields for code in several]
    for language in manifest.languages:
        missing = []
        for path, code in codes:
            if path == "measure" and code not in manifest.measures:
                continue
            if path.endswith(".responsible") and code not in manifest.parties:
                continue
            labels = manifest.labels[language]
            try:
                presentation.shown(manifest.kind, path, code, labels=labels, language=language)
            except TemplateError as exc:
                if exc.code != "label_missing":
                    raise
                missing.append(str(exc.detail["label"]))
        if missing:
            message = f"There is no text for {', '.join(dict.fromkeys(missing))}, which agreements may have."
            remedy = f"Add it under [labels.{language}]."
            yield Finding(f"manifest.toml: labels.{language}", "label_missing", message, remedy)


def can_come(manifest: Manifest, path: str) -> bool:
    """Whether an agreement on this template can have the field: sections go with measures, parties with rules."""
    first, *rest = path.split(".")
    if manifest.kind != "agreement":
        return True
    if first == "parties":
        return rest[0] in manifest.parties
    return first not in MEASURES or first in manifest.measures
