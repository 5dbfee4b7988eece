"""What is compared, in turns: A B C, A B C, … – noise and a machine that gets warm hit all alike."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping

from benchmarks.statistic import Sample

__all__ = ["interleaved", "rounds", "timed"]

Side = Callable[[], float]
"""Does the work once, and gives the seconds that count."""


def timed(action: Callable[[], object]) -> Side:
    def run() -> float:
        began = time.perf_counter()
        action()
        return time.perf_counter() - began

    return run


def interleaved(
    sides: Mapping[str, Side],
    rounds: int,
    *,
    warm: int = 1,
    title: str = "",
    seldom: Mapping[str, int] | None = None,
) -> dict[str, Sample]:
    """`rounds` measurements of each side, after `warm` that do not count. The order turns round each time.

    A side of `seldom` takes part in every so many-th round only: one that takes seconds where others take milliseconds.
    """
    found: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(-warm, rounds):
        names = list(sides)
        for name in names if number % 2 else reversed(names):
            if number > 0 and number % (seldom or {}).get(name, 1):
                continue
            seconds = sides[name]()
            if number >= 0:
                found[name].append(seconds)
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{title} {number + 1}/{rounds} ")
    return {name: Sample(tuple(values)) for name, values in found.items()}


def rounds(usual: int) -> int:
    """How many: `BENCH_ROUNDS`, or what the part asks for."""
    return int(os.environ.get("BENCH_ROUNDS") or usual)
