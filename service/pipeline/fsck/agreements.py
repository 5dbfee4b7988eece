"""One agreement: its log, its blobs, its versions, what belongs to it elsewhere in the store, and whether it moves."""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from service.domain.agreement import Agreement
from service.domain.folding import fold
from service.domain.log import Entry, gather, gathered_key
from service.domain.places import card_key
from service.domain.ports import ObjectStore
from service.domain.steps import UPKEEP, Step, next_step
from service.errors import NewerFormat, NotFound, StoreError
from service.pipeline.fsck.erasures import check_erasure
from service.pipeline.fsck.findings import Finding
from service.pipeline.fsck.reading import FOLD_FAULTS, Blobs, Examined, read_log
from service.pipeline.fsck.versions import check_version
from service.pipeline.index import card_of, read_card
from service.pipeline.work import Marker
from signing import TrustStore

__all__ = ["MOVING", "check_agreement", "look_again", "read_claim", "read_marker"]

_BLOB: Final = re.compile(r"[0-9a-f]{64}\.[a-z0-9]{1,16}")


def check_agreement(
    store: ObjectStore, agreement_id: str, trust: TrustStore | None, *, at: datetime | None = None
) -> Examined:
    """Look at all that belongs to the agreement, as of `at` or now; findings and counts are in what is returned."""
    examined = Examined(store)
    markers = _read_markers(examined, agreement_id)
    log_keys, blob_keys, gathered = _keys_of(examined, agreement_id)
    log = read_log(examined, agreement_id, log_keys)
    if gathered and log.whole:
        _check_gathered(examined, gathered, log.entries)
    blobs = Blobs(examined, log.entries)
    agreement = _folded(examined, agreement_id, log.entries) if log.whole and log.entries else None
    if log_keys and agreement is None:
        examined.counts.statuses["unreadable"] += 1
    if agreement:
        examined.counts.statuses[agreement.current.status] += 1
        examined.counts.versions += len(agreement.versions)
        if agreement.erasure:
            check_erasure(examined, blobs, agreement, blob_keys, trust)
        else:
            for version in agreement.versions:
                check_version(examined, blobs, agreement, version, trust, log.entries, at)
        _check_claims(examined, agreement)
        _check_index(examined, agreement, markers)
        _check_motion(examined, agreement, markers)
    blobs.read_rest()
    if (
        agreement and not agreement.erasure and _step(agreement) is None
    ):  # before that, a blob's entry may be about to be written
        for key in sorted(set(blob_keys) - blobs.named):
            examined.say("blob_orphaned", key, "no entry of the log names this blob: a crash left it")
    return examined


def _keys_of(examined: Examined, agreement_id: str) -> tuple[list[str], list[str], str | None]:
    """Those of the log, those of the blobs, and that of what is gathered of the log; what is none is said."""
    root = f"agreements/{agreement_id}/"
    log_keys, blob_keys, gathered = [], [], None
    for key in examined.store.list(root):
        match key.removeprefix(root).split("/"):
            case ["log", _]:
                log_keys.append(key)
            case [_] if key == gathered_key(agreement_id):
                gathered = key
            case ["blobs", name] if _BLOB.fullmatch(name):
                blob_keys.append(key)
            case _:
                examined.say("key_unknown", key, "no object of an agreement has such a key")
    return log_keys, blob_keys, gathered


def _folded(examined: Examined, agreement_id: str, entries: Sequence[Entry]) -> Agreement | None:
    try:
        return fold(entries)
    except NewerFormat as exc:
        examined.say("log_not_folded", agreement_id, f"{exc.message}: {exc.remedy}")
        return None
    except FOLD_FAULTS as exc:
        said = f"the entries tell no agreement that this release understands ({type(exc).__name__})"
        examined.say("log_not_folded", agreement_id, said)
        return None


def _check_gathered(examined: Examined, key: str, entries: Sequence[Entry]) -> None:
    """It is written after the entries that it has, and used only where they prove it: what differs does no harm."""
    code = "gathered_log_differs"
    body = examined.get(key, missing=(code, "it was taken away just now"), altered=code)
    if body is None:
        return
    lines = body.count(b"\n") + 1
    if lines > len(entries):
        examined.say(
            code, key, f"entries up to {lines - 1} were gathered, and the log ends at {len(entries) - 1}"
        )
    elif body != gather(entries[:lines]):
        examined.say(code, key, "what was gathered of the log is not what its entries say")


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
        found = {name: str(claim[name]) for name in ("command_id", "agreement_id", "payload_sha256")}
        return found | ({"refused": "yes"} if claim.get("refused") else {})
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _check_index(examined: Examined, agreement: Agreement, markers: Markers) -> None:
    """Whether an agreement at rest is found as it is. Of others, the run that brings them to rest sees to it."""
    if markers.keys or _step(agreement) is not None:
        return
    store, key = examined.store, card_key(agreement.id)
    card = read_card(store, agreement.id)
    if card is None:
        examined.say("index_missing", key, "the index does not know the agreement")
        return
    if card_of(store, None, agreement, card) != card:
        examined.say("index_differs", key, "the index tells something else of the agreement than its log")
    for place in sorted(card.keys):
        if not store.exists(place):
            examined.say("index_missing", place, "the agreement is not found in this place")


# --- does it move? ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Markers:
    """The work markers of one agreement; `keys` are those of all, readable or not."""

    keys: tuple[str, ...]
    readable: tuple[Marker, ...]


def _step(agreement: Agreement) -> Step | None:
    """What was to be done when the last entry was written. What time alone brings, the sweeper finds by `due/`."""
    return next_step(agreement, datetime.fromisoformat(agreement.head.at), but=UPKEEP)


def _read_markers(examined: Examined, agreement_id: str) -> Markers:
    keys = tuple(examined.store.list(f"work/{agreement_id}/"))
    return Markers(keys, tuple(m for key in keys if (m := read_marker(examined, key))))


def read_marker(examined: Examined, key: str) -> Marker | None:
    """None when its run has ended meanwhile, or when no worker can read it, which is said."""
    try:
        return Marker.parse(key, examined.store.get(key))
    except NotFound:
        return None
    except StoreError as exc:
        if exc.code != "marker_unreadable":
            raise
        examined.say("marker_unreadable", key, "no worker can read this work marker")
        return None


def _check_motion(examined: Examined, agreement: Agreement, markers: Markers) -> None:
    """Somebody must drive the agreement that is not at rest, and nobody the one that is.

    The markers were read before the log: a run's marker is there before its first entry and until after its last one.
    So with no marker and an open log nobody drives it, unless a run began between the two looks.
    """
    step = _step(agreement)
    for marker in markers.readable:
        if parked := marker.parked:
            said = (
                f"waits at {parked.step} since {parked.since} ({parked.code}): {parked.message.rstrip('.')}. "
                f"Tried {parked.attempts} times, next {parked.retry_at}."
            )
            examined.say("parked", agreement.id, said, remedy=parked.remedy)
        elif step is None:
            examined.say(
                "marker_left", marker.key, "the agreement rests, and a work marker says that it does not"
            )
    if step is not None and not markers.keys:
        said = f"the agreement is not at rest (next is {step}), and no work marker has anybody drive it"
        examined.say("marker_missing", agreement.id, said)


MOVING: Final = frozenset({"marker_left", "marker_missing"})
"""What `check_agreement` finds and may be over in a moment; `look_again` tells."""


def look_again(store: ObjectStore, agreement_id: str, codes: Container[str]) -> Iterator[Finding]:
    """What there is still to say of these `MOVING` codes."""
    examined = Examined(store)
    markers = _read_markers(examined, agreement_id)
    root = f"agreements/{agreement_id}/log/"
    log = read_log(examined, agreement_id, store.list(root))
    if log.whole and log.entries and (agreement := _folded(examined, agreement_id, log.entries)):
        _check_motion(examined, agreement, markers)
    yield from (f for f in examined.findings if f.code in codes)
