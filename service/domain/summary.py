"""What the index knows of an agreement, and what may be asked of it. No personal data."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Final

from service.domain.agreement import Status
from service.domain.pseudonyms import PSEUDONYM

__all__ = ["FIELDS", "Query", "Summary"]


@dataclass(frozen=True)
class Summary:
    """An agreement as a list of agreements shows it. Times are RFC 3339 in UTC with milliseconds."""

    agreement_id: str
    case_system: str
    reference: str
    organisation: str | None
    """The employer's organisation number in the current version; None when the data do not name one."""
    template: str
    template_version: str
    status: Status
    """Of the current version: the newest one, whatever is in force."""
    versions: int
    opened_at: str
    """When the first version came in. What lists are sorted by."""
    changed_at: str
    """When the newest entry of the log was written."""
    in_force: int | None = None
    """Number of the version that all have signed and that holds; None before there is one."""
    signed_at: str | None = None
    """When the version in force was signed by all."""
    ends: str | None = None
    """Last day of the version in force, or of the current one before there is one (`YYYY-MM-DD`)."""
    declares_for: str | None = None
    """For a declaration: the agreement that it is for."""


@dataclass(frozen=True)
class Query:
    """Which agreements: those of which all is true that is given. Nothing given means all agreements."""

    case_system: str | None = None
    reference: str | None = None
    organisation: str | None = None
    """Nine digits: of the employer, or the organiser, of any version."""
    template: str | None = None
    status: Status | None = None
    """Of the current version."""
    opened_from: date | None = None
    """Days in Norway, both included."""
    opened_to: date | None = None
    party: str | None = None
    """A person by pseudonym (see `pseudonyms`): participant, mentor or guardian of any version."""


FIELDS: Final = {
    "case_system": (re.compile(r"[a-z0-9-]{1,40}"), "Send lower-case letters, digits and hyphens."),
    "reference": (
        re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}"),
        "Send letters A–Z, digits, full stop, underscore and hyphen, a letter or digit first.",
    ),
    "organisation": (re.compile(r"[0-9]{9}"), "Send nine digits."),
    "template": (re.compile(r"[a-z0-9][a-z0-9-]{0,63}"), "Send lower-case letters, digits and hyphens."),
    "party": (PSEUDONYM, "Send the pseudonym that the service made."),
}
"""What the texts of a query look like, and what to do about one that looks otherwise."""
