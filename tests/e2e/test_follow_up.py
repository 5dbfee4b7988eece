"""`signert follow-up`: what is ahead in words, what is told by a worker, and what is recorded as done."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from service.domain.periods import norwegian_date
from tests.e2e.conftest import EXAMPLES, Installation, running_worker

pytestmark = [pytest.mark.office, pytest.mark.broker, pytest.mark.pki]

MINIMAL = json.loads((EXAMPLES / "minimal.json").read_text(encoding="utf-8"))
TODAY = norwegian_date(datetime.now(UTC))


def day(number: int) -> str:
    return (TODAY + timedelta(days=number)).isoformat()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A worker on the embedded broker, with the development PKI."""
    found = Installation(tmp_path_factory.mktemp("signert"))
    with running_worker(found):
        yield found


@pytest.fixture(scope="module")
def signed(service: Installation) -> dict[str, Any]:
    agreement = copy.deepcopy(MINIMAL)
    agreement["period"] = {"start": day(0), "end": day(200)}
    agreement["follow_up"] = {
        "meetings": [{"date": day(3), "topic": "Oppstart: pauser & støy"}],
        "commitments": [{"description": "Nav bestiller hørselvern.", "deadline": day(30)}],
        "evaluations": [{"date": day(100), "topic": "Midtveis"}],
    }
    return service.submitted(agreement)


def refused(service: Installation, *arguments: str | Path) -> str:
    done = service.signert("follow-up", *arguments, ok=3)
    assert done.stdout == ""
    return done.stderr


def test_what_is_ahead_is_listed_in_words_and_what_is_near_is_told(
    service: Installation, signed: dict[str, Any]
) -> None:
    assert [i["id"] for i in signed["due_next"]] == [
        f"meeting-{day(3)}", f"commitment-{day(30)}", f"evaluation-{day(100)}",
    ]  # fmt: skip
    told = service.event(lambda e: e["type"] == "agreement.follow-up-due")
    assert told["data"]["item"] == {"id": f"meeting-{day(3)}", "kind": "meeting", "date": day(3)}
    assert told["subject"] == signed["id"]
    text = service.signert("follow-up", signed["id"]).stdout
    assert f"{day(3)}  meeting     in 3 days, told" in text
    assert "Oppstart: pauser & støy" in text
    assert f"{day(30)}  commitment  in 30 days" in text
    shown = service.signert("show", signed["id"]).stdout
    assert f"Due next\n  {day(3)}  meeting     meeting-{day(3)}\n" in shown
    assert f"told as due: meeting-{day(3)}" in shown
    assert "Oppstart" not in shown


def test_what_is_done_is_recorded_without_a_new_version(
    service: Installation, signed: dict[str, Any]
) -> None:
    item = f"commitment-{day(30)}"
    found = service.json("follow-up", signed["id"], "--done", item, "--on", day(0), "--note", "Kom i posten.")
    (row,) = (i for i in found["items"] if i["id"] == item)
    assert (row["state"], row["done_on"], row["note"]) == (f"done on {day(0)}", day(0), "Kom i posten.")
    told = service.event(lambda e: e["type"] == "agreement.follow-up-done")
    assert told["data"]["item"]["id"] == item
    shown = service.json("show", signed["id"])
    assert [v["status"] for v in shown["versions"]] == ["signed"]
    assert item not in [i["id"] for i in shown["due_next"]]
    assert "already_done" in refused(service, signed["id"], "--done", item, "--on", day(0))
    assert service.signert("fsck", signed["id"]).returncode == 0


def test_what_cannot_be_recorded_says_why_and_the_way_out(
    service: Installation, signed: dict[str, Any]
) -> None:
    said = refused(service, signed["id"], "--done", f"meeting-{day(3)}", "--on", day(3))
    assert "date_in_future" in said
    assert "done_on: Send it on the day when it is done, or after." in said
    said = refused(service, signed["id"], "--done", f"meeting-{day(4)}", "--on", day(0))
    assert "no_such_item" in said
    assert service.signert("follow-up", signed["id"], "--on", day(0), ok=64).stdout == ""
