"""Amendments: which change types there are, what each may touch, and who must sign again.

Source: DOMAIN "Amendments", our own reading of today's change types. A template's manifest may name other signers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Final

from service.domain.presentation import ROLES, is_represented, is_unprinted

__all__ = [
    "CHANGE_TYPES",
    "TERMINATION",
    "TERMINATION_REASONS",
    "Change",
    "differences",
    "merged",
    "signing_again",
    "types_covering",
]

TERMINATION: Final = "termination"
_ALL = ("participant", "employer", "adviser")
_SIGNS_AGAIN: Mapping[str, tuple[str, ...]] = {
    "goals": _ALL,
    "accommodation": _ALL,
    "follow_up": _ALL,
    "position": _ALL,
    "mentor": _ALL,
    "extend": _ALL,
    "inclusion_grant": ("employer", "adviser"),
    "shorten": ("adviser",),
    "contact_information": ("adviser",),
    TERMINATION: ("adviser",),
}
CHANGE_TYPES: Final = tuple(t for t in _SIGNS_AGAIN if t != TERMINATION)
"""What the command `amend` may name; `terminate` is a command of its own."""
TERMINATION_REASONS: Final = (
    "wrongly_registered",
    "started_in_job",
    "other_measure",
    "ill",
    "did_not_show_up",
    "expired",
    "completed",
    "other",
)

_CONTACT = ("first_name", "last_name", "phone", "email", "title", "address_protection", "ident", "unit")
_TOUCHES: Mapping[str, tuple[str, ...]] = {
    "goals": ("goals",),
    "accommodation": ("accommodation", "aids", "training"),
    "follow_up": ("follow_up",),
    "position": ("position", "temporary_wage_subsidy", "permanent_wage_subsidy", "summer_job"),
    "mentor": ("mentor", "parties.mentor"),
    "extend": ("period.end",),
    "shorten": ("period.end",),
    "inclusion_grant": ("inclusion_grant",),
    "contact_information": ("contacts", "unit", *(f"parties.*.{field}" for field in _CONTACT)),
}
"""Field paths that a change type covers, with all beneath them; `*` stands for one segment."""


@dataclass(frozen=True)
class Change:
    """What is different at one place: a leaf, or an item of a list that was added (before is None) or taken out.

    `path` counts list items from 0, as they stand after the change; for an item taken out, before it.
    """

    path: str
    before: Any
    after: Any

    def as_json(self) -> dict[str, Any]:
        return {"path": self.path, "before": self.before, "after": self.after}


def merged(target: Any, patch: Any) -> Any:
    """JSON Merge Patch (RFC 7396): objects are merged, null takes a field out, all else is replaced."""
    if not isinstance(patch, Mapping):
        return patch
    found = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = merged(found.get(name), value)
    return found


def differences(before: Any, after: Any, path: str = "") -> Iterator[Change]:
    """Every change from `before` to `after` (JSON), in the order of `after`. Equal items of lists are matched."""
    if before == after:
        return
    if _is(Mapping, before, after):
        old, new = before or {}, after or {}
        for name in (*new, *(n for n in old if n not in new)):
            yield from differences(old.get(name), new.get(name), f"{path}.{name}" if path else str(name))
    elif _is(list, before, after):
        yield from _list_differences(before or [], after or [], path)
    else:
        yield Change(path, before, after)


def _is(kind: type, before: Any, after: Any) -> bool:
    """Whether both are of this kind, or one is and the other is not there."""
    return all(value is None or isinstance(value, kind) for value in (before, after))


def _list_differences(before: Sequence[Any], after: Sequence[Any], path: str) -> Iterator[Change]:
    matcher = SequenceMatcher(None, _texts(before), _texts(after), autojunk=False)
    for _, start, end, new_start, new_end in matcher.get_opcodes():
        both = min(end - start, new_end - new_start)
        for offset in range(both):
            old, new = before[start + offset], after[new_start + offset]
            yield from differences(old, new, f"{path}.{new_start + offset}")
        for index in range(start + both, end):
            yield Change(f"{path}.{index}", before[index], None)
        for index in range(new_start + both, new_end):
            yield Change(f"{path}.{index}", None, after[index])


def _texts(items: Sequence[Any]) -> list[str]:
    return [json.dumps(item, sort_keys=True) for item in items]


def types_covering(change: Change) -> tuple[str, ...]:
    """The change types under which this may be changed; none when it cannot be."""
    found = tuple(t for t, patterns in _TOUCHES.items() if is_unprinted(change.path, patterns))
    if change.path == "period.end" and _is(str, change.before, change.after):
        longer = (change.after or "") > (change.before or "")
        return ("extend",) if longer else ("shorten",)
    return found


def signing_again(
    types: Iterable[str],
    parties: Mapping[str, Any],
    *,
    asked_by: str | None = None,
    joined: Iterable[str] = (),
    rules: Mapping[str, Sequence[str]] | None = None,
) -> tuple[str, ...]:
    """The roles that must sign a version with changes of these types, of those in `parties`; the others are told.

    `asked_by` asked for the change; those who `joined` with it have signed nothing yet; both sign. `rules` are the
    manifest's, by change type. A guardian signs where the participant does, and alone where the mandate says so.
    """
    roles = {role for t in types for role in (rules or {}).get(t, _SIGNS_AGAIN[t])}
    roles |= {*joined, *([asked_by] if asked_by else [])}
    if "participant" in roles:
        roles.add("guardian")
        if is_represented(parties):
            roles.discard("participant")
    return tuple(role for role in ROLES if role in parties and role in roles)
