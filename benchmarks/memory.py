"""Memory: the working processes over 1,000 agreements, and signing a PDF of 100 MiB.

The whole installation with two workers; after each portion the resident memory of every process of the worker is read
(LibreOffice apart, which has a bound of its own), and growth is the median slope after the first fifth. The large PDF
is signed and augmented in a process of its own, whose peak (VmHWM) counts; once more with the input only read tells
what the input is.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.installation import ours, servers
from benchmarks.report import ROOT, Result, table
from benchmarks.statistic import Sample, slope

_USUAL = 1000
_PORTION = 20
_LARGE = int(os.environ.get("BENCH_LARGE_MIB") or 100)


def children(pid: int) -> list[int]:
    """The process and all below it."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += children(int(child))
    return found


def memory(pid: int, what: str = "VmRSS") -> float:
    """MiB, of `/proc/PID/status`; 0 of one that has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{what}:")), 0.0)


def _python(pid: int) -> bool:
    try:
        return b"service.entrypoints.cli" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _over_agreements(count: int) -> tuple[list[float], float, float]:
    """The largest worker process's MiB after each portion, its peak, and the growth of an agreement."""
    seen: list[float] = []
    with (
        tempfile.TemporaryDirectory() as temporary,
        servers(Path(temporary)) as place,
        ours(place, workers=2) as system,
    ):
        peak = 0.0
        portion = min(_PORTION, max(1, count // 5))
        for done in range(0, count, portion):
            system.receipts([system.send() for _ in range(min(portion, count - done))])
            processes = [pid for pid in children(system.pid) if _python(pid)]
            seen.append(max(map(memory, processes)))
            peak = max(peak, *(memory(pid, "VmHWM") for pid in processes))
    steady = seen[len(seen) // 5 :]
    return seen, peak, slope(steady) / portion


def _large(action: str) -> dict[str, float]:
    """What a process of its own says of `signing` with a PDF so large."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "benchmarks.large", action, str(_LARGE)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    answer: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return answer


def run() -> Result:
    count = int(os.environ.get("BENCH_AGREEMENTS") or _USUAL)
    seen, peak, growth = _over_agreements(count)
    large = {action: _large(action) for action in ("read", "sign", "augment")}
    rows = [
        [
            f"worker, median after {count} agreements",
            f"{Sample(tuple(seen[len(seen) // 5 :])).median:.0f} MiB",
        ],
        ["worker, peak", f"{peak:.0f} MiB"],
        ["growth an agreement, after the first fifth", f"{1024 * growth:.1f} KiB"],
        *(
            [f"{_LARGE} MiB PDF: {action}, peak", f"{told['peak']:.0f} MiB ({told['seconds']:.1f} s)"]
            for action, told in large.items()
        ),
    ]
    text = (
        f"{table(['memory', 'resident'], rows)}\n\n"
        "Of the large PDF, `sign` is prepare, sign and embed (B-T), `augment` evidence and a document timestamp. "
        "Wanted: no growth; 100 MiB in under 200 MiB."
    )
    data = {
        "agreements": count,
        "resident": seen,
        "peak": peak,
        "growth_per_agreement": growth,
        "large": large,
    }
    return Result("memory", text, data, complete=count >= _USUAL and _LARGE >= 100)
