"""A validation in plain words: one sentence to go by, and for those who want it, all that it is made of."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from service.domain.agreement import SEAL
from service.domain.presentation import ROLES
from service.entrypoints.http.pages.texts import Texts

if TYPE_CHECKING:
    from signing import SignatureResult, ValidationReport

__all__ = ["Answer", "SignatureLine", "answer"]

Detail = tuple[str, str, str | None]
"""What, its value, and the value's language when it is not the page's."""

_KINDS: Final = {"TOTAL-PASSED": "good", "TOTAL-FAILED": "bad", "INDETERMINATE": "unsure"}
_RESULTS: Final = {"good": "verdict.ok", "bad": "verdict.not_ok", "unsure": "verdict.not_sure"}
_CHANGED: Final = {"HASH_FAILURE", "SIG_CRYPTO_FAILURE", "FORMAT_FAILURE"}
_REVOKED: Final = {"REVOKED", "REVOKED_NO_POE", "REVOKED_CA_NO_POE"}
_UNKNOWN: Final = {
    "NO_CERTIFICATE_CHAIN_FOUND",
    "NO_SIGNING_CERTIFICATE_FOUND",
    "CERTIFICATE_CHAIN_GENERAL_FAILURE",
}
_LONGEST: Final = 160


@dataclass(frozen=True)
class SignatureLine:
    kind: str
    title: str
    result: str
    time: str | None
    details: Sequence[Detail]


@dataclass(frozen=True)
class Answer:
    """`kind` is good, bad, unsure or none."""

    kind: str
    title: str
    texts: Sequence[str]
    signatures: Sequence[SignatureLine] = ()
    details: Sequence[Detail] = ()


def answer(
    t: Texts, report: ValidationReport, *, ours: bool, faults: Sequence[str] = (), detailed: bool = True
) -> Answer:
    """`ours` says that the document is one of this service, so that its fields are the roles of its signers; `faults`
    is what the comparison with the log found. Not `detailed`, it says nothing of who has signed."""
    if not report.signatures:
        return Answer("none", t("verdict.none"), [t("verdict.none_text")], details=_document(t, report))
    kind = _KINDS[report.indication]
    if faults and kind == "good":
        kind = "bad"
    title, texts = _words(t, report, kind, ours=ours)
    if ours:
        texts = (
            [*texts, t("check.differs" if faults else "check.matches")] if kind == "good" or faults else texts
        )
    return Answer(
        kind,
        title,
        texts,
        [_line(t, s, ours=ours) for s in report.signatures] if detailed else (),
        _document(t, report) if detailed else (),
    )


def _words(t: Texts, report: ValidationReport, kind: str, *, ours: bool) -> tuple[str, list[str]]:
    subs = {report.sub_indication, *(s.sub_indication for s in report.signatures)}
    if kind == "good":
        one = len(report.signatures) == 1
        text = t("verdict.good_text", who=_who(t, report.signatures, ours=ours))
        return t("verdict.good_one" if one else "verdict.good"), [text[:1].upper() + text[1:]]
    if kind == "bad":
        if subs & _CHANGED or any(not m.permitted for m in report.modifications):
            return t("verdict.bad"), [t("verdict.bad_changed")]
        return t("verdict.bad"), [t("verdict.bad_revoked" if subs & _REVOKED else "verdict.bad_text")]
    return t("verdict.unsure"), [t("verdict.unsure_unknown" if subs & _UNKNOWN else "verdict.unsure_text")]


def _who(t: Texts, signatures: Iterable[SignatureResult], *, ours: bool) -> str:
    if not ours:
        return t.series(list(dict.fromkeys(_clean(t, s.signer) for s in signatures)))
    count = sum(s.field != SEAL for s in signatures)
    if count == 1:
        return t("verdict.one_party")
    if count == 2:
        return t("verdict.both_parties")
    return t("verdict.all_parties", count=t.all.get(f"number.{count}", str(count)))


def _line(t: Texts, signature: SignatureResult, *, ours: bool) -> SignatureLine:
    kind = _KINDS[signature.indication]
    signer = _clean(t, signature.signer)
    known = ours and signature.field in {SEAL, *ROLES}
    details: list[Detail] = [
        (t("verdict.by"), signer, None),
        (t("verdict.time"), t.moment(signature.time) if signature.time else t("verdict.no_time"), None),
        (t("verdict.issuer"), _clean(t, signature.issuer), None),
        (t("verdict.level"), signature.level or "–", None),
        (t("verdict.method"), signature.algorithm, None),
        (t("verdict.certificate"), signature.certificate_sha256, None),
        (t("verdict.result"), " ".join(filter(None, (signature.indication, signature.sub_indication))), None),
    ]
    if signature.explanation:
        # Our own words for it, which are in bokmål; never what stands in the file.
        details.append((t("verdict.explanation"), _clean(t, signature.explanation), "nb"))
    return SignatureLine(
        kind,
        f"{t(f'role.{signature.field}')}: {signer}" if known else signer,
        t(_RESULTS[kind]),
        t.moment(signature.time) if signature.time else None,
        details,
    )


def _document(t: Texts, report: ValidationReport) -> list[Detail]:
    found: list[Detail] = [
        (t("verdict.result"), " ".join(filter(None, (report.indication, report.sub_indication))), None)
    ]
    if report.explanation:
        found.append((t("verdict.explanation"), _clean(t, report.explanation), "nb"))
    found += [
        (
            t("verdict.stamp"),
            f"{t.moment(s.time) if s.time else t('verdict.no_time')}, {_clean(t, s.authority)}",
            None,
        )
        for s in report.document_timestamps
    ]
    found += [
        (
            t("verdict.changes"),
            t(f"verdict.change_{'' if m.permitted else 'not_'}permitted", text=_clean(t, m.text)),
            "nb",
        )
        for m in report.modifications
    ]
    found.append((t("verdict.fingerprint"), report.sha256, None))
    found.append((t("verdict.checked_at"), t.moment(report.validated_at), None))
    return found


def _clean(t: Texts, text: str) -> str:
    """A stranger's text on one line, with no control characters and no direction of its own."""
    shown = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in text[: 4 * _LONGEST])
    shown = " ".join(shown.split())
    return (shown[: _LONGEST - 1] + "…" if len(shown) > _LONGEST else shown) or t("verdict.unnamed")
