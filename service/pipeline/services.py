"""What the pipeline is given: the ports, bundled. `service.bootstrap` makes it; nobody else does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from service.domain.paper import ScanFault
from service.domain.ports import (
    Attachment,
    Clock,
    FinishedPdf,
    ObjectStore,
    OfficeConverter,
    Publisher,
    Signals,
)
from service.domain.pseudonyms import Pseudonyms
from service.domain.signals import SILENT
from service.domain.steps import Capability
from service.domain.template import Template
from service.errors import SignertError
from service.pipeline.ledger import Ledger
from service.pipeline.senders import SenderPolicy
from service.pipeline.work import Workbook

if TYPE_CHECKING:
    from service.pipeline.deliver import Mailer
    from signing import Credential, EvidenceCollector, TimestampClient, TrustStore

__all__ = ["Catalogue", "CopyPolicy", "Keys", "PdfTools", "Services", "Typesetting", "WordFiller"]


class Catalogue(Protocol):
    """The templates at hand. Raises `TemplateError` for what it does not have, or has altered."""

    def get(self, name: str, version: str, language: str) -> Template: ...

    def newest(self, name: str) -> str:
        """The newest version that is published of this template."""


class WordFiller(Protocol):
    def __call__(
        self,
        template_docx: bytes,
        context: Mapping[str, object],
        *,
        title: str,
        language: str,
        created: datetime,
        identifier: str,
    ) -> bytes:
        """The Word file with the context's values in it. Raises `TemplateError`."""


class PdfTools(Protocol):
    def finish(
        self,
        pdf: bytes,
        *,
        title: str,
        language: str,
        created: datetime,
        attachments: Sequence[Attachment] = (),
    ) -> FinishedPdf: ...

    def text(self, pdf: bytes) -> str: ...

    def missing_values(self, pdf_text: str, values: Mapping[str, str]) -> list[str]: ...


@dataclass(frozen=True)
class Typesetting:
    """All that turns data into a PDF. A worker without the `render` capability has none."""

    fill: WordFiller
    own_text: Callable[[bytes], str]
    """What a Word template says itself, without its tags."""
    office: OfficeConverter
    pdf: PdfTools


def _present() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Keys:
    """All that makes signatures. A worker without the `sign` capability has none.

    `credential` gives the key that this service holds for a role (or `"seal"`), or None when that party signs
    by other means. `now` is the time by which certificates and evidence are judged.
    """

    credential: Callable[[str], Credential | None]
    timestamps: TimestampClient
    evidence: EvidenceCollector
    trust: TrustStore
    font: Path
    bold_font: Path
    now: Callable[[], datetime] = _present


@dataclass(frozen=True)
class CopyPolicy:
    """Where the parties read their copies: `public_url` has the parties' page. `sender` is who writes by e-mail."""

    public_url: str
    sender: str | None = None

    @property
    def by_mail(self) -> bool:
        return self.sender is not None

    def link(self, agreement_id: str) -> str:
        return f"{self.public_url.rstrip('/')}/avtale/{agreement_id}"


def _nothing_to_inspect_with(_body: bytes, _media_type: str) -> ScanFault | None:
    raise SignertError("this process cannot look at scans")


@dataclass(frozen=True)
class Services:
    store: ObjectStore
    clock: Clock
    publisher: Publisher
    templates: Catalogue
    hand_over: Callable[[Capability, str, str], None]
    """Ask a worker that has the capability to drive the agreement on, with the marker of this run."""
    open_typesetting: Callable[[], Typesetting] | None
    open_keys: Callable[[], Keys] | None
    retention: timedelta | None = None
    senders: SenderPolicy = field(default_factory=SenderPolicy)
    sign_automatically: bool = True
    """Whether a party whose key is at hand signs when it is its turn, where the agreement does not say how."""
    inspect_scan: Callable[[bytes, str], ScanFault | None] = _nothing_to_inspect_with
    """What is wrong with a file as a scan of this media type, opened with limits."""
    follow_up_days: int = 7
    """How many days before its date an item of the follow-up is told as due, in versions that begin from now on."""
    unsigned_days: int = 90
    """How many days after its end an agreement that was never signed by all is left alone."""
    renew_before: timedelta = timedelta(days=365)
    """How long before the end of what proves a version it is renewed, at the soonest after half of the time."""
    pseudonyms: Pseudonyms | None = None
    """Without them the index does not know people."""
    copies: CopyPolicy | None = None
    """None where the parties have no page to read their copies on."""
    open_mailer: Callable[[], Mailer] | None = None
    abandoned_after: timedelta = timedelta(minutes=5)
    """A work marker that nobody has touched for so long belongs to a run that ended in a crash."""
    revocation_grace: timedelta = timedelta()
    """How long after the last signature evidence about revocation must have been issued before a version is closed."""
    signals: Signals = SILENT
    """Who is told how the work goes."""

    @property
    def capabilities(self) -> frozenset[Capability]:
        had = {
            Capability.RENDER: self.open_typesetting,
            Capability.SIGN: self.open_keys,
            Capability.DELIVER: self.open_mailer,
        }
        return frozenset(c for c, opener in had.items() if opener)

    @cached_property
    def typesetting(self) -> Typesetting:
        return _opened(self.open_typesetting, Capability.RENDER)

    @cached_property
    def keys(self) -> Keys:
        return _opened(self.open_keys, Capability.SIGN)

    @cached_property
    def mailer(self) -> Mailer:
        return _opened(self.open_mailer, Capability.DELIVER)

    @cached_property
    def ledger(self) -> Ledger:
        return Ledger(self.store, self.clock, self.retention, self.signals)

    @cached_property
    def workbook(self) -> Workbook:
        return Workbook(self.store, self.clock)


_T = TypeVar("_T")


def _opened(opener: Callable[[], _T] | None, capability: Capability) -> _T:
    if opener is None:
        raise SignertError(f"this worker has not the capability '{capability}'")
    return opener()
