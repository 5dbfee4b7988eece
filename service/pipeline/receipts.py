"""Whether a receipt is genuine and what it states holds, as far as what lies beside it can show.

    found = verify_receipt(receipt, Surroundings(signature=p7s, document=pdf), trust)
    found.indication, found.checks

Its seal; its form; the document by its hashes and each signature in it; the data, report, scans and log that a store
has; the receipts before it, each named by the next with its SHA-256; and those of the declarations.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from service.domain.agreement import SEAL
from service.domain.log import canonical, log_key
from service.domain.receipt import RECEIPT_VERSION
from service.errors import NotFound, StoreError
from service.pipeline.checks import Check, compared, sealed
from service.pipeline.ledger import Ledger, blob_key
from service.pipeline.receipt_chain import Find, Named, ReceiptFile
from service.pipeline.stated import items_of, number_of, parsed, text_of, value_at, version_of
from signing import (
    Indication,
    Limits,
    SignatureResult,
    TrustStore,
    ValidationReport,
    attached_file,
    validate_untrusted,
    verify_detached_untrusted,
)

__all__ = [
    "RECEIPT_NAME",
    "ReceiptVerification",
    "Surroundings",
    "carried_receipt",
    "is_receipt",
    "store_files",
    "verify_receipt",
]

RECEIPT_NAME: Final = "receipt.json"


@dataclass(frozen=True)
class Surroundings:
    """What lies beside a receipt. `page` is the verdict on the PDF that carried it; its seal counts as the receipt's.

    `find` and `log_entry` are those of a store, where there is one.
    """

    signature: bytes | None = None
    page: ValidationReport | None = None
    document: bytes | None = None
    receipts: Sequence[ReceiptFile] = ()
    find: Find | None = None
    log_entry: Callable[[str, int], bytes | None] | None = None


@dataclass(frozen=True)
class ReceiptVerification:
    """The verdict on a receipt, check by check."""

    indication: Indication
    explanation: str
    sha256: str
    agreement_id: str | None
    version: int | None
    checks: tuple[Check, ...]
    seal: SignatureResult | None
    document: ValidationReport | None
    report: ValidationReport
    """The validation behind it: the document's where it is at hand, else the seal's."""

    def as_json(self) -> dict[str, Any]:
        return {
            "indication": self.indication,
            "explanation": self.explanation,
            "receipt": {
                "sha256": self.sha256,
                "agreement_id": self.agreement_id,
                "version": self.version,
            },
            "checks": [vars(check) for check in self.checks],
            "seal": self.seal.as_json() if self.seal else None,
            "document": self.document.as_json() if self.document else None,
        }


def is_receipt(body: bytes) -> bool:
    """Whether a file is to be read as receipt.json: JSON, or what once was."""
    return body.lstrip()[:1] == b"{"


def carried_receipt(pdf: bytes) -> bytes | None:
    """The receipt.json in a receipt's PDF; None in any other."""
    return attached_file(pdf, RECEIPT_NAME)


def store_files(ledger: Ledger) -> tuple[Find, Callable[[str, int], bytes | None]]:
    """What a store has at hand, for `Surroundings`: its blobs, and the entries of its logs."""

    def find(agreement_id: str, sha256: str, extension: str) -> bytes | None:
        try:
            return ledger.store.get(blob_key(agreement_id, sha256, extension))
        except (NotFound, StoreError):
            return None

    def entry(agreement_id: str, seq: int) -> bytes | None:
        try:
            return ledger.store.get(log_key(agreement_id, seq))
        except (NotFound, StoreError):
            return None

    return find, entry


def verify_receipt(
    receipt: bytes, beside: Surroundings, trust: TrustStore, *, limits: Limits | None = None
) -> ReceiptVerification:
    """Whether a receipt is genuine, and what it states holds, as far as what lies beside it can show."""
    return _Receipt(receipt, beside, trust, limits).verification()


@dataclass
class _Receipt:
    body: bytes
    beside: Surroundings
    trust: TrustStore
    limits: Limits | None
    seal: SignatureResult | None = None
    document: ValidationReport | None = None
    _values: Mapping[str, Any] = field(default_factory=dict)

    def verification(self) -> ReceiptVerification:
        checks = [self._seal(), *self._form()]
        if self._values:
            named = Named(self.beside.receipts, self.beside.find, self.trust, self.limits)
            checks += [
                *self._document(),
                *self._kept(),
                *named.versions(self._values),
                *named.declarations(self._values),
            ]
        failed = [check for check in checks if check.outcome == "does-not-hold"]
        sealed = checks[0].outcome == "holds"
        unsure = self.document is not None and not self.document.passed
        indication: Indication = (
            "TOTAL-FAILED" if failed else "TOTAL-PASSED" if sealed and not unsure else "INDETERMINATE"
        )
        explanation = {
            "TOTAL-PASSED": "Kvitteringen er ekte, og det som kunne kontrolleres, stemmer.",
            "TOTAL-FAILED": "Kvitteringen stemmer ikke.",
            "INDETERMINATE": "Det kan ikke bekreftes at kvitteringen er ekte.",
        }[indication]
        return ReceiptVerification(
            indication,
            explanation,
            hashlib.sha256(self.body).hexdigest(),
            text_of(value_at(self._values, "agreement", "id")),
            version_of(self._values),
            tuple(checks),
            self.seal,
            self.document,
            self.document or self.beside.page or self._report_on_seal(indication, explanation),
        )

    def _report_on_seal(self, indication: Indication, explanation: str) -> ValidationReport:
        return ValidationReport(
            indication=indication,
            sub_indication=self.seal.sub_indication if self.seal else None,
            explanation=explanation,
            sha256=hashlib.sha256(self.body).hexdigest(),
            validated_at=datetime.now(UTC),
            signatures=(self.seal,) if self.seal else (),
        )

    def _seal(self) -> Check:
        if self.beside.signature is not None:
            self.seal = verify_detached_untrusted(
                self.body, self.beside.signature, self.trust.of(SEAL), limits=self.limits
            )
            return sealed("seal", "Kvitteringens segl", self.seal.indication, self.seal.explanation)
        page = self.beside.page
        if page is not None:
            return sealed(
                "seal", "Seglet på PDF-en som bærer kvitteringen", page.indication, page.explanation
            )
        return Check("seal", "not-checked", "Seglet ble ikke kontrollert: receipt.json.p7s ligger ikke ved.")

    def _form(self) -> Iterator[Check]:
        values = parsed(self.body)
        known = ("agreement", "document", "signatures", "seal", "supersedes", "issued_at")
        if not all(name in values for name in known):
            yield Check("form", "does-not-hold", "Filen er ikke en hel kvittering (receipt.json).")
            return
        if values.get("receipt_version") != RECEIPT_VERSION:
            said = "Kvitteringen er av en utgave som ikke kjennes her. Bruk en nyere Signert."
            yield Check("form", "not-checked", said)
            return
        self._values = values
        try:
            same = canonical(values) == self.body
        except (ValueError, TypeError, RecursionError):
            same = False
        if same:
            yield Check(
                "form", "holds", "Kvitteringen er hel, og skrevet slik Signert skriver den (RFC 8785)."
            )
        else:
            said = "Kvitteringen er skrevet om: bytene er ikke de Signert skriver (RFC 8785)."
            yield Check("form", "does-not-hold", said)

    # The document

    def _document(self) -> Iterator[Check]:
        stated = value_at(self._values, "document")
        sha256, size = text_of(value_at(stated, "sha256")), number_of(value_at(stated, "bytes"))
        body = self.beside.document or self._found(sha256, "pdf")
        if body is None:
            said = "Dokumentet ble ikke kontrollert: det ligger ikke ved (--document)."
            yield Check("document", "not-checked", said)
            return
        signed = body[:size] if size is not None and 0 < size < len(body) else body
        for name, digest in (("sha256", hashlib.sha256(signed)), ("sha512", hashlib.sha512(signed))):
            holds = digest.hexdigest() == value_at(stated, name) and len(signed) == size
            digest_name = name.replace("sha", "SHA-")
            yield compared(
                f"document-{name}",
                holds,
                f"Dokumentet er det kvitteringen gjelder ({digest_name}).",
                f"Dokumentet er et annet enn det kvitteringen gjelder ({digest_name}).",
            )
        if signed != body and hashlib.sha256(signed).hexdigest() == sha256:
            said = "Det er lagt til en revisjon i dokumentet etter kvitteringen; den er kontrollert for seg."
            yield Check("document-renewed", "holds", said)
        self.document = report = validate_untrusted(body, self.trust, limits=self.limits)
        yield sealed("document-validation", "Dokumentets signaturer", report.indication, report.explanation)
        yield from self._signatures(report)

    def _signatures(self, report: ValidationReport) -> Iterator[Check]:
        """Each signature that the receipt states, beside what validation finds."""
        found = {item.field: item for item in report.signatures}
        stated = [*items_of(self._values["signatures"]), *items_of([self._values["seal"]])]
        for item in stated:
            name = text_of(item.get("field")) or ""
            who = f"Signaturen i feltet «{name}»"
            differing = list(_differing(item, found.get(name)))
            if name not in found:
                yield Check("signature", "does-not-hold", f"{who} finnes ikke i dokumentet.")
            elif differing:
                said = f"{who} er en annen enn kvitteringen sier: {', '.join(differing)}."
                yield Check("signature", "does-not-hold", said)
            else:
                yield Check("signature", "holds", f"{who} er den kvitteringen sier.")
        for name in found.keys() - {text_of(item.get("field")) for item in stated}:
            said = f"Dokumentet har en signatur som kvitteringen ikke nevner, i feltet «{name}»."
            yield Check("signature", "does-not-hold", said)

    # What the store keeps

    def _kept(self) -> Iterator[Check]:
        """The data, the validation report, scans and the log, where a store has them."""
        named = [
            ("input", "Dataene avtalen ble laget av", value_at(self._values, "input", "sha256"), "json"),
            ("report", "Valideringsrapporten", value_at(self._values, "validation", "report_sha256"), "json"),
            *(
                ("scan", "Skannet signatur på papir", value_at(item, "scan", "sha256"), _extension(item))
                for item in items_of(self._values.get("paper_signatures", []))
            ),
        ]
        for code, words, sha256, extension in named:
            if self.beside.find is None:
                yield Check(code, "not-checked", f"{words} ble ikke kontrollert: lageret er ikke for hånden.")
                continue
            body = self._found(text_of(sha256), extension)
            if body is None:
                yield Check(
                    code,
                    "not-checked",
                    f"{words} ble ikke kontrollert: finnes ikke i lesbar form her.",
                )
                continue
            holds = hashlib.sha256(body).hexdigest() == sha256
            yield compared(code, holds, f"{words} er som kvitteringen sier.", f"{words} er endret.")
        yield self._log()

    def _log(self) -> Check:
        seq, sha256 = number_of(value_at(self._values, "log", "seq")), value_at(self._values, "log", "sha256")
        agreement_id = text_of(value_at(self._values, "agreement", "id"))
        if self.beside.log_entry is None or seq is None or agreement_id is None:
            return Check("log", "not-checked", "Loggen ble ikke kontrollert: lageret er ikke for hånden.")
        entry = self.beside.log_entry(agreement_id, seq)
        if entry is None:
            return Check("log", "not-checked", "Loggen ble ikke kontrollert: avtalen er ikke i lageret her.")
        holds = hashlib.sha256(entry).hexdigest() == sha256
        return compared(
            "log", holds, "Loggen er den kvitteringen sier.", "Loggen er en annen enn kvitteringen sier."
        )

    def _found(self, sha256: str | None, extension: str) -> bytes | None:
        agreement_id = text_of(value_at(self._values, "agreement", "id"))
        if self.beside.find is None or sha256 is None or agreement_id is None:
            return None
        return self.beside.find(agreement_id, sha256, extension)


def _differing(stated: Mapping[str, Any], found: SignatureResult | None) -> Iterator[str]:
    """In words, what is another than the receipt states."""
    if found is None:
        return
    plain = {
        "sertifikatet": (value_at(stated, "certificate", "sha256"), found.certificate_sha256),
        "den som har signert": (value_at(stated, "certificate", "subject"), found.signer),
        "utstederen": (value_at(stated, "certificate", "issuer"), found.issuer),
        "serienummeret": (value_at(stated, "certificate", "serial"), found.certificate_serial),
        "tidspunktet": (
            stated.get("signed_at"),
            found.time.isoformat(timespec="seconds").replace("+00:00", "Z") if found.time else None,
        ),
    }
    yield from (name for name, (told, is_so) in plain.items() if told != is_so)
    # Anchors that are not had here are no fault of the receipt's.
    if found.indication == stated.get("indication") and found.level != stated.get("level"):
        yield "nivået"
    if found.indication == "TOTAL-FAILED" and stated.get("indication") != "TOTAL-FAILED":
        yield "gyldigheten"


def _extension(paper: Mapping[str, Any]) -> str:
    from service.domain.paper import EXTENSIONS

    return str(EXTENSIONS.get(str(value_at(paper, "scan", "media_type")), "bin"))
