"""Follow-up: what a version's first entry says of it, and the entry that tells that an item is due or overdue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.domain.agreement import Agreement, Version
from service.domain.due import Telling
from service.domain.follow_up import FollowUp, Item, Planned, last_date, numbered, paired, planned
from service.domain.log import Draft, Occurrence
from service.domain.steps import Step
from service.pipeline.ledger import Ledger
from service.pipeline.services import Services

__all__ = ["plan_follow_up", "planned_items", "tell_follow_up"]

_EVENTS: Mapping[Telling, str] = {
    Telling.DUE: "agreement.follow-up-due",
    Telling.OVERDUE: "agreement.commitment-overdue",
}


def plan_follow_up(
    services: Services,
    data: Mapping[str, Any],
    *,
    agreement: Agreement | None = None,
    base: Version | None = None,
) -> FollowUp:
    """The follow-up of a version of `data`, which changes the version `base` of `agreement`, or is the first one."""
    before = planned_items(services.ledger, agreement, base) if agreement and base else ()
    used = {item.id for v in agreement.versions for item in v.follow_up.items} if agreement else ()
    return FollowUp(numbered(planned(data), before, used), last_date(data), services.follow_up_days)


def planned_items(ledger: Ledger, agreement: Agreement, version: Version) -> list[tuple[Planned, Item]]:
    """The version's items, each with what the agreement's data say of it."""
    if not version.follow_up.items:
        return []
    data = ledger.get_json(agreement.id, version.input_sha256)
    return paired(planned(data), version.follow_up.items)


def tell_follow_up(_services: Services, agreement: Agreement, step: Step) -> Draft:
    """Tell that an item of the version in force is due soon, or overdue."""
    version = agreement.in_force
    assert version is not None
    what, _, item_id = (step.field or "").partition(":")
    item = next(i for i in version.follow_up.items if i.id == item_id)
    return Draft(
        "follow-up-told",
        {"item": item.id, "what": what},
        (Occurrence(_EVENTS[Telling(what)], {"item": item.as_json()}),),
        version.number,
    )
