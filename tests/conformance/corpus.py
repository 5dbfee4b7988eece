"""One of every kind of document that is made, in both languages, with all its revisions as files."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from service.domain.agreement import Agreement, Status, Version
from service.domain.folding import fold
from service.domain.periods import norwegian_date
from service.entrypoints.cli.shared import OneProcess
from service.pipeline.intake import receive
from service.pipeline.ledger import Ledger
from service.pipeline.services import Services
from signing import revisions
from tests import scans
from tests.parties import MINIMAL, OTHERS, five_parties, new_case
from tests.signing_documents import Signers

__all__ = ["Corpus", "Detached", "Document", "make_corpus"]

EXAMPLES = Path(__file__).parents[2] / "examples"
LANGUAGES = ("nb", "nn")


@dataclass(frozen=True)
class Document:
    """`revisions` from rendered to document timestamp; `fields` are those signed, in order: none for one never signed.

    `profile` is the part and level of PDF/A that it claims; `root` is the anchor of its signatures.
    """

    kind: str
    language: str
    profile: str
    revisions: tuple[Path, ...]
    fields: tuple[str, ...]
    root: Path


@dataclass(frozen=True)
class Detached:
    kind: str
    language: str
    signature: Path
    content: Path
    root: Path


@dataclass
class Corpus:
    folder: Path
    documents: list[Document] = field(default_factory=list)
    detached: list[Detached] = field(default_factory=list)

    def kinds(self) -> list[str]:
        return list(dict.fromkeys(each.kind for each in (*self.documents, *self.detached)))

    def signed(self) -> list[Document]:
        return [document for document in self.documents if document.fields]

    def add(self, kind: str, ledger: Ledger, agreement: Agreement, root: Path) -> None:
        """The agreement's current version, which is signed by all, and what goes with it."""
        version = agreement.current
        assert version.status is Status.SIGNED, kind
        bodies = [ledger.get_blob(agreement.id, r.sha256, "pdf") for r in version.revisions]
        signed = tuple(r.field for r in version.revisions[1:-1] if r.field)
        assert len(signed) == len(bodies) - 2
        self._document(kind, version.language, "2a", bodies, signed, root)
        self._unsigned("courtesy translation", "en", version.courtesy_sha256, ledger, agreement.id, root)
        screened = version.screened_sha256
        self._unsigned("screened edition", version.language, screened, ledger, agreement.id, root)
        self._receipt(kind, version, ledger, agreement.id, root)

    def _receipt(self, kind: str, version: Version, ledger: Ledger, agreement_id: str, root: Path) -> None:
        sha256 = (version.receipt_pdf_sha256, version.receipt_sha256, version.receipt_signature_sha256)
        page, content, signature = (
            ledger.get_blob(agreement_id, str(name), extension)
            for name, extension in zip(sha256, ("pdf", "json", "p7s"), strict=True)
        )
        ends = [revision.length for revision in revisions(page)]
        assert len(ends) == 3  # rendered, sealed, augmented
        name = f"receipt of {kind}" if kind == "declaration" else "receipt"
        self._document(name, version.language, "3a", [page[:end] for end in ends], ("seal",), root)
        paths = [self.folder / f"{len(self.detached):03}-receipt.{end}" for end in ("json.p7s", "json")]
        for path, body in zip(paths, (signature, content), strict=True):
            path.write_bytes(body)
        self.detached.append(Detached("receipt.json.p7s", version.language, paths[0], paths[1], root))

    def _unsigned(
        self, kind: str, language: str, sha256: str | None, ledger: Ledger, agreement_id: str, root: Path
    ) -> None:
        if sha256:
            self._document(kind, language, "2a", [ledger.get_blob(agreement_id, sha256, "pdf")], (), root)

    def _document(
        self, kind: str, language: str, profile: str, bodies: list[bytes], fields: tuple[str, ...], root: Path
    ) -> None:
        place, paths = len(self.documents), []
        for number, body in enumerate(bodies):
            name = f"{place:03}-{kind.replace(' ', '-')}-{language}-{number}.pdf"
            paths.append(self.folder / name)
            paths[-1].write_bytes(body)
        self.documents.append(Document(kind, language, profile, tuple(paths), fields, root))


def make_corpus(services: Services, signers: Signers, folder: Path) -> Corpus:
    """`services` have keys for every party, from the development PKI."""
    corpus = Corpus(folder)
    root = folder / "devpki.der"
    root.write_bytes(services.keys.trust.anchors[0])
    for kind, agreement in _by_keys_of_the_service(services):
        corpus.add(kind, services.ledger, agreement, root)
    for language in LANGUAGES:
        (own := folder / f"paper-{language}").mkdir()
        _add_paper(corpus, services, signers, own, language)
    (own := folder / "five").mkdir()
    case = five_parties(services, signers, own)
    corpus.add("five parties, four methods", case.services.ledger, case.agreement, signers.pki.root)
    return corpus


def _by_keys_of_the_service(services: Services) -> Iterator[tuple[str, Agreement]]:
    process = services.hand_over
    assert isinstance(process, OneProcess)

    def send(name: str, **fields: Any) -> Agreement:
        marker = receive(services, name, {"command_id": str(uuid.uuid4()), **fields})
        return process.drive_all(services, marker, lambda _: None).agreement

    for path in sorted(EXAMPLES.glob("*.json")):
        for language in LANGUAGES:
            signed = send("submit", agreement={**json.loads(path.read_text()), "language": language})
            yield "agreement", signed
            for declaration in signed.current.declarations:
                yield "declaration", fold(services.ledger.read(declaration.agreement_id))
    story = {p.stem[2:]: json.loads(p.read_text()) for p in (EXAMPLES / "story").glob("*.json")}
    for language in LANGUAGES:
        told = send("submit", agreement={**story["submit"], "language": language})
        yield "amended version", send("amend", agreement_id=told.id, **story["needs"])
        end: Mapping[str, Any] = {**story["termination"], "date": "2037-05-31"}
        yield "termination", send("terminate", agreement_id=told.id, **end)


def _add_paper(corpus: Corpus, services: Services, signers: Signers, folder: Path, language: str) -> None:
    """The participant signs a printed copy, the employer outside by a bare value; the adviser attests."""
    case = new_case(services, signers, folder, {"adviser": signers.credential("adviser")})
    submitted = case.submitted({role: OTHERS[role] for role in ("participant", "employer")})
    submitted["agreement"] = {**MINIMAL, **submitted["agreement"], "language": language}
    case.send("submit", **submitted)
    scan = scans.pdf(pages=1, mark="signed")
    key = f"agreements/{case.id}/blobs/{scans.named(scan)['sha256']}.pdf"
    case.services.store.create(key, scan)
    today = norwegian_date(case.clock.now()).isoformat()
    case.send("attach-paper", roles=["participant"], signed_on=today, scan=scans.named(scan))
    case.sign_with_value("employer", "organisation")
    case.send("sign", role="adviser")
    corpus.add("attested paper", case.services.ledger, case.agreement, signers.pki.root)
