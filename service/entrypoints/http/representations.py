"""Agreements as JSON, as far as the reader may know of them. The shapes are described in `schemas/http.py`."""

from __future__ import annotations

from typing import Any

from service.domain.access import Resource, Sight
from service.domain.agreement import PartyStatus, Status
from service.domain.steps import end_of
from service.pipeline.reading import Document, Seen, View

__all__ = ["PREFIX", "agreement_json", "version_json"]

PREFIX = "/api/v1"


def agreement_json(view: View) -> dict[str, Any]:
    agreement = view.agreement
    in_force = agreement.in_force
    about = agreement.declares_for
    return {
        "id": agreement.id,
        "href": f"{PREFIX}/agreements/{agreement.id}",
        "case": {"system": agreement.case_system, "reference": agreement.case_reference},
        "declares_for": vars(about) if about else None,
        "in_force": in_force.number if in_force and in_force.number in view.versions else None,
        "log": {"seq": agreement.head.seq, "sha256": agreement.head.sha256},
        "versions": [version_json(view, seen) for seen in view.versions.values()],
    }


def version_json(view: View, seen: Seen) -> dict[str, Any]:
    version = seen.version
    return {
        "number": version.number,
        "status": version.status,
        "template": {"name": version.template, "version": version.template_version},
        "language": version.language,
        "supersedes": version.supersedes,
        "change": list(version.change),
        "opened_at": version.opened_at,
        "changed_at": version.changed_at,
        "signed_at": version.signed_at,
        "expires_at": end_of(version) if version.status is Status.SIGNING else None,
        "parties": [
            {
                "role": party.role,
                "order": party.order,
                "status": party.status,
                "method": party.method,
                "requested_at": party.requested_at,
                "deadline": party.deadline if party.status is PartyStatus.WAITING else None,
                "signed_at": party.signed_at,
                "signed_by": party.signed_by,
            }
            for party in sorted(version.parties, key=lambda p: (p.order, p.role))
        ],
        "reader_is": sorted(seen.standings),
        "documents": [
            _document_json(view, seen, document)
            for document in seen.documents.values()
            if _is_told_of(seen, document)
        ],
    }


def _is_told_of(seen: Seen, document: Document) -> bool:
    """Documents that would be given under their own name; what only a screened edition stands in for is not."""
    return seen.sight(document.resource) >= Sight.ON_REQUEST or (
        document.resource is Resource.SCREENED and seen.sight(Resource.SCREENED) > Sight.NONE
    )


def _document_json(view: View, seen: Seen, document: Document) -> dict[str, Any]:
    asked = "?variant=whole" if seen.sight(document.resource) is Sight.ON_REQUEST else ""
    root = f"{PREFIX}/agreements/{view.agreement.id}/versions/{seen.version.number}"
    return {
        "name": document.name,
        "href": f"{root}/{document.name}{asked}",
        "media_type": document.media_type,
        "sha256": document.sha256,
        "size": document.size,
        "note": document.note,
    }
