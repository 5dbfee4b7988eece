"""The sections of an agreement that go with one measure, and with that one only."""

from __future__ import annotations

from service.schemas.fields import Choice, Decimal2, Items, OneOfNumber, OneOfWhole, StrictSchema, Whole
from service.schemas.text import Text

__all__ = ["InclusionGrant", "MentorTerms", "PermanentWageSubsidy", "SummerJob", "TemporaryWageSubsidy"]

GRANT_KINDS = (
    "accommodation",
    "workplace",
    "equipment",
    "software",
    "aids",
    "training",
    "insurance_licence_certificate",
)

MAX_TEXT = 1000
MAX_GRANT_LINES = 50
MAX_AMOUNT = 10_000_000
MAX_WAGE = 10_000
MAX_MONTHLY_WAGE = 1_000_000

HOLIDAY_PAY_RATES = (10.2, 12, 12.5, 14.3)
"""The Holidays Act's own rate and that of the collective agreements; each with 2.3 more for those over 60."""
EMPLOYER_CONTRIBUTION_RATES = (0, 5.1, 6.4, 7.9, 10.6, 14.1)
"""The rates of the zones. Parliament sets them each year; these have been the same for years."""
MAX_PENSION_RATE = 30
MAX_PERMANENT_SUBSIDY = 75


class GrantLine(StrictSchema):
    """One line of an inclusion grant. A line that is agreed is never edited; others are added."""

    amount = Whole(1, MAX_AMOUNT, "Amount in whole NOK.", required=True)
    kind = Choice(GRANT_KINDS, "What it is for.", required=True)
    description = Text(MAX_TEXT, "What it is for, in words.", multiline=True)


class InclusionGrant(StrictSchema):
    """The inclusion grant (inkluderingstilskudd)."""

    lines = Items(
        GrantLine,
        MAX_GRANT_LINES,
        "The lines; together at most the ceiling of the year in which the agreement ends.",
        min_items=1,
        required=True,
    )
    reason = Text(MAX_TEXT, "Why the grant is given.", required=True, multiline=True)


class MentorTerms(StrictSchema):
    """What the mentor does, how much, and for how long at most."""

    tasks = Text(MAX_TEXT, "The mentor's tasks.", required=True, multiline=True)
    hours_per_week = Decimal2(40, "The mentor's hours a week.", required=True)
    hourly_wage = Decimal2(MAX_WAGE, "The mentor's hourly wage in NOK.", required=True)
    limit_months = OneOfWhole((6, 36), "Longest period in months, by the participant's group.", required=True)


class WageCosts(StrictSchema):
    """The wage that a subsidy is calculated from, a month. Rates are per cent."""

    monthly_wage = Whole(
        1, MAX_MONTHLY_WAGE, "Gross monthly wage for the position, in whole NOK.", required=True
    )
    holiday_pay_rate = OneOfNumber(HOLIDAY_PAY_RATES, "Holiday pay, of the wage.", required=True)
    pension_rate = Decimal2(
        MAX_PENSION_RATE,
        "Compulsory occupational pension (OTP), of wage and holiday pay.",
        from_zero=True,
        required=True,
    )
    employer_contribution_rate = OneOfNumber(
        EMPLOYER_CONTRIBUTION_RATES, "Employer's national insurance contribution, of the rest.", required=True
    )
    monthly_subsidy = Whole(
        0,
        MAX_MONTHLY_WAGE * 2,
        "The subsidy in whole NOK a month, to be compared with what the service calculates. May be left out.",
    )


class TemporaryWageSubsidy(WageCosts):
    """The temporary wage subsidy (midlertidig lønnstilskudd). 40 per cent goes with 12 months, 60 with 24."""

    percentage = OneOfWhole((40, 50, 60), "The subsidy, of the wage costs.", required=True)
    limit_months = OneOfWhole(
        (12, 24), "Longest period in months, by the participant's group.", required=True
    )


class PermanentWageSubsidy(WageCosts):
    """The permanent wage subsidy (varig lønnstilskudd). Above 67 per cent it is 67 after a year."""

    percentage = Whole(1, MAX_PERMANENT_SUBSIDY, "The subsidy, of the wage costs.", required=True)


class SummerJob(WageCosts):
    """The wage subsidy of a summer job (sommerjobb): four weeks at most, begun between 1 June and 31 August."""

    percentage = OneOfWhole((50, 75), "The subsidy, of the wage costs.", required=True)
