"""What goes into the archive of one agreement, and under which names.

A package holds every object of the agreement as it is stored: log entries, blobs, and the claims of its commands. Their
file names tell what they are, and nothing of persons.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from service.domain.agreement import Agreement, Version
from service.domain.log import Entry
from service.domain.paper import EXTENSIONS

__all__ = [
    "Chapter",
    "Content",
    "Dossier",
    "Holding",
    "Kind",
    "claim_key",
    "contents",
]


class Kind(StrEnum):
    """What an archived file is."""

    LOG = "log"
    CLAIM = "claim"
    """What a command id stands for."""
    DATA = "data"
    SOURCE = "source"
    """The Word file that the document was made of."""
    DOCUMENT = "document"
    """The newest revision of the PDF: signed, where the version is."""
    REVISION = "revision"
    SCREENED = "screened"
    TRANSLATION = "translation"
    SCAN = "scan"
    REPORT = "report"
    RECEIPT = "receipt"
    RECEIPT_SIGNATURE = "receipt-signature"
    RECEIPT_PDF = "receipt-pdf"
    EVIDENCE = "evidence"
    """All else that the log names: prepared signatures, answers, certificates, commands as they were read."""


@dataclass(frozen=True)
class Content:
    """One object of the store: its key, and its path among the package's data.

    `version` is the version it belongs to, 0 for none; `at` is the time of the entry that first names it.
    """

    key: str
    path: str
    kind: Kind
    version: int
    at: str


@dataclass(frozen=True)
class Holding:
    """A `Content` with what its bytes tell: SHA-256 (hex), length, and the PDF/A that it says it is (`2A`)."""

    content: Content
    sha256: str
    size: int
    pdf_a: str | None = None

    @property
    def suffix(self) -> str:
        return self.content.path.rpartition(".")[2]


@dataclass(frozen=True)
class Chapter:
    """One version for the archive: its title, its data, and the validation report where there is one."""

    version: Version
    title: str
    data: Mapping[str, Any]
    report: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Dossier:
    """All that is told of one agreement. `names` has, by an entry's number, the keys of the blobs that it names."""

    agreement: Agreement
    entries: Sequence[Entry]
    chapters: Sequence[Chapter]
    contents: Sequence[Content]
    names: Mapping[int, Sequence[str]]

    @property
    def id(self) -> str:
        return self.agreement.id

    @property
    def head(self) -> Entry:
        """The newest entry: its time is the package's."""
        return self.agreement.head


_VERSION_FILES: Final = (
    ("docx_sha256", "docx", "agreement.docx", Kind.SOURCE),
    ("screened_sha256", "pdf", "screened.pdf", Kind.SCREENED),
    ("courtesy_sha256", "pdf", "translation.pdf", Kind.TRANSLATION),
    ("input_sha256", "json", "data.json", Kind.DATA),
    ("report_sha256", "json", "report.json", Kind.REPORT),
    ("receipt_sha256", "json", "receipt.json", Kind.RECEIPT),
    ("receipt_signature_sha256", "p7s", "receipt.json.p7s", Kind.RECEIPT_SIGNATURE),
    ("receipt_pdf_sha256", "pdf", "receipt.pdf", Kind.RECEIPT_PDF),
)


def claim_key(command_id: str) -> str:
    return f"commands/{command_id}.json"


def contents(
    agreement: Agreement, entries: Sequence[Entry], names: Mapping[int, Sequence[str]]
) -> tuple[Content, ...]:
    """Every object of the agreement once, in the order of its file's path."""
    known: dict[str, int] = {}
    for entry in entries:
        for key in names[entry.seq]:
            known.setdefault(key, entry.seq)
    found: dict[str, Content] = {}

    def place(key: str, path: str, kind: Kind, version: int, at: str) -> None:
        found.setdefault(key, Content(key, path, kind, version, at))

    for entry in entries:
        place(entry.key, f"log/{entry.seq:08d}.json", Kind.LOG, 0, entry.at)
        if "command_id" in entry.data:
            command_id = entry.data["command_id"]
            place(claim_key(command_id), f"commands/{command_id}.json", Kind.CLAIM, 0, entry.at)
    for version in agreement.versions:
        for key, name, kind in _of_version(agreement.id, version):
            if key in known:
                place(key, f"version-{version.number}/{name}", kind, version.number, entries[known[key]].at)
    for key, seq in known.items():
        name = key.rpartition("/")[2]
        place(key, f"evidence/{name}", Kind.EVIDENCE, entries[seq].version, entries[seq].at)
    return tuple(sorted(found.values(), key=lambda c: c.path))


def _of_version(agreement_id: str, version: Version) -> Iterator[tuple[str, str, Kind]]:
    root = f"agreements/{agreement_id}/blobs"
    if version.revisions:
        yield f"{root}/{version.document.sha256}.pdf", "agreement.pdf", Kind.DOCUMENT
    for number, revision in enumerate(version.revisions[:-1]):
        name = revision.field or ("rendered" if number == 0 else "augmented")
        yield f"{root}/{revision.sha256}.pdf", f"revisions/{number:02d}-{name}.pdf", Kind.REVISION
    for field, extension, name, kind in _VERSION_FILES:
        if sha256 := getattr(version, field):
            yield f"{root}/{sha256}.{extension}", name, kind
    scans = dict.fromkeys((p.scan_sha256, p.media_type) for _, p in version.papers)
    for number, (sha256, media_type) in enumerate(scans, start=1):
        extension = EXTENSIONS[media_type]
        yield f"{root}/{sha256}.{extension}", f"scan-{number}.{extension}", Kind.SCAN
