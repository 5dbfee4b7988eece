"""Prepares a distinguished name for comparison once (RFC 4518 2, RFC 5280 7.1).

asn1crypto does so anew for each comparison, a table lookup for each letter: a tenth of the time of an agreement went to
the same few names of authorities. The outcome hangs on the name's bytes alone, so what is kept cannot age. Authorities'
names are kept for the process (`remember`), others as long as the document that they came in is looked at.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from asn1crypto import x509

from signing.kept import Kept, of_document

__all__ = ["install", "remember"]

_KEPT: Final = 512
_KEPT_BYTES: Final = 256 * 1024
_compare: Final[Any] = x509.Name.__eq__
_hashable: Final[Any] = x509.Name.hashable.fget
_string_prep: Final[Any] = x509.NameTypeAndValue._ldap_string_prep
_LATIN: Final = re.compile("[ -~À-ÖØ-Þà-öø-ÿ–]*")
"""Letters that are mapped to small ones at most, are normal, allowed, and not from right to left (RFC 4518 2)."""
_SPACES: Final = re.compile(" +")
_OWN: Final = "_prepared_name"
"""Name of an attribute of our own, of asn1crypto's objects."""


class _Prepared(NamedTuple):
    parts: list[tuple[int, dict[str, str]]]
    """Of each part how many values there are, and those by type."""
    hashable: str


_authorities: Final[Kept[bytes, _Prepared]] = Kept(_KEPT, _KEPT_BYTES)


def remember(name: x509.Name) -> None:
    """Keep how an authority's name is compared. Raises `ValueError` or `TypeError` for one that cannot be."""
    der = name.dump()
    _authorities.put(der, _prepared(name), len(der))


def _equal(self: x509.Name, other: object) -> bool:
    """As asn1crypto's: by the number of each part's values, and by what they are when prepared."""
    if not isinstance(other, x509.Name):
        return False
    try:
        return _prepared(self).parts == _prepared(other).parts
    # A value that cannot be prepared counts only where the comparison comes to it.
    except (ValueError, TypeError):
        return bool(_compare(self, other))


def _key(self: x509.Name) -> str:
    return _prepared(self).hashable


def _prepared(name: x509.Name) -> _Prepared:
    sequence = name.chosen
    found: _Prepared | None = vars(name).get(_OWN)
    if found is not None and not sequence._mutated:
        return found
    der = name.dump()
    found = _authorities.get(der)
    if found is None:
        kept = of_document()
        found = kept.get((_OWN, der))
        if found is None:
            found = _prepare(sequence)
            kept.put((_OWN, der), found, len(der))
    setattr(name, _OWN, found)
    return found


def _prepare(sequence: x509.RDNSequence) -> _Prepared:
    parts = [(len(part), part._get_values(part)) for part in sequence]
    keys = ("\x1f".join(f"{kind}: {values[kind]}" for kind in sorted(values)) for _, values in parts)
    return _Prepared(parts, "\x1e".join(keys))


def _prepared_string(self: x509.NameTypeAndValue, string: str) -> str:
    """As asn1crypto's, which looks every letter up in eight tables."""
    if not isinstance(string, str) or not _LATIN.fullmatch(string):
        return str(_string_prep(self, string))
    return f" {_SPACES.sub('  ', string.lower()).strip()} "


def install() -> None:
    """Let asn1crypto use what is kept."""
    x509.NameTypeAndValue._ldap_string_prep = _prepared_string
    x509.Name.__eq__ = _equal
    x509.Name.hashable = property(_key)
