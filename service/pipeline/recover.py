"""After a restore: have every agreement that has something ahead of it, and every command, taken up again.

Work markers and deadlines are hints that come and go while the log stays. A copy of the store that was made while
workers wrote may lack them; this makes them anew from the logs.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from service.domain.agreement import Agreement
from service.domain.ports import Clock, ObjectStore
from service.domain.steps import next_step
from service.errors import LogCorrupt, NotFound
from service.pipeline.chain import read_chain
from service.pipeline.fsck.agreements import read_claim
from service.pipeline.fsck.reading import FOLD_FAULTS
from service.pipeline.waiting import is_noted
from service.pipeline.work import Workbook, marker_key

__all__ = ["Recovered", "recover"]

_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_RUN: Final = "recovered"
_ALL_TOLD: Final = 10**9


@dataclass
class Recovered:
    """What was looked at and taken up. Of a dry run: what would be."""

    agreements: int = 0
    marked: list[str] = field(default_factory=list)
    """Agreements that nobody would have gone on with, or looked at when their next deadline comes."""
    commands: int = 0
    taken_up: list[str] = field(default_factory=list)
    """Ids of commands that were claimed and are in no log yet."""
    unreadable: list[str] = field(default_factory=list)
    """Agreements whose log does not hold; nothing was done about them. See `signert fsck`."""


def recover(
    store: ObjectStore,
    clock: Clock,
    *,
    dry_run: bool = False,
    observe: Callable[[Recovered], None] = lambda _: None,
) -> Recovered:
    """Set a work marker for each of them; the next sweep goes on with it. `observe` is called as it goes on.

    Safe to break off, to repeat, and while workers run: a marker too many costs a look. Of an agreement that is not at
    rest all events are published again, with the ids they had: which of them the copy came too late for, nobody
    knows. Raises `StoreError`.
    """
    done = Recovered()
    workbook = Workbook(store, clock)
    known: set[str] = set()

    def mark(agreement_id: str, run: str, since: int) -> None:
        if not dry_run:
            workbook.begin(agreement_id, run, since)

    for agreement_id in store.folders("agreements/"):
        if not _UUID.fullmatch(agreement_id):
            continue
        driven = _any(store, f"work/{agreement_id}/")  # before the log: a marker goes after the last entry
        try:
            agreement = read_chain(store, agreement_id).agreement
        except NotFound:
            continue  # blobs of a command that is not taken in yet, or was refused late
        except (LogCorrupt, *FOLD_FAULTS):
            done.unreadable.append(agreement_id)
            continue
        done.agreements += 1
        known.update(agreement.commands)
        since = None if driven else _untold(store, clock, agreement)
        if since is not None:
            mark(agreement_id, _RUN, since)
            done.marked.append(agreement_id)
        observe(done)
    for key in store.list("commands/"):
        done.commands += 1
        command_id = key.removeprefix("commands/").removesuffix(".json")
        agreement_of_claim = None if command_id in known else _waiting(store, key, set(done.unreadable))
        if agreement_of_claim is not None:
            mark(agreement_of_claim, command_id, _length(store, agreement_of_claim))
            done.taken_up.append(command_id)
        observe(done)
    return done


def _untold(store: ObjectStore, clock: Clock, agreement: Agreement) -> int | None:
    """From which entry on events are to be published when it is taken up; None when there is no need to take it up."""
    now = clock.now()
    if next_step(agreement, now) is not None:
        return 0
    return None if is_noted(store, agreement, now) else _ALL_TOLD


def _waiting(store: ObjectStore, key: str, unreadable: set[str]) -> str | None:
    """The agreement of a claim that nobody takes in; None when somebody will, or nobody should."""
    try:
        claim = read_claim(store.get(key))
    except NotFound:
        return None
    if claim is None or "refused" in claim or claim["agreement_id"] in unreadable:
        return None
    if store.exists(marker_key(claim["agreement_id"], claim["command_id"])):
        return None
    return claim["agreement_id"]


def _length(store: ObjectStore, agreement_id: str) -> int:
    return sum(1 for _ in store.list(f"agreements/{agreement_id}/log/"))


def _any(store: ObjectStore, prefix: str) -> bool:
    return any(True for _ in store.list(prefix, limit=1))
