"""Whether what was put into a document can be read out of it."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

__all__ = ["missing_values"]


def missing_values(pdf_text: str, values: Mapping[str, str]) -> list[str]:
    """The keys of those values that do not occur in the text, in the order given.

    A value occurs when its characters do, one after the other: a line may break at any place (with or without a
    hyphen), white space of any kind is one space, and compatibility forms (ligatures, non-breaking spaces) are what
    they stand for (NFKC). It may not begin or end inside a number or a word; the genitive's `s` may follow. Blank
    values are never missing.
    """
    haystack = _Haystack(pdf_text)
    return [key for key, value in values.items() if not haystack.has(_plain(value))]


_DROPPED = dict.fromkeys(
    map(ord, "\N{SOFT HYPHEN}\N{ZERO WIDTH SPACE}\N{WORD JOINER}\N{ZERO WIDTH NO-BREAK SPACE}")
)
_HYPHENS = {ord("\N{HYPHEN}"): "-", ord("\N{NON-BREAKING HYPHEN}"): "-"}
_REPLACED = _DROPPED | _HYPHENS


def _plain(content: str) -> str:
    return content if content.isascii() else unicodedata.normalize("NFKC", content.translate(_REPLACED))


class _Haystack:
    """Text to look for values in: `solid` is what is left without white space and hyphens, `at` where it stood."""

    def __init__(self, content: str) -> None:
        self.text = _plain(content)
        parting = {char for char in set(self.text) if char.isspace() or char == "-"}
        self.at = [n for n, char in enumerate(self.text) if char not in parting]
        self.solid = self.text.translate(dict.fromkeys(map(ord, parting)))

    def has(self, value: str) -> bool:
        value = " ".join(value.split())
        if not value:
            return True
        solid = value.replace(" ", "").replace("-", "")
        if not solid:
            return value in self.text
        lead = value[: value.index(solid[0])]
        start = self.solid.find(solid)
        while start >= 0:
            position = self.at[start]
            begin = self._start_of(lead, position)
            if begin is not None and self._matches(value[len(lead) :], position, begin):
                return True
            start = self.solid.find(solid, start + 1)
        return False

    def _start_of(self, lead: str, position: int) -> int | None:
        """Where `lead`, hyphens and spaces, starts if it stands before `position`; a line may break in it too."""
        text, here = self.text, position
        for char in reversed(lead):
            if char == "-":
                while text[here - 1 : here] == "\n" and text[here - 2 : here - 1] != "\n":
                    here -= 1
                if text[here - 1 : here] != "-":
                    return None
                here -= 1
                continue
            if not text[here - 1 : here].isspace():
                return None
            while text[here - 1 : here].isspace():
                here -= 1
        return here

    def _matches(self, value: str, position: int, begin: int) -> bool:
        """Whether `value` is at `position`, as it was printed. `begin` is where its leading hyphens start."""
        text, here = self.text, position
        if text.startswith(value, here):
            here, value = here + len(value), ""
        for char in value:
            if char == " ":
                if not text[here : here + 1].isspace():
                    return False
                while text[here : here + 1].isspace():
                    here += 1
                continue
            while text[here : here + 1] != char:
                step = 2 if text[here : here + 2] == "-\n" else 1
                if text[here + step - 1 : here + step] != "\n" or text[here + step : here + step + 1] == "\n":
                    return False
                here += step
            here += 1
        return not (_same_word(text[begin - 1 : begin], text[begin]) or self._goes_on(here))

    def _goes_on(self, end: int) -> bool:
        last, after = self.text[end - 1], self.text[end : end + 1]
        if after == "s" and last.isalpha():
            after = self.text[end + 1 : end + 2]
        return _same_word(last, after)


def _same_word(one: str, other: str) -> bool:
    return (one.isdigit() and other.isdigit()) or (one.isalpha() and other.isalpha())
