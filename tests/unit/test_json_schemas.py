"""The JSON Schemas under docs/schemas: current, valid themselves, and right about the examples and events."""

import copy
import importlib.util
import json
from pathlib import Path

import jsonschema
import pytest

from service.domain.log import Entry, Occurrence
from service.schemas import COMMAND_SCHEMAS, event_schema
from service.schemas.events import EVENT_SCHEMAS

ROOT = Path(__file__).parents[2]
AGREEMENT_ID = "9f0d2c64-5b3e-4e7b-8a7d-0c9d5e6f7a10"
COMMAND_ID = "6f1c2c7e-3b1a-4d7f-9a53-0f0f6a9d2d11"


@pytest.fixture(scope="module")
def generate():
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def schema(name):
    return json.loads((ROOT / "docs" / "schemas" / f"{name}.json").read_text(encoding="utf-8"))


def validator(name):
    return jsonschema.Draft202012Validator(
        schema(name), format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )


def example(name="agreement"):
    return json.loads((ROOT / "examples" / f"{name}.json").read_text(encoding="utf-8"))


def test_the_committed_files_are_current(generate, capsys):
    assert generate.main(["--check"]) == 0, capsys.readouterr().err


def test_check_says_what_is_not_current_and_changes_nothing(generate, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(generate, "DOCS", tmp_path / "docs")
    (tmp_path / "docs" / "schemas").mkdir(parents=True)
    old = tmp_path / "docs" / "schemas" / "old.json"
    old.write_text("{}")
    assert generate.main(["--check"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"docs/{name} is not current: run `python docs/generate.py`."
        for name in ("schemas/agreement.json", *(f"schemas/command-{name}.json" for name in COMMAND_SCHEMAS),
                     "schemas/events.json", "schemas/renewal-receipt.json", "asyncapi.json", "openapi.json", "http.md",
                     "integration.md",
                     "metrics.md", "templates.md", "configuration.md", "schemas/old.json")
    ]  # fmt: skip
    assert [p.name for p in old.parent.iterdir()] == ["old.json"]
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0
    assert not old.exists()


@pytest.mark.parametrize(
    "name", ["agreement", *(f"command-{name}" for name in COMMAND_SCHEMAS), "events", "renewal-receipt"]
)
def test_they_are_json_schemas_that_describe_every_field_and_refuse_unknown_ones(name):
    document = schema(name)
    jsonschema.Draft202012Validator.check_schema(document)
    for definition in (document, *document["$defs"].values()):
        if "oneOf" in definition:
            continue
        assert definition["description"]
        if definition["type"] == "object":
            assert definition["additionalProperties"] is False
            for field, described in definition["properties"].items():
                assert described.get("description") or described.get("$ref"), field


@pytest.mark.parametrize("name", sorted(file.stem for file in (ROOT / "examples").glob("*.json")))
def test_examples_are_valid(name):
    validator("agreement").validate(example(name))
    validator("command-submit").validate({"command_id": COMMAND_ID, "agreement": example(name)})


FAULTS = {
    "missing field": ("agreement", lambda a: a.pop("measure")),
    "missing field below": ("agreement", lambda a: a["parties"]["employer"].pop("organisation")),
    "unknown field": ("agreement", lambda a: a.update(colour="blue")),
    "unknown field below": ("agreement", lambda a: a["goals"][0].update(weight=1)),
    "wrong type": ("agreement", lambda a: a["position"].update(percentage="60")),
    "null": ("agreement", lambda a: a.update(number=None)),
    "choice": ("agreement", lambda a: a.update(language="sv")),
    "too long": ("agreement", lambda a: a["position"].update(tasks="x" * 1001)),
    "too many": ("agreement", lambda a: a.update(aids=a["aids"] * 11)),
    "out of range": ("agreement", lambda a: a["position"].update(percentage=0)),
    "control character": ("agreement", lambda a: a["position"].update(tasks="a\x07b")),
    "lone surrogate": ("agreement", lambda a: a["position"].update(title="a\ud800b")),
    "line break in a line": ("agreement", lambda a: a["position"].update(title="a\nb")),
    "form of a date": ("agreement", lambda a: a["period"].update(start="1.12.2036")),
    "no such day": ("agreement", lambda a: a["period"].update(end="2037-02-30")),
    "form of an ident": ("agreement", lambda a: a["parties"]["adviser"].update(ident="990123")),
    "no grant": ("agreement", lambda a: a.update(measure="inclusion_grant")),
    "grant out of place": ("inclusion_grant", lambda a: a.update(measure="summer_job")),
    "no lines": ("inclusion_grant", lambda a: a["inclusion_grant"].update(lines=[])),
    "no mentor": ("mentor", lambda a: a["parties"].pop("mentor")),
    "no mentor's terms": ("mentor", lambda a: a.pop("mentor")),
    "mentor out of place": ("mentor", lambda a: a.update(measure="work_training")),
    "limit of months": ("mentor", lambda a: a["mentor"].update(limit_months=12)),
    "no wage subsidy": ("agreement", lambda a: a.update(measure="temporary_wage_subsidy")),
    "wage subsidy out of place": ("summer_job", lambda a: a.update(permanent_wage_subsidy=a["summer_job"])),
    "summer job out of place": ("summer_job", lambda a: a.update(measure="work_training")),
    "percentage": ("summer_job", lambda a: a["summer_job"].update(percentage=60)),
    "months for 60 per cent": (
        "temporary_wage_subsidy",
        lambda a: a["temporary_wage_subsidy"].update(limit_months=12),
    ),
    "months for 40 per cent": (
        "temporary_wage_subsidy",
        lambda a: a["temporary_wage_subsidy"].update(percentage=40),
    ),
    "holiday pay": ("summer_job", lambda a: a["summer_job"].update(holiday_pay_rate=0.12)),
    "pension": ("summer_job", lambda a: a["summer_job"].update(pension_rate=-1)),
    "amendment": ("agreement", lambda a: a.update(amendment={"version": 2})),
    "termination": ("agreement", lambda a: a.update(termination={"reason": "other", "date": "2037-01-01"})),
    "courtesy translation": ("agreement", lambda a: a.update(courtesy_translation="de")),
}


@pytest.mark.parametrize(("name", "spoil"), FAULTS.values(), ids=FAULTS.keys())
def test_faults_that_json_schema_can_see(name, spoil):
    agreement = example(name)
    spoil(agreement)
    assert not validator("agreement").is_valid(agreement)


# --- events ---

TIME = "2026-11-21T21:40:00.123Z"
EXAMPLES = {e["type"]: e for e in json.loads((ROOT / "docs/event-examples.json").read_text(encoding="utf-8"))}
"""Those of the guide."""
DATA = {
    name: {k: v for k, v in e["data"].items() if k not in ("agreement_id", "version")}
    for name, e in EXAMPLES.items()
}


def event(event_type):
    """As an entry of the log tells it."""
    entry = Entry(
        AGREEMENT_ID, 3, "00" * 32, "e-1", TIME, "x", 1, {}, (Occurrence(event_type, DATA[event_type]),)
    )
    [made] = entry.cloud_events()
    return made


def refused_before_there_was_an_agreement():
    identity = "ef" * 32
    return {
        "specversion": "1.0",
        "id": f"rejected.{identity}",
        "source": "/signert",
        "type": "agreement.rejected",
        "subject": identity,
        "time": TIME,
        "datacontenttype": "application/json",
        "data": {
            "command_id": None,
            "code": "invalid",
            "message": "The command has 1 fault.",
            "errors": [{"path": "$", "code": "wrong_type", "message": "Send the command as a JSON object."}],
            "quarantine": f"quarantine/{identity}.json",
        },
    }


def test_every_type_of_event_is_tried_here():
    assert DATA.keys() == EVENT_SCHEMAS.keys()


@pytest.mark.parametrize(
    "made",
    [*EXAMPLES.values(), *map(event, DATA), refused_before_there_was_an_agreement()],
    ids=lambda e: e["type"],
)
def test_events_fit_their_schemas(made):
    assert event_schema(made["type"]).load(made) == made
    validator("events").validate(made)


@pytest.mark.parametrize("event_type", DATA)
def test_an_event_with_more_than_ids_and_hashes_is_refused(event_type):
    made = copy.deepcopy(event(event_type))
    made["data"]["name"] = "Ájlin Šárá Øvergård"
    assert event_schema(event_type).validate(made) == {
        "data": {
            "name": ["unknown_field: There is no field of this name here. Remove it or correct its spelling."]
        }
    }
    assert not validator("events").is_valid(made)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("specversion", "0.3"),
        ("type", "agreement.something"),
        ("time", "2026-11-21T21:40:00+01:00"),
        ("subject", "17849431021"),
        ("source", ""),
        ("id", ""),
    ],
)
def test_an_envelope_that_is_not_ours_is_refused(field, value):
    made = {**event("agreement.signed"), field: value}
    assert event_schema("agreement.signed").validate(made).keys() == {field}
    assert not validator("events").is_valid(made)


def test_an_unknown_type_of_event():
    with pytest.raises(KeyError):
        event_schema("agreement.lost")
