"""`arkivstruktur.xml`: the whole of the Noark 5 metadata, after version 5.0's `arkivstruktur.xsd`.

Here stand format and checksum of every file (M701, M705–M707), electronic signatures (M507, M508, M622, M623),
screening (M500–M504) and disposal (M450–M453). The schema is one for extracts of closed periods and demands dates of
closing: of what is not closed, the date is that of the newest log entry, and the status tells that it is open.
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
from service.adapters.archive.noark import BY, Case, Creator, Document, File, Part, Record
from service.adapters.archive.xml import XSI, child, identifier, root, to_bytes

__all__ = ["ARKIVSTRUKTUR", "arkivstruktur"]

ARKIVSTRUKTUR: Final = "http://www.arkivverket.no/standarder/noark5/arkivstruktur"


def arkivstruktur(case: Case, creator: Creator) -> bytes:
    archive = root(ARKIVSTRUKTUR, "arkiv", {None: ARKIVSTRUKTUR, "xsi": XSI})
    child(archive, "systemID", identifier("archive", creator.id))
    child(archive, "tittel", "Signerte avtaler")
    _made(archive, case.created, case.closed)
    made_by = child(archive, "arkivskaper")
    child(made_by, "arkivskaperID", creator.id)
    child(made_by, "arkivskaperNavn", creator.name)
    part = child(archive, "arkivdel")
    child(part, "systemID", identifier("archive-part", creator.id))
    child(part, "tittel", "Tilretteleggings- og oppfølgingsavtaler")
    child(part, "arkivdelstatus", "Aktiv periode")
    _made(part, case.created, case.closed)
    _disposal(part, case)
    screening(part, case.screening)
    system = child(part, "klassifikasjonssystem")
    child(system, "systemID", identifier("classification"))
    child(system, "tittel", "Arbeidsmarkedstiltak")
    _made(system, case.created, None)
    kind = child(system, "klasse")
    child(kind, "systemID", identifier("class", case.measure))
    child(kind, "klasseID", case.measure or "tiltak")
    child(kind, "tittel", case.measure_name)
    _made(kind, case.created, None)
    _case(kind, case, identifier("archive-part", creator.id))
    return to_bytes(archive)


def _made(element: etree._Element, created: str, closed: str | None) -> None:
    child(element, "opprettetDato", created)
    child(element, "opprettetAv", BY)
    if closed:
        child(element, "avsluttetDato", closed)
        child(element, "avsluttetAv", BY)


def _disposal(parent: etree._Element, case: Case) -> None:
    element = child(parent, "kassasjon")
    child(element, "kassasjonsvedtak", case.disposal.decision)
    child(element, "kassasjonshjemmel", case.disposal.authority)
    child(element, "bevaringstid", case.disposal.years)
    child(element, "kassasjonsdato", case.disposed_on)


def _case(parent: etree._Element, case: Case, archive_part: str) -> None:
    element = child(parent, "mappe", attributes={f"{{{XSI}}}type": "saksmappe"})
    child(element, "systemID", case.system_id)
    child(element, "mappeID", case.case_id)
    child(element, "tittel", case.title)
    child(element, "offentligTittel", case.title)
    child(element, "dokumentmedium", "Elektronisk arkiv")
    _made(element, case.created, case.closed)
    child(element, "referanseArkivdel", archive_part)
    for part in case.parts:
        _part(element, part)
    _disposal(element, case)
    screening(element, case.screening)
    for record in case.records:
        _record(element, case, record)
    child(element, "saksaar", case.year)
    child(element, "sakssekvensnummer", case.sequence)
    child(element, "saksdato", case.created[:10])
    child(element, "administrativEnhet", case.unit)
    child(element, "saksansvarlig", case.responsible)
    child(element, "saksstatus", case.status)


def _part(parent: etree._Element, part: Part) -> None:
    element = child(parent, "part")
    child(element, "partID", part.id)
    child(element, "partNavn", part.name)
    child(element, "partRolle", part.role)
    if part.contact:
        child(element, "kontaktperson", part.contact)


def _record(parent: etree._Element, case: Case, record: Record) -> None:
    element = child(parent, "registrering", attributes={f"{{{XSI}}}type": "journalpost"})
    record_head(element, record)
    for part in record.parts:
        _part(element, part)
    _disposal(element, case)
    screening(element, case.screening)
    for document in record.documents:
        _document(element, case, document)
    child(element, "registreringsID", f"{case.case_id}/{record.number}")
    child(element, "tittel", record.title)
    child(element, "offentligTittel", record.title)
    child(element, "dokumentmedium", "Elektronisk arkiv")
    correspondents(element, record)
    journal(element, record)


def _document(parent: etree._Element, case: Case, document: Document) -> None:
    element = document_head(parent, document)
    _disposal(element, case)
    screening(element, case.screening)
    for file in document.files:
        _file(element, file)


def _file(parent: etree._Element, file: File) -> None:
    element = child(parent, "dokumentobjekt")
    child(element, "systemID", file.system_id)
    child(element, "versjonsnummer", file.version)
    child(element, "variantformat", file.variant)
    child(element, "format", file.format_code)
    child(element, "formatDetaljer", file.format_details)
    child(element, "opprettetDato", file.holding.content.at)
    child(element, "opprettetAv", BY)
    child(element, "referanseDokumentfil", file.path)
    child(element, "sjekksum", file.holding.sha256)
    child(element, "sjekksumAlgoritme", "SHA256")
    child(element, "filstoerrelse", file.holding.size)
    if file.signature:
        signature = child(element, "elektroniskSignatur")
        child(signature, "elektroniskSignaturSikkerhetsnivaa", file.signature.level)
        child(signature, "elektroniskSignaturVerifisert", file.signature.verified)
        child(signature, "verifisertDato", file.signature.on)
        child(signature, "verifisertAv", file.signature.by)
