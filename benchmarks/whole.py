"""Whole agreements a second: from `submit` on RabbitMQ to the receipt's event, three parties, PAdES B-LTA, verified,
on S3.

BENCH_AGREEMENTS (500) a run, with one worker and with two, against the straightforward assembly of the same libraries
(`baseline.py`). Workers of both sides take turns, in portions, so that a busy machine hits both; one side's workers
are started for its portion and stopped after it, and what starts and warms them up does not count.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from benchmarks.installation import baseline, ours, servers
from benchmarks.report import Result, table
from benchmarks.statistic import Sample, ratio

_USUAL = 500
_PORTIONS = 5


def run() -> Result:
    count = int(os.environ.get("BENCH_AGREEMENTS") or _USUAL)
    portions = min(_PORTIONS, max(1, count // 20))
    each = count // portions
    theirs = max(2, each // 10)  # they take that much longer; the rate is what counts
    rates: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as temporary, servers(Path(temporary)) as place:
        for number in range(portions):
            for workers in (1, 2):
                for name, system, portion in (("Signert", ours, each), ("assembly", baseline, theirs)):
                    with system(place, workers=workers) as running:
                        rates.setdefault(f"{name} {workers}", []).append(running.rate(portion))
                        print(
                            f"{number}: {name} {workers}: {rates[f'{name} {workers}'][-1]:.3f} a second",
                            flush=True,
                        )
    samples = {name: Sample(tuple(values)) for name, values in rates.items()}
    rows = [
        [
            f"{workers} worker{'s' if workers > 1 else ''}",
            samples[f"Signert {workers}"].shown(1, 2),
            samples[f"assembly {workers}"].shown(1, 3),
            str(ratio(samples[f"Signert {workers}"], samples[f"assembly {workers}"])),
        ]
        for workers in (1, 2)
    ]
    text = (
        f"{table(['whole agreements a second', 'Signert', 'straightforward assembly', 'ratio'], rows)}\n\n"
        f"{each * portions} agreements a line ({theirs * portions} of the assembly) in {portions} turns. "
        "Wanted: ≥ 8× the assembly, ≥ 5 a second on two cores."
    )
    data = {
        "agreements": each * portions,
        "rates": {name: sample.as_json() for name, sample in samples.items()},
        "ratios": {
            workers: ratio(samples[f"Signert {workers}"], samples[f"assembly {workers}"]).as_json()
            for workers in (1, 2)
        },
    }
    return Result("whole", text, data, complete=count >= _USUAL)
