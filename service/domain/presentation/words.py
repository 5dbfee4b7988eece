"""The words and signs that go with numbers and dates, in each language that a document may be in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.errors import TemplateError

__all__ = ["NBSP", "Words", "texts_of", "words_of"]

NBSP = "\N{NO-BREAK SPACE}"


@dataclass(frozen=True)
class Words:
    """One language. `{n}` stands for a number; in `kroner` for an amount, in `date` {day}, {month} and {year} too."""

    yes: str
    no: str
    conjunction: str
    months: Sequence[str]
    date: str
    thousands: str
    decimal: str
    kroner: str
    percent: str
    weekly: Mapping[int, str]
    """How often, for an interval in weeks that has a name of its own; the others are `every`."""
    every: str
    days_a_week: tuple[str, str]
    """One, and more than one; so in the next two."""
    hours_a_week: tuple[str, str]
    in_months: tuple[str, str]
    withheld: str
    """Stands where contact information is that may not be shown."""
    screened: str
    """Stands for a protected participant's name and numbers in the screened edition."""


# Month names are the same in bokmål and nynorsk.
_NORWEGIAN_MONTHS = (
    "januar", "februar", "mars", "april", "mai", "juni",
    "juli", "august", "september", "oktober", "november", "desember",
)  # fmt: skip
_ENGLISH_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip

_WORDS: Mapping[str, Words] = {
    "nb": Words(
        yes="Ja",
        no="Nei",
        conjunction="og",
        months=_NORWEGIAN_MONTHS,
        date=f"{{day}}.{NBSP}{{month}} {{year}}",
        thousands=NBSP,
        decimal=",",
        kroner=f"{{n}}{NBSP}kr",
        percent=f"{{n}}{NBSP}%",
        weekly={1: "hver uke", 2: "annenhver uke"},
        every=f"hver {{n}}.{NBSP}uke",
        days_a_week=(f"{{n}}{NBSP}dag i uken", f"{{n}}{NBSP}dager i uken"),
        hours_a_week=(f"{{n}}{NBSP}time i uken", f"{{n}}{NBSP}timer i uken"),
        in_months=(f"{{n}}{NBSP}måned", f"{{n}}{NBSP}måneder"),
        withheld="Vises ikke",
        screened="Skjermet",
    ),
    "nn": Words(
        yes="Ja",
        no="Nei",
        conjunction="og",
        months=_NORWEGIAN_MONTHS,
        date=f"{{day}}.{NBSP}{{month}} {{year}}",
        thousands=NBSP,
        decimal=",",
        kroner=f"{{n}}{NBSP}kr",
        percent=f"{{n}}{NBSP}%",
        weekly={1: "kvar veke", 2: "annakvar veke"},
        every=f"kvar {{n}}.{NBSP}veke",
        days_a_week=(f"{{n}}{NBSP}dag i veka", f"{{n}}{NBSP}dagar i veka"),
        hours_a_week=(f"{{n}}{NBSP}time i veka", f"{{n}}{NBSP}timar i veka"),
        in_months=(f"{{n}}{NBSP}månad", f"{{n}}{NBSP}månader"),
        withheld="Blir ikkje vist",
        screened="Skjerma",
    ),
    "en": Words(
        yes="Yes",
        no="No",
        conjunction="and",
        months=_ENGLISH_MONTHS,
        date=f"{{day}}{NBSP}{{month}} {{year}}",
        thousands=",",
        decimal=".",
        kroner=f"NOK{NBSP}{{n}}",
        percent="{n}%",
        weekly={1: "every week", 2: "every other week"},
        every=f"every {{n}}{NBSP}weeks",
        days_a_week=(f"{{n}}{NBSP}day a week", f"{{n}}{NBSP}days a week"),
        hours_a_week=(f"{{n}}{NBSP}hour a week", f"{{n}}{NBSP}hours a week"),
        in_months=(f"{{n}}{NBSP}month", f"{{n}}{NBSP}months"),
        withheld="Not shown",
        screened="Screened",
    ),
}


def texts_of(words: Words) -> list[str]:
    """All that a document may say in these words."""
    texts: list[str] = []
    for value in vars(words).values():
        texts += (
            [value] if isinstance(value, str) else value.values() if isinstance(value, Mapping) else value
        )
    return texts


def words_of(language: str) -> Words:
    """Raises `TemplateError` (`unknown_language`)."""
    try:
        return _WORDS[language]
    except KeyError:
        raise TemplateError(
            f"There is no wording for language {language}.",
            code="unknown_language",
            remedy=f"Choose one of: {', '.join(_WORDS)}.",
        ) from None
