"""`python -m benchmarks [PART …]`: measure, keep the figures in var/bench/, write the tables of docs/performance.md."""

from __future__ import annotations

import importlib
import runpy
import sys
import warnings

from benchmarks.report import Result, write

PARTS = ("render", "sign", "whole", "latency", "memory", "growth")
"""What a plain `make bench` measures."""
OTHERS = ("breakdown", "stages", "verification", "search", "fetching", "export")
"""These print only. `profile` is `breakdown`."""


def main(names: list[str]) -> None:
    warnings.simplefilter("ignore")
    if names and _module(names[0]) in OTHERS:  # with their own arguments: `PART="search directory 1000"`
        sys.argv = names
        runpy.run_module(f"benchmarks.{_module(names[0])}", run_name="__main__")
        return
    for name in names or PARTS:
        if name not in PARTS:
            raise SystemExit(f"there is no part {name}: {', '.join(PARTS + OTHERS)}")
        result: Result = importlib.import_module(f"benchmarks.{name}").run()
        write(result)


def _module(name: str) -> str:
    return "breakdown" if name == "profile" else name


if __name__ == "__main__":
    main(sys.argv[1:])
