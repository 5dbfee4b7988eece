"""Each part of the benchmarks runs and says what it is to say; the figures themselves are for `make bench`.

Parts that measure peers run where the peers are installed (`scripts/bench.sh`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from benchmarks import growth
from benchmarks.documents import in_process
from benchmarks.peers import installed
from benchmarks.report import ROOT

pytestmark = [pytest.mark.office, pytest.mark.pki]
with_peers = pytest.mark.skipif(not installed(), reason="the peers are not installed: scripts/bench.sh")


def ran(*arguments: str, **environ: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", *arguments],
        cwd=ROOT, env=os.environ | environ, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_one_agreement_is_taken_apart() -> None:
    told = ran("benchmarks", "profile", BENCH_AGREEMENTS="1")
    for what in ("LibreOffice", "check_step", "all of verify", "store create"):
        assert what in told
    assert "Ordered by: cumulative time" in told


def test_what_a_large_document_takes_is_measured() -> None:
    told = json.loads(ran("benchmarks.large", "sign", "1"))
    assert told["bytes"] > 1024**2
    assert told["peak"] > 10


def test_a_command_is_as_cheap_in_a_full_store() -> None:
    with in_process() as services:
        stored = growth._stores(services, 20, 1)
    assert stored["full"][0].requests == stored["empty"][0].requests > 0


@with_peers
@pytest.mark.parametrize(
    ("part", "sides"),
    [
        ("render", ("Signert", "soffice", "unoserver")),
        ("sign", ("pyHanko as documented", "pyHanko's command", "endesive")),
    ],
)
def test_peers_are_measured_beside_ours(part: str, sides: tuple[str, ...]) -> None:
    page = ROOT / "docs/performance.md"
    before = page.read_bytes()
    told = ran("benchmarks", part, BENCH_ROUNDS="1")
    assert all(side in told for side in sides)
    assert page.read_bytes() == before  # a run so short is not published


@with_peers
@pytest.mark.broker
def test_whole_agreements_are_measured_beside_the_assembly() -> None:
    told = ran("benchmarks", "whole", BENCH_AGREEMENTS="1")
    assert "2 workers" in told
    kept = json.loads((ROOT / "var/bench/whole.json").read_text())
    assert kept["complete"] is False
    assert kept["rates"].keys() == {"Signert 1", "Signert 2", "assembly 1", "assembly 2"}
