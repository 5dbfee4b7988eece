"""What tells who a protected participant is gives way to one word; all else stays."""

from __future__ import annotations

import copy
import json
import os
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from service.adapters import docx
from service.adapters.directory import DirectoryStore
from service.adapters.templates import Catalogue
from service.domain.log import Draft
from service.domain.presentation import context, printed_values
from service.domain.screening import Secrets, is_free_text, screened, secrets_of
from service.entrypoints.cli import cli
from service.errors import RenderFailed
from service.pipeline.history import compare, history
from service.pipeline.ledger import blob_key
from service.pipeline.screen import check_screened
from tests.unit.test_amend import Case

ROOT = Path(__file__).parents[2]
EXAMPLE = json.loads((ROOT / "examples/inclusion_grant.json").read_text())
AGREEMENT = Catalogue(ROOT / "templates").get("tilretteleggingsavtale", "1.1.0", "nb")
OWN_TEXT = docx.own_text(AGREEMENT.docx)
MASK = "Skjermet"


def example(**participant: str) -> dict[str, Any]:
    data: dict[str, Any] = copy.deepcopy(EXAMPLE)
    data["parties"]["participant"] |= {"address_protection": "confidential", **participant}
    return data


def masked(text: str, **participant: str) -> str:
    """What becomes of a text that the adviser wrote."""
    data = example(**participant)
    data["position"]["tasks"] = text
    shown: str = screened(data, MASK)["position"]["tasks"]
    return shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Máret Ánne Čuoigi syr.", "Skjermet Skjermet syr."),
        ("Máret syr, og Ánne tegner.", "Skjermet syr, og Skjermet tegner."),
        ("MÁRET-ÁNNE\u00a0ČUOIGI", "Skjermet\u00a0Skjermet"),
        ("Čuoigi, Máret\nÁnne", "Skjermet, Skjermet"),
        (unicodedata.normalize("NFD", "Hør med Máret først"), "Hør med Skjermet først"),
        ("Márets plan, og Čuoigi's", "Skjermets plan, og Skjermet's"),
        ("Márethe og Čuoigivarri er andre.", "Márethe og Čuoigivarri er andre."),
        ("Sak_Čuoigi_2", "Sak_Skjermet_2"),
        ("Ring +47 000 00 021, 00000021, 0047 00000021 eller 00.00.00.21.",
         "Ring Skjermet, Skjermet, Skjermet eller Skjermet."),
        ("Ordre 1000000210 er en annen.", "Ordre 1000000210 er en annen."),
        ("Født 30917940467, 309179 40467 eller 309179-40467", "Født Skjermet, Skjermet eller Skjermet"),
        ("Skriv til MARET@example.invalid.", "Skriv til Skjermet."),
        ("Turid Næss ringer.", "Turid Næss ringer."),
    ],
)  # fmt: skip
def test_what_people_wrote(text: str, shown: str) -> None:
    assert masked(text) == shown


@pytest.mark.parametrize(
    ("participant", "text", "shown"),
    [
        ({"first_name": "Bo", "last_name": "Li"}, "Bo Li, Bos bolig.", "Skjermet Skjermet, Skjermets bolig."),
        ({"first_name": "Ann Bo"}, "Bo med Ann. Ann Bo!", "Bo med Skjermet. Skjermet!"),
        ({"first_name": "Turid"}, "Turid Næss hjelper Turid.", "Turid Næss hjelper Skjermet."),
        ({"first_name": "Turid", "last_name": "Næss"}, "Turid Næss hjelper.", "Skjermet Skjermet hjelper."),
        ({"first_name": "Weiß"}, "WEISS og weiß", "Skjermet og Skjermet"),
        ({"first_name": "मीना"}, "मीना और मीनाक्षी", "Skjermet और मीनाक्षी"),
        ({"first_name": "D’Arcy"}, "d'arcy er her, Arcy", "Skjermet er her, Skjermet"),
        ({"phone": "+46 8 123 45 67"}, "Ring 0046 8-123 45 67", "Ring Skjermet"),
        ({"phone": "02800"}, "Ring +47 02800", "Ring Skjermet"),
    ],
)  # fmt: skip
def test_names_of_every_kind(participant: dict[str, str], text: str, shown: str) -> None:
    assert masked(text, **participant) == shown


def test_names_of_others_codes_and_dates_stay() -> None:
    data = example(first_name="Turid Planned", last_name="Duodji")
    data["contacts"].append({"name": "Duodji Eira", "role": "Søster", "phone": "00000021"})

    shown = screened(data, MASK)

    parties = shown["parties"]
    assert parties["adviser"] == data["parties"]["adviser"]
    assert parties["employer"] == data["parties"]["employer"]
    assert shown["contacts"][0] == data["contacts"][0]
    assert shown["contacts"][1] == {"name": "Skjermet Eira", "role": "Søster", "phone": MASK}
    assert [need["status"] for need in shown["accommodation"]] == ["in_progress", "planned"]
    assert {k: parties["participant"][k] for k in ("first_name", "last_name", "national_id")} == {
        "first_name": MASK, "last_name": "", "national_id": MASK,
    }  # fmt: skip
    assert shown["period"] == data["period"]


def test_it_prints_as_the_word_alone() -> None:
    data = screened(example(), MASK)
    given = {"labels": AGREEMENT.labels, "language": "nb", "field_labels": AGREEMENT.field_labels}

    participant = context("agreement", data, **given)["parties"]["participant"]  # type: ignore[arg-type]
    values = printed_values("agreement", data, **given)  # type: ignore[arg-type]

    assert (participant["name"], participant["national_id"]) == (MASK, MASK)
    assert values["parties.participant.national_id"] == MASK


def test_a_name_of_an_earlier_version_is_secret_too() -> None:
    data = example()
    data["position"]["tasks"] = "Frøken Gåski og fru Eira syr."
    data["amendment"] = {
        "version": 3, "types": ["contact_information"], "reason": "Gåski heter Čuoigi nå.",
        "changes": [{"path": "parties.participant.last_name", "before": "Gåski", "after": "Čuoigi"},
                    {"path": "period.end", "before": "2037-10-31", "after": "2037-11-30"}],
    }  # fmt: skip

    shown = screened(data, MASK, [{"first_name": "Máret", "last_name": "Eira"}])

    assert shown["position"]["tasks"] == "Frøken Skjermet og fru Skjermet syr."
    assert shown["amendment"]["reason"] == "Skjermet heter Skjermet nå."
    assert shown["amendment"]["changes"] == [
        {"path": "parties.participant.last_name", "before": MASK, "after": MASK},
        {"path": "period.end", "before": "2037-10-31", "after": "2037-11-30"},
    ]


# --- whatever people are called and write ---

LETTERS = st.characters(categories=["Lu", "Ll", "Lo", "Lt"], exclude_characters="İ")
NAMES = st.lists(st.text(LETTERS, min_size=3, max_size=8), min_size=1, max_size=3).map(" ".join)
GLUE = st.sampled_from([" ", ", ", "\n", "-", ". ", " «", "\u00a0", "/", "_", "s ", "'s "])
FREE = ("position.title", "position.tasks", "follow_up.plan", "inclusion_grant.reason")


def _plain(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


def _tokens(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set().union(*map(_tokens, value.values()))
    if isinstance(value, list):
        return set().union(*map(_tokens, value))
    if not isinstance(value, str):
        return set()
    spaced = "".join(
        c if unicodedata.category(c)[0] in "LMN" else " " for c in unicodedata.normalize("NFC", value)
    )
    return set(map(_plain, spaced.split()))


@pytest.mark.thorough
@given(
    first=NAMES,
    last=NAMES,
    phone=st.from_regex(r"\A\+?[1-9][0-9]{7,11}\Z"),
    email=st.from_regex(r"\A[a-z]{3,8}@[a-z]{3,8}\.[a-z]{2,3}\Z"),
    data=st.data(),
)
def test_nothing_of_the_participant_is_left(
    first: str, last: str, phone: str, email: str, data: st.DataObject
) -> None:
    number = EXAMPLE["parties"]["participant"]["national_id"]
    secrets = [first, last, f"{first} {last}", *first.split(), *last.split(), phone, email, number]
    shapes = st.sampled_from(
        [str, str.upper, str.lower, str.title, lambda s: unicodedata.normalize("NFD", s)]
    )
    filler = st.sampled_from(["arbeid", "og", "12", "å", "plan", "syr"])
    said = st.builds(lambda shape, secret: shape(secret), shapes, st.sampled_from(secrets))
    # A letter whose upper case has another lower case («ı») is another letter afterwards.
    said = said.filter(lambda text: _plain(text) in set(map(_plain, secrets)))
    agreement = example(first_name=first, last_name=last, phone=phone, email=email)
    del agreement["parties"]["employer"], agreement["parties"]["decider"], agreement["parties"]["adviser"]
    agreement["contacts"] = []
    for path in FREE:
        section, name = path.split(".")
        pieces = data.draw(st.lists(st.tuples(st.one_of(said, filler), GLUE), max_size=6))
        agreement[section][name] = "".join(piece + glue for piece, glue in pieces)

    shown = screened(agreement, "¤")

    everything = [shown["parties"], *(shown[p.split(".")[0]][p.split(".")[1]] for p in FREE)]
    words = {_plain(word) for name in (first, last) for word in name.split()}
    tokens = _tokens(everything)
    assert words & tokens == set()
    assert {f"{word}s" for word in words} & tokens == set()
    text = _plain(json.dumps(everything, ensure_ascii=False))
    assert [secret for secret in (phone.lstrip("+"), email, number) if secret in text] == []
    assert secrets_of(agreement).found("\n".join(_strings(everything))) == set()
    assert screened(agreement, "¤") == shown
    assert agreement["parties"]["participant"]["first_name"] == first


def _strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for inner in value.values() for text in _strings(inner)]
    if isinstance(value, list):
        return [text for inner in value for text in _strings(inner)]
    return [value] if isinstance(value, str) else []


# --- the proof ---


@pytest.fixture
def secrets() -> Secrets:
    return secrets_of(example(first_name="Dag Åse", last_name="Fin"))


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("Vi ser på det sammen med ÅSE.", "name"),
        ("Vi ser på det med Å-\nse igjen.", "name"),
        ("Ringe \ufb01n i morgen", "name"),
        ("Fødselsnummer 309179 40467", "national_id, solid"),
        ("30917\n940467", "national_id, solid"),
        ("Tel. 000 00\n021", "phone"),
        ("maret@exam\nple.invalid", "solid"),
    ],
)
def test_a_document_that_tells_of_the_participant_is_not_kept(
    secrets: Secrets, text: str, kinds: str
) -> None:
    with pytest.raises(RenderFailed, match=f"of the participant: {kinds}$") as caught:
        check_screened(text, AGREEMENT, OWN_TEXT, {}, secrets)
    assert caught.value.code == "not_screened"
    assert "ÅSE" not in str(caught.value)


def test_what_the_document_says_of_itself_tells_nothing(secrets: Secrets) -> None:
    printed = {"parties.adviser.first_name": "Fin", "position.tasks": "Åse"}
    check_screened(
        "Siste dag: 31. mai. Det er lett å\nse. Veileder: Fin.", AGREEMENT, OWN_TEXT, printed, secrets
    )
    with pytest.raises(RenderFailed):  # what people wrote is no excuse
        check_screened("Åse", AGREEMENT, OWN_TEXT, printed, secrets)


@pytest.mark.parametrize(
    ("path", "is_free"),
    [
        ("goals.0.description", True),
        ("contacts.0.name", True),
        ("amendment.reason", True),
        ("goals.0.category", False),
        ("period.end", False),
        ("amendment.types.0", False),
        ("parties.adviser.first_name", False),
        ("parties.participant.first_name", False),
        ("template.name", False),
    ],
)
def test_where_people_write(path: str, is_free: bool) -> None:
    assert is_free_text(path) is is_free


# --- history and files ---

BEFORE, AFTER = "+47 000 00 021", "+47 000 00 099"


@pytest.mark.parametrize(
    ("before", "after", "withheld"),
    [("none", "none", False), ("none", "confidential", True), ("strictly_confidential", "none", True)],
)
def test_history_withholds_contact_information_of_who_is_or_was_protected(
    before: str, after: str, withheld: bool
) -> None:
    case = Case(example(address_protection=before)).signed()
    case.amend(
        {"parties": {"participant": {"phone": AFTER, "address_protection": after}}}, "contact_information"
    )
    services = case.services
    chapters = history(services.ledger, services.templates, case.agreement)

    for changes in (
        chapters[1].changes,
        compare(services.ledger, services.templates, case.agreement, 1, 2),
        compare(services.ledger, services.templates, case.agreement, 2, 1),
    ):
        told = {c.what: {c.before, c.after} for c in changes}
        assert told["Deltaker: Telefon"] == ({"Vises ikke"} if withheld else {BEFORE, AFTER})
        if withheld:
            assert told["Deltaker: Adressesperre"] == {"Vises ikke"}


def test_the_screened_edition_is_listed_and_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(example())
    ledger = case.services.ledger
    sha256 = ledger.put_blob(case.id, b"%PDF-1.7 screened", "pdf")
    revision = {"sha256": ledger.put_blob(case.id, b"%PDF-1.7", "pdf"), "bytes": 8}
    drawn = {"template_sha256": "t", "docx_sha256": "d", "revision": revision, "screened_sha256": sha256}
    ledger.append(case.id, case.agreement.head, Draft("rendered", drawn), version=1)
    case.signed()
    store = DirectoryStore(tmp_path / "store")
    for key in case.services.store.list(""):
        store.create(key, case.services.store.get(key))
    for name in [name for name in os.environ if name.startswith("SIGNERT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SIGNERT_HOME", str(tmp_path))

    shown = CliRunner().invoke(cli, ["show", case.id, "--json"])
    fetched = CliRunner().invoke(cli, ["fetch", case.id, "--what", "screened", "-o", str(tmp_path / "s.pdf")])

    [version] = json.loads(shown.stdout)["versions"]
    assert version["documents"]["screened"] == blob_key(case.id, sha256, "pdf")
    assert fetched.exit_code == 0, fetched.output
    assert (tmp_path / "s.pdf").read_bytes() == b"%PDF-1.7 screened"
