"""How one value is written at its place in an agreement, a declaration or a receipt."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Literal

from service.domain.periods import OSLO
from service.domain.presentation.words import NBSP, Words, words_of
from service.domain.wage_subsidy import WAGE_SUBSIDIES
from service.errors import TemplateError

__all__ = [
    "ROLES",
    "Kind",
    "Labels",
    "Presenter",
    "amount",
    "is_coded",
    "is_unprinted",
    "kroner",
    "local_time",
    "long_date",
    "national_id",
    "organisation_number",
    "percent",
]

Kind = Literal["agreement", "declaration", "receipt"]
Labels = Mapping[str, Mapping[str, str]]
"""Labels in one language: `labels[enumeration][value]`."""

ROLES = ("participant", "guardian", "employer", "mentor", "organiser", "adviser", "decider")
"""Every role that may sign, in the order in which documents list them."""


# --- single values ---


def long_date(value: str, language: str = "nb") -> str:
    """`2026-12-01` → `1. desember 2026`."""
    day, words = date.fromisoformat(value), words_of(language)
    return words.date.format(day=day.day, month=words.months[day.month - 1], year=day.year)


def local_time(value: str) -> str:
    """An instant in ISO 8601 → date, time of day and offset in Norway: `… kl. 14.03.12 CET (UTC+01:00)`."""
    instant = datetime.fromisoformat(value)
    if instant.tzinfo is None:
        raise ValueError("an instant needs its offset from UTC")
    local = instant.astimezone(OSLO)
    offset = local.strftime("%z")
    zone = f"{local.tzname()}{NBSP}(UTC{offset[:3]}:{offset[3:]})"
    return f"{long_date(local.date().isoformat())} kl.{NBSP}{local:%H.%M.%S} {zone}"


def amount(value: object, language: str = "nb") -> str:
    """Whole kroner: `12500` → `12 500 kr`, with no-break spaces."""
    words = words_of(language)
    return words.kroner.format(n=_number(value, words))


def kroner(value: object, language: str = "nb") -> str:
    """Kroner, and øre when there are any: `250,50 kr`."""
    number, words = Decimal(str(value)), words_of(language)
    if number == number.to_integral_value():
        return amount(value, language)
    return words.kroner.format(n=_separated(f"{number:,.2f}", words))


def percent(value: object, language: str = "nb") -> str:
    """`37.5` → `37,5 %`."""
    words = words_of(language)
    return words.percent.format(n=_number(value, words))


def national_id(value: str) -> str:
    """Eleven digits as date and personal number: `178494 31021`. What is no number stays as it is: «Skjermet»."""
    if not value.isdecimal():
        return value
    return f"{value[:6]}{NBSP}{value[6:]}"


def organisation_number(value: str) -> str:
    """Nine digits in threes: `312 300 028`."""
    return NBSP.join((value[:3], value[3:6], value[6:]))


def _number(value: object, words: Words) -> str:
    number = Decimal(str(value))
    whole = number == number.to_integral_value()
    return _separated(f"{int(number):,}" if whole else f"{number.normalize():,f}", words)


def _separated(number: str, words: Words) -> str:
    """`1,234.5` as the language has it."""
    whole, point, decimals = number.partition(".")
    return whole.replace(",", words.thousands) + point.replace(".", words.decimal) + decimals


def _text(value: str) -> str:
    """NFC, and line ends as one character: what the document prints and a PDF reader gives back."""
    return unicodedata.normalize("NFC", value.replace("\r\n", "\n").replace("\r", "\n")).strip()


# --- a value at its place ---


@dataclass(frozen=True)
class _Setting:
    language: str
    labels: Labels
    words: Words


_Format = Callable[[Any, _Setting], str]


def _plain(function: Callable[[Any], str]) -> _Format:
    return lambda value, _setting: function(value)


def _in_language(function: Callable[[Any, str], str]) -> _Format:
    return lambda value, setting: function(value, setting.language)


_date = _in_language(long_date)
_amount = _in_language(amount)
_percent = _in_language(percent)


def _label(enumeration: str) -> _Format:
    def look_up(value: Any, setting: _Setting) -> str:
        try:
            return setting.labels[enumeration][value]
        except (KeyError, TypeError):
            raise TemplateError(
                f"The template has no label for {enumeration}.{value}.",
                code="label_missing",
                detail={"label": f"{enumeration}.{value}"},
                remedy=f"Add it to the manifest's labels of every language under {enumeration}.",
            ) from None

    return look_up


def _labels(enumeration: str) -> _Format:
    """Several labels as one text: «Mål, stilling og forlengelse»."""
    look_up = _label(enumeration)

    def join(values: Any, setting: _Setting) -> str:
        first, *others = (look_up(value, setting) for value in values)
        return _joined([first, *(text[:1].lower() + text[1:] for text in others)], setting.words)

    return join


def _joined(texts: Sequence[str], words: Words) -> str:
    *most, last = texts
    return f"{', '.join(most)} {words.conjunction} {last}" if most else last


def _counted(forms: Callable[[Words], tuple[str, str]]) -> _Format:
    def count(value: Any, setting: _Setting) -> str:
        one, many = forms(setting.words)
        form = one if Decimal(str(value)) == 1 else many
        return form.format(n=_number(value, setting.words))

    return count


def _interval(value: Any, setting: _Setting) -> str:
    return setting.words.weekly.get(value) or setting.words.every.format(n=value)


def _on_behalf_of(value: Any, setting: _Setting) -> str:
    """A role or a name: the receipt says either."""
    return setting.labels.get("role", {}).get(value, _text(value))


_in_months = _counted(lambda words: words.in_months)
_WAGES: Mapping[str, _Format] = {
    "percentage": _percent,
    "monthly_wage": _amount,
    "holiday_pay_rate": _percent,
    "pension_rate": _percent,
    "employer_contribution_rate": _percent,
    "monthly_subsidy": _amount,
    "limit_months": _in_months,
    "holiday_pay": _amount,
    "pension": _amount,
    "employer_contribution": _amount,
    "wage_costs": _amount,
    "reduced_percentage": _percent,
    "reduced_from": _date,
    "reduced_subsidy": _amount,
}
"""What is sent of a wage subsidy, and what it comes to."""
_AGREEMENT_FORMATS: Mapping[str, _Format] = {
    "measure": _label("measure"),
    "origin": _label("origin"),
    "period.start": _date,
    "period.end": _date,
    "parties.*.national_id": _plain(national_id),
    "parties.*.organisation.number": _plain(organisation_number),
    "parties.guardian.kind": _label("guardian_kind"),
    "parties.guardian.scope": _label("guardian_scope"),
    "position.percentage": _percent,
    "position.days_per_week": _counted(lambda words: words.days_a_week),
    "goals.*.category": _label("goal_category"),
    "accommodation.*.responsible": _label("responsible"),
    "accommodation.*.deadline": _date,
    "accommodation.*.status": _label("need_status"),
    "aids.*.responsible": _label("responsible"),
    "aids.*.deadline": _date,
    "aids.*.status": _label("need_status"),
    "training.*.responsible": _label("responsible"),
    "training.*.deadline": _date,
    "follow_up.interval_weeks": _interval,
    "follow_up.meetings.*.date": _date,
    "follow_up.evaluations.*.date": _date,
    "follow_up.commitments.*.deadline": _date,
    "inclusion_grant.lines.*.amount": _amount,
    "inclusion_grant.lines.*.kind": _label("grant_kind"),
    "mentor.hours_per_week": _counted(lambda words: words.hours_a_week),
    "mentor.hourly_wage": _in_language(kroner),
    "mentor.limit_months": _in_months,
    **{f"{measure}.{field}": form for measure in WAGE_SUBSIDIES for field, form in _WAGES.items()},
    "amendment.types": _labels("change_type"),
    "amendment.told": _labels("role"),
    "amendment.asked_by": _label("role"),
    "termination.reason": _label("termination_reason"),
    "termination.date": _date,
}
_DECLARATION_FORMATS: Mapping[str, _Format] = {
    path: _AGREEMENT_FORMATS[path]
    for path in (
        "measure",
        "period.start",
        "period.end",
        "parties.*.national_id",
        "parties.*.organisation.number",
    )
}
_RECEIPT_FORMATS: Mapping[str, _Format] = {
    "agreement.measure": _label("measure"),
    "signatures.*.role": _label("role"),
    "signatures.*.on_behalf_of": _on_behalf_of,
    "signatures.*.signed_at": _plain(local_time),
    "signatures.*.indication": _label("indication"),
    "paper_signatures.*.role": _label("role"),
    "paper_signatures.*.signed_on": _plain(long_date),
    "paper_signatures.*.attested_by": _label("role"),
    "seal.role": _label("role"),
    "seal.on_behalf_of": _on_behalf_of,
    "seal.signed_at": _plain(local_time),
    "seal.indication": _label("indication"),
    "document_timestamps.*.time": _plain(local_time),
    "validation.indication": _label("indication"),
    "issued_at": _plain(local_time),
}


def is_unprinted(path: str, unprinted: Sequence[str]) -> bool:
    """Whether the manifest's `unprinted` patterns cover the field path: it is a pattern's place, or beneath it.

    `*` in a pattern stands for one segment.
    """
    return _beneath(tuple(unprinted)).fullmatch(path) is not None


@lru_cache(maxsize=256)
def _beneath(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """What is at the place of any of the patterns, or beneath it: patterns are templates' own, so few."""
    places = "|".join(_place(pattern) for pattern in patterns)
    return re.compile(rf"(?:{places})(?:\.[\s\S]*)?" if patterns else "(?!)")


def _place(pattern: str) -> str:
    return r"\.".join("[^.]*" if segment == "*" else re.escape(segment) for segment in pattern.split("."))


def is_coded(path: str) -> bool:
    """Whether an agreement's value at `path` is a code, a date or a number, not what people wrote."""
    return is_unprinted(path, tuple(_AGREEMENT_FORMATS))


class _Formats:
    """Formats by path: the one of that name, or else of the first pattern whose place it is."""

    def __init__(self, formats: Mapping[str, _Format]) -> None:
        self._by_path = formats
        self._forms = [form for pattern, form in formats.items() if "*" in pattern]
        # Each pattern ends in a group of its own, which tells which one it was.
        patterns = (f"{_place(pattern)}()" for pattern in formats if "*" in pattern)
        self._pattern = re.compile("|".join(patterns))

    def of(self, path: str) -> _Format | None:
        if (form := self._by_path.get(path)) is not None:
            return form
        found = self._pattern.fullmatch(path)
        return self._forms[found.lastindex - 1] if found and found.lastindex else None


_FORMATS: Mapping[Kind, _Formats] = {
    "agreement": _Formats(_AGREEMENT_FORMATS),
    "declaration": _Formats(_DECLARATION_FORMATS),
    "receipt": _Formats(_RECEIPT_FORMATS),
}


class Presenter:
    """Formats the leaves of one document. Raises `TemplateError` (`label_missing`, `unknown_language`)."""

    def __init__(self, kind: Kind, labels: Labels, language: str) -> None:
        self.words = words_of(language)
        self.language = language
        self._formats = _FORMATS[kind]
        self._setting = _Setting(language, labels, self.words)

    def show(self, path: str, value: object) -> str:
        form = self._formats.of(path)
        if form is not None:
            return form(value, self._setting)
        if isinstance(value, bool):
            return self.words.yes if value else self.words.no
        if isinstance(value, int | float | Decimal):
            return str(value)
        return _text(str(value))

    def tree(self, value: Any, shape: Any, path: str = "") -> Any:
        """`value` with every leaf as its display string, and what `shape` names but is absent left empty."""
        if isinstance(value, Mapping):
            known = shape if isinstance(shape, Mapping) else {}
            keys = (*value, *(k for k in known if k not in value))
            return {k: self.tree(value.get(k), known.get(k), f"{path}.{k}" if path else k) for k in keys}
        if isinstance(value, Sequence) and not isinstance(value, str):
            item = shape[0] if isinstance(shape, list) and shape else None
            return [self.tree(v, item, f"{path}.{i}") for i, v in enumerate(value)]
        if value is None:
            # An absent section is empty and so false: `{% if position %}`.
            return {} if isinstance(shape, Mapping) else [] if isinstance(shape, list) else shape or ""
        if isinstance(value, bool):
            return value
        return self.show(path, value)
