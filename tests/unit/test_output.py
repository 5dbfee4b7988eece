"""What the command line prints."""

from __future__ import annotations

import json
import subprocess
import sys

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
    assert second["exception"] == "KeyError"
    assert "17849431021" not in done.stderr
