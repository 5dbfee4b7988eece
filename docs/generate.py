"""Write what docs/ says of the interface from the code: JSON Schemas, AsyncAPI document, parts of the guides.

    python docs/generate.py            write docs/schemas/*.json, docs/asyncapi.json, docs/openapi.json,
                                       docs/configuration.md, docs/http.md, docs/integration.md,
                                       docs/metrics.md, docs/templates.md
    python docs/generate.py --check    change nothing; exit 1 when a file is not current

JSON Schema 2020-12. The schemas say what JSON Schema can say; check digits and rules between dates are the
service's own.
"""

from __future__ import annotations

import argparse
import inspect
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from marshmallow import Schema

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
sys.path.insert(0, str(ROOT))

from docs import asyncapi, guide, settings  # noqa: E402
from service.config import load_settings  # noqa: E402
from service.entrypoints.http import create_app  # noqa: E402
from service.entrypoints.http.docs import openapi_document  # noqa: E402
from service.schemas.agreement import AgreementSchema  # noqa: E402
from service.schemas.commands import COMMAND_SCHEMAS  # noqa: E402
from service.schemas.events import EVENT_SCHEMAS  # noqa: E402
from service.schemas.renewal import RenewalReceiptSchema  # noqa: E402
from service.schemas.text import LINE_PATTERN, PROSE_PATTERN  # noqa: E402

DIALECT = "https://json-schema.org/draft/2020-12/schema"
COMPONENTS = "#/components/schemas/"
TEXTS = {
    LINE_PATTERN: ("Line", "One line of text, without control characters and invisible characters."),
    PROSE_PATTERN: ("Prose", "Text with line breaks, without control characters and invisible characters."),
}
"""Patterns that stand in many places, and the definition that each becomes."""


def generated() -> dict[Path, str]:
    """Path and text of every file that is made from the code."""
    documents = {"agreement": _document("agreement", "Agreement", AgreementSchema)}
    for name, schema in COMMAND_SCHEMAS.items():
        documents[f"command-{name}"] = _document(f"command:{name}", f"Command {name}", schema)
    documents["events"] = _one_of("events", "Events", *EVENT_SCHEMAS.values())
    documents["renewal-receipt"] = _document("renewal-receipt", "Receipt of a renewal", RenewalReceiptSchema)
    files = {DOCS / "schemas" / f"{name}.json": _text(document) for name, document in documents.items()}
    files[DOCS / "asyncapi.json"] = _text(asyncapi.document())
    files[DOCS / "openapi.json"] = _text(_openapi())
    for name in ("http.md", "integration.md", "metrics.md", "templates.md"):
        files[DOCS / name] = guide.current((ROOT / "docs" / name).read_text(encoding="utf-8"))
    files[DOCS / "configuration.md"] = settings.page()
    return files


def _openapi() -> dict[str, Any]:
    """As the service gives it; the application is made for this, and answers nothing."""
    with tempfile.TemporaryDirectory() as home:
        return openapi_document(create_app(load_settings({"SIGNERT_HOME": home})))


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def _document(name: str, title: str, schema: type[Schema]) -> dict[str, Any]:
    definitions = _definitions(schema)
    root = definitions.pop(_name(schema))
    return {**_head(name, title), **root, "$defs": definitions}


def _one_of(name: str, title: str, *schemas: type[Schema]) -> dict[str, Any]:
    return {
        **_head(name, title),
        "oneOf": [{"$ref": f"#/$defs/{_name(s)}"} for s in schemas],
        "$defs": _definitions(*schemas),
    }


def _head(name: str, title: str) -> dict[str, Any]:
    return {
        "$schema": DIALECT,
        "$id": f"urn:signert:schema:v1:{name}",
        "$comment": "Made by docs/generate.py. The service also checks check digits, dates, amounts and parties "
        "against each other.",
        "title": f"Signert: {title}",
    }


def _definitions(*schemas: type[Schema]) -> dict[str, Any]:
    """The schemas and all they refer to, by name."""
    plugin = MarshmallowPlugin(schema_name_resolver=_name)
    # Schemas of OpenAPI 3.1 are JSON Schema 2020-12.
    spec = APISpec("signert", "1", "3.1.0", plugins=[plugin])
    for schema in schemas:
        spec.components.schema(_name(schema), schema=schema)
    classes = {name: key[0] for key, name in plugin.converter.refs.items()}
    found = spec.components.schemas
    definitions = {name: _described(_local(found[name]), classes[name]) for name in found}
    used = json.dumps(definitions)
    for pattern, (name, description) in TEXTS.items():
        if f'"#/$defs/{name}"' in used:
            definitions[name] = {"type": "string", "description": description, "pattern": pattern}
    return dict(sorted(definitions.items()))


def _described(definition: dict[str, Any], schema: type[Schema]) -> dict[str, Any]:
    conditions = getattr(schema, "json_schema_conditions", ())
    return {
        "description": " ".join((inspect.getdoc(schema) or "").split()),
        **definition,
        **({"allOf": list(conditions)} if conditions else {}),
    }


def _local(node: Any) -> Any:
    """References into the document itself instead of into an OpenAPI one, and to the common texts."""
    if isinstance(node, dict):
        if node.get("pattern") in TEXTS:
            own = {k: v for k, v in node.items() if k not in ("type", "pattern")}
            return {"$ref": f"#/$defs/{TEXTS[node['pattern']][0]}", **own}
        return {
            key: value.replace(COMPONENTS, "#/$defs/") if key == "$ref" else _local(value)
            for key, value in node.items()
        }
    if isinstance(node, list):
        return [_local(item) for item in node]
    return node


def _name(schema: Any) -> str:
    cls = schema if isinstance(schema, type) else type(schema)
    return str(cls.__name__).removesuffix("Schema")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Generate what docs/ says of the interface from the code.")
    parser.add_argument("--check", action="store_true", help="change nothing, only say what is not current")
    check = parser.parse_args(arguments).check
    files = generated()
    stale = [p for p, text in files.items() if not p.is_file() or p.read_text(encoding="utf-8") != text]
    left_over = sorted(set((DOCS / "schemas").glob("*.json")) - files.keys())
    if check:
        for path in [*stale, *left_over]:
            sys.stderr.write(
                f"{path.relative_to(DOCS.parent)} is not current: run `python docs/generate.py`.\n"
            )
        return 1 if stale or left_over else 0
    (DOCS / "schemas").mkdir(exist_ok=True)
    for path in stale:
        path.write_text(files[path], encoding="utf-8")
    for path in left_over:
        path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
