"""Archive packages back into a store: every log entry, every blob and every claim, byte for byte, or nothing.

What is taken in is checked first, all of it: the log's chain, every blob that the log names and no other, and that the
store has nothing else under the same keys. Blobs come before the log, as always, so a crash leaves what the same import
finishes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

from service.domain.agreement import Agreement
from service.domain.archive import claim_key
from service.domain.log import Entry, check_chain
from service.domain.pseudonyms import Pseudonyms
from service.domain.steps import next_step, wakes
from service.errors import AlreadyExists, LogCorrupt, NotFound, PackageRefused
from service.pipeline.chain import Chain
from service.pipeline.export import agreement_of, blobs_of, is_claim
from service.pipeline.index import index
from service.pipeline.ledger import Ledger
from service.pipeline.work import Workbook

__all__ = ["ArchivePackage", "Imported", "Outcome", "check_package", "import_package"]

_LOG: Final = re.compile(r"log/\d{8}\.json")
_RUN: Final = "imported"


class ArchivePackage(Protocol):
    """A package whose files all have the checksums that it lists."""

    @property
    def agreement_id(self) -> str: ...

    @property
    def head(self) -> str:
        """SHA-256 of the newest log entry, as the package says."""

    @property
    def keys(self) -> frozenset[str]:
        """Keys of the objects that it holds, as the store had them."""

    def path_of(self, key: str) -> str: ...

    def sha256_of(self, key: str) -> str: ...

    def read(self, key: str) -> bytes:
        """Raises `PackageRefused` when the file has changed since it was checked."""


class Outcome(StrEnum):
    CHECKED = "checked"
    """Only looked at."""
    IMPORTED = "imported"
    UNCHANGED = "unchanged"
    """The store had all of it already."""


@dataclass(frozen=True)
class Imported:
    agreement_id: str
    outcome: Outcome
    versions: int
    entries: int
    blobs: int
    added: int
    """Objects that the store did not have."""


@dataclass(frozen=True)
class _Checked:
    agreement: Agreement
    entries: list[Entry]
    blobs: tuple[str, ...]
    claims: tuple[str, ...]


def check_package(package: ArchivePackage) -> Imported:
    """Check all that can be checked without a store. Raises `PackageRefused`."""
    checked = _check(package)
    return _told(checked, Outcome.CHECKED, 0)


def import_package(
    ledger: Ledger, workbook: Workbook, pseudonyms: Pseudonyms | None, package: ArchivePackage
) -> Imported:
    """Take the agreement into the store, and enter it in the index.

    One that is not at rest, or has something ahead of it, gets a work marker: the next sweep goes on with it.
    Raises `PackageRefused`; `import_differs` when the store has the agreement, and not as the package has it.
    """
    checked = _check(package)
    agreement, entries = checked.agreement, checked.entries
    had = _compare_log(ledger, agreement.id, entries)
    there = set(ledger.store.list(f"agreements/{agreement.id}/blobs/"))
    for key in there.intersection(checked.blobs):
        if ledger.store.get(key) != package.read(key):
            raise _differs(key)
    missing = [key for key in checked.blobs if key not in there]
    missing += [key for key in checked.claims if not _is_there(ledger, package, key)]
    archived, until = _archived(agreement), agreement.kept_until
    for key in missing:
        _create(ledger, key, package.read(key), archived=key.partition(".")[0] in archived, until=until)
    for entry in entries[had:]:
        _create(ledger, entry.key, entry.body, archived=True, until=until)
    added = len(missing) + len(entries) - had
    index(ledger.store, pseudonyms, agreement)
    if added:
        ledger.gather(Chain(entries))
    if added and _has_something_ahead(agreement):
        workbook.begin(agreement.id, _RUN, since=len(entries))
    return _told(checked, Outcome.IMPORTED if added else Outcome.UNCHANGED, added)


def _told(checked: _Checked, outcome: Outcome, added: int) -> Imported:
    agreement = checked.agreement
    return Imported(
        agreement.id, outcome, len(agreement.versions), len(checked.entries), len(checked.blobs), added
    )


# --- the package by itself -----------------------------------------------------------------------------------


def _check(package: ArchivePackage) -> _Checked:
    root = f"agreements/{package.agreement_id}/"
    logged = sorted(k for k in package.keys if k.startswith(root) and _LOG.fullmatch(k.removeprefix(root)))
    entries = [_parse(package, key) for key in logged]
    if not entries:
        raise _refused("the package has no log", "package_incomplete")
    try:
        check_chain(package.agreement_id, entries)
        agreement = agreement_of(entries)
    except LogCorrupt as exc:
        raise PackageRefused(
            f"the log in the package does not hold: {exc.message}", code="package_log_broken"
        ) from exc
    for entry, key in zip(entries, logged, strict=True):
        if entry.key != key:
            raise _refused(
                f"{package.path_of(key)} is not the log entry of that number", "package_log_broken"
            )
    if entries[-1].sha256 != package.head:
        raise _refused("the newest log entry is not the one that METS names", "package_log_broken")
    blobs = tuple(dict.fromkeys(key for entry in entries for key in blobs_of(entry)))
    claims = tuple(map(claim_key, agreement.commands))
    wanted = {*logged, *blobs, *claims}
    if lost := wanted - package.keys:
        raise _refused(f"the log names {min(lost)}, which is not in the package", "package_incomplete")
    if foreign := package.keys - wanted:
        path = package.path_of(min(foreign))
        raise _refused(f"{path} is in the package, and the log does not name it", "package_altered")
    for key in blobs:
        if package.sha256_of(key) != key.rpartition("/")[2].partition(".")[0]:
            raise _refused(
                f"{package.path_of(key)} has not the hash by which the log names it", "package_altered"
            )
    for key in claims:
        if not is_claim(package.read(key), agreement, key):
            raise _refused(
                f"{package.path_of(key)} says something else than the log of its command", "package_altered"
            )
    return _Checked(agreement, entries, blobs, claims)


def _parse(package: ArchivePackage, key: str) -> Entry:
    try:
        return Entry.parse(package.read(key))
    except (LogCorrupt, RecursionError, AttributeError):
        raise _refused(f"{package.path_of(key)} is no log entry", "package_log_broken") from None


def _refused(message: str, code: str) -> PackageRefused:
    return PackageRefused(message, code=code, remedy="Export the agreement again from where it came.")


# --- the store -----------------------------------------------------------------------------------------------


def _is_there(ledger: Ledger, package: ArchivePackage, key: str) -> bool:
    """Whether the store has these bytes. Raises `PackageRefused` when it has others under the key."""
    try:
        body = ledger.store.get(key)
    except NotFound:
        return False
    if body != package.read(key):
        raise _differs(key)
    return True


def _compare_log(ledger: Ledger, agreement_id: str, entries: list[Entry]) -> int:
    """How many of the entries the store has. Raises `PackageRefused` when it has others, or more."""
    keys = list(ledger.store.list(f"agreements/{agreement_id}/log/"))
    for number, key in enumerate(keys):
        if number >= len(entries) or key != entries[number].key:
            raise _differs(key)
        if ledger.store.get(key) != entries[number].body:
            raise _differs(key)
    return len(keys)


def _differs(key: str) -> PackageRefused:
    return PackageRefused(
        f"the store has {key}, and it is not as in the package",
        code="import_differs",
        remedy="Import into an empty store. If the store is right, export from it again; nothing was changed.",
    )


def _archived(agreement: Agreement) -> frozenset[str]:
    """The keys, without extension, of final documents, reports, receipts and scans: the store is asked to keep them."""
    root = f"agreements/{agreement.id}/blobs/"
    found: set[str] = set()
    for version in agreement.versions:
        if version.signed_at is None:
            continue
        hashes = {
            version.document.sha256,
            version.report_sha256,
            version.receipt_sha256,
            version.receipt_signature_sha256,
            version.receipt_pdf_sha256,
            *(paper.scan_sha256 for _, paper in version.papers),
        }
        found |= {f"{root}{sha256}" for sha256 in hashes if sha256}
    return frozenset(found)


def _create(ledger: Ledger, key: str, body: bytes, *, archived: bool, until: datetime | None) -> None:
    try:
        ledger.restore(key, body, archived=archived, until=until)
    except AlreadyExists:
        if ledger.store.get(key) != body:
            raise _differs(key) from None


def _has_something_ahead(agreement: Agreement) -> bool:
    at = datetime.fromisoformat(agreement.head.at)
    return next_step(agreement, at) is not None or any(True for _ in wakes(agreement))
