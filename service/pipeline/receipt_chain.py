"""The receipts that a receipt names by their hashes: those of the versions before, and of the declarations."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from service.domain.agreement import SEAL
from service.pipeline.checks import Check, compared, sealed
from service.pipeline.stated import items_of, number_of, parsed, text_of, value_at, version_of
from signing import Limits, TrustStore, verify_detached_untrusted

__all__ = ["Find", "Named", "ReceiptFile"]

_MAX_CHAIN: Final = 1_000

Find = Callable[[str, str, str], bytes | None]
"""Of an agreement's id, a SHA-256 and an extension: the bytes, when they are at hand."""


@dataclass(frozen=True)
class ReceiptFile:
    """A receipt.json with its detached signature, where that is at hand."""

    body: bytes
    signature: bytes | None = None

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.body).hexdigest()


class Named:
    """The receipts that one names, among `beside` (of the same one twice, that with its signature) or by `find`."""

    def __init__(
        self, beside: Iterable[ReceiptFile], find: Find | None, trust: TrustStore, limits: Limits | None
    ) -> None:
        ordered = sorted(beside, key=lambda item: item.signature is not None)
        self._beside = {item.sha256: item for item in ordered}
        self._find, self._trust, self._limits = find, trust.of(SEAL), limits

    def versions(self, receipt: Mapping[str, Any]) -> Iterator[Check]:
        """Back through the receipts of the versions before, as far as they are at hand."""
        agreement_id = text_of(value_at(receipt, "agreement", "id"))
        later = receipt
        for _ in range(_MAX_CHAIN):
            named = later.get("supersedes")
            if named is None:
                yield Check("chain", "holds", f"Versjon {version_of(later)} er avtalens første.")
                return
            number = number_of(value_at(named, "version"))
            words = f"Kvitteringen for versjon {number}, som versjon {version_of(later)} avløser,"
            earlier = self._file(agreement_id, text_of(value_at(named, "receipt_sha256")))
            if earlier is None:
                hint = "med den SHA-256 som kvitteringen sier, er ikke for hånden (--with)."
                yield Check("chain", "not-checked", f"{words} {hint}")
                return
            values = parsed(earlier.body)
            if earlier.sha256 != value_at(named, "receipt_sha256"):
                yield Check("chain", "does-not-hold", f"{words} er en annen enn den kvitteringen sier.")
                return
            if not (
                value_at(values, "agreement", "id") == agreement_id
                and version_of(values) == number
                and value_at(values, "document", "sha256") == value_at(named, "sha256")
            ):
                yield Check("chain", "does-not-hold", f"{words} er ikke for den versjonen.")
                return
            yield from self._sealed(earlier, number, words)
            later = values
        said = f"Kvitteringene før versjon {version_of(later)} er ikke kontrollert: kontroller den for seg."
        yield Check("chain", "not-checked", said)

    def _sealed(self, earlier: ReceiptFile, number: int | None, words: str) -> Iterator[Check]:
        if earlier.signature is None:
            yield Check("chain", "holds", f"{words} er den kvitteringen sier; seglet på den ligger ikke ved.")
            return
        seal = verify_detached_untrusted(earlier.body, earlier.signature, self._trust, limits=self._limits)
        yield Check("chain", "holds", f"{words} er den kvitteringen sier.")
        words = f"Seglet på kvitteringen for versjon {number}"
        yield sealed("chain-seal", words, seal.indication, seal.explanation)

    def declarations(self, receipt: Mapping[str, Any]) -> Iterator[Check]:
        """The declarations signed before it, by their receipts."""
        for item in items_of(receipt.get("declarations", [])):
            words = f"Kvitteringen for erklæringen ({text_of(item.get('role'))})"
            found = self._file(text_of(item.get("agreement_id")), text_of(item.get("receipt_sha256")))
            if found is None:
                yield Check("declaration", "not-checked", f"{words} er ikke for hånden (--with).")
                continue
            holds = found.sha256 == item.get("receipt_sha256") and (
                value_at(parsed(found.body), "document", "sha256") == item.get("sha256")
            )
            yield compared(
                "declaration", holds, f"{words} er den kvitteringen sier.", f"{words} er en annen."
            )

    def _file(self, agreement_id: str | None, sha256: str | None) -> ReceiptFile | None:
        """What is at hand under that SHA-256; from a store, without its signature, and as damaged as it is there."""
        if sha256 in self._beside:
            return self._beside[sha256]
        if self._find is None or not sha256 or not agreement_id:
            return None
        body = self._find(agreement_id, sha256, "json")
        return None if body is None else ReceiptFile(body)
