"""What was changed between the revisions of a signed document, and whether the signatures allow it.

Each revision is compared with the one before it: by what it touches, where it only signs (`plain`), else by pyHanko's
difference analysis (ISO 32000-1 12.8.2.2). All are held to rules of our own where that allows more than an agreement
can bear; `touched` then names what was changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from pyhanko.pdf_utils.reader import HistoricalResolver, PdfFileReader
from pyhanko.sign.diff_analysis import (
    DEFAULT_DIFF_POLICY,
    DiffResult,
    ModificationLevel,
    SuspiciousModification,
)
from pyhanko.sign.fields import FieldMDPAction, FieldMDPSpec, MDPPerm, enumerate_sig_fields
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature

from signing.hidden import unsettled
from signing.increments import Survey, review_step
from signing.model import Modification, Revision
from signing.plain import field_signed_in
from signing.touched import describe

__all__ = ["Changes", "review"]


@dataclass(frozen=True)
class Changes:
    """Changes in the revisions after the first signature."""

    modifications: tuple[Modification, ...]
    broken_after: int | None
    """The last revision that still is as its signatures allow, when a later one is not."""
    unsettled: str = ""
    """In words, why the document may show something else than was signed, with nothing changed in it."""

    def permitted_after(self, revision: int) -> bool:
        return self.broken_after is None or revision > self.broken_after


def review(
    reader: PdfFileReader,
    signatures: list[EmbeddedPdfSignature],
    document: bytes,
    revisions: tuple[Revision, ...],
) -> Changes:
    """Compare each revision from the first signed one on with the next, look behind the last, and at the content."""
    unknown = list(_unknown(reader, signatures))
    if not signatures:
        return Changes(tuple(map(_by_itself, unknown)), None)
    found: list[Modification] = []
    broken: int | None = None
    for number, modifications, holds in _steps(reader, signatures, document, revisions):
        found.extend(modifications)
        if not holds:
            broken = number
    last = signatures[-1].field_name
    if document[revisions[-1].length :].strip():
        broken = revisions[-1].number
        found.append(
            Modification("bytes-appended", "Det er lagt til data bak slutten av dokumentet.", False, last)
        )
    doubts = [Modification(code, text, False, last) for code, text in unsettled(reader)]
    doubts += unknown
    return Changes(tuple(map(_by_itself, (*found, *doubts))), broken, doubts[0].text if doubts else "")


def _by_itself(found: Modification) -> Modification:
    """With plain names: pyHanko's know the reader that they come from, and would keep the document."""
    field = None if found.field is None else str(found.field)
    return replace(found, after_field=str(found.after_field), field=field)


def _unknown(reader: PdfFileReader, signatures: list[EmbeddedPdfSignature]) -> Iterator[Modification]:
    """Signatures of a kind that pyHanko passes over in silence."""
    known = {signature.field_name for signature in signatures}
    for name, _, _ in enumerate_sig_fields(reader, filled_status=True):
        if name not in known:
            text = f"Signaturen i feltet {name} er av et slag som ikke kan kontrolleres."
            last = signatures[-1].field_name if signatures else name
            yield Modification("signature-unknown", text, False, last, field=name)


def _steps(
    reader: PdfFileReader,
    signatures: list[EmbeddedPdfSignature],
    document: bytes,
    revisions: tuple[Revision, ...],
) -> Iterator[tuple[int, list[Modification], bool]]:
    """For each revision from the first signed one on: what the next changed, and whether that is allowed."""
    first = min(signature.signed_revision for signature in signatures)
    filled = {signature.field_name: signature.signed_revision for signature in signatures}
    survey = Survey(reader, first)
    before: list[EmbeddedPdfSignature] = []
    for number in range(first, reader.xrefs.total_revisions - 1):
        before = [signature for signature in signatures if signature.signed_revision <= number]
        after_field = before[-1].field_name
        old, new = reader.get_historical_resolver(number), reader.get_historical_resolver(number + 1)
        further = _further(
            document,
            (revisions[number].length, revisions[number + 1].length),
            old,
            new,
            after=after_field,
        )
        if survey.filled.get(number + 1):
            text = "Et innhold som det ble vist til før signering, er lagt til etterpå."
            further.append(Modification("reference-filled", text, False, after_field))
        if not further and _only_signs(signatures, before, old, new, survey):
            yield number, [], True
            continue
        outcome = _compare(before, old, new)
        if isinstance(outcome, DiffResult) and _is_allowed(outcome, before):
            names = sorted(outcome.changed_form_fields)
            changed = {item.field for item in further}
            filling = [
                Modification("field-filled", f"Feltet {name} er fylt ut.", True, after_field, field=name)
                for name in names
                if filled.get(name) != number + 1 and name not in changed
            ]
            yield number, [*filling, *further], not further
            continue
        touched = list(describe(reader, number + 1, old, new, after_field))
        if not touched and not further:
            touched = [Modification("other", "Dokumentet er endret etter signering.", False, after_field)]
        codes = {item.code for item in touched}
        yield number, [*touched, *(item for item in further if item.code not in codes)], False


def _only_signs(
    signatures: list[EmbeddedPdfSignature],
    before: list[EmbeddedPdfSignature],
    old: HistoricalResolver,
    new: HistoricalResolver,
    survey: Survey,
) -> bool:
    """Whether the step adds one of the document's signatures and nothing else, and none before forbids it."""
    try:
        field = field_signed_in(old, new)
        if field is None or not survey.is_used_once(field, old):
            return False
    # A damaged revision can give nearly any error here: it is not plain.
    except Exception:  # noqa: BLE001
        return False
    name = new(field)["/T"]
    if [item.field_name for item in signatures if item.signed_revision == new.revision] != [name]:
        return False
    locks = (lock for lock in map(_lock, before) if lock is not None)
    forbidding = any(item.docmdp_level == MDPPerm.NO_CHANGES for item in before)
    return not forbidding and not any(lock.is_locked(name) for lock in locks)


def _is_allowed(outcome: DiffResult, before: list[EmbeddedPdfSignature]) -> bool:
    if outcome.modification_level <= ModificationLevel.LTA_UPDATES:
        return True
    forbidding = any(signature.docmdp_level == MDPPerm.NO_CHANGES for signature in before)
    return outcome.modification_level == ModificationLevel.FORM_FILLING and not forbidding


def _further(
    document: bytes,
    span: tuple[int, int],
    old: HistoricalResolver,
    new: HistoricalResolver,
    *,
    after: str,
) -> list[Modification]:
    try:
        return list(review_step(document, span, old, new, after=after))
    # The revision may be malformed in any way, and one that cannot be read is a change.
    except Exception:  # noqa: BLE001
        return [Modification("unreadable", "En senere endring av dokumentet kan ikke leses.", False, after)]


@dataclass(frozen=True)
class _Locks(FieldMDPSpec):
    """What any of several signatures locks: each revision is then compared once, however many have locks."""

    locks: tuple[FieldMDPSpec, ...] = ()

    def is_locked(self, field_name: str) -> bool:
        return any(lock.is_locked(field_name) for lock in self.locks)


def _lock(signature: EmbeddedPdfSignature) -> FieldMDPSpec | None:
    """What the signature locks, by its own word or by its field's (ISO 32000-1 12.8.2.4, 12.7.4.5)."""
    if signature.fieldmdp is not None or "/Lock" not in signature.sig_field:
        return signature.fieldmdp
    return FieldMDPSpec.from_pdf_object(signature.sig_field["/Lock"])


def _compare(
    before: list[EmbeddedPdfSignature], old: HistoricalResolver, new: HistoricalResolver
) -> DiffResult | Exception:
    try:
        locks = tuple(lock for lock in map(_lock, before) if lock is not None)
        together = _Locks(FieldMDPAction.ALL, None, locks) if locks else None
        return DEFAULT_DIFF_POLICY.apply(old, new, field_mdp_spec=together, doc_mdp=MDPPerm.FILL_FORMS)
    except SuspiciousModification as error:
        return error
    # A damaged later revision can give nearly any error here, and is a change all the same.
    except Exception as error:  # noqa: BLE001
        return error
