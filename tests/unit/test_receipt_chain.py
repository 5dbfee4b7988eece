"""The receipts that a receipt names."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from service.domain.log import canonical
from service.pipeline.checks import Check
from service.pipeline.receipt_chain import Named, ReceiptFile
from signing import TrustStore

ID = "194577ef-babb-542c-9bb7-2a98459326f1"


def versions(count: int) -> list[dict[str, Any]]:
    """Receipts of as many versions, each of which names the one before."""
    found: list[dict[str, Any]] = []
    for number in range(1, count + 1):
        before = found[-1] if found else None
        named = before and {
            "version": number - 1,
            "sha256": before["document"]["sha256"],
            "receipt_sha256": hashlib.sha256(canonical(before)).hexdigest(),
        }
        document = hashlib.sha256(str(number).encode()).hexdigest()
        found.append(
            {
                "agreement": {"id": ID, "version": number},
                "document": {"sha256": document},
                "supersedes": named,
            }
        )
    return found


def checked(
    receipts: list[dict[str, Any]], find: Callable[[str, str, str], bytes | None] | None = None
) -> list[Check]:
    beside = [] if find else [ReceiptFile(canonical(receipt)) for receipt in receipts[:-1]]
    return list(Named(beside, find, TrustStore(()), None).versions(receipts[-1]))


def test_the_chain_is_followed_to_the_first() -> None:
    found = checked(versions(4))
    assert [c.outcome for c in found] == ["holds"] * 4
    assert "er avtalens første" in found[-1].text


def test_a_chain_that_is_too_long_says_where_it_was_left() -> None:
    *held, last = checked(versions(1_002))
    assert {c.outcome for c in held} == {"holds"}
    assert last.outcome == "not-checked"
    assert "før versjon 2 " in last.text


@pytest.mark.parametrize(
    ("stored", "outcome"),
    [
        (lambda body: body, "holds"),
        (lambda body: body + b" ", "does-not-hold"),
        (lambda _: b"{", "does-not-hold"),
        (lambda _: None, "not-checked"),
    ],
)
def test_what_a_store_has_under_the_name_is_held_to_it(
    stored: Callable[[bytes], bytes | None], outcome: str
) -> None:
    receipts = versions(2)

    def find(agreement_id: str, sha256: str, extension: str) -> bytes | None:
        assert (agreement_id, extension) == (ID, "json")
        assert sha256 == hashlib.sha256(canonical(receipts[0])).hexdigest()
        return stored(canonical(receipts[0]))

    assert checked(receipts, find)[0].outcome == outcome
