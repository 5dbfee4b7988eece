"""What the events are made of, and what they all have."""

from __future__ import annotations

from service.schemas.agreement import Template
from service.schemas.fields import Choice, StrictSchema, Uuid, Whole
from service.schemas.text import Text

__all__ = [
    "MAX_ERRORS",
    "MAX_MESSAGE",
    "MAX_VERSION",
    "Event",
    "FaultSchema",
    "StoredObject",
    "UsedTemplate",
    "VersionData",
    "digest",
    "error_code",
    "event_type",
    "hexadecimal",
    "moment",
    "stored_under",
]


MAX_ERRORS = 101
"""The hundred faults of `commands.MAX_ERRORS`, and one that tells of more."""
MAX_MESSAGE = 2000
MAX_VERSION = 9999


def hexadecimal(digits: int, description: str) -> Text:
    """A hash of so many hexadecimal digits."""
    pattern = rf"[0-9a-f]{{{digits}}}"
    return Text(
        digits, description, required=True, pattern=pattern, form=f"Send {digits} hexadecimal digits."
    )


def digest(description: str) -> Text:
    return hexadecimal(64, description)


def error_code() -> Text:
    return Text(
        64,
        "Stable code for machines.",
        required=True,
        pattern=r"[a-z][a-z0-9_]*",
        form="Send lower-case letters, digits and underscores.",
    )


def stored_under() -> Text:
    """A key of the object store."""
    return Text(
        512,
        "Key in the object store.",
        required=True,
        pattern=r"[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+)*",
        form="Send segments of A–Z, a–z, 0–9, full stop, underscore and hyphen.",
    )


def moment(description: str) -> Text:
    """A time in UTC."""
    return Text(
        32,
        description,
        required=True,
        pattern=r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?Z",
        form="Send an RFC 3339 time in UTC.",
        json_format="date-time",
    )


class StoredObject(StrictSchema):
    """A file in the object store."""

    sha256 = digest("SHA-256 of the file, in hexadecimal.")
    storage_key = stored_under()


class UsedTemplate(Template):
    """The template of the document, to the byte."""

    sha256 = digest("SHA-256 of the template's Word file, in hexadecimal.")


class FaultSchema(StrictSchema):
    """One fault of a command."""

    path = Text(
        500,
        "Place from the root of the command, e.g. agreement.goals.0.category; $ is the whole.",
        required=True,
        pattern=r"\$|[A-Za-z0-9_?-]+(?:\.[A-Za-z0-9_?-]+)*",
        form="Send names and indexes with full stops between.",
    )
    code = error_code()
    message = Text(MAX_MESSAGE, "What is wrong and the way out, for people.", required=True, multiline=True)


class VersionData(StrictSchema):
    """What the event is about."""

    agreement_id = Uuid("The agreement.", required=True)
    version = Whole(1, MAX_VERSION, "The agreement's version.", required=True)
    command_id = Uuid("The command that led to this; not there when none did by itself.")


class Event(StrictSchema):
    """The envelope that every event has (CloudEvents 1.0)."""

    specversion = Choice(("1.0",), "Version of CloudEvents.", required=True)
    id = Text(
        200,
        "The event's id. An event may come more than once, and then with the same id.",
        required=True,
        pattern=r"[A-Za-z0-9._-]+",
        form="Send letters, digits, full stop, underscore and hyphen.",
    )
    source = Choice(("/signert",), "Who tells.", required=True)
    subject = Text(
        64,
        "The agreement's id; for a refused command its own id, or the SHA-256 that its copy is kept under.",
        required=True,
        pattern=r"[0-9a-f-]{36,64}",
        form="Send an id or a SHA-256.",
    )
    time = moment("When it happened, in UTC.")
    datacontenttype = Choice(("application/json",), "Media type of the data.", required=True)


def event_type(name: str) -> Choice:
    return Choice((name,), "What happened; also the routing key on the events exchange.", required=True)
