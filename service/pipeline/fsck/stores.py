"""A whole store, key by key: the agreements, and what stands beside them."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import re
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Final

import rfc8785

from service.domain.folding import fold
from service.domain.log import log_key
from service.domain.ports import ObjectStore
from service.errors import NotFound, StoreError
from service.pipeline.fsck.agreements import MOVING, check_agreement, look_again, read_claim, read_marker
from service.pipeline.fsck.findings import Counts, Finding, Severity, finding
from service.pipeline.fsck.reading import FOLD_FAULTS, SILENT_TWICE, Examined, read_entry, read_log
from service.pipeline.quarantine import rejection_id
from service.pipeline.reindex import Staleness, staleness
from service.pipeline.work import marker_key
from service.schemas import valid_command_id
from signing import TrustStore

__all__ = ["StoreCheck"]

_UUID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_SHA256: Final = r"[0-9a-f]{64}"
_SEGMENT: Final = r"[A-Za-z0-9._-]+"
_SETTLE: Final = 3.0
"""Seconds in which a worker that is alive comes from one write to the next that belongs to it."""

Look = Callable[[], Iterator[Finding]]
Claim = Mapping[str, str]


class StoreCheck:
    """One check of a store. Findings come as they are made; `counts` grows with them.

        check = StoreCheck(store, trust=trust)
        for finding in check.run():
            …
        print(check.counts.agreements)

    Without `trust`, signatures are left alone. Agreements may be worked on meanwhile: an error is told only when a
    second look finds it too, and what may be a worker's last write is looked at again at the end, at least `settle`
    seconds later. `observe` is called after each agreement.
    """

    def __init__(
        self,
        store: ObjectStore,
        *,
        trust: TrustStore | None = None,
        settle: float = _SETTLE,
        observe: Callable[[Counts], None] = lambda _: None,
    ) -> None:
        self.counts = Counts()
        self._store = store
        self._trust = trust
        self._settle = settle
        self._observe = observe
        self._later: list[tuple[str, Look]] = []
        self._suspects: list[Claim] = []
        self._suspected_at = 0.0
        self._silent = 0

    def run(self, only: Iterable[str] = ()) -> Iterator[Finding]:
        """Check the whole store, or `only` the agreements of these ids and what belongs to them.

        Raises `NotFound` for an id that is no agreement's, and `StoreError` when the store does not answer.
        """
        only = list(dict.fromkeys(only))
        for agreement_id in only:
            if not self._has_log(agreement_id):
                raise NotFound(
                    f"there is no agreement {agreement_id}", remedy="Check the id, and SIGNERT_STORE."
                )
        if only:
            for agreement_id in only:
                yield from self._agreement(agreement_id)
        else:
            yield from self._everything()
        if self._later:
            time.sleep(max(0.0, self._suspected_at + self._settle - time.monotonic()))
            for where, look in self._later:
                yield from self._guarded(where, look)

    def _everything(self) -> Iterator[Finding]:
        for top, keys in itertools.groupby(self._store.list(), lambda key: key.partition("/")[0]):
            match top:
                case "agreements":
                    for agreement_id, inside in itertools.groupby(keys, lambda key: f"{key}/".split("/")[1]):
                        if re.fullmatch(_UUID, agreement_id):
                            yield from self._agreement(agreement_id)
                        else:
                            yield from map(_unknown, inside)
                case _ if top in self._CHECKS:
                    shape, check = self._CHECKS[top]
                    for key in keys:
                        place = re.fullmatch(shape, key)
                        if place:
                            yield from self._guarded(key, partial(check, self, key, place))
                        else:
                            yield _unknown(key)
                case _:
                    yield from map(_unknown, keys)

    def _guarded(self, where: str, look: Look) -> Iterator[Finding]:
        """One object that cannot be read does not end the check; a store that does not answer does."""
        try:
            yield from look()
        except StoreError as exc:
            self._silent += 1
            if self._silent > SILENT_TWICE:
                raise
            yield finding("object_unreadable", where, exc.message, remedy=exc.remedy)
        else:
            self._silent = 0

    # --- agreements -----------------------------------------------------------------------------------------

    def _agreement(self, agreement_id: str) -> Iterator[Finding]:
        examined = check_agreement(self._store, agreement_id, self._trust)
        first = {(f.code, f.where) for f in examined.findings}
        if any(f.severity is Severity.ERROR and f.code not in MOVING for f in examined.findings):
            examined = check_agreement(self._store, agreement_id, self._trust)
        self.counts.add(examined.counts)
        self._observe(self.counts)
        moving = {f.code for f in examined.findings} & MOVING
        yield from (
            f
            for f in examined.findings
            if f.code not in moving and (f.severity is Severity.NOTE or (f.code, f.where) in first)
        )
        if moving:
            self._look_later(agreement_id, lambda: look_again(self._store, agreement_id, moving))
        if not examined.counts.statuses:
            self._look_later(agreement_id, lambda: self._no_log(agreement_id))

    def _no_log(self, agreement_id: str) -> Iterator[Finding]:
        if not self._has_log(agreement_id) and not self._is_worked_on(agreement_id):
            said = "there are blobs and no log: a command was refused late, or a crash came before its first entry"
            yield finding("log_absent", agreement_id, said)

    def _look_later(self, where: str, look: Look) -> None:
        """Look again at the end of the run: a worker may be about to do what is missing."""
        self._later.append((where, look))
        self._suspected_at = time.monotonic()

    def _has_log(self, agreement_id: str) -> bool:
        return any(True for _ in self._store.list(f"agreements/{agreement_id}/log/"))

    def _is_worked_on(self, agreement_id: str) -> bool:
        return any(True for _ in self._store.list(f"work/{agreement_id}/"))

    # --- commands -------------------------------------------------------------------------------------------

    def _command(self, key: str, place: re.Match[str]) -> Iterator[Finding]:
        self.counts.commands += 1
        examined = Examined(self._store)
        said = "the command is listed but not there"
        body = examined.get(key, missing=("claim_unreadable", said), altered="claim_unreadable")
        yield from examined.findings
        if body is None:
            return
        claim = read_claim(body)
        if claim is None or claim["command_id"] != place[1]:
            yield finding("claim_unreadable", key, "it does not tell what the command id stands for")
            return
        if "refused" not in claim and not self._is_in_log(claim):
            self._suspect(claim)

    def _suspect(self, claim: Claim) -> None:
        if not self._suspects:
            self._look_later("commands", self._lost_commands)
        self._suspects.append(claim)

    def _lost_commands(self) -> Iterator[Finding]:
        """Every claimed command is in its agreement's log, will be, or was refused after it was claimed."""
        open_claims: list[Claim] = []
        for claim in self._suspects:
            # The marker first: it goes when the entry is there.
            marked = self._store.exists(marker_key(claim["agreement_id"], claim["command_id"]))
            if self._is_in_log(claim):
                continue
            if marked:
                said = f"agreement {claim['agreement_id']} has yet to take the command in"
                yield finding("command_waiting", f"commands/{claim['command_id']}.json", said)
            else:
                open_claims.append(claim)
        refused = self._refused({c["command_id"] for c in open_claims}) if open_claims else set()
        for claim in open_claims:
            if (claim["command_id"], claim["payload_sha256"]) not in refused:
                said = (
                    f"agreement {claim['agreement_id']} has not taken the command in, "
                    "and no work marker says that it will"
                )
                yield finding("command_lost", f"commands/{claim['command_id']}.json", said)

    def _is_in_log(self, claim: Claim) -> bool:
        """Also True for a log that is damaged: that is said of the log."""
        agreement_id, command_id = claim["agreement_id"], claim["command_id"]
        examined = Examined(self._store)
        first = read_entry(examined, log_key(agreement_id, 0))
        if first is None:
            return self._has_log(agreement_id)
        if first.data.get("command_id") == command_id:
            return True
        log = read_log(examined, agreement_id, self._store.list(f"agreements/{agreement_id}/log/"))
        try:
            return not log.whole or command_id in fold(log.entries).commands
        except FOLD_FAULTS:
            return True

    def _refused(self, command_ids: Container[str]) -> set[tuple[str, str]]:
        """Those of the commands that are in quarantine, with the hashes of what was sent."""
        found = set()
        for key in self._store.list("quarantine/"):
            kept = self._kept(key)
            command_id = valid_command_id(kept["message"]) if kept else None
            if kept and command_id and command_id in command_ids:
                with contextlib.suppress(rfc8785.CanonicalizationError, RecursionError, UnicodeEncodeError):
                    found.add((command_id, hashlib.sha256(rfc8785.dumps(kept["message"])).hexdigest()))
        return found

    # --- what stands beside the agreements ------------------------------------------------------------------

    def _index(self, key: str, _place: re.Match[str]) -> Iterator[Finding]:
        """Whether the entry leads to an agreement that stands there; what is missing is said of the agreement."""
        match staleness(self._store, key):
            case Staleness.UNKNOWN:
                yield _unknown(key)
            case Staleness():
                self._look_later(key, lambda: self._stale(key))

    def _stale(self, key: str) -> Iterator[Finding]:
        match staleness(self._store, key) if self._store.exists(key) else None:
            case Staleness.NO_AGREEMENT:
                yield finding("index_dangling", key, "there is no agreement of that id")
            case Staleness.ELSEWHERE:
                yield finding("index_differs", key, "the agreement is not, or no longer, of that kind")

    def _work(self, key: str, place: re.Match[str]) -> Iterator[Finding]:
        """Markers of agreements that have a log are looked at with those."""
        agreement_id, run = place.groups()
        if not self._has_log(agreement_id):
            examined = Examined(self._store)
            read_marker(examined, key)
            yield from examined.findings
            if not examined.findings and not self._store.exists(f"commands/{run}.json"):
                self._look_later(key, lambda: self._dangling_marker(key, agreement_id))

    def _dangling_marker(self, key: str, agreement_id: str) -> Iterator[Finding]:
        if self._store.exists(key) and not self._has_log(agreement_id):
            yield finding("marker_dangling", key, "there is neither a log nor a command for this work marker")

    def _outbox(self, key: str, place: re.Match[str]) -> Iterator[Finding]:
        self._look_later(key, lambda: self._waiting_event(key, place[1]))
        yield from ()

    def _waiting_event(self, key: str, identity: str) -> Iterator[Finding]:
        if self._store.exists(key):
            kept = self._store.exists(f"quarantine/{identity}.json")
            said = (
                "waits to be published"
                if kept
                else "was to be published, but its message is not in quarantine"
            )
            yield finding("outbox_waiting", key, f"the event of a refused message {said}")

    def _quarantined(self, key: str, place: re.Match[str]) -> Iterator[Finding]:
        self.counts.quarantined += 1
        kept = self._kept(key)
        if kept is None and self._store.exists(key):
            yield finding("quarantine_unreadable", key, "the message that was kept cannot be read")
        elif kept and rejection_id(kept["task"], kept["message"]) != place[1]:
            yield finding("quarantine_unreadable", key, "the message is not the one that its key names")

    def _kept(self, key: str) -> dict[str, Any] | None:
        """A message in quarantine; None when it is gone or cannot be read."""
        try:
            kept = json.loads(self._store.get(key))
            _ = kept["task"], kept["message"], kept["received_at"], kept["error"]["code"], kept["event"]["id"]
        except NotFound:
            return None
        except (ValueError, KeyError, TypeError, RecursionError):
            return None
        assert isinstance(kept, dict)
        return kept

    def _known(self, _key: str, _place: re.Match[str]) -> Iterator[Finding]:
        yield from ()

    _CHECKS: Final = {
        "access": (
            rf"access/(?:{_UUID}|refused|searches)/\d{{4}}-\d\d-\d\d/\d{{6}}\.\d{{3}}-[0-9a-f]{{32}}\.json",
            _known,
        ),
        "commands": (rf"commands/({_UUID})\.json", _command),
        "due": (rf"due/\d{{4}}-\d\d-\d\d/{_UUID}/\d{{4}}-[a-z]{{1,20}}", _known),
        "index": (r"index/.+", _index),
        "outbox": (rf"outbox/({_SHA256})", _outbox),
        "probe": (rf"probe/{_SEGMENT}", _known),  # of S3, when a worker starts
        "quarantine": (rf"quarantine/({_SHA256})\.json", _quarantined),
        "resubmitted": (rf"resubmitted/{_SHA256}/{_UUID}\.[0-9a-z]{{8,16}}", _known),
        "work": (rf"work/({_UUID})/({_SEGMENT})", _work),
    }


def _unknown(key: str) -> Finding:
    return finding("key_unknown", key, "no object of Signert has such a key")
