"""The screened edition of a protected participant's agreement, through the real LibreOffice."""

from __future__ import annotations

import io
from typing import Any

import pytest
from pypdf import PdfReader

from service.domain.log import Draft
from service.pipeline.fsck.reading import named_blobs
from service.pipeline.ledger import blob_key
from service.pipeline.services import Services
from tests.agreements import Running
from tests.fakes import EventList, MemoryStore
from tests.integration.test_versions_rendered import (
    ID,
    amended,
    change,
    example,
    fields,
    links,
    pdf_of,
    render,
    said,
)

pytestmark = [pytest.mark.office, pytest.mark.pki]


@pytest.fixture
def services(running: Running) -> Services:
    return running.on(MemoryStore(), EventList())


def protected(data: dict[str, Any], protection: str | None = "confidential") -> dict[str, Any]:
    participant = data["parties"]["participant"]
    del participant["address_protection"]
    if protection:
        participant["address_protection"] = protection
    return data


def screened_of(services: Services, draft: Draft) -> bytes:
    return services.ledger.get_blob(ID, draft.data["screened_sha256"], "pdf")


@pytest.mark.parametrize(
    ("language", "protection", "words"),
    [
        ("nb", "confidential",
         ["Skjermet utgave. Opplysninger som kan vise hvem deltakeren er, er tatt ut. "
          "Den signerte avtalen er oppbevart for seg.",
          "Arbeidstrening for Skjermet hos Fjordbakeriet & Kafé Sandvika AS", "Fødselsnummer Skjermet",
          "Ring Skjermet på Skjermet eller Skjermet. Skjermets plan er klar.",
          "Denne utgaven er ikke signert."]),
        ("nn", None,
         ["Skjerma utgåve. Opplysningar som kan vise kven deltakaren er, er tekne ut. "
          "Den signerte avtalen er oppbevart for seg.",
          "Arbeidstrening for Skjerma hos Fjordbakeriet & Kafé Sandvika AS", "Fødselsnummer Skjerma",
          "Ring Skjerma på Skjerma eller Skjerma. Skjermas plan er klar.",
          "Denne utgåva er ikkje signert."]),
    ],
)  # fmt: skip
def test_the_screened_edition_does_not_tell_who_the_participant_is(
    services: Services, language: str, protection: str | None, words: list[str]
) -> None:
    data = protected(example("agreement"), protection)
    data["language"] = language
    data["follow_up"]["plan"] = (
        "Ring ÁJLIN  på 000 00 001 eller Ajlin@Example.invalid. Øvergårds plan er klar. "
        "Bjørn Åge Sæther hjelper Ájlin\u00a0Šárá, født 178494 31021."
    )

    draft = render(services, data)
    original, screened = pdf_of(services, draft), screened_of(services, draft)

    text = said(screened)
    assert [w for w in words if w not in text] == []
    told = text.casefold()
    assert [w for w in ("ájlin", "šárá", "øvergård", "000 00 001", "31021", "ajlin@") if w in told] == []
    assert "Bjørn Åge Sæther hjelper" in text
    assert "Łukasz Żółkiewski" in text
    assert fields(screened) | set(links(screened)) == set()
    assert "/AcroForm" not in PdfReader(io.BytesIO(screened)).root_object
    assert "Ájlin Šárá Øvergård" in said(original)
    assert words[0] not in said(original)
    assert fields(original) == {"participant", "employer", "adviser"}


def test_the_screened_edition_is_told_of_and_vouched_for(services: Services) -> None:
    draft = render(services, protected(example("agreement")))

    sha256 = draft.data["screened_sha256"]
    [occurrence] = draft.occurrences
    assert occurrence.data["screened"] == {"sha256": sha256, "storage_key": blob_key(ID, sha256, "pdf")}
    [*_, rendered] = [services.ledger.append(ID, services.ledger.read(ID)[-1], draft, version=1)]
    assert blob_key(ID, sha256, "pdf") in set(named_blobs(rendered))


def test_who_is_not_protected_has_no_screened_edition(services: Services) -> None:
    draft = render(services, example("agreement"))

    assert "screened_sha256" not in draft.data
    assert "screened" not in draft.occurrences[0].data


def test_a_template_without_the_notice_makes_no_screened_edition(services: Services) -> None:
    data = protected(example("agreement"))
    data["template"] = {"name": "tilretteleggingsavtale", "version": "1.0.0"}

    assert "screened_sha256" not in render(services, data).data


def test_a_name_that_is_a_word_of_the_document_too(services: Services) -> None:
    """«Dag», «Mai» and «Avtale» stand in every agreement, and tell nothing there."""
    data = protected(example("agreement"))
    data["parties"]["participant"] |= {"first_name": "Dag Mai", "last_name": "Avtale"}
    data["goals"][0]["description"] = "Dag skal klare en hel arbeidsdag."

    text = said(screened_of(services, render(services, data)))

    assert "Skjermet skal klare en hel arbeidsdag." in text
    assert "31. mai 2037" in text


def test_an_amendment_of_the_name_shows_neither(services: Services) -> None:
    data = amended(
        "agreement",
        change("parties.participant.last_name", "Gåski", "Øvergård"),
        change("parties.participant.phone", "+47 000 00 077", "+47 000 00 001"),
        change("goals.0.description", "Frøken Gåski blir trygg.", "Bli trygg, Ájlin."),
        types=["contact_information"],
        told=["participant", "employer"],
    )
    data["goals"][0]["description"] = "Bli trygg, Ájlin."

    text = said(screened_of(services, render(services, protected(data))))

    assert "Etternavn Skjermet Skjermet" in text
    assert "Frøken Skjermet blir trygg. Bli trygg, Skjermet." in text
    assert [w for w in ("Gåski", "00 077", "Ájlin", "Øvergård") if w in text] == []
    assert "Deltaker og arbeidsgiver er orientert om endringen" in text
