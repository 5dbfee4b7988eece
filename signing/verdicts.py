"""Outcomes of validation: ETSI EN 319 102-1's names, and what they mean in plain words."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from pyhanko.sign.ades.report import AdESFailure, AdESIndeterminate, AdESPassed, AdESSubIndic

from signing.limits import Limits, explain_limit
from signing.model import Indication, ValidationReport

__all__ = ["PAST_MAY_HELP", "explain", "indication", "not_readable", "over_limit", "sub_indication"]

_EXPLANATIONS: Final = {
    "HASH_FAILURE": "Dokumentet er endret etter at det ble signert.",
    "SIG_CRYPTO_FAILURE": "Signaturverdien stemmer ikke med sertifikatets nøkkel.",
    "FORMAT_FAILURE": "Filen følger ikke formatet for et signert PDF-dokument.",
    "REVOKED": "Sertifikatet var tilbakekalt da det ble brukt.",
    "REVOKED_NO_POE": "Sertifikatet er tilbakekalt, og det er ikke vist at signaturen er eldre enn det.",
    "REVOKED_CA_NO_POE": "Utstederens sertifikat er tilbakekalt.",
    "OUT_OF_BOUNDS_NO_POE": "Sertifikatet er utløpt, og det er ikke vist at signaturen er eldre enn det.",
    "OUT_OF_BOUNDS_NOT_REVOKED": "Sertifikatet er utløpt.",
    "EXPIRED": "Sertifikatet var utløpt da det ble brukt.",
    "NOT_YET_VALID": "Sertifikatet var ikke gyldig ennå da det ble brukt.",
    "NO_CERTIFICATE_CHAIN_FOUND": "Sertifikatet fører ikke til en utsteder som er klarert her.",
    "NO_SIGNING_CERTIFICATE_FOUND": "Sertifikatet til den som har signert, mangler.",
    "CERTIFICATE_CHAIN_GENERAL_FAILURE": "Sertifikatkjeden kan ikke kontrolleres.",
    "CHAIN_CONSTRAINTS_FAILURE": "Sertifikatkjeden oppfyller ikke kravene.",
    "CRYPTO_CONSTRAINTS_FAILURE": "Signaturen bruker en algoritme som ikke lenger er sikker nok.",
    "CRYPTO_CONSTRAINTS_FAILURE_NO_POE": "Signaturen bruker en algoritme som ikke lenger er sikker nok.",
    "SIG_CONSTRAINTS_FAILURE": "Signaturen oppfyller ikke kravene.",
    "TRY_LATER": "Det mangler opplysninger om at sertifikatet ikke er tilbakekalt.",
    "REVOCATION_OUT_OF_BOUNDS_NO_POE": "Opplysningene om tilbakekalling er for gamle.",
    "SIGNED_DATA_NOT_FOUND": "Dokumentet har ingen signaturer.",
    "NO_POE": "Det er ikke vist når signaturen ble laget.",
    "TIMESTAMP_ORDER_FAILURE": "Tidsstemplene står i feil rekkefølge.",
}
# Outcomes of judging at the present that proofs of existence may improve (EN 319 102-1 5.6.3).
PAST_MAY_HELP: Final = frozenset(
    {
        AdESIndeterminate.REVOKED_NO_POE,
        AdESIndeterminate.REVOKED_CA_NO_POE,
        AdESIndeterminate.OUT_OF_BOUNDS_NO_POE,
        AdESIndeterminate.OUT_OF_BOUNDS_NOT_REVOKED,
        AdESIndeterminate.CRYPTO_CONSTRAINTS_FAILURE_NO_POE,
        AdESIndeterminate.REVOCATION_OUT_OF_BOUNDS_NO_POE,
        AdESIndeterminate.TRY_LATER,
    }
)


def indication(outcome: AdESSubIndic) -> Indication:
    """The main indication of an outcome."""
    if outcome is AdESPassed.OK:
        return "TOTAL-PASSED"
    return "TOTAL-FAILED" if isinstance(outcome, AdESFailure) else "INDETERMINATE"


def sub_indication(outcome: AdESSubIndic) -> str | None:
    """The standard's name of the reason; None when all is well."""
    return None if outcome is AdESPassed.OK else str(outcome.standard_name)


def explain(reason: str | None) -> str:
    """A sub-indication in words."""
    if reason is None:
        return "Signaturen er gyldig."
    return _EXPLANATIONS.get(reason, "Signaturen kan ikke bekreftes.")


def over_limit(limit: str, limits: Limits, *, sha256: str, at: datetime) -> ValidationReport:
    """The verdict on what is too large or too odd to be judged here: the standard's reason for all else."""
    return ValidationReport(
        indication="INDETERMINATE",
        sub_indication="GENERIC",
        explanation=explain_limit(limit, limits),
        sha256=sha256,
        validated_at=at,
        limit=limit,
    )


def not_readable(document: bytes, error: Exception) -> str:
    """What is wrong with bytes that validation gave up on, in words."""
    if not document:
        return "Filen er tom."
    if b"%PDF-" not in document[:1024]:
        return "Filen er ikke et PDF-dokument."
    return f"{explain('FORMAT_FAILURE')} ({type(error).__name__})"
