"""Who may see what of an agreement: the matrix as data, and how a reader's standings meet it.

A reader comes with one role, proven by its token. What it is to one version of an agreement is its *standing*: an
archivist, an operator and a case system are the same to all that they may see at all, and a party is what that
version's data say: participant, employer, mentor. Who is a party in two ways sees what either may.

    >>> sight({Standing.MENTOR}, Resource.DOCUMENT, Situation(undeclared=frozenset({"mentor"})))
    <Sight.NONE: 0>
    >>> sight({Standing.EMPLOYER}, Resource.DOCUMENT, Situation(protected=True)).name
    'SCREENED'

Sources: DOMAIN "Protected address", "Access" and "Mentor"; what is our own reading stands in docs/http.md.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import IntEnum, StrEnum
from typing import Final

__all__ = [
    "ACCESS_AFTER_END",
    "MATRIX",
    "Reader",
    "ReaderRole",
    "Resource",
    "Sight",
    "Situation",
    "Standing",
    "has_ended",
    "sight",
]

ACCESS_AFTER_END: Final = timedelta(weeks=12)
"""For how long after the agreement's last day the parties beside the participant and Nav may still see it."""


class ReaderRole(StrEnum):
    """What a token says that its bearer is."""

    ARCHIVIST = "archivist"
    PARTY = "party"
    CASE_SYSTEM = "case_system"
    OPERATOR = "operator"


@dataclass(frozen=True)
class Reader:
    """Who reads. `issuer` is the issuer's name in the settings, `subject` the token's `sub`: both never leave a log.

    A party is known by what its provider vouches for: a `national_id`, a Nav `ident`, or `organisations` that it
    may act for (organisation numbers). `case_systems` are names, for a case system.
    """

    role: ReaderRole
    issuer: str
    subject: str
    national_id: str | None = None
    ident: str | None = None
    organisations: frozenset[str] = frozenset()
    case_systems: frozenset[str] = frozenset()


class Standing(StrEnum):
    """What a reader is to one version of an agreement. The parties' are the names of their roles."""

    ARCHIVIST = "archivist"
    CASE_SYSTEM = "case_system"
    OPERATOR = "operator"
    PARTICIPANT = "participant"
    GUARDIAN = "guardian"
    ADVISER = "adviser"
    DECIDER = "decider"
    EMPLOYER = "employer"
    MENTOR = "mentor"
    ORGANISER = "organiser"


class Resource(StrEnum):
    """What can be read."""

    AGREEMENT = "agreement"
    """Status, versions, roles and dates; nothing of what is agreed and no names."""
    LOG = "log"
    DOCUMENT = "document"
    """The signed PDF."""
    RENDERED = "rendered"
    """The PDF as it is before anybody signs, to read."""
    REVISION = "revision"
    """Any state of the PDF, half-signed ones too."""
    SCREENED = "screened"
    COURTESY = "courtesy"
    DATA = "data"
    """What the case system sent: also what no document prints, such as other parties' identity numbers."""
    RECEIPT = "receipt"
    """In all its forms."""
    REPORT = "report"
    SCAN = "scan"
    EXPORT = "export"


class Sight(IntEnum):
    """How much of a resource is seen; more is higher."""

    NONE = 0
    SCREENED = 1
    """The screened edition in its place, where there is one; nothing where there is none."""
    ON_REQUEST = 2
    """As SCREENED, and the whole when it is asked for in so many words, which the access log records."""
    WHOLE = 3


@dataclass(frozen=True)
class Situation:
    """What about a version matters for who sees it."""

    protected: bool = False
    """Who the participant is may not be told (protected address, or unknown whether)."""
    ended: frozenset[str] = frozenset()
    """Roles whose access has ended with time (see `has_ended`)."""
    undeclared: frozenset[str] = frozenset()
    """Roles that have a declaration to sign before they may read."""


_TELLS_NOBODY: Final = frozenset({Resource.AGREEMENT, Resource.LOG, Resource.SCREENED, Resource.EXPORT})
"""What says nothing of who the participant is, protected or not. An export is of what the reader may see."""
_HAS_EDITION: Final = frozenset({Resource.DOCUMENT, Resource.RENDERED})
"""What a screened edition can stand in for."""
_FOR_ALL: Final = frozenset(
    {
        *_TELLS_NOBODY,
        Resource.DOCUMENT,
        Resource.RENDERED,
        Resource.COURTESY,
        Resource.RECEIPT,
        Resource.REPORT,
    }
)
_FOR_NAV: Final = _FOR_ALL | {Resource.DATA, Resource.SCAN}
_FOR_OFFICES: Final = frozenset(Resource)
_UNDECLARED: Final = frozenset({Resource.AGREEMENT})

MATRIX: Final[Mapping[Standing, tuple[frozenset[Resource], Sight]]] = {
    Standing.ARCHIVIST: (_FOR_OFFICES, Sight.ON_REQUEST),
    Standing.CASE_SYSTEM: (_FOR_OFFICES, Sight.WHOLE),
    Standing.OPERATOR: (frozenset({Resource.AGREEMENT, Resource.LOG}), Sight.NONE),
    Standing.PARTICIPANT: (_FOR_ALL, Sight.WHOLE),
    Standing.GUARDIAN: (_FOR_ALL, Sight.WHOLE),
    Standing.ADVISER: (_FOR_NAV, Sight.WHOLE),
    Standing.DECIDER: (_FOR_NAV, Sight.WHOLE),
    Standing.EMPLOYER: (_FOR_ALL, Sight.SCREENED),
    Standing.MENTOR: (_FOR_ALL, Sight.SCREENED),
    Standing.ORGANISER: (_FOR_ALL, Sight.SCREENED),
}
"""What each may see, and how much of what tells who a protected participant is."""

_LOSES_ACCESS: Final = frozenset({Standing.EMPLOYER, Standing.MENTOR, Standing.ORGANISER})
"""Who sees nothing any more when `ACCESS_AFTER_END` has passed since the agreement's last day."""


def sight(standings: Collection[Standing], resource: Resource, situation: Situation) -> Sight:
    """How much a reader of these standings sees of `resource`, in this situation: the most that any of them gives."""
    return max((_sight(standing, resource, situation) for standing in standings), default=Sight.NONE)


def _sight(standing: Standing, resource: Resource, situation: Situation) -> Sight:
    resources, of_protected = MATRIX[standing]
    if resource not in resources or standing in situation.ended:
        return Sight.NONE
    if standing in situation.undeclared and resource not in _UNDECLARED:
        return Sight.NONE
    if not situation.protected or resource in _TELLS_NOBODY:
        return Sight.WHOLE
    if of_protected is Sight.SCREENED and resource not in _HAS_EDITION:
        return Sight.NONE
    return of_protected


def has_ended(standing: Standing, *, last_day: date | None, replaced: date | None, today: date) -> bool:
    """Whether time has ended a party's access (days in Norway).

    `last_day` is the agreement's, None where nobody can tell any more; `replaced` the day from which another holds
    the role, None when nobody does. Participants keep their access; so do guardians and Nav's people, until they are
    replaced.
    """
    if standing in _LOSES_ACCESS and (last_day is None or today > last_day + ACCESS_AFTER_END):
        return True
    return (
        standing is not Standing.PARTICIPANT and replaced is not None and today > replaced + ACCESS_AFTER_END
    )
