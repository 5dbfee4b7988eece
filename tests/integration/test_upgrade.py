"""Stores that earlier versions wrote (tests/fixtures/stores) are read, verified and driven on by this one."""

from __future__ import annotations

import json
import tarfile
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from service.bootstrap import event_file, open_services
from service.config import load_settings
from service.entrypoints.cli import cli
from service.entrypoints.cli.shared import OneProcess
from service.errors import CommandRejected
from service.pipeline.intake import receive
from service.pipeline.sweep import sweep

pytestmark = [pytest.mark.office, pytest.mark.pki]

STORES = Path(__file__).parents[1] / "fixtures/stores"
EXAMPLES = Path(__file__).parents[2] / "examples/story"
FINISHED, HALF_WAY = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"

BEFORE_MEASURES = ("1-main-job", "2-nothing-lost")
"""Their agreements lack a section that has since become necessary."""
AMENDMENT = json.loads((EXAMPLES / "5-contact.json").read_text())
TERMINATION = json.loads((EXAMPLES / "6-termination.json").read_text())


class Upgraded:
    """An earlier version's store, with the release at hand."""

    def __init__(self, name: str, home: Path) -> None:
        self.name = name
        self.home = home
        self.environ = {"SIGNERT_HOME": str(home), "NO_COLOR": "1"}

    def signert(self, *arguments: str, ok: int = 0) -> str:
        done = CliRunner().invoke(cli, arguments, env=self.environ)
        assert done.exit_code == ok, f"{arguments}: {done.output}{done.exception!r}"
        return done.output

    def shown(self, agreement_id: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.signert("show", agreement_id, "--json"))["versions"]
        return found


@pytest.fixture(
    scope="module", params=sorted(p.name.removesuffix(".tar.xz") for p in STORES.glob("*.tar.xz"))
)
def upgraded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upgraded]:
    home = tmp_path_factory.mktemp(request.param)
    with tarfile.open(STORES / f"{request.param}.tar.xz") as packed:
        packed.extractall(home)
    (home / "devpki").chmod(0o700)
    yield Upgraded(request.param, home)


def test_there_are_stores_of_earlier_versions() -> None:
    assert len(list(STORES.glob("*.tar.xz"))) >= 4


def test_what_was_signed_is_read_verified_and_taken_out(upgraded: Upgraded, tmp_path: Path) -> None:
    (version,) = upgraded.shown(FINISHED)
    assert version["status"] == "signed"
    assert upgraded.signert("show", FINISHED, "--history")
    for what in ("signed", "receipt-pdf"):
        document = tmp_path / f"{what}.pdf"
        upgraded.signert("fetch", FINISHED, "--what", what, "-o", str(document))
        assert "TOTAL-PASSED" in upgraded.signert("verify", str(document))
    upgraded.signert("reindex")
    assert FINISHED in upgraded.signert("find", "--status", "signed", "--json")
    upgraded.signert("export", FINISHED, "--output", str(tmp_path / "packages"))
    assert list((tmp_path / "packages").iterdir())


def test_work_goes_on_where_it_was(upgraded: Upgraded) -> None:
    """What was half-way ends with its receipt; what had ended is amended, and ends again. Then all is sound."""
    ends = datetime.fromisoformat(
        json.loads((upgraded.home / "devpki/devpki.json").read_text())["valid_until"]
    )
    if datetime.now(UTC) > ends:
        pytest.skip(f"the keys of this store were good until {ends:%Y-%m-%d}: nothing can be signed by them")
    settings = load_settings({**upgraded.environ, "SIGNERT_APPROVAL": "command"})
    process = OneProcess()
    with open_services(settings, publisher=event_file(settings), hand_over=process) as services:

        def send(command: str, agreement_id: str, **values: Any) -> None:
            payload = {"command_id": str(uuid.uuid4()), "agreement_id": agreement_id, **values}
            process.drive_all(services, receive(services, command, payload), lambda _: None)

        def all_sign(agreement_id: str) -> None:
            while (version := upgraded.shown(agreement_id)[-1])["status"] != "signed":
                role = next(p["role"] for p in version["parties"] if p["status"] == "waiting")
                send("sign", agreement_id, version=version["number"], role=role)

        assert [v["status"] for v in upgraded.shown(HALF_WAY)] != ["signed"]
        assert "failed" not in {swept.what for swept in sweep(services, everything=True)}
        all_sign(HALF_WAY)
        if upgraded.name in BEFORE_MEASURES:  # it is told which, and may come to its end without
            with pytest.raises(CommandRejected, match=r"patch\.temporary_wage_subsidy"):
                send("amend", FINISHED, version=1, **AMENDMENT)
            send("terminate", FINISHED, version=1, **TERMINATION)
        else:
            send("amend", FINISHED, version=1, **AMENDMENT)
        all_sign(FINISHED)
    assert len(upgraded.shown(FINISHED)) == 2
    upgraded.signert("reindex")
    upgraded.signert("fsck")
