"""Prepares a distinguished name's text for comparison once (RFC 4518 2, RFC 5280 7.1).

asn1crypto does so anew for each comparison, a table lookup for each letter: a tenth of the time of an agreement went to
the same few names of authorities. The outcome hangs on the text alone, so what is kept cannot age. A name that was
parsed keeps in itself what it is compared by.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from asn1crypto import x509

__all__ = ["install"]

_KEPT: Final = 1_024
_original = x509.NameTypeAndValue._ldap_string_prep
_compare = x509.Name.__eq__
_hashable = x509.Name.hashable.fget
_PARTS: Final = "_parts_to_compare"
_KEY: Final = "_kept_hashable"


@lru_cache(maxsize=_KEPT)
def _prepared(text: str) -> str:
    prepared: str = _original(None, text)
    return prepared


def _prepare(_self: Any, text: str) -> str:
    return _prepared(text)


def _equal(self: x509.Name, other: object) -> bool:
    """As asn1crypto's: by the number of each part's values, and by what they are when prepared."""
    if not isinstance(other, x509.Name):
        return False
    try:
        return _parts(self) == _parts(other)
    # A value that cannot be prepared counts only where the comparison comes to it.
    except (ValueError, TypeError):
        return bool(_compare(self, other))


def _parts(name: x509.Name) -> list[Any]:
    sequence = name.chosen
    found: list[Any] | None = vars(name).get(_PARTS)
    if found is None or sequence._mutated:
        found = [(len(part), part._get_values(part)) for part in sequence]
        setattr(name, _PARTS, found)
    return found


def _key(self: x509.Name) -> str:
    found: str | None = vars(self).get(_KEY)
    if found is None or self.chosen._mutated:
        found = str(_hashable(self))
        setattr(self, _KEY, found)
    return found


def install() -> None:
    """Let asn1crypto use what is kept."""
    x509.NameTypeAndValue._ldap_string_prep = _prepare
    x509.Name.__eq__ = _equal
    x509.Name.hashable = property(_key)
