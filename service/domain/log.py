"""The append-only, hash-chained log of one agreement.

An entry's bytes are canonical JSON, so its SHA-256 is the same wherever it is computed, and each entry
names the SHA-256 of the one before. Entries hold no personal data: names, numbers and texts live in
blobs, and entries hold hashes, roles and times.

    >>> first = Entry("0b6f…", 0, None, "e-1", "2026-01-05T09:00:00.000Z", "submitted", 1, {})
    >>> later = {"id": "e-2", "at": "2026-01-05T09:00:01.000Z", "type": "rendered", "version": 1, "data": {}}
    >>> second = following(first, **later)
    >>> second.previous == first.sha256
    True
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from service.errors import LogCorrupt, NewerFormat

__all__ = [
    "Draft",
    "Entry",
    "Occurrence",
    "canonical",
    "check_chain",
    "following",
    "gather",
    "gathered_key",
    "log_key",
    "parse_gathered",
    "timestamp",
]

FORMAT = 1
"""Version of the entry's own layout (`v` in its JSON)."""


def canonical(value: object) -> bytes:
    """RFC 8785 bytes of `value`, restricted to what the log needs.

    Allowed are objects with ASCII keys, arrays, strings, integers within ±(2**53 − 1), booleans and null;
    for these, sorted keys and minimal escapes are all that RFC 8785 asks. Raises `ValueError` for anything else
    (floats above all: their text depends on the language that wrote them).
    """
    _restrict(value)
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def _restrict(value: object) -> None:
    match value:
        case None | bool() | str():
            return
        case int():
            if abs(value) >= 2**53:
                raise ValueError("an integer in canonical JSON must be within ±(2**53 - 1)")
        case Mapping():
            for key, item in value.items():
                if not (isinstance(key, str) and key.isascii()):
                    raise ValueError("a key in canonical JSON must be an ASCII string")
                _restrict(item)
        case list() | tuple():
            for item in value:
                _restrict(item)
        case _:
            raise ValueError(f"{type(value).__name__} has no place in canonical JSON")


def timestamp(moment: datetime) -> str:
    """`moment` as RFC 3339 in UTC with milliseconds: `2026-01-05T09:00:00.000Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class Occurrence:
    """What an entry tells the outside: the `type` and `data` of a CloudEvent to be published."""

    type: str
    data: Mapping[str, Any]


@dataclass(frozen=True)
class Draft:
    """An entry that is to be appended: all but its place in the chain."""

    type: str
    data: Mapping[str, Any]
    occurrences: tuple[Occurrence, ...] = ()
    version: int | None = None
    """The version that the entry opens or is about; None when it is about the current one."""


@dataclass(frozen=True)
class Entry:
    """One line of the log.

    `id` is unique to one attempt at writing, so that a writer recognises its own entry when the store's
    answer was lost. `version` is the agreement's version that the entry is about.
    """

    agreement_id: str
    seq: int
    previous: str | None
    id: str
    at: str
    type: str
    version: int
    data: Mapping[str, Any]
    occurrences: tuple[Occurrence, ...] = field(default=())

    @cached_property
    def body(self) -> bytes:
        """The canonical bytes that are stored and hashed."""
        return canonical(
            {
                "v": FORMAT,
                "agreement": self.agreement_id,
                "seq": self.seq,
                "previous": self.previous,
                "id": self.id,
                "at": self.at,
                "type": self.type,
                "version": self.version,
                "data": self.data,
                "events": [{"type": o.type, "data": o.data} for o in self.occurrences],
            }
        )

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.body).hexdigest()

    @property
    def key(self) -> str:
        return log_key(self.agreement_id, self.seq)

    @classmethod
    def parse(cls, body: bytes) -> Entry:
        """The entry of these bytes. Raises `LogCorrupt` unless they are exactly what `body` would give back.

        Of another format than ours, `NewerFormat`.
        """
        entry = _read(body)
        try:
            intact = entry.body == body
        except (ValueError, TypeError) as exc:
            raise LogCorrupt(f"a log entry cannot be read: {type(exc).__name__}") from exc
        if not intact:
            raise LogCorrupt(
                "a log entry is not in its canonical form: it was altered, or is of another format"
            )
        return entry

    def cloud_events(self) -> list[dict[str, Any]]:
        """The entry's CloudEvents 1.0, with ids that are the same each time they are made."""
        return [
            {
                "specversion": "1.0",
                "id": f"{self.agreement_id}.{self.seq:08d}.{number}",
                "source": "/signert",
                "type": occurrence.type,
                "subject": self.agreement_id,
                "time": self.at,
                "datacontenttype": "application/json",
                "data": {"agreement_id": self.agreement_id, "version": self.version, **occurrence.data},
            }
            for number, occurrence in enumerate(self.occurrences)
        ]


def _read(body: bytes) -> Entry:
    """The entry that these bytes tell, canonical or not. Raises `LogCorrupt`, `NewerFormat`."""
    try:
        raw = json.loads(body)
        if isinstance(raw["v"], int) and raw["v"] > FORMAT:
            raise NewerFormat(f"a log entry is of format {raw['v']}; this release knows {FORMAT}")
        if raw["v"] != FORMAT:
            raise ValueError("no format of ours")
        return Entry(
            agreement_id=raw["agreement"],
            seq=raw["seq"],
            previous=raw["previous"],
            id=raw["id"],
            at=raw["at"],
            type=raw["type"],
            version=raw["version"],
            data=raw["data"],
            occurrences=tuple(Occurrence(e["type"], e["data"]) for e in raw["events"]),
        )
    except (ValueError, KeyError, TypeError) as exc:
        raise LogCorrupt(f"a log entry cannot be read: {type(exc).__name__}") from exc


def log_key(agreement_id: str, seq: int) -> str:
    return f"agreements/{agreement_id}/log/{seq:08d}.json"


def gathered_key(agreement_id: str) -> str:
    """Where the log's first entries are kept together, a line each: for reading, not for proof."""
    return f"agreements/{agreement_id}/log.jsonl"


def gather(entries: Iterable[Entry]) -> bytes:
    """The entries' canonical bytes (they have no line break), a line each."""
    return b"\n".join(entry.body for entry in entries)


def parse_gathered(agreement_id: str, body: bytes) -> list[Entry]:
    """The entries that `gather` was given, a chain from the first one on. Raises `LogCorrupt`, `NewerFormat`.

    Each line is known by its SHA-256, which stands in the next, so these are the bytes that were once written. Only
    the last one vouches for itself: hold it against the log's own entry.
    """
    entries: list[Entry] = []
    for line in body.split(b"\n"):
        entry = _read(line)
        entry.__dict__["body"] = line  # as `cached_property` keeps it
        entries.append(entry)
    check_chain(agreement_id, entries)
    return entries


def following(
    last: Entry,
    *,
    id: str,
    at: str,
    type: str,
    version: int,
    data: Mapping[str, Any],
    occurrences: Iterable[Occurrence] = (),
) -> Entry:
    """The entry that comes after `last` in its chain."""
    return Entry(
        last.agreement_id, last.seq + 1, last.sha256, id, at, type, version, data, tuple(occurrences)
    )


def check_chain(agreement_id: str, entries: Iterable[Entry], *, after: Entry | None = None) -> None:
    """Raise `LogCorrupt` unless the entries are this agreement's chain from its first entry, or from `after`, on."""
    previous = after.sha256 if after else None
    for expected, entry in enumerate(entries, after.seq + 1 if after else 0):
        if entry.agreement_id != agreement_id or entry.seq != expected:
            raise LogCorrupt(f"log of agreement {agreement_id}: entry {expected} is missing or out of place")
        if entry.previous != previous:
            raise LogCorrupt(
                f"log of agreement {agreement_id}: entry {expected} does not follow the one before"
            )
        previous = entry.sha256
