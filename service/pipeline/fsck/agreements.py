"""One agreement: its log, its blobs, its versions, what belongs to it elsewhere in the store, and whether it moves."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from service.domain.agreement import Agreement, fold, next_step
from service.domain.ports import ObjectStore
from service.errors import LogCorrupt, NotFound
from service.pipeline.fsck.findings import Finding, Severity, finding
from service.pipeline.fsck.reading import Blobs, Examined, read_log
from service.pipeline.fsck.versions import check_version
from service.pipeline.ledger import Ledger
from service.pipeline.work import Marker
from signing import TrustStore

__all__ = ["Recheck", "check_agreement", "check_motion", "read_claim", "read_folded"]

Recheck = Callable[[], Iterator[Finding]]
"""Looks a second time, and yields what is still to be said."""

_BLOB: Final = re.compile(r"[0-9a-f]{64}\.[a-z0-9]{1,16}")


def check_agreement(store: ObjectStore, agreement_id: str, trust: TrustStore | None) -> Examined:
    """Everything that is written once and never changes. Whether the agreement moves is `check_motion`'s."""
    examined = Examined(store)
    root = f"agreements/{agreement_id}/"
    log_keys, blob_keys = [], []
    for key in store.list(root):
        match key.removeprefix(root).split("/"):
            case ["log", _]:
                log_keys.append(key)
            case ["blobs", name] if _BLOB.fullmatch(name):
                blob_keys.append(key)
            case _:
                examined.say("key_unknown", key, "no object of an agreement has such a key")
    log = read_log(examined, agreement_id, log_keys)
    blobs = Blobs(examined, log.entries)
    agreement = _folded(examined, agreement_id, log.entries) if log.whole and log.entries else None
    if log_keys and agreement is None:
        examined.counts.statuses["unreadable"] += 1
    if agreement:
        examined.counts.statuses[agreement.current.status] += 1
        examined.counts.versions += len(agreement.versions)
        for version in agreement.versions:
            check_version(examined, blobs, agreement, version, trust)
        _check_claims(examined, agreement)
        _check_index(examined, agreement)
    blobs.read_rest()
    if agreement and next_step(agreement) is None:  # before that, a blob's entry may be about to be written
        for key in sorted(set(blob_keys) - blobs.named):
            examined.say("blob_orphaned", key, "no entry of the log names this blob: a crash left it")
    return examined


def _folded(examined: Examined, agreement_id: str, entries: Any) -> Agreement | None:
    try:
        return fold(entries)
    except Exception as exc:  # noqa: BLE001 (the entries are whatever somebody wrote)
        said = f"the entries tell no agreement that this release understands ({type(exc).__name__})"
        examined.say("log_not_folded", agreement_id, said)
        return None


def _check_claims(examined: Examined, agreement: Agreement) -> None:
    """Every command in the log is claimed: else the same command again would be taken for a new one."""
    for command_id, payload_sha256 in agreement.commands.items():
        key = f"commands/{command_id}.json"
        said = "a command in an agreement's log is not among the commands"
        body = examined.get(key, missing=("claim_missing", said), altered="claim_unreadable")
        claim = read_claim(body) if body is not None else None
        if claim and (claim["agreement_id"], claim["payload_sha256"]) != (agreement.id, payload_sha256):
            examined.say("claim_differs", key, f"the log of agreement {agreement.id} says something else")


def read_claim(body: bytes) -> dict[str, str] | None:
    """What a command id stands for; None when the bytes do not tell."""
    try:
        claim = json.loads(body)
        return {name: str(claim[name]) for name in ("command_id", "agreement_id", "payload_sha256")}
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _check_index(examined: Examined, agreement: Agreement) -> None:
    key = f"index/case/{agreement.case_system}/{agreement.case_reference}/{agreement.id}"
    if not examined.store.exists(key):
        examined.say("index_missing", key, "the agreement is not found by its case")


# --- does it move? ----------------------------------------------------------------------------------------


def check_motion(store: ObjectStore, ledger: Ledger, agreement_id: str) -> Iterator[Finding]:
    """Whether somebody drives the agreement that is not at rest, and nobody the one that is.

    Markers are read before the log: a run's marker is there before its first entry and until after its last one. So
    with no marker and an open log nobody drives it, unless a run began between the two looks.
    """
    markers: list[Marker] = []
    keys = list(store.list(f"work/{agreement_id}/"))
    for key in keys:
        marker = _marker(store, key)
        if isinstance(marker, Finding):
            yield marker
        elif marker:
            markers.append(marker)
    agreement = read_folded(ledger, agreement_id)
    if agreement is None:
        return
    step = next_step(agreement)
    for marker in markers:
        if marker.parked:
            said = (
                f"waits at {marker.parked.step} since {marker.parked.since} ({marker.parked.code}): "
                f"{marker.parked.message.rstrip('.')}. Tried {marker.parked.attempts} times, next {marker.parked.retry_at}."
            )
            yield finding("parked", agreement_id, said, remedy=marker.parked.remedy)
        elif step is None:
            yield finding("marker_left", marker.key, "the agreement rests, and a work marker says it does not")
    if step is not None and not keys:
        said = f"the agreement is not at rest, next is {step}, and no work marker has anybody drive it"
        yield finding("marker_missing", agreement_id, said)


def read_folded(ledger: Ledger, agreement_id: str) -> Agreement | None:
    """The agreement; None where there is none, or where its log is damaged, which has been said."""
    try:
        return fold(ledger.read(agreement_id))
    except (NotFound, LogCorrupt):
        return None
    except Exception:  # noqa: BLE001 (as in `_folded`)
        return None


def _marker(store: ObjectStore, key: str) -> Marker | Finding | None:
    try:
        return Marker.parse(key, store.get(key))
    except NotFound:  # its run has ended meanwhile
        return None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return finding("marker_unreadable", key, "no worker can read this work marker")


def is_settled(found: Finding) -> bool:
    """Whether a finding about motion stands at the first look; others may be over in a moment."""
    return found.code in {"parked", "marker_unreadable"} or found.severity is Severity.NOTE
