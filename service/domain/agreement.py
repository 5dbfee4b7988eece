"""An agreement's state: versions, parties, signatures.

Nothing here is stored: `folding.fold` reads it from the log, `steps.next_step` says what is to be done, and `moves`
what a command may do. Times are RFC 3339 in UTC with milliseconds, which sort as text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from service.domain.changes import TERMINATION
from service.domain.follow_up import NO_FOLLOW_UP, FollowUp
from service.domain.log import Entry

__all__ = [
    "ATTESTER",
    "SEAL",
    "Agreement",
    "Answer",
    "Approval",
    "Channel",
    "Copy",
    "CopyOutcome",
    "Declaration",
    "DeclaresFor",
    "Done",
    "KeyPlace",
    "Method",
    "Paper",
    "Party",
    "PartyStatus",
    "Prepared",
    "Revision",
    "Status",
    "Version",
]


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
    DECLINED = "declined"
    """A party will not sign. What was signed before stays as it is."""
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def is_open(self) -> bool:
        """Whether signatures may still come."""
        return self in {Status.SUBMITTED, Status.RENDERED, Status.SIGNING}


class PartyStatus(StrEnum):
    WAITING = "waiting"
    SIGNED = "signed"
    SIGNED_ON_PAPER = "signed-on-paper"
    """A scan of the copy that the party signed is there; the adviser attests it by its own signature."""
    DECLINED = "declined"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    NOT_APPLICABLE = "not-applicable"
    """Somebody else signs for this party."""
    TOLD = "told"
    """Told of this change, and asked for no signature: the one under an earlier version holds."""

    @property
    def has_signed(self) -> bool:
        return self in {PartyStatus.SIGNED, PartyStatus.SIGNED_ON_PAPER}


class Method(StrEnum):
    """How a party signs."""

    AUTOMATIC = "automatic"
    """By a key that this service reaches, as soon as it is the party's turn."""
    APPROVED = "approved"
    """By a key that this service reaches, when the command `sign` says that the party signs."""
    OUTSIDE = "outside"
    """By somebody else's signing service, or a smart card: `sign`, then `complete-signature`."""
    REDIRECT = "redirect"
    """By a key that this service reaches at a signing service, where the person approves its use: `sign`, the person
    goes there and comes back, `complete-signature`."""


class KeyPlace(StrEnum):
    """Where the key of a party's signature lies. Each has its own list of trust anchors."""

    PKCS12 = "pkcs12"
    PKCS11 = "pkcs11"
    CSC = "csc"
    OUTSIDE = "outside"
    """Not within this service's reach."""


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


ATTESTER = "adviser"
"""The role whose signature attests the other parties' signatures on paper."""


@dataclass(frozen=True)
class Answer:
    """What came back for a prepared signature: its blob, and `evidence_sha256` of the person's identification.

    `kind` is `signature` (the bare value), `cms`, or `authorization`: a code for which the signing service still has
    to make the value.
    """

    kind: str
    blob_sha256: str
    evidence_sha256: str | None
    command_id: str | None = None


@dataclass(frozen=True)
class Prepared:
    """A signature whose bytes are fixed and stored, and whose key has not been asked yet.

    `base_sha256` is the revision that it is for; `blob_sha256` holds what is to be signed. `lease_until` is until
    when no other party's signature is prepared, so that a person who is signing is not overtaken; None when no
    person is. `answer` is the signature that came back from outside. `state_sha256` is the SHA-256 of the OAuth 2.0
    state that a person comes back with from a signing service; None when none is sent to one. `to_sign_sha256` is the
    blob of the bytes that are to be signed outside; None when none are.
    """

    field: str
    base_sha256: str
    blob_sha256: str
    at: str
    lease_until: str | None = None
    answer: Answer | None = None
    state_sha256: str | None = None
    to_sign_sha256: str | None = None


@dataclass(frozen=True)
class Approval:
    """That a party signs now. Hashes name blobs: the certificates that it will use, and the evidence."""

    command_id: str
    at: str
    certificates_sha256: str | None
    evidence_sha256: str | None
    by: str | None = None
    """The role that signs in this party's place."""


@dataclass(frozen=True)
class Paper:
    """A signature on a printed copy: its scan's blob, and the day it was signed (`YYYY-MM-DD`)."""

    scan_sha256: str
    media_type: str
    signed_on: str
    attached_at: str


@dataclass(frozen=True)
class Party:
    role: str
    order: int
    """Order group 0–9: every party of a lower group signs first; within a group the order is free."""
    status: PartyStatus = PartyStatus.WAITING
    method: Method | None = None
    """None until it is the party's turn, where the agreement does not say."""
    deadline_days: int | None = None
    level: str | None = None
    """Level of assurance demanded of the signature: `substantial` or `high`."""
    eidas: str | None = None
    """What the signature has to be after eIDAS: `advanced` or `qualified`."""
    requested_at: str | None = None
    deadline: str | None = None
    approval: Approval | None = None
    signed_at: str | None = None
    certificate_sha256: str | None = None
    evidence_sha256: str | None = None
    signed_by: str | None = None
    """The role that signed in this party's place."""
    paper: Paper | None = None
    key_place: KeyPlace | None = None
    """None until it is signed, and where an earlier release signed."""


@dataclass(frozen=True)
class Declaration:
    """What a party signs before the agreement: an agreement of its own, `agreement_id`, with its own log."""

    role: str
    agreement_id: str
    template: str
    template_version: str
    requested: bool = False
    document_sha256: str | None = None
    receipt_sha256: str | None = None
    withdrawn: bool = False

    @property
    def is_done(self) -> bool:
        return self.document_sha256 is not None or self.withdrawn


@dataclass(frozen=True)
class DeclaresFor:
    """The agreement's version, and the party, that a declaration is for."""

    agreement_id: str
    version: int
    role: str


@dataclass(frozen=True)
class Done:
    """That an item of the follow-up is done: on which day. `values_sha256` names the command, which may have a note."""

    on: str
    values_sha256: str | None


class Channel(StrEnum):
    """How a party gets its copy."""

    MAIL = "mail"
    """The link is sent to the party by e-mail."""
    LINK = "link"
    """The link is in the event; whoever reads it tells the party."""


class CopyOutcome(StrEnum):
    SENT = "sent"
    POSTPONED = "postponed"
    FAILED = "failed"


@dataclass(frozen=True)
class Copy:
    """A party's copy of what all have signed. `next_at` is when it is sent, or tried again."""

    role: str
    channel: Channel
    outcome: CopyOutcome | None = None
    attempts: int = 0
    at: str | None = None
    next_at: str | None = None


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
    opened_at: str
    changed_at: str
    """When it last came further; it expires when nothing comes for `expires_after_days`."""
    expires_after_days: int
    status: Status = Status.SUBMITTED
    supersedes: int | None = None
    """The signed version that this one changes, and takes the place of when it is signed itself."""
    change: tuple[str, ...] = ()
    """What kinds of change (see `changes.py`); none in the first version."""
    declarations: tuple[Declaration, ...] = ()
    follow_up: FollowUp = NO_FOLLOW_UP
    reported: bool = False
    """For a declaration: that the agreement it is for knows what became of it."""
    warned: frozenset[tuple[str, str]] = frozenset()
    """Warnings that were given: kind, and the end that they warned of."""
    template_sha256: str | None = None
    docx_sha256: str | None = None
    courtesy_sha256: str | None = None
    """The courtesy translation's PDF, where the agreement asks for one."""
    screened_sha256: str | None = None
    """The PDF without what tells who the participant is, where that is protected."""
    rendered_at: str | None = None
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
    copies: tuple[Copy, ...] = ()

    @property
    def document(self) -> Revision:
        """The newest revision of the PDF."""
        return self.revisions[-1]

    def party(self, role: str) -> Party:
        return next(p for p in self.parties if p.role == role)

    @property
    def signers(self) -> tuple[Party, ...]:
        """The parties who sign the PDF, or should: not those who signed on paper."""
        return tuple(p for p in self.asked if p.status is not PartyStatus.SIGNED_ON_PAPER)

    @property
    def asked(self) -> tuple[Party, ...]:
        """The parties of whom a signature is asked, in the PDF or on paper."""
        others = {PartyStatus.NOT_APPLICABLE, PartyStatus.TOLD}
        return tuple(p for p in self.parties if p.status not in others)

    @property
    def terminates(self) -> bool:
        """Whether this version ends the agreement, once it is signed."""
        return TERMINATION in self.change

    def must_declare(self, role: str) -> bool:
        """Whether the party has a declaration to sign before it is asked to sign this."""
        return any(d.role == role and not d.is_done for d in self.declarations)

    @property
    def papers(self) -> tuple[tuple[Party, Paper], ...]:
        """The parties who signed on paper, in the order of their turns."""
        found = [(p, p.paper) for p in self.parties if p.status is PartyStatus.SIGNED_ON_PAPER and p.paper]
        return tuple(sorted(found, key=lambda each: each[0].order))

    def attests(self, role: str) -> bool:
        """Whether this party's signature attests others' signatures on paper."""
        return role == ATTESTER and bool(self.papers)

    def method_of(self, role: str, method: Method) -> Method:
        """How this party signs: what it attests, nothing signs by itself, for somebody has to look at the scans."""
        return Method.APPROVED if method is Method.AUTOMATIC and self.attests(role) else method

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
    declares_for: DeclaresFor | None = None
    """Set when this is no agreement between parties, but a declaration for one."""
    told: frozenset[tuple[str, str]] = frozenset()
    """Items of the follow-up that were told, by id, and as what (see `due.Telling`); ids hold over versions."""
    done: Mapping[str, Done] = field(default_factory=dict)
    """Items of the follow-up that are done, by id."""
    status_seq: int = 0
    """The log's entry with which the current version came to its status. The index names its places by it."""

    @property
    def current(self) -> Version:
        return self.versions[-1]

    @property
    def in_force(self) -> Version | None:
        """The newest version that all who should have signed; it holds until the next one is signed."""
        return next((v for v in reversed(self.versions) if v.status is Status.SIGNED), None)

    def version(self, number: int) -> Version | None:
        return self.versions[number - 1] if 1 <= number <= len(self.versions) else None
