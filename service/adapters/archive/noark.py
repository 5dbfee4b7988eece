"""What an agreement is in Noark 5: one journalpost a version, and under it its documents in all variants and formats.

Both `arkivmelding.xml` (what is handed in) and `arkivstruktur.xml` (the whole of the metadata, with checksums,
signatures, disposal and screening) are written from this. M700 and the like are of Noark 5's metadata catalogue.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from service.adapters.archive.formats import Format, format_of
from service.adapters.archive.xml import identifier
from service.domain.agreement import Status, Version
from service.domain.appearance import full_name
from service.domain.archive import Chapter, Dossier, Holding, Kind
from service.domain.presentation.documents import is_protected
from service.domain.retention import Disposal as Retained
from service.domain.retention import Retention

__all__ = [
    "BY",
    "Case",
    "Creator",
    "Disposal",
    "Document",
    "File",
    "Part",
    "Record",
    "Screening",
    "Signature",
    "case_of",
]

BY: Final = "Signert"
_SCREENED: Final = "Skjermet"


@dataclass(frozen=True)
class Creator:
    """Arkivskaper (M006, M023)."""

    id: str = "Ikke oppgitt"
    name: str = "Ikke oppgitt"


@dataclass(frozen=True)
class Disposal:
    """Kassasjon (M450–M453) where the template says nothing of it. `years` count from the agreement's end."""

    decision: str = "Vurderes senere"
    authority: str = "Arkivlova; fastsettes i virksomhetens bevarings- og kassasjonsplan"
    years: int = 10


@dataclass(frozen=True)
class Screening:
    """Skjerming (M500–M504)."""

    restriction: str = "Unntatt offentlighet"
    authority: str = "Offentleglova § 13, jf. forvaltningsloven § 13 første ledd nr. 1"
    metadata: tuple[str, ...] = ("Skjerming navn part i sak", "Skjerming navn mottaker")
    years: int = 60


@dataclass(frozen=True)
class Signature:
    """Elektronisk signatur (M507, M508, M622, M623)."""

    level: str
    verified: str
    on: str
    by: str = BY


@dataclass(frozen=True)
class File:
    """Dokumentobjekt: `version` M005, `variant` M700, `format` M701, the rest of the holding M705–M707."""

    system_id: str
    version: int
    variant: str
    path: str
    holding: Holding
    format: Format
    signature: Signature | None = None

    @property
    def format_code(self) -> str:
        """M701: PRONOM's identifier, where we know one."""
        return self.format.puid or self.format.media_type

    @property
    def format_details(self) -> str:
        """M702."""
        return f"{self.format.full_name} (RA-PDF/A)" if self.holding.pdf_a else self.format.full_name


@dataclass(frozen=True)
class Document:
    """Dokumentbeskrivelse."""

    system_id: str
    number: int
    title: str
    kind: str
    main: bool
    finished: bool
    created: str
    files: tuple[File, ...]


@dataclass(frozen=True)
class Part:
    """Part and korrespondansepart. `name` is screened where the person is."""

    id: str
    role: str
    name: str
    contact: str | None
    internal: bool


@dataclass(frozen=True)
class Record:
    """Journalpost: one version of the agreement."""

    system_id: str
    number: int
    title: str
    status: str
    created: str
    archived: str
    dated: str
    parts: tuple[Part, ...]
    documents: tuple[Document, ...]


@dataclass(frozen=True)
class Case:
    """Saksmappe: what this package holds of the case."""

    system_id: str
    case_id: str
    system: str
    title: str
    year: int
    sequence: int
    status: str
    created: str
    closed: str
    unit: str
    responsible: str
    measure: str
    measure_name: str
    message_id: str
    disposed_on: str
    parts: tuple[Part, ...]
    records: tuple[Record, ...]
    screening: Screening = field(default_factory=Screening)
    disposal: Disposal = field(default_factory=Disposal)

    @property
    def files(self) -> int:
        return sum(len(d.files) for r in self.records for d in r.documents)


ROLES: Final[Mapping[str, str]] = {
    "participant": "Deltaker",
    "guardian": "Verge",
    "employer": "Arbeidsgiver",
    "mentor": "Mentor",
    "organiser": "Tiltaksarrangør",
    "adviser": "Veileder",
    "decider": "Beslutter",
}
MEASURES: Final[Mapping[str, str]] = {
    "inclusion_grant": "Inkluderingstilskudd",
    "mentor": "Mentor",
    "work_training": "Arbeidstrening",
    "temporary_wage_subsidy": "Midlertidig lønnstilskudd",
    "permanent_wage_subsidy": "Varig lønnstilskudd",
    "summer_job": "Sommerjobb",
}
_INTERNAL: Final = frozenset({"adviser", "decider"})
_OF_THE_PARTICIPANT: Final = frozenset({"participant", "guardian"})

ARCHIVE: Final = "Arkivformat"
PRODUCTION: Final = "Produksjonsformat"
REDACTED: Final = "Dokument hvor deler av innholdet er skjermet"

_JOURNAL_STATUS: Final[Mapping[Status, str]] = {
    Status.SIGNED: "Arkivert",
    Status.REJECTED: "Utgår",
    Status.DECLINED: "Utgår",
    Status.CANCELLED: "Utgår",
    Status.EXPIRED: "Utgår",
}
"""M053. What is still open is "Journalført"."""


def case_of(dossier: Dossier, holdings: Sequence[Holding], *, data_path: str, disposal: Disposal) -> Case:
    """The agreement as Noark has it. `data_path` is where the data lie in the package, with a final slash."""
    agreement = dossier.agreement
    by_place: dict[tuple[int, Kind], list[Holding]] = {}
    for holding in holdings:
        by_place.setdefault((holding.content.version, holding.content.kind), []).append(holding)
    newest = dossier.chapters[-1]
    data = newest.data
    system, reference = agreement.case_system, agreement.case_reference
    year, sequence = _numbers(reference, dossier.entries[0].at)
    protected = any(is_protected(c.data) for c in dossier.chapters if "participant" in c.data["parties"])
    ends = str(data.get("period", {}).get("end") or dossier.head.at[:10])
    records = tuple(_record(dossier, c, by_place, data_path, protected) for c in dossier.chapters)
    measure = str(data.get("measure", ""))
    kept = agreement.retention
    return Case(
        system_id=identifier("case", system, reference),
        case_id=reference,
        system=system,
        title=f"{newest.title} – sak {reference}",
        year=year,
        sequence=sequence,
        status="Avsluttet" if _is_over(dossier) else "Under behandling",
        created=dossier.entries[0].at,
        closed=dossier.head.at,
        unit=_unit(data),
        responsible=_responsible(data),
        measure=measure,
        measure_name=MEASURES.get(measure, measure) or "Tiltak",
        message_id=identifier("message", dossier.id, dossier.head.sha256),
        disposed_on=kept.until if kept else _later(ends, disposal.years),
        parts=_parts(dossier.id, data, protected),
        records=records,
        disposal=_disposal(kept, ends) if kept else disposal,
    )


_DECISIONS: Final = {
    Retained.KEEP: "Bevares",
    Retained.DISPOSE: "Kasseres",
    Retained.REVIEW: "Vurderes senere",
}
"""M450."""


def _disposal(kept: Retention, ends: str) -> Disposal:
    """As the agreement's template has it."""
    return Disposal(_DECISIONS[kept.disposal], kept.authority, int(kept.until[:4]) - int(ends[:4]))


def _is_over(dossier: Dossier) -> bool:
    """Whether nothing is to come: it was ended, or no version came into force and none is under way."""
    agreement = dossier.agreement
    in_force = agreement.in_force
    if in_force and in_force.terminates:
        return True
    open_ = agreement.current.status.is_open or agreement.current.status is Status.COMPLETED
    return in_force is None and not open_


def _numbers(reference: str, first_at: str) -> tuple[int, int]:
    """Saksår and sakssekvensnummer: of a reference like `2036-88412`, else the year it began, and a derived number."""
    year, _, sequence = reference.replace("/", "-").partition("-")
    if year.isdecimal() and len(year) == 4 and sequence.isdecimal():
        return int(year), int(sequence)
    return int(first_at[:4]), int(identifier("sequence", reference)[:7], 16)


def _later(day: str, years: int) -> str:
    found = date.fromisoformat(day)
    return (
        (found.replace(day=min(found.day, 28)) if found.month == 2 else found)
        .replace(year=min(found.year + years, 9999))
        .isoformat()
    )


def _unit(data: Mapping[str, Any]) -> str:
    return str((data.get("unit") or {}).get("name") or "Nav")


def _responsible(data: Mapping[str, Any]) -> str:
    adviser = data["parties"].get("adviser")
    return full_name(adviser) if adviser and "first_name" in adviser else _unit(data)


def _parts(agreement_id: str, data: Mapping[str, Any], protected: bool) -> tuple[Part, ...]:
    return tuple(
        _part(agreement_id, role, party, protected)
        for role, party in sorted(data["parties"].items(), key=lambda each: _place(each[0]))
    )


def _place(role: str) -> tuple[int, str]:
    known = list(ROLES)
    return (known.index(role) if role in known else len(known), role)


def _part(agreement_id: str, role: str, party: Mapping[str, Any], protected: bool) -> Part:
    person = full_name(party) if "first_name" in party else None
    organisation = party.get("organisation") or {}
    name = str(organisation.get("name") or person or ROLES.get(role, role))
    if protected and role in _OF_THE_PARTICIPANT:
        name, person = _SCREENED, None
    return Part(
        id=str(organisation.get("number") or identifier("part", agreement_id, role)),
        role=ROLES.get(role, role),
        name=name,
        contact=person if organisation and person else None,
        internal=role in _INTERNAL,
    )


# --- one version ---------------------------------------------------------------------------------------------


def _record(
    dossier: Dossier,
    chapter: Chapter,
    by_place: Mapping[tuple[int, Kind], Sequence[Holding]],
    data_path: str,
    protected: bool,
) -> Record:
    version = chapter.version
    system_id = identifier("record", dossier.id, version.number)
    title = f"{chapter.title}, versjon {version.number}"

    def files(variant: str, *kinds: Kind) -> Iterator[File]:
        for kind in kinds:
            for holding in by_place.get((version.number, kind), ()):
                signature = _signature(dossier, version) if kind is Kind.DOCUMENT else None
                yield File(
                    identifier("file", dossier.id, version.number, holding.content.path),
                    version.number,
                    variant,
                    data_path + holding.content.path,
                    holding,
                    format_of(holding),
                    signature,
                )

    wanted = [
        (
            title,
            "Avtale",
            (
                *files(ARCHIVE, Kind.DOCUMENT),
                *files(PRODUCTION, Kind.SOURCE),
                *files(REDACTED, Kind.SCREENED),
            ),
        ),
        (f"{title}: oversettelse, ikke signert", "Oversettelse", (*files(ARCHIVE, Kind.TRANSLATION),)),
        (f"{title}: skannet papirunderskrift", "Skannet dokument", (*files(ARCHIVE, Kind.SCAN),)),
        (
            f"{title}: kvittering",
            "Kvittering",
            (
                *files(ARCHIVE, Kind.RECEIPT_PDF),
                *files(PRODUCTION, Kind.RECEIPT, Kind.RECEIPT_SIGNATURE),
            ),
        ),
        (f"{title}: valideringsrapport", "Valideringsrapport", (*files(PRODUCTION, Kind.REPORT),)),
        (f"{title}: avtalens data", "Data", (*files(PRODUCTION, Kind.DATA),)),
    ]
    documents = tuple(
        Document(
            system_id=identifier("document", dossier.id, version.number, kind),
            number=number,
            title=name,
            kind=kind,
            main=kind == "Avtale",
            finished=not version.status.is_open,
            created=min(f.holding.content.at for f in found),
            files=found,
        )
        for number, (name, kind, found) in enumerate(((n, k, f) for n, k, f in wanted if f), start=1)
    )
    return Record(
        system_id=system_id,
        number=version.number,
        title=title,
        status=_JOURNAL_STATUS.get(version.status, "Journalført"),
        created=version.opened_at,
        archived=version.signed_at or dossier.head.at,
        dated=(version.signed_at or version.opened_at)[:10],
        parts=_parts(dossier.id, chapter.data, protected),
        documents=documents,
    )


def _signature(dossier: Dossier, version: Version) -> Signature | None:
    """Of the signed document, when it is verified. The level is that of the weakest of the parties' signatures."""
    if version.verified_head is None:
        return None
    verified = dossier.entries[version.verified_head[0]]
    signers = version.signers
    if not signers:
        level = "Sendt med PKI/virksomhetssertifikat"
    elif all(p.level == "high" or p.eidas == "qualified" for p in signers):
        level = "Sendt med PKI/person høy-sertifikat"
    else:
        level = "Sendt med PKI/person standard-sertifikat"
    passed = verified.data.get("indication") == "TOTAL-PASSED"
    said = "Signatur påført og verifisert" if passed else "Signatur påført, ikke verifisert"
    return Signature(level, said, verified.at[:10])
