"""The index made anew from the logs, while the service runs.

Each log is read and its agreement entered as `index` would; then every entry that no agreement's card knows is taken
away. What a worker is about to write is left alone: as long as it is at work its marker is there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from typing import Final, TypeVar

from service.domain.places import CARD, INDEX, Found
from service.domain.ports import ObjectStore
from service.domain.pseudonyms import Pseudonyms
from service.errors import ConfigurationError, LogCorrupt, NotFound
from service.pipeline.chain import read_chain
from service.pipeline.index import card_of, index, read_card

__all__ = ["Reindexed", "Staleness", "reindex", "staleness"]

_AT_A_TIME: Final = 8
_BATCH: Final = 64
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

_A = TypeVar("_A")
_B = TypeVar("_B")


@dataclass
class Reindexed:
    """How far it is, and what was found. Of a dry run: what would be done."""

    agreements: int = 0
    entered: int = 0
    """Agreements whose card or places were missing or told something else."""
    entries: int = 0
    """Entries of the index that were looked at."""
    removed: int = 0
    unreadable: list[str] = field(default_factory=list)
    """Agreements whose log does not hold; what the index says of them is left as it was. See `signert fsck`."""


def reindex(
    store: ObjectStore,
    pseudonyms: Pseudonyms | None,
    *,
    dry_run: bool = False,
    observe: Callable[[Reindexed], None] = lambda _: None,
) -> Reindexed:
    """Bring the whole index in step with the logs. `observe` is called as it goes on.

    Safe to break off and to repeat. Raises `ConfigurationError` when the index knows people and `pseudonyms` are not
    given, and `StoreError`.
    """
    done = Reindexed()

    def one(agreement_id: str) -> bool | None:
        return _enter(store, pseudonyms, agreement_id, dry_run=dry_run)

    def old(key: str) -> bool:
        is_old = staleness(store, key) is not None
        if is_old and not dry_run:
            store.delete(key)
        return is_old

    with ThreadPoolExecutor(_AT_A_TIME, thread_name_prefix="reindex") as pool:
        ids = (name for name in store.folders("agreements/") if _UUID.fullmatch(name))
        for agreement_id, entered in _batched(pool, one, ids):
            done.agreements += 1
            done.entered += entered is True
            if entered is None:
                done.unreadable.append(agreement_id)
            observe(done)
        for _, removed in _batched(pool, old, store.list(INDEX)):
            done.entries += 1
            done.removed += removed
            observe(done)
    return done


def _batched(pool: ThreadPoolExecutor, ask: Callable[[_A], _B], of: Iterable[_A]) -> Iterator[tuple[_A, _B]]:
    """Each of them with the answer, in order, no more than a batch ahead: there may be millions."""
    waiting = iter(of)
    while batch := list(islice(waiting, _BATCH)):
        yield from zip(batch, pool.map(ask, batch), strict=True)


def _enter(
    store: ObjectStore, pseudonyms: Pseudonyms | None, agreement_id: str, *, dry_run: bool
) -> bool | None:
    """Whether the index did not know the agreement as it is; None when its log cannot be read."""
    try:
        agreement = read_chain(store, agreement_id).agreement
    except NotFound:
        return False  # blobs of a command that was refused late
    except (LogCorrupt, KeyError, ValueError, TypeError, StopIteration, AttributeError, IndexError):
        return None
    before = read_card(store, agreement_id)
    if before and before.key_id and pseudonyms is None:
        raise ConfigurationError(
            "the index knows people by a key that is not set here",
            remedy="Set SIGNERT_PSEUDONYM_KEY_FILE as the workers have it.",
        )
    if before and before.seq > agreement.head.seq:
        return False  # entered by a worker just now
    card = card_of(store, pseudonyms, agreement)
    if card == before and all(store.exists(key) for key in card.keys):
        return False
    if not dry_run:
        index(store, pseudonyms, agreement, anew=True)
    return True


class Staleness(StrEnum):
    """Why an entry of the index leads nowhere."""

    UNKNOWN = "unknown"
    """No entry has such a key in this release."""
    NO_AGREEMENT = "no-agreement"
    ELSEWHERE = "elsewhere"
    """The agreement stands elsewhere."""


def staleness(store: ObjectStore, key: str) -> Staleness | None:
    """Why the entry is to be taken away; None when it is right, or somebody is at work on the agreement."""
    entry = Found.parse(key)
    card_of_whom = CARD.fullmatch(key)
    if entry is None and card_of_whom is None:
        return Staleness.UNKNOWN
    agreement_id = entry.agreement_id if entry else card_of_whom["agreement"] if card_of_whom else ""
    if entry and (card := read_card(store, agreement_id)) and key in card.keys:
        return None
    # A marker is there from before a run's first write until after its last: only then is the card final.
    if _any(store, f"work/{agreement_id}/"):
        return None
    if not _any(store, f"agreements/{agreement_id}/log/"):
        return Staleness.NO_AGREEMENT
    if entry is None:
        return None
    card = read_card(store, agreement_id)
    return Staleness.ELSEWHERE if card and key not in card.keys else None


def _any(store: ObjectStore, prefix: str) -> bool:
    return any(True for _ in store.list(prefix, limit=1))
