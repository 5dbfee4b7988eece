"""`arkivmelding.xml`: the agreement's case, versions and documents as they are handed in to an archive.

After the schema `arkivmelding.xsd` with its `metadatakatalog.xsd`, which has no place for checksums, formats,
signatures or disposal: those stand in `arkivstruktur.xml` beside it.
"""

from __future__ import annotations

from typing import Final

from lxml import etree

from service.adapters.archive.noark import BY, Case, Document, Part, Record, Screening
from service.adapters.archive.xml import XSI, child, identifier, root, to_bytes

__all__ = ["ARKIVMELDING", "arkivmelding"]

ARKIVMELDING: Final = "http://www.arkivverket.no/standarder/noark5/arkivmelding"


def arkivmelding(case: Case) -> bytes:
    message = root(ARKIVMELDING, "arkivmelding", {None: ARKIVMELDING, "xsi": XSI})
    child(message, "system", case.system)
    child(message, "meldingId", case.message_id)
    child(message, "tidspunkt", case.closed)
    child(message, "antallFiler", case.files)
    folder = child(message, "mappe", attributes={f"{{{XSI}}}type": "saksmappe"})
    child(folder, "systemID", case.system_id)
    child(folder, "mappeID", case.case_id)
    child(folder, "tittel", case.title)
    child(folder, "offentligTittel", case.title)
    child(folder, "dokumentmedium", "Elektronisk arkiv")
    child(folder, "opprettetDato", case.created)
    child(folder, "opprettetAv", BY)
    if case.status == "Avsluttet":
        child(folder, "avsluttetDato", case.closed)
        child(folder, "avsluttetAv", BY)
    _screening(folder, case.screening)
    classification = child(folder, "klassifikasjon")
    child(classification, "referanseKlassifikasjonssystem", identifier("classification"))
    child(classification, "klasseID", case.measure or "tiltak")
    child(classification, "tittel", case.measure_name)
    for record in case.records:
        _record(folder, case, record)
    child(folder, "saksaar", case.year)
    child(folder, "sakssekvensnummer", case.sequence)
    child(folder, "saksdato", case.created[:10])
    child(folder, "administrativEnhet", case.unit)
    child(folder, "saksansvarlig", case.responsible)
    child(folder, "saksstatus", case.status)
    for part in case.parts:
        _part(folder, part)
    return to_bytes(message)


def _part(folder: etree._Element, part: Part) -> None:
    element = child(folder, "sakspart")
    child(element, "sakspartID", part.id)
    child(element, "sakspartNavn", part.name)
    child(element, "sakspartRolle", part.role)
    if part.contact:
        child(element, "kontaktperson", part.contact)


def _screening(parent: etree._Element, screening: Screening) -> None:
    element = child(parent, "skjerming")
    child(element, "tilgangsrestriksjon", screening.restriction)
    child(element, "skjermingshjemmel", screening.authority)
    for what in screening.metadata:
        child(element, "skjermingMetadata", what)
    child(element, "skjermingDokument", "Skjerming av hele dokumentet")
    child(element, "skjermingsvarighet", screening.years)


def _record(folder: etree._Element, case: Case, record: Record) -> None:
    element = child(folder, "basisregistrering", attributes={f"{{{XSI}}}type": "journalpost"})
    child(element, "systemID", record.system_id)
    child(element, "opprettetDato", record.created)
    child(element, "opprettetAv", BY)
    child(element, "arkivertDato", record.archived)
    child(element, "arkivertAv", BY)
    child(element, "registreringsID", f"{case.case_id}/{record.number}")
    child(element, "referanseForelderMappe", case.system_id)
    _screening(element, case.screening)
    for document in record.documents:
        _document(element, document)
    child(element, "tittel", record.title)
    child(element, "offentligTittel", record.title)
    child(element, "dokumentmedium", "Elektronisk arkiv")
    child(element, "journalaar", record.created[:4])
    child(element, "journalsekvensnummer", record.number)
    child(element, "journalpostnummer", record.number)
    child(element, "journalposttype", "Utgående dokument")
    child(element, "journalstatus", record.status)
    child(element, "journaldato", record.created[:10])
    child(element, "dokumentetsDato", record.dated)
    child(element, "antallVedlegg", sum(not d.main for d in record.documents))
    for part in record.parts:
        correspondent = child(element, "korrespondansepart")
        child(correspondent, "korrespondanseparttype", "Intern avsender" if part.internal else "Mottaker")
        child(correspondent, "korrespondansepartNavn", part.name)
        if part.contact:
            child(correspondent, "kontaktperson", part.contact)


def _document(record: etree._Element, document: Document) -> None:
    element = child(record, "dokumentbeskrivelse")
    child(element, "systemID", document.system_id)
    child(element, "dokumenttype", document.kind)
    child(
        element,
        "dokumentstatus",
        "Dokumentet er ferdigstilt" if document.finished else "Dokumentet er under redigering",
    )
    child(element, "tittel", document.title)
    child(element, "opprettetDato", document.created)
    child(element, "opprettetAv", BY)
    child(element, "dokumentmedium", "Elektronisk arkiv")
    child(element, "tilknyttetRegistreringSom", "Hoveddokument" if document.main else "Vedlegg")
    child(element, "dokumentnummer", document.number)
    child(element, "tilknyttetDato", document.created)
    child(element, "tilknyttetAv", BY)
    for file in document.files:
        made = child(element, "dokumentobjekt")
        child(made, "versjonsnummer", file.version)
        child(made, "variantformat", file.variant)
        child(made, "opprettetDato", file.holding.content.at)
        child(made, "opprettetAv", BY)
        child(made, "referanseDokumentfil", file.path)
