"""Find every agreement that is not at rest, have it driven on, and publish rejections that still wait."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from service.domain.log import timestamp
from service.domain.signals import SILENT, SWEEP_TIME
from service.errors import NotFound, SignertError
from service.pipeline.census import Census
from service.pipeline.drive import Outcome, drive
from service.pipeline.intake import claimed, resume
from service.pipeline.quarantine import publish_rejection, rejections
from service.pipeline.services import Services
from service.pipeline.waiting import due
from service.pipeline.work import Marker, Parked, marker_key

__all__ = ["Swept", "park_abandoned", "sweep", "take_up"]

log = logging.getLogger(__name__)

_WORKER_LOST_WAIT = timedelta(minutes=15)
_WAKES = uuid.UUID("2c4a3a52-7f0e-5b7e-9a0c-3d8f4f0b6a77")
"""For the runs of agreements that are looked at because a deadline has come."""
_ALL_TOLD = 10**9
"""`since` of a run that has no earlier events to publish."""


@dataclass(frozen=True)
class Swept:
    """What became of one marker, or of one rejection.

    `what` is `driven`, `handed-on` (to the queue), `ended` (nothing was left to do), `republished` or `failed`;
    `id` is the agreement's, or the rejection's. `outcome` is there when it was driven.
    """

    what: str
    id: str
    outcome: Outcome | None = None
    code: str | None = None


def sweep(
    services: Services, *, everything: bool = False, hand_on: Callable[[Marker], None] | None = None
) -> Iterator[Swept]:
    """Take up every marker that is due, look at agreements whose deadline has come, and publish waiting rejections.

    A parked agreement is due at its `retry_at`, another when nobody touched its marker for
    `services.abandoned_after`; `everything` takes all of them. With `hand_on`, each is given to it, for the workers
    to share; without, they are driven here, one at a time. One agreement's failure does not stop the others.
    """
    began, census = time.perf_counter(), Census(services.clock.now())
    for marker in _taken(services, census, everything=everything):
        try:
            yield _swept(services, marker, hand_on)
        except SignertError as exc:
            log.warning("sweep agreement=%s code=%s", marker.agreement_id, exc.code)
            yield Swept("failed", marker.agreement_id, code=exc.code)
    for rejection in list(rejections(services)):
        try:
            publish_rejection(services, rejection)
            yield Swept("republished", rejection)
        except SignertError as exc:
            log.warning("sweep rejection=%s code=%s", rejection, exc.code)
            yield Swept("failed", rejection, code=exc.code)
    if services.signals is not SILENT:
        services.signals.observe(SWEEP_TIME, time.perf_counter() - began)
        services.signals.replace(census.figures(services.store))


def _taken(services: Services, census: Census, *, everything: bool) -> Iterator[Marker]:
    """The markers to take up now. A deadline that has come is made one, so that a crash does not lose it."""
    woken = set()
    for found in list(due(services.store, services.clock.now())):
        run = str(uuid.uuid5(_WAKES, found.key))
        marker = services.workbook.begin(found.agreement_id, run, since=_ALL_TOLD)
        services.store.delete(found.key)
        woken.add(marker.key)
        yield marker
    for key in list(services.workbook.all_keys()):
        try:
            waiting = None if key in woken else services.workbook.load(key)
        except SignertError as exc:
            log.warning("sweep marker=%s code=%s", key, exc.code)
            continue
        if waiting is None:
            continue
        census.see(waiting)
        if everything or waiting.due(services.abandoned_after) <= services.clock.now():
            yield waiting


def take_up(services: Services, marker: Marker) -> Outcome | None:
    """Drive the agreement of a marker that another run left; None when there was nothing to drive.

    A crash may have come before the command's entry: then the command is taken in first.
    """
    try:
        with services.ledger.remembering():
            return drive(services, resume(services, marker) or marker)
    except NotFound:
        log.info("nothing to drive agreement=%s", marker.agreement_id)
    services.workbook.end(marker)
    return None


def park_abandoned(services: Services, kwargs: Mapping[str, Any]) -> bool:
    """Park the agreement of a message on which worker after worker died; False when there is none yet.

    `kwargs` are the message's: a command, or the agreement and run to drive on.
    """
    if "command" in kwargs:
        claim = claimed(services, kwargs["command"])
        place = (claim.agreement_id, claim.command_id) if claim else None
    else:
        place = kwargs["agreement_id"], kwargs["run"]
    if place is None:
        return False
    marker = services.workbook.load(marker_key(*place))
    if marker:
        services.workbook.save(replace(marker, parked=_worker_lost(services, marker)))
    return True


def _worker_lost(services: Services, marker: Marker) -> Parked:
    now = services.clock.now()
    return Parked(
        step="drive",
        code="worker_lost",
        message="worker after worker died while working on this agreement",
        remedy="See the workers' memory limits and the kernel's log.",
        attempts=marker.parked.attempts + 1 if marker.parked else 1,
        since=marker.parked.since if marker.parked else timestamp(now),
        retry_at=timestamp(now + _WORKER_LOST_WAIT),
    )


def _swept(services: Services, marker: Marker, hand_on: Callable[[Marker], None] | None) -> Swept:
    if hand_on:
        services.workbook.hand_on(marker)
        hand_on(marker)
        return Swept("handed-on", marker.agreement_id)
    outcome = take_up(services, marker)
    return Swept("driven" if outcome else "ended", marker.agreement_id, outcome)
