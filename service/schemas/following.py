"""What case systems say of the follow-up of a signed agreement."""

from __future__ import annotations

from service.schemas.fields import IsoDate
from service.schemas.signing import About
from service.schemas.text import Text

__all__ = ["FollowUpDoneSchema", "item_id"]

MAX_NOTE = 1000


def item_id() -> Text:
    return Text(
        40,
        "The item: its kind and date, and a number where there is more than one of them.",
        required=True,
        pattern=r"(?:meeting|evaluation|commitment)-20[0-9]{2}-[0-9]{2}-[0-9]{2}(?:-[0-9]{1,4})?",
        form="Send an id that agreement.follow-up-due has named, such as meeting-2037-01-19.",
    )


class FollowUpDoneSchema(About):
    """The command `follow-up-done`: a meeting was held, or a commitment kept. No new version comes of it."""

    item = item_id()
    done_on = IsoDate("The day when it was done; not after today.", required=True)
    note = Text(MAX_NOTE, "What came of it, in words. It is kept with the command alone.", multiline=True)
