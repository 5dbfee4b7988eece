"""What a document prints: an agreement's or a receipt's JSON as display strings in bokmål or nynorsk.

`context` gives the template's variables, `printed_values` what must be found in the finished PDF's text.
Both use the same formatting, so a value that a template leaves out is noticed.

    >>> amount(12500), national_id("17849431021"), organisation_number("312300028")
    ('12\\xa0500\\xa0kr', '178494\\xa031021', '312\\xa0300\\xa0028')
    >>> long_date("2026-12-01"), percent(37.5)
    ('1.\\xa0desember 2026', '37,5\\xa0%')
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal
from zoneinfo import ZoneInfo

from service.domain.template_fields import SHAPES
from service.errors import TemplateError

__all__ = [
    "ROLES",
    "amount",
    "context",
    "example_contexts",
    "is_unprinted",
    "local_time",
    "long_date",
    "national_id",
    "organisation_number",
    "percent",
    "printed_values",
]

Kind = Literal["agreement", "receipt"]
Labels = Mapping[str, Mapping[str, str]]
"""Labels in one language: `labels[enumeration][value]`."""

ROLES = ("participant", "guardian", "employer", "mentor", "organiser", "adviser", "decider")
"""Every role that may sign, in the order in which documents list them."""

NBSP = "\N{NO-BREAK SPACE}"
OSLO = ZoneInfo("Europe/Oslo")
# Month names are the same in bokmål and nynorsk.
_MONTHS = (
    "januar",
    "februar",
    "mars",
    "april",
    "mai",
    "juni",
    "juli",
    "august",
    "september",
    "oktober",
    "november",
    "desember",
)
_WORDS: Mapping[str, Mapping[str, str]] = {
    "nb": {
        "yes": "Ja",
        "no": "Nei",
        "every": "hver",
        "every_other": "annenhver",
        "week": "uke",
        "a_week": "i uken",
        "day": "dag",
        "days": "dager",
        "hour": "time",
        "hours": "timer",
        "month": "måned",
        "months": "måneder",
    },
    "nn": {
        "yes": "Ja",
        "no": "Nei",
        "every": "kvar",
        "every_other": "annakvar",
        "week": "veke",
        "a_week": "i veka",
        "day": "dag",
        "days": "dagar",
        "hour": "time",
        "hours": "timar",
        "month": "månad",
        "months": "månader",
    },
}


# --- single values ---


def long_date(value: str) -> str:
    """`2026-12-01` → `1. desember 2026`."""
    day = date.fromisoformat(value)
    return f"{day.day}.{NBSP}{_MONTHS[day.month - 1]} {day.year}"


def local_time(value: str) -> str:
    """An instant in ISO 8601 → date, time of day and offset in Norway: `… kl. 14.03.12 CET (UTC+01:00)`."""
    instant = datetime.fromisoformat(value)
    if instant.tzinfo is None:
        raise ValueError("an instant needs its offset from UTC")
    local = instant.astimezone(OSLO)
    offset = local.strftime("%z")
    zone = f"{local.tzname()}{NBSP}(UTC{offset[:3]}:{offset[3:]})"
    return f"{long_date(local.date().isoformat())} kl.{NBSP}{local:%H.%M.%S} {zone}"


def amount(value: object) -> str:
    """Whole kroner: `12500` → `12 500 kr`, with no-break spaces."""
    return f"{_number(value)}{NBSP}kr"


def percent(value: object) -> str:
    """`37.5` → `37,5 %`."""
    return f"{_number(value)}{NBSP}%"


def national_id(value: str) -> str:
    """Eleven digits as date and personal number: `178494 31021`."""
    return f"{value[:6]}{NBSP}{value[6:]}"


def organisation_number(value: str) -> str:
    """Nine digits in threes: `312 300 028`."""
    return NBSP.join((value[:3], value[3:6], value[6:]))


def _number(value: object) -> str:
    number = Decimal(str(value))
    if number == number.to_integral_value():
        return f"{int(number):,}".replace(",", NBSP)
    whole, _, decimals = f"{number.normalize():,f}".partition(".")
    return f"{whole.replace(',', NBSP)},{decimals}"


def _kroner(value: object) -> str:
    """Kroner, and øre when there are any: `250,50 kr`."""
    number = Decimal(str(value))
    if number == number.to_integral_value():
        return amount(value)
    return f"{number:,.2f}".replace(",", NBSP).replace(".", ",") + f"{NBSP}kr"


def _text(value: str) -> str:
    """NFC, and line ends as one character: what the document prints and a PDF reader gives back."""
    return unicodedata.normalize("NFC", value.replace("\r\n", "\n").replace("\r", "\n")).strip()


# --- a value at its place ---

_Format = Callable[[Any, Labels, Mapping[str, str]], str]


def _plain(function: Callable[[Any], str]) -> _Format:
    return lambda value, _labels, _words: function(value)


def _label(enumeration: str) -> _Format:
    def look_up(value: Any, labels: Labels, _words: Mapping[str, str]) -> str:
        try:
            return labels[enumeration][value]
        except KeyError:
            raise TemplateError(
                f"The template has no label for {enumeration}.{value}.",
                code="label_missing",
                remedy=f"Add it to the manifest's labels of both languages under {enumeration}.",
            ) from None

    return look_up


def _counted(one: str, many: str, suffix: str = "") -> _Format:
    def count(value: Any, _labels: Labels, words: Mapping[str, str]) -> str:
        noun = words[one if Decimal(str(value)) == 1 else many]
        return f"{_number(value)}{NBSP}{noun}" + (f" {words[suffix]}" if suffix else "")

    return count


def _interval(value: Any, _labels: Labels, words: Mapping[str, str]) -> str:
    if value == 1:
        return f"{words['every']} {words['week']}"
    if value == 2:
        return f"{words['every_other']} {words['week']}"
    return f"{words['every']} {value}.{NBSP}{words['week']}"


def _on_behalf_of(value: Any, labels: Labels, _words: Mapping[str, str]) -> str:
    """A role or a name: the receipt says either."""
    return labels.get("role", {}).get(value, _text(value))


_AGREEMENT_FORMATS: Mapping[str, _Format] = {
    "measure": _label("measure"),
    "origin": _label("origin"),
    "period.start": _plain(long_date),
    "period.end": _plain(long_date),
    "parties.*.national_id": _plain(national_id),
    "parties.*.organisation.number": _plain(organisation_number),
    "parties.guardian.kind": _label("guardian_kind"),
    "parties.guardian.scope": _label("guardian_scope"),
    "position.percentage": _plain(percent),
    "position.days_per_week": _counted("day", "days", "a_week"),
    "goals.*.category": _label("goal_category"),
    "accommodation.*.responsible": _label("responsible"),
    "accommodation.*.deadline": _plain(long_date),
    "accommodation.*.status": _label("need_status"),
    "aids.*.responsible": _label("responsible"),
    "aids.*.deadline": _plain(long_date),
    "aids.*.status": _label("need_status"),
    "training.*.responsible": _label("responsible"),
    "training.*.deadline": _plain(long_date),
    "follow_up.interval_weeks": _interval,
    "follow_up.meetings.*.date": _plain(long_date),
    "follow_up.evaluations.*.date": _plain(long_date),
    "follow_up.commitments.*.deadline": _plain(long_date),
    "inclusion_grant.lines.*.amount": _plain(amount),
    "inclusion_grant.lines.*.kind": _label("grant_kind"),
    "mentor.hours_per_week": _counted("hour", "hours", "a_week"),
    "mentor.hourly_wage": _plain(_kroner),
    "mentor.limit_months": _counted("month", "months"),
}
_RECEIPT_FORMATS: Mapping[str, _Format] = {
    "agreement.measure": _label("measure"),
    "signatures.*.role": _label("role"),
    "signatures.*.on_behalf_of": _on_behalf_of,
    "signatures.*.signed_at": _plain(local_time),
    "signatures.*.indication": _label("indication"),
    "seal.role": _label("role"),
    "seal.on_behalf_of": _on_behalf_of,
    "seal.signed_at": _plain(local_time),
    "seal.indication": _label("indication"),
    "document_timestamps.*.time": _plain(local_time),
    "validation.indication": _label("indication"),
    "issued_at": _plain(local_time),
}
_FORMATS: Mapping[Kind, Mapping[str, _Format]] = {
    "agreement": _AGREEMENT_FORMATS,
    "receipt": _RECEIPT_FORMATS,
}


def _matches(pattern: str, path: str) -> bool:
    """Whether `path` is the pattern's place or beneath it; `*` stands for one segment."""
    wanted, found = pattern.split("."), path.split(".")
    return len(found) >= len(wanted) and all(
        w in ("*", f) for w, f in zip(wanted, found[: len(wanted)], strict=True)
    )


def is_unprinted(path: str, unprinted: Sequence[str]) -> bool:
    """Whether the manifest's `unprinted` patterns cover the field path."""
    return any(_matches(pattern, path) for pattern in unprinted)


def _find_format(path: str, formats: Mapping[str, _Format]) -> _Format | None:
    if path in formats:
        return formats[path]
    length = path.count(".")
    return next((f for p, f in formats.items() if p.count(".") == length and _matches(p, path)), None)


class _Presenter:
    """Formats the leaves of one document."""

    def __init__(self, kind: Kind, labels: Labels, language: str) -> None:
        if language not in _WORDS:
            raise TemplateError(f"There is no wording for language {language}.", code="unknown_language")
        self.formats = _FORMATS[kind]
        self.labels = labels
        self.words = _WORDS[language]

    def show(self, path: str, value: object) -> str:
        form = _find_format(path, self.formats)
        if form is not None:
            return form(value, self.labels, self.words)
        if isinstance(value, bool):
            return self.words["yes" if value else "no"]
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


def _leaves(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for index, inner in enumerate(value):
            yield from _leaves(inner, f"{path}.{index}")
    elif value is not None and value != "":
        yield path, value


def _is_protected(data: Mapping[str, Any]) -> bool:
    """Unknown protection counts as protected."""
    participant = data.get("parties", {}).get("participant", {})
    return bool(participant.get("address_protection") != "none")


_PROTECTED = ("parties.participant.phone", "parties.participant.email")


# --- the two documents ---


def context(kind: Kind, data: Mapping[str, Any], *, labels: Labels, language: str) -> dict[str, Any]:
    """The template's variables: the JSON's own field names with display strings, and what follows from them.

    Sections, lists and fields that were not sent are empty, hence false in a template's condition.
    Added for an agreement are each party's `name`, `inclusion_grant.total`, `family_relation.answer` and
    `backdated` (the reason); a protected participant's contact information is empty. Booleans stay booleans.

    Raises `TemplateError` (`label_missing`, `unknown_language`).
    """
    presenter = _Presenter(kind, labels, language)
    tree: dict[str, Any] = presenter.tree(data, SHAPES[kind])
    if kind == "receipt":
        return tree

    for role in ROLES:
        party = tree["parties"][role]
        if not party:
            continue
        party["name"] = f"{party['first_name']} {party['last_name']}"
        # A member of Nav's staff whose unit is not named belongs to the unit of follow-up.
        if "unit" in party and not party["unit"]:
            party["unit"] = tree["unit"]
    if _is_protected(data):
        tree["parties"]["participant"].update(phone="", email="")
    if tree["inclusion_grant"]:
        lines = data["inclusion_grant"].get("lines", ())
        tree["inclusion_grant"]["total"] = amount(sum(int(line["amount"]) for line in lines))
    backdated = (data.get("exceptions") or {}).get("backdated") or {}
    tree["backdated"] = presenter.show("exceptions.backdated.reason", backdated.get("reason", ""))
    if tree["family_relation"]:
        related = bool(data["family_relation"].get("related"))
        tree["family_relation"]["answer"] = presenter.show("family_relation.related", related)
    return tree


def printed_values(
    kind: Kind,
    data: Mapping[str, Any],
    *,
    labels: Labels,
    language: str,
    unprinted: Sequence[str] = (),
) -> dict[str, str]:
    """Field path → the display string that must be in the document's text, for every value that was sent.

    Left out are paths that `unprinted` covers, empty values, and a protected participant's contact
    information. Compare after folding white space: the document breaks lines where it likes.
    Raises `TemplateError` (`label_missing`, `unknown_language`).
    """
    presenter = _Presenter(kind, labels, language)
    hidden = (*unprinted, *_PROTECTED) if kind == "agreement" and _is_protected(data) else tuple(unprinted)
    shown = {
        path: presenter.show(path, value) for path, value in _leaves(data) if not is_unprinted(path, hidden)
    }
    return {path: text for path, text in shown.items() if text}


def example_contexts(kind: Kind) -> dict[str, dict[str, Any]]:
    """Contexts that reach a template's branches: `full` has everything once, `empty` has only what must be.

    For checking that a template names no variable that `context` does not give.
    """

    def fill(shape: Any, *, full: bool) -> Any:
        if isinstance(shape, Mapping):
            return {k: fill(v, full=full) for k, v in shape.items()}
        if isinstance(shape, list):
            return [fill(shape[0], full=full)] * 2 if full else []
        return full if isinstance(shape, bool) else "x" if full else ""

    required = ("participant", "employer", "adviser")
    contexts: dict[str, dict[str, Any]] = {}
    for name, full in (("full", True), ("empty", False)):
        tree: dict[str, Any] = fill(SHAPES[kind], full=full)
        if kind == "agreement":
            for role in ROLES:
                party = tree["parties"][role] if full or role in required else {}
                tree["parties"][role] = {**party, "name": "x"} if party else {}
            tree["backdated"] = "x" if full else ""
            for section in ("inclusion_grant", "mentor", "follow_up", "exceptions"):
                tree[section] = tree[section] if full else {}
            if full:
                tree["inclusion_grant"]["total"] = "x"
            tree["family_relation"]["answer"] = "x"
        elif not full:
            tree["supersedes"] = {}
        contexts[name] = tree
    return contexts
