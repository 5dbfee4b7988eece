"""Amended and ended versions, every measure and the courtesy translation, through the real LibreOffice."""

from __future__ import annotations

import io
import json
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader

from service.adapters.pdf import text as text_of
from service.domain.agreement import Status
from service.domain.folding import fold
from service.domain.log import Draft
from service.domain.presentation import ROLES
from service.domain.steps import Step, StepKind
from service.errors import CommandRejected
from service.pipeline.drive import drive
from service.pipeline.fsck.reading import named_blobs
from service.pipeline.intake import receive
from service.pipeline.ledger import blob_key
from service.pipeline.render import render_agreement
from service.pipeline.services import Services
from tests.agreements import Running
from tests.fakes import EventList, MemoryStore

pytestmark = [pytest.mark.office, pytest.mark.pki]

EXAMPLES = Path(__file__).parents[2] / "examples"
BANNER = "Courtesy translation. Only the Norwegian text is binding."
ID = "5f0c7f0a-91d4-4b53-8d0e-6a1b2c3d4e5f"


@pytest.fixture
def services(running: Running) -> Services:
    return running.on(MemoryStore(), EventList())


def example(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((EXAMPLES / f"{name}.json").read_text())
    return {**loaded, "id": ID}


def amended(name: str, *changes: dict[str, Any], **amendment: Any) -> dict[str, Any]:
    given = {"version": 2, "supersedes": 1, "reason": "Det er behov for det.", "asked_by": None, "told": []}
    return {**example(name), "amendment": {**given, "changes": list(changes), **amendment}}


def change(path: str, before: Any, after: Any) -> dict[str, Any]:
    return {"path": path, "before": before, "after": after}


def render(services: Services, data: dict[str, Any]) -> Draft:
    """The entry that rendering this data ends with; whoever is told only does not sign."""
    version = data["template"].get("version") or services.templates.newest(data["template"]["name"])
    told = data.get("amendment", {}).get("told", ())
    entry = services.ledger.append(
        ID,
        None,
        Draft(
            "submitted",
            {
                "command_id": str(uuid.uuid4()),
                "payload_sha256": "",
                "input_sha256": services.ledger.put_blob(ID, json.dumps(data).encode(), "json"),
                "case": data["case"],
                "template": {"name": data["template"]["name"], "version": version},
                "language": data["language"],
                "signing": {"expires_after_days": 84, "deadline_days": None},
                "parties": [
                    {
                        "role": role,
                        "order": 0,
                        "method": None,
                        "deadline_days": None,
                        "level": None,
                        "signs": role not in told,
                    }
                    for role in ROLES
                    if role in data["parties"]
                ],
            },
        ),
        version=1,
    )
    return render_agreement(services, fold([entry]), Step(StepKind.RENDER))


def pdf_of(services: Services, draft: Draft) -> bytes:
    return services.ledger.get_blob(ID, draft.data["revision"]["sha256"], "pdf")


def fields(pdf: bytes) -> set[str]:
    return set(PdfReader(io.BytesIO(pdf)).get_fields() or {}) - {"seal", "document-timestamp"}


def links(pdf: bytes) -> list[str]:
    """Links that are left: a place for a signature that no field took."""
    return [
        str(annotation.get_object()["/A"]["/URI"])
        for page in PdfReader(io.BytesIO(pdf)).pages
        for annotation in page.get("/Annots", ())
        if "/A" in annotation.get_object()
    ]


def said(pdf: bytes) -> str:
    return " ".join(text_of(pdf).split())


NEED = {
    "need": "Blir sliten av lys",
    "measure": "Skjerm mot vinduet",
    "responsible": "employer",
    "deadline": "2037-01-15",
    "status": "planned",
}


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("nb", ["Versjon 2, erstatter versjon 1", "Hva som er endret", "Siste dag 31. mars 2037 31. mai 2037",
                "Tilrettelegging 4 – Behov: Blir sliten av lys Tiltak: Skjerm mot vinduet Ansvarlig: Arbeidsgiver",
                "Endringen gjelder Tilrettelegging og forlengelse", "Bedt om av Deltaker"]),
        ("nn", ["Versjon 2, kjem i staden for versjon 1", "Kva som er endra", "Siste dag 31. mars 2037 31. mai 2037",
                "Tilrettelegging 4 – Behov: Blir sliten av lys Tiltak: Skjerm mot vinduet Ansvarleg: Arbeidsgivar",
                "Endringa gjeld Tilrettelegging og forlenging", "Bede om av Deltakar"]),
    ],
)  # fmt: skip
def test_an_amendment_shows_what_was_and_what_is(services: Services, language: str, words: list[str]) -> None:
    data = amended(
        "agreement",
        change("period.end", "2037-03-31", "2037-05-31"),
        change("accommodation.3", None, NEED),
        types=["accommodation", "extend"],
        asked_by="participant",
    )
    data["accommodation"][3] = NEED
    data["language"] = language

    pdf = pdf_of(services, render(services, data))

    assert [w for w in words if w not in said(pdf)] == []
    assert fields(pdf) == {"participant", "employer", "adviser"}
    assert links(pdf) == []


def test_a_grant_line_is_added_and_the_participant_is_told(services: Services) -> None:
    line = example("inclusion_grant")["inclusion_grant"]["lines"][3]
    data = amended(
        "inclusion_grant",
        change("inclusion_grant.lines.3", None, line),
        types=["inclusion_grant"],
        told=["participant"],
    )

    pdf = pdf_of(services, render(services, data))

    assert "Tilskuddslinje 4 – Beløp: 12 000 kr Tilskuddet gjelder: Opplæring og kurs" in said(pdf)
    assert "Deltaker er orientert om endringen og skriver ikke under på denne versjonen." in said(pdf)
    assert fields(pdf) == {"employer", "adviser", "decider"}
    assert links(pdf) == []


def test_of_new_contact_information_all_but_the_adviser_are_told(services: Services) -> None:
    data = amended(
        "agreement",
        change("parties.employer.phone", "+47 000 00 099", "+47 000 00 002"),
        change("parties.participant.email", "gammel@example.invalid", "ajlin@example.invalid"),
        types=["contact_information"],
        told=["participant", "employer"],
    )
    data["parties"]["participant"]["address_protection"] = "confidential"

    pdf = pdf_of(services, render(services, data))

    assert "Arbeidsgiver: Telefon +47 000 00 099 +47 000 00 002" in said(pdf)
    assert "Deltaker: E-post Vises ikke Vises ikke" in said(pdf)
    assert "gammel@example.invalid" not in said(pdf)
    assert "Deltaker og arbeidsgiver er orientert" in said(pdf)
    assert fields(pdf) == {"adviser"}
    assert links(pdf) == []


def test_the_end_of_an_agreement(services: Services) -> None:
    data = amended(
        "agreement",
        change("period.end", "2037-05-31", "2037-03-31"),
        types=["termination"],
        told=["participant", "employer"],
    )
    data["termination"] = {
        "reason": "started_in_job",
        "date": "2037-03-31",
        "explanation": "Fast stilling i bakeriet.",
    }

    pdf = pdf_of(services, render(services, data))

    words = "Siste dag 31. mars 2037 Årsak Begynt i arbeid Forklaring Fast stilling i bakeriet."
    assert "Avtalen er avsluttet" in said(pdf)
    assert words in said(pdf)
    assert fields(pdf) == {"adviser"}


def test_a_change_longer_than_a_page_is_printed_whole(services: Services) -> None:
    lines = [
        {"amount": 1000 + n, "kind": "equipment", "description": f"Ting nummer {n}. " + "Hva det er. " * 60}
        for n in range(30)
    ]
    data = example("inclusion_grant")
    data["inclusion_grant"]["lines"] = lines
    data |= {"amendment": amended("inclusion_grant", types=["inclusion_grant"])["amendment"]}
    data["amendment"]["changes"] = [change("inclusion_grant.lines", None, lines)]

    pdf = pdf_of(services, render(services, data))

    assert "Tilskuddslinje 30, Beløp: 1 029 kr" in said(pdf)
    assert said(pdf).count("Ting nummer 29.") == 2


@pytest.mark.parametrize("name", ["temporary_wage_subsidy", "permanent_wage_subsidy", "summer_job"])
def test_a_courtesy_translation_is_read_beside_the_agreement(services: Services, name: str) -> None:
    data = {**example(name), "courtesy_translation": "en"}

    draft = render(services, data)
    original = pdf_of(services, draft)
    translation = services.ledger.get_blob(ID, draft.data["courtesy_sha256"], "pdf")

    pages = PdfReader(io.BytesIO(translation)).pages
    assert len(pages) > 1
    assert all(BANNER in " ".join(page.extract_text().split()) for page in pages)
    assert fields(translation) == set()
    assert links(translation) == []
    assert BANNER not in said(original)
    assert "Subsidy from Nav" in said(translation)
    assert PdfReader(io.BytesIO(translation)).root_object["/Lang"] == "en-GB"
    assert draft.data["courtesy_language"] == "en"


def test_an_agreement_that_asks_for_no_translation_has_none(services: Services) -> None:
    assert not [key for key in render(services, example("minimal")).data if key.startswith("courtesy")]


def test_the_first_template_still_renders_what_was_made_with_it(services: Services) -> None:
    data = {**example("agreement"), "template": {"name": "tilretteleggingsavtale", "version": "1.0.0"}}

    pdf = pdf_of(services, render(services, data))

    assert "Når alle har skrevet under, er den bindende." in said(pdf)  # the first version's own words
    assert fields(pdf) == {"participant", "employer", "adviser"}


def test_a_template_that_cannot_show_an_amendment_is_not_used_for_one(services: Services) -> None:
    data = amended("agreement", change("period.end", "2037-03-31", "2037-05-31"), types=["extend"])
    data["template"] = {"name": "tilretteleggingsavtale", "version": "1.0.0"}

    with pytest.raises(CommandRejected) as caught:
        render(services, data)
    assert caught.value.code in {"value_not_printed", "label_missing"}


def test_the_translation_of_a_signed_agreement_is_kept_and_vouched_for(services: Services) -> None:
    given = replace(services, sign_automatically=True)
    agreement = {k: v for k, v in example("temporary_wage_subsidy").items() if k != "id"}
    marker = receive(given, "submit", {"command_id": str(uuid.uuid4()), "agreement": agreement})

    outcome = drive(given, marker)

    version = outcome.agreement.current
    assert version.status is Status.SIGNED
    assert version.courtesy_sha256
    translation = given.ledger.get_blob(outcome.agreement.id, version.courtesy_sha256, "pdf")
    assert BANNER in said(translation)
    rendered = next(e for e in given.ledger.read(outcome.agreement.id) if e.type == "rendered")
    assert blob_key(outcome.agreement.id, version.courtesy_sha256, "pdf") in set(named_blobs(rendered))
