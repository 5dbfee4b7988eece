"""Events as they go out: CloudEvents 1.0 in JSON (CloudEvents 1.0.2; JSON event format 1.0.2).

Their data are ids, roles, times and hashes, never a name, a number or a text of the agreement.
"""

from __future__ import annotations

from collections.abc import Mapping

from service.domain.agreement import Channel
from service.domain.changes import CHANGE_TYPES, TERMINATION
from service.domain.follow_up import FollowUpKind
from service.domain.paper import EXTENSIONS
from service.domain.presentation import ROLES
from service.schemas.agreement import Template
from service.schemas.fields import Choice, IsoDate, Items, Obj, StrictSchema, Uuid, Whole
from service.schemas.following import item_id
from service.schemas.text import Text

__all__ = ["EVENT_SCHEMAS", "event_schema"]

MAX_ERRORS = 101
"""The hundred faults of `commands.MAX_ERRORS`, and one that tells of more."""
MAX_MESSAGE = 2000
MAX_VERSION = 9999


def _sha256(description: str) -> Text:
    return Text(64, description, required=True, pattern=r"[0-9a-f]{64}", form="Send 64 hexadecimal digits.")


def _code() -> Text:
    return Text(
        64,
        "Stable code for machines.",
        required=True,
        pattern=r"[a-z][a-z0-9_]*",
        form="Send lower-case letters, digits and underscores.",
    )


def _storage_key() -> Text:
    return Text(
        512,
        "Key in the object store.",
        required=True,
        pattern=r"[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+)*",
        form="Send segments of A–Z, a–z, 0–9, full stop, underscore and hyphen.",
    )


def _time(description: str) -> Text:
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

    sha256 = _sha256("SHA-256 of the file, in hexadecimal.")
    storage_key = _storage_key()


class UsedTemplate(Template):
    """The template of the document, to the byte."""

    sha256 = _sha256("SHA-256 of the template's Word file, in hexadecimal.")


class FaultSchema(StrictSchema):
    """One fault of a command."""

    path = Text(
        500,
        "Place from the root of the command, e.g. agreement.goals.0.category; $ is the whole.",
        required=True,
        pattern=r"\$|[A-Za-z0-9_?-]+(?:\.[A-Za-z0-9_?-]+)*",
        form="Send names and indexes with full stops between.",
    )
    code = _code()
    message = Text(MAX_MESSAGE, "What is wrong and the way out, for people.", required=True, multiline=True)


class VersionData(StrictSchema):
    """What the event is about."""

    agreement_id = Uuid("The agreement.", required=True)
    version = Whole(1, MAX_VERSION, "The agreement's version.", required=True)
    command_id = Uuid("The command that led to this; not there when none did by itself.")


class RejectedData(StrictSchema):
    """A command was refused. Without `agreement_id`, no agreement came of it."""

    agreement_id = Uuid("The agreement, when the command had become one.")
    version = Whole(1, MAX_VERSION, "The agreement's version, when the command had become one.")
    command_id = Uuid("The command's id; null when it had none that is valid.", required=True, nullable=True)
    code = _code()
    message = Text(MAX_MESSAGE, "What is wrong, for people.", required=True, multiline=True)
    errors = Items(FaultSchema, MAX_ERRORS, "Every fault that was found.", required=True)
    quarantine = Text(
        512,
        "Key in the object store where the message is kept.",
        pattern=r"quarantine/[A-Za-z0-9._-]+",
        form="Send a key under quarantine/.",
    )


class RenderedData(VersionData):
    """The document was made; nobody has signed."""

    template = Obj(UsedTemplate, required=True)
    document = Obj(StoredObject, "The PDF, with empty signature fields.", required=True)
    screened = Obj(
        StoredObject,
        "The PDF without the participant's name and numbers, for those who may not see them: there when the "
        "participant's address is protected, or it is not known whether it is.",
    )


class ToSign(StrictSchema):
    """What a signing service signs, and what `complete-signature` is to name."""

    prepared = _sha256("Names the prepared signature.")
    field = Text(
        40,
        "The signature field in the PDF.",
        required=True,
        pattern=r"[a-z][a-z0-9_]*",
        form="Send lower-case letters, digits and underscores.",
    )
    digest_algorithm = Choice(("sha256", "sha384", "sha512"), "How the document was digested.", required=True)
    document_digest = Text(
        128,
        "Digest of the bytes that are signed, in hexadecimal: the message digest of a CMS.",
        required=True,
        pattern=r"[0-9a-f]{64,128}",
        form="Send hexadecimal digits.",
    )
    signed_attributes = Text(
        16384,
        "Base64 of the DER of the signed attributes (RFC 5652 section 5.4), over which the signature value is made. "
        "Not there when sign named no certificate: then a whole CMS is made over the document digest; and not for "
        "the method redirect.",
        pattern=r"[A-Za-z0-9+/]+={0,2}",
        form="Send base64.",
    )
    content = Obj(
        StoredObject,
        "The bytes that are to be signed, as a file: for a whole CMS those of the document, but for the place of the "
        "signature; for a bare signature value the signed attributes. Not there for the "
        "method redirect, and in events of earlier releases.",
    )
    authorization_url = Text(
        8000,
        "Where the person approves the signature, at the service that holds the key. Only for the method redirect.",
        pattern=r"https?://[!-~]+",
        form="Send a URL.",
    )
    state = Text(
        200,
        "The state that the person comes back with, when all is right. Only for the method redirect.",
        pattern=r"[!-~]+",
        form="Send it as it came.",
    )
    expires_at = _time("Until when the signature, or the person, must have come back.")


class AttestedPaper(StrictSchema):
    """A party's signature on paper."""

    role = Choice(ROLES, "The party.", required=True)
    signed_on = IsoDate("The day on which the copy was signed.", required=True)
    scan = Obj(StoredObject, "The scan of the signed copy.", required=True)


class SignatureRequestedData(VersionData):
    """It is this party's turn to sign; with `to_sign`, what its signing service is to sign now."""

    role = Choice(ROLES, "The party.", required=True)
    order = Whole(0, 9, "The party's order group.", required=True)
    method = Choice(("approved", "outside", "redirect"), "How the party signs.", required=True)
    deadline = _time("When the version expires if the party has not signed.")
    document = Obj(StoredObject, "The PDF that is to be signed, as it is now.", required=True)
    to_sign = Obj(ToSign, "What is to be signed, as an answer to the command sign.")
    attests = Items(
        AttestedPaper,
        len(ROLES),
        "What this party attests by its signature: look at the scans before it signs.",
        min_items=1,
    )


class SignatureRefusedData(VersionData):
    """A signature or approval that came back could not be used, or none came in time. The party can sign again."""

    role = Choice(ROLES, "The party.", required=True)
    code = _code()
    message = Text(MAX_MESSAGE, "Why, and the way out, for people.", required=True, multiline=True)


def _signed_roles() -> Items:
    return Items(Choice(ROLES, "A party."), len(ROLES), "The parties that had signed before.", required=True)


class DeclinedData(VersionData):
    """A party will not sign; the version ends."""

    role = Choice(ROLES, "The party.", required=True)
    reason = Choice(("content", "not_involved", "withdrawn", "other"), "Why.", required=True)
    signed = _signed_roles()


class CancelledData(VersionData):
    """The case system took the version back."""

    reason = Choice(("wrongly_registered", "replaced", "withdrawn", "other"), "Why.", required=True)
    signed = _signed_roles()


class ExpiredData(VersionData):
    """The time for signing is over."""

    waiting = Items(Choice(ROLES, "A party."), len(ROLES), "The parties that had not signed.", required=True)
    signed = _signed_roles()


class ReminderData(VersionData):
    """The version expires soon."""

    what = Choice(("week", "day"), "How long before the end.", required=True)
    end = _time("When the version expires.")
    waiting = Items(
        Choice(ROLES, "A party."), len(ROLES), "The parties whose turn it is to sign.", required=True
    )


class PartySignedData(VersionData):
    """A party has signed."""

    role = Choice(ROLES, "The party.", required=True)
    signed_at = _time("When the signature was made, in UTC.")
    remaining = Items(
        Choice(ROLES, "A party."), len(ROLES), "The parties that have not signed yet.", required=True
    )


class PaperAttachedData(VersionData):
    """Parties have signed on paper. The adviser is asked (again) to sign, and attests it by that."""

    roles = Items(
        Choice(ROLES, "A party."), len(ROLES), "The parties that signed.", min_items=1, required=True
    )
    signed_on = IsoDate("The day on which the copy was signed.", required=True)
    media_type = Choice(tuple(EXTENSIONS), "The scan's type.", required=True)
    scan = Obj(StoredObject, "The scan of the signed copy.", required=True)
    replaces = Items(
        Choice(ROLES, "A party."),
        len(ROLES),
        "The parties for whom this scan takes the place of a former one.",
        required=True,
    )
    remaining = Items(
        Choice(ROLES, "A party."), len(ROLES), "The parties that have not signed yet.", required=True
    )


class SignedData(VersionData):
    """All have signed, the document is verified, and the receipt is issued."""

    document = Obj(StoredObject, "The signed PDF.", required=True)
    receipt = Obj(StoredObject, "The receipt: RFC 8785 JSON.", required=True)
    receipt_signature = Obj(StoredObject, "The receipt's seal: detached CAdES (.p7s).", required=True)
    receipt_pdf = Obj(StoredObject, "The receipt as sealed PDF/A with the JSON attached.", required=True)


class DeclarationReference(StrictSchema):
    """A declaration: an agreement of its own, with events, signature and receipt of its own."""

    agreement_id = Uuid(
        "The declaration's id; commands about it name this as their agreement_id.", required=True
    )


class DeclarationRequestedData(VersionData):
    """A party has a declaration to sign first; until then it is not asked to sign the agreement."""

    role = Choice(ROLES, "The party.", required=True)
    declaration = Obj(DeclarationReference, required=True)


class DeclaredData(DeclarationRequestedData):
    """A party's declaration is signed, verified and receipted."""

    document = Obj(StoredObject, "The signed declaration.", required=True)


class AmendedData(VersionData):
    """A change was taken in as a new version, which is now made into a document and signed."""

    supersedes = Whole(
        1, MAX_VERSION, "The version in force, which holds until this one is signed.", required=True
    )
    change = Items(
        Choice((*CHANGE_TYPES, TERMINATION), "A type of change."), len(CHANGE_TYPES) + 1, "What kinds of change.",
        required=True,
    )  # fmt: skip
    signs = Items(Choice(ROLES, "A party."), len(ROLES), "The parties that must sign it.", required=True)
    told = Items(
        Choice(ROLES, "A party."), len(ROLES), "The parties that are to be told only.", required=True
    )


class SupersededData(VersionData):
    """A version is replaced by a newer one, which is signed."""

    superseded_by = Whole(1, MAX_VERSION, "The version now in force.", required=True)


class TerminatedData(VersionData):
    """The version that ends the agreement is signed."""

    supersedes = Whole(1, MAX_VERSION, "The version that was in force.", required=True)


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

    code = _code()
    message = Text(MAX_MESSAGE, "Why, and the way out, for people.", required=True, multiline=True)


class FollowUpItem(StrictSchema):
    """A meeting, a point of evaluation or a commitment of NAV's. What it is about, the agreement says."""

    id = item_id()
    kind = Choice([str(kind) for kind in FollowUpKind], "What it is.", required=True)
    date = IsoDate("When it takes place, or is to be done at the latest.", required=True)


class FollowUpDueData(VersionData):
    """An item of the follow-up is due soon. It is told once."""

    item = Obj(FollowUpItem, required=True)


class CommitmentOverdueData(VersionData):
    """A commitment's deadline has passed, and it is not recorded as done. It is told once."""

    item = Obj(FollowUpItem, required=True)


class FollowUpDoneData(VersionData):
    """An item of the follow-up was recorded as done."""

    item = Obj(FollowUpItem, required=True)
    done_on = IsoDate("The day when it was done.", required=True)


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
    time = _time("When it happened, in UTC.")
    datacontenttype = Choice(("application/json",), "Media type of the data.", required=True)


def _type(name: str) -> Choice:
    return Choice((name,), "What happened; also the routing key on the events exchange.", required=True)


class AgreementRejected(Event):
    """A command was refused."""

    type = _type("agreement.rejected")
    data = Obj(RejectedData, required=True)


class AgreementRendered(Event):
    """A version's document was made."""

    type = _type("agreement.rendered")
    data = Obj(RenderedData, required=True)


class AgreementSignatureRequested(Event):
    """A party is asked to sign."""

    type = _type("agreement.signature-requested")
    data = Obj(SignatureRequestedData, required=True)


class AgreementSignatureRefused(Event):
    """A party's signature could not be used."""

    type = _type("agreement.signature-refused")
    data = Obj(SignatureRefusedData, required=True)


class AgreementDeclined(Event):
    """A party declined."""

    type = _type("agreement.declined")
    data = Obj(DeclinedData, required=True)


class AgreementCancelled(Event):
    """A version was cancelled."""

    type = _type("agreement.cancelled")
    data = Obj(CancelledData, required=True)


class AgreementExpired(Event):
    """A version expired."""

    type = _type("agreement.expired")
    data = Obj(ExpiredData, required=True)


class AgreementReminder(Event):
    """Parties are reminded."""

    type = _type("agreement.reminder")
    data = Obj(ReminderData, required=True)


class AgreementPartySigned(Event):
    """A party has signed."""

    type = _type("agreement.party-signed")
    data = Obj(PartySignedData, required=True)


class AgreementPaperAttached(Event):
    """Parties have signed on paper."""

    type = _type("agreement.paper-attached")
    data = Obj(PaperAttachedData, required=True)


class AgreementSigned(Event):
    """A version is signed by all, verified and receipted."""

    type = _type("agreement.signed")
    data = Obj(SignedData, required=True)


class AgreementDeclarationRequested(Event):
    """A party is to sign a declaration first."""

    type = _type("agreement.declaration-requested")
    data = Obj(DeclarationRequestedData, required=True)


class AgreementDeclared(Event):
    """A party has signed its declaration."""

    type = _type("agreement.declared")
    data = Obj(DeclaredData, required=True)


class AgreementAmended(Event):
    """A change to the agreement was taken in."""

    type = _type("agreement.amended")
    data = Obj(AmendedData, required=True)


class AgreementSuperseded(Event):
    """A version is no longer in force."""

    type = _type("agreement.superseded")
    data = Obj(SupersededData, required=True)


class AgreementTerminated(Event):
    """The agreement has ended."""

    type = _type("agreement.terminated")
    data = Obj(TerminatedData, required=True)


class AgreementCopyAvailable(Event):
    """The parties' copies are ready."""

    type = _type("agreement.copy-available")
    data = Obj(CopyAvailableData, required=True)


class AgreementDelivered(Event):
    """A party was sent the link to its copy."""

    type = _type("agreement.delivered")
    data = Obj(DeliveredData, required=True)


class AgreementDeliveryFailed(Event):
    """A party could not be sent the link to its copy."""

    type = _type("agreement.delivery-failed")
    data = Obj(DeliveryFailedData, required=True)


class AgreementFollowUpDue(Event):
    """Something of the follow-up is due soon."""

    type = _type("agreement.follow-up-due")
    data = Obj(FollowUpDueData, required=True)


class AgreementCommitmentOverdue(Event):
    """A commitment is overdue."""

    type = _type("agreement.commitment-overdue")
    data = Obj(CommitmentOverdueData, required=True)


class AgreementFollowUpDone(Event):
    """Something of the follow-up is done."""

    type = _type("agreement.follow-up-done")
    data = Obj(FollowUpDoneData, required=True)


EVENT_SCHEMAS: Mapping[str, type[Event]] = {
    "agreement.rejected": AgreementRejected,
    "agreement.rendered": AgreementRendered,
    "agreement.signature-requested": AgreementSignatureRequested,
    "agreement.signature-refused": AgreementSignatureRefused,
    "agreement.declined": AgreementDeclined,
    "agreement.cancelled": AgreementCancelled,
    "agreement.expired": AgreementExpired,
    "agreement.reminder": AgreementReminder,
    "agreement.party-signed": AgreementPartySigned,
    "agreement.paper-attached": AgreementPaperAttached,
    "agreement.signed": AgreementSigned,
    "agreement.declaration-requested": AgreementDeclarationRequested,
    "agreement.declared": AgreementDeclared,
    "agreement.amended": AgreementAmended,
    "agreement.superseded": AgreementSuperseded,
    "agreement.terminated": AgreementTerminated,
    "agreement.copy-available": AgreementCopyAvailable,
    "agreement.delivered": AgreementDelivered,
    "agreement.delivery-failed": AgreementDeliveryFailed,
    "agreement.follow-up-due": AgreementFollowUpDue,
    "agreement.commitment-overdue": AgreementCommitmentOverdue,
    "agreement.follow-up-done": AgreementFollowUpDone,
}


def event_schema(event_type: str) -> Event:
    """The schema of one type of event, for `load` and `validate`. Raises `KeyError` for an unknown type."""
    return EVENT_SCHEMAS[event_type]()
