"""What the OpenAPI document says of the parts that many views have in common."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

__all__ = ["ID", "NDJSON", "NUMBER", "PART_OF_NAME", "USUAL", "binary", "file_doc", "problems"]

NDJSON: Final = "application/x-ndjson"

ID: Final = {
    "name": "agreement_id", "in": "path", "required": True, "description": "The agreement's id.",
    "schema": {"type": "string", "format": "uuid"},
}  # fmt: skip
NUMBER: Final = {
    "name": "number", "in": "path", "required": True, "description": "The version's number, from 1.",
    "schema": {"type": "integer", "minimum": 1, "maximum": 9999},
}  # fmt: skip


def problems(*statuses: int) -> dict[str, Any]:
    schema = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {str(s): {"description": HTTPStatus(s).phrase, "content": schema} for s in statuses}


USUAL: Final = (400, 401, 403, 404, 429, 503)


def binary(*media_types: str) -> dict[str, Any]:
    return {media_type: {"schema": {"type": "string", "format": "binary"}} for media_type in media_types}


def file_doc(summary: str, *media_types: str) -> dict[str, Any]:
    """What the OpenAPI document says of a view that gives a file."""
    body = binary(*media_types)
    conditions = [
        {"name": name, "in": "header", "required": False, "description": text, "schema": {"type": "string"}}
        for name, text in {
            "Range": "One range of bytes (RFC 9110 14.2).",
            "If-None-Match": "ETag that you have: 304 when it is still the same.",
            "If-Range": "ETag that you have a part of.",
        }.items()
    ]
    link = {"application/json": {"schema": {"$ref": "#/components/schemas/Link"}}}
    return {
        "summary": summary,
        "parameters": conditions,
        "responses": {
            "200": {"description": "The file; with `link=json` its address.", "content": {**body, **link}},
            "206": {"description": "The part of it that Range asks for.", "content": body},
            "302": {"description": "With `link=redirect`: where it is in the store."},
            "304": {"description": "It is what If-None-Match names."},
            **problems(*USUAL, 409, 412, 416),
        },
    }


PART_OF_NAME: Final = {
    "revision": {
        "name": "revision", "in": "path", "required": True, "description": "The revision's number, from 1.",
        "schema": {"type": "integer", "minimum": 1, "maximum": 999},
    },
    "role": {
        "name": "role", "in": "path", "required": True, "description": "The party's role.",
        "schema": {"type": "string"},
    },
}  # fmt: skip
