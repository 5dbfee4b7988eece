"""The API, version 1. Every view: who asks, what it may see, the access log, then the answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn

from flask import Flask, Response
from flask.views import MethodView
from flask_smorest import Api, Blueprint
from webargs.flaskparser import FlaskParser

from service.domain.access import Resource
from service.entrypoints.http.access import opened, refuse, seen_version
from service.entrypoints.http.answers import (
    document_response,
    export_response,
    json_response,
    log_response,
    opened_log,
)
from service.entrypoints.http.described import (
    ID,
    NDJSON,
    NUMBER,
    PART_OF_NAME,
    USUAL,
    binary,
    file_doc,
    problems,
)
from service.entrypoints.http.errors import HttpProblem
from service.entrypoints.http.listing import agreements_page
from service.entrypoints.http.representations import PREFIX, agreement_json, version_json
from service.entrypoints.http.site import site
from service.pipeline.reading import entries_of
from service.schemas.http import (
    AgreementResponse,
    AgreementsResponse,
    DocumentQuery,
    ExportQuery,
    LinkResponse,
    LogQuery,
    ProblemResponse,
    SearchQuery,
    VersionResponse,
    VersionsResponse,
    field_errors,
)

__all__ = ["OPENAPI_VERSION", "add_api"]

OPENAPI_VERSION: Final = "3.1.0"


class _Parser(FlaskParser):
    """Queries are strict as commands are: a filter that nobody knows is an error, not everything."""

    DEFAULT_UNKNOWN_BY_LOCATION: dict[str, str | None] = {}  # noqa: RUF012 (webargs declares it so)

    def handle_error(self, error: Any, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise HttpProblem(
            400,
            "invalid",
            "the query is not as it should be",
            remedy="Each field at fault is named in errors; /api/docs has them all.",
            errors=field_errors(error.messages),
        )


class _Blueprint(Blueprint):  # type: ignore[misc]
    ARGUMENTS_PARSER = _Parser()


def add_api(app: Flask, authenticate: Callable[[], None], limit_reader: Callable[[], None]) -> Api:
    app.config.update(
        API_TITLE="Signert",
        API_VERSION="v1",
        OPENAPI_VERSION=OPENAPI_VERSION,
        API_SPEC_OPTIONS={
            "info": {
                "description": "Agreements, their versions and documents, for archivists, parties, case systems and "
                "operators. Every read is recorded. What is not there and what you may not see answer alike: 404.",
                "license": {"name": "MIT", "identifier": "MIT"},
            },
            "servers": [{"url": "/"}],
            "security": [{"token": []}],
        },
    )
    api = Api(app, spec_kwargs={"marshmallow_plugin": _plugin()})
    api.spec.components.security_scheme(
        "token",
        {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "An access token of a provider that the service is set up with (docs/http.md).",
        },
    )
    api.spec.components.schema("Problem", schema=ProblemResponse)
    api.spec.components.schema("Link", schema=LinkResponse)
    blueprint = _blueprint()
    blueprint.before_request(authenticate)
    blueprint.before_request(limit_reader)
    api.register_blueprint(blueprint)
    return api


def _plugin() -> Any:
    from apispec.ext.marshmallow import MarshmallowPlugin

    def name(schema: Any) -> str:
        cls = schema if isinstance(schema, type) else type(schema)
        return cls.__name__.removesuffix("Response")

    return MarshmallowPlugin(schema_name_resolver=name)


def _blueprint() -> _Blueprint:
    blueprint = _Blueprint(
        "agreements", __name__, url_prefix=PREFIX, description="Agreements and all that is theirs."
    )

    @blueprint.route("/agreements")
    class Agreements(MethodView):
        @blueprint.arguments(SearchQuery, location="query")
        @blueprint.response(200, AgreementsResponse, description="One page, newest first.")
        @blueprint.doc(summary="List and search agreements", responses=problems(400, 401, 403, 429, 503))
        def get(self, asked: Mapping[str, Any]) -> Response:
            """Those of which all is true that is given, among those that the reader may see."""
            return json_response(agreements_page(asked), "agreements")

    @blueprint.route("/agreements/<string:agreement_id>", parameters=[ID])
    class Agreement(MethodView):
        @blueprint.response(200, AgreementResponse, description="The agreement.")
        @blueprint.doc(summary="One agreement with its versions", responses=problems(*USUAL))
        def get(self, agreement_id: str) -> Response:
            view = opened(agreement_id, "agreement")
            return json_response(agreement_json(view), "agreement", view)

    @blueprint.route("/agreements/<string:agreement_id>/versions", parameters=[ID])
    class Versions(MethodView):
        @blueprint.response(200, VersionsResponse, description="The versions.")
        @blueprint.doc(summary="The versions of an agreement", responses=problems(*USUAL))
        def get(self, agreement_id: str) -> Response:
            view = opened(agreement_id, "versions")
            items = [version_json(view, seen) for seen in view.versions.values()]
            return json_response({"items": items}, "versions", view)

    @blueprint.route("/agreements/<string:agreement_id>/versions/<int:number>", parameters=[ID, NUMBER])
    class Version(MethodView):
        @blueprint.response(200, VersionResponse, description="The version.")
        @blueprint.doc(summary="One version", responses=problems(*USUAL))
        def get(self, agreement_id: str, number: int) -> Response:
            view = opened(agreement_id, "version")
            seen = seen_version(view, number, Resource.AGREEMENT, "version")
            return json_response(version_json(view, seen), "version", view, seen)

    @blueprint.route("/agreements/<string:agreement_id>/log", parameters=[ID])
    class Log(MethodView):
        @blueprint.arguments(LogQuery, location="query")
        @blueprint.doc(
            summary="The log, an entry a line",
            description="The entries as they are stored, each in its canonical bytes and with a line feed after it.",
            responses={
                "200": {"description": "The entries.", "content": {NDJSON: {"schema": {"type": "string"}}}},
                **problems(*USUAL),
            },
        )
        def get(self, asked: Mapping[str, Any], agreement_id: str) -> Response:
            view = opened_log(agreement_id)
            entries = entries_of(site().ledger, view)
            body = b"".join(e.body + b"\n" for e in entries if asked.get("version") in {None, e.version})
            return log_response(view, body, NDJSON, f"{view.agreement.id}-log.ndjson")

    @blueprint.route(
        "/agreements/<string:agreement_id>/log/<int:seq>",
        parameters=[
            ID,
            {"name": "seq", "in": "path", "required": True, "description": "The entry's number, from 0.",
             "schema": {"type": "integer", "minimum": 0, "maximum": 99999999}},
        ],
    )  # fmt: skip
    class LogEntry(MethodView):
        @blueprint.doc(
            summary="One entry of the log, as it is stored",
            responses={
                "200": {
                    "description": "The entry.",
                    "content": {"application/json": {"schema": {"type": "object"}}},
                },
                "304": {"description": "It is what If-None-Match names."},
                **problems(*USUAL),
            },
        )
        def get(self, agreement_id: str, seq: int) -> Response:
            view = opened_log(agreement_id)
            entry = next((e for e in entries_of(site().ledger, view) if e.seq == seq), None)
            if entry is None:
                refuse(agreement_id, "log")
            return log_response(
                view, entry.body, "application/json", f"{view.agreement.id}-log-{seq:08d}.json"
            )

    @blueprint.route("/agreements/<string:agreement_id>/export", parameters=[ID])
    class Export(MethodView):
        @blueprint.arguments(ExportQuery, location="query")
        @blueprint.doc(
            summary="The whole agreement as a ZIP file",
            description="Documents, receipts, reports, log, and SHA256SUMS of all of them.",
            responses={
                "200": {"description": "The ZIP file.", "content": binary("application/zip")},
                **problems(*USUAL),
            },
        )
        def get(self, asked: Mapping[str, Any], agreement_id: str) -> Response:
            return export_response(agreement_id, asked.get("variant"))

    for name, resource, summary, media_types in _DOCUMENTS:
        _add_document(blueprint, name, resource, summary, media_types)
    return blueprint


_PDF: Final = ("application/pdf",)
_DOCUMENTS: Final = (
    ("document", Resource.DOCUMENT, "The signed PDF", _PDF),
    ("rendered", Resource.RENDERED, "The PDF before anybody has signed, to read", _PDF),
    ("revisions/<int:revision>", Resource.REVISION, "One state of the PDF, from 1: half-signed ones too", _PDF),
    ("screened", Resource.SCREENED, "The PDF without what tells who a protected participant is", _PDF),
    ("courtesy", Resource.COURTESY, "A translation to read beside the document, not signed", _PDF),
    ("data", Resource.DATA, "What the case system sent", ("application/json",)),
    ("receipt", Resource.RECEIPT, "The receipt (RFC 8785 JSON)", ("application/json",)),
    ("receipt.p7s", Resource.RECEIPT, "The detached CAdES signature of the receipt", ("application/pkcs7-signature",)),
    ("receipt.pdf", Resource.RECEIPT, "The receipt for people, sealed", _PDF),
    ("report", Resource.REPORT, "The validation report", ("application/json",)),
    ("scans/<string:role>", Resource.SCAN, "The scan of what a party signed on paper",
     ("application/pdf", "image/png", "image/jpeg", "image/tiff")),
)  # fmt: skip


def _add_document(
    blueprint: _Blueprint, name: str, resource: Resource, summary: str, media_types: tuple[str, ...]
) -> None:
    """One view for each kind, so that each has its place in the OpenAPI document."""
    extra = [spec for part, spec in PART_OF_NAME.items() if f":{part}>" in name]
    stem = name.partition("/")[0]

    class DocumentView(MethodView):
        @blueprint.arguments(DocumentQuery, location="query")
        @blueprint.doc(**file_doc(summary, *media_types))
        def get(self, asked: Mapping[str, Any], agreement_id: str, number: int, **part: object) -> Response:
            return document_response(
                agreement_id, number, "/".join([stem, *map(str, part.values())]), resource, asked
            )

    blueprint.add_url_rule(
        f"/agreements/<string:agreement_id>/versions/<int:number>/{name}",
        f"document-{stem.replace('.', '-')}",
        DocumentView,
        parameters=[ID, NUMBER, *extra],
    )
