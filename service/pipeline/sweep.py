"""Drive every agreement that is not at rest, and publish what may not have been."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from service.errors import NotFound, SignertError
from service.pipeline.drive import Outcome, drive
from service.pipeline.intake import resume
from service.pipeline.quarantine import publish_rejection, rejections
from service.pipeline.services import Services
from service.pipeline.work import Marker

__all__ = ["IN_FLIGHT", "Swept", "sweep"]

log = logging.getLogger(__name__)

IN_FLIGHT = timedelta(minutes=5)
"""A marker younger than this is taken to belong to a worker that is alive."""


@dataclass(frozen=True)
class Swept:
    """What became of one marker; `outcome` is None when there was nothing to drive."""

    agreement_id: str
    outcome: Outcome | None


def sweep(services: Services, *, everything: bool = False) -> Iterator[Swept]:
    """Drive every agreement whose marker is due, one at a time, and publish rejections that still wait.

    A parked agreement is due at its `retry_at`, another marker when it is older than `IN_FLIGHT`; `everything`
    takes all of them. One agreement's failure does not stop the others.
    """
    for key in list(services.workbook.all_keys()):
        marker = services.workbook.load(key)
        if marker is None or not (everything or _due(marker, services.clock.now())):
            continue
        try:
            taken_in = resume(services, marker) or marker
            yield Swept(marker.agreement_id, drive(services, taken_in))
        except NotFound:
            yield Swept(marker.agreement_id, None)
        except SignertError as exc:
            log.warning("sweep agreement=%s code=%s", marker.agreement_id, exc.code)
    for rejection in list(rejections(services)):
        try:
            publish_rejection(services, rejection)
        except SignertError as exc:
            log.warning("sweep rejection=%s code=%s", rejection, exc.code)


def _due(marker: Marker, now: datetime) -> bool:
    if marker.parked:
        return datetime.fromisoformat(marker.parked.retry_at) <= now
    return datetime.fromisoformat(marker.created) + IN_FLIGHT <= now
