"""How long the HTTP service takes to hand out documents, and how much memory that takes.

    python -m benchmarks fetching [COUNT [AGREEMENTS]]

With AGREEMENTS the store first gets the index of so many others, and a log of one entry for each. Starts `signert
serve` on a directory store with a provider on this machine, asks for each thing COUNT times (default 300) over one
connection, and then for a document of 100 MiB, in one piece and by four readers at a time. Prints the median and the
95th percentile in milliseconds, and the largest resident memory of the service's processes.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.growth import fill
from tests.integration.test_http_server import Served, peak_of, served
from tests.shelved import mentor

LARGE = 100 * 1024**2
SMALL = 120 * 1024


def main(count: int, others: int) -> None:
    with tempfile.TemporaryDirectory() as home, served(Path(home), HTTP_RATE="1000000/minute") as service:
        fill(service.shelf.store, others)
        agreement_id = service.shelf.signed(mentor(), body=os.urandom(SMALL))
        amended = service.shelf.signed(mentor())
        for _ in range(9):
            service.shelf.amended(amended, mentor())
        large = service.shelf.signed(mentor(), body=os.urandom(1024**2) * (LARGE // 1024**2))
        one = f"/api/v1/agreements/{agreement_id}"
        asked = {
            "list, the newest 50": "/api/v1/agreements?limit=50",
            "search, by case": "/api/v1/agreements?case_system=tiltak&case_reference=2036-7",
            "one agreement": one,
            "one agreement of ten versions": f"/api/v1/agreements/{amended}",
            "signed document (120 KiB)": f"{one}/versions/1/document",
            "the same, unchanged (304)": f"{one}/versions/1/document",
            "log": f"{one}/log",
            "export (5 documents)": f"{one}/export",
            "refused (404)": f"/api/v1/agreements/{agreement_id[::-1]}",
        }
        print("| asked for | median ms | p95 ms |\n|---|---:|---:|")
        with requests.Session() as session:
            session.headers["Authorization"] = (
                f"Bearer {service.provider.token(role='archivist', lifetime=3600)}"
            )
            for name, path in asked.items():
                tag = session.get(service.address + path, timeout=60).headers.get("ETag", "")
                headers = {"If-None-Match": tag} if "304" in name else {}
                times = []
                for _ in range(count):
                    started = time.perf_counter()
                    answer = session.get(service.address + path, headers=headers, timeout=60)
                    times.append((time.perf_counter() - started) * 1000)
                    assert answer.status_code == (304 if "304" in name else 404 if "404" in name else 200), (
                        name
                    )
                p95 = sorted(times)[max(0, round(0.95 * len(times)) - 1)]
                print(f"| {name} | {statistics.median(times):.1f} | {p95:.1f} |")
        _large(service, f"/api/v1/agreements/{large}/versions/1/document")


def _large(service: Served, path: str) -> None:
    def read(_number: int) -> float:
        started = time.perf_counter()
        with service.get(path, stream=True) as answer:
            assert sum(map(len, answer.iter_content(1024**2))) == LARGE
        return time.perf_counter() - started

    before = peak_of(service.process.pid)
    alone = statistics.median(map(read, range(3)))
    with ThreadPoolExecutor(4) as pool:
        started = time.perf_counter()
        list(pool.map(read, range(8)))
        together = time.perf_counter() - started
    after = peak_of(service.process.pid)
    print(f"\n100 MiB: {alone:.2f} s; eight times by four readers at a time: {together:.2f} s.")
    print(f"Largest process: {before / 1024**2:.0f} MiB before, {after / 1024**2:.0f} MiB after.")


if __name__ == "__main__":
    given = [int(each) for each in sys.argv[1:3]]
    main(*given, *(300, 0)[len(given) :])
