"""The fault test: agreements through RabbitMQ and S3 while everything around them is killed.

    outcome = run(Plan(agreements=100, seed=1), folder)
    assert not outcome.wrong, outcome.told

One thread does it all, but for the reader of events and the proxy before the store: it sends commands, keeps the
workers' places filled, and strikes when so many events have been seen. So the number of blows does not depend on
how fast the machine is. The seed fixes what is sent, which blows fall after how many events, and the faults that the
proxy draws; which worker does what at that moment is chance, as it is in life.
"""

from __future__ import annotations

import contextlib
import enum
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.chaos.audit import Audit, Store, tails
from tests.chaos.fleet import Fleet, Kill
from tests.chaos.messages import CaseSystem, Order, Reader, make_orders
from tests.e2e.conftest import Installation
from tests.faultproxy import Fault, FaultProxy, at_random
from tests.rabbitmq import RabbitNode, running_rabbitmq
from tests.s3server import S3Server, running_s3

__all__ = ["Outcome", "Plan", "run"]

EVENTS_EACH = 5
"""rendered, three times party-signed, signed"""
BOTH, RENDER, SIGN = "render,sign", "render", "sign"

FAULTS = [
    Fault.DROP_ANSWER, Fault.CUT_ANSWER, Fault.RESET, Fault.DELAY, Fault.ANSWER_409, Fault.ANSWER_500,
    Fault.ANSWER_503, Fault.NONSENSE, Fault.EMPTY, Fault.ALTERED,
]  # fmt: skip
"""All that a store which keeps its contract, or a network before it, may do."""


class Blow(enum.StrEnum):
    """What is done to the servers."""

    BROKER_KILLED = "broker killed"
    BROKER_RESTARTED = "broker restarted"
    BROKER_PAUSED = "broker paused"
    STORE_KILLED = "store killed"
    POWER_CUT = "everything killed at once"


@dataclass(frozen=True)
class Plan:
    """`limit` in seconds is for the whole run; generous, for it tells a stop from slowness."""

    agreements: int
    seed: int
    workers: Sequence[str] = (BOTH, BOTH, SIGN)
    kills: Sequence[Kill] = (Kill.WORKER, Kill.GROUP, Kill.CHILD, Kill.PAUSE)
    blows: Sequence[Blow] = (Blow.BROKER_KILLED, Blow.STORE_KILLED)
    fault_rate: float = 0.04
    delay: float = 0.5
    abandoned_after: int = 8
    window: int = 5
    """Agreements under way at a time."""
    limit: float = 600.0

    def strokes(self, dice: random.Random) -> list[tuple[int, Kill | Blow]]:
        """`kills` and `blows` in any order, each with the number of events after which it falls."""
        kinds: list[Kill | Blow] = [*self.kills, *self.blows]
        dice.shuffle(kinds)
        share = 0.9 * EVENTS_EACH * self.agreements / len(kinds)
        return [(int((place + dice.random()) * share), kind) for place, kind in enumerate(kinds)]


@dataclass(frozen=True)
class World:
    """What there is to be struck, and who looks on."""

    node: RabbitNode
    s3: S3Server
    proxy: FaultProxy
    fleet: Fleet
    reader: Reader


class Storm:
    """One run. What it needs is running; `run` returns when all agreements rest and every blow has fallen."""

    def __init__(self, plan: Plan, world: World, tell: Callable[[str], None]) -> None:
        self._plan, self._world, self._tell = plan, world, tell
        self._dice = random.Random(plan.seed)
        self.orders = make_orders(plan.agreements, self._dice)
        self._strokes = plan.strokes(self._dice)
        self._unsent = list(self.orders)
        self._under_way: set[str] = set()
        self._began = time.monotonic()
        self._pause = threading.Event()
        self.struck: Counter[Blow] = Counter()
        self.case_system = CaseSystem(world.node.url)

    def run(self) -> None:
        self._world.fleet.start()
        self._world.fleet.wait_until_ready(120)
        self._world.proxy.chooser = at_random(self._plan.fault_rate, FAULTS, seed=self._plan.seed)
        while self._unsent or self._strokes or not self._all_answered():
            self._turn()
            self._send_more()
            self._strike()
        self._world.proxy.chooser = None
        self._progress("all are signed; waiting for quiet")
        while not self._is_quiet():
            self._turn()
        self._progress("quiet")
        self.case_system.close()

    def _turn(self) -> None:
        """Between two looks."""
        if time.monotonic() > self._began + self._plan.limit:
            raise TimeoutError(f"not at rest after {self._plan.limit:.0f} s: {self._awaited()}")
        self._world.fleet.tend()
        self._pause.wait(0.1)

    def _progress(self, what: str) -> None:
        passed = time.monotonic() - self._began
        self._tell(
            f"{passed:5.0f} s  {len(self._world.reader.signed):3} of {self._plan.agreements} signed  {what}"
        )

    # --- sending ------------------------------------------------------------------------------------------

    def _send_more(self) -> None:
        self._under_way -= set(self._world.reader.signed)
        for order in list(self._unsent):
            if order.after and order.after not in self._world.reader.signed:
                continue
            fresh = order.agreement_id and not order.repeated
            if fresh and len(self._under_way) >= self._plan.window:
                continue
            if order.repeated and not order.after and self._is_unsent(order):
                continue
            self.case_system.send(order)
            self._unsent.remove(order)
            if fresh and order.agreement_id:
                self._under_way.add(order.agreement_id)

    def _is_unsent(self, repetition: Order) -> bool:
        return any(o.body == repetition.body and not o.repeated for o in self._unsent)

    def _all_answered(self) -> bool:
        wanted = {o.agreement_id for o in self.orders if o.agreement_id}
        refused = [e["data"]["code"] for e in self._world.reader.refusals()]
        bad = Counter(o.refusal for o in self.orders if o.refusal)
        return wanted <= set(self._world.reader.signed) and bad <= Counter(refused)

    def _awaited(self) -> str:
        """What has not come, for people."""
        wanted = {o.agreement_id for o in self.orders if o.agreement_id}
        queues = {name: self._world.node.queue(name) for name in self._world.node.queues()}
        waiting = {name: q["messages"] for name, q in queues.items() if q and q["messages"]}
        return (
            f"{len(self._unsent)} messages to send, still to come {self._strokes}, "
            f"unsigned {sorted(map(str, wanted - set(self._world.reader.signed)))}, "
            f"refusals {Counter(e['data']['code'] for e in self._world.reader.refusals())}, queues {waiting}"
        )

    # --- blows --------------------------------------------------------------------------------------------

    def _strike(self) -> None:
        if not self._strokes or self._world.reader.distinct < self._strokes[0][0]:
            return
        stroke = self._strokes[0][1]
        if isinstance(stroke, Blow):
            self._strike_servers(stroke)
            self.struck[stroke] += 1
        elif not self._world.fleet.strike(stroke, self._dice):
            return  # nobody is there now: at the next look
        del self._strokes[0]
        self._progress(stroke if isinstance(stroke, Blow) else f"a worker: {stroke}")

    def _strike_servers(self, blow: Blow) -> None:
        match blow:
            case Blow.BROKER_KILLED:
                self._world.node.restart()
            case Blow.BROKER_RESTARTED:
                self._world.node.restart(gracefully=True)
            case Blow.BROKER_PAUSED:
                for pid in self._world.node.pids:
                    os.kill(pid, signal.SIGSTOP)
                self._pause.wait(_BROKER_PAUSE)
                for pid in self._world.node.pids:
                    os.kill(pid, signal.SIGCONT)
            case Blow.STORE_KILLED:
                self._world.s3.stop()
                self._world.s3.start()
            case Blow.POWER_CUT:
                with self._world.node.away():
                    self._world.s3.stop()
                    self._world.fleet.strike_all()
                    self._world.s3.start()

    # --- rest ---------------------------------------------------------------------------------------------

    def _is_quiet(self) -> bool:
        """Nothing is on its way: no work marker, no waiting event, no message."""
        client = self._world.s3.client()
        for prefix in ("work/", "outbox/"):
            found = client.list_objects_v2(Bucket=S3Server.LOCKED, Prefix=f"{_PREFIX}/{prefix}", MaxKeys=1)
            if found.get("Contents"):
                return False
        waited_for = [n for n in self._world.node.queues() if not n.startswith(_NOT_WAITED_FOR)]
        queues = [self._world.node.queue(name) for name in waited_for]
        return not any(q and q["messages"] for q in queues)


@dataclass(frozen=True)
class Outcome:
    """What came of a run. `wrong` is empty when nothing was lost, sentences otherwise."""

    figures: Mapping[str, Any]
    wrong: Sequence[str]
    told: str
    """For people: the figures, what was wrong, and where to look."""


def run(plan: Plan, folder: Path, *, tell: Callable[[str], None] = lambda _: None) -> Outcome:
    """Run the plan in `folder`, which is kept. `tell` is given a line of progress at each blow."""
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        node = stack.enter_context(running_rabbitmq(folder))
        s3 = stack.enter_context(running_s3(folder))
        proxy = stack.enter_context(FaultProxy(s3.endpoint, delay=plan.delay))
        (folder / "tmp").mkdir()
        installation = Installation(
            folder / "home",
            SIGNERT_BROKER=node.url,
            SIGNERT_STORE=f"s3://{S3Server.LOCKED}/{_PREFIX}",
            SIGNERT_S3_ENDPOINT=s3.endpoint,
            SIGNERT_S3_LOCK="governance",
            SIGNERT_RETENTION_DAYS="1",
            SIGNERT_ABANDONED_AFTER=str(plan.abandoned_after),
            TMPDIR=str(folder / "tmp"),
            **s3.environ,
        )
        reader = stack.enter_context(Reader(node.url))
        fleet = Fleet({**installation.environ, "SIGNERT_S3_ENDPOINT": proxy.url}, folder, plan.workers)
        storm = Storm(plan, World(node, s3, proxy, fleet, reader), tell)
        audit = Audit(installation, Store(s3, S3Server.LOCKED, _PREFIX), node, reader, storm.orders)
        with fleet:
            try:
                storm.run()
            except TimeoutError as exc:
                audit.wrong.append(str(exc))
                proxy.chooser = None
        calm = time.monotonic()
        audit.run(fleet.logs)
        wrong = [*audit.wrong, *fleet.wrong]
        figures = {
            "seed": plan.seed,
            "agreements": plan.agreements,
            "workers": len(plan.workers),
            "seconds": {"storm": round(calm - began), "audit": round(time.monotonic() - calm)},
            "messages": storm.case_system.sent,
            "messages_sent_again": storm.case_system.sent_again,
            "blows_to_workers": dict(sorted(fleet.kills.items())),
            "blows_to_servers": dict(sorted(storm.struck.items())),
            "workers_started": len(fleet.all),
            "workers_ended_by_themselves": len(fleet.ended_by_themselves),
            "store_requests": len(proxy.requests),
            "faults": {f.value: n for f, n in sorted(proxy.injected.items(), key=lambda i: i[0].value)},
            "reader_connections": reader.connections,
            **audit.figures,
            "wrong": len(wrong),
        }
        told = table(figures)
        if wrong:
            told = "\n".join(
                [told, *_looked_up(installation, fleet, audit, wrong), f"All is kept in {folder}"]
            )
    return Outcome(figures, wrong, told)


def _looked_up(installation: Installation, fleet: Fleet, audit: Audit, wrong: Sequence[str]) -> Iterator[str]:
    yield "\n=== wrong"
    yield from wrong
    yield "\n=== parked"
    yield from audit.parked()
    yield "\n=== fsck"
    yield from (
        f"{f['severity']} {f['code']} {f['where']}: {f['message']}"
        for f in audit.findings
        if f["code"] != "blob_orphaned"  # what a crash leaves, in numbers
    )
    yield "\n=== workers that ended by themselves"
    yield from fleet.ended_by_themselves
    yield "\n=== logs"
    yield tails(fleet.logs)


def table(figures: Mapping[str, Any]) -> str:
    """The figures, one a line."""
    lines = []
    for name, value in figures.items():
        shown = value
        if isinstance(value, Mapping):
            shown = ", ".join(f"{number} {what}" for what, number in value.items()) or "none"
        lines.append(f"  {name.replace('_', ' '):32} {shown}")
    return "\n".join(lines)


_PREFIX = "chaos"
_BROKER_PAUSE = 8.0  # longer than any of the service's own limits for an answer
_NOT_WAITED_FOR = ("signert.events", "signert.ticks", "signert.dead-letters")
