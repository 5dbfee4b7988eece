"""The documents as a whole: a template's variables, and the values that must be found in the finished PDF."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date
from typing import Any, Final

from service.domain.presentation.changes import Described, describe, leaves
from service.domain.presentation.formats import ROLES, Kind, Labels, Presenter, is_unprinted
from service.domain.template_fields import SHAPES
from service.domain.wage_subsidy import WAGE_SUBSIDIES, calculate, reduction

__all__ = [
    "DERIVED",
    "WITHHELD",
    "Kind",
    "context",
    "example_contexts",
    "is_protected",
    "is_represented",
    "is_withheld",
    "printed_values",
    "shown",
    "signing_roles",
]

_PROTECTED: Final = ("parties.participant.phone", "parties.participant.email")
_PROTECTION: Final = "parties.participant.address_protection"
WITHHELD: Final = (*_PROTECTED, _PROTECTION)
"""What only those who work on a case may see of a protected participant's."""


DERIVED: Mapping[str, tuple[str, ...]] = {
    **{f"parties.{role}.name": (f"parties.{role}.first_name", f"parties.{role}.last_name") for role in ROLES},
    "family_relation.answer": ("family_relation.related",),
    "backdated": ("exceptions.backdated.reason",),
    **{
        f"wage_subsidy.{name}": tuple(f"{measure}.{name}" for measure in WAGE_SUBSIDIES)
        for measure in WAGE_SUBSIDIES
        for name in SHAPES["agreement"][measure]
    },
}
"""What `context` adds to the agreement's own fields, and the fields that are printed by printing it."""


def shown(kind: Kind, path: str, value: object, *, labels: Labels, language: str) -> str:
    """The display string of one value at its place. Raises `TemplateError` (`label_missing`, `unknown_language`)."""
    return Presenter(kind, labels, language).show(path, value)


def context(
    kind: Kind,
    data: Mapping[str, Any],
    *,
    labels: Labels,
    language: str,
    field_labels: Mapping[str, str] | None = None,
    unprinted: Sequence[str] = (),
    signers: Collection[str] | None = None,
    screened: bool = False,
) -> dict[str, Any]:
    """The template's variables: the JSON's own field names with display strings, and what follows from them.

    Sections, lists and fields that were not sent are empty, hence false in a template's condition. Booleans stay
    booleans. Each party has its `name`. Added for an agreement are:

    - `inclusion_grant.total`, `family_relation.answer` and `backdated` (the reason);
    - `chosen`, by measure, whether it is this agreement's; `wage_subsidy`, the section of whichever measure has one,
      with what it comes to (see `service/domain/wage_subsidy.py`);
    - `signs`, by role, whether the party signs this version: one of `signers`, or, where they are not given, a party
      that is neither told of an amendment only nor represented by a guardian;
    - `screened`, whether this is the edition without what tells who the participant is (see `screening.py`);
    - of an `amendment`, `types` and `told` as texts, and `changes` as {what, before, after} (see `describe_changes`,
      which `field_labels` and `unprinted` are for).

    A protected participant's contact information is empty. Raises `TemplateError` (`label_missing`,
    `unknown_language`).
    """
    presenter = Presenter(kind, labels, language)
    tree: dict[str, Any] = presenter.tree({k: v for k, v in data.items() if k != "amendment"}, SHAPES[kind])
    if kind == "receipt":
        return tree
    for role, party in tree["parties"].items():
        if party and role in ROLES and "first_name" in party:
            party["name"] = f"{party['first_name']} {party['last_name']}".rstrip()
            # A member of Nav's staff whose unit is not named belongs to the unit of follow-up.
            if "unit" in party and not party["unit"]:
                party["unit"] = tree["unit"]
    if kind == "declaration":
        return tree

    if is_protected(data):
        tree["parties"]["participant"].update(phone="", email="")
    if tree["inclusion_grant"]:
        lines = data["inclusion_grant"].get("lines", ())
        total = sum(int(line["amount"]) for line in lines)
        tree["inclusion_grant"]["total"] = presenter.show("inclusion_grant.lines.0.amount", total)
    backdated = (data.get("exceptions") or {}).get("backdated") or {}
    tree["backdated"] = presenter.show("exceptions.backdated.reason", backdated.get("reason", ""))
    if tree["family_relation"]:
        related = bool(data["family_relation"].get("related"))
        tree["family_relation"]["answer"] = presenter.show("family_relation.related", related)
    tree["chosen"] = {measure: data.get("measure") == measure for measure in _measures()}
    tree["wage_subsidy"] = _wage_subsidy(data, tree, presenter)
    signing = signing_roles(data) if signers is None else signers
    tree["signs"] = {role: role in signing for role in ROLES}
    tree["screened"] = screened
    tree["amendment"] = _amendment(data, presenter, field_labels or {}, unprinted)
    return tree


def printed_values(
    kind: Kind,
    data: Mapping[str, Any],
    *,
    labels: Labels,
    language: str,
    field_labels: Mapping[str, str] | None = None,
    unprinted: Sequence[str] = (),
) -> dict[str, str]:
    """Field path → the display string that must be in the document's text, for every value that was sent.

    Left out are paths that `unprinted` covers, empty values, and a protected participant's contact information. What
    a wage subsidy comes to, and an amendment's changes in words, are among them. Compare after folding white space:
    the document breaks lines where it likes. Raises `TemplateError` (`label_missing`, `unknown_language`).
    """
    presenter = Presenter(kind, labels, language)
    hidden = (*unprinted, *_PROTECTED) if kind == "agreement" and is_protected(data) else tuple(unprinted)
    shown = {
        path: presenter.show(path, value)
        for path, value in leaves({k: v for k, v in data.items() if k != "amendment"})
        if not is_unprinted(path, hidden)
    }
    if kind == "agreement":
        shown |= {path: presenter.show(path, value) for path, value in _computed(data)}
        shown |= _amendment_texts(data, presenter, field_labels or {}, unprinted)
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
            if full:
                tree["inclusion_grant"]["total"] = "x"
                tree["wage_subsidy"] = dict.fromkeys(_wage_fields(), "x")
            else:
                tree |= {section: {} for section in (*_OPTIONAL, "wage_subsidy")}
            tree["family_relation"]["answer"] = "x"
            tree["chosen"] = dict.fromkeys(_measures(), full)
            # The document that is signed: the screened edition has less, and a notice.
            tree["screened"] = False
            tree["signs"] = {role: full or role in required for role in ROLES}
        elif kind == "declaration":
            tree["parties"]["mentor"]["name"] = "x"
        elif not full:
            tree["supersedes"] = {}
        contexts[name] = tree
    return contexts


_OPTIONAL = (
    "inclusion_grant",
    "mentor",
    *WAGE_SUBSIDIES,
    "follow_up",
    "exceptions",
    "amendment",
    "termination",
)


def _measures() -> tuple[str, ...]:
    return ("inclusion_grant", "mentor", "work_training", *WAGE_SUBSIDIES)


def is_protected(data: Mapping[str, Any]) -> bool:
    """Unknown protection counts as protected."""
    participant = data.get("parties", {}).get("participant", {})
    return bool(participant.get("address_protection") != "none")


def is_withheld(data: Mapping[str, Any], changes: Sequence[Mapping[str, Any]]) -> bool:
    """Whether `changes`, to the agreement in `data`, may show no contact information of the participant.

    That of a time when the participant was protected stays withheld when that has ended.
    """
    return is_protected(data) or any(c["path"] == _PROTECTION and c["before"] != "none" for c in changes)


def signing_roles(data: Mapping[str, Any]) -> list[str]:
    """The parties that sign: neither told of an amendment only nor represented by a guardian."""
    parties = data.get("parties", {})
    told = (data.get("amendment") or {}).get("told") or ()
    represented = is_represented(parties)
    return [r for r in parties if r not in told and not (represented and r == "participant")]


def is_represented(parties: Mapping[str, Any]) -> bool:
    """Whether a guardian signs for the participant, who then does not."""
    return bool(parties.get("guardian", {}).get("scope") == "for")


# --- wage subsidy ---


def _wage_fields() -> Iterator[str]:
    section = next(iter(SHAPES["agreement"][measure] for measure in WAGE_SUBSIDIES))
    yield from section
    yield from ("holiday_pay", "pension", "employer_contribution", "wage_costs")
    yield from ("reduced_percentage", "reduced_from", "reduced_subsidy")


def _chosen_subsidy(data: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
    measure = data.get("measure")
    return (str(measure), data[measure]) if measure in WAGE_SUBSIDIES and data.get(measure) else None


def _wage_subsidy(data: Mapping[str, Any], tree: Mapping[str, Any], presenter: Presenter) -> dict[str, str]:
    chosen = _chosen_subsidy(data)
    if chosen is None:
        return {}
    measure, _ = chosen
    computed = {path.rpartition(".")[2]: presenter.show(path, value) for path, value in _computed(data)}
    return {**dict.fromkeys(_wage_fields(), ""), **tree[measure], **computed}


def _computed(data: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """What the wage subsidy comes to, each amount under a path of the section."""
    chosen = _chosen_subsidy(data)
    if chosen is None:
        return
    measure, section = chosen
    found = calculate(section)
    for name in ("holiday_pay", "pension", "employer_contribution", "wage_costs"):
        yield f"{measure}.{name}", getattr(found, name)
    yield f"{measure}.monthly_subsidy", found.subsidy
    period = data.get("period", {})
    if not period:
        return
    start, end = date.fromisoformat(period["start"]), date.fromisoformat(period["end"])
    if falls := reduction(measure, section["percentage"], start, end):
        yield f"{measure}.reduced_percentage", falls.percentage
        yield f"{measure}.reduced_from", falls.start.isoformat()
        yield f"{measure}.reduced_subsidy", calculate(section, falls.percentage).subsidy


# --- amendment ---


def _described(
    data: Mapping[str, Any], presenter: Presenter, field_labels: Mapping[str, str], unprinted: Sequence[str]
) -> list[Described | None]:
    changes = data["amendment"].get("changes", ())
    withheld = _PROTECTED if is_withheld(data, changes) else ()
    return describe(changes, presenter, field_labels=field_labels, unprinted=unprinted, withheld=withheld)


def _amendment(
    data: Mapping[str, Any], presenter: Presenter, field_labels: Mapping[str, str], unprinted: Sequence[str]
) -> dict[str, Any]:
    amendment = data.get("amendment")
    if not amendment:
        return {}
    shown: dict[str, Any] = dict.fromkeys(SHAPES["agreement"]["amendment"], "")
    shown |= _amendment_facts(amendment, presenter)
    described = _described(data, presenter, field_labels, unprinted)
    shown["changes"] = [vars(change) for change in described if change is not None]
    return shown


def _amendment_facts(amendment: Mapping[str, Any], presenter: Presenter) -> dict[str, str]:
    return {
        name: presenter.show(f"amendment.{name}", value)
        for name, value in amendment.items()
        if name != "changes" and value not in (None, "", [])
    }


def _amendment_texts(
    data: Mapping[str, Any], presenter: Presenter, field_labels: Mapping[str, str], unprinted: Sequence[str]
) -> dict[str, str]:
    amendment = data.get("amendment")
    if not amendment:
        return {}
    texts = {f"amendment.{name}": text for name, text in _amendment_facts(amendment, presenter).items()}
    for index, change in enumerate(_described(data, presenter, field_labels, unprinted)):
        if change is not None:
            texts |= {f"amendment.changes.{index}.{name}": text for name, text in vars(change).items()}
    return texts
