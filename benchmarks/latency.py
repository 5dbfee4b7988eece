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
import uuid
from collections import defaultdict
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Final

import requests
from asn1crypto import algos, tsp

from benchmarks.documents import command, driven, in_process, rendered
from benchmarks.installation import Place, System, ours, servers
from benchmarks.observed import CountingStore
from benchmarks.report import Result, table
from benchmarks.statistic import Sample
from service.adapters.s3 import S3Store
from service.domain.log import Entry
from service.pipeline.services import Services
from signing import open_credential
from tests.s3server import S3Server

_USUAL = 100
_FILED: Final = 0.5
"""Seconds in which a worker has filed an agreement, after the event about its receipt."""
_KEY_OPERATIONS = ("seal", "participant", "employer", "adviser", "seal", "seal")
"""The seal, three parties; the receipt's CAdES and its PDF."""


def _idle(system: System, raw: _Raw, count: int) -> list[float]:
    """One at a time, and the raw stages after each: so the machine is as fast for both."""
    found = []
    for _ in range(count):
        found += system.receipts([system.send()])
        time.sleep(_FILED)
        raw.measure()
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


class _Raw:
    """The raw stages of one agreement, one after another; `seconds` by stage."""

    def __init__(self, place: Place, store: S3Store, services: Services, session: requests.Session) -> None:
        self._url, self._store, self._session = place.pki.tsa_url, store, session
        self._office = services.typesetting.office
        keys, tools = services.keys, services.typesetting
        before = _tokens(services)
        counted = CountingStore(services.store)
        observed = replace(services, store=counted, open_keys=lambda: keys, open_typesetting=lambda: tools)
        self._docx, self._body = rendered(services, driven(observed, command()))
        self.stamps = _tokens(services) - before
        self.writes = counted.requests["create"] + counted.requests["put"]
        self._size = counted.bytes_written // self.writes
        credentials = {name: open_credential(place.pki.credential(name)) for name in {*_KEY_OPERATIONS}}
        self._credentials = [credentials[name] for name in _KEY_OPERATIONS]
        self.seconds: dict[str, list[float]] = defaultdict(list)

    def measure(self) -> None:
        stages = (
            ("one conversion", self._convert),
            ("private-key operations", self._sign),
            ("timestamps", self._stamp),
            ("puts", self._put),
        )
        for name, stage in stages:
            began = time.perf_counter()
            stage()
            self.seconds[name].append(time.perf_counter() - began)

    def samples(self) -> dict[str, Sample]:
        found = {name: Sample(tuple(values)) for name, values in self.seconds.items()}
        return {**found, "sum": Sample(tuple(map(sum, zip(*self.seconds.values(), strict=True))))}

    def shown(self, stage: str) -> str:
        """The stage, with the number of its operations."""
        numbers = {
            "private-key operations": len(self._credentials),
            "timestamps": self.stamps,
            "puts": self.writes,
        }
        return f"{stage} ({numbers[stage]})" if stage in numbers else stage

    def _convert(self) -> None:
        self._office.to_pdf(self._docx)

    def _sign(self) -> None:
        for credential in self._credentials:
            credential.sign(self._body[:256])

    def _stamp(self) -> None:
        headers = {"Content-Type": "application/timestamp-query"}
        for _ in range(self.stamps):
            self._session.post(self._url, data=_request(), headers=headers, timeout=10).raise_for_status()

    def _put(self) -> None:
        for _ in range(self.writes):
            self._store.put(f"raw/{uuid.uuid4()}", self._body[: self._size])


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
            store = S3Store(S3Server.PLAIN, system.log.parent.name, endpoint=place.s3.endpoint)
            with in_process(place.folder / "raw") as services, requests.Session() as session:
                raw = _Raw(place, store, services, session)
                idle = Sample(tuple(_idle(system, raw, count)))
            idle_ids = list(system.received)[-count:]
            print(f"idle: p50 {idle.median:.2f} s", flush=True)
            most = system.rate(max(1, count // 4))
            loaded = Sample(tuple(_loaded(system, count, 0.7 * most)))
            print(f"at 70 % of {most:.2f} a second: p50 {loaded.median:.2f} s", flush=True)
        stages = _stages(store, idle_ids)
    rows = [
        [name, *(f"{1000 * sample.at(share):.0f}" for share in (0.5, 0.95, 0.99))]
        for name, sample in (("idle", idle), (f"at 70 % load ({0.7 * most:.2f} a second)", loaded))
    ]
    staged = [[name, sample.shown()] for name, sample in stages.items()]
    stripped = raw.samples()
    bare = [[raw.shown(name), sample.shown(1000)] for name, sample in stripped.items()]
    bound = idle.at(0.95) / stripped["sum"].median
    text = (
        f"{table(['command to receipt, ms', 'p50', 'p95', 'p99'], rows)}\n\n"
        f"{table(['stage, idle', 'ms (10th–90th)'], staged)}\n\n"
        f"{table(['raw stage', 'ms (10th–90th)'], bare)}\n\n"
        f"{count} agreements each, two workers. p95 idle is {bound:.2f} times the sum of the raw stages; wanted: "
        "under 3."
    )
    data = {
        "idle": idle.as_json(),
        "loaded": loaded.as_json(),
        "most_per_second": most,
        "stages": {name: sample.as_json() for name, sample in stages.items()},
        "raw": {name: sample.as_json() for name, sample in stripped.items()},
        "p95_over_raw": bound,
    }
    return Result("latency", text, data, complete=count >= _USUAL)
