"""Values drawn from `values.schema.json` itself: every boolean, word and optional part of it, in every combination."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from hypothesis import strategies as st

from tests.helm.chart import CHART

Schema = Mapping[str, Any]

_ODD = (
    *(
        "0",
        "7",
        "0x1f",
        "1e3",
        "0.1",
        "1_000",
        "true",
        "no",
        "null",
        "y",
        "on",
        "~",
        "-",
        "=",
        "2026-11-22",
        "12:30:45",
    ),
    *(
        "",
        " ",
        "#",
        "'",
        '"',
        "{}",
        "[x]",
        "a: b",
        "a #b",
        "*a",
        "&a",
        "!a",
        "%a",
        "|",
        ">",
        "@a",
        "`",
        "{{ .Values }}",
    ),
    *("a.b", "a-b", "a_b", "a" * 40, "a" * 63, "a" * 200, "::", "::/0", "0.0.0.0/0"),
    *("redis://0", "amqp://0", "http://0", "s3://000", "pkcs11:a'b\"c", "csc:/a,b#c", "smtp://0", "0@0"),
)
"""Texts that would become another thing in YAML, were they not quoted, or break it."""


@cache
def schema() -> Schema:
    read: Schema = json.loads((CHART / "values.schema.json").read_text())
    return read


def resolved(node: Schema) -> Schema:
    """The definition that a node refers to, or the node."""
    reference = node.get("$ref")
    if reference is None:
        return node
    found: Schema = schema()["definitions"][reference.removeprefix("#/definitions/")]
    return found


def drawn(node: Schema, *, whole: bool = False) -> st.SearchStrategy[Any]:
    """Values that this part of the schema allows: some of its parts, for the chart's own lie beneath.

    What stands in a list has nothing beneath it: there `whole` has all that is required.
    """
    node = resolved(node)
    if "oneOf" in node:
        return st.one_of(*(drawn(each, whole=whole) for each in node["oneOf"]))
    match node["type"]:
        case "boolean":
            return st.booleans()
        case "integer":
            return st.integers(node["minimum"], node["maximum"]).filter(lambda n: not _refused(node, n))
        case "number":
            return st.floats(node["minimum"], node["maximum"], width=16)
        case "string":
            return _text(node)
        case "array":
            unique = node.get("uniqueItems", False)
            most = min(node["maxItems"], 3)
            return st.lists(
                drawn(node["items"], whole=True), min_size=node["minItems"], max_size=most, unique=unique
            )
        case "object" if "examples" in node:
            return st.sampled_from(node["examples"])
        case _:
            parts = {name: drawn(part) for name, part in node.get("properties", {}).items()}
            must = {name: parts.pop(name) for name in (node.get("required", ()) if whole else ())}
            return st.fixed_dictionaries(must, optional=parts)


def _text(node: Schema) -> st.SearchStrategy[str]:
    return st.sampled_from(_texts(node))


def _texts(node: Schema) -> list[str]:
    """A text's words or examples, and what else its pattern lets through that YAML might take for another thing."""
    if "enum" in node:
        return list(node["enum"])
    odd = _odd(node["pattern"], node.get("minLength", 0)) if "pattern" in node else ()
    return [*node["examples"], *odd]


@cache
def _odd(pattern: str, shortest: int) -> tuple[str, ...]:
    fits = re.compile(pattern, re.ASCII)
    return tuple(text for text in _ODD if len(text) >= shortest and fits.fullmatch(text))


def _refused(node: Schema, number: int) -> bool:
    gap = node.get("not")
    return gap is not None and gap["minimum"] <= number <= gap["maximum"]


def changes(node: Schema | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each single value that the schema names (booleans, words, examples, limits): its path, and the values with it."""
    node = resolved(node or schema())
    for name, part in node["properties"].items():
        inner = resolved(part)
        if inner.get("type") == "object" and "examples" not in inner and "properties" in inner:
            for path, values in changes(inner):
                yield f"{name}.{path}", {name: values}
            continue
        for value in _each(inner):
            yield f"{name}={value}", {name: value}


def _each(node: Schema) -> list[Any]:
    match node.get("type"):
        case "boolean":
            return [False, True]
        case "integer" | "number":
            return [node["minimum"], node["maximum"]]
        case "array":
            item = resolved(node["items"])
            items = [value for each in item.get("oneOf", [item]) for value in _of_item(resolved(each))]
            return [*([[]] if node["minItems"] == 0 else []), *([value] for value in items)]
        case _:
            return list(node.get("enum") or node.get("examples") or [])


def _of_item(node: Schema) -> list[Any]:
    if node["type"] != "object":
        return _each(node)
    full = {name: _each(resolved(part)) for name, part in node["properties"].items()}
    return [{name: found[-1] for name, found in full.items() if found}]


def descriptions(node: Any, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Every part of the schema that describes a value, by its path."""
    if isinstance(node, Mapping):
        if "type" in node or "$ref" in node or "oneOf" in node:
            yield path, node
        for key, part in node.items():
            if key not in {"examples", "not", "propertyNames"}:
                yield from descriptions(part, f"{path}/{key}")
    elif isinstance(node, list):
        for number, part in enumerate(node):
            yield from descriptions(part, f"{path}/{number}")
