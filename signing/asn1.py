"""asn1crypto's values read by the short way, where they are parsed already: nothing but the number of calls differs.

A validation reads some ten thousand fields of the same few certificates, CRLs and OCSP responses, and asks again and
again for their bytes, for which asn1crypto looks through all that is in them for changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from asn1crypto import core, crl, ocsp, x509

__all__ = ["install", "unchanging"]

_sequence_item: Final[Any] = core.Sequence.__getitem__
_list_item: Final[Any] = core.SequenceOf.__getitem__
_LISTS: Final = (core.Sequence, core.SequenceOf)
_DER: Final = "_unchanging_der"
"""Name of an attribute of our own, of asn1crypto's objects."""


def unchanging(value: core.Asn1Value) -> None:
    """Let a certificate, CRL or OCSP response that nobody changes keep its bytes, once it was asked for them."""
    vars(value).setdefault(_DER, None)


def _field(self: Any, key: Any) -> Any:
    """As asn1crypto's `Sequence.__getitem__`."""
    try:
        child = self.children[self._field_map[key]]
    except (TypeError, LookupError):  # not parsed; by number; no such field
        return _sequence_item(self, key)
    return _sequence_item(self, key) if child.__class__ is tuple else child


def _item(self: Any, key: Any) -> Any:
    """As asn1crypto's `SequenceOf.__getitem__`."""
    try:
        child = self.children[key]
    except (TypeError, LookupError):
        return _list_item(self, key)
    return _list_item(self, key) if child.__class__ is tuple else child


def _items(self: Any) -> Iterator[Any]:
    """As asn1crypto's `SequenceOf.__iter__`."""
    if self.children is None:
        self._parse_children()
    for index in range(len(self.children)):
        child = self.children[index]
        yield self._lazy_child(index) if child.__class__ is tuple else child


def _is_mutated(self: Any) -> bool:
    """As asn1crypto's, no further than needed."""
    if self._mutated:
        return True
    for child in self.children or ():
        if isinstance(child, _LISTS) and (child._mutated or (child.children and child._is_mutated())):
            return True
    return False


def _chosen(self: Any) -> Any:
    """As asn1crypto's `Choice.chosen`."""
    found = self._parsed
    return self.parse() if found is None else found


def _keeping(dump: Any) -> Callable[..., bytes]:
    def kept(self: Any, force: bool = False) -> bytes:
        attributes = vars(self)
        found: bytes | None = attributes.get(_DER)
        if found is None or force:
            found = dump(self, force)
            if _DER in attributes:
                attributes[_DER] = found
        return found

    return kept


def install() -> None:
    """Let asn1crypto use these."""
    core.Sequence.__getitem__, core.SequenceOf.__getitem__ = _field, _item
    core.SequenceOf.__iter__ = _items
    core.Sequence._is_mutated = core.SequenceOf._is_mutated = _is_mutated
    core.Choice.chosen = property(_chosen)
    for kind in (x509.Certificate, crl.CertificateList, ocsp.OCSPResponse):
        kind.dump = _keeping(kind.dump)
