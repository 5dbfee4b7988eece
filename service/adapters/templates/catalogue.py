"""Finding templates, and holding published versions to their hashes."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from service.adapters.templates.checks import WordFiles, check_files
from service.adapters.templates.manifest import parse_manifest
from service.domain.template import Finding, Manifest, Template
from service.errors import TemplateError

__all__ = ["LOCK", "Catalogue"]

LOCK = "catalogue.lock"
_HEADER = (
    "# SHA-256 of each file of each published template version; `sha256sum -c` reads this list.\n"
    "# A published version never changes: a change is a new version.\n"
)
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_VERSION = re.compile(r"(?:0|[1-9]\d{0,4})\.(?:0|[1-9]\d{0,4})\.(?:0|[1-9]\d{0,4})")
_LOCK_LINE = re.compile(r"([0-9a-f]{64})  ([a-z0-9-]+)/([0-9.]+)/([A-Za-z0-9._-]+)")

Key = tuple[str, str]
Hashes = dict[str, str]
"""File name → SHA-256 (hex) of one version's files."""


class Catalogue:
    """The templates under `root`. Reads files when asked; nothing is kept but what was verified.

    Methods raise `TemplateError`: `unknown_template`, `unknown_language`, `template_altered`, `template_unpublished`,
    `template_manifest`, `catalogue_lock`.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._verified: dict[tuple[str, str, str], Template] = {}

    def list(self) -> tuple[Manifest, ...]:
        """The manifest of every published version, by name, newest version last. Verifies all hashes."""
        return tuple(self._manifest(self._files(key)) for key in sorted(self._read_lock(), key=_sort_key))

    def newest(self, name: str) -> str:
        """The newest published version of that name. Raises `TemplateError` (`unknown_template`)."""
        versions = [key for key in self._read_lock() if key[0] == name]
        if not versions:
            raise self._unknown(name, "")
        return max(versions, key=_sort_key)[1]

    def get(self, name: str, version: str, language: str) -> Template:
        """The template, its files verified against the lock."""
        cached = self._verified.get((name, version, language))
        if cached is not None:
            return cached
        files = self._files((name, version))
        manifest = self._manifest(files)
        if language not in manifest.languages:
            raise TemplateError(
                f"Template {name} {version} is not there in language {language}.",
                code="unknown_language",
                remedy=f"Choose one of: {', '.join(manifest.languages)}.",
            )
        docx = files[f"{language}.docx"]
        template = Template(manifest, language, docx, hashlib.sha256(docx).hexdigest())
        self._verified[name, version, language] = template
        return template

    def check(self, name: str, version: str, *, word: WordFiles) -> Sequence[Finding]:
        """What is wrong with one version, published or not; empty when nothing is. `word` reads Word files."""
        found = self._on_disk((name, version))
        if not found:
            raise self._unknown(name, version)
        locked = self._read_lock().get((name, version))
        findings = []
        if locked is None:
            findings.append(
                Finding(
                    LOCK,
                    "template_unpublished",
                    f"{name} {version} is not in the catalogue's lock.",
                    "Publish it with `signert templates lock` when it is ready.",
                )
            )
        elif locked != {file: _sha256(body) for file, body in found.items()}:
            findings.append(
                Finding(
                    LOCK,
                    "template_altered",
                    f"The files of {name} {version} are not those that were published.",
                    "Restore them, or publish the change as a new version.",
                )
            )
        return findings + check_files(found, name, version, word)

    def lock(self) -> tuple[Key, ...]:
        """Publish every version that is not in the lock yet; gives those. Refuses when one that is has changed."""
        locked = self._read_lock()
        for key in locked:
            self._files(key)
        new = sorted(set(self._keys_on_disk()) - locked.keys(), key=_sort_key)
        for key in new:
            files = self._on_disk(key)
            manifest = self._manifest(files)
            if (manifest.name, manifest.version) != key:
                raise TemplateError(
                    f"The manifest in {'/'.join(key)} names {manifest.name} {manifest.version}.",
                    code="template_manifest",
                    remedy="Name and version are the names of the folders.",
                )
            locked[key] = {file: _sha256(body) for file, body in files.items()}
        lines = [
            f"{digest}  {name}/{version}/{file}\n"
            for name, version in sorted(locked, key=_sort_key)
            for file, digest in sorted(locked[name, version].items())
        ]
        path = self._root / LOCK
        draft = path.with_suffix(".new")
        draft.write_text(_HEADER + "".join(lines), encoding="utf-8")
        os.replace(draft, path)  # noqa: PTH105 — replaces on every platform
        return tuple(new)

    # --- files ---

    def _files(self, key: Key) -> dict[str, bytes]:
        """The files of a published version, held to the lock."""
        name, version = key
        locked = self._read_lock().get(key)
        found = self._on_disk(key)
        if locked is None:
            if found:
                raise TemplateError(
                    f"Template {name} {version} is not published.",
                    code="template_unpublished",
                    remedy="Check it with `signert templates check`, then publish it with `signert templates lock`.",
                )
            raise self._unknown(name, version)
        for file in sorted(locked.keys() | found.keys()):
            body = found.get(file)
            if body is None or _sha256(body) != locked.get(file):
                what = "is missing" if body is None else "is not as it was published"
                raise TemplateError(
                    f"Template {name} {version}: {file} {what}.",
                    code="template_altered",
                    remedy="Restore the published files, or publish the change as a new version.",
                    detail={"file": f"{name}/{version}/{file}"},
                )
        return found

    def _on_disk(self, key: Key) -> dict[str, bytes]:
        name, version = key
        if not _NAME.fullmatch(name) or not _VERSION.fullmatch(version):
            return {}
        folder = self._root / name / version
        if not folder.is_dir():
            return {}
        # Word leaves `~$…` beside an open document, file managers leave dot files: neither belongs to a version.
        return {
            p.name: p.read_bytes()
            for p in sorted(folder.iterdir())
            if p.is_file() and not p.name.startswith((".", "~$"))
        }

    def _keys_on_disk(self) -> tuple[Key, ...]:
        folders = (p for p in self._root.glob("*/*") if p.is_dir())
        keys = [(p.parent.name, p.name) for p in folders]
        return tuple(k for k in keys if _NAME.fullmatch(k[0]) and _VERSION.fullmatch(k[1]))

    def _read_lock(self) -> dict[Key, Hashes]:
        path = self._root / LOCK
        locked: dict[Key, Hashes] = {}
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return locked
        for number, line in enumerate(text.splitlines(), start=1):
            if not line or line.startswith("#"):
                continue
            match = _LOCK_LINE.fullmatch(line)
            if match is None:
                raise TemplateError(
                    f"{LOCK}, line {number}, cannot be understood.",
                    code="catalogue_lock",
                    remedy="Restore the file from the repository.",
                )
            digest, name, version, file = match.groups()
            locked.setdefault((name, version), {})[file] = digest
        return locked

    def _manifest(self, files: Mapping[str, bytes]) -> Manifest:
        if "manifest.toml" not in files:
            raise TemplateError(
                "A template version has no manifest.toml.", code="template_manifest", remedy="Add it."
            )
        return parse_manifest(files["manifest.toml"].decode("utf-8"))

    def _unknown(self, name: str, version: str) -> TemplateError:
        locked = self._read_lock()
        versions = [v for n, v in sorted(locked, key=_sort_key) if n == name]
        if versions:
            what = f"Template {name} has no version {version}."
            remedy = f"Choose one of: {', '.join(versions)}."
        else:
            what = f"There is no template {name}."
            names = sorted({n for n, _ in locked})
            remedy = f"Choose one of: {', '.join(names)}." if names else "The catalogue is empty."
        return TemplateError(what, code="unknown_template", remedy=remedy)


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _sort_key(key: Key) -> tuple[str, tuple[int, ...]]:
    return key[0], tuple(int(n) for n in key[1].split("."))
