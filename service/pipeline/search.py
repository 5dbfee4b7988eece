"""Find agreements by what people know of them, newest first, a page at a time.

    page = search(store, Query(organisation="310360008", status=Status.SIGNING))
    while page.cursor:
        page = search(store, query, cursor=page.cursor)

The index (`domain.places`) says where to look: the shelf, or the few shelves, on which everything is of the kind that
is asked for. Their entries are in one order, so they are merged and read no further than the page goes, however many
agreements there are. What is told of a hit is read from its card, and held against the query once more: an entry that
a crash left behind is passed over.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import heapq
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from typing import Final, TypeVar

from service.domain.periods import OSLO
from service.domain.places import PLACE, Card, Found, kind_matches, place_of_time
from service.domain.ports import ObjectStore
from service.domain.summary import FIELDS, Query, Summary
from service.errors import NewerFormat, NotFound, QueryRefused
from service.pipeline.chain import read_chain
from service.pipeline.index import card_of, read_card

__all__ = ["MAX_LIMIT", "Page", "Query", "Summary", "search"]

MAX_LIMIT: Final = 500
_READERS: Final = 16
"""Requests at a time."""
_LOOKED_AT: Final = 2000
"""Entries that are looked at for one page. A page may be short, and its cursor leads on."""

_A = TypeVar("_A")
_B = TypeVar("_B")


@dataclass(frozen=True)
class Page:
    """Agreements, newest first. With a `cursor` there may be more, even when `items` is shorter than was asked for."""

    items: Sequence[Summary]
    cursor: str | None


def search(store: ObjectStore, query: Query, *, cursor: str | None = None, limit: int = 50) -> Page:
    """At most `limit` (1–500) agreements of which all is true that `query` says.

    A cursor is of one query only, and stays good: what comes meanwhile is newer than all that it leads to. Raises
    `QueryRefused`, and `StoreError` when the store does not answer.
    """
    _check(query)
    if not 1 <= limit <= MAX_LIMIT:
        raise QueryRefused(
            f"a page has between 1 and {MAX_LIMIT} agreements",
            code="bad_limit",
            remedy="Ask for fewer, and go on with the cursor.",
        )
    start = _read_cursor(query, cursor) if cursor is not None else _newest(query)
    with ThreadPoolExecutor(_READERS, thread_name_prefix="search") as pool:

        def together(ask: Callable[[_A], _B], of: Iterable[_A]) -> list[_B]:
            return list(pool.map(ask, of))

        entries = _entries(store, query, start, limit, together)
        items: list[Summary] = []
        looked_at, last = 0, start
        while chunk := list(islice(entries, limit + 1 - len(items))):
            cards = together(lambda found: _card(store, query, found), chunk)
            for found, card in zip(chunk, cards, strict=True):
                if len(items) == limit:
                    return Page(items, _cursor(query, last))
                last = found.place
                if card:
                    items.append(card.summary)
            looked_at += len(chunk)
            if looked_at >= _LOOKED_AT:
                return Page(items, _cursor(query, last))
    return Page(items, None)


def _check(query: Query) -> None:
    for name, (form, remedy) in FIELDS.items():
        value = getattr(query, name)
        if value is not None and not form.fullmatch(value):
            raise QueryRefused(
                f"{name} is not of its kind", code="bad_query", remedy=remedy, detail={"field": name}
            )


# --- entries ----------------------------------------------------------------------------------------------


def _entries(
    store: ObjectStore,
    query: Query,
    start: str,
    limit: int,
    together: Callable[[Callable[[str], list[str]], list[str]], list[list[str]]],
) -> Iterator[Found]:
    """What stands on the query's shelves after `start`, each agreement once, in the order of places."""
    most = limit + 1
    oldest = place_of_time(_midnight(query.opened_from)) if query.opened_from else None

    def first(shelf: str) -> list[str]:
        return list(store.list(f"{shelf}/", after=f"{shelf}/{start}", limit=most))

    def whole(shelf: str, begun: list[str]) -> Iterator[Found]:
        while True:
            for key in begun:
                found = Found.parse(key)
                if found and oldest and found.time > oldest:
                    return
                if found:
                    yield found
            if len(begun) < most:
                return
            begun = list(store.list(f"{shelf}/", after=begun[-1], limit=most))

    shelves = _shelves(store, query)
    each = [whole(shelf, begun) for shelf, begun in zip(shelves, together(first, shelves), strict=True)]
    before = ""
    for found in heapq.merge(*each, key=lambda found: (found.place, -(found.seq or 0))):
        if found.place != before:
            yield found
        before = found.place


def _shelves(store: ObjectStore, query: Query) -> list[str]:
    """The shelves on which what is asked for stands: the fewest entries that are none of it."""
    if query.party:
        return [f"index/party/{query.party}"]
    if query.reference:
        systems = [query.case_system] if query.case_system else list(store.folders("index/case/"))
        return [f"index/case/{system}/{query.reference}" for system in systems]
    if query.organisation:
        root = f"index/organisation/{query.organisation}"
    elif query.case_system or query.template or query.status:
        root = "index/kind"
    else:
        return ["index/all"]
    return [f"{root}/{kind}" for kind in store.folders(f"{root}/") if kind_matches(query, kind)]


def _card(store: ObjectStore, query: Query, found: Found) -> Card | None:
    """What is to be told of the agreement; None when it is not, or no longer, what is asked for."""
    card = read_card(store, found.agreement_id)
    if card is None or (found.seq or 0) > card.status_seq:  # the card is about to be written
        try:
            card = card_of(store, None, read_chain(store, found.agreement_id).agreement, card)
        except NotFound:
            return None
        except NewerFormat:  # of a release that is being rolled out: what was known before is told
            if card is None:
                return None
    return card if _matches(query, card) else None


def _matches(query: Query, card: Card) -> bool:
    told = card.summary
    return (
        query.case_system in {None, told.case_system}
        and query.reference in {None, told.reference}
        and query.template in {None, told.template}
        and query.status in {None, told.status}
        and (query.organisation is None or query.organisation in card.organisations)
        and (query.party is None or query.party in card.parties)
    )


# --- where a page begins ----------------------------------------------------------------------------------


def _newest(query: Query) -> str:
    """The place before the first that the query means."""
    if query.opened_to is None:
        return ""
    return place_of_time(_midnight(query.opened_to + timedelta(days=1)) - timedelta(milliseconds=1))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), OSLO).astimezone(UTC)


_MARK: Final = 6


def _mark(query: Query) -> bytes:
    said = json.dumps(asdict(query), sort_keys=True, default=str)
    return hashlib.sha256(said.encode()).digest()[:_MARK]


_AFTER: Final = "-99999999"
"""After every entry of one place, whatever its `seq`."""


def _cursor(query: Query, place: str) -> str:
    return base64.urlsafe_b64encode(_mark(query) + place.encode()).decode().rstrip("=")


def _read_cursor(query: Query, cursor: str) -> str:
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        mark, place = raw[:_MARK], raw[_MARK:].decode("ascii")
    except (ValueError, binascii.Error):
        mark, place = b"", ""
    if mark != _mark(query) or not re.fullmatch(PLACE, place):
        raise QueryRefused(
            "the cursor is not one that this search gave",
            code="bad_cursor",
            remedy="Begin anew without a cursor, and ask the same question with the cursor that the answer gives.",
        )
    return place + _AFTER
