"""An amendment's changes, from JSON paths and values to words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.domain.presentation.formats import Labels, Presenter, is_unprinted
from service.errors import TemplateError

__all__ = ["NOTHING", "Described", "describe", "describe_changes", "leaves"]

NOTHING = "–"


@dataclass(frozen=True)
class Described:
    """One change as people read it. `before` and `after` may be several lines; `–` stands for nothing."""

    what: str
    before: str
    after: str


def describe_changes(
    changes: Sequence[Mapping[str, Any]],
    *,
    labels: Labels,
    field_labels: Mapping[str, str],
    language: str,
    unprinted: Sequence[str] = (),
    withheld: Sequence[str] = (),
) -> list[Described]:
    """`changes` as `{path, before, after}`, in words: «Tilrettelegging 3: Tiltak», what it was, and what it is.

    A path names a single value, or a whole item or section; list positions count from 0 and are shown from 1. Values
    are written as at their place in the agreement. `labels` and `field_labels` are the manifest's in that language:
    `field_labels` by path, `*` for one segment, where each `*` is named before («Tilrettelegging 3» by the label of
    `accommodation.*`). Changes that are wholly of `unprinted` paths are left out; what `withheld` covers is named, and
    its values are not shown.

    Raises `TemplateError` (`label_missing`, `unknown_language`).
    """
    described = describe(
        changes,
        Presenter("agreement", labels, language),
        field_labels=field_labels,
        unprinted=unprinted,
        withheld=withheld,
    )
    return [change for change in described if change is not None]


def describe(
    changes: Sequence[Mapping[str, Any]],
    presenter: Presenter,
    *,
    field_labels: Mapping[str, str],
    unprinted: Sequence[str],
    withheld: Sequence[str],
) -> list[Described | None]:
    """As `describe_changes`, with None in the place of what is left out."""
    teller = _Teller(presenter, field_labels, unprinted, withheld)
    return [teller.change(change["path"], change["before"], change["after"]) for change in changes]


@dataclass(frozen=True)
class _Teller:
    presenter: Presenter
    field_labels: Mapping[str, str]
    unprinted: Sequence[str]
    withheld: Sequence[str]

    def change(self, path: str, before: Any, after: Any) -> Described | None:
        """None when none of it may be told."""
        found = [leaf for value in (before, after) for leaf, _ in leaves(value, path)]
        if is_unprinted(path, self.unprinted) or (
            found and all(is_unprinted(p, self.unprinted) for p in found)
        ):
            return None
        what = ": ".join(self._names(path))
        return Described(what, self._value(path, before), self._value(path, after))

    def _value(self, path: str, value: Any) -> str:
        if not isinstance(value, Mapping | list):
            return NOTHING if value is None or value == "" else self._leaf(path, value)
        lines = [
            f"{', '.join(self._names(leaf, below=path.count('.') + 1))}: {self._leaf(leaf, inner)}"
            for leaf, inner in self._in_order(leaves(value, path))
            if not is_unprinted(leaf, self.unprinted)
        ]
        return "\n".join(lines) or NOTHING

    def _in_order(self, found: Iterable[tuple[str, object]]) -> list[tuple[str, object]]:
        """As the manifest lists the fields: data that were stored have lost the order in which they were sent."""
        places = {pattern: place for place, pattern in enumerate(self.field_labels)}

        def order(leaf: tuple[str, object]) -> tuple[list[int], int]:
            segments = leaf[0].split(".")
            items = [int(s) for s in segments if s.isdecimal()]
            return items, places[".".join(self._pattern(segments))]

        return sorted(found, key=order)

    def _leaf(self, path: str, value: Any) -> str:
        return (
            self.presenter.words.withheld
            if is_unprinted(path, self.withheld)
            else self.presenter.show(path, value)
        )

    def _names(self, path: str, below: int = 0) -> Iterator[str]:
        """The labels that name `path`: of each item that it lies in, outermost first, then its own.

        Items among the first `below` segments are known to the reader and left out.
        """
        segments = path.split(".")
        pattern = self._pattern(segments)
        for place, wanted in enumerate(pattern[:-1], start=1):
            if wanted == "*" and place > below:
                yield self._own(segments[:place])
        yield self._own(segments)

    def _own(self, segments: Sequence[str]) -> str:
        label = self.field_labels[".".join(self._pattern(segments))]
        return f"{label} {int(segments[-1]) + 1}" if segments[-1].isdecimal() else label

    def _pattern(self, segments: Sequence[str]) -> list[str]:
        """The pattern of the label for this place: the one that names most of it."""
        fitting = [
            pattern
            for pattern in (label.split(".") for label in self.field_labels)
            if len(pattern) == len(segments)
            and all(w in ("*", s) for w, s in zip(pattern, segments, strict=True))
        ]
        if not fitting:
            raise TemplateError(
                f"The template has no label for the field {'.'.join(segments)}.",
                code="label_missing",
                remedy="Add it to the manifest under [fields.…] in every language; * stands for one segment.",
            )
        return min(fitting, key=lambda pattern: pattern.count("*"))


def leaves(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Path and value of every value that is there."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for index, inner in enumerate(value):
            yield from leaves(inner, f"{path}.{index}")
    elif value is not None and value != "":
        yield path, value
