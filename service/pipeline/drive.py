"""`drive()`: bring an agreement on, step by step, until it rests.

Every step reads the state folded from the log, does one thing, and appends one entry. So a crash anywhere is
cured by driving again, and any number of workers may drive the same agreement: one append wins, the others read
the log anew and go on from there.
"""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial

from service.domain import moves
from service.domain.agreement import Agreement
from service.domain.log import Draft, timestamp
from service.domain.signals import PARKINGS, STEPS
from service.domain.steps import UPKEEP, Capability, Step, StepKind, next_step
from service.errors import CommandRejected, SignertError
from service.pipeline import (
    archive,
    authorization,
    declare,
    deliver,
    erase,
    follow_up,
    render,
    renew,
    sign,
    waiting,
)
from service.pipeline.index import index
from service.pipeline.progress import Observer, Progress
from service.pipeline.services import Services
from service.pipeline.together import mark, meanwhile
from service.pipeline.work import Marker, Parked, upkeep_run
from signing import RevocationUnavailable, SigningError

__all__ = ["Outcome", "Rest", "drive", "unforeseen"]

log = logging.getLogger(__name__)

_RETRY = timedelta(seconds=5), timedelta(minutes=15)
_UPKEEP_RETRY = timedelta(minutes=1), timedelta(hours=6)
"""How long is waited after the first failure, and at most. A renewal has months."""
_ALL_TOLD = 10**9
"""`since` of a run that has no earlier events to publish."""

StepFunction = Callable[[Services, Agreement, Step], Draft]

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
    StepKind.ERASE: erase.erase_content,
    StepKind.RENEW: renew.renew_version,
    StepKind.SCHEDULE: renew.schedule_version,
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
    marker, and `sweep` drives it again. A renewal that cannot be done now holds up nothing else: it has a marker of its
    own. Raises `NotFound` when the log has no entry yet, and `StoreError` when not even the marker can be written.
    """
    with services.ledger.remembering():
        return _drive(services, marker, observe)


def _drive(services: Services, marker: Marker, observe: Observer) -> Outcome:
    ledger = services.ledger
    chain = ledger.chain(marker.agreement_id)
    entries = tuple(chain.entries)
    told = min(marker.since, len(entries))
    if marker.since > told:  # of a run that began without a look at the log
        marker = replace(marker, since=told)
        services.workbook.save(marker)  # before the first entry: after a crash, the next run must publish it
    progress = Progress(services, chain.agreement, told, observe)
    upkeep = _Upkeep(services, marker)
    try:
        progress.tell(entries[told:])
        while (step := _next_step(services, progress, upkeep)) is not None:
            progress.doing = str(step)
            if step.capability not in services.capabilities:
                agreement = progress.agreement
                # The marker stays, and goes along: should the message be lost, the sweeper still has it.
                touched = timestamp(services.clock.now())
                # Without a step forward the sweeper goes on waiting longer: a long queue must not grow by itself.
                handed_on = 0 if agreement.head.seq > entries[-1].seq else marker.handed_on
                services.workbook.save(
                    replace(marker, since=progress.told, touched=touched, parked=None, handed_on=handed_on)
                )
                _index(services, agreement)
                services.hand_over(step.capability, agreement.id, marker.run)
                return Outcome(Rest.HANDED_OVER, agreement, capability=step.capability)
            _do(services, progress, upkeep, step)
        agreement = progress.agreement
        progress.doing = "index"
        hints = [*waiting.wake_keys(services, agreement), *erase.disposal_keys(services, agreement)]
        with meanwhile(
            [*(partial(mark, services.store, key) for key in hints), partial(ledger.gather, chain)]
        ):
            index(services.store, services.pseudonyms, agreement, get_blob=ledger.get_blob)
    except Exception as exc:  # noqa: BLE001 (a fault of ours must not lose the agreement either)
        progress.close()
        parked = _park(services, replace(marker, since=progress.told), progress.doing, exc)
        _index(services, progress.agreement)
        return Outcome(Rest.PARKED, progress.agreement, parked=parked)
    finally:
        progress.close()
    if upkeep.own:
        return Outcome(Rest.PARKED, agreement, parked=upkeep.own)
    services.workbook.end(marker)
    return Outcome(Rest.AT_REST, agreement)


def _next_step(services: Services, progress: Progress, upkeep: _Upkeep) -> Step | None:
    """What comes next. Only what is worked out here comes before the log has all that it stands on."""
    step = upkeep.next_step(progress.expected)
    if step is None or not step.is_worked_out or step.capability not in services.capabilities:
        if progress.settle():
            return step
        step = upkeep.next_step(progress.expected)
    return step


def _do(services: Services, progress: Progress, upkeep: _Upkeep, step: Step) -> None:
    """Do the step, and send its entry on its way."""
    fault: Exception | None = None
    draft: Draft | None = None
    try:
        with services.ledger.sending() as sent:
            try:
                draft = _attempt(services, progress.expected, step)
            except Exception as exc:  # noqa: BLE001 (what was under way comes first, and may make this void)
                fault = exc
        if not progress.settle():
            sent.wait()  # an order to erase may have come between
            return
        if draft is None:
            assert fault
            raise fault
        progress.begin(draft, sent)
        if step.is_upkeep:
            progress.settle()
    except Exception as exc:
        if not step.is_upkeep:
            raise
        upkeep.put_off(step, exc)


class _Upkeep:
    """The steps of one run, of which those for renewal give way to others when they cannot be done."""

    def __init__(self, services: Services, marker: Marker) -> None:
        self._services, self._marker = services, marker
        self._but: set[Step] = set()
        self.own: Parked | None = None
        """Why this run is not at its end: it is there for a step that could not be done."""

    def next_step(self, agreement: Agreement) -> Step | None:
        """What this worker does next. What it has not the capability for comes after all that it has."""
        now = self._services.clock.now()
        while (
            (step := next_step(agreement, now, but=self._but)) and step.is_upkeep and self._waits(step, now)
        ):
            self._but.add(step)
        if step is None or not step.is_upkeep or step.capability in self._services.capabilities:
            return step
        return next_step(agreement, now, but=UPKEEP) or step

    def _waits(self, step: Step, now: datetime) -> bool:
        """Whether another run could not do it, and it is not the time yet to try again."""
        run = upkeep_run(self._marker.agreement_id, str(step))
        if run == self._marker.run:
            return False
        marker = self._services.workbook.find(self._marker.agreement_id, run)
        return bool(marker and marker.parked and marker.parked.retry_at > timestamp(now))

    def put_off(self, step: Step, exc: Exception) -> None:
        """Leave a step that could not be done to a run of its own."""
        self._but.add(step)
        run = upkeep_run(self._marker.agreement_id, str(step))
        marker = self._services.workbook.begin(self._marker.agreement_id, run, since=_ALL_TOLD)
        parked = _park(self._services, marker, str(step), exc, _UPKEEP_RETRY)
        if run == self._marker.run:
            self.own = parked


def _park(
    services: Services,
    marker: Marker,
    doing: str,
    exc: Exception,
    retry: tuple[timedelta, timedelta] = _RETRY,
) -> Parked:
    known = exc if isinstance(exc, (SignertError, SigningError)) else unforeseen(exc)
    parked = _parked(marker, doing, known, services.clock.now(), retry)
    services.workbook.save(replace(marker, parked=parked, handed_on=0))
    services.signals.count(PARKINGS, _kind(parked.step), parked.code)
    log.warning(
        "parked agreement=%s step=%s code=%s attempts=%d retry_at=%s",
        marker.agreement_id, parked.step, parked.code, parked.attempts, parked.retry_at,
    )  # fmt: skip
    return parked


def _index(services: Services, agreement: Agreement) -> None:
    """Have the agreement found as it stands now. Its marker stays, so what goes wrong is done again at its rest."""
    try:
        index(services.store, services.pseudonyms, agreement, get_blob=services.ledger.get_blob)
    except SignertError as exc:
        log.warning("not indexed agreement=%s code=%s", agreement.id, exc.code)


def _attempt(services: Services, agreement: Agreement, step: Step) -> Draft:
    log.info("step agreement=%s version=%d step=%s", agreement.id, agreement.current.number, step)
    began, means, outcome = time.perf_counter(), "", "failed"
    try:
        with services.signals.span(f"step {step.kind}", agreement=agreement.id, step=str(step)):
            draft = _STEPS[step.kind](services, agreement, step)
        means, outcome = str(draft.data.get("key_place", "")), "done"
    except CommandRejected as exc:
        errors = [e.as_json() for e in exc.errors]
        return moves.reject(
            agreement.current, step=str(step), code=exc.code, message=exc.message, errors=errors
        )
    finally:
        services.signals.observe(STEPS, time.perf_counter() - began, str(step.kind), means, outcome)
    return draft


def _kind(doing: str) -> str:
    """What is done, without for whom."""
    return doing.partition(":")[0]


def unforeseen(exc: Exception) -> SignertError:
    """An unforeseen error, without its text, which may hold what the agreement says."""
    frames = [f"{f.filename}:{f.lineno}" for f in traceback.extract_tb(exc.__traceback__)]
    log.error("unforeseen %s at %s", type(exc).__name__, " < ".join(reversed(frames)))
    return SignertError(
        f"an unforeseen error: {type(exc).__name__}",
        code="internal",
        remedy="See the worker's log, and report it.",
    )


def _parked(
    marker: Marker,
    step: str,
    exc: SignertError | SigningError,
    now: datetime,
    retry: tuple[timedelta, timedelta],
) -> Parked:
    before = marker.parked if marker.parked and marker.parked.step == step else None
    attempts = before.attempts + 1 if before else 1
    first, most = retry
    retry_at = now + min(first * 2 ** min(attempts - 1, 16), most)
    if isinstance(exc, RevocationUnavailable) and exc.retry_at:  # there will be none before
        retry_at = max(retry_at, exc.retry_at)
    return Parked(
        step=step,
        code=exc.code,
        message=exc.message,
        remedy=exc.remedy,
        attempts=attempts,
        since=before.since if before else timestamp(now),
        retry_at=timestamp(retry_at),
    )
