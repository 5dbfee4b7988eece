"""Norwegian national identity numbers and organisation numbers.

    >>> parse_national_id("17849431021").synthetic
    True
    >>> is_organisation_number("312300028")
    True

A national identity number (fødselsnummer or D-number) is `DDMMYY` + three individual digits + two check
digits. Added to the day or the month: day +40 a D-number, month +40 a help number (H-number), month +80 a
synthetic number for tests; a D-number may be any of the others too. Sources: Skatteetaten, «Fødselsnummer»
and «Nytt fødselsnummer fra 2032»; Brønnøysundregistrene, «Organisasjonsnummeret»; navikt/fnrvalidator.

The number itself is kept nowhere here, so what `parse_national_id` gives may be logged.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

__all__ = ["NationalId", "is_national_id", "is_organisation_number", "parse_national_id"]

# ASCII digits only: str.isdigit would let Arabic-Indic and superscript digits through.
_ELEVEN_DIGITS = re.compile(r"[0-9]{11}")
_NINE_DIGITS = re.compile(r"[0-9]{9}")

# With a last weight of 1 on the check digit itself, a valid number's weighted sum is a multiple of 11.
_K1_WEIGHTS = (3, 7, 6, 1, 8, 9, 4, 5, 2, 1)
_K2_WEIGHTS = (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)
_ORGANISATION_WEIGHTS = (3, 2, 7, 6, 5, 4, 3, 2, 1)

_MAX_K1_REMAINDER = 3
_D_NUMBER = 40  # added to the day
_H_NUMBER = 40  # added to the month
_SYNTHETIC = 80  # added to the month

_NEW_SERIES = date(2032, 1, 1)
"""From this day numbers are given out whose individual digits do not tell the century."""


@dataclass(frozen=True)
class NationalId:
    """What a valid national identity number says of itself, without the number.

    `century` is 1800, 1900 or 2000 as the individual digits say under the rules up to 2031, else None.
    """

    day: int
    month: int
    year: int
    century: int | None
    d_number: bool
    h_number: bool
    synthetic: bool

    def possible_birth_dates(self, today: date) -> tuple[date, ...]:
        """The dates up to `today` on which this person may be born, earliest first; usually exactly one.

        The century is unknown for a number of the 2032 series. From 2032 on it is unknown for any number,
        since a number of the old form may then have been given out under the new rules.
        """
        if self.century is not None and today < _NEW_SERIES:
            centuries: tuple[int, ...] = (self.century,)
        else:
            centuries = (1900, 2000)
        dates = (_date(century + self.year, self.month, self.day) for century in centuries)
        return tuple(d for d in dates if d is not None and d <= today)


def parse_national_id(number: str) -> NationalId:
    """What the number says. Raises `ValueError`, without the number in its text, if it is not valid.

    A first check digit with a remainder of 1–3 (2032 series) is accepted at any date, as NAV's own validator
    does: synthetic numbers of that series are in use already, and the second check digit alone finds every
    single wrong digit and every swap of neighbours.
    """
    if not _ELEVEN_DIGITS.fullmatch(number):
        raise ValueError("a national identity number has eleven digits")
    remainder = _weighted_sum(_K1_WEIGHTS, number) % 11
    if remainder > _MAX_K1_REMAINDER or _weighted_sum(_K2_WEIGHTS, number) % 11:
        raise ValueError("the check digits do not fit")
    day, month, year, individual = (int(number[a:b]) for a, b in ((0, 2), (2, 4), (4, 6), (6, 9)))
    d_number = day > _D_NUMBER
    synthetic = month > _SYNTHETIC
    h_number = month > _H_NUMBER and not synthetic
    day -= _D_NUMBER * d_number
    month -= _SYNTHETIC * synthetic + _H_NUMBER * h_number
    # 1900 was no leap year, 2000 was: whichever century it is, the day must exist in one of them.
    if _date(2000 + year, month, day) is None:
        raise ValueError("the number holds no date of birth")
    century = _century(year, individual) if remainder == 0 else None
    return NationalId(day, month, year, century, d_number, h_number, synthetic)


def is_national_id(number: str) -> bool:
    """Whether this is a valid number of any kind, synthetic ones included."""
    try:
        parse_national_id(number)
    except ValueError:
        return False
    return True


def is_organisation_number(number: str) -> bool:
    """Whether these nine digits carry the right check digit (modulus 11)."""
    return bool(_NINE_DIGITS.fullmatch(number)) and _weighted_sum(_ORGANISATION_WEIGHTS, number) % 11 == 0


def _weighted_sum(weights: tuple[int, ...], digits: str) -> int:
    return sum(w * int(d) for w, d in zip(weights, digits, strict=False))


_CENTURIES = (  # individual digits, years of the century, century
    (range(500), range(100), 1900),
    (range(500, 1000), range(40), 2000),
    (range(500, 750), range(54, 100), 1800),
    (range(900, 1000), range(40, 100), 1900),
)


def _century(year: int, individual: int) -> int | None:
    """The century by the individual digits; None for combinations that were never given out."""
    for individuals, years, century in _CENTURIES:
        if individual in individuals and year in years:
            return century
    return None


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None
