"""From a request to what its reader may see, with the access log in between.

What is not there and what may not be seen are refused alike: the same answer, and the same record.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NoReturn

from service.domain.access import Resource, Sight
from service.entrypoints.http.errors import HttpProblem
from service.entrypoints.http.site import current_reader, site, trace
from service.errors import NotFound
from service.pipeline.access_log import Outcome, Read
from service.pipeline.reading import Document, Seen, View, parse_id, view_of

__all__ = ["chosen", "opened", "record", "refuse", "seen_version"]


def opened(agreement_id: str, what: str) -> View:
    """The agreement as the reader may see it. `what` is what is asked for, for the access log. Raises `HttpProblem`."""
    here, reader = site(), current_reader()
    now = here.clock.now()
    try:
        view = view_of(here.ledger, here.agreements.find(agreement_id, now), reader, now)
    except NotFound:
        refuse(agreement_id, what)
    if view.is_empty:
        refuse(agreement_id, what)
    return view


def seen_version(view: View, number: int, resource: Resource, what: str) -> Seen:
    """The version, if the reader may see anything at all of `resource` there. Raises `HttpProblem`."""
    seen = view.versions.get(number)
    if seen is None or seen.sight(resource) is Sight.NONE:
        refuse(view.agreement.id, what, number)
    return seen


def chosen(
    view: View, seen: Seen, name: str, resource: Resource, variant: str | None
) -> tuple[Document, bool]:
    """The document to give for `name`, and whether the reader asked for the whole in so many words.

    Raises `HttpProblem` where there is none (yet), and where the reader has to say more.
    """
    sight = seen.sight(resource)
    asked = variant == "whole" and sight is Sight.ON_REQUEST
    if variant == "whole" and sight < Sight.ON_REQUEST:
        refuse(view.agreement.id, name, seen.version.number)
    whole = asked or (sight is Sight.WHOLE and variant != "screened")
    wanted = name if whole else "screened"
    document = seen.documents.get(wanted)
    if document is None or (
        not whole and resource not in {Resource.DOCUMENT, Resource.RENDERED, Resource.SCREENED}
    ):
        raise _missing(seen, name, screened=not whole, may_ask=sight is Sight.ON_REQUEST)
    return document, asked


def _missing(seen: Seen, name: str, *, screened: bool, may_ask: bool) -> HttpProblem:
    version = seen.version
    if not screened:
        return HttpProblem(
            404,
            "no_such_document",
            f"version {version.number} has no '{name}': it is {version.status}",
            remedy="The version's documents are listed with it; half-signed ones are its revisions.",
        )
    return HttpProblem(
        404,
        "no_screened_edition",
        f"of '{name}' there is no edition without what tells who the participant is",
        remedy="Ask for variant=whole; that is recorded."
        if may_ask
        else "Turn to the Nav unit that follows up.",
    )


def record(view: View, what: str, outcome: str, seen: Seen | None = None, **more: str | int | bool) -> None:
    """Write it in the access log, before anything is answered. Raises `AccessNotRecorded`."""
    read = Read(
        what,
        outcome,
        agreement_id=view.agreement.id,
        version=seen.version.number if seen else None,
        standings=seen.standings if seen else {s for each in view.versions.values() for s in each.standings},
    )
    sha256 = more.pop("sha256", None)
    read = replace(read, sha256=sha256 if isinstance(sha256, str) else None, detail=more)
    site().access_log.record(current_reader(), read, trace=trace())


def refuse(agreement_id: str, what: str, version: int | None = None) -> NoReturn:
    """Record the refusal, and raise the one 404."""
    try:
        asked = parse_id(agreement_id)
    except NotFound:
        asked = None  # whatever was sent in its place may be anything
    number = version if version is not None and version < 2**31 else None
    read = Read(what, Outcome.REFUSED, agreement_id=asked, version=number)
    site().access_log.record(current_reader(), read, trace=trace())
    raise NotFound("refused")
