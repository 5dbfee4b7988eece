"""Reading and writing agreements in the object store: the log, the blobs, the work markers.

Blobs first, then the entry that names them: an orphan blob is harmless, a dangling name is not.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import Future, wait
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from service.domain.agreement import Agreement
from service.domain.log import Draft, Entry, timestamp
from service.domain.ports import Clock, ObjectStore, Signals
from service.domain.signals import ENTRIES, FINISHED, SILENT
from service.errors import AlreadyExists, SignertError, StoreError
from service.pipeline.chain import Chain, read_chain, read_entries_after
from service.pipeline.together import begun
from signing import Kept, Parts, PartsFile, digest, one_document

__all__ = ["Ledger", "Raced", "Sent", "blob_key"]

log = logging.getLogger(__name__)

_REMEMBERED: Final = 64
_REMEMBERED_LOGS: Final = 8
_REMEMBERED_BYTES: Final = 32 * 1024 * 1024

_ENDS = frozenset({"signed", "declined", "expired", "cancelled", "rejected"})
"""Entries that a version ends with."""


class Raced(SignertError):
    """Another writer appended first; read the log again and go on from there."""

    code = "raced"
    retryable = True


def blob_key(agreement_id: str, sha256: str, extension: str) -> str:
    return f"agreements/{agreement_id}/blobs/{sha256}.{extension}"


class Sent:
    """Blobs on their way to the store, by their keys."""

    def __init__(self) -> None:
        self.under_way: dict[str, Future[None]] = {}

    def wait(self) -> None:
        """Until none is on its way any more, whether it has come or not."""
        wait(self.under_way.values())

    def arrived(self) -> None:
        """The same, and raises the error of the first that could not be stored."""
        self.wait()
        for future in self.under_way.values():
            with contextlib.suppress(AlreadyExists):
                future.result()

    def is_refused(self, key: str) -> bool:
        """Whether the store is known not to have taken it: something was there already, or it could not."""
        future = self.under_way.get(key)
        return future is not None and future.done() and future.exception() is not None


class _Recent(threading.local):
    """What a thread wrote or read of late, while it is to remember."""

    blobs: Kept[str, bytes] | None = None
    chains: Kept[str, Chain] | None = None
    sent: Sent | None = None
    """Where blobs are noted that are only sent, not waited for."""
    all_sent: Sent | None = None
    """All of this run."""

    def get(self, key: str) -> bytes | None:
        if self.blobs is None or (self.all_sent is not None and self.all_sent.is_refused(key)):
            return None
        return self.blobs.get(key)

    def put(self, key: str, body: bytes) -> None:
        if self.blobs is not None:
            self.blobs.put(key, body, len(body))


class Ledger:
    """One object store seen as agreements. Holds no state of its own but what a run is `remembering`.

    `retention` is how long the store is asked to keep log entries and what is archived, None for no such ask. Where a
    template asks for longer (`until`), that holds.
    """

    def __init__(
        self,
        store: ObjectStore,
        clock: Clock,
        retention: timedelta | None = None,
        signals: Signals = SILENT,
    ) -> None:
        self.store = store
        self._clock = clock
        self._retention = retention
        self._signals = signals
        self._recent = _Recent()

    @contextlib.contextmanager
    def remembering(self) -> Iterator[None]:
        """Meanwhile this thread does not ask the store for what it wrote or read just before.

        What a blob holds is what its name says, so it cannot age; of a log, what has come to it is read. Nothing is
        remembered afterwards: an erased agreement's content must not live on in a worker. So it is with certificates,
        which the steps of a run meet again and again.
        """
        if self._recent.blobs is not None:
            yield
            return
        self._recent.blobs = Kept(_REMEMBERED, _REMEMBERED_BYTES)
        self._recent.chains = Kept(_REMEMBERED_LOGS, _REMEMBERED_BYTES)
        self._recent.all_sent = Sent()
        try:
            with one_document():
                yield
        finally:
            self._recent.all_sent.wait()  # nothing is done to the store after the run
            self._recent.blobs = self._recent.chains = self._recent.all_sent = None

    @contextlib.contextmanager
    def sending(self) -> Iterator[Sent]:
        """Meanwhile `put_blob` only sends a blob on its way.

        Whoever writes the entry that names them waits first until they have `arrived`.
        """
        before, self._recent.sent = self._recent.sent, Sent()
        try:
            yield self._recent.sent
        finally:
            self._recent.sent = before

    @contextlib.contextmanager
    def storing_together(self) -> Iterator[None]:
        """Meanwhile `put_blob` only sends a blob on its way; with the end of the context all are in the store.

        Raises the error of the first that could not be stored. While somebody is `sending` anyway, he waits for them.
        """
        if self._recent.sent is not None:
            yield
            return
        with self.sending() as sent:
            try:
                yield
            finally:
                sent.wait()
        sent.arrived()

    def read(self, agreement_id: str) -> list[Entry]:
        """The whole chain, checked. Raises `NotFound` when there is no such agreement, `LogCorrupt`."""
        return list(self.chain(agreement_id).entries)

    def agreement(self, agreement_id: str) -> Agreement:
        """The state that the chain tells. Raises as `read`, and `NewerFormat`."""
        return self.chain(agreement_id).agreement

    def chain(self, agreement_id: str) -> Chain:
        """Both of these, as of one moment. Who is `remembering` gets the same one again, brought up to date."""
        recent = self._recent.chains
        chain = recent.get(agreement_id) if recent is not None else None
        if chain is None:
            chain = read_chain(self.store, agreement_id)
            if recent is not None:
                recent.put(agreement_id, chain, chain.size)
        else:
            chain.entries += read_entries_after(self.store, chain.entries[-1])
        return chain

    def note(self, entry: Entry) -> None:
        """Have this thread remember an entry that was written."""
        if (recent := self._recent.chains) is None:
            return
        chain = recent.get(entry.agreement_id)
        if chain is None and entry.seq == 0:
            chain = Chain([])
            recent.put(entry.agreement_id, chain, len(entry.body))
        if chain is not None and len(chain.entries) == entry.seq:
            chain.entries.append(entry)

    def gather(self, chain: Chain) -> None:
        """Have a log that has grown long read at once from now on. What goes wrong is for the next time."""
        try:
            chain.gather(self.store)
        except SignertError as exc:
            log.warning("log not gathered agreement=%s code=%s", chain.entries[0].agreement_id, exc.code)

    def read_after(self, entry: Entry) -> list[Entry]:
        """The entries that follow `entry`, checked against it."""
        return read_entries_after(self.store, entry)

    def append(
        self,
        agreement_id: str,
        last: Entry | None,
        draft: Draft,
        *,
        version: int,
        until: datetime | None = None,
    ) -> Entry:
        """Write `draft` as the entry after `last` (None: the first). Raises `Raced` when somebody was first."""
        entry = self.entry(agreement_id, last, draft, version=version)
        self.write(entry, until=until)
        self.note(entry)
        return entry

    def entry(self, agreement_id: str, last: Entry | None, draft: Draft, *, version: int) -> Entry:
        """`draft` as the entry after `last` (None: the first), made now."""
        return Entry(
            agreement_id=agreement_id,
            seq=last.seq + 1 if last else 0,
            previous=last.sha256 if last else None,
            id=str(uuid.uuid4()),
            at=timestamp(self._clock.now()),
            type=draft.type,
            version=version,
            data=draft.data,
            occurrences=draft.occurrences,
        )

    def write(self, entry: Entry, *, until: datetime | None = None) -> None:
        """Have the log go on with `entry`, from any thread. Raises `Raced` when somebody was first."""
        try:
            self.store.create(entry.key, entry.body, retain_until=self._retained(until))
        except AlreadyExists:
            # Our own write whose answer was lost, or somebody else's.
            if Entry.parse(self.store.get(entry.key)).id != entry.id:
                raise Raced(
                    f"log of agreement {entry.agreement_id}: entry {entry.seq} was written by another"
                ) from None
        self._signals.count(ENTRIES, entry.type)
        if entry.type in _ENDS:
            self._signals.count(FINISHED, entry.type)

    def put_blob(
        self,
        agreement_id: str,
        body: bytes | Parts,
        extension: str,
        *,
        archived: bool = False,
        until: datetime | None = None,
    ) -> str:
        """Store a blob under its SHA-256, which is returned (hex). The same bytes twice are one blob.

        `archived` blobs are final: they are retained as log entries are. What comes in parts and is too large to be
        remembered is never made one.
        """
        sha256: str = digest(body).hexdigest()
        key = blob_key(agreement_id, sha256, extension)
        retain_until = self._retained(until) if archived else None
        if isinstance(body, Parts) and len(body) > _REMEMBERED_BYTES:
            with contextlib.suppress(AlreadyExists), PartsFile(body.parts) as file:
                self.store.create(key, file, retain_until=retain_until)
            return sha256
        whole = bytes(body)
        create = partial(self.store.create, key, whole, retain_until=retain_until)
        if (sent := self._recent.sent) is not None:
            if key not in sent.under_way:
                sent.under_way[key] = begun(create)
                if self._recent.all_sent is not None:
                    self._recent.all_sent.under_way[key] = sent.under_way[key]
                self._recent.put(key, whole)
            return sha256
        with contextlib.suppress(AlreadyExists):
            create()
            self._recent.put(key, whole)
        return sha256

    def claim_blob(self, agreement_id: str, body: bytes, extension: str) -> str | None:
        """As `put_blob`, for the one who stores it first; None for all others."""
        sha256 = hashlib.sha256(body).hexdigest()
        try:
            self.store.create(blob_key(agreement_id, sha256, extension), body)
        except AlreadyExists:
            return None
        return sha256

    def restore(self, key: str, body: bytes, *, archived: bool, until: datetime | None = None) -> None:
        """Store an object of an archive package under its own key. Raises `AlreadyExists`."""
        self.store.create(key, body, retain_until=self._retained(until) if archived else None)

    def retain(self, key: str, until: datetime | None = None) -> None:
        """Ask the store to keep what is there already as long as log entries."""
        if last := self._retained(until):
            self.store.retain(key, last)

    def _retained(self, until: datetime | None) -> datetime | None:
        own = self._clock.now() + self._retention if self._retention else None
        return max((moment for moment in (own, until) if moment), default=None)

    def get_blob(self, agreement_id: str, sha256: str, extension: str, *, stored: bool = False) -> bytes:
        """A blob's bytes, whose hash is checked. Raises `NotFound`, `StoreError`.

        `stored` asks the store even for what is remembered: to see that it has it.
        """
        key = blob_key(agreement_id, sha256, extension)
        if not stored and (recent := self._recent.get(key)) is not None:
            return recent
        for sent in (self._recent.sent, self._recent.all_sent):
            if sent is not None and key in sent.under_way:
                wait([sent.under_way[key]])
        body = self.store.get(key)
        if hashlib.sha256(body).hexdigest() != sha256:
            raise StoreError(
                f"blob {sha256}.{extension} of agreement {agreement_id} is not what its name says"
            )
        self._recent.put(key, body)
        return body

    def get_json(self, agreement_id: str, sha256: str) -> dict[str, Any]:
        value = json.loads(self.get_blob(agreement_id, sha256, "json"))
        assert isinstance(value, dict)
        return value
