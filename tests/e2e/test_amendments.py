"""The story of one agreement on the command line: changed, compared, told, ended."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import EXAMPLES, Installation

STORY = EXAMPLES / "story"

pytestmark = pytest.mark.parametrize("broker_settings", ["rabbitmq"], indirect=True, scope="session")


@pytest.fixture(scope="module")
def told(installation: Installation) -> dict[str, Any]:
    """Signed, amended once, and terminated."""
    agreement = json.loads((STORY / "1-submit.json").read_text())
    signed = installation.submitted({**agreement, "id": str(uuid.uuid4())}, "story.json")
    installation.json("amend", signed["id"], STORY / "2-needs.json")
    found: dict[str, Any] = installation.json(
        "terminate", signed["id"], STORY / "6-termination.json", ok=None
    )
    assert found["error"]["code"] == "after_the_end"  # the story extends the period first
    ending = installation.home / "ending.json"
    ending.write_text(json.dumps({"reason": "started_in_job", "date": "2037-04-30"}))
    ended: dict[str, Any] = installation.json("terminate", signed["id"], ending)
    return ended


def test_each_version_is_signed_by_whom_it_concerns(told: dict[str, Any]) -> None:
    assert [v["status"] for v in told["versions"]] == ["signed"] * 3
    last = {p["role"]: p["status"] for p in told["versions"][2]["parties"]}
    assert last == {"participant": "told", "employer": "told", "adviser": "signed", "decider": "told"}


def test_the_history_is_in_plain_norwegian(installation: Installation, told: dict[str, Any]) -> None:
    said = installation.signert("show", told["id"], "--history").stdout.replace("\N{NO-BREAK SPACE}", " ")
    assert "Versjon 2: signert" in said
    assert "endrer versjon 1" in said
    assert "Begrunnelse: Etter to uker i verkstedet" in said
    assert "  Tilrettelegging 2\n    + Behov: Får vondt av å sitte lenge i samme stilling." in said
    assert "Avtalen er avsluttet fra 30. april 2037: Begynt i arbeid" in said
    as_json = installation.json("show", told["id"], "--history")
    assert [v["change"] for v in as_json["versions"]] == [[], ["accommodation"], ["termination"]]


def test_two_versions_are_compared(installation: Installation, told: dict[str, Any]) -> None:
    said = installation.signert("diff", told["id"], "1", "2").stdout
    assert "  Tilrettelegging 3\n    + Behov: Lyset over symaskinen blender og gir hodepine.\n" in said
    assert installation.signert("diff", told["id"], "2", "2").stdout.strip() == "Versjonene sier det samme."
    backwards = installation.json("diff", told["id"], "2", "1")
    assert [c["after"] for c in backwards] == ["–", "–"]
    assert "has no version 9" in installation.signert("diff", told["id"], "1", "9", ok=3).stderr


def test_what_cannot_be_amended_is_said_before_it_is_sent(
    installation: Installation, told: dict[str, Any], tmp_path: Path
) -> None:
    refused = installation.signert("amend", told["id"], STORY / "2-needs.json", ok=3)
    assert "terminated" in refused.stderr
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    assert "examples/story" in installation.signert("amend", told["id"], broken, ok=3).stderr


def test_the_signed_documents_of_each_version_are_there(
    installation: Installation, told: dict[str, Any], tmp_path: Path
) -> None:
    for number in (1, 2, 3):
        target = tmp_path / f"{number}.pdf"
        installation.signert("fetch", told["id"], "--version", str(number), "-o", target)
        assert installation.json("verify", target)["indication"] == "TOTAL-PASSED"
