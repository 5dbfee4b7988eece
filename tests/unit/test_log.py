"""The log's canonical bytes and its chain."""

from __future__ import annotations

import dataclasses

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from service.domain.log import Entry, Occurrence, canonical, check_chain, following
from service.errors import LogCorrupt

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(max_codepoint=127)), inner),
)


@pytest.mark.thorough
@given(JSON)
def test_canonical_bytes_are_those_of_rfc_8785(value: object) -> None:
    assert canonical(value) == rfc8785.dumps(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [1.5, float("nan"), 2**53, {"å": 1}, {1: 2}, b"x", {"a": [object()]}])
def test_what_has_no_single_text_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="canonical JSON"):
        canonical(value)


def chain(length: int) -> list[Entry]:
    entries = [Entry("a-1", 0, None, "e0", "2026-01-05T09:00:00.000Z", "submitted", 1, {"n": 0})]
    for number in range(1, length):
        entries.append(
            following(
                entries[-1],
                id=f"e{number}",
                at="2026-01-05T09:00:01.000Z",
                type="rendered",
                version=1,
                data={"n": number},
                occurrences=[Occurrence("agreement.rendered", {"sha256": "00"})],
            )
        )
    return entries


def test_an_entry_survives_its_bytes() -> None:
    for entry in chain(3):
        assert Entry.parse(entry.body) == entry


@given(st.integers(0, 400), st.integers(0, 255))
def test_no_byte_of_a_chain_can_be_changed_unseen(position: int, value: int) -> None:
    entries = chain(3)
    body = bytearray(entries[1].body)
    position %= len(body)
    if body[position] == value:
        return
    body[position] = value
    with pytest.raises(LogCorrupt):
        check_chain("a-1", [entries[0], Entry.parse(bytes(body)), entries[2]])


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"null", b"\xff", b'{"v":1}'])
def test_bytes_that_are_no_entry(body: bytes) -> None:
    with pytest.raises(LogCorrupt):
        Entry.parse(body)


def test_a_gap_a_swap_and_a_foreign_entry_break_the_chain() -> None:
    first, second, third = chain(3)
    check_chain("a-1", [first, second, third])
    for broken in (
        [first, third],
        [second],
        [first, third, second],
        [first, dataclasses.replace(second, agreement_id="b")],
    ):
        with pytest.raises(LogCorrupt):
            check_chain("a-1", broken)


def test_events_have_ids_that_stay_the_same() -> None:
    entry = chain(2)[1]
    (event,) = entry.cloud_events()
    assert event == Entry.parse(entry.body).cloud_events()[0]
    assert event["id"] == "a-1.00000001.0"
    assert event["data"] == {"agreement_id": "a-1", "version": 1, "sha256": "00"}
