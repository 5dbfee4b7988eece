"""What parties and case systems say about signing: the plan, and the commands that follow a submitted agreement."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from service.domain.paper import EXTENSIONS
from service.domain.presentation import ROLES
from service.schemas.fields import Choice, Flag, IsoDate, Items, Obj, StrictSchema, Uuid, Whole
from service.schemas.text import Text

__all__ = [
    "About",
    "AttachPaperSchema",
    "CancelSchema",
    "CompleteSignatureSchema",
    "DeclineSchema",
    "Evidence",
    "Follows",
    "SignSchema",
    "SigningPlan",
]

MAX_CERTIFICATE, MAX_CHAIN = 16 * 1024, 8
MAX_CMS = 256 * 1024
MAX_SCAN_INSIDE = 900 * 1024
"""Characters of base64 in a message of at most 1 MiB."""
MAX_VERSION = 9999
_BASE64 = r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"


def _base64(max_length: int, description: str, *, required: bool = False) -> Text:
    return Text(
        max_length, description, required=required, pattern=_BASE64, form="Send base64 (RFC 4648 section 4)."
    )


class PlannedParty(StrictSchema):
    """How and until when one party signs."""

    method = Choice(
        ("automatic", "approved", "outside"),
        "automatic: by a key that the service reaches, when it is the party's turn. approved: by such a key, when the "
        "command sign says so. outside: by another signing service or a smart card. Left out, the configuration says. "
        "A key whose use the person approves at its signing service is used in that way, unless this says outside.",
    )
    deadline_days = Whole(1, 90, "Days to sign in, counted from the party's turn.")
    level = Choice(
        ("substantial", "high"),
        "Level of assurance (eIDAS) that the signature must have, by its certificate or by its evidence. Demanded of a "
        "party whose key the service reaches and uses by itself, the certificate alone can show it.",
    )
    eidas = Choice(
        ("advanced", "qualified"),
        "What the signature must be after eIDAS. advanced: the certificate is known to be the party's own. qualified: "
        "besides, it is a qualified certificate, with its key in a qualified device.",
    )


class PlannedParties(StrictSchema):
    """The parties for which something is planned, by role."""

    for _role in ROLES:
        locals()[_role] = Obj(PlannedParty)
    del _role


class SigningPlan(StrictSchema):
    """How and until when the parties sign. None of it is printed in the document."""

    expires_after_days = Whole(
        1, 365, "Days without a signature after which the agreement expires; 84 (twelve weeks) when left out."
    )
    deadline_days = Whole(1, 90, "Days that each order group has to sign in, counted from its turn.")
    parties = Obj(PlannedParties)


class Evidence(StrictSchema):
    """What the provider says of how a person was identified. It is kept, and not printed."""

    method = Text(
        40,
        "The means, e.g. bankid, buypass, idporten.",
        required=True,
        pattern=r"[a-z0-9][a-z0-9._-]*",
        form="Send lower-case letters, digits, full stop, underscore and hyphen.",
    )
    level = Choice(("substantial", "high"), "Level of assurance (eIDAS).", required=True)
    time = Text(
        32,
        "When the person was identified, in UTC.",
        required=True,
        pattern=r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?Z",
        form="Send an RFC 3339 time in UTC.",
        json_format="date-time",
    )
    reference = Text(200, "The provider's reference to the event.")
    subject_serial = Text(
        100, "Serial number in the subject of the person's certificate, where it is not the identity number."
    )
    national_id = Text(
        11,
        "The identity number that the provider knows for that serial number.",
        pattern=r"[0-9]{11}",
        form="Send eleven digits.",
    )


class OnBehalf(StrictSchema):
    """Somebody else signs in a party's place, because the party cannot sign digitally."""

    by = Choice(("adviser",), "Who signs.", required=True)
    reason = Choice(
        ("no_bankid", "reserved", "digital_skills"),
        "Why: no electronic identity, reserved against digital contact, lacks digital skills. It is kept in the log, "
        "and not printed in the document.",
        required=True,
    )
    informed = Flag("That the party is informed and agrees; only true is taken.", required=True)


class About(StrictSchema):
    """A command about an agreement that is there."""

    command_id = Uuid(
        "The producer's id of this command. The same id again, with the same content, is answered once.",
        required=True,
    )
    agreement_id = Uuid("The agreement.", required=True)


class Follows(About):
    """A command about one version of an agreement that is there."""

    version = Whole(1, MAX_VERSION, "The version that is meant; the current one when left out.")


class SignSchema(Follows):
    """The command `sign`: this party signs now."""

    role = Choice(ROLES, "The party.", required=True)
    certificates = Items(
        _base64(MAX_CERTIFICATE, "A certificate: base64 of its DER."),
        MAX_CHAIN,
        "For a party that signs outside and whose signing service makes a bare signature value: the signer's "
        "certificate first, then those above it. Left out, the service makes a whole CMS.",
        min_items=1,
    )
    evidence = Obj(Evidence)
    on_behalf = Obj(OnBehalf)


class AuthorizationSchema(StrictSchema):
    """What a person brought back from `authorization_url`: the query of the redirect, `state` and `code` or `error`."""

    json_schema_conditions: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"oneOf": [{"required": ["code", "state"]}, {"required": ["error"]}]},
    )

    state = Text(
        200,
        "The state, as it came back. Needed with code.",
        pattern=r"[!-~]+",
        form="Send it as it came, decoded.",
    )
    code = Text(
        4096, "The authorization code.", pattern=r"[!-~]+", form="Send it as it came, percent-decoded."
    )
    error = Text(
        64,
        "Instead of a code: the error that came back, e.g. access_denied when the person did not approve.",
        pattern=r"[a-z][a-z0-9_]*",
        form="Send lower-case letters, digits and underscores.",
    )


class CompleteSignatureSchema(Follows):
    """The command `complete-signature`: what a signing service made of what `sign` gave, or the person's approval."""

    json_schema_conditions: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {
            "oneOf": [
                {"required": ["signature", "prepared"]},
                {"required": ["cms", "prepared"]},
                {"required": ["authorization"]},
            ]
        },
    )

    role = Choice(ROLES, "The party.", required=True)
    prepared = Text(
        64,
        "The `prepared` of the event that gave what is to be signed. Needed with signature and cms.",
        pattern=r"[0-9a-f]{64}",
        form="Send 64 hexadecimal digits.",
    )
    signature = _base64(
        4096, "The signature value over the signed attributes: ECDSA as DER, or RSASSA-PSS. Or send cms."
    )
    cms = _base64(
        MAX_CMS, "A detached CMS SignedData over the document's bytes (PAdES, CAdES). Or send signature."
    )
    authorization = Obj(
        AuthorizationSchema,
        "For a party that was sent to `authorization_url`, instead of a signature: what came back.",
    )
    evidence = Obj(Evidence)


class Scan(StrictSchema):
    """A scan of a printed copy that was signed by hand, all of its pages."""

    media_type = Choice(tuple(EXTENSIONS), "The file's type.", required=True)
    sha256 = Text(
        64,
        "SHA-256 of the file, in hexadecimal.",
        required=True,
        pattern=r"[0-9a-f]{64}",
        form="Send 64 hexadecimal digits.",
    )
    content_base64 = _base64(
        MAX_SCAN_INSIDE,
        "The file: base64. Left out, it is in the object store already, under the agreement's blob key of its SHA-256.",
    )


class AttachPaperSchema(Follows):
    """The command `attach-paper`: parties that cannot sign digitally have signed a printed copy, and this is its scan.

    The adviser attests it by its own signature. Until then, another scan for the same party takes its place.
    """

    roles = Items(
        Choice(ROLES, "A party."),
        len(ROLES),
        "The parties whose signatures the scan bears.",
        min_items=1,
        required=True,
    )
    scan = Obj(Scan, required=True)
    signed_on = IsoDate("The day on which the copy was signed, in Norway.", required=True)
    evidence = Obj(Evidence)


class DeclineSchema(Follows):
    """The command `decline`: a party will not sign, and the version ends."""

    role = Choice(ROLES, "The party.", required=True)
    reason = Choice(
        ("content", "not_involved", "withdrawn", "other"),
        "Why: the content is not right, the person is not involved, no longer wanted, other.",
        required=True,
    )


class CancelSchema(Follows):
    """The command `cancel`: the case system takes the version back before all have signed."""

    reason = Choice(
        ("wrongly_registered", "replaced", "withdrawn", "other"),
        "Why: registered by mistake, replaced by another agreement, no longer wanted, other.",
        required=True,
    )
