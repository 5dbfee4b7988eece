"""Agreements out of the store and into archive packages: one package an agreement, each whole or not there.

An export that was interrupted goes on where it was: a package that is there, whole, and of the agreement's newest log
entry is left as it is. What has changed since, or is damaged, is written anew.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from service.domain.agreement import Agreement, Version
from service.domain.archive import Chapter, Dossier, contents
from service.domain.folding import fold
from service.domain.log import Entry, timestamp
from service.domain.places import Found
from service.errors import ChecksumMismatch, LogCorrupt, NotFound, SignertError, TemplateError
from service.pipeline.fsck.agreements import read_claim
from service.pipeline.fsck.reading import FOLD_FAULTS, named_blobs
from service.pipeline.ledger import Ledger, blob_key
from service.pipeline.services import Catalogue

__all__ = [
    "Exported",
    "Packager",
    "Selection",
    "State",
    "agreement_of",
    "blobs_of",
    "export",
    "is_claim",
    "select",
]


"""What a store says of one object that is not what was written there."""


class Packager(Protocol):
    """Where packages go."""

    def head_of(self, agreement_id: str) -> str | None:
        """The newest log entry's SHA-256 of the package that is there and whole; None when none such is there."""

    def write(self, dossier: Dossier, read: Callable[[str], bytes]) -> tuple[int, int]:
        """Write the package, in place of an older one; how many files and bytes it has."""


class State(StrEnum):
    WRITTEN = "written"
    UNCHANGED = "unchanged"
    """Was there already, whole, and nothing has happened since."""
    FAILED = "failed"


@dataclass(frozen=True)
class Exported:
    agreement_id: str
    state: State
    files: int = 0
    bytes: int = 0
    error: SignertError | None = None


@dataclass(frozen=True)
class Selection:
    """Which agreements: those of `ids`, else all of a case (system and reference), changed within a time.

    `since` and `until` are of the agreement's newest log entry; `until` itself is not within.
    """

    ids: Sequence[str] = ()
    case: tuple[str, str] | None = None
    since: datetime | None = None
    until: datetime | None = None


def select(ledger: Ledger, wanted: Selection) -> Iterator[str]:
    """The ids of the agreements, in ascending order but for those that were named. Raises `NotFound`, `StoreError`."""
    if wanted.ids:
        yield from dict.fromkeys(wanted.ids)
        return
    if wanted.case:
        keys = ledger.store.list(f"index/case/{'/'.join(wanted.case)}/")
        candidates: Iterable[str] = sorted(found.agreement_id for found in map(Found.parse, keys) if found)
    else:
        keys = ledger.store.list("agreements/")
        candidates = (found for found, _ in itertools.groupby(keys, lambda key: f"{key}/".split("/")[1]))
    since = timestamp(wanted.since) if wanted.since else ""
    until = timestamp(wanted.until) if wanted.until else "~"
    for agreement_id in candidates:
        logged = list(ledger.store.list(f"agreements/{agreement_id}/log/"))
        if not logged:
            continue  # a command that was refused late
        if not (wanted.since or wanted.until) or since <= _changed_at(ledger, logged[-1]) < until:
            yield agreement_id


def _changed_at(ledger: Ledger, key: str) -> str:
    try:
        return Entry.parse(ledger.store.get(key)).at
    except LogCorrupt:
        return ""  # with `until` alone it is among them, and said to be damaged


def export(
    ledger: Ledger, templates: Catalogue, packager: Packager, agreement_ids: Iterable[str]
) -> Iterator[Exported]:
    """Write a package for each; what became of each, as it is done. One that fails does not hold up the others.

    Raises `SignertError` (`output`) when nothing can be written, and `StoreError` when the store does not answer.
    """
    for agreement_id in agreement_ids:
        try:
            yield _export(ledger, templates, packager, agreement_id)
        except SignertError as exc:
            if exc.code == "output" or (exc.retryable and not isinstance(exc, ChecksumMismatch)):
                raise
            yield Exported(agreement_id, State.FAILED, error=exc)


def _export(ledger: Ledger, templates: Catalogue, packager: Packager, agreement_id: str) -> Exported:
    entries = ledger.read(agreement_id)
    agreement = agreement_of(entries)
    if packager.head_of(agreement_id) == entries[-1].sha256:
        return Exported(agreement_id, State.UNCHANGED)
    if agreement.erasure:
        raise SignertError(
            f"the content of agreement {agreement_id} is erased",
            code="erased",
            remedy="Leave it out: what is left are its log and the sealed record of the erasure.",
        )
    dossier = _dossier(ledger, templates, agreement, entries)
    bodies = {entry.key: entry.body for entry in entries}
    files, size = packager.write(dossier, lambda key: bodies.get(key) or _read(ledger, agreement, key))
    return Exported(agreement_id, State.WRITTEN, files, size)


def agreement_of(entries: Sequence[Entry]) -> Agreement:
    """Their fold. Raises `LogCorrupt` for entries that tell nothing this release understands."""
    try:
        return fold(entries)
    except FOLD_FAULTS as exc:
        raise LogCorrupt(
            f"the log of agreement {entries[0].agreement_id} tells no agreement that this release understands "
            f"({type(exc).__name__})",
            remedy="Use the release that wrote it, or a newer one.",
        ) from exc


def blobs_of(entry: Entry) -> tuple[str, ...]:
    """The keys of the agreement's own blobs that the entry names."""
    root = f"agreements/{entry.agreement_id}/blobs/"
    return tuple(dict.fromkeys(key for key in named_blobs(entry) if key.startswith(root)))


def _dossier(ledger: Ledger, templates: Catalogue, agreement: Agreement, entries: Sequence[Entry]) -> Dossier:
    names = {entry.seq: blobs_of(entry) for entry in entries}
    return Dossier(
        agreement,
        entries,
        [_chapter(ledger, templates, agreement, version) for version in agreement.versions],
        contents(agreement, entries, names),
        names,
    )


def _chapter(ledger: Ledger, templates: Catalogue, agreement: Agreement, version: Version) -> Chapter:
    data = _read_json(ledger, agreement, version.input_sha256)
    report = _read_json(ledger, agreement, version.report_sha256) if version.report_sha256 else None
    return Chapter(version, _title(ledger, templates, agreement, version), data, report)


def _title(ledger: Ledger, templates: Catalogue, agreement: Agreement, version: Version) -> str:
    """As the receipt has it, for what was archived; else the template's title, or its name when it is not at hand."""
    if version.receipt_sha256:
        return str(_read_json(ledger, agreement, version.receipt_sha256)["agreement"]["title"])
    try:
        return templates.get(version.template, version.template_version, version.language).title
    except TemplateError:
        return version.template


def _read_json(ledger: Ledger, agreement: Agreement, sha256: str) -> Mapping[str, Any]:
    found = json.loads(_read(ledger, agreement, blob_key(agreement.id, sha256, "json")))
    assert isinstance(found, dict)
    return found


def _read(ledger: Ledger, agreement: Agreement, key: str) -> bytes:
    """A blob or a claim of the agreement, checked. Raises `NotFound`, and `object_altered` for what is."""
    try:
        body = ledger.store.get(key)
    except NotFound as exc:
        raise NotFound(
            f"the log of agreement {agreement.id} names {key}, which is not in the store",
            remedy="Run `signert fsck`, and restore it from a backup.",
        ) from exc
    if key.startswith("commands/"):
        intact = is_claim(body, agreement, key)
    else:
        intact = hashlib.sha256(body).hexdigest() == key.rpartition("/")[2].partition(".")[0]
    if not intact:
        raise SignertError(
            f"{key} in the store is not what its name says",
            code="object_altered",
            remedy="Run `signert fsck`, and restore it from a backup.",
        )
    return body


def is_claim(body: bytes, agreement: Agreement, key: str) -> bool:
    """Whether these bytes say that the command of `key` is one in the agreement's log."""
    claim = read_claim(body)
    command_id = key.removeprefix("commands/").removesuffix(".json")
    return claim is not None and (
        claim["command_id"],
        claim["agreement_id"],
        claim["payload_sha256"],
    ) == (command_id, agreement.id, agreement.commands.get(command_id))
