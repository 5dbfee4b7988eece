"""Reading one agreement's objects: each is held against its name, and what does not hold becomes a finding."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeGuard

from service.domain.log import Entry, log_key
from service.domain.paper import EXTENSIONS
from service.domain.ports import ObjectStore
from service.errors import ChecksumMismatch, LogCorrupt, NewerFormat, NotFound, StoreError
from service.pipeline.fsck.findings import Counts, Finding, finding
from service.pipeline.ledger import blob_key

__all__ = ["Blobs", "Examined", "Log", "named_blobs", "read_entry", "read_log"]

BLOB_FIELDS: Final[Mapping[str, str]] = {
    "values_sha256": "json",
    "input_sha256": "json",
    "certificates_sha256": "json",
    "evidence_sha256": "json",
    "answer_sha256": "json",
    "claim_sha256": "claim",
    "docx_sha256": "docx",
    "courtesy_sha256": "pdf",
    "screened_sha256": "pdf",
    "prepared_sha256": "prepared",
    "to_sign_sha256": "bin",
    "report_sha256": "json",
    "receipt_sha256": "json",
    "receipt_signature_sha256": "p7s",
    "receipt_pdf_sha256": "pdf",
    "record_sha256": "json",
    "record_signature_sha256": "p7s",
    "renewal_receipt_sha256": "json",
    "renewal_receipt_signature_sha256": "p7s",
}
"""Fields of an entry's data that name a blob, and the blob's extension; beside them there are `revision` and `scan`."""
OTHER_HASHES: Final = frozenset(
    {
        "payload_sha256",
        "template_sha256",
        "base_sha256",
        "certificate_sha256",
        "state_sha256",
        "declaration_sha256",
        "declaration_receipt_sha256",
    }
)
"""Fields of an entry's data that are hashes of something that is no blob, or of one that an earlier entry names."""

_ENTRY: Final = re.compile(r"(\d{8})\.json")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
SILENT_TWICE: Final = 2
"""After so many objects in a row that cannot be read it is the store that does not answer."""
FOLD_FAULTS: Final = (
    NewerFormat,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    AssertionError,
    RecursionError,
)
"""What `fold` may raise for entries that no release of Signert wrote."""


@dataclass
class Examined:
    """What came out of looking at one agreement, and the store it is read from."""

    store: ObjectStore
    findings: list[Finding] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    _unreadable: int = 0

    def say(self, code: str, where: str, message: str, *, remedy: str = "") -> None:
        self.findings.append(finding(code, where, message, remedy=remedy))

    def get(self, key: str, *, missing: tuple[str, str], altered: str) -> bytes | None:
        """The object's bytes; None when there are none to be had, which is said.

        `missing` is the finding's code and message when there is no such object, `altered` the code when the store
        says that its bytes are not those that were written. Raises `StoreError` when one object after the other
        cannot be read: then it is the store that does not answer.
        """
        try:
            body = self.store.get(key)
        except NotFound:
            self.say(missing[0], key, missing[1])
        except ChecksumMismatch:
            self.say(altered, key, "the object is not what was written there")
        except StoreError as exc:
            self._unreadable += 1
            if self._unreadable > SILENT_TWICE:
                raise
            self.say("object_unreadable", key, exc.message, remedy=exc.remedy)
        else:
            self._unreadable = 0
            return body
        return None


@dataclass(frozen=True)
class Log:
    """The entries that can be read. `whole` says that they are an unbroken chain from the first one on."""

    entries: list[Entry]
    whole: bool


def read_log(examined: Examined, agreement_id: str, keys: Iterable[str]) -> Log:
    """Read and check the chain: every entry in its place and in canonical form, each naming the one before.

    `keys` are those of the log's folder. Nothing vouches for the newest entry but the blobs that it names.
    """
    before = len(examined.findings)
    numbered: dict[int, str] = {}
    for key in keys:
        if place := _ENTRY.fullmatch(key.rpartition("/")[2]):
            numbered[int(place[1])] = key
        else:
            examined.say("log_key_foreign", key, "there is an object among the log's entries that is none")
    entries: list[Entry] = []
    expected, previous, linked = (
        0,
        None,
        True,
    )  # `linked`: `previous` is known to be the hash of the entry before
    for seq, key in sorted(numbered.items()):
        if seq != expected:
            _say_gap(examined, agreement_id, expected, seq)
            linked = False
        expected = seq + 1
        entry = read_entry(examined, key)
        if entry is None:
            linked = False
        elif (entry.agreement_id, entry.seq) != (agreement_id, seq):
            examined.say(
                "log_entry_misplaced", key, f"the entry says that it is number {entry.seq} of its log"
            )
            linked = False
        else:
            if linked and entry.previous != previous:
                said = (
                    "names an entry before the first"
                    if previous is None
                    else "does not follow the one before"
                )
                examined.say("log_link_broken", key, f"entry {seq} {said}: one of them was altered")
            entries.append(entry)
            previous, linked = entry.sha256, True
    examined.counts.entries += len(entries)
    examined.counts.bytes += sum(len(e.body) for e in entries)
    return Log(entries, whole=len(examined.findings) == before)


def _say_gap(examined: Examined, agreement_id: str, first: int, after: int) -> None:
    which = f"entry {first} is" if after == first + 1 else f"entries {first} to {after - 1} are"
    examined.say("log_entry_missing", log_key(agreement_id, first), f"{which} missing before entry {after}")


def read_entry(examined: Examined, key: str) -> Entry | None:
    """The entry of that key; None when it cannot be had, which is said."""
    body = examined.get(
        key, missing=("log_entry_missing", "the entry is listed but not there"), altered="log_entry_altered"
    )
    if body is None:
        return None
    try:
        return Entry.parse(body)
    except LogCorrupt as exc:
        examined.say("log_entry_altered", key, exc.message)
    except (RecursionError, AttributeError) as exc:
        examined.say("log_entry_altered", key, f"a log entry cannot be read: {type(exc).__name__}")
    return None


def named_blobs(entry: Entry) -> Iterator[str]:
    """The keys of the blobs that an entry names, in its data and in its events."""
    for name, extension in BLOB_FIELDS.items():
        if _is_hash(sha256 := entry.data.get(name)):
            yield blob_key(entry.agreement_id, sha256, extension)
    revision = entry.data.get("revision")
    if isinstance(revision, Mapping) and _is_hash(sha256 := revision.get("sha256")):
        yield blob_key(entry.agreement_id, sha256, "pdf")
    scan = entry.data.get("scan")
    if isinstance(scan, Mapping) and _is_hash(sha256 := scan.get("sha256")):
        extension = EXTENSIONS.get(str(scan.get("media_type")), "unknown")
        yield blob_key(entry.agreement_id, sha256, extension)
    for occurrence in entry.occurrences:
        for told in occurrence.data.values():
            if isinstance(told, Mapping) and isinstance(key := told.get("storage_key"), str):
                yield key


def _is_hash(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and _SHA256.fullmatch(value) is not None


class Blobs:
    """The blobs that an agreement's log names. Each is read once, in full; one at a time is in memory."""

    def __init__(self, examined: Examined, entries: Sequence[Entry]) -> None:
        self._examined = examined
        self._namers: dict[str, int] = {}
        # What was named before the erasure was ordered is to be gone.
        ordered = next((e.seq for e in entries if e.type == "erasure-ordered"), 0)
        for entry in entries:
            for key in named_blobs(entry):
                if entry.seq >= ordered:
                    self._namers.setdefault(key, entry.seq)
        self._read: set[str] = set()

    @property
    def named(self) -> frozenset[str]:
        return frozenset(self._namers)

    def read(self, key: str) -> bytes | None:
        """The blob, when it is there and its bytes have the hash that is its name; else None, which is said once."""
        first = key not in self._read
        self._read.add(key)
        examined = self._examined if first else Examined(self._examined.store)
        said = (
            f"entry {self._namers[key]} names a blob that is not there"
            if key in self._namers
            else "no such blob"
        )
        body = examined.get(key, missing=("blob_missing", said), altered="blob_altered")
        if body is None:
            return None
        if hashlib.sha256(body).hexdigest() != key.rpartition("/")[2].partition(".")[0]:
            examined.say("blob_altered", key, "the blob's bytes do not have the hash that is its name")
            return None
        examined.counts.blobs += 1
        examined.counts.bytes += len(body)
        return body

    def read_rest(self) -> None:
        """Check those that nobody has read yet."""
        for key in sorted(self.named - self._read):
            self.read(key)
