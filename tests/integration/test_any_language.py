"""A case system that knows nothing of Celery, kombu or Signert's code: bare AMQP, and what docs/integration.md says.

The worked message, the producers' file and the Python code are read out of the guide, and used as they stand there.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import re
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import amqp
import jsonschema
import jwt
import pytest

from tests.e2e.conftest import Installation, running_worker
from tests.processes import wait_until
from tests.rabbitmq import RabbitNode, running_rabbitmq

pytestmark = [pytest.mark.office, pytest.mark.broker, pytest.mark.pki]

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs/integration.md").read_text(encoding="utf-8")
QUEUE = "tiltak.events"
ANSWER_LIMIT = 180
NOT_FOUND, NO_ROUTE = 404, 312
PRIVATE_KEY = {
    "kty": "EC",
    "crv": "P-256",
    "d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
}  # RFC 7515 A.3

Event = dict[str, Any]
Send = Callable[..., None]


def block(marker: str) -> str:
    """The fenced block after a marker of the guide."""
    found = re.search(rf"<!-- {marker} -->\n+```[a-z]+\n(.*?)\n```\n", GUIDE, re.DOTALL)
    assert found, marker
    return found[1]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitNode]:
    """A node of this module's own: no other test's worker takes its messages."""
    with running_rabbitmq(tmp_path_factory.mktemp("rabbitmq")) as found:
        yield found


@pytest.fixture(scope="module")
def code() -> dict[str, Any]:
    """The guide's own Python."""
    names: dict[str, Any] = {}
    exec(compile(block("code: python"), "docs/integration.md", "exec"), names)
    return names


class CaseSystem:
    """One connection with TLS, and a queue of its own for events, each checked against the schema."""

    def __init__(self, connection: amqp.Connection, code: dict[str, Any]) -> None:
        self.connection = connection
        self.connection.transport.sock.settimeout(ANSWER_LIMIT)
        self.code = code
        self.events: dict[str, Event] = {}
        schema = json.loads((ROOT / "docs/schemas/events.json").read_text(encoding="utf-8"))
        self._schema = jsonschema.Draft202012Validator(
            schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
        )

    def when_there(self, action: Callable[[], object]) -> None:
        """Do it again until Signert has declared its exchanges and queues."""

        def done() -> bool:
            try:
                action()
            except amqp.ChannelError as exc:
                if exc.code not in (NOT_FOUND, NO_ROUTE):
                    raise
                return False
            return True

        wait_until(done, ANSWER_LIMIT)

    def send(self, command: dict[str, Any], signature: str | None = None) -> None:
        self.when_there(lambda: self.code["send"](self.connection, command, signature))

    def read_until(self, wanted: Callable[[Event], bool]) -> Event:
        """Read with the guide's loop until the wanted event comes; it stays on the queue."""
        last: list[Event] = []

        class Found(Exception):
            pass

        def handle(event: Event) -> None:
            self._schema.validate(event)
            assert self.events.setdefault(event["id"], event) == event
            if wanted(event):
                last.append(event)
                raise Found

        with pytest.raises(Found):
            self.code["read_events"](self.connection, QUEUE, handle)
        return last[0]


@contextlib.contextmanager
def case_system(node: RabbitNode, code: dict[str, Any]) -> Iterator[CaseSystem]:
    place = urlsplit(node.tls_url)
    connection = code["connect"](place.hostname, place.port, node.USER, node.PASSWORD, str(node.ca))
    try:
        yield CaseSystem(connection, code)
    finally:
        connection.collect()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("any-language")


def about(agreement_id: str, event_type: str) -> Callable[[Event], bool]:
    return lambda event: (event["subject"], event["type"]) == (agreement_id, event_type)


def refused(command_id: str) -> Callable[[Event], bool]:
    return lambda event: event["type"] == "agreement.rejected" and event["data"]["command_id"] == command_id


def test_the_worked_message_is_signed_and_refusals_name_fields(
    node: RabbitNode, home: Path, code: dict[str, Any]
) -> None:
    node.wipe()
    body = block("made: body").encode()
    publish = json.loads(block("made: properties"))
    assert f"{len(body)} bytes, SHA-256 `{hashlib.sha256(body).hexdigest()}`" in GUIDE
    headers = publish["properties"].pop("headers")
    message = amqp.Message(body, application_headers=headers, **publish.pop("properties"))
    command = json.loads(body)[1]["command"]
    agreement_id = command["agreement"]["id"]

    def worked() -> None:
        with system.connection.channel() as channel:
            channel.basic_publish_confirm(message, **publish)

    with (
        running_worker(Installation(home, SIGNERT_BROKER=node.url)),
        case_system(node, code) as system,
    ):
        system.when_there(lambda: code["declare_queue"](system.connection, QUEUE))
        system.when_there(worked)
        signed = system.read_until(about(agreement_id, "agreement.signed"))
        story = sorted(system.events.values(), key=lambda event: str(event["id"]))
        assert [event["type"] for event in story] == [
            "agreement.rendered",
            *["agreement.party-signed"] * 3,
            "agreement.signed",
        ]
        assert [event["time"] for event in story] == sorted(event["time"] for event in story)
        for file in ("document", "receipt", "receipt_signature", "receipt_pdf"):
            stored = home / "store" / signed["data"][file]["storage_key"]
            assert hashlib.sha256(stored.read_bytes()).hexdigest() == signed["data"][file]["sha256"]

        # The same again changes nothing; the same id for something else is refused, and so are broken fields.
        worked()
        broken = copy.deepcopy(command)
        del broken["agreement"]["measure"]
        broken["agreement"]["position"]["percentage"] = "60"
        system.send(broken)
        answer = system.read_until(refused(command["command_id"]))
        assert answer["data"]["code"] == "command_id_reused"
        broken["command_id"] = str(uuid.uuid4())
        system.send(broken)
        answer = system.read_until(refused(broken["command_id"]))
        assert [(e["path"], e["code"]) for e in answer["data"]["errors"]] == [
            ("agreement.measure", "required"),
            ("agreement.position.percentage", "wrong_type"),
        ]
        assert {e["id"] for e in system.events.values() if e["subject"] == agreement_id} == {
            e["id"] for e in story
        }
        with system.connection.channel() as channel:
            raw = channel.basic_get(QUEUE)
        assert raw.properties["content_type"] == "application/cloudevents+json"
        assert raw.properties["delivery_mode"] == 2
        assert raw.properties["message_id"] == json.loads(raw.body)["id"]


def test_signed_commands(node: RabbitNode, home: Path, code: dict[str, Any], tmp_path: Path) -> None:
    producers = tmp_path / "producers.json"
    producers.write_text(block("example: producers"), encoding="utf-8")
    entry = json.loads(producers.read_text())["producers"]["arena"]["keys"]["keys"][0]
    private_key = jwt.PyJWK({**entry, **PRIVATE_KEY}).key
    [_, keywords, _] = json.loads(block("made: body"))
    unsigned, signed = keywords["command"], copy.deepcopy(keywords["command"])
    signed["command_id"], signed["agreement"]["id"] = str(uuid.uuid4()), str(uuid.uuid4())
    unsigned["command_id"] = str(uuid.uuid4())
    settings = {"SIGNERT_BROKER": node.url, "SIGNERT_PRODUCERS": str(producers)}
    with running_worker(Installation(home, **settings)), case_system(node, code) as system:
        system.when_there(lambda: code["declare_queue"](system.connection, QUEUE))
        system.send(unsigned)
        answer = system.read_until(refused(unsigned["command_id"]))
        assert answer["data"]["code"] == "signature_required"
        assert answer["data"]["errors"][0]["path"] == "signature"
        signature = code["sign"](signed, producer="arena", kid=entry["kid"], private_key=private_key)
        system.send(signed, signature)
        system.read_until(about(signed["agreement"]["id"], "agreement.rendered"))
        assert not any(map(refused(signed["command_id"]), system.events.values()))
