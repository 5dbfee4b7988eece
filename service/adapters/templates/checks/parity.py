"""Checks that all languages of a template say the same: the same tags, and the same structure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest

from service.domain.template import Finding
from service.domain.word_content import Paragraph, Table

__all__ = ["check_same_structure", "check_same_tags"]


def check_same_tags(tags: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    """The tags are the same, but for the texts in quotes. `tags` by language."""
    counted = {language: Counter(_without_texts(tag) for tag in found) for language, found in tags.items()}
    for first, other in _pairs(counted):
        here, there = counted[first] - counted[other], counted[other] - counted[first]
        for language, lacking in ((other, here), (first, there)):
            if lacking:
                yield Finding(
                    f"{language}.docx",
                    "language_parity",
                    f"It lacks tags that the other language has: {', '.join(sorted(lacking))}",
                    "Every language prints the same fields under the same conditions.",
                )


def check_same_structure(
    paragraphs: Mapping[str, Sequence[Paragraph]], tables: Mapping[str, Sequence[Table]]
) -> Iterator[Finding]:
    """Headings of the same levels, and tables of the same columns and rows, in the same order."""
    for first, other in _pairs(paragraphs):
        headings = ([p for p in paragraphs[language] if p.level] for language in (first, other))
        for one, two in zip_longest(*headings):
            if one is None or two is None or one.level != two.level:
                yield _differing(
                    first,
                    other,
                    *(f"«{h.text[:60]}» of level {h.level}" if h else "no more headings" for h in (one, two)),
                )
                break
    for first, other in _pairs(tables):
        for one, two in zip_longest(tables[first], tables[other]):
            if one is None or two is None or (one.columns, one.rows) != (two.columns, two.rows):
                yield _differing(
                    first,
                    other,
                    *(
                        f"{t.where} of {t.columns} columns and {t.rows} rows" if t else "no more tables"
                        for t in (one, two)
                    ),
                )
                break


def _differing(first: str, other: str, here: str, there: str) -> Finding:
    return Finding(
        f"{first}.docx, {other}.docx",
        "language_parity",
        f"The documents part: in {first} {here}, in {other} {there}.",
        "Every language has the same headings and tables, in the same order.",
    )


def _pairs(languages: Mapping[str, object]) -> list[tuple[str, str]]:
    first, *others = languages or [""]
    return [(first, other) for other in others]


def _without_texts(tag: str) -> str:
    pieces = tag.split("'")
    return "'…'".join(pieces[::2])
