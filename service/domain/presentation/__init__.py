"""What a document prints: an agreement's, a declaration's or a receipt's JSON as display strings.

`context` gives the template's variables, `printed_values` what must be found in the finished PDF's text. Both use
the same formatting, so a value that a template leaves out is noticed. `describe_changes` says in the same words what
an amendment changed. Bokmål and nynorsk, and English for courtesy translations.

    >>> amount(12500), national_id("17849431021"), organisation_number("312300028")
    ('12\\xa0500\\xa0kr', '178494\\xa031021', '312\\xa0300\\xa0028')
    >>> long_date("2026-12-01"), percent(37.5)
    ('1.\\xa0desember 2026', '37,5\\xa0%')
    >>> long_date("2026-12-01", "en"), amount(12500, "en")
    ('1\\xa0December 2026', 'NOK\\xa012,500')
"""

from __future__ import annotations

from service.domain.presentation.changes import Described, describe_changes
from service.domain.presentation.documents import (
    DERIVED,
    WITHHELD,
    Kind,
    context,
    example_contexts,
    is_protected,
    is_represented,
    is_withheld,
    printed_values,
    shown,
    signing_roles,
)
from service.domain.presentation.formats import (
    ROLES,
    Labels,
    amount,
    is_coded,
    is_unprinted,
    local_time,
    long_date,
    national_id,
    organisation_number,
    percent,
)

__all__ = [
    "DERIVED",
    "ROLES",
    "WITHHELD",
    "Described",
    "Kind",
    "Labels",
    "amount",
    "context",
    "describe_changes",
    "example_contexts",
    "is_coded",
    "is_protected",
    "is_represented",
    "is_unprinted",
    "is_withheld",
    "local_time",
    "long_date",
    "national_id",
    "organisation_number",
    "percent",
    "printed_values",
    "shown",
    "signing_roles",
]
