"""`arkivmelding.xml`: the agreement's case, versions and documents as they are handed in to an archive.

After the schema `arkivmelding.xsd` with its `metadatakatalog.xsd`, which has no place for checksums, formats,
signatures or disposal: those stand in `arkivstruktur.xml` beside it.
"""

from __future__ import annotations

from typing import Final

from lxml import etree

from service.adapters.archive.elements import (
    correspondents,
    document_head,
    journal,
    record_head,
    screening,
)
from service.adapters.archive.noark import BY, Case, Document, Part, Record
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
    screening(folder, case.screening)
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


def _record(folder: etree._Element, case: Case, record: Record) -> None:
    element = child(folder, "basisregistrering", attributes={f"{{{XSI}}}type": "journalpost"})
    record_head(element, record)
    child(element, "registreringsID", f"{case.case_id}/{record.number}")
    child(element, "referanseForelderMappe", case.system_id)
    screening(element, case.screening)
    for document in record.documents:
        _document(element, document)
    child(element, "tittel", record.title)
    child(element, "offentligTittel", record.title)
    child(element, "dokumentmedium", "Elektronisk arkiv")
    journal(element, record)
    correspondents(element, record)


def _document(record: etree._Element, document: Document) -> None:
    element = document_head(record, document)
    for file in document.files:
        made = child(element, "dokumentobjekt")
        child(made, "versjonsnummer", file.version)
        child(made, "variantformat", file.variant)
        child(made, "opprettetDato", file.holding.content.at)
        child(made, "opprettetAv", BY)
        child(made, "referanseDokumentfil", file.path)
