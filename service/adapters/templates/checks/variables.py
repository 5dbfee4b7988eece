"""Checks of the names in the tags: those that the data does not have, and fields that no tag prints."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from service.adapters.templates.checks.manifest import can_come
from service.adapters.templates.checks.sample import FIXED_TIME
from service.adapters.templates.checks.tools import WordFiles
from service.domain import presentation
from service.domain.template import Finding, Manifest
from service.domain.template_fields import SHAPES, leaf_paths
from service.domain.word_content import Variable
from service.errors import TemplateError

__all__ = ["Fault", "check_names", "check_unused", "fill_examples"]


@dataclass(frozen=True)
class Fault:
    """A finding about one path of the data, `*` for items of lists; `meant` is the path it may be a slip for."""

    path: str
    finding: Finding
    meant: str = ""


def check_names(manifest: Manifest, language: str, found: Sequence[Variable]) -> Iterator[Fault]:
    """Names that the data does not have, and sections printed as if they were texts."""
    values, sections = _known(presentation.example_contexts(manifest.kind)["full"])
    for variable in found:
        where, path = f"{language}.docx: {variable.where}", variable.path
        if path in values or (path in sections and not variable.is_printed):
            continue
        if path in sections:
            message, remedy = (
                f"{path} is a whole section, no text.",
                "Print the fields in it, each for itself.",
            )
            yield Fault(path, Finding(where, "not_a_value", message, remedy))
        else:
            near = difflib.get_close_matches(path, values | sections, n=1, cutoff=0.75)
            remedy = (
                f"Is it {near[0]} that is meant?"
                if near
                else "Correct the name; docs/templates.md lists them."
            )
            finding = Finding(where, "undefined_variable", f"The data has no {path}.", remedy)
            yield Fault(path, finding, near[0] if near else "")


def fill_examples(
    manifest: Manifest, language: str, docx: bytes, word: WordFiles
) -> tuple[list[bytes], list[Finding]]:
    """Filled with everything, and with next to nothing: names that stand where the data may lack them show here."""
    filled, findings = [], []
    for data in presentation.example_contexts(manifest.kind).values():
        try:
            filled.append(word.fill(docx, data, title="x", language=language, created=FIXED_TIME))
        except TemplateError as exc:
            place = f"{language}.docx: {exc.detail.get('place', '')}".removesuffix(": ")
            findings.append(Finding(place, exc.code, exc.message, exc.remedy))
    return filled, findings


def _known(node: object, path: str = "") -> tuple[set[str], set[str]]:
    """The paths of values and of sections (and lists) of a context that has everything."""
    values: set[str] = set()
    sections: set[str] = set()
    if isinstance(node, dict):
        inner = [(f"{path}.{name}" if path else str(name), child) for name, child in node.items()]
    elif isinstance(node, list):
        inner = [(f"{path}.*", node[0])]
    else:
        return {path}, sections
    if path:
        sections.add(path)
    for name, child in inner:
        more_values, more_sections = _known(child, name)
        values |= more_values
        sections |= more_sections
    return values, sections


def check_unused(manifest: Manifest, language: str, found: Sequence[Variable]) -> Iterator[Fault]:
    """Fields that can be sent and that the template never prints, though the manifest does not say so."""
    printed = {variable.path for variable in found if variable.is_printed}
    for path in list(printed):
        printed.update(presentation.DERIVED.get(path, ()))
    if manifest.screened and "screened" not in {variable.path for variable in found}:
        message = "The manifest says that the file has a notice for the screened edition; it has none."
        remedy = (
            "Write it between {%p if screened %} and {%p endif %}, or take `screened` out of the manifest."
        )
        yield Fault("screened", Finding(f"{language}.docx: screened", "unused_variable", message, remedy))
    for path in leaf_paths(SHAPES[manifest.kind]):
        if (
            path not in printed
            and not presentation.is_unprinted(path, manifest.unprinted)
            and can_come(manifest, path)
        ):
            message = "The template never prints this field; an agreement that has it would be refused."
            remedy = "Print it, or list it under `unprinted` in the manifest, with the reason."
            yield Fault(path, Finding(f"{language}.docx: {path}", "unused_variable", message, remedy))
