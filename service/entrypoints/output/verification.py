"""How a document, an agreement or a receipt verifies: for whoever holds it, and for whoever has to keep it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import click

from service.domain.agreement import SEAL
from service.domain.presentation import ROLES
from service.entrypoints.output.text import print_json

if TYPE_CHECKING:
    from datetime import datetime

    from service.pipeline.verification import Check, ReceiptVerification
    from signing import DocumentTimestampResult, RevocationEvidence, SignatureResult, ValidationReport

__all__ = ["receipt_verdict", "verdict"]

_MEANING: Final = {
    "TOTAL-PASSED": "Gyldig: alle signaturene holder, og dokumentet er uendret siden.",
    "TOTAL-FAILED": "Ikke gyldig.",
    "INDETERMINATE": "Kan ikke bekreftes.",
}
_SAID: Final = {
    "TOTAL-PASSED": "gyldig",
    "TOTAL-FAILED": "IKKE GYLDIG",
    "INDETERMINATE": "kan ikke bekreftes",
}
_MARKS: Final = {"holds": "stemmer", "does-not-hold": "STEMMER IKKE", "not-checked": "ikke kontrollert"}
_LABEL: Final = 16
_PAGES: Final = {
    "same": "Sidene ser like ut i alle signerte utgaver av dokumentet.",
    "different": "Sidene ser ikke like ut i alle signerte utgaver av dokumentet.",
    "not-compared": "Sidenes utseende er ikke sammenlignet.",
}


def verdict(
    report: ValidationReport,
    indication: str,
    faults: Sequence[str],
    *,
    compared: bool = False,
    as_json: bool,
) -> None:
    """The verdict; `faults` are what the comparison with the log found, where it was `compared`."""
    if as_json:
        body = report.as_json()
        for signature in body["signatures"]:
            # Our templates name a field after the role that signs it; a stranger's field has no role.
            signature["role"] = signature["field"] if signature["field"] in {SEAL, *ROLES} else None
        print_json({**body, "indication": indication, "log": list(faults)})
        return
    _say(f"{indication}  {_MEANING[indication]}")
    if indication != "TOTAL-PASSED" and report.indication == indication and report.explanation:
        _say(f"  {report.explanation}")
    for line in _report(report):
        _say(line)
    if compared:
        _say("")
        _say("Sammenlignet med avtalens logg")
        for fault in faults or ["Dokumentet er det loggen sier."]:
            _say(f"  {fault}")


def receipt_verdict(found: ReceiptVerification, page: ValidationReport | None, *, as_json: bool) -> None:
    """The verdict on a receipt, check by check; `page` is that on the PDF which carries it, when one does."""
    if as_json:
        print_json({**found.as_json(), "page": page.as_json() if page else None})
        return
    _say(f"{found.indication}  {found.explanation}")
    if found.agreement_id:
        _say(f"  Kvittering for avtale {found.agreement_id}, versjon {found.version}")
    _say("")
    for check in _by_outcome(found.checks):
        _say(f"  {_MARKS[check.outcome]:{_LABEL}} {check.text}")
    if found.seal is not None:
        _say("")
        _say("Seglet")
        for line in _signature(found.seal, ""):
            _say(line)
    for title, report in (("PDF-en som bærer kvitteringen", page), ("Dokumentet", found.document)):
        if report is not None:
            _say("")
            _say(f"{title}: {report.indication}")
            for line in _report(report):
                _say(line)


def _say(line: str) -> None:
    """Names out of a stranger's certificate must not move the cursor, turn text around or fail to print."""
    click.echo("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line))


def _by_outcome(checks: Sequence[Check]) -> list[Check]:
    """What does not hold first."""
    order = ["does-not-hold", "holds", "not-checked"]
    return sorted(checks, key=lambda check: order.index(check.outcome))


def _report(report: ValidationReport) -> Iterator[str]:
    if report.signatures:
        yield ""
        yield "Signaturer"
        for number, signature in enumerate(report.signatures):
            yield from [""] if number else []
            yield from _signature(signature, signature.field)
    if report.document_timestamps:
        yield ""
        yield "Tidsstempler over hele dokumentet"
        for stamp in report.document_timestamps:
            yield from _stamp(stamp)
    if report.modifications:
        yield ""
        yield "Endringer etter signering"
        for change in report.modifications:
            permitted = "tillatt" if change.permitted else "IKKE TILLATT"
            place = f", side {change.page}" if change.page else ""
            yield f"  {change.text} (etter feltet {change.after_field}{place}; {permitted})"
    if report.signatures:
        yield ""
        yield _PAGES[report.pages]
    if report.sha256:
        yield ""
        yield f"Kontrollert {_time(report.validated_at)}, SHA-256 {report.sha256}"
    if report.algorithm_policy:
        yield f"Algoritmer etter {report.algorithm_policy}"


def _signature(found: SignatureResult, name: str) -> Iterator[str]:
    where = f" (felt {name})" if name else ""
    yield f"  {found.signer or 'Ukjent'}{where}: {_SAID[found.indication]}"
    reason = " ".join(filter(None, (found.indication, found.sub_indication)))
    yield from _lines(
        ("", found.explanation if found.indication != "TOTAL-PASSED" else ""),
        (
            "Signert",
            _time(found.time) or (f"{_time(found.claimed_time)}, ikke bevist" if found.claimed_time else ""),
        ),
        ("Bevist ved", _proof(found)),
        ("Grunn", found.reason or ""),
        ("Virksomhet", found.organisation or ""),
        ("Utstedt av", " – under ".join(filter(None, (found.issuer, found.trust_anchor)))),
        ("Ikke tilbakekalt", _evidence(found.revocation)),
        ("Algoritme", _algorithm(found)),
        ("Nivå", f"{found.level}, {reason}" if found.level else reason),
    )


def _stamp(found: DocumentTimestampResult) -> Iterator[str]:
    yield f"  {found.authority}: {_SAID[found.indication]}"
    yield from _lines(
        ("", found.explanation if found.indication != "TOTAL-PASSED" else ""),
        ("Tidspunkt", _time(found.time)),
        ("Utløper", _time(found.certificate_ends)),
        ("Ikke tilbakekalt", _evidence(found.revocation)),
        ("Algoritme", _algorithm(found)),
    )


def _lines(*told: tuple[str, str]) -> Iterator[str]:
    for label, text in told:
        if text:
            yield f"    {label:{_LABEL}} {text}"


def _proof(found: SignatureResult) -> str:
    if found.proof is None:
        return "ingenting: det er ikke vist når signaturen ble laget"
    if found.proof == "document-timestamp":
        return f"dokumenttidsstempelet {found.proof_field or ''}, {_time(found.best_signature_time)}"
    authorities = [t.authority for t in found.timestamps if t.indication == "TOTAL-PASSED"]
    return f"tidsstempel fra {authorities[0]}" if authorities else "signaturens tidsstempel"


def _evidence(found: Sequence[RevocationEvidence]) -> str:
    if not found:
        return "vet ikke: ingen opplysninger ligger ved"
    newest = found[0]
    until = f", gjelder til {_time(newest.next_update)}" if newest.next_update else ""
    fresh = "" if newest.fresh else "; eldre enn signaturen"
    return f"{newest.kind.upper()} av {_time(newest.this_update)}{until}{fresh}"


def _algorithm(found: SignatureResult | DocumentTimestampResult) -> str:
    if not found.algorithm:
        return ""
    until = f", til {found.algorithm_ends:%Y-%m-%d}" if found.algorithm_ends else ""
    accepted = "ikke godtatt" if found.algorithm_accepted is False else "godtatt"
    return f"{found.algorithm}: {accepted}{until}"


def _time(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else ""
