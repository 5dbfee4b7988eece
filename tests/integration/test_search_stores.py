"""Searches on real stores give what going through all agreements one by one gives."""

from __future__ import annotations

import random
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service.adapters.directory import DirectoryStore
from service.adapters.s3 import S3Store
from service.domain.agreement import Status
from service.domain.log import canonical, timestamp
from service.domain.places import Card, card_key
from service.domain.ports import ObjectStore
from service.domain.summary import Query, Summary
from service.pipeline.search import search
from tests.s3server import S3Server

START = datetime(2026, 12, 30, 23, 0, tzinfo=UTC)
STATUSES = (Status.SIGNED, Status.SIGNING)
PEOPLE = ("a" * 40, "b" * 40)


def cards() -> list[Card]:
    """A few a day over the turn of a year, two of them in the same millisecond."""
    chance = random.Random(11)
    found = []
    for number in range(24):
        opened = timestamp(START + timedelta(hours=7 * (number // 2 * 2)))
        organisation = f"31000000{number % 3}"
        told = Summary(
            agreement_id=str(uuid.UUID(int=chance.getrandbits(128), version=4)),
            case_system="tiltak-1" if number % 4 else "tiltak",  # one the beginning of the other
            reference="2036-1.a" if number % 5 else "2036-1",
            organisation=organisation,
            template="avtale",
            template_version="1.0.0",
            status=STATUSES[number % 2],
            versions=1,
            opened_at=opened,
            changed_at=opened,
        )
        parties = frozenset({PEOPLE[number % 2]})
        found.append(Card(3, 2, told, frozenset({organisation}), parties, 1, "0" * 16))
    return found


@pytest.fixture(scope="module", params=["directory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ObjectStore:
    found: ObjectStore
    if request.param == "directory":
        found = DirectoryStore(Path(tmp_path_factory.mktemp("search")))
    else:
        server: S3Server = request.getfixturevalue("s3_server")
        patch = pytest.MonkeyPatch()
        request.addfinalizer(patch.undo)
        for name, value in server.environ.items():
            patch.setenv(name, value)
        found = S3Store(server.PLAIN, f"search/{uuid.uuid4()}", endpoint=server.endpoint)
    for card in cards():
        for key in card.keys:
            found.create(key, b"")
        found.put(card_key(card.summary.agreement_id), canonical(card.as_json()))
    return found


@pytest.mark.parametrize(
    "query",
    [
        Query(),
        Query(case_system="tiltak"),
        Query(reference="2036-1"),
        Query(case_system="tiltak-1", reference="2036-1.a"),
        Query(organisation="310000001"),
        Query(organisation="310000001", status=Status.SIGNED),
        Query(status=Status.SIGNING),
        Query(template="avtale", case_system="tiltak-1", status=Status.SIGNED),
        Query(party="a" * 40),
        Query(template="annet"),
        Query(
            opened_from=datetime(2027, 1, 1, tzinfo=UTC).date(),
            opened_to=datetime(2027, 1, 4, tzinfo=UTC).date(),
        ),
    ],
    ids=str,
)
@pytest.mark.parametrize("limit", [5, 50])
def test_page_by_page_all_that_is_asked_for_and_no_more(store: ObjectStore, query: Query, limit: int) -> None:
    page = search(store, query, limit=limit)
    seen = list(page.items)
    while page.cursor:
        page = search(store, query, cursor=page.cursor, limit=limit)
        seen += page.items
    expected = [card.summary for card in cards() if _wanted(query, card)]
    assert [s.opened_at for s in seen] == sorted((s.opened_at for s in seen), reverse=True)
    assert sorted(seen, key=str) == sorted(expected, key=str)


def _wanted(query: Query, card: Card) -> bool:
    told = card.summary
    opened = datetime.fromisoformat(told.opened_at) + timedelta(hours=1)  # winter time
    return (
        query.case_system in {None, told.case_system}
        and query.reference in {None, told.reference}
        and query.organisation in {None, told.organisation}
        and query.template in {None, told.template}
        and query.status in {None, told.status}
        and (query.party is None or query.party in card.parties)
        and (query.opened_from is None or query.opened_from <= opened.date())
        and (query.opened_to is None or opened.date() <= query.opened_to)
    )
