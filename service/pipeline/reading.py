"""What a reader may see of an agreement, found in its log and its data.

    found = find(ledger, agreement_id)                         # NotFound
    view = view_of(ledger, found, reader, now)                 # what this reader may see of each version
    view.sight(1, Resource.DOCUMENT)

Who a party is stands in each version's data alone (a blob), never in the log; so a version whose data were erased has
no parties that anybody can be recognised as.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
import uuid
from collections import OrderedDict
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

from service.domain.access import (
    Reader,
    ReaderRole,
    Resource,
    Sight,
    Situation,
    Standing,
    has_ended,
    sight,
)
from service.domain.agreement import Agreement, Status, Version
from service.domain.folding import advance
from service.domain.log import Entry
from service.domain.paper import EXTENSIONS
from service.domain.periods import norwegian_date
from service.domain.presentation import is_protected
from service.errors import ChecksumMismatch, NotFound
from service.pipeline.ledger import Ledger, blob_key

__all__ = [
    "Agreements",
    "Document",
    "Seen",
    "View",
    "documents_of",
    "entries_of",
    "find",
    "parse_id",
    "roles_of",
    "view_of",
]


@dataclass(frozen=True)
class Document:
    """One file of a version: its place in the store, what it is, and what it may be called.

    `name` is stable (`document`, `revisions/2`, `receipt.p7s`), `filename` has no personal data.
    """

    name: str
    resource: Resource
    key: str
    sha256: str
    media_type: str
    filename: str
    size: int | None = None
    """Bytes, where the log knows; the store knows in any case."""
    note: str | None = None
    """What must be known of the file, in a word: `screened`, `not-signed`, `not-signed-by-all`, `courtesy`."""


@dataclass(frozen=True)
class Seen:
    """One version as this reader may see it. `data` is None where they were erased."""

    version: Version
    standings: frozenset[Standing]
    situation: Situation
    documents: Mapping[str, Document]
    """All that there are, whoever may see them."""

    def sight(self, resource: Resource) -> Sight:
        return sight(self.standings, resource, self.situation)


@dataclass(frozen=True)
class View:
    """An agreement as this reader may see it: the versions that it may know of."""

    agreement: Agreement
    reader: Reader
    versions: Mapping[int, Seen]

    @property
    def is_empty(self) -> bool:
        """Whether this reader may not even know that there is such an agreement."""
        return not self.versions


def parse_id(given: str) -> str:
    """The agreement's id in its one form. Raises `NotFound`, the same as for one that is not there."""
    try:
        parsed = uuid.UUID(given)
    except ValueError:
        raise not_found() from None
    if str(parsed) != given.lower():
        raise not_found()
    return str(parsed)


def not_found() -> NotFound:
    """What is said of an agreement that is not there, and of one that this reader may not know of."""
    return NotFound(
        "there is nothing here that you may see", remedy="Check the address, and who you are signed in as."
    )


def find(ledger: Ledger, agreement_id: str) -> Agreement:
    """The agreement as its log tells. Raises `NotFound`, `LogCorrupt`."""
    return ledger.agreement(parse_id(agreement_id))


class Agreements:
    """Agreements by id, as their logs tell, remembered for a while. Safe in threads.

    Nothing personal is remembered: a log has none. A log only grows, so what is remembered is brought up to date
    from its last entry on; after `forget_after` it is read anew, for an agreement may have been disposed of.
    """

    def __init__(
        self, ledger: Ledger, *, capacity: int = 500, forget_after: timedelta = timedelta(minutes=5)
    ) -> None:
        self._ledger = ledger
        self._capacity = capacity
        self._forget_after = forget_after
        self._known: OrderedDict[str, tuple[Agreement, datetime]] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, agreement_id: str, now: datetime) -> Agreement:
        """Raises `NotFound`, `LogCorrupt`, `StoreError`."""
        agreement_id = parse_id(agreement_id)
        with self._lock:
            known = self._known.get(agreement_id)
        if known and now - known[1] < self._forget_after:
            agreement, read_at = known
            for entry in self._ledger.read_after(agreement.head):
                agreement = advance(agreement, entry)
        else:
            agreement, read_at = find(self._ledger, agreement_id), now
        with self._lock:
            self._known[agreement_id] = agreement, read_at
            self._known.move_to_end(agreement_id)
            while len(self._known) > self._capacity:
                self._known.popitem(last=False)
        return agreement


def view_of(ledger: Ledger, agreement: Agreement, reader: Reader, now: datetime) -> View:
    """What this reader may see. The data of every version are read, and so for every reader."""
    inputs = [_data(ledger, agreement, version) for version in agreement.versions]
    today = norwegian_date(now)
    standings = [_standings(reader, agreement, data) for data in inputs]
    seen: dict[int, Seen] = {}
    for index, version in enumerate(agreement.versions):
        situation = Situation(
            protected=agreement.declares_for is None
            and any(d is None or is_protected(d) for d in inputs[index:]),
            ended=frozenset(_ended(agreement, inputs, index, standings, today)),
            undeclared=frozenset(p.role for p in version.parties if version.must_declare(p.role)),
        )
        one = Seen(version, standings[index], situation, documents_of(agreement, version))
        if one.sight(Resource.AGREEMENT):
            seen[version.number] = one
    return View(agreement, reader, seen)


def roles_of(ledger: Ledger, agreement: Agreement, version: Version, reader: Reader) -> frozenset[Standing]:
    """What the reader is to this version, by the version's data."""
    return _standings(reader, agreement, _data(ledger, agreement, version))


def _data(ledger: Ledger, agreement: Agreement, version: Version) -> dict[str, Any] | None:
    try:
        return ledger.get_json(agreement.id, version.input_sha256)
    except NotFound:
        return None  # erased


def _standings(reader: Reader, agreement: Agreement, data: Mapping[str, Any] | None) -> frozenset[Standing]:
    match reader.role:
        case ReaderRole.ARCHIVIST:
            return frozenset({Standing.ARCHIVIST})
        case ReaderRole.OPERATOR:
            return frozenset({Standing.OPERATOR})
        case ReaderRole.CASE_SYSTEM:
            own = agreement.case_system in reader.case_systems
            return frozenset({Standing.CASE_SYSTEM}) if own else frozenset()
        case ReaderRole.PARTY:
            return frozenset(_party_roles(reader, (data or {}).get("parties", {})))


def _party_roles(reader: Reader, parties: Mapping[str, Mapping[str, Any]]) -> Iterator[Standing]:
    """By what the data hold of each role: a national identity number, a Nav ident, an organisation number.

    A person who stands beside an organisation (`first_name`) is known by the organisation: the data have nothing
    else that a provider could vouch for. A party without a name is no party, but told of (a declaration's employer).
    """
    for role, party in parties.items():
        if "first_name" not in party:
            continue
        known = {
            (party.get("national_id"), reader.national_id),
            (party.get("ident"), reader.ident),
        }
        organisation = (party.get("organisation") or {}).get("number")
        if any(theirs and theirs == ours for theirs, ours in known) or organisation in reader.organisations:
            yield Standing(role)


def _ended(
    agreement: Agreement,
    inputs: list[dict[str, Any] | None],
    index: int,
    standings: list[frozenset[Standing]],
    today: date,
) -> Iterator[Standing]:
    """Of the reader's standings in this version, those that time has ended.

    A party has been replaced when a later version is signed in which it has not this role.
    """
    last_day = _last_day(agreement, inputs)
    later = list(zip(agreement.versions, standings, strict=True))[index + 1 :]
    for standing in standings[index]:
        signed_at = next(
            (v.signed_at for v, roles in later if v.status is Status.SIGNED and standing not in roles), None
        )
        replaced = norwegian_date(datetime.fromisoformat(signed_at)) if signed_at else None
        if has_ended(standing, last_day=last_day, replaced=replaced, today=today):
            yield standing


def _last_day(agreement: Agreement, inputs: list[dict[str, Any] | None]) -> date | None:
    """The last day of what is in force, or of the newest version where nothing is; None where that was erased."""
    version = agreement.in_force or agreement.current
    data = inputs[version.number - 1]
    if data is None:
        return None
    ending = data.get("termination") or {}
    return date.fromisoformat(ending.get("date") or data["period"]["end"])


_PDF: Final = "application/pdf"
_JSON: Final = "application/json"


def documents_of(agreement: Agreement, version: Version) -> dict[str, Document]:
    """Every file that there is of this version, by its name. Half-signed ones are `revisions`, and say so."""
    found: dict[str, Document] = {}
    signed = version.status is Status.SIGNED

    def add(
        name: str, resource: Resource, sha256: str | None, extension: str, media_type: str, **more: Any
    ) -> None:
        if sha256 is None:
            return
        called = more.pop("called", name)
        found[name] = Document(
            name, resource, blob_key(agreement.id, sha256, extension), sha256, media_type,
            f"{agreement.id}-v{version.number}-{called}.{extension}", **more,
        )  # fmt: skip

    if signed:
        add("document", Resource.DOCUMENT, version.document.sha256, "pdf", _PDF, size=version.document.size)
    if version.revisions:
        first = version.revisions[0]
        add("rendered", Resource.RENDERED, first.sha256, "pdf", _PDF, size=first.size,
            called="not-signed", note="not-signed")  # fmt: skip
    for number, revision in enumerate(version.revisions, start=1):
        whole = signed and revision is version.document
        note = None if whole else "not-signed" if number == 1 else "not-signed-by-all"
        add(f"revisions/{number}", Resource.REVISION, revision.sha256, "pdf", _PDF, size=revision.size,
            called=f"revision-{number}" + (f"-{note}" if note else ""), note=note)  # fmt: skip
    add("screened", Resource.SCREENED, version.screened_sha256, "pdf", _PDF, note="screened")
    add("courtesy", Resource.COURTESY, version.courtesy_sha256, "pdf", _PDF, note="courtesy")
    add("data", Resource.DATA, version.input_sha256, "json", _JSON)
    if signed:
        add("receipt", Resource.RECEIPT, version.receipt_sha256, "json", _JSON)
        add("receipt.p7s", Resource.RECEIPT, version.receipt_signature_sha256, "p7s", "application/pkcs7-signature",
            called="receipt.json")  # fmt: skip
        add("receipt.pdf", Resource.RECEIPT, version.receipt_pdf_sha256, "pdf", _PDF, called="receipt")
    add("report", Resource.REPORT, version.report_sha256, "json", _JSON)
    for party, paper in version.papers:
        add(f"scans/{party.role}", Resource.SCAN, paper.scan_sha256, EXTENSIONS[paper.media_type], paper.media_type,
            called=f"scan-{party.role}")  # fmt: skip
    return found


def entries_of(ledger: Ledger, view: View) -> list[Entry]:
    """The log, as far as the reader may see it: entries about versions whose log it may see."""
    seen = {number for number, one in view.versions.items() if one.sight(Resource.LOG)}
    return [entry for entry in ledger.read(view.agreement.id) if entry.version in seen]


def whole(ledger: Ledger, document: Document) -> Generator[bytes]:
    """The document's bytes, in pieces. Raises `NotFound` at once.

    The last piece comes only when all of them together are what the log says: from the generator, `StoreError`.
    """
    stream = ledger.store.stream(document.key)
    checked = _checked(stream, document)
    next(checked)
    return checked


def _checked(stream: Generator[bytes], document: Document) -> Generator[bytes]:
    sha256 = hashlib.sha256()
    with contextlib.closing(stream):
        yield b""
        held = b""
        for piece in stream:
            sha256.update(piece)
            if held:
                yield held
            held = piece
        if sha256.hexdigest() != document.sha256:
            raise ChecksumMismatch(f"{document.key} is not what its name says")
        if held:
            yield held
