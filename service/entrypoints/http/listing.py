"""Lists and searches, each reader among what it may see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from service.domain.access import Reader, ReaderRole
from service.domain.agreement import Status
from service.domain.summary import Query, Summary
from service.entrypoints.http.errors import HttpProblem
from service.entrypoints.http.representations import PREFIX
from service.entrypoints.http.site import current_reader, site, trace
from service.errors import FieldError, LogCorrupt, NotFound, QueryRefused
from service.pipeline.access_log import Outcome, Read
from service.pipeline.reading import view_of
from service.pipeline.search import Page, search

__all__ = ["agreements_page"]


def agreements_page(asked: Mapping[str, Any]) -> dict[str, Any]:
    """One page of what the reader may see of what is `asked` for. Raises `HttpProblem`."""
    here, reader = site(), current_reader()
    query = _query(asked)
    narrowed = _narrowed(query, reader)
    page = Page((), None)
    if narrowed is not None:
        try:
            page = search(here.ledger.store, narrowed, cursor=asked.get("cursor"), limit=asked["limit"])
        except QueryRefused as exc:
            raise _refused(exc) from None
    items = list(_visible(page.items, reader))
    filters = sorted(name for name in asked if name not in {"cursor", "limit"})
    here.access_log.record(
        reader,
        Read("agreements", Outcome.READ, detail={"filters": " ".join(filters), "found": len(items)}),
        trace=trace(),
    )
    return {"items": [_summary_json(item) for item in items], "cursor": page.cursor}


def _query(asked: Mapping[str, Any]) -> Query:
    def day(name: str) -> date | None:
        return date.fromisoformat(asked[name]) if name in asked else None

    return Query(
        case_system=asked.get("case_system"),
        reference=asked.get("case_reference"),
        organisation=asked.get("organisation"),
        template=asked.get("template"),
        status=Status(asked["status"]) if "status" in asked else None,
        opened_from=day("opened_from"),
        opened_to=day("opened_to"),
    )


def _narrowed(query: Query, reader: Reader) -> Query | None:
    """The query among what is the reader's own; None where that is nothing. Raises `HttpProblem`."""
    match reader.role:
        case ReaderRole.ARCHIVIST | ReaderRole.OPERATOR:
            return query
        case ReaderRole.CASE_SYSTEM:
            return _of_system(query, reader)
        case ReaderRole.PARTY:
            return _of_party(query, reader)


def _of_system(query: Query, reader: Reader) -> Query | None:
    if query.case_system is not None:
        return query if query.case_system in reader.case_systems else None
    if len(reader.case_systems) > 1:
        raise _say_which("case_system", "Name one of your own case systems.")
    return replace(query, case_system=next(iter(reader.case_systems)))


def _of_party(query: Query, reader: Reader) -> Query | None:
    """Persons by pseudonym, whoever acts for an organisation by its number, Nav's people by the case."""
    if query.organisation is not None and query.organisation in reader.organisations:
        return query
    if reader.national_id is not None:
        return replace(query, party=site().pseudonyms.of(reader.national_id))
    if query.organisation is None and reader.organisations:
        if len(reader.organisations) > 1:
            raise _say_which("organisation", "Name one of the organisations that you act for.")
        return replace(query, organisation=next(iter(reader.organisations)))
    if reader.ident is not None:
        if query.reference is None:
            raise _say_which("case_reference", "Name the case.")
        return query
    return None


def _visible(items: Sequence[Summary], reader: Reader) -> Iterator[Summary]:
    """The index is a hint, and knows all versions' parties: a party's hits are held against log and data."""
    here = site()
    now = here.clock.now()
    for item in items:
        if reader.role is not ReaderRole.PARTY:
            yield item
            continue
        try:
            view = view_of(here.ledger, here.agreements.find(item.agreement_id, now), reader, now)
        except (NotFound, LogCorrupt):
            continue
        if not view.is_empty:
            yield item


def _say_which(field: str, remedy: str) -> HttpProblem:
    fault = FieldError(field, "required", remedy)
    return HttpProblem(
        400, "invalid", "the query does not say whose agreements", remedy=remedy, errors=[fault]
    )


def _refused(exc: QueryRefused) -> HttpProblem:
    field = str(exc.detail.get("field", "cursor" if "cursor" in exc.code else ""))
    errors = [FieldError(field, exc.code, exc.remedy)] if field else []
    return HttpProblem(400, exc.code, exc.message, remedy=exc.remedy, errors=errors)


def _summary_json(item: Summary) -> dict[str, Any]:
    return {
        "id": item.agreement_id,
        "href": f"{PREFIX}/agreements/{item.agreement_id}",
        "case": {"system": item.case_system, "reference": item.reference},
        "organisation": item.organisation,
        "template": {"name": item.template, "version": item.template_version},
        "status": item.status,
        "versions": item.versions,
        "in_force": item.in_force,
        "opened_at": item.opened_at,
        "changed_at": item.changed_at,
        "signed_at": item.signed_at,
        "ends": item.ends,
    }
