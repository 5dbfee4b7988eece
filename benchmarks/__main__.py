"""`python -m benchmarks [PART …]`: measure, keep the figures in var/bench/, write the tables of docs/performance.md."""

from __future__ import annotations

import importlib
import sys
import warnings

from benchmarks.report import Result, write

PARTS = ("render", "sign", "whole", "latency", "memory", "growth")
"""What a plain `make bench` measures."""
OTHERS = ("breakdown", "stages", "verification", "search", "fetching", "export")
"""These print only. `profile` is `breakdown`."""


def main(names: list[str]) -> None:
    warnings.simplefilter("ignore")
    for name in names or PARTS:
        part = {"profile": "breakdown"}.get(name, name)
        if part not in PARTS + OTHERS:
            raise SystemExit(f"there is no part {name}: {', '.join(PARTS + OTHERS)}")
        module = importlib.import_module(f"benchmarks.{part}")
        if part in PARTS:
            result: Result = module.run()
            write(result)
        else:
            sys.argv = [part]
            module.main()


if __name__ == "__main__":
    main(sys.argv[1:])
