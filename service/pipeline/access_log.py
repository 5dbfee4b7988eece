"""The access log: who read what, when, and what came of it; written before a byte is sent.

    access/{agreement_id}/{yyyy-mm-dd}/{hhmmss.mmm}-{id}.json     what was read of an agreement
    access/refused/{yyyy-mm-dd}/{hhmmss.mmm}-{id}.json            what somebody asked for who may not, or is not there
    access/searches/{yyyy-mm-dd}/{hhmmss.mmm}-{id}.json           lists and searches

Records are created and never changed. They hold no personal data: a reader is its role, its issuer and a pseudonym
(see `domain/pseudonyms.py`), the same for the same person. A refusal is recorded in the same way whether the agreement
exists or not, so that neither the answer nor the store tells.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date
from typing import Any, Final

from service.domain.access import Reader, Standing
from service.domain.log import canonical, timestamp
from service.domain.ports import Clock, ObjectStore
from service.domain.pseudonyms import Pseudonyms
from service.errors import SignertError, StoreError

__all__ = ["REFUSED", "SEARCHES", "AccessLog", "AccessNotRecorded", "Outcome", "Read"]

FORMAT: Final = 1
REFUSED: Final = "refused"
SEARCHES: Final = "searches"


class AccessNotRecorded(SignertError):
    """The store did not take the record, so nothing may be read."""

    code = "access_not_recorded"
    retryable = True


class Outcome:
    """What came of a request."""

    READ: Final = "read"
    UNCHANGED: Final = "unchanged"
    """The reader has it already (HTTP 304)."""
    LINKED: Final = "linked"
    """A link into the store was handed out."""
    REFUSED: Final = "refused"


@dataclass(frozen=True)
class Read:
    """What a request asks for. `what` is a document's name or a resource; `detail` has no personal data."""

    what: str
    outcome: str
    agreement_id: str | None = None
    version: int | None = None
    sha256: str | None = None
    standings: Collection[Standing] = ()
    detail: Mapping[str, str | int | bool] | None = None


class AccessLog:
    def __init__(self, store: ObjectStore, clock: Clock, pseudonyms: Pseudonyms) -> None:
        self._store = store
        self._clock = clock
        self._pseudonyms = pseudonyms

    def record(self, reader: Reader, read: Read, *, trace: str) -> None:
        """Write it down; when this returns, the record is safe. Raises `AccessNotRecorded`."""
        now = self._clock.now()
        place = REFUSED if read.outcome == Outcome.REFUSED else read.agreement_id or SEARCHES
        body = {
            "v": FORMAT,
            "at": timestamp(now),
            "agreement": read.agreement_id,
            "version": read.version,
            "what": read.what,
            "sha256": read.sha256,
            "outcome": read.outcome,
            "reader": {
                "role": reader.role,
                "issuer": reader.issuer,
                "pseudonym": self.pseudonym(reader),
                "standings": sorted(read.standings),
            },
            "detail": dict(read.detail or {}),
            "trace": trace,
        }
        moment = now.astimezone(UTC)
        name = f"{moment:%H%M%S}.{moment.microsecond // 1000:03d}-{uuid.uuid4().hex}"
        key = f"access/{place}/{moment:%Y-%m-%d}/{name}.json"
        try:
            self._store.create(key, canonical(body))
        except StoreError as exc:
            raise AccessNotRecorded(
                "this read cannot be recorded, so it is not answered", remedy="Try again in a while."
            ) from exc

    def pseudonym(self, reader: Reader) -> str:
        """The reader's: a person's is that of the identity number, whoever has vouched for it."""
        if reader.national_id:
            return self._pseudonyms.of(reader.national_id)
        return self._pseudonyms.of_subject(reader.issuer, reader.subject)

    def read(self, place: str, *, since: date | None = None) -> Iterator[dict[str, Any]]:
        """Records of an agreement, or of `REFUSED` or `SEARCHES`, from `since` (UTC) on, in order of time."""
        prefix = f"access/{place}/"
        for key in self._store.list(prefix):
            if since is None or key[len(prefix) : len(prefix) + 10] >= since.isoformat():
                yield json.loads(self._store.get(key))
