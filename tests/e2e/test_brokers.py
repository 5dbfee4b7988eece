"""The same story on every broker."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.conftest import Installation

pytestmark = [pytest.mark.office, pytest.mark.broker, pytest.mark.pki]


def test_events_tell_the_story_without_personal_data(
    installation: Installation, signed: dict[str, Any], example: dict[str, Any]
) -> None:
    last = installation.event(lambda e: e["type"] == "agreement.signed" and e["subject"] == signed["id"])
    told = [e for e in installation.events if e["subject"] == signed["id"]]
    assert [e["type"] for e in told] == [
        "agreement.rendered",
        *["agreement.party-signed"] * 3,
        "agreement.signed",
    ]
    assert len({e["id"] for e in told}) == len(told)
    assert (installation.home / "store" / last["data"]["receipt"]["storage_key"]).exists()
    said = json.dumps(told) + installation.log.read_text()
    for party in example["parties"].values():
        for field in ("first_name", "last_name", "national_id", "phone", "email"):
            if field in party:
                assert party[field] not in said
