"""Finding templates, and holding published versions to their hashes."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path

from service.adapters.templates.manifest import parse_manifest
from service.domain.template import Manifest, Template
from service.errors import TemplateError

__all__ = ["LOCK", "Catalogue", "Key", "is_key", "sha256"]

LOCK = "catalogue.lock"
_HEADER = (
    "# SHA-256 of each file of each published template version; `sha256sum -c` reads this list.\n"
    "# A published version never changes: a change is a new version.\n"
)
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_VERSION = re.compile(r"(?:0|[1-9]\d{0,4})\.(?:0|[1-9]\d{0,4})\.(?:0|[1-9]\d{0,4})")
_FILE = re.compile(r"[A-Za-z0-9._-]+")
_LOCK_LINE = re.compile(rf"([0-9a-f]{{64}})  ([a-z0-9-]+)/([0-9.]+)/({_FILE.pattern})")

Key = tuple[str, str]
Hashes = dict[str, str]
"""File name → SHA-256 (hex) of one version's files."""


class Catalogue:
    """The templates under `root`. Reads files when asked; nothing is kept but what was verified.

    Methods raise `TemplateError`: `unknown_template`, `unknown_language`, `template_altered`, `template_unpublished`,
    `template_manifest`, `catalogue_lock`.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._verified: dict[tuple[str, str, str], Template] = {}

    def list(self) -> tuple[Manifest, ...]:
        """The manifest of every published version, by name, newest version last. Verifies all hashes."""
        return tuple(self.manifest(self._files(key)) for key in sorted(self.read_lock(), key=_sort_key))

    def newest(self, name: str) -> str:
        """The newest published version of that name. Raises `TemplateError` (`unknown_template`)."""
        versions = [key for key in self.read_lock() if key[0] == name]
        if not versions:
            raise self.unknown(name, "")
        return max(versions, key=_sort_key)[1]

    def get(self, name: str, version: str, language: str) -> Template:
        """The template, its files verified against the lock."""
        cached = self._verified.get((name, version, language))
        if cached is not None:
            return cached
        files = self._files((name, version))
        manifest = self.manifest(files)
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

    def versions(self, name: str | None = None) -> tuple[Key, ...]:
        """Every version, published or draft, by name, newest last; also a published one whose files are gone."""
        keys = set(self._keys_on_disk()) | self.read_lock().keys()
        return tuple(sorted((k for k in keys if name in (None, k[0])), key=_sort_key))

    def is_published(self, name: str, version: str) -> bool:
        return (name, version) in self.read_lock()

    def resolve(self, name: str, version: str | None = None) -> Key:
        """The version meant, the newest when none is named. Raises `TemplateError` (`unknown_template`)."""
        found = [key for key in self.versions(name) if version in (None, key[1])]
        if not found:
            raise self.unknown(name, version or "")
        return found[-1]

    def files(self, name: str, version: str) -> Mapping[str, bytes]:
        """A version's files: of a draft as they are, of a published one held to the lock."""
        if self.is_published(name, version):
            return self._files((name, version))
        if found := self.on_disk((name, version)):
            return found
        raise self.unknown(name, version)

    def lock(self, *keys: Key) -> tuple[Key, ...]:
        """Fix the hashes of these versions, or of every draft when none is named, without looking at what they hold.

        Gives those that were not published before. Refuses when one that is published has changed.
        """
        locked = self.read_lock()
        for key in locked:
            self._files(key)
        new = sorted(set(keys or self._keys_on_disk()) - locked.keys(), key=_sort_key)
        for key in new:
            files = self.on_disk(key)
            manifest = self.manifest(files)
            if (manifest.name, manifest.version) != key:
                raise TemplateError(
                    f"The manifest in {'/'.join(key)} names {manifest.name} {manifest.version}.",
                    code="template_manifest",
                    remedy="Name and version are the names of the folders.",
                )
            if strange := [file for file in files if not _FILE.fullmatch(file)]:
                raise TemplateError(
                    f"{'/'.join(key)} holds a file that is no part of a template: {strange[0]}.",
                    code="unexpected_file",
                    remedy="Remove it.",
                )
            locked[key] = {file: sha256(body) for file, body in files.items()}
        lines = [
            f"{digest}  {name}/{version}/{file}\n"
            for name, version in sorted(locked, key=_sort_key)
            for file, digest in sorted(locked[name, version].items())
        ]
        path = self.root / LOCK
        draft = path.with_suffix(".new")
        draft.write_text(_HEADER + "".join(lines), encoding="utf-8")
        os.replace(draft, path)  # noqa: PTH105 — replaces on every platform
        return tuple(new)

    # --- files ---

    def _files(self, key: Key) -> dict[str, bytes]:
        """The files of a published version, held to the lock."""
        name, version = key
        locked = self.read_lock().get(key)
        found = self.on_disk(key)
        if locked is None:
            if found:
                raise TemplateError(
                    f"Template {name} {version} is not published.",
                    code="template_unpublished",
                    remedy="Check it with `signert templates check`, then publish it with `signert templates publish`.",
                )
            raise self.unknown(name, version)
        for file in sorted(locked.keys() | found.keys()):
            body = found.get(file)
            if body is None or sha256(body) != locked.get(file):
                what = "is missing" if body is None else "is not as it was published"
                raise TemplateError(
                    f"Template {name} {version}: {file} {what}.",
                    code="template_altered",
                    remedy="Restore the published files, or publish the change as a new version.",
                    detail={"file": f"{name}/{version}/{file}"},
                )
        return found

    def on_disk(self, key: Key) -> dict[str, bytes]:
        name, version = key
        if not is_key(name, version):
            return {}
        folder = self.root / name / version
        if not folder.is_dir():
            return {}
        # Word leaves `~$…` beside an open document, file managers leave dot files: neither belongs to a version.
        return {
            p.name: p.read_bytes()
            for p in sorted(folder.iterdir())
            if p.is_file() and not p.name.startswith((".", "~$"))
        }

    def _keys_on_disk(self) -> tuple[Key, ...]:
        folders = (p for p in self.root.glob("*/*") if p.is_dir())
        keys = [(p.parent.name, p.name) for p in folders]
        return tuple(k for k in keys if is_key(*k))

    def read_lock(self) -> dict[Key, Hashes]:
        path = self.root / LOCK
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

    def manifest(self, files: Mapping[str, bytes]) -> Manifest:
        if "manifest.toml" not in files:
            raise TemplateError(
                "A template version has no manifest.toml.", code="template_manifest", remedy="Add it."
            )
        return parse_manifest(files["manifest.toml"].decode("utf-8"))

    def unknown(self, name: str, version: str) -> TemplateError:
        known = self.versions()
        versions = [v for n, v in known if n == name]
        if versions:
            what = f"Template {name} has no version {version}."
            remedy = f"Choose one of: {', '.join(versions)}."
        else:
            what = f"There is no template {name}."
            names = sorted({n for n, _ in known})
            remedy = f"Choose one of: {', '.join(names)}." if names else "The catalogue is empty."
        return TemplateError(what, code="unknown_template", remedy=remedy)


def is_key(name: str, version: str) -> bool:
    """Whether these can be a template's name and version, and so the names of its folders."""
    return bool(_NAME.fullmatch(name) and _VERSION.fullmatch(version))


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _sort_key(key: Key) -> tuple[str, tuple[int, ...]]:
    return key[0], tuple(int(n) for n in key[1].split("."))
