"""Agreements are found by what people know of them, newest first, whatever crashed on the way."""

from __future__ import annotations

import copy
import json
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from service.domain.agreement import Agreement, Status
from service.domain.folding import advance, fold
from service.domain.log import Draft
from service.domain.places import card_key
from service.domain.pseudonyms import Pseudonyms
from service.errors import ConfigurationError, QueryRefused, StoreError
from service.pipeline.index import index, read_card
from service.pipeline.intake import receive
from service.pipeline.reindex import reindex
from service.pipeline.search import Page, Query, Summary, search
from service.pipeline.services import Services
from tests.fakes import ManualClock, MemoryStore, without_tools

ROOT = Path(__file__).parents[2]
EXAMPLE = json.loads((ROOT / "examples/agreement.json").read_text())
PEOPLE = Pseudonyms(b"k" * 32)
PARTICIPANT = PEOPLE.of(EXAMPLE["parties"]["participant"]["national_id"])
ORGANISATION = EXAMPLE["parties"]["employer"]["organisation"]["number"]
OTHER_ORGANISATION = "310360023"


@dataclass
class Office:
    """Services without LibreOffice and keys, whose agreements are opened a day apart."""

    services: Services
    clock: ManualClock
    store: MemoryStore

    def open(
        self, *, organisation: str = ORGANISATION, case: str = "2036-1", system: str = "tiltak"
    ) -> Agreement:
        content = copy.deepcopy(EXAMPLE)
        content["case"] = {"system": system, "reference": case}
        content["parties"]["employer"]["organisation"]["number"] = organisation
        marker = receive(self.services, "submit", {"command_id": str(uuid.uuid4()), "agreement": content})
        agreement = fold(self.services.ledger.read(marker.agreement_id))
        self.index(agreement)
        self.services.workbook.end(marker)
        self.clock.advance(timedelta(days=1))
        return agreement

    def go_on(self, agreement: Agreement, entry_type: str = "cancelled") -> Agreement:
        """Append an entry, and nothing else."""
        draft = Draft(entry_type, {})
        return advance(agreement, self.services.ledger.append(agreement.id, agreement.head, draft, version=1))

    def index(self, agreement: Agreement, pseudonyms: Pseudonyms | None = PEOPLE) -> None:
        index(self.store, pseudonyms, agreement)

    def move(self, agreement: Agreement, entry_type: str = "cancelled") -> Agreement:
        moved = self.go_on(agreement, entry_type)
        self.index(moved)
        return moved

    def search(self, limit: int = 50, cursor: str | None = None, **query: Any) -> Page:
        return search(self.store, Query(**query), limit=limit, cursor=cursor)

    def ids(self, **query: Any) -> list[str]:
        return [found.agreement_id for found in self.search(**query).items]


@pytest.fixture
def office() -> Office:
    store, clock = MemoryStore(), ManualClock(datetime(2026, 3, 1, 22, 30, tzinfo=UTC))
    services = without_tools(store, clock, pseudonyms=PEOPLE)
    return Office(services, clock, store)


def test_a_summary_tells_what_a_list_shows(office: Office) -> None:
    agreement = office.open()
    office.move(agreement)
    assert office.search().items == [
        Summary(
            agreement_id=agreement.id,
            case_system="tiltak",
            reference="2036-1",
            organisation=ORGANISATION,
            template="tilretteleggingsavtale",
            template_version=agreement.current.template_version,
            status=Status.CANCELLED,
            versions=1,
            opened_at="2026-03-01T22:30:00.000Z",
            changed_at="2026-03-02T22:30:00.000Z",
            in_force=None,
            signed_at=None,
            ends=EXAMPLE["period"]["end"],
        )
    ]


def test_each_thing_that_may_be_asked_for_and_all_of_them_together(office: Office) -> None:
    first = office.open()
    second = office.open(organisation=OTHER_ORGANISATION, case="2036-2")
    third = office.open(case="2036-2", system="fagsystem")
    fourth = office.open(case="2036-2")
    fourth, first = office.move(fourth), office.move(first)

    assert office.ids() == [fourth.id, third.id, second.id, first.id]  # newest first, whatever changed last
    assert office.ids(case_system="tiltak") == [fourth.id, second.id, first.id]
    assert office.ids(case_system="tiltak", reference="2036-2") == [fourth.id, second.id]
    assert office.ids(reference="2036-2") == [fourth.id, third.id, second.id]
    assert office.ids(organisation=ORGANISATION) == [fourth.id, third.id, first.id]
    assert office.ids(organisation=ORGANISATION, status=Status.CANCELLED) == [fourth.id, first.id]
    assert office.ids(status=Status.SUBMITTED) == [third.id, second.id]
    assert office.ids(template="tilretteleggingsavtale", status=Status.CANCELLED) == [fourth.id, first.id]
    assert office.ids(template="taushetserklaering") == []
    assert office.ids(party=PARTICIPANT) == [fourth.id, third.id, second.id, first.id]
    assert office.ids(party=PARTICIPANT, organisation=OTHER_ORGANISATION) == [second.id]
    assert office.ids(party=PEOPLE.of("01010112345")) == []
    assert office.ids(
        party=PARTICIPANT, organisation=ORGANISATION, case_system="tiltak", reference="2036-2",
        template="tilretteleggingsavtale", status=Status.CANCELLED,
        opened_from=date(2026, 3, 1), opened_to=date(2026, 3, 31),
    ) == [fourth.id]  # fmt: skip


def test_days_are_days_in_norway_both_included(office: Office) -> None:
    # 22:30 UTC is 23:30 of the same day, until summer time: then it is half past midnight of the next.
    opened = {date(2026, 3, 1) + timedelta(days=n): office.open() for n in range(28)}
    late = [office.open() for _ in range(2)]
    day = date(2026, 3, 10)
    assert office.ids(opened_from=day, opened_to=day) == [opened[day].id]
    assert office.ids(opened_to=date(2026, 3, 2)) == [opened[date(2026, 3, n)].id for n in (2, 1)]
    assert office.ids(opened_from=date(2026, 3, 29)) == [late[1].id, late[0].id]
    assert office.ids(opened_from=date(2026, 3, 30), opened_to=date(2026, 3, 30)) == [late[0].id]
    assert office.ids(opened_from=day, opened_to=date(2026, 3, 9)) == []


@pytest.mark.parametrize("query", [{}, {"organisation": ORGANISATION}, {"status": Status.SUBMITTED}])
def test_pages_go_on_where_the_last_one_ended_though_the_list_changes(
    office: Office, query: dict[str, Any]
) -> None:
    opened = [office.open(system=("a", "b", "c")[n % 3]) for n in range(7)]
    page = office.search(limit=3, **query)
    seen = [found.agreement_id for found in page.items]
    office.open()  # newer than all that the cursor leads to
    while page.cursor:
        page = office.search(limit=3, cursor=page.cursor, **query)
        seen += [found.agreement_id for found in page.items]
    assert seen == [agreement.id for agreement in reversed(opened)]


def test_a_full_last_page_has_no_cursor(office: Office) -> None:
    for _ in range(3):
        office.open()
    assert office.search(limit=3).cursor is None
    assert office.search(limit=2).cursor is not None


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"organisation": "12345678"}, "bad_query"),
        ({"organisation": "../../etc"}, "bad_query"),
        ({"case_system": "A/b"}, "bad_query"),
        ({"reference": "../.."}, "bad_query"),
        ({"template": "x/y"}, "bad_query"),
        ({"party": "01010112345"}, "bad_query"),
        ({"limit": 0}, "bad_limit"),
        ({"limit": 501}, "bad_limit"),
        ({"cursor": ""}, "bad_cursor"),
        ({"cursor": "å"}, "bad_cursor"),
        ({"cursor": "AAAA"}, "bad_cursor"),
        ({"cursor": "A" * 100_000}, "bad_cursor"),
    ],
)
def test_what_cannot_be_looked_for_is_refused_with_a_way_out(
    office: Office, query: dict[str, Any], code: str
) -> None:
    office.open()
    with pytest.raises(QueryRefused) as caught:
        office.search(**query)
    assert caught.value.code == code
    assert caught.value.remedy
    for value in query.values():
        assert str(value) not in caught.value.message or value in {0, 501, ""}


def test_a_cursor_is_of_one_query_only(office: Office) -> None:
    for _ in range(3):
        office.open()
    cursor = office.search(limit=1, organisation=ORGANISATION).cursor
    assert cursor
    with pytest.raises(QueryRefused):
        office.search(limit=1, cursor=cursor)
    with pytest.raises(QueryRefused):
        office.search(limit=1, organisation=ORGANISATION, cursor=cursor[:-1])
    assert len(office.search(limit=2, organisation=ORGANISATION, cursor=cursor).items) == 2


def test_what_the_index_holds_tells_nobody_who_a_person_is(office: Office) -> None:
    office.open()
    told = " ".join(
        [*office.store.list("index/"), *(office.store.get(k).decode() for k in office.store.list("index/"))]
    )
    for party in EXAMPLE["parties"].values():
        for name in ("first_name", "last_name", "national_id", "phone", "email", "ident"):
            assert str(party.get(name, "\0")) not in told
    assert PARTICIPANT in told
    assert Pseudonyms(b"l" * 32).of(EXAMPLE["parties"]["participant"]["national_id"]) != PARTICIPANT


def test_an_agreement_that_is_indexed_costs_one_read(office: Office) -> None:
    agreement = office.open()
    before = dict(office.store.objects)
    counting = Counting(office.store)
    index(counting, PEOPLE, agreement)
    assert counting.asked == ["get"]
    index(counting, PEOPLE, office.go_on(agreement))
    assert counting.asked.count("create") == 2  # its kind, and its organisation's
    assert counting.asked.count("delete") == 2
    assert counting.asked.count("put") == 1
    assert len(office.store.objects) == len(before) + 1  # the entry of the log


# --- crashes, and workers that overtake one another ---------------------------------------------------------


class Counting(MemoryStore):
    """Another view of a store, which keeps what is asked of it and may fail at the n-th write."""

    def __init__(self, source: MemoryStore, fail_at: int = 0) -> None:
        super().__init__()
        self.objects = source.objects
        self.asked: list[str] = []
        self._left = fail_at

    def _write(self, what: str) -> None:
        self.asked.append(what)
        self._left -= 1
        if self._left == 0:
            raise StoreError("gone")

    def create(self, key: str, body: bytes, *, retain_until: datetime | None = None) -> None:
        self._write("create")
        super().create(key, body, retain_until=retain_until)

    def put(self, key: str, body: bytes) -> None:
        self._write("put")
        super().put(key, body)

    def delete(self, key: str) -> None:
        self._write("delete")
        super().delete(key)

    def get(self, key: str) -> bytes:
        self.asked.append("get")
        return super().get(key)


@pytest.mark.parametrize("at", range(1, 6))
def test_a_crash_between_any_two_writes_hides_nothing_and_is_mended(office: Office, at: int) -> None:
    agreement, other = office.open(), office.open()
    moved = office.go_on(agreement)
    with pytest.raises(StoreError):
        index(Counting(office.store, fail_at=at), PEOPLE, moved)
    assert office.ids() == [other.id, agreement.id]
    assert office.ids(organisation=ORGANISATION) == [other.id, agreement.id]
    found = office.ids(status=Status.CANCELLED) + office.ids(status=Status.SUBMITTED)
    assert set(found) == {agreement.id, other.id}
    office.index(moved)
    assert office.ids(status=Status.CANCELLED) == [agreement.id]
    assert sorted(office.store.list("index/")) == sorted(
        {k for a in (moved, other) for k in (*_card(office, a).keys, card_key(a.id))}
    )


def _card(office: Office, agreement: Agreement) -> Any:
    card = read_card(office.store, agreement.id)
    assert card
    return card


class Overtaken(MemoryStore):
    """Has another worker go on just before it writes the card."""

    def __init__(self, office: Office, agreement: Agreement) -> None:
        super().__init__()
        self.objects = office.store.objects
        self._meanwhile: list[Agreement] = [agreement]
        self._office = office

    def put(self, key: str, body: bytes) -> None:
        while self._meanwhile:
            self._office.move(self._meanwhile.pop(), "cancelled")
        super().put(key, body)


def test_a_slow_worker_does_not_have_the_last_word(office: Office) -> None:
    agreement = office.open()
    slower = office.go_on(agreement, "rejected")
    index(Overtaken(office, slower), PEOPLE, slower)
    (found,) = office.search().items
    assert found.status is Status.CANCELLED
    assert office.ids(status=Status.REJECTED) == []
    assert [key for key in office.store.list("index/kind/") if ".rejected/" in key] == []


def test_an_old_state_is_not_entered_over_a_newer_one(office: Office) -> None:
    agreement = office.open()
    office.move(agreement)
    office.index(agreement)
    assert office.ids(status=Status.CANCELLED) == [agreement.id]


# --- made anew ----------------------------------------------------------------------------------------------


def test_reindex_makes_the_index_anew_and_takes_away_what_leads_nowhere(office: Office) -> None:
    first, second, third = office.open(), office.open(), office.open()
    third = office.move(third)
    whole = {key: office.store.get(key) for key in office.store.list("index/")}
    left = {
        f"index/case/tiltak/2036-1/{first.id}",  # as an earlier release had it
        next(iter(sorted(office.store.list("index/all/")))).replace(third.id, str(uuid.uuid4())),
        next(k for k in office.store.list("index/kind/") if third.id in k).replace("cancelled", "signed"),
        card_key(str(uuid.uuid4())),
    }
    for key in left:
        office.store.put(key, b"")
    for key in whole:
        if first.id in key or (second.id in key and "/all/" in key):
            office.store.delete(key)
    lost = {key: body for key, body in office.store.objects.items() if key.startswith("index/")}

    rehearsed = reindex(office.store, PEOPLE, dry_run=True)
    assert {k: b for k, b in office.store.objects.items() if k.startswith("index/")} == lost
    seen = []
    done = reindex(office.store, PEOPLE, observe=lambda told: seen.append(replace(told)))
    assert (done.agreements, done.entered, done.removed) == (3, 2, 4)
    assert (rehearsed.agreements, rehearsed.entered, rehearsed.removed) == (3, 2, 4)
    assert {key: office.store.get(key) for key in office.store.list("index/")} == whole
    assert [told.agreements for told in seen][:3] == [1, 2, 3]
    again = reindex(office.store, PEOPLE)
    assert (again.entered, again.removed) == (0, 0)


def test_reindex_leaves_what_a_worker_is_writing(office: Office) -> None:
    agreement = office.open()
    office.services.workbook.begin(agreement.id, "run", since=0)
    early = next(iter(office.store.list("index/all/"))).replace("index/all", f"index/party/{'f' * 40}")
    office.store.put(early, b"")
    assert reindex(office.store, PEOPLE).removed == 0
    office.store.delete(f"work/{agreement.id}/run")
    assert reindex(office.store, PEOPLE).removed == 1


def test_with_another_key_people_are_known_by_other_names_after_a_reindex(office: Office) -> None:
    agreement = office.open()
    other = Pseudonyms(b"l" * 32)
    new_name = other.of(EXAMPLE["parties"]["participant"]["national_id"])
    reindex(office.store, other)
    assert office.ids(party=new_name) == [agreement.id]
    assert office.ids(party=PARTICIPANT) == []
    with pytest.raises(ConfigurationError, match="a key that is not set"):
        reindex(office.store, None)
    assert office.ids(party=new_name) == [agreement.id]


def test_a_worker_without_the_key_leaves_people_to_one_that_has_it(office: Office) -> None:
    agreement = office.open()
    moved = office.go_on(agreement)
    office.index(moved, None)
    assert office.ids(party=PARTICIPANT, status=Status.CANCELLED) == [agreement.id]


def test_a_log_that_does_not_hold_is_told_and_left(office: Office) -> None:
    agreement = office.open()
    before = list(office.store.list("index/"))
    office.store.put(agreement.head.key, b"{}")
    assert reindex(office.store, PEOPLE).unreadable == [agreement.id]
    assert list(office.store.list("index/")) == before
