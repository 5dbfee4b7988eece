"""Where the time goes: one agreement's stages, by the times in its log.

    python benchmarks/stages.py [COUNT]

Runs COUNT agreements (default 20) in this process on a directory store and the development PKI, after one that warms
LibreOffice and the connections, and prints the median and the 95th percentile of each stage in milliseconds.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
import uuid
from collections import defaultdict
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from service.bootstrap import event_file, open_services
from service.config import load_settings
from service.pipeline.drive import Rest, drive
from service.pipeline.intake import receive

EXAMPLE = Path(__file__).parents[1] / "examples/agreement.json"


def main(count: int) -> None:
    stages: dict[str, list[float]] = defaultdict(list)
    totals: list[float] = []
    agreement = json.loads(EXAMPLE.read_text())
    with tempfile.TemporaryDirectory() as home:
        settings = load_settings({"SIGNERT_HOME": home})
        with open_services(settings, publisher=event_file(settings), hand_over=lambda *_: None) as services:
            for number in range(count + 1):
                started = time.perf_counter()
                marker = receive(
                    services, "submit", {"command_id": str(uuid.uuid4()), "agreement": agreement}
                )
                outcome = drive(services, marker)
                if outcome.rest is not Rest.AT_REST:
                    raise SystemExit(f"agreement parked: {outcome.parked}")
                if number == 0:
                    continue
                totals.append((time.perf_counter() - started) * 1000)
                entries = services.ledger.read(marker.agreement_id)
                spent: dict[str, float] = defaultdict(float)
                for before, entry in pairwise(entries):
                    took = datetime.fromisoformat(entry.at) - datetime.fromisoformat(before.at)
                    spent[entry.type] += took.total_seconds() * 1000
                for stage, milliseconds in spent.items():
                    stages[stage].append(milliseconds)
    print(f"{count} agreements, three parties, B-LTA, verified\n")
    print("| stage | median ms | p95 ms |\n|---|---:|---:|")
    for stage, times in [*stages.items(), ("**whole agreement**", totals)]:
        p95 = sorted(times)[max(0, round(0.95 * len(times)) - 1)]
        print(f"| {stage} | {statistics.median(times):.0f} | {p95:.0f} |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
