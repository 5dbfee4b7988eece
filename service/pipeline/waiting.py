"""What happens when nobody acts: reminders, and the end of a version that was not signed in time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from service.domain.agreement import Agreement, PartyStatus
from service.domain.log import Draft, Occurrence, timestamp
from service.domain.ports import ObjectStore
from service.domain.steps import Step, end_of, wakes
from service.pipeline.services import Services

__all__ = ["Due", "due", "expire_version", "is_noted", "remind_parties", "wake_keys"]


def remind_parties(_services: Services, agreement: Agreement, step: Step) -> Draft:
    """Remind the parties whose turn it is that the version expires in a week, or a day."""
    version = agreement.current
    told = {"what": step.field, "end": end_of(version), "waiting": [p.role for p in version.open_parties()]}
    return Draft("reminded", told, (Occurrence("agreement.reminder", told),))


def expire_version(_services: Services, agreement: Agreement, _step: Step) -> Draft:
    """End a version whose time for signing is over."""
    parties = agreement.current.parties
    told = {
        "waiting": [p.role for p in parties if p.status is PartyStatus.WAITING],
        "signed": [p.role for p in parties if p.status.has_signed],
    }
    return Draft("expired", {}, (Occurrence("agreement.expired", told),))


@dataclass(frozen=True)
class Due:
    """`due/{yyyy-mm-dd}/{agreement}/{hhmm}-{what}`: an agreement is to be looked at from that minute (UTC) on.

    A hint for the sweeper: what is to be done then, the log says.
    """

    agreement_id: str
    at: datetime
    what: str

    @property
    def key(self) -> str:
        return f"due/{self.at:%Y-%m-%d}/{self.agreement_id}/{self.at:%H%M}-{self.what}"

    @classmethod
    def parse(cls, key: str) -> Due:
        _, day, agreement_id, name = key.split("/")
        minute, _, what = name.partition("-")
        return cls(
            agreement_id, datetime.strptime(f"{day} {minute}", "%Y-%m-%d %H%M").replace(tzinfo=UTC), what
        )


_WAKES = 2
"""How many are written at a time: the next, and one should that be lost. At each of them the next are; a plan may have
a meeting each week for years."""


def wake_keys(services: Services, agreement: Agreement) -> list[str]:
    """The objects that say when a resting agreement is to be looked at again."""
    return [found.key for found in _ahead(agreement, services.clock.now())[:_WAKES]]


def is_noted(store: ObjectStore, agreement: Agreement, now: datetime) -> bool:
    """Whether the next look at a resting agreement is written down, where there is one."""
    return all(store.exists(found.key) for found in _ahead(agreement, now)[:1])


def _ahead(agreement: Agreement, now: datetime) -> list[Due]:
    """What is still to come; the rest is done, or there was nothing to do."""
    return [
        Due(agreement.id, _next_minute(datetime.fromisoformat(moment)), what)
        for moment, what in wakes(agreement)
        if moment > timestamp(now)
    ]


def _next_minute(moment: datetime) -> datetime:
    """The whole minute at or after: looked at a moment too early, an agreement would not be looked at again."""
    return datetime.fromtimestamp(-(-moment.timestamp() // 60) * 60, UTC)


def due(store: ObjectStore, now: datetime) -> Iterator[Due]:
    """What is due by now, the oldest first."""
    for key in store.list("due/"):
        found = Due.parse(key)
        if f"due/{now:%Y-%m-%d}" < key[: len("due/2026-01-01")]:
            return
        if found.at <= now:
            yield found
