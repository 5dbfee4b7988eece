"""Reading `manifest.toml`: every key is known, every text is there in every language, or it is refused."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Any, get_args

from service.domain.changes import CHANGE_TYPES, TERMINATION
from service.domain.presentation import Kind
from service.domain.retention import Disposal, RetentionRule
from service.domain.template import Manifest, PartyRule, Place
from service.errors import TemplateError

__all__ = ["parse_manifest"]

MAX_ORDER = 9
MAX_YEARS = 100
_KEYS = {"name", "version", "kind", "measures", "unprinted", "titles", "parties", "labels"}
_OPTIONAL = {
    "places",
    "fields",
    "courtesy",
    "signers_only",
    "screened",
    "amendments",
    "declarations",
    "retention",
}
_PATH = re.compile(r"(?:[a-z_]+|\*)(?:\.(?:[a-z_]+|\*))*")
_LINK = re.compile(r"https://signature\.invalid/[a-z_]+")


def parse_manifest(text: str, where: str = "manifest.toml") -> Manifest:
    """The manifest. Raises `TemplateError` (`template_manifest`) that names the key at fault."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise _fault(where, str(exc)) from exc
    if unknown := data.keys() - _KEYS - _OPTIONAL:
        raise _fault(where, f"unknown keys: {', '.join(sorted(unknown))}")
    if missing := _KEYS - data.keys():
        raise _fault(where, f"missing keys: {', '.join(sorted(missing))}")
    if data["kind"] not in get_args(Kind):
        raise _fault(where, f"kind is none of {', '.join(get_args(Kind))}")
    titles = _texts(data["titles"], f"{where}: titles")
    courtesy = _list(data.get("courtesy", []), f"{where}: courtesy")
    if not set(courtesy) < set(titles):
        raise _fault(where, "courtesy names some of the languages that have a title, but not all")
    binding = tuple(language for language in titles if language not in courtesy)
    labels = _labels(data["labels"], tuple(titles), where)
    return Manifest(
        name=_text(data["name"], f"{where}: name"),
        version=_text(data["version"], f"{where}: version"),
        kind=data["kind"],
        titles=titles,
        measures=_list(data["measures"], f"{where}: measures"),
        parties={role: _party(rule, f"{where}: parties.{role}") for role, rule in data["parties"].items()},
        places=tuple(
            _place(place, binding, f"{where}: places.{i}") for i, place in enumerate(data.get("places", ()))
        ),
        labels=labels,
        unprinted=_list(data["unprinted"], f"{where}: unprinted"),
        declarations=_declarations(data.get("declarations", {}), data["parties"], where),
        amendments=_amendments(data.get("amendments", {}), data["parties"], where),
        fields=_fields(data["fields"], tuple(titles), where) if "fields" in data else {},
        courtesy=courtesy,
        signers_only=_flag(data, "signers_only", where),
        screened=_flag(data, "screened", where),
        retention=_retention(data["retention"], f"{where}: retention") if "retention" in data else None,
    )


def _fault(where: str, what: str) -> TemplateError:
    return TemplateError(
        f"{where}: {what}.",
        code="template_manifest",
        remedy="Correct the manifest; see the other templates'.",
    )


def _flag(data: Mapping[str, Any], key: str, where: str) -> bool:
    value = data.get(key, False)
    if not isinstance(value, bool):
        raise _fault(where, f"{key} is true or false")
    return value


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _fault(where, "not a text")
    return value


def _texts(value: Any, where: str) -> dict[str, str]:
    if not isinstance(value, Mapping) or not value:
        raise _fault(where, "not a table of texts")
    return {str(k): _text(v, f"{where}.{k}") for k, v in value.items()}


def _list(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise _fault(where, "not a list")
    return tuple(_text(v, where) for v in value)


def _party(value: Any, where: str) -> PartyRule:
    if not isinstance(value, Mapping) or value.keys() != {"order", "required"}:
        raise _fault(where, "it has order and required, and nothing else")
    order, required = value["order"], value["required"]
    if not isinstance(order, int) or isinstance(order, bool) or not 0 <= order <= MAX_ORDER:
        raise _fault(where, f"order is a whole number from 0 to {MAX_ORDER}")
    if not isinstance(required, bool):
        raise _fault(where, "required is true or false")
    return PartyRule(order, required)


def _declarations(value: Any, parties: Mapping[str, Any], where: str) -> dict[str, str]:
    if not value:
        return {}
    declarations = _texts(value, f"{where}: declarations")
    if not parties.keys() >= declarations.keys():
        raise _fault(where, "declarations names only roles under parties")
    return declarations


def _amendments(value: Any, parties: Mapping[str, Any], where: str) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, Mapping):
        raise _fault(where, "amendments is not a table")
    known = {*CHANGE_TYPES, TERMINATION}
    if unknown := sorted(value.keys() - known):
        raise _fault(where, f"amendments has unknown types of change: {', '.join(unknown)}")
    signers = {kind: _list(roles, f"{where}: amendments.{kind}") for kind, roles in value.items()}
    for kind, roles in signers.items():
        if not roles or not parties.keys() >= set(roles):
            raise _fault(where, f"amendments.{kind} names at least one role, and only roles under parties")
    return signers


def _retention(value: Any, where: str) -> RetentionRule:
    if not isinstance(value, Mapping) or value.keys() != {"years", "disposal", "authority"}:
        raise _fault(where, "it has years, disposal and authority, and nothing else")
    years, disposal = value["years"], value["disposal"]
    if not isinstance(years, int) or isinstance(years, bool) or not 1 <= years <= MAX_YEARS:
        raise _fault(where, f"years is a whole number from 1 to {MAX_YEARS}")
    if disposal not in list(Disposal):
        raise _fault(where, f"disposal is one of {', '.join(Disposal)}")
    return RetentionRule(years, Disposal(disposal), _text(value["authority"], f"{where}.authority"))


def _place(value: Any, languages: tuple[str, ...], where: str) -> Place:
    if not isinstance(value, Mapping) or value.keys() != {"role", "link", "width", "height", "tooltip"}:
        raise _fault(where, "it has role, link, width, height and tooltip, and nothing else")
    tooltips = _texts(value["tooltip"], f"{where}.tooltip")
    if set(tooltips) != set(languages):
        raise _fault(where, f"tooltip has a text for each of {', '.join(languages)}")
    if not _LINK.fullmatch(_text(value["link"], f"{where}.link")):
        raise _fault(where, "link is https://signature.invalid/ and a word of a–z and _")
    for key in ("width", "height"):
        number = value[key]
        if not isinstance(number, int | float) or isinstance(number, bool) or number <= 0:
            raise _fault(where, f"{key} is a number of points")
    role = _text(value["role"], f"{where}.role")
    return Place(role, value["link"], tooltips, float(value["width"]), float(value["height"]))


def _labels(value: Any, languages: tuple[str, ...], where: str) -> dict[str, dict[str, dict[str, str]]]:
    """Labels by language, enumeration and value: every language has the same ones."""
    if not isinstance(value, Mapping) or set(value) != set(languages):
        raise _fault(where, f"labels has a table for each of {', '.join(languages)}")
    labels = {
        language: {
            str(enumeration): _texts(texts, f"{where}: labels.{language}.{enumeration}")
            for enumeration, texts in value[language].items()
        }
        for language in languages
    }
    known = {language: {(e, v) for e, vs in labels[language].items() for v in vs} for language in languages}
    everything = set().union(*known.values())
    for language, found in known.items():
        if lacking := sorted(".".join(pair) for pair in everything - found):
            raise _fault(where, f"labels.{language} lacks {', '.join(lacking)}")
    return labels


def _fields(value: Any, languages: tuple[str, ...], where: str) -> dict[str, dict[str, str]]:
    """Names of fields by language and path: every language has the same ones."""
    if not isinstance(value, Mapping) or set(value) != set(languages):
        raise _fault(where, f"fields has a table for each of {', '.join(languages)}")
    fields = {language: _texts(value[language], f"{where}: fields.{language}") for language in languages}
    everything = set().union(*fields.values())
    for language, found in fields.items():
        if lacking := sorted(everything - found.keys()):
            raise _fault(where, f"fields.{language} lacks {', '.join(lacking)}")
    if wrong := sorted(path for path in everything if not _PATH.fullmatch(path)):
        raise _fault(where, f"fields: no path of a field: {', '.join(wrong)}")
    return fields
