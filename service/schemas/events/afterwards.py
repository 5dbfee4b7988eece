"""What comes after all have signed: copies, renewal, erasure."""

from __future__ import annotations

from service.domain.agreement import Channel
from service.domain.erasure import ErasureReason
from service.domain.presentation import ROLES
from service.domain.renewal import Reason
from service.schemas.events.parts import (
    MAX_MESSAGE,
    Event,
    StoredObject,
    VersionData,
    error_code,
    event_type,
    moment,
)
from service.schemas.fields import Choice, Items, Obj, StrictSchema
from service.schemas.text import Text

__all__ = [
    "AgreementCopyAvailable",
    "AgreementDelivered",
    "AgreementDeliveryFailed",
    "AgreementErased",
    "AgreementTimestampRenewed",
]


class ErasedData(VersionData):
    """The content was erased: documents, receipts, data. The log stays, and a record that the organisation sealed."""

    reason = Choice(
        [str(reason) for reason in ErasureReason],
        "Its time of retention is over, or it was never signed by all.",
        required=True,
    )
    record = Obj(StoredObject, "What was erased, by whose approval and by which rule (JSON).", required=True)
    record_signature = Obj(StoredObject, "The record's detached signature (CAdES).", required=True)


class PartyCopy(StrictSchema):
    """How a party hears of its copy."""

    role = Choice(ROLES, "The party.", required=True)
    channel = Choice(
        [str(channel) for channel in Channel],
        "mail: the service sends it the link. link: it does not; whoever reads this event tells the party.",
        required=True,
    )


class CopyAvailableData(VersionData):
    """All have signed, and each party can read its copy on its page after logging in."""

    link = Text(
        500, "Address of the parties' page.", required=True, pattern=r"https?://[!-~]+", form="Send a URL."
    )
    copies = Items(PartyCopy, len(ROLES), "All parties of the version.", required=True)


class DeliveredData(VersionData):
    """A mail server has taken the letter with the link."""

    role = Choice(ROLES, "The party.", required=True)
    channel = Choice((str(Channel.MAIL),), "How it was sent.", required=True)


class DeliveryFailedData(DeliveredData):
    """The letter was refused for good, or tried in vain for days. Tell the party otherwise."""

    code = error_code()
    message = Text(MAX_MESSAGE, "Why, and the way out, for people.", required=True, multiline=True)


class NextRenewal(StrictSchema):
    """Until when what proves the version does so, and when it is renewed again."""

    renew_by = moment("When it is renewed again, at the latest.")
    ends = moment("When it would prove no longer without that.")
    reason = Choice(("certificate", "algorithm"), "What ends then.", required=True)


class TimestampRenewedData(VersionData):
    """What proves a signed version was validated in full, and renewed before it ended. Nothing else has changed."""

    reason = Choice([str(reason) for reason in Reason], "Why it was renewed.", required=True)
    digest = Choice(("sha256", "sha384", "sha512"), "What the new document timestamp is over.", required=True)
    document = Obj(
        StoredObject, "The signed PDF, which begins with the bytes that it had before.", required=True
    )
    receipt_pdf = Obj(StoredObject, "The receipt as PDF, likewise.", required=True)
    renewal_receipt = Obj(StoredObject, "The receipt of the renewal: RFC 8785 JSON.", required=True)
    renewal_receipt_signature = Obj(StoredObject, "Its seal: detached CAdES (.p7s).", required=True)
    renewal = Obj(NextRenewal, required=True)


class AgreementErased(Event):
    """The content of the agreement is erased."""

    type = event_type("agreement.erased")
    data = Obj(ErasedData, required=True)


class AgreementCopyAvailable(Event):
    """The parties' copies are ready."""

    type = event_type("agreement.copy-available")
    data = Obj(CopyAvailableData, required=True)


class AgreementDelivered(Event):
    """A party was sent the link to its copy."""

    type = event_type("agreement.delivered")
    data = Obj(DeliveredData, required=True)


class AgreementDeliveryFailed(Event):
    """A party could not be sent the link to its copy."""

    type = event_type("agreement.delivery-failed")
    data = Obj(DeliveryFailedData, required=True)


class AgreementTimestampRenewed(Event):
    """A signed version is renewed."""

    type = event_type("agreement.timestamp-renewed")
    data = Obj(TimestampRenewedData, required=True)
