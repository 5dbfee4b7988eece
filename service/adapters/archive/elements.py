"""Elements that `arkivmelding.xml` and `arkivstruktur.xml` have alike: Noark 5 gives them the same names and order."""

from __future__ import annotations

from lxml import etree

from service.adapters.archive.noark import BY, Document, Record, Screening
from service.adapters.archive.xml import child

__all__ = ["correspondents", "document_head", "journal", "record_head", "screening"]


def record_head(element: etree._Element, record: Record) -> None:
    """Who made a registration and who archived it, and when."""
    child(element, "systemID", record.system_id)
    child(element, "opprettetDato", record.created)
    child(element, "opprettetAv", BY)
    child(element, "arkivertDato", record.archived)
    child(element, "arkivertAv", BY)


def journal(element: etree._Element, record: Record) -> None:
    """A journal entry's own numbers, status and dates."""
    child(element, "journalaar", record.created[:4])
    child(element, "journalsekvensnummer", record.number)
    child(element, "journalpostnummer", record.number)
    child(element, "journalposttype", "Utgående dokument")
    child(element, "journalstatus", record.status)
    child(element, "journaldato", record.created[:10])
    child(element, "dokumentetsDato", record.dated)
    child(element, "antallVedlegg", sum(not d.main for d in record.documents))


def correspondents(element: etree._Element, record: Record) -> None:
    for part in record.parts:
        correspondent = child(element, "korrespondansepart")
        child(correspondent, "korrespondanseparttype", "Intern avsender" if part.internal else "Mottaker")
        child(correspondent, "korrespondansepartNavn", part.name)
        if part.contact:
            child(correspondent, "kontaktperson", part.contact)


def document_head(parent: etree._Element, document: Document) -> etree._Element:
    """A new `dokumentbeskrivelse` with all that stands before its files."""
    element = child(parent, "dokumentbeskrivelse")
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
    return element


def screening(parent: etree._Element, found: Screening) -> None:
    element = child(parent, "skjerming")
    child(element, "tilgangsrestriksjon", found.restriction)
    child(element, "skjermingshjemmel", found.authority)
    for what in found.metadata:
        child(element, "skjermingMetadata", what)
    child(element, "skjermingDokument", "Skjerming av hele dokumentet")
    child(element, "skjermingsvarighet", found.years)
