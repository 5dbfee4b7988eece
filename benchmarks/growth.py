"""What grows with what: the n-th amendment, a command in a store with 10⁵ agreements, validating many signatures.

Amendments are driven in this process on a directory store, and every request to the store is counted. The large store
has the index of BENCH_STORE (100,000) agreements, key for key as the product writes it, and a first log entry of
each; a `submit` there takes turns with one in an empty store. Processor time is this process's, so that others on the
machine do not count.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.documents import command, driven, in_process
from benchmarks.observed import CountingStore
from benchmarks.report import ROOT, Result, table
from benchmarks.search import cards, write
from benchmarks.sides import rounds
from benchmarks.statistic import Sample, ratio
from benchmarks.verification import pages, processor_time, signed
from service.adapters.directory import DirectoryStore
from service.domain.log import log_key
from service.domain.ports import ObjectStore
from service.pipeline.services import Services
from signing import validate

_SIGNATURES = (1, 5, 10, 50)


@dataclass(frozen=True)
class Cost:
    """What one command took, until its agreement was at rest."""

    seconds: float
    cpu: float
    requests: int
    read_kib: int

    def as_json(self) -> dict[str, float]:
        return dict(vars(self))


def _on(services: Services, store: ObjectStore) -> Services:
    """The same LibreOffice and keys with another store."""
    keys, tools = services.keys, services.typesetting
    return replace(services, store=store, open_keys=lambda: keys, open_typesetting=lambda: tools)


def _cost(services: Services, store: ObjectStore, payload: dict[str, Any], name: str = "submit") -> Cost:
    counted = CountingStore(store)
    observed = _on(services, counted)
    began, cpu = time.perf_counter(), time.process_time()
    driven(observed, payload, name)
    return Cost(
        time.perf_counter() - began,
        time.process_time() - cpu,
        counted.requests.total(),
        counted.bytes_read // 1024,
    )


def _amendments(services: Services, wanted: tuple[int, ...]) -> dict[int, Cost]:
    story = ROOT / "examples/story"
    agreement_id = driven(
        services,
        {
            **command(),
            "agreement": json.loads((story / "1-submit.json").read_text()) | {"id": str(uuid.uuid4())},
        },
    )
    change = json.loads((story / "2-needs.json").read_text())
    found: dict[int, Cost] = {}
    for number in range(1, max(wanted) + 1):
        payload = {"command_id": str(uuid.uuid4()), "agreement_id": agreement_id, "version": number, **change}
        payload["patch"] = json.loads(json.dumps(change["patch"]))
        payload["patch"]["accommodation"][0]["need"] = f"Trenger pauser etter behov, endring nummer {number}."
        found[number] = _cost(services, services.store, payload, "amend")
    return {number: found[number] for number in wanted}


def fill(store: ObjectStore, count: int) -> None:
    """The index of so many agreements, and a log of one entry each, which is never read."""

    def put(card: Any) -> None:
        write(store, card)
        store.create(log_key(card.summary.agreement_id, 0), b"{}")

    with ThreadPoolExecutor(8) as pool, mock.patch("os.fsync", lambda _: None):
        for _ in pool.map(put, cards(count)):
            pass


def _stores(services: Services, count: int, turns: int) -> dict[str, list[Cost]]:
    found: dict[str, list[Cost]] = {"empty": [], "full": []}
    with tempfile.TemporaryDirectory() as temporary:
        stores = {name: DirectoryStore(Path(temporary) / name) for name in found}
        fill(stores["full"], count)
        for _ in range(turns):
            for name, store in stores.items():
                found[name].append(_cost(services, store, command(id=str(uuid.uuid4()))))
    return found


def _verified(services: Services) -> dict[int, float]:
    """Processor seconds of one validation, the least of three."""
    page, trust = pages(services, 1), services.keys.trust
    found = {}
    for count in _SIGNATURES:
        document = signed(services, page, count)
        found[count] = min(processor_time(lambda d=document: validate(d, trust))[0] for _ in range(3))
    return found


def run() -> Result:
    count = int(os.environ.get("BENCH_STORE") or 100_000)
    wanted = tuple(n for n in (1, 10, 100) if n <= int(os.environ.get("BENCH_AMENDMENTS") or 100))
    turns = rounds(10)
    with in_process() as services:
        driven(services, command())
        amended = _amendments(services, wanted)
        stored = _stores(services, count, turns)
        verified = _verified(services)

    def sample(name: str, what: str) -> Sample:
        return Sample(tuple(getattr(cost, what) for cost in stored[name]))

    rows = [
        [
            f"amendment {number}",
            f"{cost.seconds:.2f}",
            f"{cost.cpu:.2f}",
            str(cost.requests),
            str(cost.read_kib),
        ]
        for number, cost in amended.items()
    ]
    rows += [
        [
            f"`submit`, {'empty store' if name == 'empty' else f'{count:,} agreements'}",
            *(sample(name, what).shown(1, 2) for what in ("seconds", "cpu")),
            *(sample(name, what).shown() for what in ("requests", "read_kib")),
        ]
        for name in stored
    ]
    validations = [
        [str(number), f"{seconds:.2f}", f"{1000 * seconds / number:.0f}"]
        for number, seconds in verified.items()
    ]
    times = ratio(sample("full", "seconds"), sample("empty", "seconds"))
    text = (
        f"{table(['growth', 's', 'CPU s', 'requests to the store', 'KiB read'], rows)}\n\n"
        f"Full store over empty: {times} of the time. Wanted: independent of the number of versions and agreements.\n\n"
        f"{table(['signatures validated', 'CPU s', 'ms each'], validations)}"
    )
    data = {
        "amendments": {number: cost.as_json() for number, cost in amended.items()},
        "store": {
            "agreements": count,
            **{name: [c.as_json() for c in costs] for name, costs in stored.items()},
        },
        "full_over_empty": times.as_json(),
        "validation": verified,
    }
    return Result("growth", text, data, complete=count >= 100_000 and 100 in wanted)
