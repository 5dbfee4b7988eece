"""An agreement's state, folded from its log, and the step that comes next.

Nothing here is stored: `fold` reads the entries and `next_step` says what is to be done, so a crash anywhere
is cured by folding again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from service.domain.log import Entry

__all__ = [
    "Agreement",
    "Capability",
    "Party",
    "PartyStatus",
    "Revision",
    "Status",
    "Step",
    "StepKind",
    "Version",
    "fold",
    "next_step",
]


class Capability(StrEnum):
    """What a worker may do: LibreOffice runs where no key is, and keys are where no LibreOffice runs."""

    RENDER = "render"
    SIGN = "sign"


class Status(StrEnum):
    """Where a version stands."""

    SUBMITTED = "submitted"
    RENDERED = "rendered"
    SIGNING = "signing"
    COMPLETED = "completed"
    """All parties have signed; evidence, verification and receipt remain."""
    SIGNED = "signed"
    REJECTED = "rejected"
    """The data and the template cannot become a document."""


class PartyStatus(StrEnum):
    WAITING = "waiting"
    SIGNED = "signed"


class StepKind(StrEnum):
    RENDER = "render"
    PREPARE = "prepare"
    SIGN = "sign"
    AUGMENT = "augment"
    VERIFY = "verify"
    RENDER_RECEIPT = "render-receipt"
    ISSUE_RECEIPT = "issue-receipt"


CAPABILITY_OF: Mapping[StepKind, Capability] = {
    StepKind.RENDER: Capability.RENDER,
    StepKind.RENDER_RECEIPT: Capability.RENDER,
    StepKind.PREPARE: Capability.SIGN,
    StepKind.SIGN: Capability.SIGN,
    StepKind.AUGMENT: Capability.SIGN,
    StepKind.VERIFY: Capability.SIGN,
    StepKind.ISSUE_RECEIPT: Capability.SIGN,
}


@dataclass(frozen=True)
class Step:
    """One thing to do for a version; `field` is the signature field of `prepare` and `sign`."""

    kind: StepKind
    field: str | None = None

    @property
    def capability(self) -> Capability:
        return CAPABILITY_OF[self.kind]

    def __str__(self) -> str:
        return f"{self.kind}:{self.field}" if self.field else str(self.kind)


@dataclass(frozen=True)
class Revision:
    """One state of the signed PDF: its blob's SHA-256 (hex) and its length in bytes.

    `field` is the signature field that this revision filled; None for the rendered document.
    """

    sha256: str
    size: int
    field: str | None = None


SEAL = "seal"
"""The organisation's signature field. Every other field has the name of the role that signs it."""


@dataclass(frozen=True)
class Prepared:
    """A signature whose bytes are fixed and stored, and whose key has not been asked yet.

    `base_sha256` is the revision that it is for; `blob_sha256` holds what is to be signed.
    """

    field: str
    base_sha256: str
    blob_sha256: str
    at: str


@dataclass(frozen=True)
class Party:
    role: str
    order: int
    """Order group 0–9: every party of a lower group signs first; within a group the order is free."""
    status: PartyStatus = PartyStatus.WAITING
    signed_at: str | None = None
    certificate_sha256: str | None = None


@dataclass(frozen=True)
class Version:
    """One version of the agreement. Hashes are SHA-256 in hex and name blobs of the agreement."""

    number: int
    command_id: str
    input_sha256: str
    template: str
    template_version: str
    language: str
    parties: tuple[Party, ...]
    status: Status = Status.SUBMITTED
    template_sha256: str | None = None
    docx_sha256: str | None = None
    revisions: tuple[Revision, ...] = ()
    prepared: Prepared | None = None
    augmented: bool = False
    report_sha256: str | None = None
    verified_head: tuple[int, str] | None = None
    """Sequence number and SHA-256 of the `verified` entry: the head of the log that the receipt names."""
    receipt_sha256: str | None = None
    receipt_draft_sha256: str | None = None
    receipt_signature_sha256: str | None = None
    receipt_pdf_sha256: str | None = None
    signed_at: str | None = None

    @property
    def document(self) -> Revision:
        """The newest revision of the PDF."""
        return self.revisions[-1]

    def party(self, role: str) -> Party:
        return next(p for p in self.parties if p.role == role)

    def open_parties(self) -> tuple[Party, ...]:
        """The parties whose turn it is: those waiting in the lowest order group that is not done."""
        waiting = [p for p in self.parties if p.status is PartyStatus.WAITING]
        turn = min((p.order for p in waiting), default=None)
        return tuple(p for p in waiting if p.order == turn)


@dataclass(frozen=True)
class Agreement:
    id: str
    case_system: str
    case_reference: str
    head: Entry
    versions: tuple[Version, ...]
    commands: Mapping[str, str] = field(default_factory=dict)
    """Command id to the SHA-256 of its payload, for every command in the log."""

    @property
    def current(self) -> Version:
        return self.versions[-1]

    def version(self, number: int) -> Version | None:
        return self.versions[number - 1] if 1 <= number <= len(self.versions) else None


def fold(entries: Iterable[Entry]) -> Agreement:
    """The state that these entries tell. `entries` is a whole, checked chain of at least one entry."""
    iterator = iter(entries)
    first = next(iterator)
    agreement = Agreement(
        id=first.agreement_id,
        case_system=first.data["case"]["system"],
        case_reference=first.data["case"]["reference"],
        head=first,
        versions=(_submitted(first),),
        commands={first.data["command_id"]: first.data["payload_sha256"]},
    )
    for entry in iterator:
        agreement = advance(agreement, entry)
    return agreement


def advance(agreement: Agreement, entry: Entry) -> Agreement:
    """The state after one more entry."""
    version = _FOLDS[entry.type](agreement.versions[entry.version - 1], entry)
    versions = (*agreement.versions[: entry.version - 1], version, *agreement.versions[entry.version :])
    return replace(agreement, head=entry, versions=versions)


def _submitted(entry: Entry) -> Version:
    data = entry.data
    return Version(
        number=entry.version,
        command_id=data["command_id"],
        input_sha256=data["input_sha256"],
        template=data["template"]["name"],
        template_version=data["template"]["version"],
        language=data["language"],
        parties=tuple(Party(p["role"], p["order"]) for p in data["parties"]),
    )


def _revision(data: Mapping[str, Any]) -> Revision:
    return Revision(data["revision"]["sha256"], data["revision"]["bytes"], data.get("field"))


def _rendered(version: Version, entry: Entry) -> Version:
    return replace(
        version,
        status=Status.RENDERED,
        template_sha256=entry.data["template_sha256"],
        docx_sha256=entry.data["docx_sha256"],
        revisions=(_revision(entry.data),),
    )


def _rejected(version: Version, _entry: Entry) -> Version:
    return replace(version, status=Status.REJECTED)


def _prepared(version: Version, entry: Entry) -> Version:
    data = entry.data
    prepared = Prepared(data["field"], data["base_sha256"], data["prepared_sha256"], entry.at)
    return replace(version, prepared=prepared)


def _discarded(version: Version, _entry: Entry) -> Version:
    return replace(version, prepared=None)


def _sealed(version: Version, entry: Entry) -> Version:
    revisions = (*version.revisions, _revision(entry.data))
    return replace(version, status=Status.SIGNING, revisions=revisions, prepared=None)


def _party_signed(version: Version, entry: Entry) -> Version:
    parties = tuple(
        replace(
            p,
            status=PartyStatus.SIGNED,
            signed_at=entry.data["signed_at"],
            certificate_sha256=entry.data["certificate_sha256"],
        )
        if p.role == entry.data["role"]
        else p
        for p in version.parties
    )
    done = all(p.status is PartyStatus.SIGNED for p in parties)
    return replace(
        version,
        parties=parties,
        status=Status.COMPLETED if done else version.status,
        revisions=(*version.revisions, _revision(entry.data)),
        prepared=None,
    )


def _augmented(version: Version, entry: Entry) -> Version:
    return replace(version, augmented=True, revisions=(*version.revisions, _revision(entry.data)))


def _verified(version: Version, entry: Entry) -> Version:
    return replace(
        version, report_sha256=entry.data["report_sha256"], verified_head=(entry.seq, entry.sha256)
    )


def _receipt_rendered(version: Version, entry: Entry) -> Version:
    return replace(
        version,
        receipt_sha256=entry.data["receipt_sha256"],
        receipt_draft_sha256=entry.data["receipt_pdf_sha256"],
    )


def _signed(version: Version, entry: Entry) -> Version:
    return replace(
        version,
        status=Status.SIGNED,
        receipt_signature_sha256=entry.data["receipt_signature_sha256"],
        receipt_pdf_sha256=entry.data["receipt_pdf_sha256"],
        signed_at=entry.at,
    )


_FOLDS = {
    "rendered": _rendered,
    "rejected": _rejected,
    "signature-prepared": _prepared,
    "signature-discarded": _discarded,
    "sealed": _sealed,
    "party-signed": _party_signed,
    "augmented": _augmented,
    "verified": _verified,
    "receipt-rendered": _receipt_rendered,
    "signed": _signed,
}


def next_step(agreement: Agreement) -> Step | None:
    """What is to be done now, or None when the agreement rests."""
    version = agreement.current
    match version.status:
        case Status.SUBMITTED:
            return Step(StepKind.RENDER)
        case Status.RENDERED:
            return _signature(version, SEAL)
        case Status.SIGNING:
            return _signature(version, version.open_parties()[0].role)
        case Status.COMPLETED:
            if not version.augmented:
                return Step(StepKind.AUGMENT)
            if version.report_sha256 is None:
                return Step(StepKind.VERIFY)
            if version.receipt_sha256 is None:
                return Step(StepKind.RENDER_RECEIPT)
            return Step(StepKind.ISSUE_RECEIPT)
        case Status.SIGNED | Status.REJECTED:
            return None


def _signature(version: Version, field: str) -> Step:
    """Prepare the field's signature, or complete the one that is prepared for the newest revision."""
    prepared = version.prepared
    ready = prepared and prepared.field == field and prepared.base_sha256 == version.document.sha256
    return Step(StepKind.SIGN if ready else StepKind.PREPARE, field)
