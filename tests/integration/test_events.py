"""Events reach whoever listens, now or later, in the form that CloudEvents prescribes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection, Exchange, Message, Queue
from redis import Redis

from service.adapters.broker import EmbeddedBroker
from service.adapters.events import EventFile, EventPublisher
from service.background import child_environment
from service.errors import BrokerUnavailable, ConfigurationError
from service.transport import Broker, Tls
from tests.rabbitmq import RabbitNode


def event(number: int, kind: str = "agreement.signed") -> dict[str, object]:
    return {
        "specversion": "1.0",
        "id": f"01J{number:023d}",
        "source": "/agreements",
        "type": kind,
        "subject": "5a0c2a52-6c1f-4b8e-9d70-0d8f3a9f3f11",
        "time": "2026-01-02T03:04:05Z",
        "datacontenttype": "application/json",
        "data": {"version": 1, "name": "æøå ŋ ł"},
    }


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with EmbeddedBroker(tmp_path_factory.mktemp("events") / "broker") as url:
        yield url


@pytest.fixture
def rabbitmq_url(rabbitmq: RabbitNode) -> str:
    return rabbitmq.url


@pytest.fixture(params=["valkey", "rabbitmq_url"])
def broker_url(request: pytest.FixtureRequest) -> str:
    """Each broker that events are sent to."""
    return str(request.getfixturevalue(request.param))


@pytest.fixture
def publisher(broker_url: str) -> Iterator[EventPublisher]:
    publisher = EventPublisher(Broker(broker_url))
    yield publisher
    publisher.close()
    take(broker_url, "signert.events")


def take(url: str, queue: str | Queue) -> list[Message]:
    """All messages of a queue, acknowledged."""
    with Connection(url) as connection, connection.channel() as channel:
        name = queue if isinstance(queue, str) else queue.name
        taken = []
        while (message := Queue(name, channel=channel).get()) is not None:
            message.ack()
            taken.append(message)
        return taken


def ids(messages: list[Message]) -> list[str]:
    return [json.loads(message.body)["id"] for message in messages]


@pytest.mark.broker
def test_event_waits_though_nobody_listened(broker_url: str, publisher: EventPublisher) -> None:
    publisher.publish(event(1))
    (message,) = take(broker_url, "signert.events")
    assert json.loads(message.body) == event(1)
    assert "æøå ŋ ł" in (message.body if isinstance(message.body, str) else message.body.decode("utf-8"))
    assert message.content_type == "application/cloudevents+json"
    assert message.content_encoding == "utf-8"
    assert message.properties["delivery_mode"] == 2
    assert message.properties["message_id"] == event(1)["id"]
    assert message.delivery_info["exchange"] == "signert.events"
    assert message.delivery_info["routing_key"] == "agreement.signed"


@pytest.mark.broker
def test_order_is_kept_and_the_same_event_may_come_twice(broker_url: str, publisher: EventPublisher) -> None:
    for number in (1, 2, 2, 3):
        publisher.publish(event(number))
    assert ids(take(broker_url, "signert.events")) == [str(event(n)["id"]) for n in (1, 2, 2, 3)]


@pytest.mark.broker
def test_a_listener_gets_the_types_it_binds(broker_url: str, publisher: EventPublisher) -> None:
    exchange = Exchange("signert.events", type="topic", durable=True)
    mine = Queue("case-system", exchange, routing_key="agreement.signed")
    publisher.publish(event(0))
    with Connection(broker_url) as connection:
        mine(connection.default_channel).declare()
        publisher.publish(event(1))
        publisher.publish(event(2, "agreement.rejected"))
        assert ids(take(broker_url, mine)) == [event(1)["id"]]
        assert len(take(broker_url, "signert.events")) == 3
        mine(connection.default_channel).delete()


@pytest.mark.broker
def test_threads_may_share_a_publisher(broker_url: str, publisher: EventPublisher) -> None:
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(publisher.publish, map(event, range(100))))
    assert sorted(ids(take(broker_url, "signert.events"))) == [event(n)["id"] for n in range(100)]


@pytest.mark.broker
def test_a_fork_opens_its_own_connection(broker_url: str, publisher: EventPublisher) -> None:
    code = """
import gc, json, os, sys
from service.adapters.events import EventPublisher
from service.transport import Broker
publisher = EventPublisher(Broker(sys.argv[1]))
first, second, third = json.load(sys.stdin)
publisher.publish(first)
child = os.fork()
if not child:
    publisher.publish(second)
    publisher.close()
    gc.collect()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
publisher.publish(third)
publisher.close()
"""
    subprocess.run(
        [sys.executable, "-W", "error", "-c", code, broker_url],
        input=json.dumps([event(1), event(2), event(3)]),
        text=True,
        check=True,
        env=child_environment(),
    )
    assert ids(take(broker_url, "signert.events")) == [event(n)["id"] for n in (1, 2, 3)]


@pytest.mark.broker
def test_what_is_no_cloud_event_is_refused(broker_url: str, publisher: EventPublisher) -> None:
    for name in ("id", "source", "type", "specversion"):
        with pytest.raises(ValueError, match=name):
            publisher.publish({k: v for k, v in event(1).items() if k != name})
    assert take(broker_url, "signert.events") == []


@pytest.mark.broker
def test_an_event_after_the_queue_is_deleted_finds_it_made_again(rabbitmq: RabbitNode) -> None:
    with contextlib.closing(EventPublisher(Broker(rabbitmq.url))) as publisher:
        publisher.publish(event(1))
        for number, what in enumerate((Queue("signert.events"), Exchange("signert.events")), start=2):
            with Connection(rabbitmq.url) as connection:
                what(connection.default_channel).delete()
            publisher.publish(event(number))
            assert ids(take(rabbitmq.url, "signert.events"))[-1] == event(number)["id"]


@pytest.mark.broker
def test_a_queue_that_was_made_differently_is_told(rabbitmq: RabbitNode) -> None:
    with Connection(rabbitmq.url) as connection:
        other = Queue("signert.events", durable=True)(connection.default_channel)
        other.delete()
        other.queue_declare()
        with contextlib.closing(EventPublisher(Broker(rabbitmq.url))) as publisher:
            for _ in range(2):
                with pytest.raises(ConfigurationError, match="refuses events") as caught:
                    publisher.publish(event(1))
                assert "signert.events was not made differently" in caught.value.remedy
            other.delete()
            publisher.publish(event(2))
    assert ids(take(rabbitmq.url, "signert.events")) == [event(2)["id"]]


class ValkeyServer:
    """The embedded broker, which comes back by itself."""

    def __init__(self, folder: Path) -> None:
        self._broker = EmbeddedBroker(folder)
        self.url = self._broker.ensure_running()

    def restart(self) -> None:
        with client(self.url) as valkey:
            os.kill(int(valkey.info("server")["process_id"]), signal.SIGKILL)
        self._broker.ensure_running()

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        self._broker.stop()
        yield
        self._broker.ensure_running()

    def wipe(self) -> None:
        with client(self.url) as valkey:
            valkey.flushall()

    def close(self) -> None:
        self._broker.stop()


@pytest.fixture(params=["valkey", "rabbitmq"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ValkeyServer | RabbitNode]:
    """Each broker, to be stopped."""
    if request.param == "rabbitmq":
        node: RabbitNode = request.getfixturevalue("rabbitmq")
        yield node
        node.wipe()
    else:
        valkey = ValkeyServer(tmp_path / "broker")
        yield valkey
        valkey.close()


@pytest.mark.broker
def test_broker_restarts_between_events(server: ValkeyServer | RabbitNode) -> None:
    publisher = EventPublisher(Broker(server.url))
    publisher.publish(event(1))
    server.restart()
    publisher.publish(event(2))
    assert ids(take(server.url, "signert.events")) == [event(1)["id"], event(2)["id"]]
    publisher.close()


@pytest.mark.broker
def test_broker_that_came_back_empty_loses_no_later_event(server: ValkeyServer | RabbitNode) -> None:
    publisher = EventPublisher(Broker(server.url))
    publisher.publish(event(1))
    server.wipe()
    publisher.publish(event(2))
    assert ids(take(server.url, "signert.events")) == [event(2)["id"]]
    publisher.close()


@pytest.mark.broker
def test_broker_away_is_said_without_its_password(server: ValkeyServer | RabbitNode) -> None:
    publisher = EventPublisher(Broker(server.url))
    publisher.publish(event(1))
    with server.away():
        with pytest.raises(BrokerUnavailable) as caught:
            publisher.publish(event(2))
        assert caught.value.retryable
        assert str(event(2)["id"]) in caught.value.message
        assert "SIGNERT_BROKER" in caught.value.remedy
        assert RabbitNode.PASSWORD not in str(caught.value.as_json())
    publisher.publish(event(2))
    assert ids(take(server.url, "signert.events")) == [event(1)["id"], event(2)["id"]]
    publisher.close()


@pytest.mark.broker
def test_tls_lets_in_only_the_authority_that_is_named(rabbitmq: RabbitNode) -> None:
    trusting = EventPublisher(Broker(rabbitmq.tls_url, Tls(rabbitmq.ca)))
    trusting.publish(event(1))
    trusting.close()
    misled = EventPublisher(Broker(rabbitmq.tls_url, Tls(rabbitmq.other_ca)))
    with pytest.raises(BrokerUnavailable):
        misled.publish(event(2))
    misled.close()
    assert ids(take(rabbitmq.url, "signert.events")) == [event(1)["id"]]


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_unreachable_broker_is_retryable_and_keeps_its_secret(scheme: str) -> None:
    publisher = EventPublisher(Broker(f"{scheme}://user:hemmelig@127.0.0.1:1//"))
    with pytest.raises(BrokerUnavailable) as caught:
        publisher.publish(event(1))
    assert caught.value.retryable
    assert "hemmelig" not in str(caught.value.as_json())
    assert "127.0.0.1" in caught.value.message
    publisher.close()


def client(url: str) -> Redis[Any]:
    return Redis(unix_socket_path=url.removeprefix("redis+socket://").partition("?")[0])


# --- the file --------------------------------------------------------------------------------------------


def lines(path: Path) -> list[dict[str, object]]:
    text = path.read_text(encoding="utf-8")
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def test_event_file_has_one_event_a_line(tmp_path: Path) -> None:
    path = tmp_path / "new" / "events.jsonl"
    EventFile(path).publish(event(1))
    EventFile(path).publish(event(2) | {"data": {"text": "two\nlines\u2028"}})
    raw = path.read_bytes().split(b"\n")
    assert len(raw) == 3
    assert json.loads(raw[0]) == event(1)
    assert json.loads(raw[1])["data"] == {"text": "two\nlines\u2028"}


@pytest.mark.parametrize("left", [b'{"specversion":"1.0","id":"01', b'{"half"' * 2000])
def test_event_file_cuts_what_a_crash_left(tmp_path: Path, left: bytes) -> None:
    path = tmp_path / "events.jsonl"
    EventFile(path).publish(event(1))
    with path.open("ab") as file:
        file.write(left)
    EventFile(path).publish(event(2))
    assert lines(path) == [event(1), event(2)]
    path.write_bytes(left)
    EventFile(path).publish(event(3))
    assert lines(path) == [event(3)]


def test_event_file_is_shared_by_processes(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    code = """
import json, sys
from pathlib import Path
from service.adapters.events import EventFile
file, first = EventFile(Path(sys.argv[1])), json.load(sys.stdin)
for number in range(25):
    file.publish({**first, "id": f"{sys.argv[2]}-{number}"})
"""
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(path), str(n)],
            stdin=subprocess.PIPE,
            text=True,
            env=child_environment(),
        )
        for n in range(3)
    ]
    for worker in workers:
        worker.communicate(json.dumps(event(1)))
        assert worker.returncode == 0
    assert sorted(str(e["id"]) for e in lines(path)) == sorted(
        f"{w}-{n}" for w in range(3) for n in range(25)
    )


def test_event_file_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").mkdir()
    with pytest.raises(BrokerUnavailable, match=r"events\.jsonl") as caught:
        EventFile(tmp_path / "events.jsonl").publish(event(1))
    assert caught.value.retryable
