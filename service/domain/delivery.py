"""Each party gets its copy when all have signed: how, and what is tried again when.

The `signed` entry says to whom a link is sent by e-mail; the others are told by whoever reads the event. By e-mail no
copy goes to whom the letter might harm or could not help: a participant whose address is protected, or may be, and who
did not sign digitally (on paper, or by somebody else: it may be reserved, or have no electronic identity).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from service.domain.agreement import Agreement, Channel, Copy, CopyOutcome, PartyStatus, Version
from service.domain.log import Entry
from service.domain.presentation import is_protected

__all__ = ["delivery_times", "fold_copies", "fold_delivery", "pending_copy", "planned_copies", "retry_after"]

_WAITS: Final = tuple(timedelta(minutes=m) for m in (1, 5, 30, 120, 480, 1440, 1440))
"""Between one try and the next; after the last there is none: three and a half days in all (RFC 5321 4.5.4.1 has four
to five for a relay; ours has its own queue)."""


def planned_copies(version: Version, data: Mapping[str, Any], *, by_mail: bool) -> list[dict[str, str]]:
    """Role and channel for each party of the version that `data` are of."""
    mailed = {p.role for p in version.parties if by_mail and _has_mail(version, data, p.role)}
    return [
        {"role": p.role, "channel": Channel.MAIL if p.role in mailed else Channel.LINK}
        for p in version.parties
    ]


def _has_mail(version: Version, data: Mapping[str, Any], role: str) -> bool:
    party = version.party(role)
    digitally = party.status in {PartyStatus.SIGNED, PartyStatus.TOLD} and party.signed_by is None
    protected = role == "participant" and is_protected(data)
    return digitally and not protected and bool(data["parties"][role].get("email"))


def fold_copies(entry: Entry) -> tuple[Copy, ...]:
    """What a `signed` entry plans; nothing where an earlier release, or one that tells no address, wrote it."""
    return tuple(
        Copy(c["role"], Channel(c["channel"]), next_at=entry.at) for c in entry.data.get("copies", ())
    )


def fold_delivery(version: Version, entry: Entry) -> Version:
    """What became of one try."""
    told = entry.data

    def tried(copy: Copy) -> Copy:
        if copy.role != told["role"]:
            return copy
        outcome = CopyOutcome(told["outcome"])
        return replace(
            copy, outcome=outcome, attempts=told["attempt"], at=entry.at, next_at=told.get("next_at")
        )

    return replace(version, copies=tuple(map(tried, version.copies)))


def pending_copy(agreement: Agreement, now: str) -> tuple[Version, Copy] | None:
    """The copy whose turn it is to be sent; `now` as in the log."""
    due = (found for found in _waiting(agreement) if (found[1].next_at or "") <= now)
    return next(due, None)


def delivery_times(agreement: Agreement) -> Iterator[str]:
    """When there is something to send, past times included."""
    yield from (copy.next_at for _, copy in _waiting(agreement) if copy.next_at)


def _waiting(agreement: Agreement) -> Iterator[tuple[Version, Copy]]:
    for version in agreement.versions:
        for copy in version.copies:
            if copy.channel is Channel.MAIL and copy.outcome in {None, CopyOutcome.POSTPONED}:
                yield version, copy


def retry_after(attempt: int, now: datetime) -> datetime | None:
    """When to try again after this many tries; None when it has been tried often enough."""
    return now + _WAITS[attempt - 1] if attempt <= len(_WAITS) else None
