"""`signert find`, `versions` and `reindex`, as they are typed."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.adapters.directory import DirectoryStore
from service.adapters.templates import Catalogue
from service.bootstrap import open_pseudonyms, system_clock
from service.config import load_settings
from service.domain.agreement import Agreement
from service.domain.folding import fold
from service.pipeline.index import index
from service.pipeline.intake import receive
from service.pipeline.services import Services
from tests.fakes import EventList

ROOT = Path(__file__).parents[2]
EXAMPLE = json.loads((ROOT / "examples/agreement.json").read_text())
NATIONAL_ID = EXAMPLE["parties"]["participant"]["national_id"]

Signert = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("find")


@pytest.fixture(scope="module")
def agreements(home: Path) -> list[Agreement]:
    """Three agreements that are taken in, the last one of another case."""
    settings = load_settings({"SIGNERT_HOME": str(home)})
    services = Services(
        store=DirectoryStore(home / "store"),
        clock=system_clock(),
        publisher=EventList(),
        templates=Catalogue(ROOT / "templates"),
        hand_over=lambda *_: None,
        open_typesetting=None,
        open_keys=None,
    )
    found = []
    for reference in ("2036-1", "2036-1", "2036-2"):
        content = copy.deepcopy(EXAMPLE) | {"case": {"system": "tiltak", "reference": reference}}
        marker = receive(services, "submit", {"command_id": str(uuid.uuid4()), "agreement": content})
        found.append(fold(services.ledger.read(marker.agreement_id)))
        index(services.store, open_pseudonyms(settings), found[-1])
    return found


@pytest.fixture(scope="module")
def signert(home: Path, agreements: list[Agreement]) -> Signert:
    assert agreements

    def run(*arguments: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "service.entrypoints.cli", *arguments],
            input=given, capture_output=True, text=True, check=False, timeout=60, cwd=ROOT,
            env={"PATH": "/usr/bin:/bin", "SIGNERT_HOME": str(home)},
        )  # fmt: skip

    return run


def found(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert done.returncode == 0, done.stderr
    told: list[dict[str, Any]] = json.loads(done.stdout)["agreements"]
    return told


def test_by_case_status_and_day_as_json(signert: Signert, agreements: list[Agreement]) -> None:
    day = agreements[0].current.opened_at[:10]
    told = found(
        signert("find", "--case", "tiltak/2036-1", "--status", "submitted", "--since", day, "--json")
    )
    assert [item["agreement_id"] for item in told] == [agreements[1].id, agreements[0].id]
    assert told[0]["reference"] == "2036-1"
    assert told[0]["status"] == "submitted"
    assert signert("find", "--until", "2001-01-01").stdout.startswith("No agreement was found.")


def test_by_pages_and_all(signert: Signert, agreements: list[Agreement]) -> None:
    first = signert("find", "--limit", "2")
    lines = first.stdout.splitlines()
    assert [line.split()[0] for line in lines] == [agreements[2].id, agreements[1].id]
    cursor = first.stderr.partition("--cursor ")[2].partition(",")[0]
    rest = signert("find", "--limit", "2", "--cursor", cursor)
    assert [line.split()[0] for line in rest.stdout.splitlines()] == [agreements[0].id]
    assert rest.stderr == ""
    assert len(signert("find", "--all").stdout.splitlines()) == 3


def test_a_person_is_found_by_a_number_that_is_in_no_argument(signert: Signert) -> None:
    assert len(found(signert("find", "--person", "-", "--json", given=f"{NATIONAL_ID}\n"))) == 3
    refused = signert("find", "--person", "-", given="17849431022")
    assert refused.returncode == 3
    assert "no national identity number" in refused.stderr
    assert "What to do: Give eleven digits" in refused.stderr
    assert "17849431022" not in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "exit_code", "text"),
    [
        (["--organisation", "12"], 3, "What to do: Send nine digits."),
        (["--cursor", "nonsense"], 3, "What to do: Begin anew without a cursor"),
        (["--case", "tiltak"], 64, "--case SYSTEM/REFERENCE"),
        (["--case", "tiltak/1", "--case-system", "other"], 64, "--case SYSTEM/REFERENCE"),
        (["--all", "--cursor", "x"], 64, "without --cursor"),
        (["--status", "unknown"], 64, "'signed'"),
    ],
)
def test_a_wrong_call_has_a_way_out(
    signert: Signert, arguments: list[str], exit_code: int, text: str
) -> None:
    done = signert("find", *arguments)
    assert done.returncode == exit_code
    assert text in done.stderr


def test_versions_of_an_agreement(signert: Signert, agreements: list[Agreement]) -> None:
    agreement = agreements[0]
    told = json.loads(signert("versions", agreement.id, "--json").stdout)
    (version,) = told["versions"]
    assert (version["version"], version["status"], version["in_force"]) == (1, "submitted", False)
    assert {s["role"]: s["status"] for s in version["signatures"]} == dict.fromkeys(
        ("participant", "employer", "adviser"), "waiting"
    )
    lines = signert("versions", agreement.id).stdout.splitlines()
    assert lines[1] == "Version 1: submitted"
    assert signert("versions", str(uuid.uuid4())).returncode == 3


def test_reindex_mends_and_tells(signert: Signert, home: Path, agreements: list[Agreement]) -> None:
    for entry in (home / "store/index/all").rglob(f"*{agreements[0].id}"):
        entry.unlink()
    assert len(signert("find").stdout.splitlines()) == 2
    rehearsed = json.loads(signert("reindex", "--dry-run", "--json").stdout)
    assert (rehearsed["agreements"], rehearsed["entered"]) == (3, 1)
    assert len(signert("find").stdout.splitlines()) == 2
    done = signert("reindex")
    assert done.stdout.startswith("3 agreements read, 1 of them entered anew.")
    assert len(signert("find").stdout.splitlines()) == 3
