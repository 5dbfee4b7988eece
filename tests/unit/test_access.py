"""Who may see what, cell by cell: the table here is written out by hand, and every cell of it is asked for."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import product

import pytest

from service.domain.access import Resource, Sight, Situation, Standing, has_ended, sight

# w the whole, s the screened edition in its place, r the whole on request, - nothing
COLUMNS = (
    "agreement", "log", "screened", "export", "document", "rendered", "courtesy", "receipt", "report", "revision",
    "data", "scan",
)  # fmt: skip
OPEN = """
archivist      w w w w w w w w w w w w
case_system    w w w w w w w w w w w w
operator       w w - - - - - - - - - -
participant    w w w w w w w w w - - -
guardian       w w w w w w w w w - - -
adviser        w w w w w w w w w - w w
decider        w w w w w w w w w - w w
employer       w w w w w w w w w - - -
mentor         w w w w w w w w w - - -
organiser      w w w w w w w w w - - -
"""
PROTECTED = """
archivist      w w w w r r r r r r r r
case_system    w w w w w w w w w w w w
operator       w w - - - - - - - - - -
participant    w w w w w w w w w - - -
guardian       w w w w w w w w w - - -
adviser        w w w w w w w w w - w w
decider        w w w w w w w w w - w w
employer       w w w w s s - - - - - -
mentor         w w w w s s - - - - - -
organiser      w w w w s s - - - - - -
"""
SIGHTS = {"w": Sight.WHOLE, "r": Sight.ON_REQUEST, "s": Sight.SCREENED, "-": Sight.NONE}


def cells(table: str) -> dict[tuple[Standing, Resource], Sight]:
    found = {}
    for line in table.split("\n")[1:-1]:
        name, *marks = line.split()
        assert len(marks) == len(COLUMNS)
        for column, mark in zip(COLUMNS, marks, strict=True):
            found[Standing(name), Resource(column)] = SIGHTS[mark]
    return found


TABLES = {False: cells(OPEN), True: cells(PROTECTED)}
CELLS = list(product(Standing, Resource, (False, True)))


def test_the_tables_have_every_standing_and_every_resource() -> None:
    for table in TABLES.values():
        assert table.keys() == set(product(Standing, Resource))


@pytest.mark.parametrize(("standing", "resource", "protected"), CELLS)
def test_a_cell(standing: Standing, resource: Resource, protected: bool) -> None:
    assert (
        sight({standing}, resource, Situation(protected=protected)) is TABLES[protected][standing, resource]
    )


@pytest.mark.parametrize(("standing", "resource", "protected"), CELLS)
def test_whoever_has_lost_access_sees_nothing(
    standing: Standing, resource: Resource, protected: bool
) -> None:
    situation = Situation(protected=protected, ended=frozenset({standing}))
    assert sight({standing}, resource, situation) is Sight.NONE


@pytest.mark.parametrize(("standing", "resource", "protected"), CELLS)
def test_whoever_has_to_declare_first_sees_that_there_is_an_agreement(
    standing: Standing, resource: Resource, protected: bool
) -> None:
    situation = Situation(protected=protected, undeclared=frozenset({standing}))
    expected = TABLES[protected][standing, resource] if resource is Resource.AGREEMENT else Sight.NONE
    assert sight({standing}, resource, situation) is expected


@pytest.mark.parametrize("resource", Resource)
def test_nobody_sees_nothing(resource: Resource) -> None:
    assert sight((), resource, Situation()) is Sight.NONE


def test_who_is_two_parties_sees_what_either_may() -> None:
    both = {Standing.EMPLOYER, Standing.ADVISER}
    assert sight(both, Resource.DOCUMENT, Situation(protected=True)) is Sight.WHOLE
    ended = Situation(protected=True, ended=frozenset({Standing.ADVISER}))
    assert sight(both, Resource.DOCUMENT, ended) is Sight.SCREENED


LAST = date(2037, 5, 31)
ENDS = {Standing.EMPLOYER, Standing.MENTOR, Standing.ORGANISER}


@pytest.mark.parametrize("standing", Standing)
@pytest.mark.parametrize("days", [-1, 0, 83, 84, 85, 4000])
def test_access_ends_twelve_weeks_after_the_last_day(standing: Standing, days: int) -> None:
    ended = has_ended(standing, last_day=LAST, replaced=None, today=LAST + timedelta(days=days))
    assert ended is (standing in ENDS and days > 84)


@pytest.mark.parametrize("standing", Standing)
def test_who_was_replaced_keeps_access_for_twelve_weeks(standing: Standing) -> None:
    later = LAST + timedelta(days=4000)

    def ended(days: int) -> bool:
        return has_ended(standing, last_day=later, replaced=LAST, today=LAST + timedelta(days=days))

    assert not ended(84)
    assert ended(85) is (standing is not Standing.PARTICIPANT)


@pytest.mark.parametrize("standing", Standing)
def test_without_a_known_end_only_those_lose_access_who_would(standing: Standing) -> None:
    assert has_ended(standing, last_day=None, replaced=None, today=LAST) is (standing in ENDS)
