"""A refused message, from the first look at it until its agreement is signed."""

from __future__ import annotations

import copy
import json
import uuid
from collections.abc import Mapping
from typing import Any

import pytest

from tests.e2e.conftest import EXAMPLES, Installation

pytestmark = [
    pytest.mark.office,
    pytest.mark.broker,
    pytest.mark.pki,
    pytest.mark.parametrize("broker_settings", ["rabbitmq"], indirect=True, scope="session"),
]

MINIMAL = json.loads((EXAMPLES / "minimal.json").read_text())


def kept(installation: Installation, identity: str) -> dict[str, Any]:
    """The message's line in the list."""
    listed = installation.json("quarantine", "list", "--limit", "10000")
    assert listed["total"] == sum(listed["by_code"].values())
    (found,) = [m for m in listed["messages"] if m["id"] == identity]
    return dict(found)


def quarantined(event: Mapping[str, Any]) -> str:
    """The id of the message that the event answers."""
    return str(event["data"]["quarantine"]).removeprefix("quarantine/").removesuffix(".json")


def signed(installation: Installation, identity: str) -> str:
    """Wait until the agreement of the message that was sent again is signed; returns the agreement's id."""

    def taken_in(event: Mapping[str, Any]) -> bool:
        return event["type"] == "agreement.signed" and any(
            event["subject"] == r["agreement_id"] for r in kept(installation, identity)["resubmitted"]
        )

    return str(installation.event(taken_in)["subject"])


def test_a_refused_command_is_corrected_sent_again_and_signed(installation: Installation) -> None:
    agreement = copy.deepcopy(MINIMAL)
    del agreement["position"]["title"]
    payload = {"command_id": str(uuid.uuid4()), "agreement": agreement}
    installation.send_command(payload)
    identity = quarantined(installation.event(lambda e: e["subject"] == payload["command_id"]))

    line = kept(installation, identity)
    assert (line["code"], line["task"], line["command_id"], line["resubmitted"]) == (
        "invalid", "submit", payload["command_id"], [],
    )  # fmt: skip
    text = installation.signert("quarantine", "list", "--limit", "10000").stdout
    assert identity[:12] in text
    assert " invalid" in text.splitlines()[-1]

    told = installation.signert("quarantine", "show", identity[:16]).stdout
    assert "agreement.position.title" in told
    name = agreement["parties"]["participant"]["last_name"]
    assert name not in told
    assert name in installation.signert("quarantine", "show", identity[:16], "--content").stdout

    path = installation.home / "corrected.json"
    path.write_text(json.dumps(MINIMAL))
    done = installation.json("quarantine", "resubmit", identity[:16], "--file", path)
    assert [(s["id"], s["command_id"]) for s in done["sent"]] == [(identity, payload["command_id"])]
    agreement_id = signed(installation, identity)
    assert installation.json("show", agreement_id)["versions"][0]["status"] == "signed"
    assert agreement_id in installation.signert("quarantine", "show", identity).stdout
    assert installation.json("fsck", agreement_id)["sound"]


def test_a_message_that_celery_could_not_read_is_sent_again_as_the_command_it_holds(
    installation: Installation,
) -> None:
    payload = {"command_id": str(uuid.uuid4()), "agreement": MINIMAL}
    marker = str(uuid.uuid4())
    body = json.dumps([[], {"command": payload}, {}])
    installation.send(body, headers={"task": "signert.v1.submit", "marker": marker})  # no id

    def ours(event: Mapping[str, Any]) -> bool:
        return "quarantine" in event["data"] and marker in (
            installation.home / "store" / event["data"]["quarantine"]
        ).read_text()  # fmt: skip

    identity = quarantined(installation.event(ours))
    shown = installation.json("quarantine", "show", identity)
    assert shown["headers"] == {"task": "signert.v1.submit", "marker": None}
    assert "message" not in shown
    done = installation.json("quarantine", "resubmit", identity)
    assert [s["command_id"] for s in done["sent"]] == [payload["command_id"]]
    signed(installation, identity)


def test_what_holds_no_command_is_not_sent_and_the_way_out_is_told(installation: Installation) -> None:
    marker = str(uuid.uuid4())
    installation.send(f"this is no JSON {marker}", headers={})
    event = installation.event(
        lambda e: (
            e["data"].get("code") == "malformed_message"
            and marker in installation.signert("quarantine", "show", quarantined(e), "--content").stdout
        )
    )
    done = installation.signert("quarantine", "resubmit", quarantined(event), ok=3)
    assert "not sent" in done.stderr
    assert "--file" in done.stderr
    assert kept(installation, quarantined(event))["resubmitted"] == []


def test_all_of_one_code_are_sent_again_once(installation: Installation) -> None:
    """Here in vain: what is wrong with them is not mended."""
    payload = {"command_id": str(uuid.uuid4()), "agreement": {**MINIMAL, "id": str(uuid.uuid4())}}
    installation.send_command(payload)
    installation.event(lambda e: e["subject"] == payload["agreement"]["id"])
    installation.send_command({**payload, "agreement": {**payload["agreement"], "language": "nn"}})
    event = installation.event(lambda e: e["subject"] == payload["command_id"])
    identity = quarantined(event)
    done = installation.json("quarantine", "resubmit", "--all", "--code", "command_id_reused")
    assert identity in [s["id"] for s in done["sent"]]
    assert [r["agreement_id"] for r in kept(installation, identity)["resubmitted"]] == [None]
    told = installation.signert("quarantine", "resubmit", "--all", "--code", "command_id_reused").stdout
    assert told.startswith("Nothing to send")


def test_an_id_that_nothing_has(installation: Installation) -> None:
    error = installation.json("quarantine", "show", "0" * 64, ok=3)["error"]
    assert error["code"] == "not_found"
