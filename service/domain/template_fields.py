"""Every field that a template may name, so that an optional one which was not sent is empty, not undefined.

Agreement: the fields of `service/schemas/agreement.py`, with the agreement's `id` and `version`, and the sections
`amendment` and `termination` that the service adds to a later version. Declaration: what a mentor declares, and for
which agreement. Receipt: the fields of `service/domain/receipt.py`. A list stands with one item that shows its fields.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["SHAPES", "leaf_paths"]

_NEED = {"need": "", "measure": "", "responsible": "", "deadline": "", "status": ""}
_PERSON = {"first_name": "", "last_name": "", "phone": "", "email": ""}
_UNIT = {"number": "", "name": ""}
_REPRESENTATIVE = {**_PERSON, "organisation": _UNIT, "title": ""}
_NAV = {**_PERSON, "ident": "", "unit": _UNIT}
_WAGES = {
    "percentage": "",
    "monthly_wage": "",
    "holiday_pay_rate": "",
    "pension_rate": "",
    "employer_contribution_rate": "",
    "monthly_subsidy": "",
}
_AGREEMENT_SHAPE: Mapping[str, Any] = {
    "id": "",
    "number": "",
    "version": "",
    "language": "",
    "courtesy_translation": "",
    "measure": "",
    "origin": "",
    "case": {"system": "", "reference": ""},
    "unit": _UNIT,
    "period": {"start": "", "end": ""},
    "parties": {
        "participant": {**_PERSON, "national_id": "", "address_protection": ""},
        "guardian": {**_PERSON, "national_id": "", "kind": "", "scope": "", "verification_code": ""},
        "employer": _REPRESENTATIVE,
        "mentor": {**_PERSON, "national_id": ""},
        "organiser": _REPRESENTATIVE,
        "adviser": _NAV,
        "decider": _NAV,
    },
    "contacts": [{"name": "", "role": "", "unit": "", "phone": "", "email": ""}],
    "position": {"title": "", "tasks": "", "percentage": "", "days_per_week": ""},
    "goals": [{"category": "", "description": ""}],
    "accommodation": [_NEED],
    "aids": [{"description": "", "responsible": "", "deadline": "", "status": ""}],
    "training": [{"description": "", "responsible": "", "deadline": ""}],
    "follow_up": {
        "plan": "",
        "interval_weeks": "",
        "meetings": [{"date": "", "topic": ""}],
        "evaluations": [{"date": "", "topic": ""}],
        "commitments": [{"description": "", "deadline": ""}],
    },
    "family_relation": {"related": False, "explanation": ""},
    "inclusion_grant": {"lines": [{"kind": "", "amount": "", "description": ""}], "reason": ""},
    "mentor": {"tasks": "", "hours_per_week": "", "hourly_wage": "", "limit_months": ""},
    "temporary_wage_subsidy": {**_WAGES, "limit_months": ""},
    "permanent_wage_subsidy": _WAGES,
    "summer_job": _WAGES,
    "exceptions": {"backdated": {"reason": ""}},
    "amendment": {
        "version": "",
        "supersedes": "",
        "types": "",
        "reason": "",
        "asked_by": "",
        "told": "",
        "changes": [{"what": "", "before": "", "after": ""}],
    },
    "termination": {"reason": "", "date": "", "explanation": ""},
}
_DECLARATION_SHAPE: Mapping[str, Any] = {
    "id": "",
    "number": "",
    "version": "",
    "language": "",
    "measure": "",
    "case": {"system": "", "reference": ""},
    "unit": _UNIT,
    "period": {"start": "", "end": ""},
    "parties": {
        "mentor": {**_PERSON, "national_id": ""},
        "employer": {"organisation": _UNIT},
    },
    "declares_for": {"agreement": "", "version": ""},
}
_SIGNATURE = {
    "field": "",
    "role": "",
    "name": "",
    "on_behalf_of": "",
    "signed_at": "",
    "certificate": {"subject": "", "issuer": "", "serial": "", "sha256": ""},
    "level": "",
    "indication": "",
}
_RECEIPT_SHAPE: Mapping[str, Any] = {
    "receipt_version": "",
    "agreement": {
        "id": "",
        "number": "",
        "version": "",
        "case": {"system": "", "reference": ""},
        "title": "",
        "language": "",
        "measure": "",
    },
    "supersedes": {"version": "", "sha256": "", "receipt_sha256": ""},
    "declarations": [{"role": "", "agreement_id": "", "sha256": "", "receipt_sha256": ""}],
    "document": {"sha256": "", "sha512": "", "bytes": "", "pages": "", "storage_key": ""},
    "template": {"name": "", "version": "", "sha256": ""},
    "input": {"sha256": "", "storage_key": ""},
    "signatures": [_SIGNATURE],
    "paper_signatures": [
        {
            "role": "",
            "name": "",
            "signed_on": "",
            "attached_at": "",
            "scan": {"media_type": "", "sha256": "", "storage_key": ""},
            "attested_by": "",
        }
    ],
    # A seal is on nobody's behalf.
    "seal": {name: empty for name, empty in _SIGNATURE.items() if name != "on_behalf_of"},
    "document_timestamps": [{"time": "", "authority": ""}],
    "validation": {"indication": "", "report_sha256": "", "storage_key": ""},
    "log": {"seq": "", "sha256": "", "storage_key": ""},
    "issued_at": "",
}
SHAPES: Mapping[str, Mapping[str, Any]] = {
    "agreement": _AGREEMENT_SHAPE,
    "declaration": _DECLARATION_SHAPE,
    "receipt": _RECEIPT_SHAPE,
}


def leaf_paths(shape: object, path: str = "") -> Iterator[str]:
    """The paths of all values of a shape, in order; `*` for the items of a list."""
    if isinstance(shape, Mapping):
        for name, inner in shape.items():
            yield from leaf_paths(inner, f"{path}.{name}" if path else name)
    elif isinstance(shape, list):
        yield from leaf_paths(shape[0], f"{path}.*")
    else:
        yield path
