"""The screened edition of an agreement: the same data, without what tells who a protected participant is.

The participant's name, identity number, phone and e-mail address give way to one word, in their own places and
wherever they stand in what people have written. Codes, dates and amounts stay as they are, and so do the names of the
other parties.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from service.domain.presentation import is_coded, is_unprinted

__all__ = ["Secrets", "is_free_text", "screened", "secrets_of"]

_PARTICIPANT: Final = "parties.participant"
_OWN: Final = tuple(
    f"{_PARTICIPANT}.{name}" for name in ("first_name", "last_name", "national_id", "phone", "email")
)
_CODES: Final = (
    "id",
    "version",
    "language",
    "courtesy_translation",
    "template",
    "case.system",
    "unit.number",
    "parties.*.ident",
    "parties.*.unit.number",
    "parties.guardian.verification_code",
    "parties.participant.address_protection",
)
"""What is printed as it was sent, or not at all, and is no text that people wrote."""
_OTHERS: Final = (
    "unit.name",
    "parties.*.first_name",
    "parties.*.last_name",
    "parties.*.email",
    "parties.*.organisation.name",
    "parties.*.unit.name",
)
"""Names of others, which stay also where a word of them is the participant's too."""
_FEWEST_LETTERS: Final = 3
"""A shorter word of a name counts only when it is a whole first name or last name."""
_BETWEEN_DIGITS: Final = r"[\s.()/\-\u2010-\u2015]{0,3}"
_LINE_BREAK: Final = re.compile("[-\u2010\u00ad]\n")


@dataclass(frozen=True)
class Secrets:
    """What must not be read in the screened edition, as one pattern for folded text (see `_folded`)."""

    pattern: re.Pattern[str]
    solid: frozenset[str]
    """E-mail addresses and identity numbers, folded and without white space."""

    def masked(self, text: str, mask: str, *, names: bool = True) -> str:
        """`text` in NFC with `mask` for each secret as a whole word; a genitive's `s` stays after it.

        Without `names`, only numbers and e-mail addresses are secrets.
        """
        composed = unicodedata.normalize("NFC", text)
        folded, origin = _folded(composed)
        parts, done = [], 0
        for match in self._matches(folded):
            if match.lastgroup == "name" and not names:
                continue
            parts += [composed[done : origin[match.start()]], mask]
            done = origin[match.end()]
        return "".join([*parts, composed[done:]])

    def found(self, text: str) -> set[tuple[str, str]]:
        """Kind (`name`, `national_id`, `phone`, `email`) and folded form of every secret in a document's text.

        Ligatures count as their letters, and a word that is hyphenated at a line's end as one.
        """
        found: set[tuple[str, str]] = set()
        for form in ("NFC", "NFKC"):
            normal = unicodedata.normalize(form, text)
            for variant in (normal, _LINE_BREAK.sub("", normal), _LINE_BREAK.sub("-", normal)):
                folded, _ = _folded(variant)
                found |= {(m.lastgroup or "", " ".join(m.group().split())) for m in self._matches(folded)}
            solid = "".join(_folded(normal)[0].split())
            found |= {("solid", secret) for secret in self.solid if secret in solid}
        return found

    def _matches(self, folded: str) -> Iterator[re.Match[str]]:
        return (m for m in self.pattern.finditer(folded) if m.lastgroup != "kept" and m.group())


def secrets_of(data: Mapping[str, Any], former: Iterable[Mapping[str, Any]] = ()) -> Secrets:
    """The participant's, as the data have them, and as they were before an amendment changed them.

    `former` are the participants of earlier versions (`parties.participant` of their data).
    """
    known: dict[str, set[str]] = {path: set() for path in _OWN}
    participants = [data.get("parties", {}).get("participant", {}), *former]
    for participant in participants:
        _note(known, _PARTICIPANT, participant)
    for change in (data.get("amendment") or {}).get("changes", ()):
        for value in (change["before"], change["after"]):
            _note(known, change["path"], value)
    firsts, lasts, numbers, phones, emails = (sorted(known[path]) for path in _OWN)
    kept = [] if not data.get("parties") else list(_others(data["parties"]))
    names = {pattern for name in (*firsts, *lasts) for pattern in _name_patterns(name)}
    own = [_words(f"{first} {last}") for first in firsts for last in lasts]
    stays = [
        _joined(words)
        for words in map(_words, kept)
        if words and not any(_holds(words, name) for name in own if name)
    ]
    mail = [
        email for email in _emails(data.get("parties") or {}) if _fold(email) not in set(map(_fold, emails))
    ]
    word = _word()
    genitive = rf"(?<!{word})(?:%s)(?=s?(?!{word}))"
    groups = [
        ("email", genitive, [re.escape(_fold(email)) for email in emails]),
        ("kept", genitive, [*stays, *(re.escape(_fold(email)) for email in mail)]),
        ("national_id", r"(?<!\d)(?:%s)(?!\d)", [_digits(number) for number in numbers if number]),
        ("phone", r"(?<!\d)(?:%s)(?!\d)", [_phone(phone) for phone in phones]),
        ("name", genitive, sorted(names, key=len, reverse=True)),
    ]
    patterns = [f"(?P<{name}>{form % '|'.join(some)})" for name, form, some in groups if some]
    return Secrets(
        re.compile("|".join(patterns) or r"(?!)"),
        frozenset("".join(_fold(secret).split()) for secret in (*numbers, *emails)),
    )


def screened(data: Mapping[str, Any], mask: str, former: Iterable[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """The agreement's data with `mask` (e.g. «Skjermet») for what tells who the participant is.

    The participant's whole name is `mask`, as the first name; the last name is empty. Nothing is altered in place.
    """
    secrets = secrets_of(data, former)
    result = _screened(data, "", secrets, mask)
    assert isinstance(result, dict)
    participant = result.get("parties", {}).get("participant", {})
    if "last_name" in participant:
        participant["last_name"] = ""
    return result


def is_free_text(path: str) -> bool:
    """Whether people wrote what is at `path` in their own words, so that it may name the participant."""
    return not (is_coded(path) or is_unprinted(path, (*_CODES, *_OTHERS, *_OWN)))


def _screened(value: Any, path: str, secrets: Secrets, mask: str) -> Any:
    if isinstance(value, Mapping):
        if path.startswith("amendment.changes."):
            return _screened_change(value, secrets, mask)
        return {k: _screened(v, f"{path}.{k}" if path else str(k), secrets, mask) for k, v in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_screened(v, f"{path}.{i}", secrets, mask) for i, v in enumerate(value)]
    if not isinstance(value, str):
        return value
    if path in _OWN:
        return mask if value else value
    if is_coded(path) or is_unprinted(path, _CODES):
        return value
    return secrets.masked(value, mask, names=not is_unprinted(path, _OTHERS))


def _screened_change(change: Mapping[str, Any], secrets: Secrets, mask: str) -> dict[str, Any]:
    """Its values are as at the path that it names."""
    path = change["path"]
    values = {side: _screened(change[side], path, secrets, mask) for side in ("before", "after")}
    return {**change, **values}


# --- what is secret ---


def _note(known: Mapping[str, set[str]], path: str, value: Any) -> None:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            _note(known, f"{path}.{name}" if path else str(name), inner)
    elif isinstance(value, str) and value.strip() and path in known:
        known[path].add(unicodedata.normalize("NFC", value))


def _others(parties: Mapping[str, Any]) -> Iterator[str]:
    """Full names of the parties beside the participant."""
    for role, party in parties.items():
        if role != "participant" and party.get("first_name") and party.get("last_name"):
            yield f"{party['first_name']} {party['last_name']}"


def _emails(parties: Mapping[str, Any]) -> Iterator[str]:
    for role, party in parties.items():
        if role != "participant" and party.get("email"):
            yield party["email"]


def _name_patterns(name: str) -> Iterator[str]:
    """The name as a whole, and each of its words that is not too short."""
    words = _words(name)
    if words:
        yield _joined(words)
    for word in words:
        if len(word) >= _FEWEST_LETTERS:
            yield re.escape(word)


def _joined(words: Sequence[str]) -> str:
    """With spaces, line breaks, hyphens or the like between them, whichever were written."""
    return rf"(?:(?!{_word()})[\s\S]){{1,3}}".join(map(re.escape, words))


def _holds(words: Sequence[str], name: Sequence[str]) -> bool:
    return any(list(words[n : n + len(name)]) == list(name) for n in range(len(words)))


def _digits(number: str) -> str:
    return _BETWEEN_DIGITS.join(filter(str.isdecimal, number))


def _phone(phone: str) -> str:
    """The number in any grouping, with or without the country code of Norway."""
    digits = re.sub(r"\D", "", phone)
    if phone.lstrip().startswith("+"):
        national = digits.removeprefix("47")
        code = "47" if national != digits else ""
    else:
        national, code = digits, "47"
    prefix = rf"(?:\+|00){_BETWEEN_DIGITS}"
    if code:
        return rf"(?:(?:{prefix})?{_digits(code)}{_BETWEEN_DIGITS})?{_digits(national)}"
    return rf"(?:{prefix})?{_digits(national)}"


# --- words ---


def _words(text: str) -> list[str]:
    return re.findall(rf"{_word()}+", _fold(text))


def _fold(text: str) -> str:
    return _folded(unicodedata.normalize("NFC", text))[0]


def _folded(text: str) -> tuple[str, list[int]]:
    """`text` without regard to case, and for each of its characters, and its end, the place it comes from."""
    folded, origin = [], []
    for place, char in enumerate(text):
        for part in char.casefold():
            folded.append(part)
            origin.append(place)
    return "".join(folded), [*origin, len(text)]


@cache
def _word() -> str:
    """Pattern of a character within a word: a letter, a digit or a mark on one."""
    marks, first = "", None
    for point in range(0x300, 0x10000):
        is_mark = unicodedata.category(chr(point)).startswith("M")
        if is_mark and first is None:
            first = point
        elif not is_mark and first is not None:
            marks += f"\\u{first:04x}-\\u{point - 1:04x}"
            first = None
    return rf"(?:[^\W_]|[{marks}])"
