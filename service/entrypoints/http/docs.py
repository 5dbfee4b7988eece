"""The OpenAPI document, and a page of it that needs no JavaScript and nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

from flask import Flask, Response, json
from markupsafe import Markup, escape

from service.entrypoints.http.representations import PREFIX

__all__ = ["add_docs", "openapi_document"]

_STYLE: Final = """
body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1rem;color:#1b1b1b;background:#fff}
a{color:#004b87}code,pre{font-family:ui-monospace,monospace}h2{margin-top:2.5rem;border-top:2px solid #bbb;
padding-top:1rem}
.method{background:#0b5d2e;color:#fff;padding:.1rem .5rem;border-radius:.25rem;font-size:.9rem}
table{border-collapse:collapse;width:100%;margin:.5rem 0 1rem}
th,td{text-align:left;vertical-align:top;padding:.3rem .6rem;
border:1px solid #bbb}
th{background:#f0f0f0}.wide{overflow-x:auto}.skip{position:absolute;left:-99rem}.skip:focus{left:1rem}
"""
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()


def openapi_document(app: Flask) -> dict[str, Any]:
    """The OpenAPI document of the API."""
    api = app.extensions["flask-smorest"]["apis"][""]["ext_obj"]
    document: dict[str, Any] = api.spec.to_dict()
    for item in document["paths"].values():
        for operation in item.values():
            for status in ("422", "default"):  # the library's own, which are never given
                if isinstance(operation, dict):
                    operation["responses"].pop(status, None)
    used = json.dumps(document["paths"])
    for kind in ("responses", "parameters", "headers"):  # the library's own, which nothing refers to
        own = document["components"].get(kind, {})
        kept = {name: value for name, value in own.items() if f'#/components/{kind}/{name}"' in used}
        document["components"].pop(kind, None)
        if kept:
            document["components"][kind] = kept
    schemas = document["components"]["schemas"]
    for name in ("ErrorSchema", "PaginationMetadataSchema"):
        schemas.pop(name, None)
    document["components"]["schemas"] = dict(sorted(schemas.items()))
    return document


def add_docs(app: Flask) -> None:
    @cache
    def document() -> dict[str, Any]:
        return openapi_document(app)

    @cache
    def page() -> str:
        return _page(document())

    def as_json() -> Response:
        body = json.dumps(document(), indent=2)
        return Response(body, mimetype="application/json", headers={"Cache-Control": "public, max-age=300"})

    def as_page() -> Response:
        policy = (
            f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; frame-ancestors 'none'; base-uri 'none'"
        )
        headers = {"Content-Security-Policy": policy, "Cache-Control": "public, max-age=300"}
        return Response(page(), mimetype="text/html", headers=headers)

    app.add_url_rule(f"{PREFIX}/openapi.json", "openapi", as_json)
    app.add_url_rule("/api/docs", "docs", as_page)


def _page(document: Mapping[str, Any]) -> str:
    return Markup("\n").join(_lines(document))


def _lines(document: Mapping[str, Any]) -> Iterator[Markup]:
    info = document["info"]
    yield Markup(
        '<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<title>{title} API {version}</title><style>{style}</style></head>\n<body>"
        '<a class="skip" href="#main">To the content</a>\n<main id="main">\n<h1>{title} API {version}</h1>'
    ).format(title=info["title"], version=info["version"], style=Markup(_STYLE))  # noqa: S704 (our own text)
    yield Markup("<p>{}</p>").format(info["description"])
    yield Markup(
        '<p>For machines: <a href="{0}/openapi.json">{0}/openapi.json</a>. Send an access token as '
        "<code>Authorization: Bearer …</code> with every request.</p>"
    ).format(PREFIX)
    operations = [
        (path, method, operation, [*item.get("parameters", ()), *operation.get("parameters", ())])
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in {"get", "post", "put", "delete"}
    ]
    yield Markup('<nav aria-label="Operations"><ul>')
    for number, (path, _, operation, _) in enumerate(operations):
        yield Markup('<li><a href="#op{}">{}</a> <code>{}</code></li>').format(
            number, operation["summary"], path
        )
    yield Markup("</ul></nav>")
    for number, (path, method, operation, parameters) in enumerate(operations):
        yield Markup('<h2 id="op{}">{}</h2>').format(number, operation["summary"])
        yield Markup('<p><span class="method">{}</span> <code>{}</code></p>').format(method.upper(), path)
        if "description" in operation:
            yield Markup("<p>{}</p>").format(operation["description"])
        if parameters:
            yield _table(
                f"Parameters of: {operation['summary']}",
                ("Name", "In", "Kind", "What"),
                [(p["name"], p["in"], _kind(p["schema"]), p.get("description", "")) for p in parameters],
            )
        yield _table(
            f"Answers of: {operation['summary']}",
            ("Status", "What", "Content"),
            [
                (status, answer["description"], ", ".join(_content(answer)))
                for status, answer in sorted(operation["responses"].items())
            ],
        )
    yield Markup('<h2 id="shapes">Shapes</h2>')
    for name, schema in document["components"]["schemas"].items():
        yield Markup('<h3 id="{0}">{0}</h3>').format(name)
        required = schema.get("required", ())
        yield _table(
            f"Fields of {name}",
            ("Field", "Kind", "What"),
            [
                (
                    f"{field}" if field in required else f"{field} (may be left out)",
                    _kind(kind),
                    kind.get("description", ""),
                )
                for field, kind in schema.get("properties", {}).items()
            ],
        )
    yield Markup("</main>\n</body>\n</html>\n")


def _content(answer: Mapping[str, Any]) -> Iterator[str]:
    for media_type, content in answer.get("content", {}).items():
        kind = _kind(content["schema"])
        yield media_type if kind in {"string", "object", "binary"} else f"{media_type} ({kind})"


def _kind(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(map(_kind, schema["anyOf"]))
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    if schema.get("type") == "array":
        return f"list of {_kind(schema['items'])}"
    kinds = schema.get("type", "any")
    return str(schema.get("format") or (" or ".join(kinds) if isinstance(kinds, list) else kinds))


def _table(caption: str, heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> Markup:
    head = Markup("").join(Markup('<th scope="col">{}</th>').format(name) for name in heads)
    body = Markup("\n").join(
        Markup("<tr><td><code>{}</code></td>{}</tr>").format(
            row[0], Markup("").join(Markup("<td>{}</td>").format(cell) for cell in row[1:])
        )
        for row in rows
    )
    return Markup(
        '<div class="wide" tabindex="0" role="region" aria-label="{0}"><table><caption class="skip">{0}</caption>'
        "<thead><tr>{1}</tr></thead><tbody>{2}</tbody></table></div>"
    ).format(escape(caption), head, body)
