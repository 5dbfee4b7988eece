"""What `signert templates check` looks for in a version's files, before anybody signs a document from them.

One module for each family of checks; docs/templates.md lists every finding with its remedy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterator, Mapping, Sequence

from service.adapters.templates.checks import accessibility, appearance, document, parity, sample, variables
from service.adapters.templates.checks.manifest import check_labels, check_manifest
from service.adapters.templates.checks.tools import Tools, WordFiles
from service.adapters.templates.manifest import parse_manifest
from service.domain.template import Finding, Manifest, Template
from service.domain.word_content import Paragraph, Table
from service.errors import TemplateError

__all__ = ["Tools", "WordFiles", "check_files"]

_TAG_FAULTS = frozenset({"template_syntax", "forbidden_tag"})
"""Faults of a document that can be read all the same."""


def check_files(files: Mapping[str, bytes], name: str, version: str, tools: Tools) -> list[Finding]:
    """Findings of one version: manifest, sample, each language's Word file, and the languages side by side.

    Raises `SignertError` when the machine cannot do what a check needs (no LibreOffice, no fontconfig).
    """
    try:
        manifest = parse_manifest(files.get("manifest.toml", b"").decode("utf-8"))
    except (TemplateError, UnicodeDecodeError) as exc:
        message = exc.message if isinstance(exc, TemplateError) else "The manifest is not UTF-8."
        return [Finding("manifest.toml", "template_manifest", message, "Correct the manifest.")]
    return list(dict.fromkeys(_Check(files, manifest, tools).all(name, version)))


class _Check:
    """The checks of one version with a manifest that can be read."""

    def __init__(self, files: Mapping[str, bytes], manifest: Manifest, tools: Tools) -> None:
        self.files = files
        self.manifest = manifest
        self.tools = tools
        self.tags: dict[str, Sequence[str]] = {}
        self.paragraphs: dict[str, Sequence[Paragraph]] = {}
        self.tables: dict[str, Sequence[Table]] = {}
        self.unused: dict[str, Sequence[str]] = {}
        self.headings_hold: dict[str, bool] = {}

    def all(self, name: str, version: str) -> Iterator[Finding]:
        yield from check_manifest(self.manifest, name, version)
        unlabelled = list(check_labels(self.manifest))
        yield from unlabelled
        example, findings = sample.read_sample(self.files.get("sample.json"), self.manifest)
        yield from findings
        languages = [f"{language}.docx" for language in self.manifest.languages]
        for file in sorted(self.files.keys() - {"manifest.toml", "sample.json", *languages}):
            message = "The file is no part of a template: one Word file a language of the manifest's titles, no more."
            yield Finding(file, "unexpected_file", message, "Remove it, or add its language to the manifest.")
        for language in self.manifest.languages:
            file = f"{language}.docx"
            if file not in self.files:
                message, remedy = "The Word file is missing.", f"Add {file}, or drop the title."
                yield Finding(file, "missing_language", message, remedy)
                continue
            docx = self.files[file]
            unsafe = self.tools.word.unsafe_content(docx)
            yield from (Finding(f"{file}: {f.where}", f.code, f.message, f.remedy) for f in unsafe)
            if not {f.code for f in unsafe} <= _TAG_FAULTS:
                continue
            yield from self._document(language, docx)
            if unsafe:
                continue
            faults = yield from self._tags(language, docx)
            if example is not None and not unlabelled and not faults:
                template = Template(self.manifest, language, docx, hashlib.sha256(docx).hexdigest())
                yield from sample.check_printed(
                    template, example, self.tools.word, self.tools.render, known=self.unused[language]
                )
        yield from parity.check_same_tags(self.tags)
        yield from parity.check_same_structure(self.paragraphs, self.tables)

    def _document(self, language: str, docx: bytes) -> Iterator[Finding]:
        """What can be told without filling it."""
        file, word = f"{language}.docx", self.tools.word
        self.paragraphs[language], self.tables[language] = word.paragraphs(docx), word.tables(docx)
        looks = word.looks(docx)
        yield from document.check_properties(self.manifest, language, word.properties(docx))
        yield from document.check_places(self.manifest, language, word.signature_links(docx))
        jumps = list(accessibility.check_headings(file, self.paragraphs[language]))
        self.headings_hold[language] = not jumps
        yield from jumps
        yield from accessibility.check_tables(file, self.tables[language])
        yield from accessibility.check_pictures(file, word.pictures(docx))
        yield from appearance.check_contrast(file, looks)
        yield from appearance.check_fonts(file, looks, self.tools.installed_font)

    def _tags(self, language: str, docx: bytes) -> Generator[Finding, None, bool]:
        """Faults of names; whether there are any for which the document cannot be filled."""
        word, manifest = self.tools.word, self.manifest
        found = word.variables(docx)
        wrong = list(variables.check_names(manifest, language, found))
        # A slip is told once: not as a field that is missing too, nor as a difference from the other language.
        meant = {fault.meant for fault in wrong}
        unused = [f for f in variables.check_unused(manifest, language, found) if f.path not in meant]
        self.unused[language] = [fault.path for fault in unused]
        yield from (fault.finding for fault in (*wrong, *unused))
        if wrong:
            return True
        self.tags[language] = word.tags(docx)
        filled, findings = variables.fill_examples(manifest, language, docx, word)
        yield from findings
        if self.headings_hold[language]:
            # A section that is left out takes its headings with it.
            for example in filled:
                yield from accessibility.check_headings(f"{language}.docx", word.paragraphs(example))
        return bool(findings)
