"""What a wage subsidy (lønnstilskudd) comes to: temporary, permanent, and for a summer job.

The calculation is that of Nav's own agreements (navikt/tiltaksgjennomforing-api, `reberegnTotal`): holiday pay of the
wage, pension of both, employer's contribution of all three, and the subsidy as a percentage of the sum. Rates are per
cent; amounts are whole NOK a month, rounded half up.

    >>> calculate({"percentage": 60, "monthly_wage": 30000, "holiday_pay_rate": 12, "pension_rate": 2,
    ...            "employer_contribution_rate": 14.1})
    Calculation(holiday_pay=3600, pension=672, employer_contribution=4832, wage_costs=39104, subsidy=23462)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from service.domain.periods import last_day

__all__ = ["WAGE_SUBSIDIES", "Calculation", "Reduction", "calculate", "reduction"]

WAGE_SUBSIDIES = ("temporary_wage_subsidy", "permanent_wage_subsidy", "summer_job")
"""The measures whose section says wage and subsidy."""

_PERMANENT_AFTER_A_YEAR = 67
_TEMPORARY_STEP = 10
_MONTHS_BEFORE_STEP: Mapping[int, int] = {40: 6, 60: 12}


@dataclass(frozen=True)
class Calculation:
    """Whole NOK a month. `wage_costs` is the wage and what comes on top of it."""

    holiday_pay: int
    pension: int
    employer_contribution: int
    wage_costs: int
    subsidy: int


@dataclass(frozen=True)
class Reduction:
    """The lower percentage, and the first day on which it holds."""

    percentage: int
    start: date


def calculate(section: Mapping[str, Any], percentage: int | None = None) -> Calculation:
    """`section` is the measure's own section of an agreement; `percentage` stands for its own, where it is given."""
    wage = Decimal(section["monthly_wage"])
    holiday_pay = wage * _rate(section, "holiday_pay_rate")
    pension = (wage + holiday_pay) * _rate(section, "pension_rate")
    contribution = (wage + holiday_pay + pension) * _rate(section, "employer_contribution_rate")
    costs = _whole(wage + holiday_pay + pension + contribution)
    share = Decimal(section["percentage"] if percentage is None else percentage) / 100
    return Calculation(
        _whole(holiday_pay), _whole(pension), _whole(contribution), costs, _whole(costs * share)
    )


def reduction(measure: str, percentage: int, start: date, end: date) -> Reduction | None:
    """How the subsidy falls while the agreement runs; None when it does not.

    Temporary: 40 % falls by 10 after 6 months, 60 % after 12. Permanent: above 67 % it is 67 % after 12 months. So
    Nav's own agreements have it. That a temporary subsidy of 50 % does not fall is our own reading.
    """
    if measure == "temporary_wage_subsidy" and percentage in _MONTHS_BEFORE_STEP:
        months, lower = _MONTHS_BEFORE_STEP[percentage], percentage - _TEMPORARY_STEP
    elif measure == "permanent_wage_subsidy" and percentage > _PERMANENT_AFTER_A_YEAR:
        months, lower = 12, _PERMANENT_AFTER_A_YEAR
    else:
        return None
    last = last_day(start, months)
    return Reduction(lower, last + timedelta(days=1)) if last < end else None


def _rate(section: Mapping[str, Any], name: str) -> Decimal:
    return Decimal(str(section[name])) / 100


def _whole(amount: Decimal) -> int:
    return int(amount.quantize(Decimal(1), ROUND_HALF_UP))
