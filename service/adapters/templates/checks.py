"""What `signert templates check` looks for in a version's files, before anybody signs a document from them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from service.adapters.templates.manifest import parse_manifest
from service.domain import presentation
from service.domain.template import Finding, Manifest
from service.errors import TemplateError

__all__ = ["WordFiles", "check_files"]

_FIXED_TIME = datetime(2000, 1, 1, tzinfo=UTC)


class Link(Protocol):
    @property
    def target(self) -> str: ...
    @property
    def tooltip(self) -> str: ...
    @property
    def is_styled(self) -> bool: ...


class Properties(Protocol):
    @property
    def title(self) -> str: ...
    @property
    def language(self) -> str: ...
    @property
    def text_language(self) -> str: ...


class WordFiles(Protocol):
    """Who fills and reads Word files; the module `service.adapters.docx` is one."""

    def fill(
        self,
        template_docx: bytes,
        context: Mapping[str, Any],
        *,
        title: str,
        language: str,
        created: datetime,
    ) -> bytes: ...

    def unsafe_content(self, docx: bytes) -> list[Finding]: ...

    def properties(self, docx: bytes) -> Properties: ...

    def signature_links(self, docx: bytes) -> Sequence[Link]: ...

    def tags(self, docx: bytes) -> list[str]: ...

    def text(self, docx: bytes) -> str: ...


def check_files(files: Mapping[str, bytes], name: str, version: str, word: WordFiles) -> list[Finding]:
    """Findings of one version: manifest, sample, and each language's Word file."""
    try:
        manifest = parse_manifest(files.get("manifest.toml", b"").decode("utf-8"))
    except (TemplateError, UnicodeDecodeError) as exc:
        message = exc.message if isinstance(exc, TemplateError) else "The manifest is not UTF-8."
        return [Finding("manifest.toml", "template_manifest", message, "Correct the manifest.")]
    findings = _manifest(manifest, name, version)
    try:
        sample = json.loads(files["sample.json"])
    except (KeyError, ValueError):
        sample = None
        findings.append(
            Finding(
                "sample.json", "sample", "The sample is missing or is not JSON.", "Add a complete example."
            )
        )
    tags: dict[str, Counter[str]] = {}
    for language in manifest.languages:
        file = f"{language}.docx"
        if file not in files:
            findings.append(
                Finding(
                    file, "missing_language", "The Word file is missing.", f"Add {file}, or drop the title."
                )
            )
            continue
        if unsafe := word.unsafe_content(files[file]):
            findings += [Finding(f"{file}: {f.where}", f.code, f.message, f.remedy) for f in unsafe]
            continue
        tags[language] = Counter(_without_texts(tag) for tag in word.tags(files[file]))
        findings += _properties(manifest, language, word.properties(files[file]))
        findings += _places(manifest, language, word.signature_links(files[file]))
        findings += _variables(manifest, language, files[file], word)
        if sample is not None:
            findings += _sample(manifest, language, files[file], sample, word)
    return findings + _parity(tags)


def _manifest(manifest: Manifest, name: str, version: str) -> list[Finding]:
    findings = []
    if (manifest.name, manifest.version) != (name, version):
        findings.append(
            Finding(
                "manifest.toml",
                "template_manifest",
                f"The manifest names {manifest.name} {manifest.version}, the folders {name} {version}.",
                "Name and version are the names of the folders.",
            )
        )
    places = Counter(p.role for p in manifest.places)
    for role in sorted(manifest.parties.keys() | places.keys()):
        if role not in manifest.parties or places[role] != 1:
            findings.append(
                Finding(
                    f"manifest.toml: {role}",
                    "signature_place",
                    "A role has a rule under parties and one place for its signature, no more and no less.",
                    "Add or remove the rule or the place.",
                )
            )
    return findings


def _properties(manifest: Manifest, language: str, found: Properties) -> list[Finding]:
    file = f"{language}.docx"
    findings = []
    if found.title != manifest.titles[language]:
        findings.append(
            Finding(
                file,
                "document_title",
                "The document's title is missing or is another than the manifest's.",
                "Set it in Word: File, Info, Title.",
            )
        )
    if found.language.split("-")[0] != language or found.text_language.split("-")[0] != language:
        findings.append(
            Finding(
                file,
                "document_language",
                f"The document's language is not {language}.",
                "Set the proofing language of the styles, and Language among the advanced properties.",
            )
        )
    return findings


def _places(manifest: Manifest, language: str, links: Sequence[Link]) -> list[Finding]:
    file = f"{language}.docx"
    count = Counter(link.target for link in links)
    found = {link.target: link for link in links}
    findings = []

    def fault(role: str, message: str, remedy: str) -> None:
        findings.append(Finding(f"{file}: {role}", "signature_place", message, remedy))

    for place in manifest.places if language not in manifest.courtesy else ():
        link = found.pop(place.link, None)
        if link is None:
            fault(place.role, "The place for the signature is missing.", f"Add a link to {place.link}.")
        elif count[place.link] > 1:
            fault(place.role, "The place for the signature is there more than once.", "Keep one link.")
        elif not link.is_styled:
            fault(place.role, "The link's text is not in the style Hyperlink.", "Set that character style.")
        elif link.tooltip != place.tooltips[language]:
            fault(
                place.role,
                "The link's tooltip is another than the manifest's.",
                f"Make it «{place.tooltips[language]}»: screen readers say it.",
            )
    for target in found:
        fault(
            target,
            "The link is to a place that is not signed in this language.",
            "Add the place, or remove it.",
        )
    return findings


def _variables(manifest: Manifest, language: str, docx: bytes, word: WordFiles) -> list[Finding]:
    """Fill with everything, and with next to nothing: so the branches that the sample leaves out are tried."""
    findings = []
    for data in presentation.example_contexts(manifest.kind).values():
        try:
            word.fill(docx, data, title="x", language=language, created=_FIXED_TIME)
        except TemplateError as exc:
            findings.append(Finding(f"{language}.docx", exc.code, exc.message, exc.remedy))
    return list(dict.fromkeys(findings))


def _sample(
    manifest: Manifest, language: str, docx: bytes, sample: Mapping[str, Any], word: WordFiles
) -> list[Finding]:
    labels = manifest.labels[language]
    try:
        data = presentation.context(
            manifest.kind,
            sample,
            labels=labels,
            language=language,
            field_labels=manifest.fields.get(language),
            unprinted=manifest.unprinted,
        )
        expected = presentation.printed_values(
            manifest.kind,
            sample,
            labels=labels,
            language=language,
            field_labels=manifest.fields.get(language),
            unprinted=manifest.unprinted,
        )
        filled = word.fill(
            docx, data, title=manifest.titles[language], language=language, created=_FIXED_TIME
        )
    except TemplateError as exc:
        return [Finding(f"{language}.docx: sample.json", exc.code, exc.message, exc.remedy)]
    # White space is left out on both sides: the document breaks lines where it likes.
    printed = "".join(word.text(filled).split())
    return [
        Finding(
            f"{language}.docx: {path}",
            "value_not_printed",
            "The sample's value is not in the document's text.",
            "Print it, or list the path under `unprinted` in the manifest, with the reason.",
        )
        for path, value in expected.items()
        if "".join(value.split()) not in printed
    ]


def _parity(tags: Mapping[str, Counter[str]]) -> list[Finding]:
    """All languages say the same: their tags are the same, but for the texts in quotes."""
    findings = []
    for other in list(tags)[1:]:
        first = next(iter(tags))
        differing = (tags[first] - tags[other]) + (tags[other] - tags[first])
        if differing:
            findings.append(
                Finding(
                    f"{first}.docx, {other}.docx",
                    "language_parity",
                    f"The tags differ: {', '.join(sorted(differing))}",
                    "Every language prints the same fields under the same conditions.",
                )
            )
    return findings


def _without_texts(tag: str) -> str:
    pieces = tag.split("'")
    return "'…'".join(pieces[::2])
