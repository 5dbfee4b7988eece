"""`drive()`: bring an agreement on, step by step, until it rests.

Every step reads the state folded from the log, does one thing, and appends one entry. So a crash anywhere is
cured by driving again, and any number of workers may drive the same agreement: one append wins, the others read
the log anew and go on from there.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from service.domain import moves
from service.domain.agreement import Agreement
from service.domain.folding import advance, fold
from service.domain.log import Draft, Entry, timestamp
from service.domain.steps import Capability, Step, StepKind, next_step
from service.errors import CommandRejected, SignertError
from service.pipeline import archive, authorization, declare, deliver, follow_up, render, sign, waiting
from service.pipeline.index import index
from service.pipeline.ledger import Raced
from service.pipeline.services import Services
from service.pipeline.work import Marker, Parked
from signing import SigningError

__all__ = ["Outcome", "Rest", "drive", "unforeseen"]

log = logging.getLogger(__name__)

_RETRY_FIRST = timedelta(seconds=5)
_RETRY_MOST = timedelta(minutes=15)

StepFunction = Callable[[Services, Agreement, Step], Draft]
Observer = Callable[[Entry], None]

_STEPS: Mapping[StepKind, StepFunction] = {
    StepKind.FOLLOW_UP: follow_up.tell_follow_up,
    StepKind.DECLARE: declare.request_declaration,
    StepKind.WITHDRAW: declare.withdraw_declaration,
    StepKind.REPORT: declare.report_declaration,
    StepKind.RENDER: render.render_agreement,
    StepKind.PREPARE: sign.prepare_signature,
    StepKind.REQUEST: sign.request_signatures,
    StepKind.SIGN: sign.complete_signature,
    StepKind.COLLECT: authorization.collect_signature,
    StepKind.GIVE_UP: sign.give_up_signature,
    StepKind.REMIND: waiting.remind_parties,
    StepKind.EXPIRE: waiting.expire_version,
    StepKind.AUGMENT: archive.augment_document,
    StepKind.VERIFY: archive.verify_document,
    StepKind.RENDER_RECEIPT: render.render_receipt,
    StepKind.ISSUE_RECEIPT: archive.issue_receipt,
    StepKind.DELIVER: deliver.deliver_copy,
}


class Rest(StrEnum):
    """Why `drive` stopped."""

    AT_REST = "at-rest"
    HANDED_OVER = "handed-over"
    PARKED = "parked"


@dataclass(frozen=True)
class Outcome:
    rest: Rest
    agreement: Agreement
    parked: Parked | None = None
    capability: Capability | None = None


def drive(services: Services, marker: Marker, *, observe: Observer = lambda _: None) -> Outcome:
    """Do every step that this worker may do, publish the events, and end `marker` when the agreement rests.

    A step that cannot be done now parks the agreement: the reason and the time of the next try stand in the
    marker, and `sweep` drives it again. Raises `NotFound` when the log has no entry yet, and `StoreError` when not
    even the marker can be written.
    """
    ledger = services.ledger
    entries = ledger.read(marker.agreement_id)
    agreement = fold(entries)
    told = min(marker.since, len(entries))  # the first entry whose events may not be published
    if marker.since > told:  # of a run that began without a look at the log
        marker = replace(marker, since=told)
        services.workbook.save(marker)  # before the first entry: after a crash, the next run must publish it
    doing = "publish"
    try:
        for entry in entries[told:]:
            _publish(services, entry)
            told = entry.seq + 1
        while (step := next_step(agreement, services.clock.now())) is not None:
            doing = str(step)
            if step.capability not in services.capabilities:
                # The marker stays, and goes along: should the message be lost, the sweeper still has it.
                touched = timestamp(services.clock.now())
                # Without a step forward the sweeper goes on waiting longer: a long queue must not grow by itself.
                handed_on = 0 if agreement.head.seq > entries[-1].seq else marker.handed_on
                services.workbook.save(
                    replace(marker, since=told, touched=touched, parked=None, handed_on=handed_on)
                )
                _index(services, agreement)
                services.hand_over(step.capability, agreement.id, marker.run)
                return Outcome(Rest.HANDED_OVER, agreement, capability=step.capability)
            try:
                draft = _attempt(services, agreement, step)
                number = draft.version or agreement.current.number
                added = [ledger.append(agreement.id, agreement.head, draft, version=number)]
            except Raced:
                added = ledger.read_after(agreement.head)
            doing = "publish"
            for entry in added:
                agreement = advance(agreement, entry)
                observe(entry)
                _publish(services, entry)
                told = entry.seq + 1
        waiting.note_wakes(services, agreement)
        doing = "index"
        index(services.store, services.pseudonyms, agreement)
    except Exception as exc:  # noqa: BLE001 (a fault of ours must not lose the agreement either)
        known = exc if isinstance(exc, (SignertError, SigningError)) else unforeseen(exc)
        parked = _parked(marker, doing, known, services.clock.now())
        services.workbook.save(replace(marker, since=told, parked=parked, handed_on=0))
        log.warning(
            "parked agreement=%s step=%s code=%s attempts=%d retry_at=%s",
            agreement.id, parked.step, parked.code, parked.attempts, parked.retry_at,
        )  # fmt: skip
        _index(services, agreement)
        return Outcome(Rest.PARKED, agreement, parked=parked)
    services.workbook.end(marker)
    return Outcome(Rest.AT_REST, agreement)


def _index(services: Services, agreement: Agreement) -> None:
    """Have the agreement found as it stands now. Its marker stays, so what goes wrong is done again at its rest."""
    try:
        index(services.store, services.pseudonyms, agreement)
    except SignertError as exc:
        log.warning("not indexed agreement=%s code=%s", agreement.id, exc.code)


def _attempt(services: Services, agreement: Agreement, step: Step) -> Draft:
    log.info("step agreement=%s version=%d step=%s", agreement.id, agreement.current.number, step)
    try:
        return _STEPS[step.kind](services, agreement, step)
    except CommandRejected as exc:
        errors = [e.as_json() for e in exc.errors]
        return moves.reject(
            agreement.current, step=str(step), code=exc.code, message=exc.message, errors=errors
        )


def _publish(services: Services, entry: Entry) -> None:
    for event in entry.cloud_events():
        services.publisher.publish(event)


def unforeseen(exc: Exception) -> SignertError:
    """An unforeseen error, without its text, which may hold what the agreement says."""
    frames = [f"{f.filename}:{f.lineno}" for f in traceback.extract_tb(exc.__traceback__)]
    log.error("unforeseen %s at %s", type(exc).__name__, " < ".join(reversed(frames)))
    return SignertError(
        f"an unforeseen error: {type(exc).__name__}",
        code="internal",
        remedy="See the worker's log, and report it.",
    )


def _parked(marker: Marker, step: str, exc: SignertError | SigningError, now: datetime) -> Parked:
    before = marker.parked if marker.parked and marker.parked.step == step else None
    attempts = before.attempts + 1 if before else 1
    wait = min(_RETRY_FIRST * 2 ** min(attempts - 1, 16), _RETRY_MOST)
    return Parked(
        step=step,
        code=exc.code,
        message=exc.message,
        remedy=exc.remedy,
        attempts=attempts,
        since=before.since if before else timestamp(now),
        retry_at=timestamp(now + wait),
    )
