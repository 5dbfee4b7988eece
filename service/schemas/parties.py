"""The parties of an agreement, by role, with what is asked of each."""

from __future__ import annotations

from service.schemas.fields import Choice, NationalIdNumber, Obj, OrganisationNumber, StrictSchema, Whole
from service.schemas.text import Email, Phone, Text

__all__ = ["Parties", "Unit"]

MAX_NAME = 100
MAX_ORGANISATION_NAME = 200


class Unit(StrictSchema):
    """A NAV unit."""

    number = Text(
        4, "Unit number: four digits.", required=True, pattern=r"[0-9]{4}", form="Send four digits."
    )
    name = Text(MAX_NAME, "The unit's name as it is printed.", required=True)


class Organisation(StrictSchema):
    """An organisation of the Central Coordinating Register (virksomhet)."""

    number = OrganisationNumber(required=True)
    name = Text(MAX_ORGANISATION_NAME, "The organisation's name.", required=True)


class Person(StrictSchema):
    """What every party has."""

    first_name = Text(MAX_NAME, "First name, and middle name if any.", required=True)
    last_name = Text(MAX_NAME, "Last name.", required=True)
    phone = Phone()
    email = Email()
    order = Whole(
        0,
        9,
        "Order group for signing: lower groups sign first, within a group the order is free. "
        "Left out, the service sets the usual order.",
    )


class Participant(Person):
    """The person in the measure (deltaker)."""

    national_id = NationalIdNumber(required=True)
    address_protection = Choice(
        ("none", "confidential", "strictly_confidential"),
        "Protected address: none, fortrolig (code 7), strengt fortrolig (code 6). "
        "Left out it is unknown, and the person is treated as protected.",
    )


class Representative(Person):
    """A person who acts for an organisation."""

    organisation = Obj(Organisation, required=True)
    title = Text(MAX_NAME, "The representative's position in the organisation.")
    phone = Phone(required=True)


class Employer(Representative):
    """The employer (arbeidsgiver) and the person who signs for it."""


class Organiser(Representative):
    """The organiser of the measure (tiltaksarrangør) and the person who signs for it."""


def _ident() -> Text:
    return Text(
        7,
        "NAV ident: a capital letter and six digits.",
        required=True,
        pattern=r"[A-Z][0-9]{6}",
        form="Send a capital letter and six digits.",
        code="invalid_ident",
    )


class Adviser(Person):
    """The NAV adviser (veileder)."""

    ident = _ident()
    unit = Obj(Unit, "The adviser's own unit, where it is another than the unit of follow-up.")
    phone = Phone(required=True)


class Decider(Person):
    """The decider (beslutter); never the adviser of the same agreement."""

    ident = _ident()
    unit = Obj(Unit)


class Guardian(Person):
    """A guardian (verge) or attorney under an enduring power (fremtidsfullmektig)."""

    kind = Choice(("guardian", "enduring_power"), "By what right the person acts.", required=True)
    scope = Choice(
        ("for", "with"), "Whether the person signs for the participant or together with them.", required=True
    )
    verification_code = Text(
        40,
        "Verification code of the mandate.",
        required=True,
        pattern=r"[A-Za-z0-9-]{4,40}",
        form="Send 4 to 40 letters A–Z, digits and hyphens.",
    )
    national_id = NationalIdNumber()


class MentorParty(Person):
    """The mentor; another person than the participant."""

    national_id = NationalIdNumber(required=True)
    phone = Phone(required=True)


class Parties(StrictSchema):
    """The parties by role. Participant, employer and adviser are in every agreement."""

    participant = Obj(Participant, required=True)
    employer = Obj(Employer, required=True)
    adviser = Obj(Adviser, required=True)
    guardian = Obj(Guardian)
    mentor = Obj(MentorParty)
    organiser = Obj(Organiser)
    decider = Obj(Decider)
