"""What a later release has written is refused in so many words, not guessed at, and nothing falls over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from click.testing import CliRunner

from service.adapters.directory import DirectoryStore
from service.domain.folding import fold
from service.domain.log import Entry, canonical, following
from service.entrypoints.cli import cli
from service.errors import NewerFormat, StoreError
from service.pipeline.intake import Claim
from service.pipeline.work import Marker, marker_key

ID, RUN = "5f0c7f0a-91d4-4b53-8d0e-6a1b2c3d4e5f", "1d7a4a0e-5c1b-4f8e-8b7d-2f6c9e3a1b42"
FIRST = Entry(
    ID, 0, None, RUN, "2026-12-01T09:00:00.000Z", "submitted", 1,
    {
        "case": {"system": "tiltak", "reference": "1"}, "command_id": RUN, "payload_sha256": "0" * 64,
        "input_sha256": "0" * 64, "language": "nb", "parties": [],
        "template": {"name": "tilretteleggingsavtale", "version": "1.0.0"},
    },
)  # fmt: skip
LATER = following(FIRST, id=ID, at="2026-12-01T09:00:01.000Z", type="notarised", version=1, data={})


def newer(entry: Entry, **changes: Any) -> bytes:
    return canonical({**json.loads(entry.body), "v": 2, **changes})


def test_a_log_entry_of_a_later_format() -> None:
    for body in (newer(FIRST), newer(FIRST, signed_by="x"), canonical({"v": 2, "entry": "another shape"})):
        with pytest.raises(NewerFormat, match="format 2; this release knows 1") as refused:
            Entry.parse(body)
        assert "release" in refused.value.remedy


def test_a_log_entry_of_a_later_type() -> None:
    assert fold([FIRST]).id == ID
    with pytest.raises(NewerFormat, match="entry 1 is of a type that this release does not know"):
        fold([FIRST, LATER])


@pytest.mark.parametrize("body", [newer(LATER), LATER.body], ids=["format", "type"])
def test_people_are_told(tmp_path: Path, body: bytes) -> None:
    store = DirectoryStore(tmp_path / "store")
    store.create(FIRST.key, FIRST.body)
    store.create(LATER.key, body)
    for command in (["show", ID], ["show", ID, "--history"], ["verify", "--help"]):
        done = CliRunner().invoke(cli, command, env={"SIGNERT_HOME": str(tmp_path)})
        assert isinstance(done.exception, NewerFormat | None)
    checked = CliRunner().invoke(cli, ["fsck", "--no-signatures"], env={"SIGNERT_HOME": str(tmp_path)})
    assert checked.exit_code == 3
    assert "release" in checked.output


def test_a_marker_of_a_later_format_is_not_to_be_deleted() -> None:
    body = canonical({"v": 2, "anything": "else"})
    with pytest.raises(StoreError, match="format 2; this release knows 1") as refused:
        Marker.parse(marker_key(ID, RUN), body)
    assert refused.value.code == "newer_format"
    assert "Delete" not in refused.value.remedy


def test_a_claim_with_more_than_is_known() -> None:
    claim = Claim("submit", RUN, "0" * 64, ID, "1" * 64, None)
    body = {**vars(claim), "priority": "high"}
    assert Claim.parse(rfc8785.dumps(vars(claim))) == claim
    with pytest.raises(NewerFormat, match="priority"):
        Claim.parse(rfc8785.dumps(body))


def test_the_first_forms_are_read() -> None:
    claim = Claim.parse(
        rfc8785.dumps(
            {
                "command": "submit", "command_id": RUN, "payload_sha256": "0" * 64, "agreement_id": ID,
                "input_sha256": "1" * 64,
            }
        )
    )  # fmt: skip
    assert (claim.values_sha256, claim.producer) == ("1" * 64, None)
    created = "2026-12-01T09:00:00.000Z"
    marker = Marker.parse(
        marker_key(ID, RUN), canonical({"v": 1, "since": 2, "created": created, "parked": None})
    )
    assert (marker.since, marker.touched, marker.handed_on) == (2, created, 0)
