"""The step that comes next for an agreement, and when to look at it again."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from service.domain.agreement import SEAL, Agreement, Method, Party, Status, Version
from service.domain.delivery import delivery_times, pending_copy
from service.domain.due import telling, telling_times
from service.domain.log import timestamp

__all__ = ["UPKEEP", "Capability", "Step", "StepKind", "end_of", "next_step", "wakes"]


class Capability(StrEnum):
    """What a worker may do: LibreOffice runs where no key is, and keys are where no LibreOffice runs."""

    RENDER = "render"
    SIGN = "sign"
    DELIVER = "deliver"
    """Send e-mail: no key and no LibreOffice is needed, but a way out to the mail server."""


class StepKind(StrEnum):
    FOLLOW_UP = "follow-up"
    """Tell what is due by the version in force, or overdue."""
    DECLARE = "declare"
    """Begin the declaration that a party signs first."""
    WITHDRAW = "withdraw"
    """Take back a declaration for a version that has ended."""
    REPORT = "report"
    """Tell the agreement that a declaration is for."""
    RENDER = "render"
    REQUEST = "request"
    PREPARE = "prepare"
    SIGN = "sign"
    COLLECT = "collect"
    """Have the signing service make the signature that a person has approved there."""
    GIVE_UP = "give-up"
    """Discard a prepared signature that did not come back in time."""
    REMIND = "remind"
    EXPIRE = "expire"
    AUGMENT = "augment"
    VERIFY = "verify"
    RENDER_RECEIPT = "render-receipt"
    ISSUE_RECEIPT = "issue-receipt"
    ERASE = "erase"
    """Erase the content, as was ordered."""
    RENEW = "renew"
    """Put a new document timestamp over what the newest one will soon prove no longer."""
    SCHEDULE = "schedule"
    """Find out when a version is to be renewed that was signed before there were renewals."""
    DELIVER = "deliver"
    """Send a party the link to its copy."""


_RENDERED = {StepKind.RENDER, StepKind.RENDER_RECEIPT}
_WORKED_OUT = {
    StepKind.RENDER, StepKind.PREPARE, StepKind.REQUEST, StepKind.AUGMENT, StepKind.VERIFY, StepKind.RENDER_RECEIPT
}  # fmt: skip

WARNINGS: Mapping[str, timedelta] = {"day": timedelta(days=1), "week": timedelta(days=7)}
"""How long before the end the waiting parties are reminded; the most urgent first."""


@dataclass(frozen=True)
class Step:
    """One thing to do for a version; `field` is the signature field, or which reminder, or what to tell of an item.

    Of what concerns any version, `field` is the version's number.
    """

    kind: StepKind
    field: str | None = None

    @property
    def is_upkeep(self) -> bool:
        """Whether nothing else has to wait for it."""
        return self.kind in {StepKind.RENEW, StepKind.SCHEDULE}

    @property
    def is_worked_out(self) -> bool:
        """Whether nothing comes of it but blobs and an entry: no key is used, nobody is told, nothing is deleted.

        So it may be thrown away. Time and evidence are asked for, which says a hash and nothing else.
        """
        return self.kind in _WORKED_OUT

    @property
    def capability(self) -> Capability:
        if self.kind is StepKind.DELIVER:
            return Capability.DELIVER
        return Capability.RENDER if self.kind in _RENDERED else Capability.SIGN

    def __str__(self) -> str:
        return f"{self.kind}:{self.field}" if self.field else str(self.kind)


class _Upkeep(Container[Step]):
    def __contains__(self, step: object) -> bool:
        return isinstance(step, Step) and step.is_upkeep


UPKEEP: Container[Step] = _Upkeep()
"""Every step for renewal."""


def next_step(agreement: Agreement, now: datetime, *, but: Container[Step] = ()) -> Step | None:
    """What is to be done now, or None when the agreement rests: at its end, or until somebody acts.

    Steps for renewal are left out that are among `but`: nothing else waits for them.
    """
    if agreement.erasure:
        return None if agreement.erasure.done_at else Step(StepKind.ERASE)
    if step := _next_of_versions(agreement, now, but):
        return step
    # Last of all: a mail server that does not answer must not hold back what is agreed, or is being signed.
    if found := pending_copy(agreement, timestamp(now)):
        version, copy = found
        return Step(StepKind.DELIVER, f"{copy.role}:{version.number}")
    return None


def _next_of_versions(agreement: Agreement, now: datetime, but: Container[Step]) -> Step | None:
    if follow_up := telling(agreement, now):
        # First of all: an amendment that cannot be signed now must not hold back what was agreed before.
        what, item = follow_up
        return Step(StepKind.FOLLOW_UP, f"{what}:{item.id}")
    # Then renewal, for the same reason. Where it fails, `drive` goes on without it.
    renewal = next((s for s in _renewals(agreement, timestamp(now)) if s not in but), None)
    own = renewal or _version_step(agreement, now)
    return own or next((s for s in _unscheduled(agreement) if s not in but), None)


def _renewals(agreement: Agreement, now: str) -> Iterator[Step]:
    """Every signed version is renewed, also one that is no longer in force."""
    for version in agreement.versions:
        if version.schedule and version.schedule.renew_by <= now:
            yield Step(StepKind.RENEW, str(version.number))


def _unscheduled(agreement: Agreement) -> Iterator[Step]:
    for version in agreement.versions:
        if version.status is Status.SIGNED and version.schedule is None:
            yield Step(StepKind.SCHEDULE, str(version.number))


def _version_step(agreement: Agreement, now: datetime) -> Step | None:
    version = agreement.current
    if version.status.is_open:
        waiting = next((d for d in version.declarations if not d.requested), None)
        if waiting:
            return Step(StepKind.DECLARE, waiting.role)
    return _of_version(agreement, version, now)


def _of_version(agreement: Agreement, version: Version, now: datetime) -> Step | None:
    match version.status:
        case Status.SUBMITTED:
            return Step(StepKind.RENDER)
        case Status.RENDERED:
            return Step(StepKind.SIGN if _ready(version, SEAL) else StepKind.PREPARE, SEAL)
        case Status.SIGNING:
            return _signing(version, timestamp(now))
        case Status.COMPLETED:
            if not version.augmented:
                return Step(StepKind.AUGMENT)
            if version.report_sha256 is None:
                return Step(StepKind.VERIFY)
            if version.receipt_sha256 is None:
                return Step(StepKind.RENDER_RECEIPT)
            return Step(StepKind.ISSUE_RECEIPT)
        case Status.SIGNED:
            return _last(agreement)
        case _:
            asked = next((d for d in version.declarations if d.requested and not d.is_done), None)
            return Step(StepKind.WITHDRAW, asked.role) if asked else _last(agreement)


def _last(agreement: Agreement) -> Step | None:
    """What remains when a version has ended."""
    unknown = agreement.declares_for and not agreement.current.reported
    return Step(StepKind.REPORT) if unknown else None


def _signing(version: Version, now: str) -> Step | None:
    """Within the lowest order group that is not done, whoever can sign does; a person who signs is not overtaken."""
    group = [p for p in version.open_parties() if not version.must_declare(p.role)]
    if any(p.requested_at is None for p in group):
        return Step(StepKind.REQUEST)
    prepared = version.prepared
    if prepared and prepared.answer:
        if prepared.answer.kind != "authorization":
            return Step(StepKind.SIGN, prepared.field)
        # A service that cannot be reached must not keep the others from signing.
        on_time = (prepared.lease_until or "") > now
        return Step(StepKind.COLLECT if on_time else StepKind.GIVE_UP, prepared.field)
    if prepared and (prepared.lease_until or "") > now:
        return _reminder(version, now)
    if now >= end_of(version):
        return Step(StepKind.EXPIRE)
    if prepared and prepared.lease_until:
        return Step(StepKind.GIVE_UP, prepared.field)
    party = next(filter(_may_sign, group), None)
    if party:
        return Step(StepKind.SIGN if _ready(version, party.role) else StepKind.PREPARE, party.role)
    return _reminder(version, now)


def _may_sign(party: Party) -> bool:
    return party.method is Method.AUTOMATIC or party.approval is not None


def _ready(version: Version, field: str) -> bool:
    """Whether the field's signature is prepared, and for the newest revision."""
    prepared = version.prepared
    return bool(prepared and prepared.field == field and prepared.base_sha256 == version.document.sha256)


def end_of(version: Version) -> str:
    """When the version expires, unless it comes further: the first of its own end and the asked parties' deadlines."""
    changed = datetime.fromisoformat(version.changed_at)
    own = timestamp(changed + timedelta(days=version.expires_after_days))
    return min([own, *(p.deadline for p in version.open_parties() if p.deadline)])


def _reminder(version: Version, now: str) -> Step | None:
    end = end_of(version)
    for what, _ in _warnings(version, end):
        if (what, end) in version.warned:
            return None  # a more urgent one was given already
        if now >= _before(end, WARNINGS[what]):
            return Step(StepKind.REMIND, what)
    return None


def _warnings(version: Version, end: str) -> Iterator[tuple[str, str]]:
    """The warnings of this end that make sense: none before the parties were asked."""
    for what, early in WARNINGS.items():
        moment = _before(end, early)
        if moment > version.changed_at:
            yield what, moment


def _before(end: str, early: timedelta) -> str:
    return timestamp(datetime.fromisoformat(end) - early)


def wakes(agreement: Agreement) -> list[tuple[str, str]]:
    """When a resting agreement is to be looked at again, and what for: `[(time, what)]`, in order of time."""
    if agreement.erasure:
        return []
    version = agreement.current
    found = [(moment, "follow") for moment in set(telling_times(agreement))]
    found += {(v.schedule.renew_by, "renew") for v in agreement.versions if v.schedule}
    found += [(moment, "deliver") for moment in set(delivery_times(agreement))]
    if version.status is not Status.SIGNING:
        return sorted(found)
    end = end_of(version)
    found += [(end, "expire"), *((moment, what) for what, moment in _warnings(version, end))]
    if version.prepared and version.prepared.lease_until:
        found.append((version.prepared.lease_until, "lease"))
    return sorted(found)
