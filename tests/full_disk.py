"""One agreement in a store on a small disk that grows whenever it is full. Run in a mount namespace of its own:

    unshare --mount python -m tests.full_disk HOME STORE

Prints a line of JSON for each attempt: the disk's size, what came of it, and what the store shows.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

from service.bootstrap import open_services
from service.config import load_settings
from service.domain.log import Entry, parse_gathered
from service.errors import SignertError, StoreError
from service.pipeline.drive import drive
from tests.agreements import assert_signed, command, submit
from tests.fakes import EventList

_FIRST, _MOST = 16 * 1024, 64 * 1024 * 1024


def half_files(root: Path) -> list[str]:
    """Files of a directory store that are not whole: by their own hash, or as a log entry or another JSON."""
    found = []
    for path in (p for p in root.rglob("*") if p.is_file()):
        body = path.read_bytes()
        try:
            if "blobs" in path.parts:
                whole = hashlib.sha256(body).hexdigest() == path.name.partition(".")[0]
            elif "log" in path.parts:
                whole = Entry.parse(body).body == body
            elif path.name == "log.jsonl":
                whole = bool(parse_gathered(path.parent.name, body))
            else:
                # What is found by its key alone is empty.
                whole = not {"index", "due", "disposal"}.isdisjoint(path.parts) or bool(json.loads(body))
        except (ValueError, SignertError):
            whole = False
        if not whole or ".tmp" in path.parts:
            found.append(str(path.relative_to(root)))
    return found


def main(home: str, root: str) -> None:
    size = _FIRST
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "signert-test", root], check=True)
    settings = load_settings({"SIGNERT_HOME": home, "SIGNERT_STORE": f"file://{root}"})
    events, payload = EventList(), command()
    with open_services(settings, publisher=events, hand_over=lambda *_: None) as services:
        while size <= _MOST:
            told: dict[str, object] = {"size": size}
            try:
                outcome = drive(services, submit(services, payload))
            except StoreError as exc:
                told |= {"raised": exc.code, "retryable": exc.retryable, "message": exc.message}
            else:
                told |= {"rest": outcome.rest, "agreement": outcome.agreement.id}
                if outcome.parked:
                    told |= {"code": outcome.parked.code, "step": outcome.parked.step}
            told["half"] = half_files(Path(root))
            sys.stdout.write(json.dumps(told) + "\n")
            sys.stdout.flush()
            if told.get("rest") == "at-rest":
                assert_signed(services, outcome.agreement.id, events)
                return
            size *= 2
            subprocess.run(["mount", "-o", f"remount,size={size}", root], check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
