"""What the HTTP interface takes and gives, version 1: the words of the OpenAPI document.

What comes in is read by these; what goes out is made by `entrypoints/http/representations.py` and only described here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from marshmallow import RAISE, Schema, fields, missing

from service.domain.access import Standing
from service.domain.agreement import PartyStatus, Status
from service.domain.presentation import ROLES
from service.errors import FieldError
from service.schemas.fields import (
    Choice,
    IsoDate,
    OrganisationNumber,
    StrictSchema,
    described,
    fault,
    messages_by_path,
)
from service.schemas.text import Text

__all__ = [
    "AgreementResponse",
    "AgreementsResponse",
    "DocumentQuery",
    "ExportQuery",
    "LinkResponse",
    "LogQuery",
    "ProblemResponse",
    "SearchQuery",
    "VersionResponse",
    "VersionsResponse",
    "field_errors",
]

MAX_PAGE: Final = 100


def field_errors(messages: Mapping[str, Any]) -> list[FieldError]:
    """Marshmallow's messages (by place in the request: `query`, then by field) in our own form."""
    found = []
    for path, message in messages_by_path(messages):
        code, _, text = str(message).partition(": ")
        known = bool(text) and code.replace("_", "").isalnum()
        name = ".".join(map(str, path[1:] if path and path[0] in {"query", "path"} else path))
        found.append(FieldError(name, code if known else "invalid", text if known else str(message)))
    return found


class _WholeText(fields.Integer):
    """A whole number in a query, where everything is text."""

    def __init__(self, low: int, high: int, description: str, *, default: Any = missing) -> None:
        self.low, self.high = low, high
        super().__init__(metadata=described(description, minimum=low, maximum=high), load_default=default)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:  # noqa: ARG002
        text = str(value)
        if not (text.isascii() and text.isdigit() and len(text) <= 9 and self.low <= int(text) <= self.high):
            raise fault("out_of_range", f"Send a whole number from {self.low} to {self.high}.")
        return int(text)


class SearchQuery(StrictSchema):
    """Which agreements: those of which all is true that is given. All that the reader may see, newest first."""

    case_system = Text(
        40, "Name of the case system.", pattern=r"[a-z0-9-]{1,40}", form="Send a–z, 0–9 and hyphens."
    )
    case_reference = Text(
        80,
        "The case's reference in its system.",
        pattern=r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}",
        form="Send letters A–Z, digits, full stop, underscore and hyphen, a letter or digit first.",
    )
    organisation = OrganisationNumber()
    template = Text(
        64, "Name of the template.", pattern=r"[a-z0-9][a-z0-9-]{0,63}", form="Send a–z, 0–9 and hyphens."
    )
    status = Choice([str(s) for s in Status], "Status of the newest version.")
    opened_from = IsoDate("First day (in Norway) on which the agreement may have been opened.")
    opened_to = IsoDate("Last day on which it may have been opened.")
    cursor = Text(
        512,
        "Where to go on: the `cursor` of the page before, with the same filters.",
        pattern=r"[A-Za-z0-9_.~=-]{1,512}",
        form="Send it as it was given.",
    )
    limit = _WholeText(1, MAX_PAGE, "Agreements on one page, at most.", default=25)


_VARIANT: Final = (
    "`whole` asks for the edition that tells who a protected participant is, where the reader may see it; "
    "`screened` for the one that does not. Left out, the reader gets the most careful one of its own."
)


class DocumentQuery(StrictSchema):
    """How a document is given."""

    variant = Choice(("whole", "screened"), _VARIANT)
    link = Choice(
        ("redirect", "json"),
        "Instead of the file, a short-lived address of it in the store, as a redirect or as JSON.",
    )


class ExportQuery(StrictSchema):
    """Which edition of a protected participant's documents is in the export."""

    variant = Choice(("whole", "screened"), _VARIANT)


class LogQuery(StrictSchema):
    """Which entries."""

    version = _WholeText(1, 9999, "Entries about this version only.")


# --- what goes out ---


class _Response(Schema):
    class Meta:
        unknown = RAISE


def _text(description: str, *, required: bool = True, nullable: bool = False, **more: Any) -> fields.String:
    return fields.String(required=required, allow_none=nullable, metadata=described(description, **more))


def _number(description: str, *, nullable: bool = False) -> fields.Integer:
    return fields.Integer(required=True, allow_none=nullable, metadata=described(description))


def _time(description: str, *, nullable: bool = False) -> fields.String:
    return _text(description, nullable=nullable, format="date-time")


class CaseResponse(_Response):
    """The case that the agreement belongs to."""

    system = _text("Name of the case system.")
    reference = _text("The case's reference in that system.")


class TemplateResponse(_Response):
    """The template that the document is made from."""

    name = _text("Name of the template.")
    version = _text("Version of the template.")


class PartyResponse(_Response):
    """One party: a role and where it stands; no names."""

    role = _text("The party's role.", enum=list(ROLES))
    order = _number("Order group: lower groups sign first.")
    status = _text("Where the party stands.", enum=[str(s) for s in PartyStatus])
    method = _text("How the party signs; null until that is known.", nullable=True)
    requested_at = _time("When it was asked.", nullable=True)
    deadline = _time("Until when it may sign.", nullable=True)
    signed_at = _time("When it signed.", nullable=True)
    signed_by = _text("The role that signed in its place.", nullable=True)


class DocumentResponse(_Response):
    """A file that this reader may read."""

    name = _text("Its name: the last part of `href`.")
    href = _text("Where it is, from the root of this service.")
    media_type = _text("Its media type.")
    sha256 = _text("SHA-256 of its bytes (hex): its ETag, too.")
    size = _number("Its length in bytes; null where only the store knows.", nullable=True)
    note = _text(
        "What must be known of it: `screened`, `not-signed`, `not-signed-by-all`, `courtesy`.", nullable=True
    )


class VersionResponse(_Response):
    """One version of an agreement."""

    number = _number("Counts from 1.")
    status = _text("Where it stands.", enum=[str(s) for s in Status])
    template = fields.Nested(TemplateResponse, required=True)
    language = _text("Language of the document.")
    supersedes = _number("The version that this one changes.", nullable=True)
    change = fields.List(fields.String(), required=True, metadata=described("What kinds of change it makes."))
    opened_at = _time("When it came in.")
    changed_at = _time("When it last came further.")
    signed_at = _time("When all had signed.", nullable=True)
    expires_at = _time("When it expires, unless it comes further; null when it no longer can.", nullable=True)
    parties = fields.List(fields.Nested(PartyResponse), required=True)
    reader_is = fields.List(
        fields.String(metadata={"enum": [str(s) for s in Standing]}),
        required=True,
        metadata=described("What this reader is to this version."),
    )
    documents = fields.List(fields.Nested(DocumentResponse), required=True)


class VersionsResponse(_Response):
    """The versions of an agreement that this reader may know of, first to last."""

    items = fields.List(fields.Nested(VersionResponse), required=True)


class LogHeadResponse(_Response):
    """The newest entry of the agreement's log."""

    seq = _number("Its sequence number.")
    sha256 = _text("SHA-256 of its bytes (hex).")


class DeclaresForResponse(_Response):
    """The agreement that this declaration is for."""

    agreement_id = _text("Its id.", format="uuid")
    version = _number("Its version.")
    role = _text("The party that declares.")


class AgreementResponse(_Response):
    """One agreement, as far as this reader may know of it."""

    id = _text("The agreement's id.", format="uuid")
    href = _text("Where it is, from the root of this service.")
    case = fields.Nested(CaseResponse, required=True)
    declares_for = fields.Nested(DeclaresForResponse, required=True, allow_none=True)
    in_force = _number("The version that holds; null when none does.", nullable=True)
    log = fields.Nested(LogHeadResponse, required=True)
    versions = fields.List(fields.Nested(VersionResponse), required=True)


class SummaryResponse(_Response):
    """One agreement in a list."""

    id = _text("The agreement's id.", format="uuid")
    href = _text("Where it is, from the root of this service.")
    case = fields.Nested(CaseResponse, required=True)
    organisation = _text("The employer's organisation number.", nullable=True)
    template = fields.Nested(TemplateResponse, required=True)
    status = _text("Status of the newest version.", enum=[str(s) for s in Status])
    versions = _number("How many versions there are.")
    in_force = _number("The version that holds; null when none does.", nullable=True)
    opened_at = _time("When the first version came in.")
    changed_at = _time("When the newest entry of the log was written.")
    signed_at = _time("When the version in force was signed by all.", nullable=True)
    ends = _text("Last day of what is in force.", nullable=True, format="date")


class AgreementsResponse(_Response):
    """A page of agreements."""

    items = fields.List(fields.Nested(SummaryResponse), required=True)
    cursor = _text("Where the next page begins; null after the last.", nullable=True)


class LinkResponse(_Response):
    """A document's address in the store."""

    url = _text("Anybody who has this address can read the document.", format="uri")
    expires_at = _time("Until when.")
    sha256 = _text("SHA-256 of the document (hex).")
    media_type = _text("Its media type.")


class FieldErrorResponse(_Response):
    """One fault in what was sent."""

    path = _text("The field.")
    code = _text("Stable, for machines.")
    message = _text("What to do.")


class ProblemResponse(_Response):
    """Problem Details (RFC 9457)."""

    type = _text("A URN that ends in the code.")
    title = _text("The status in words.")
    status = _number("The HTTP status.")
    code = _text("Stable, for machines.")
    detail = _text("What is wrong.")
    remedy = _text("What to do.", required=False)
    errors = fields.List(fields.Nested(FieldErrorResponse), metadata=described("The fields at fault."))
