"""What a new template version starts from: the files of another, or a skeleton that passes every check."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Protocol

from service.adapters.templates.manifest import parse_manifest

__all__ = ["Compose", "renamed", "skeleton"]

Key = tuple[str, str]


class Compose(Protocol):
    def __call__(self, text: str, *, title: str, language: str) -> bytes:
        """A Word file of plainly written text; `service.adapters.docx.compose` is one."""


def renamed(source: Mapping[str, bytes], old: Key, new: Key) -> dict[str, bytes]:
    """The files of version `old` under another name and version; everything else stays as it was written."""
    manifest = source["manifest.toml"].decode("utf-8")
    for key, value in zip(("name", "version"), new, strict=True):
        manifest = re.sub(rf'(?m)^{key}\s*=\s*"[^"]*"', f'{key} = "{value}"', manifest, count=1)
    sample = source.get("sample.json", b"").decode("utf-8")
    # A sample names its template, where it is an agreement: in the order that everybody writes.
    sample = re.sub(
        rf'("name"\s*:\s*)"{re.escape(old[0])}"(\s*,\s*"version"\s*:\s*)"{re.escape(old[1])}"',
        rf'\g<1>"{new[0]}"\g<2>"{new[1]}"',
        sample,
    )
    return {**source, "manifest.toml": manifest.encode(), "sample.json": sample.encode()}


def skeleton(name: str, version: str, compose: Compose) -> dict[str, bytes]:
    """A plain agreement in bokmål and nynorsk that prints every field of its measures and parties."""
    folder = files("service.adapters.templates") / "skeleton"
    written = {file: (folder / file).read_bytes() for file in ("manifest.toml", "sample.json")}
    manifest = parse_manifest(written["manifest.toml"].decode("utf-8"))
    for language, title in manifest.titles.items():
        text = (folder / f"{language}.txt").read_text(encoding="utf-8")
        written[f"{language}.docx"] = compose(text, title=title, language=language)
    return renamed(written, (manifest.name, manifest.version), (name, version))
