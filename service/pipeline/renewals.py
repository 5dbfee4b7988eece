"""What an operator asks of all agreements: when is each to be renewed, by the present policy, and renew what is due."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from service.domain.agreement import Agreement, Status
from service.domain.log import Draft, timestamp
from service.domain.ports import ObjectStore
from service.domain.renewal import Schedule
from service.errors import SignertError
from service.pipeline.drive import drive
from service.pipeline.ledger import Raced
from service.pipeline.renew import ask_renewal, reassess
from service.pipeline.services import Services
from signing import SigningError

__all__ = ["Looked", "VersionState", "agreement_ids", "look_at", "renew"]

log = logging.getLogger(__name__)

_RUNS = uuid.UUID("6f9d6a0a-3c55-5e0c-8c7e-1f1e1f0d5b21")
"""For the runs of this command: begun again after a crash, it goes on with the same."""

Decide = Callable[[Services, Agreement], Iterator[Draft]]


@dataclass(frozen=True)
class VersionState:
    """A signed version. `due` says that it is to be renewed now, `renewed` that this has just been done."""

    number: int
    schedule: Schedule | None
    due: bool
    renewed: bool = False


@dataclass(frozen=True)
class Looked:
    """What became of one agreement. `code` and `message` say why it could not be looked at, or renewed."""

    agreement_id: str
    versions: Sequence[VersionState] = ()
    code: str | None = None
    message: str = ""
    remedy: str = ""

    @property
    def is_due(self) -> bool:
        return any(v.due for v in self.versions)


def agreement_ids(store: ObjectStore) -> Iterator[str]:
    """The ids of all agreements, each once."""
    last = None
    for key in store.list("agreements/"):
        found = key.split("/")[1]
        if found != last:
            last = found
            yield found


def look_at(services: Services, ids: Iterable[str], *, anew: bool) -> Iterator[Looked]:
    """When each is to be renewed: as the log says, or `anew` by the files in the store and the present policy.

    Nothing is written.
    """
    for agreement_id in ids:
        try:
            agreement = services.ledger.agreement(agreement_id)
            drafts = list(reassess(services, agreement)) if anew else []
        except (SignertError, SigningError) as exc:
            yield Looked(agreement_id, code=exc.code, message=exc.message, remedy=exc.remedy)
            continue
        yield Looked(agreement_id, _states(services, agreement, drafts))


def renew(services: Services, ids: Iterable[str], *, asked: bool = False) -> Iterator[Looked]:
    """Reckon anew when each is to be renewed, and renew what is due; with `asked`, whether it is due or not.

    One agreement's failure does not stop the others. Safe to break off and to repeat.
    """
    for agreement_id in ids:
        try:
            yield _renewed(services, agreement_id, ask_renewal if asked else reassess)
        except (SignertError, SigningError) as exc:
            log.warning("renew agreement=%s code=%s", agreement_id, exc.code)
            yield Looked(agreement_id, code=exc.code, message=exc.message, remedy=exc.remedy)


def _renewed(services: Services, agreement_id: str, decide: Decide) -> Looked:
    ledger = services.ledger
    before = ledger.agreement(agreement_id)
    run = str(uuid.uuid5(_RUNS, agreement_id))
    marker = services.workbook.begin(agreement_id, run, since=before.head.seq + 1)
    try:
        _decide(services, before, decide)
    except (SignertError, SigningError):
        services.workbook.end(marker)
        raise
    agreement = drive(services, marker).agreement
    renewals = {v.number: len(v.renewals) for v in before.versions}
    states = _states(services, agreement)
    waiting = [m.parked for m in services.workbook.of(agreement_id) if m.parked]
    return Looked(
        agreement_id,
        [
            VersionState(
                s.number,
                s.schedule,
                s.due,
                len(agreement.versions[s.number - 1].renewals) > renewals.get(s.number, 0),
            )
            for s in states
        ],
        *((waiting[0].code, waiting[0].message, waiting[0].remedy) if waiting else ()),
    )


def _decide(services: Services, agreement: Agreement, decide: Decide) -> None:
    """Append what is decided, by the newest state of the log."""
    while True:
        try:
            head = agreement.head
            for draft in decide(services, agreement):
                assert draft.version
                head = services.ledger.append(agreement.id, head, draft, version=draft.version)
        except Raced:
            agreement = services.ledger.agreement(agreement.id)
            continue
        return


def _states(services: Services, agreement: Agreement, drafts: Iterable[Draft] = ()) -> list[VersionState]:
    """The signed versions, as they are when `drafts` are written."""
    now = timestamp(services.clock.now())
    anew = {d.version: Schedule.from_data(d.data["renewal"]) for d in drafts}
    found = []
    for version in agreement.versions:
        if version.status is Status.SIGNED:
            schedule = anew.get(version.number, version.schedule)
            found.append(
                VersionState(version.number, schedule, schedule is not None and schedule.renew_by <= now)
            )
    return found
