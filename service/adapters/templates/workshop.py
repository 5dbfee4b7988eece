"""What authors do with templates: start a version, check it, compare it with another, publish it."""

from __future__ import annotations

import shutil
import tempfile
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from service.adapters.templates.catalogue import Catalogue, Key, is_key, sha256
from service.adapters.templates.checks import Tools, check_files
from service.adapters.templates.checks.sample import read_sample
from service.adapters.templates.starting import Compose, renamed, skeleton
from service.domain.template import Finding, Manifest, Template
from service.domain.template_diff import Change, WordVersion, manifest_changes, word_changes
from service.errors import TemplateError

__all__ = ["Workshop"]


_GROWN = frozenset({"unused_variable", "label_missing"})
"""Findings that come with fields and codes that are newer than a template: a published one stays as it was."""


class Workshop(Catalogue):
    """The catalogue for those who make templates: drafts too.

    Methods raise `TemplateError` as the catalogue's do, and `template_name`, `template_exists`, `sample`.
    """

    def open(self, name: str, version: str) -> tuple[Template, ...]:
        """The template in each of its languages that has a file, published or draft."""
        files = self.files(name, version)
        manifest = self.manifest(files)
        found = ((language, files.get(f"{language}.docx")) for language in manifest.languages)
        return tuple(Template(manifest, lang, docx, sha256(docx)) for lang, docx in found if docx is not None)

    def example(self, name: str, version: str) -> Mapping[str, Any]:
        """The version's sample. Raises `TemplateError` (`sample`)."""
        files = self.files(name, version)
        return self.example_of(files.get("sample.json"), self.manifest(files), "sample.json")

    def example_of(self, body: bytes | None, manifest: Manifest, where: str) -> Mapping[str, Any]:
        """Data for a template of that manifest. Raises `TemplateError` (`sample`) that names the fields at fault."""
        data, findings = read_sample(body, manifest)
        if data is None:
            faults = [f"{f.where.removeprefix('sample.json').strip(': ')}: {f.remedy}" for f in findings]
            raise TemplateError(
                f"{where} cannot be printed. {' '.join(faults)}".replace(". : ", ". "),
                code="sample",
                remedy="See examples/agreement.json for the shape.",
                detail={"findings": [f.as_json() for f in findings]},
            )
        return data

    def check(self, name: str, version: str, *, tools: Tools) -> list[Finding]:
        """What is wrong with one version, published or draft; empty when nothing is."""
        found = self.on_disk((name, version))
        locked = self.read_lock().get((name, version))
        if not found and locked is None:
            raise self.unknown(name, version)
        findings = []
        hashes = {file: sha256(body) for file, body in found.items()}
        if locked is not None and locked != hashes:
            differing = sorted(f for f in locked.keys() | hashes.keys() if locked.get(f) != hashes.get(f))
            findings.append(
                Finding(
                    ", ".join(differing),
                    "template_altered",
                    f"The files of {name} {version} are not those that were published.",
                    "Restore them, and make the change in a new version: `signert templates new`.",
                )
            )
        if not found:
            return findings
        told = check_files(found, name, version, tools)
        return findings + (told if locked is None else [f for f in told if f.code not in _GROWN])

    def compare(
        self,
        name: str,
        old: str,
        new: str,
        *,
        read: Callable[[bytes], WordVersion],
        language: str | None = None,
    ) -> list[Change]:
        """What is different in version `new`: each language's Word file (or that of one language), the manifest.

        Raises `TemplateError` (`unknown_template`, `unknown_language`).
        """
        before, after = self.files(name, old), self.files(name, new)
        files = {f for f in (*before, *after) if f.endswith(".docx")}
        if language is not None and f"{language}.docx" not in files:
            raise TemplateError(
                f"Template {name} is not there in language {language}.",
                code="unknown_language",
                remedy=f"Choose one of: {', '.join(sorted(f.removesuffix('.docx') for f in files))}.",
            )
        nothing = WordVersion("", (), ())
        changes = []
        for file in sorted(files):
            if language in (None, file.removesuffix(".docx")):
                was, now = (read(v[file]) if file in v else nothing for v in (before, after))
                changes += word_changes(file, was, now)
        manifests = (tomllib.loads(v["manifest.toml"].decode("utf-8")) for v in (before, after))
        return changes + manifest_changes(*manifests)

    def publish(self, name: str, version: str, *, tools: Tools) -> list[Finding]:
        """Check one version and, when nothing is wrong, fix its hashes. What is published already stays as it is."""
        before = self.on_disk((name, version))
        findings = self.check(name, version, tools=tools)
        if not findings and not self.is_published(name, version):
            if self.on_disk((name, version)) != before:
                raise TemplateError(
                    f"The files of {name} {version} were changed while they were checked.",
                    code="template_altered",
                    remedy="Save and close them, then publish again.",
                )
            self.lock((name, version))
        return findings

    def start(
        self,
        name: str,
        *,
        compose: Compose,
        source: Key | None = None,
        version: str | None = None,
    ) -> tuple[Path, Key, Key | None]:
        """A new draft: a copy of `source`, of the newest version of `name`, or a skeleton where there is none.

        Gives its folder, its key, and what it is a copy of. `version` is the next minor one when not given.
        Raises `TemplateError` (`template_name`, `template_exists`, `unknown_template`).
        """
        own = self.versions(name)
        if source is None and own:
            source = own[-1]
        version = version or (_next_minor(own[-1][1]) if own else "1.0.0")
        if not is_key(name, version):
            raise TemplateError(
                f"{name} {version} cannot be a template's name and version.",
                code="template_name",
                remedy="A name is of a–z, digits and hyphens; a version is three numbers with full stops, as 1.2.0.",
            )
        folder = self.root / name / version
        if folder.exists() or (name, version) in own:
            raise TemplateError(
                f"Template {name} {version} is there already.",
                code="template_exists",
                remedy="Go on with it, or name another version with --version.",
            )
        files = (
            renamed(self.files(*source), source, (name, version))
            if source
            else skeleton(name, version, compose)
        )
        folder.parent.mkdir(parents=True, exist_ok=True)
        # All or nothing: the folder gets its name when every file is in it.
        draft = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.parent))
        try:
            for file, body in files.items():
                (draft / file).write_bytes(body)
            draft.chmod(0o755)
            draft.rename(folder)
        except OSError:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        return folder, (name, version), source


def _next_minor(version: str) -> str:
    major, minor, _ = version.split(".")
    return f"{major}.{int(minor) + 1}.0"
