"""A version, from its command to the receipt."""

from __future__ import annotations

from service.domain.paper import EXTENSIONS
from service.domain.presentation import ROLES
from service.schemas.events.parts import (
    MAX_ERRORS,
    MAX_MESSAGE,
    MAX_VERSION,
    Event,
    FaultSchema,
    StoredObject,
    UsedTemplate,
    VersionData,
    digest,
    error_code,
    event_type,
    moment,
)
from service.schemas.fields import Choice, IsoDate, Items, Obj, StrictSchema, Uuid, Whole
from service.schemas.text import Text

__all__ = [
    "AgreementCancelled",
    "AgreementDeclarationRequested",
    "AgreementDeclared",
    "AgreementDeclined",
    "AgreementExpired",
    "AgreementPaperAttached",
    "AgreementPartySigned",
    "AgreementRejected",
    "AgreementReminder",
    "AgreementRendered",
    "AgreementSignatureRefused",
    "AgreementSignatureRequested",
    "AgreementSigned",
]


class RejectedData(StrictSchema):
    """A command was refused. Without `agreement_id`, no agreement came of it."""

    agreement_id = Uuid("The agreement, when the command had become one.")
    version = Whole(1, MAX_VERSION, "The agreement's version, when the command had become one.")
    command_id = Uuid("The command's id; null when it had none that is valid.", required=True, nullable=True)
    code = error_code()
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

    prepared = digest("Names the prepared signature.")
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
    expires_at = moment("Until when the signature, or the person, must have come back.")


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
    deadline = moment("When the version expires if the party has not signed.")
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
    code = error_code()
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
    end = moment("When the version expires.")
    waiting = Items(
        Choice(ROLES, "A party."), len(ROLES), "The parties whose turn it is to sign.", required=True
    )


class PartySignedData(VersionData):
    """A party has signed."""

    role = Choice(ROLES, "The party.", required=True)
    signed_at = moment("When the signature was made, in UTC.")
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


class AgreementRejected(Event):
    """A command was refused."""

    type = event_type("agreement.rejected")
    data = Obj(RejectedData, required=True)


class AgreementRendered(Event):
    """A version's document was made."""

    type = event_type("agreement.rendered")
    data = Obj(RenderedData, required=True)


class AgreementSignatureRequested(Event):
    """A party is asked to sign."""

    type = event_type("agreement.signature-requested")
    data = Obj(SignatureRequestedData, required=True)


class AgreementSignatureRefused(Event):
    """A party's signature could not be used."""

    type = event_type("agreement.signature-refused")
    data = Obj(SignatureRefusedData, required=True)


class AgreementDeclined(Event):
    """A party declined."""

    type = event_type("agreement.declined")
    data = Obj(DeclinedData, required=True)


class AgreementCancelled(Event):
    """A version was cancelled."""

    type = event_type("agreement.cancelled")
    data = Obj(CancelledData, required=True)


class AgreementExpired(Event):
    """A version expired."""

    type = event_type("agreement.expired")
    data = Obj(ExpiredData, required=True)


class AgreementReminder(Event):
    """Parties are reminded."""

    type = event_type("agreement.reminder")
    data = Obj(ReminderData, required=True)


class AgreementPartySigned(Event):
    """A party has signed."""

    type = event_type("agreement.party-signed")
    data = Obj(PartySignedData, required=True)


class AgreementPaperAttached(Event):
    """Parties have signed on paper."""

    type = event_type("agreement.paper-attached")
    data = Obj(PaperAttachedData, required=True)


class AgreementSigned(Event):
    """A version is signed by all, verified and receipted."""

    type = event_type("agreement.signed")
    data = Obj(SignedData, required=True)


class AgreementDeclarationRequested(Event):
    """A party is to sign a declaration first."""

    type = event_type("agreement.declaration-requested")
    data = Obj(DeclarationRequestedData, required=True)


class AgreementDeclared(Event):
    """A party has signed its declaration."""

    type = event_type("agreement.declared")
    data = Obj(DeclaredData, required=True)
