"""How long one agreement takes from its command to its receipt's event, idle and at 70 % load, and against its raw
stages.

The whole installation with two workers, S3 and RabbitMQ. Idle: one at a time. Loaded: commands at chance times
(Poisson), 70 % of the rate that all-at-once gave just before. Raw: what cannot be left out, measured bare on the same
machine in the same run: one LibreOffice conversion, the private-key operations, the timestamps' round trips, the
puts.
"""

from __future__ import annotations

import os
import random
import tempfile
import time
from collections import defaultdict
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import requests
from asn1crypto import algos, tsp

from benchmarks.documents import command, driven, in_process, rendered
from benchmarks.installation import System, ours, servers
from benchmarks.observed import CountingStore
from benchmarks.report import Result, table
from benchmarks.statistic import Sample
from service.adapters.s3 import S3Store
from service.domain.log import Entry
from service.pipeline.services import Services
from signing import open_credential
from tests.s3server import S3Server

_USUAL = 100
_KEY_OPERATIONS = ("seal", "participant", "employer", "adviser", "seal", "seal")
"""The seal, three parties; the receipt's CAdES and its PDF."""


def _idle(system: System, count: int) -> list[float]:
    found = []
    for _ in range(count):
        found += system.receipts([system.send()])
    return found


def _loaded(system: System, count: int, per_second: float) -> list[float]:
    chance, ids = random.Random(3), []
    due = time.monotonic()
    for _ in range(count):
        due += chance.expovariate(per_second)
        while (left := due - time.monotonic()) > 0:
            system.receive(left)
        ids.append(system.send())
    return system.receipts(ids)


def _stages(store: S3Store, ids: list[str]) -> dict[str, Sample]:
    """Milliseconds by the step's entry, out of the logs; before the first lie the queue and the intake."""
    spent: dict[str, list[float]] = defaultdict(list)
    for agreement_id in ids:
        entries = [Entry.parse(store.get(key)) for key in store.list(f"agreements/{agreement_id}/log/")]
        by: dict[str, float] = defaultdict(float)
        for before, entry in pairwise(entries):
            took = datetime.fromisoformat(entry.at) - datetime.fromisoformat(before.at)
            by[entry.type] += took.total_seconds() * 1000
        for name, milliseconds in by.items():
            spent[name].append(milliseconds)
    return {name: Sample(tuple(values)) for name, values in spent.items()}


def _raw(place: Any, store: S3Store, rounds: int) -> dict[str, Sample]:
    """Seconds of each raw stage of one agreement."""
    found: dict[str, list[float]] = defaultdict(list)
    with in_process(place.folder / "raw") as services, requests.Session() as session:
        keys, tools = services.keys, services.typesetting
        before = _tokens(services)
        counted = CountingStore(services.store)
        observed = replace(services, store=counted, open_keys=lambda: keys, open_typesetting=lambda: tools)
        docx, body = rendered(services, driven(observed, command()))
        stamps = _tokens(services) - before
        writes = counted.requests["create"] + counted.requests["put"]
        size = counted.bytes_written // writes
        credentials = {name: open_credential(place.pki.credential(name)) for name in {*_KEY_OPERATIONS}}
        request = _request()
        for number in range(rounds):
            began = time.perf_counter()
            services.typesetting.office.to_pdf(docx)
            found["one conversion"].append(time.perf_counter() - began)
            began = time.perf_counter()
            for name in _KEY_OPERATIONS:
                credentials[name].sign(body[:256])
            found["private-key operations"].append(time.perf_counter() - began)
            began = time.perf_counter()
            for _ in range(stamps):
                session.post(
                    place.pki.tsa_url,
                    data=request,
                    headers={"Content-Type": "application/timestamp-query"},
                    timeout=10,
                ).raise_for_status()
            found["timestamps"].append(time.perf_counter() - began)
            began = time.perf_counter()
            for each in range(writes):
                store.put(f"raw/{number}/{each}", body[:size])
            found["puts"].append(time.perf_counter() - began)
    return {
        **{name: Sample(tuple(values)) for name, values in found.items()},
        "sum": Sample(tuple(map(sum, zip(*found.values(), strict=True)))),
        "of writes": Sample((float(writes),)),
        "of timestamps": Sample((float(stamps),)),
    }


def _tokens(services: Services) -> int:
    return sum(authority.tokens for authority in services.keys.timestamps.authorities)


def _request() -> bytes:
    imprint = tsp.MessageImprint(
        {"hash_algorithm": algos.DigestAlgorithm({"algorithm": "sha256"}), "hashed_message": os.urandom(32)}
    )
    asked = tsp.TimeStampReq({"version": 1, "message_imprint": imprint, "nonce": 7, "cert_req": True})
    encoded: bytes = asked.dump()
    return encoded


def run() -> Result:
    count = int(os.environ.get("BENCH_AGREEMENTS") or _USUAL)
    with tempfile.TemporaryDirectory() as temporary, servers(Path(temporary)) as place:
        os.environ.update(place.s3.environ)  # where boto3 looks
        with ours(place, workers=2) as system:
            idle = Sample(tuple(_idle(system, count)))
            idle_ids = list(system.received)[-count:]
            print(f"idle: p50 {idle.median:.2f} s", flush=True)
            most = system.rate(max(1, count // 4))
            loaded = Sample(tuple(_loaded(system, count, 0.7 * most)))
            print(f"at 70 % of {most:.2f} a second: p50 {loaded.median:.2f} s", flush=True)
            home = system.log.parent.name
        store = S3Store(S3Server.PLAIN, home, endpoint=place.s3.endpoint)
        stages = _stages(store, idle_ids)
        raw = _raw(place, store, max(3, min(30, count)))
    rows = [
        [name, *(f"{1000 * sample.at(share):.0f}" for share in (0.5, 0.95, 0.99))]
        for name, sample in (("idle", idle), (f"at 70 % load ({0.7 * most:.2f} a second)", loaded))
    ]
    staged = [[name, sample.shown()] for name, sample in stages.items()]
    bare = [
        [
            f"{name}{_times(name, raw)}",
            sample.shown(1000),
        ]
        for name, sample in raw.items()
        if not name.startswith("of ")
    ]
    bound = idle.at(0.95) / raw["sum"].median
    text = (
        f"{table(['command to receipt, ms', 'p50', 'p95', 'p99'], rows)}\n\n"
        f"{table(['stage, idle', 'ms (10th–90th)'], staged)}\n\n"
        f"{table(['raw stage', 'ms (10th–90th)'], bare)}\n\n"
        f"{count} agreements each, two workers. p95 idle is {bound:.1f} times the sum of the raw stages; wanted: "
        "under 3."
    )
    data = {
        "idle": idle.as_json(),
        "loaded": loaded.as_json(),
        "most_per_second": most,
        "stages": {name: sample.as_json() for name, sample in stages.items()},
        "raw": {name: sample.as_json() for name, sample in raw.items()},
        "p95_over_raw": bound,
    }
    return Result("latency", text, data, complete=count >= _USUAL)


def _times(name: str, raw: dict[str, Sample]) -> str:
    numbers = {
        "private-key operations": len(_KEY_OPERATIONS),
        "timestamps": int(raw["of timestamps"].median),
        "puts": int(raw["of writes"].median),
    }
    return f" ({numbers[name]})" if name in numbers else ""
