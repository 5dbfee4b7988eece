"""Whatever is sent, the answer names the fault, the message is kept, and the worker works on."""

from __future__ import annotations

import base64
import copy
import json
import pickle
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from tests.e2e.conftest import Installation

pytestmark = [pytest.mark.office, pytest.mark.broker, pytest.mark.pki]

SUBMIT = "signert.v1.submit"

Change = Callable[[dict[str, Any]], None]


def setting(path: str, value: object) -> Change:
    def change(agreement: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        place: Any = agreement
        for name in parents:
            place = place[int(name)] if name.isdigit() else place[name]
        place[last] = value

    return change


def dropping(path: str) -> Change:
    def change(agreement: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        place: Any = agreement
        for name in parents:
            place = place[name]
        del place[last]

    return change


def grant(amount: int) -> Change:
    def change(agreement: dict[str, Any]) -> None:
        agreement["measure"] = "inclusion_grant"
        line = {"amount": amount, "kind": "equipment"}
        agreement["inclusion_grant"] = {"lines": [line], "reason": "Tilpasset utstyr."}

    return change


BAD = {
    "missing": (dropping("parties.participant.last_name"), "agreement.parties.participant.last_name"),
    "unknown": (setting("position.salary", 1), "agreement.position.salary"),
    "type": (setting("position.title", 7), "agreement.position.title"),
    "identity number": (
        setting("parties.participant.national_id", "17849431020"),
        "agreement.parties.participant.national_id",
    ),
    "organisation number": (
        setting("parties.employer.organisation.number", "312300029"),
        "agreement.parties.employer.organisation.number",
    ),
    "dates reversed": (setting("period.end", "2036-11-01"), "agreement.period.end"),
    "over the ceiling": (grant(10_000_000), "agreement.inclusion_grant.lines"),
    "control character": (setting("position.tasks", "a\x00b"), "agreement.position.tasks"),
    "lone surrogate": (setting("position.tasks", "a\ud800b"), "agreement.position.tasks"),
    "too long": (setting("position.tasks", "x" * 1001), "agreement.position.tasks"),
    "template": (setting("template.name", "finnes-ikke"), "agreement.template"),
    "language": (setting("language", "tlh"), "agreement.language"),
}  # fmt: skip


def test_a_character_that_no_font_can_print(installation: Installation, example: dict[str, Any]) -> None:
    agreement = copy.deepcopy(example)
    agreement["position"]["title"] = "Baker \N{CUNEIFORM SIGN A}"
    payload = {"command_id": str(uuid.uuid4()), "agreement": agreement}
    installation.send_command(payload)
    event = installation.event(lambda e: e["data"].get("command_id") == payload["command_id"])
    assert event["data"]["code"] == "glyph_missing"
    assert [e["path"] for e in event["data"]["errors"]] == ["agreement.position.title"]


@pytest.fixture(autouse=True)
def worker_still_works(installation: Installation) -> Iterator[None]:
    """After each bad message the worker answers the next one."""
    yield
    probe = {"command_id": str(uuid.uuid4()), "agreement": {}}
    installation.send_command(probe)
    installation.event(lambda e: e["subject"] == probe["command_id"])


@pytest.mark.parametrize("name", BAD)
def test_a_command_that_breaks_a_rule(installation: Installation, example: dict[str, Any], name: str) -> None:
    change, path = BAD[name]
    agreement = copy.deepcopy(example)
    change(agreement)
    payload = {"command_id": str(uuid.uuid4()), "agreement": agreement}
    installation.send_command(payload)
    event = installation.event(lambda e: e["subject"] == payload["command_id"])
    assert event["type"] == "agreement.rejected"
    assert path in [e["path"] for e in event["data"]["errors"]]
    assert all(e["code"] and e["message"] for e in event["data"]["errors"])
    kept = json.loads((installation.home / "store" / event["data"]["quarantine"]).read_text())
    assert kept["message"] == payload


def test_the_same_command_twice_is_one_agreement(installation: Installation, example: dict[str, Any]) -> None:
    payload = {"command_id": str(uuid.uuid4()), "agreement": {**example, "id": str(uuid.uuid4())}}
    for _ in range(2):
        installation.send_command(payload)
    subject = payload["agreement"]["id"]
    installation.event(lambda e: e["type"] == "agreement.signed" and e["subject"] == subject)
    log = installation.home / "store/agreements" / subject / "log"
    types = [json.loads(p.read_bytes())["type"] for p in sorted(log.iterdir())]
    assert types.count("submitted") == types.count("signed") == 1

    payload["agreement"]["position"] = {**example["position"], "title": "Kokk"}
    installation.send_command(payload)
    event = installation.event(lambda e: e["subject"] == payload["command_id"])
    assert event["data"]["code"] == "command_id_reused"
    assert [e["path"] for e in event["data"]["errors"]] == ["command_id"]


@pytest.mark.parametrize(
    ("body", "headers", "content_type"),
    [
        ("this is no JSON", {"id": "1", "task": "signert.v1.submit"}, "application/json"),
        ("this is no JSON", {}, "application/json"),
        ('{"command": 1}', {"id": "2", "task": "signert.v1.submit"}, "application/json"),
        ("[[], {}, {}]", {"id": "3", "task": "signert.v1.unknown"}, "application/json"),
        ("[[], {}, {}]", {"id": "4", "task": "signert.v1.submit"}, "application/x-python-serialize"),
        (
            f'[[], {{"command": "{"x" * 20 * 1024 * 1024}"}}, {{}}]',
            {"id": "5", "task": "signert.v1.submit"},
            "application/json",
        ),
        (
            pickle.dumps([[], {"command": {}}, {}]),
            {"id": "6", "task": SUBMIT},
            "application/x-python-serialize",
        ),
        ('[[], {"command": {}}, ["x"]]', {"id": "7", "task": SUBMIT}, "application/json"),
        (
            '[[], {"command": {}}, {"callbacks": [{"task": "x", "args": [], "kwargs": {}, "options": {}}]}]',
            {"id": "8", "task": SUBMIT},
            "application/json",
        ),
        *(
            (
                '[[], {"command": {}}, {}]',
                {"id": f"9.{name}", "task": SUBMIT, name: value},
                "application/json",
            )
            for name, value in {
                "timelimit": "x",
                "eta": "2099-01-01T00:00:00+00:00",
                "expires": "2001-01-01T00:00:00+00:00",
                "shadow": "x",
                "retries": "many",
            }.items()
        ),
        (
            '[[], {"agreement_id": "../x", "run": "y"}, {}]',
            {"id": "10", "task": "signert.v1.drive"},
            "application/json",
        ),
    ],
    ids=lambda part: part.get("id", "none") if isinstance(part, dict) else "",
)
def test_a_message_that_is_no_command(
    installation: Installation, body: str | bytes, headers: dict[str, Any], content_type: str
) -> None:
    identity = str(uuid.uuid4())
    installation.send(body, headers={**headers, "marker": identity}, content_type=content_type)

    def kept(event: Mapping[str, Any]) -> Any:
        return json.loads((installation.home / "store" / event["data"]["quarantine"]).read_text())["message"]

    event = installation.event(lambda e: "quarantine" in e["data"] and identity in json.dumps(kept(e)))
    assert [e["path"] for e in event["data"]["errors"]] == ["$"]
    assert base64.b64decode(kept(event)["body_base64"]) == (
        body if isinstance(body, bytes) else body.encode()
    )


def test_arguments_that_are_no_command(installation: Installation) -> None:
    task_id = str(uuid.uuid4())
    body = json.dumps([[task_id], {}, {}])
    installation.send(body, headers={"id": task_id, "task": "signert.v1.submit"})
    event = installation.event(
        lambda e: "wrong_arguments" in [fault["code"] for fault in e["data"].get("errors", [])]
    )
    assert [e["path"] for e in event["data"]["errors"]] == ["$"]


def test_the_command_line_says_what_is_wrong_and_what_to_do(
    installation: Installation, example: dict[str, Any]
) -> None:
    path = installation.home / "bad.json"
    path.write_text("{")
    told = installation.signert("submit", path, ok=3).stderr
    assert "is not JSON (line 1, column 2)" in told
    assert "What to do:" in told
    bad = copy.deepcopy(example)
    del bad["position"]["title"]
    path.write_text(json.dumps(bad))
    told = installation.signert("submit", path, "--wait", ok=3).stderr
    assert "agreement.position.title" in told
    told = installation.signert("run", path, ok=3).stderr
    assert "agreement.position.title" in told
    error = installation.json("show", str(uuid.uuid4()), ok=3)["error"]
    assert error["code"] == "not_found"
    assert installation.signert("fetch", ok=64).stderr
