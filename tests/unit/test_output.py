"""What the command line prints."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter

import pytest

from service.entrypoints import output
from service.pipeline.fsck import Counts, Finding, Severity

SCRIPT = """
import logging
from service.entrypoints.output import start_log

start_log("INFO", as_json=True)
logging.getLogger("signert.test").info("agreement=%s", "a-1")
try:
    raise KeyError("17849431021")
except KeyError:
    logging.getLogger("signert.test").exception("it failed")
"""


def test_json_log_lines_hold_no_text_of_an_exception() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, timeout=60
    )
    first, second = map(json.loads, done.stderr.splitlines())
    assert (first["level"], first["logger"], first["message"]) == ("INFO", "signert.test", "agreement=a-1")
    assert second["exception"].startswith("KeyError < <string>:8")
    assert "17849431021" not in done.stderr


def test_a_check_is_told_with_its_findings_their_way_out_and_the_counts(
    capsys: pytest.CaptureFixture[str],
) -> None:
    counts = Counts(statuses=Counter(signed=2, submitted=1), versions=3, bytes=3 * 2**20, signatures=12)
    lost = Finding(Severity.ERROR, "command_lost", "commands/1.json", "It is nowhere.", "Send it again.")
    left = Finding(Severity.NOTE, "key_unknown", "notes.txt", "It is not ours.", "Look who put it there.")
    assert output.checked([lost, left], counts, as_json=False) == 1
    told = capsys.readouterr().out
    for line in (
        "ERROR command_lost  commands/1.json",
        "NOTE  key_unknown  notes.txt",
        "What to do: Send it again.",
        "3 agreements: 2 signed, 1 submitted",
        "3.0 MiB",
        "The store has 1 error, with 1 note.",
    ):
        assert line in told
    assert output.checked([left], counts, as_json=True) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["sound"]
    assert told["counts"]["by_status"] == {"signed": 2, "submitted": 1}
    assert told["findings"] == [left.as_json()]


def test_a_sound_store_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert output.checked([], Counts(), as_json=False) == 0
    assert capsys.readouterr().out.endswith("The store is sound.\n")
