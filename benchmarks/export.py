"""How fast agreements go to archive packages and come back: `python benchmarks/export.py [--agreements 100]`.

One agreement is signed for real; the others are copies of it, each with an id and a log of its own. Directory stores
and packages are on one disk, in a temporary folder.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
import tempfile
import time
import uuid
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from service.adapters.directory import DirectoryStore
from service.domain.log import Entry
from service.domain.ports import ObjectStore
from service.pipeline.drive import Rest, drive
from service.pipeline.export import State, blobs_of
from service.pipeline.intake import receive
from service.pipeline.services import Services
from tests.agreements import running_services
from tests.packages import exported, taken_in

EXAMPLE = json.loads((Path(__file__).parents[1] / "examples/agreement.json").read_text())


def signed(services: Services) -> str:
    agreement = {**copy.deepcopy(EXAMPLE), "id": str(uuid.uuid4())}
    marker = receive(services, "submit", {"command_id": str(uuid.uuid4()), "agreement": agreement})
    assert drive(services, marker).rest is Rest.AT_REST
    return marker.agreement_id


def copied(store: ObjectStore, entries: list[Entry]) -> None:
    """The same agreement under another id: its log is chained anew, and its commands have ids of their own."""
    new, old, previous = str(uuid.uuid4()), entries[0].agreement_id, None
    for entry in entries:
        for key in blobs_of(entry):
            own = key.replace(old, new)
            if not store.exists(own):
                store.put(own, store.get(key))
        data = dict(entry.data)
        if "command_id" in data:
            claim = json.loads(store.get(f"commands/{data['command_id']}.json"))
            data["command_id"] = str(uuid.uuid4())
            claim |= {"command_id": data["command_id"], "agreement_id": new}
            store.put(f"commands/{data['command_id']}.json", json.dumps(claim).encode())
        made = replace(entry, agreement_id=new, previous=previous, data=data, occurrences=())
        store.put(made.key, made.body)
        previous = made.sha256


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--agreements", type=int, default=100)
    number = parser.parse_args().agreements
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with running_services(folder / "home") as running:
            services = running.services
            entries = services.ledger.read(signed(services))
            store = services.store
        for _ in range(number - 1):
            copied(store, entries)

        def export(name: str, *, tar: bool = False) -> None:
            began = time.perf_counter()
            results = exported(store, folder / name.split(maxsplit=1)[0], tar=tar)
            took = time.perf_counter() - began
            size = sum(r.bytes for r in results) / 2**20
            states = {r.state for r in results}
            assert State.FAILED not in states
            told(name, took, f"{size:.0f} MiB, {', '.join(sorted(states))}")

        def told(name: str, took: float, more: str) -> None:
            sys.stdout.write(
                f"{name:28} {took:7.1f} s  {1000 * took / number:6.0f} ms an agreement  {more}\n"
            )

        export("folders")
        export("folders again, unchanged")
        export("tar files", tar=True)
        target = DirectoryStore(folder / "target")
        packages = sorted(p for p in (folder / "folders").iterdir() if p.is_dir())
        began = time.perf_counter()
        for package in packages:
            taken_in(target, package)
        told("import", time.perf_counter() - began, "into an empty directory store")


if __name__ == "__main__":
    main()
