"""What is asked of real brokers at a scrape, what goes along with messages, and what LibreOffice's host says."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from opentelemetry.sdk.trace import TracerProvider

from service.adapters.broker import EmbeddedBroker
from service.adapters.events import EventPublisher
from service.adapters.office import Office, OfficeSettings
from service.adapters.tracing import Tracer
from service.bootstrap import Telemetry
from service.config import load_settings
from service.domain.signals import BROKER_UP, QUEUE
from service.domain.steps import Capability
from service.entrypoints.application import hand_over, make_app, send_command
from service.entrypoints.metrics import queue_lengths
from service.errors import RenderFailed
from service.transport import EVENTS, Broker
from tests.ports import free_ports
from tests.rabbitmq import RabbitNode

EVENT = {"specversion": "1.0", "id": "1", "source": "/signert", "type": "agreement.signed", "subject": "a-1"}


@pytest.fixture(params=["valkey", pytest.param("rabbitmq", marks=pytest.mark.broker)])
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Celery]:
    settings = load_settings({"SIGNERT_HOME": str(tmp_path)})
    if request.param == "rabbitmq":
        node: RabbitNode = request.getfixturevalue("rabbitmq")
        node.wipe()
        yield make_app(Broker(node.url), settings)
        return
    with EmbeddedBroker(tmp_path / "broker") as url:
        yield make_app(Broker(url), settings)


def taken(app: Celery, queue: str) -> tuple[dict[str, Any], Any]:
    """Headers and body of the next message."""
    with app.connection_for_read() as connection, connection.channel() as channel:
        message = channel.basic_get(queue, no_ack=True)
        message = message if hasattr(message, "headers") else channel.Message(message, channel=channel)
        body = message.body if isinstance(message.body, bytes) else str(message.body).encode()
        headers = message.headers or message.properties.get("application_headers") or {}
        return headers, json.loads(body)


def test_the_length_of_each_queue_is_told(app: Celery) -> None:
    for number in range(3):
        send_command(app, "cancel", {"command_id": str(number)})
    hand_over(app, Capability.RENDER, "a-1", "r-1")
    broker: Broker = app.signert_broker
    with app.connection_for_write() as connection, connection.channel() as channel:
        broker.queue("signert.sign").bind(channel).declare()
    found = queue_lengths(broker, ["signert.commands", "signert.render", "signert.sign"])()
    assert found[QUEUE] == {("signert.commands",): 3, ("signert.render",): 1, ("signert.sign",): 0}
    assert found[BROKER_UP] == {(): 1}


def test_a_queue_that_is_not_there_hides_no_other(app: Celery) -> None:
    send_command(app, "cancel", {})
    found = queue_lengths(app.signert_broker, ["signert.nowhere", "signert.commands"])()
    assert found[QUEUE][("signert.commands",)] == 1
    assert found[BROKER_UP] == {(): 1}


@pytest.mark.parametrize("scheme", ["amqp", "redis"])
def test_a_broker_that_is_away_is_told_as_such(scheme: str) -> None:
    (port,) = free_ports(1)
    ask = queue_lengths(Broker(f"{scheme}://user:secret@127.0.0.1:{port}//"), ["signert.commands"])
    assert ask() == {BROKER_UP: {(): 0}}


def test_the_trace_goes_along_with_handed_on_work_and_with_events(app: Celery) -> None:
    tracer = Tracer(TracerProvider())
    app.signert_telemetry = Telemetry(tracer=tracer)
    publisher = EventPublisher(app.signert_broker, trace_headers=app.signert_telemetry.trace_headers)
    caller = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    with tracer.received("task submit", {"traceparent": caller}):
        hand_over(app, Capability.SIGN, "a-1", "r-1")
        publisher.publish(EVENT)
    publisher.publish({**EVENT, "id": "2"})
    publisher.close()
    headers, body = taken(app, "signert.sign")
    assert body[1] == {"agreement_id": "a-1", "run": "r-1"}
    assert headers["traceparent"].split("-")[1] == caller.split("-")[1]
    assert isinstance(headers["sent_at"], float)
    headers, event = taken(app, EVENTS)
    assert headers["traceparent"].split("-")[1] == caller.split("-")[1]
    assert event == EVENT
    assert "traceparent" not in taken(app, EVENTS)[0]  # outside any trace


@pytest.mark.parametrize(
    "given", [None, 7, "", "nonsense", "00-" + "0" * 32 + "-00f067aa0ba902b7-01", "Åse Li"]
)
def test_a_trace_that_is_none_begins_a_new_one(given: Any) -> None:
    tracer = Tracer(TracerProvider())
    with tracer.received("task submit", {"traceparent": given}):
        version, trace, _, _ = tracer.trace_headers()["traceparent"].split("-")
    assert version == "00"
    assert set(trace) != {"0"}


def test_what_libreoffices_host_says_is_in_the_log_without_texts(caplog: pytest.LogCaptureFixture) -> None:
    settings = replace(OfficeSettings(), uno_python=Path(sys.executable), namespaces=False)
    starts: list[str] = []
    with (
        caplog.at_level(logging.WARNING, "service.adapters.office"),
        Office(settings, on_start=starts.append) as office,
        pytest.raises(RenderFailed),
    ):
        office.start()
    said = [r.getMessage() for r in caplog.records if "host said" in r.getMessage()]
    assert len(said) == 2
    assert all("office_host.py:" in line and line.endswith("ModuleNotFoundError") for line in said)
    assert "No module named" not in caplog.text
    assert starts == ["first", "again"]
