"""What is different between two versions of a template, for people who read texts, not files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from service.domain.word_content import Paragraph, Variable

__all__ = ["Change", "WordVersion", "manifest_changes", "word_changes"]

_ALIKE = 0.5
"""From this share of common characters on, one paragraph is another one changed, not one gone and one new."""


@dataclass(frozen=True)
class Change:
    """`before` is None for what is new, `after` for what is gone. `where`: the heading it stands under, or the key."""

    file: str
    kind: str
    """`text`, `variable`, `manifest` or `look`."""
    where: str
    before: str | None
    after: str | None

    def as_json(self) -> dict[str, str | None]:
        return {
            "file": self.file,
            "kind": self.kind,
            "where": self.where,
            "before": self.before,
            "after": self.after,
        }


@dataclass(frozen=True)
class WordVersion:
    """One version of a Word file; `sha256` (hex) is of the whole file."""

    sha256: str
    paragraphs: Sequence[Paragraph]
    variables: Sequence[Variable]


def word_changes(file: str, old: WordVersion, new: WordVersion) -> list[Change]:
    """Paragraph by paragraph, then the names of the data that one prints and the other does not."""
    changes = [*_texts(file, old.paragraphs, new.paragraphs), *_variables(file, old.variables, new.variables)]
    if not changes and old.sha256 != new.sha256:
        changes.append(Change(file, "look", "", "the styles, the layout or the properties of the file", ""))
    return changes


def _texts(file: str, old: Sequence[Paragraph], new: Sequence[Paragraph]) -> Iterator[Change]:
    old_under, new_under = _headings(old), _headings(new)
    matcher = SequenceMatcher(None, [p.text for p in old], [p.text for p in new], autojunk=False)
    for kind, start, end, new_start, new_end in matcher.get_opcodes():
        if kind == "equal":
            continue
        free = list(range(new_start, new_end))
        for one in range(start, end):
            # The first that is alike, so that what follows keeps its order.
            twin = next((n for n in free if _alike(old[one].text, new[n].text)), None)
            if twin is None:
                yield Change(file, "text", old_under[one], old[one].text, None)
                continue
            for before in [n for n in free if n < twin]:
                yield Change(file, "text", new_under[before], None, new[before].text)
            free = [n for n in free if n > twin]
            yield Change(file, "text", new_under[twin], old[one].text, new[twin].text)
        for rest in free:
            yield Change(file, "text", new_under[rest], None, new[rest].text)


def _alike(one: str, other: str) -> bool:
    return SequenceMatcher(None, one, other, autojunk=False).ratio() >= _ALIKE


def _headings(paragraphs: Sequence[Paragraph]) -> list[str]:
    """For each paragraph the heading that it stands under; header or footer for those of no heading."""
    found, current = [], ""
    for paragraph in paragraphs:
        if not paragraph.part.endswith("document.xml"):
            found.append(paragraph.part.rpartition("/")[2].removesuffix(".xml"))
            continue
        if paragraph.level:
            current = paragraph.text
        found.append(current)
    return found


def _variables(file: str, old: Sequence[Variable], new: Sequence[Variable]) -> Iterator[Change]:
    before, after = ({v.path for v in several if v.is_printed} for several in (old, new))
    for path in sorted(before - after):
        yield Change(file, "variable", path, path, None)
    for path in sorted(after - before):
        yield Change(file, "variable", path, None, path)


def manifest_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """Key by key, of two manifests as TOML gives them; name and version are what is compared, and left out."""
    before, after = _flat(old), _flat(new)
    changes = []
    for key in sorted(before.keys() | after.keys()):
        was, now = before.get(key), after.get(key)
        if was != now and key not in ("name", "version"):
            changes.append(Change("manifest.toml", "manifest", key, was, now))
    return changes


def _flat(value: Any, key: str = "") -> dict[str, str]:
    """Key → value as text. An item of a list goes by its role, or by itself, so that order does not count."""
    found: dict[str, str] = {}
    if isinstance(value, Mapping):
        for name, inner in value.items():
            found |= _flat(inner, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list):
        for item in value:
            if isinstance(item, Mapping):
                found |= _flat(item, f"{key}.{item.get('role', len(found))}")
            else:
                found[f"{key}: {item}"] = "listed"
    else:
        found[key] = str(value).lower() if isinstance(value, bool) else str(value)
    return found
