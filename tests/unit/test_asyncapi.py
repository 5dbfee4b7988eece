"""docs/asyncapi.json and docs/integration.md: they say what the code does, and keep AsyncAPI's rules (3.0.0)."""

from __future__ import annotations

import ast
import base64
import hashlib
import inspect
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from service.adapters import producers
from service.domain import moves
from service.domain.moves.checks import ENDED
from service.errors import CommandRejected
from service.pipeline.opening import _UNKNOWN
from service.pipeline.refusals import REFUSALS
from service.pipeline.render import _DATA_FAULTS
from service.pipeline.sign import PREPARED_LIFETIME
from service.schemas import event_schema
from service.schemas.commands import COMMAND_SCHEMAS
from service.schemas.events import EVENT_SCHEMAS
from service.schemas.text import Text
from service.transport import Broker
from signing import errors

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
DOCUMENT = json.loads((DOCS / "asyncapi.json").read_text(encoding="utf-8"))
GUIDE = (DOCS / "integration.md").read_text(encoding="utf-8")
MESSAGES = DOCUMENT["components"]["messages"]
RABBITMQ = Broker("amqps://broker.example/")


def walk(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
    for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from walk(inner)


def follow(reference: str) -> Any:
    file, _, pointer = reference.partition("#")
    found = json.loads((DOCS / file).read_text(encoding="utf-8")) if file else DOCUMENT
    for step in pointer.split("/")[1:]:
        found = found[step.replace("~1", "/").replace("~0", "~")]
    return found


def validator(message: dict[str, Any]) -> jsonschema.Draft202012Validator:
    """Of the payload; what it refers to is beside the document."""
    registry: Registry[Any] = Registry().with_resources(
        (f"./schemas/{path.name}", DRAFT202012.create_resource(json.loads(path.read_text(encoding="utf-8"))))
        for path in (DOCS / "schemas").glob("*.json")
    )
    return jsonschema.Draft202012Validator(
        message["payload"]["schema"],
        registry=registry,
        format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER,
    )


# --- AsyncAPI's rules ---


def test_it_has_the_members_that_asyncapi_asks_for_and_no_others() -> None:
    """AsyncAPI 3.0.0: the objects' fixed fields, and extensions (`x-…`)."""
    fields = {
        "": {"asyncapi", "info", "defaultContentType", "servers", "channels", "operations", "components"},
        "info": {"title", "version", "description", "license"},
        "servers": {
            "host",
            "pathname",
            "protocol",
            "protocolVersion",
            "title",
            "description",
            "security",
        },
        "channels": {"address", "title", "description", "parameters", "messages", "bindings"},
        "operations": {"action", "channel", "title", "description", "messages", "bindings"},
        "components": {"messages", "securitySchemes"},
        "messages": {
            "name",
            "title",
            "summary",
            "description",
            "contentType",
            "correlationId",
            "headers",
            "payload",
            "bindings",
            "examples",
        },
    }
    parts = {
        "": [DOCUMENT],
        "info": [DOCUMENT["info"]],
        "components": [DOCUMENT["components"]],
        "messages": MESSAGES.values(),
        **{name: DOCUMENT[name].values() for name in ("servers", "channels", "operations")},
    }
    for name, objects in parts.items():
        for found in objects:
            assert {field for field in found if not field.startswith("x-")} <= fields[name], name
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert all(
        re.fullmatch(r"[A-Za-z0-9._-]+", key) for part in DOCUMENT["components"].values() for key in part
    )
    for operation in DOCUMENT["operations"].values():
        assert operation["action"] in {"send", "receive"}
    for message in MESSAGES.values():
        assert re.fullmatch(r"\$message\.payload#(/[^/]+)+", message["correlationId"]["location"])


def test_every_reference_leads_somewhere() -> None:
    references = [node["$ref"] for node in walk(DOCUMENT) if "$ref" in node]
    assert len(references) > 20
    for reference in references:
        assert isinstance(follow(reference), dict), reference


def test_operations_use_messages_of_their_channel() -> None:
    for operation in DOCUMENT["operations"].values():
        place = operation["channel"]["$ref"]
        assert operation["messages"], place
        for message in operation["messages"]:
            assert message["$ref"].startswith(f"{place}/messages/")


def test_bindings_keep_the_amqp_bindings_rules() -> None:
    """AMQP bindings 0.3.0: a channel is a queue or a routing key, and tells of the one that it is."""
    for channel in DOCUMENT["channels"].values():
        binding = channel["bindings"]["amqp"]
        told = {"queue": "queue", "routingKey": "exchange"}[binding["is"]]
        assert binding.keys() == {"is", told, "bindingVersion"}
        assert binding[told]["durable"] is True
    for operation in DOCUMENT["operations"].values():
        assert operation["bindings"]["amqp"]["deliveryMode"] == 2
    for node in walk(DOCUMENT):
        if "amqp" in node:
            assert node["amqp"]["bindingVersion"] == "0.3.0"


@pytest.mark.parametrize("name", MESSAGES)
def test_payloads_are_json_schemas_that_their_examples_keep(name: str) -> None:
    message = MESSAGES[name]
    assert message["payload"]["schemaFormat"] == "application/schema+json;version=2020-12"
    jsonschema.Draft202012Validator.check_schema(message["payload"]["schema"])
    for example in message["examples"]:
        validator(message).validate(example["payload"])
        if "headers" in message:
            jsonschema.Draft202012Validator.check_schema(message["headers"])
            jsonschema.Draft202012Validator(message["headers"]).validate(example["headers"])
        correlated = example["payload"]
        for step in message["correlationId"]["location"].split("/")[1:]:
            correlated = correlated[int(step) if step.isdecimal() else step]
        assert isinstance(correlated, str)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda body: body.pop(),
        lambda body: body[0].append({}),
        lambda body: body[1].update(name="Ájlin"),
        lambda body: body[1].update(signature="no.jws"),
        lambda body: body[1]["command"].pop("command_id"),
        lambda body: body[1]["command"]["agreement"].pop("measure"),
        lambda body: body[2].update(callbacks=[{"task": "x"}]),
    ],
)
def test_a_body_that_is_none_does_not_fit(spoil: Any) -> None:
    body = json.loads(part("body"))
    check = validator(MESSAGES["submit"])
    check.validate(body)
    spoil(body)
    assert not check.is_valid(body)


# --- what the code does ---


def test_every_command_and_event_is_in_it() -> None:
    assert {m["name"] for m in MESSAGES.values()} == {
        *(f"signert.v1.{name}" for name in COMMAND_SCHEMAS),
        *EVENT_SCHEMAS,
    }
    assert list(DOCUMENT["channels"]["commands"]["messages"]) == list(COMMAND_SCHEMAS)
    assert DOCUMENT["channels"]["events"]["parameters"]["type"]["enum"] == list(EVENT_SCHEMAS)
    told = [MESSAGES[name]["name"] for name in DOCUMENT["channels"]["events"]["messages"]]
    assert told == [MESSAGES[name]["name"] for name in DOCUMENT["channels"]["eventQueue"]["messages"]]
    assert told == list(EVENT_SCHEMAS)


def test_queues_are_those_that_the_worker_declares() -> None:
    commands, events, every = (DOCUMENT["channels"][name] for name in ("commands", "events", "eventQueue"))
    queue = RABBITMQ.queue(commands["address"])
    assert commands["bindings"]["amqp"]["exchange"]["name"] == queue.exchange.name == "signert"
    assert commands["bindings"]["amqp"]["exchange"]["type"] == queue.exchange.type == "direct"
    assert commands["x-queue"]["x-arguments"] == queue.queue_arguments
    assert events["bindings"]["amqp"]["exchange"]["type"] == RABBITMQ.event_queue().exchange.type == "topic"
    assert every["bindings"]["amqp"]["queue"]["x-arguments"] == {"x-queue-type": "quorum"}


# --- the guide ---


def part(name: str) -> str:
    """The first fenced block of a part that docs/generate.py makes."""
    found = re.search(rf"<!-- made: {name} -->.*?```json\n(.*?)\n```", GUIDE, re.DOTALL)
    assert found
    return found[1]


def test_the_worked_message_is_the_documents_example() -> None:
    [example] = MESSAGES["submit"]["examples"]
    assert json.loads(part("body")) == example["payload"]
    published = json.loads(part("properties"))
    assert published["properties"]["headers"] == example["headers"]
    channel = DOCUMENT["channels"]["commands"]
    assert published["exchange"] == channel["bindings"]["amqp"]["exchange"]["name"]
    assert published["routing_key"] == channel["address"]


def test_every_command_that_follows_is_worked_as_in_the_document() -> None:
    for name in COMMAND_SCHEMAS.keys() - {"submit"}:
        found = re.search(rf"#### `{re.escape(name)}`\n.*?```json\n(.*?)\n```", GUIDE, re.DOTALL)
        assert found, name
        [example] = MESSAGES[name]["examples"]
        assert json.loads(found[1]) == example["payload"][1]["command"]
        assert (DOCS / f"schemas/command-{name}.json").is_file()


def test_the_worked_signature_is_over_what_the_event_gives() -> None:
    sign, complete = (
        MESSAGES[name]["examples"][0]["payload"][1]["command"] for name in ("sign", "complete-signature")
    )
    to_sign = MESSAGES["agreementSignatureRequested"]["examples"][0]["payload"]["data"]["to_sign"]
    signer, issuer = (x509.load_der_x509_certificate(base64.b64decode(c)) for c in sign["certificates"])
    signer.verify_directly_issued_by(issuer)
    attributes = base64.b64decode(to_sign["signed_attributes"])
    key = signer.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(base64.b64decode(complete["signature"]), attributes, ec.ECDSA(hashes.SHA256()))
    assert bytes.fromhex(to_sign["document_digest"]) in attributes
    assert complete["prepared"] == to_sign["prepared"]


def test_the_worked_plan_fits() -> None:
    found = re.search(r"<!-- example: plan -->\n```json\n(.*?)\n```", GUIDE, re.DOTALL)
    assert found
    submit = json.loads(part("body"))
    submit[1]["command"].update(json.loads(found[1]))
    validator(MESSAGES["submit"]).validate(submit)


def test_the_worked_authorization_fits() -> None:
    found = re.search(r"<!-- example: authorization -->\n```json\n(.*?)\n```", GUIDE, re.DOTALL)
    assert found
    validator(MESSAGES["complete-signature"]).validate([[], {"command": json.loads(found[1])}, {}])


def test_every_event_has_an_example_that_fits() -> None:
    for name in EVENT_SCHEMAS:
        found = re.search(rf"#### `{re.escape(name)}`\n.*?```json\n(.*?)\n```", GUIDE, re.DOTALL)
        assert found, name
        event = json.loads(found[1])
        assert event_schema(name).load(event) == event


def test_the_signature_is_the_test_vector(tmp_path: Path) -> None:
    def vector(name: str) -> str:
        found = re.search(rf"<!-- vector: {name} -->\n+```[a-z]+\n(.*?)\n```", GUIDE, re.DOTALL)
        assert found, name
        return found[1]

    [text] = re.findall(r"only enough of one to show the form\):\n\n```json\n(.*?)\n```", GUIDE, re.DOTALL)
    command, claims = json.loads(text), json.loads(vector("claims"))
    assert json.loads(vector("canonical")) == command
    assert hashlib.sha256(vector("canonical").encode()).hexdigest() == vector("sha256") == claims["sha256"]
    [text] = re.findall(r"<!-- example: producers -->\n```json\n(.*?)\n```", GUIDE, re.DOTALL)
    configured = json.loads(text)
    configured["producers"]["arena"]["keys"]["keys"][0]["kid"] = "rfc7515-a3"
    (tmp_path / "producers.json").write_text(json.dumps(configured))
    keys = producers.ProducerKeys.load(tmp_path / "producers.json")
    at = datetime.fromtimestamp(claims["iat"], UTC)
    sender = keys.identify("submit", command, vector("signature"), now=at)
    assert (sender.name, sender.issued_at) == (claims["iss"], at)


def test_every_code_of_a_refusal_is_in_its_tables_and_no_other() -> None:
    table = GUIDE[GUIDE.index("### Codes") : GUIDE.index("## Signing a command")]
    told = {
        code
        for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
        for code in re.findall(r"`(\w+)`", row)
    }
    assert told == set(codes())


def test_every_code_of_a_refused_signature_is_in_its_table_and_no_other() -> None:
    table = GUIDE[GUIDE.index("<!-- codes: signature-refused -->") : GUIDE.index("## Refusals")]
    told = set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))
    source = ast.parse((ROOT / "service/pipeline/sign.py").read_text(encoding="utf-8"))
    own = {errors.TimestampTooLarge.code} | {  # room that will not come by waiting
        c
        for node in ast.walk(source)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "refuse"
        for keyword in node.keywords
        for c in _constants(keyword.value)
    }
    kinds = [k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, REFUSALS)]
    # Not to be waited for is a signing service that is away while a person is there.
    without_waiting = {k.code for k in kinds if not k.retryable or k is errors.CredentialUnavailable}
    assert told == own | without_waiting | set(moves.ENDED_AUTHORIZATIONS)
    lease = int(PREPARED_LIFETIME.total_seconds()) // 60
    assert f"from `to_sign` until the signature is back | {lease} minutes" in GUIDE


def codes() -> Iterator[str]:
    """The codes that a refusal can have, as the code has them."""
    yield from (*producers._REFUSALS, *_DATA_FAULTS, *_UNKNOWN, *(code for code, _ in ENDED.values()))
    for function in (CommandRejected, Text):
        yield inspect.signature(function).parameters["code"].default
    places = {"fault": 0, "_error": 1, "FieldError": 1}
    for path in [*(ROOT / "service").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and path.name == "fields.py":
                yield from re.findall(
                    r"^([a-z_]+): [A-Z]", node.value
                )  # messages of marshmallow's own checks
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            position = places.get(name)
            if name in {"_refused", "refused"}:
                by_file = {"senders.py": 0, "scans.py": 0, "amend.py": 1, "opening.py": 1}
                position = 0 if path.parent.name == "moves" else by_file.get(path.name)
            if position is not None and len(node.args) > position:
                yield from _constants(node.args[position])
            if path.parent.name == "schemas" or name == "CommandRejected" or path.name == "drive.py":
                yield from (c for k in node.keywords if k.arg == "code" for c in _constants(k.value))


def _constants(node: ast.expr) -> list[str]:
    found = node.value if isinstance(node, ast.Constant) else None
    return [found] if isinstance(found, str) and re.fullmatch(r"[a-z_]+", found) else []
