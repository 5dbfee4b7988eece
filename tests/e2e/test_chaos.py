"""Nothing is lost: workers, broker and store are killed while agreements are on their way (see tests/chaos)."""

from __future__ import annotations

import json
import os
import random
from functools import partial
from itertools import cycle, islice
from pathlib import Path

import pytest

from tests.chaos.fleet import Kill
from tests.chaos.storm import BOTH, RENDER, SIGN, Blow, Plan, run
from tests.e2e.conftest import ROOT

pytestmark = [pytest.mark.office, pytest.mark.broker, pytest.mark.pki]


def test_nothing_is_lost_in_a_small_storm(tmp_path: Path) -> None:
    outcome = run(Plan(agreements=10, seed=20361124), tmp_path, tell=print)
    print(outcome.told)  # noqa: T201 (the counts are part of the answer)
    assert not outcome.wrong, outcome.told


@pytest.mark.chaos
def test_nothing_is_lost(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """`make chaos`: writes its figures to var/chaos.json."""
    agreements = int(os.environ.get("SIGNERT_CHAOS_AGREEMENTS", "100"))
    seed = int(os.environ.get("SIGNERT_CHAOS_SEED") or random.randrange(10**6))
    plan = Plan(
        agreements=agreements,
        seed=seed,
        workers=(BOTH, BOTH, RENDER, SIGN),
        kills=list(islice(cycle(Kill), max(len(Kill), agreements * 2 // 5))),
        blows=list(islice(cycle(Blow), max(len(Blow), agreements // 10))),
        window=8,
        limit=60 * agreements,
    )
    with capfd.disabled():
        print(f"\nSIGNERT_CHAOS_SEED={seed} SIGNERT_CHAOS_AGREEMENTS={agreements}", flush=True)  # noqa: T201
        outcome = run(plan, tmp_path, tell=partial(print, flush=True))
        print(outcome.told, flush=True)  # noqa: T201
    figures = ROOT / "var/chaos.json"
    figures.parent.mkdir(exist_ok=True)
    figures.write_text(json.dumps(outcome.figures, indent=2) + "\n")
    assert not outcome.wrong, f"{len(outcome.wrong)} things are wrong; all is kept in {tmp_path}"
