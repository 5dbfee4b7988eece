"""Answers: JSON, documents, links, logs and exports. Each read is recorded before the answer is made."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Mapping
from datetime import timedelta
from typing import Any

from flask import Response, json, redirect, request

from service.domain.access import Resource, Sight
from service.domain.log import timestamp
from service.entrypoints.http.access import chosen, opened, record, refuse, seen_version
from service.entrypoints.http.errors import HttpProblem
from service.entrypoints.http.export import documents_in, export
from service.entrypoints.http.files import (
    Part,
    content_disposition,
    file_response,
    is_unchanged,
    wanted_part,
)
from service.entrypoints.http.site import site
from service.errors import NotFound
from service.pipeline.access_log import Outcome
from service.pipeline.reading import Document, Seen, View, whole

__all__ = ["document_response", "export_response", "json_response", "log_response", "opened_log"]


def json_response(value: object, what: str, view: View | None = None, seen: Seen | None = None) -> Response:
    """JSON with its ETag. What is of an agreement (`view`) is recorded first."""
    body = json.dumps(value, separators=(",", ":")).encode()
    sha256 = hashlib.sha256(body).hexdigest()
    unchanged = is_unchanged(sha256)
    if view is not None:
        record(view, what, Outcome.UNCHANGED if unchanged else Outcome.READ, seen)
    response = Response(status=304) if unchanged else Response(body, mimetype="application/json")
    response.set_etag(sha256)
    response.vary.add("Authorization")
    return response


def document_response(
    agreement_id: str, number: int, name: str, resource: Resource, asked: Mapping[str, Any]
) -> Response:
    what = resource.value
    view = opened(agreement_id, what)
    seen = seen_version(view, number, resource, what)
    document, on_request = chosen(view, seen, name, resource, asked.get("variant"))
    size = _size(document)
    more: dict[str, str | int | bool] = {"document": document.name, "whole_on_request": on_request}
    if is_unchanged(document.sha256):
        record(view, what, Outcome.UNCHANGED, seen, sha256=document.sha256, **more)
        response = Response(status=304)
        response.set_etag(document.sha256)
        return _noted(response, document)
    if "link" in asked:
        return _link(view, seen, document, what, asked["link"], more)
    part = wanted_part(size, document.sha256)
    if not part.is_whole:
        more |= {"start": part.start, "length": part.length}
    record(view, what, Outcome.READ, seen, sha256=document.sha256, method=request.method, **more)
    response = file_response(
        part,
        sha256=document.sha256,
        media_type=document.media_type,
        filename=document.filename,
        pieces=lambda wanted: _pieces(document, wanted),
    )
    return _noted(response, document)


def _size(document: Document) -> int:
    try:
        return document.size if document.size is not None else site().ledger.store.size(document.key)
    except NotFound:
        raise HttpProblem(
            404, "erased", "this document has been erased", remedy="The log says when, and by which rule."
        ) from None


def _pieces(document: Document, part: Part) -> Generator[bytes]:
    ledger = site().ledger
    if part.is_whole:
        return whole(ledger, document)
    return ledger.store.stream(document.key, start=part.start, length=part.length)


def _noted(response: Response, document: Document) -> Response:
    if document.note:
        response.headers["Signert-Note"] = document.note
    response.vary.add("Authorization")
    return response


def _link(
    view: View, seen: Seen, document: Document, what: str, form: str, more: Mapping[str, str | int | bool]
) -> Response:
    here = site()
    seconds = here.settings.http_link_seconds
    expires_at = timestamp(here.clock.now() + timedelta(seconds=seconds))
    address = (
        here.ledger.store.link(document.key, seconds=seconds, filename=document.filename) if seconds else None
    )
    if address is None:
        raise HttpProblem(
            409, "no_links", "this service gives no links into its store", remedy="Ask without link."
        )
    record(view, what, Outcome.LINKED, seen, sha256=document.sha256, seconds=seconds, **more)
    if form == "redirect":
        return _noted(redirect(address, 302), document)  # type: ignore[arg-type]
    told = {
        "url": address,
        "expires_at": expires_at,
        "sha256": document.sha256,
        "media_type": document.media_type,
    }
    return _noted(Response(json.dumps(told), mimetype="application/json"), document)


def opened_log(agreement_id: str) -> View:
    view = opened(agreement_id, "log")
    if not any(seen.sight(Resource.LOG) for seen in view.versions.values()):
        refuse(agreement_id, "log")
    return view


def log_response(view: View, body: bytes, media_type: str, filename: str) -> Response:
    sha256 = hashlib.sha256(body).hexdigest()
    unchanged = is_unchanged(sha256)
    record(view, "log", Outcome.UNCHANGED if unchanged else Outcome.READ)
    response = Response(status=304) if unchanged else Response(body, content_type=media_type)
    response.set_etag(sha256)
    if not unchanged:
        response.headers["Content-Disposition"] = content_disposition(filename)
    response.vary.add("Authorization")
    return response


def export_response(agreement_id: str, variant: str | None) -> Response:
    view = opened(agreement_id, "export")
    sights = [seen.sight(Resource.EXPORT) for seen in view.versions.values()]
    if not any(sights):
        refuse(agreement_id, "export")
    whole_asked = variant == "whole"
    documents = list(documents_in(view, whole_asked=whole_asked))
    on_request = any(seen.sight(d.resource) is Sight.ON_REQUEST for seen, d in documents)
    record(
        view,
        "export",
        Outcome.READ,
        documents=len(documents),
        whole_on_request=on_request,
        method=request.method,
    )
    response = Response(mimetype="application/zip")
    response.headers["Content-Disposition"] = content_disposition(f"{view.agreement.id}.zip")
    if request.method != "HEAD":
        body = export(site().ledger, view, whole_asked=whole_asked)
        response.response = body
        response.call_on_close(body.close)
    response.vary.add("Authorization")
    return response
