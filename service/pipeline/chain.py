"""Reading an agreement's log: entry by entry, and of a long one what was gathered in one object.

The entries are the truth, an object each. A log of a hundred amendments has sixteen hundred, and every command
reads it: so now and then, at rest, the log as it is is also written as one object (`log.jsonl`, a line an entry).
That one proves itself: each line's SHA-256 stands in the next, and the last line is held against its entry. So what
is read is what is stored, whoever wrote the gathered object; one that does not fit is left alone, and replaced.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from service.domain.agreement import Agreement
from service.domain.folding import advance, fold
from service.domain.log import Entry, check_chain, gather, gathered_key, log_key, parse_gathered
from service.domain.ports import ObjectStore
from service.errors import ChecksumMismatch, LogCorrupt, NotFound, StoreError

__all__ = ["Chain", "read_chain", "read_entries_after"]

log = logging.getLogger(__name__)

_SHORT: Final = 16
"""So many entries are read one by one; the usual agreement with three parties has 19 when it is signed."""


@dataclass
class Chain:
    """The whole, checked log of one agreement; its first `gathered` entries are together in one object."""

    entries: list[Entry]
    gathered: int = 0
    _agreement: Agreement | None = None

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(len(entry.body) for entry in self.entries)

    @property
    def agreement(self) -> Agreement:
        """The state that the entries tell. Raises `NewerFormat`."""
        known = self._agreement
        if known is None:
            known = fold(self.entries)
        else:
            for entry in self.entries[known.head.seq + 1 :]:
                known = advance(known, entry)
        self._agreement = known
        return known

    def gather(self, store: ObjectStore) -> None:
        """Write the log as one object, when enough has come to it. Raises `StoreError`."""
        if len(self.entries) - self.gathered >= _SHORT:
            store.put(gathered_key(self.entries[0].agreement_id), gather(self.entries))
            self.gathered = len(self.entries)


def read_chain(store: ObjectStore, agreement_id: str) -> Chain:
    """The whole chain, checked. Raises `NotFound` when there is no such agreement, `LogCorrupt`, `StoreError`."""
    folder = f"agreements/{agreement_id}/log/"
    keys = list(store.list(folder, limit=_SHORT + 1))
    if not keys:
        raise NotFound(
            f"there is no agreement {agreement_id}",
            remedy="Check the id, and that SIGNERT_STORE is the right store.",
        )
    first: Sequence[Entry] = ()
    if len(keys) > _SHORT:
        first = _gathered(store, agreement_id)
        keys = list(store.list(folder, after=log_key(agreement_id, len(first) - 2) if first else None))
    read = [Entry.parse(store.get(key)) for key in keys]
    if first and not (read and read[0].body == first[-1].body):
        log.warning("gathered log not used agreement=%s: it does not fit the entries", agreement_id)
        first = ()
        read = [Entry.parse(store.get(key)) for key in store.list(folder)]
    check_chain(agreement_id, read, after=first[-2] if len(first) > 1 else None)
    return Chain([*first[:-1], *read], gathered=len(first))


def _gathered(store: ObjectStore, agreement_id: str) -> Sequence[Entry]:
    """The entries that were gathered, each but the last proven by the next; none where there is nothing of use."""
    try:
        return parse_gathered(agreement_id, store.get(gathered_key(agreement_id)))
    except NotFound:
        return ()
    except (ChecksumMismatch, LogCorrupt, RecursionError) as exc:
        log.warning("gathered log not used agreement=%s: %s", agreement_id, type(exc).__name__)
        return ()


def read_entries_after(store: ObjectStore, entry: Entry) -> list[Entry]:
    """The entries that follow `entry`, checked against it. Raises `StoreError`."""
    found: list[Entry] = []
    last = entry
    while store.exists(key := log_key(entry.agreement_id, last.seq + 1)):
        following = Entry.parse(store.get(key))
        if following.previous != last.sha256:
            raise StoreError(f"log of agreement {entry.agreement_id}: entry {following.seq} does not follow")
        found.append(following)
        last = following
    return found
