"""The RabbitMQ that other tests rely on does what they take for granted, and leaves nothing behind."""

from __future__ import annotations

import os
import select
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection, Consumer, Message, Producer, Queue

from service.background import child_environment
from tests.rabbitmq import RabbitNode

pytestmark = pytest.mark.broker

OWNER = """
import sys
from pathlib import Path
from tests.rabbitmq import running_rabbitmq
with running_rabbitmq(Path(sys.argv[1])) as node:
    print(*node.pids, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def clean(rabbitmq: RabbitNode) -> Iterator[None]:
    yield
    rabbitmq.wipe()


def quorum(name: str, **arguments: object) -> Queue:
    named = {f"x-{key.replace('_', '-')}": value for key, value in arguments.items()}
    return Queue(name, durable=True, queue_arguments={"x-queue-type": "quorum", **named})


def put(node: RabbitNode, queue: Queue, *bodies: str) -> None:
    with Connection(node.url, transport_options={"confirm_publish": True}) as connection:
        queue(connection.default_channel).declare()
        for body in bodies:
            Producer(connection).publish(body, routing_key=queue.name, delivery_mode="persistent")


def receive(connection: Connection, queue: Queue) -> Message:
    """The next message; the broker may still be busy with it."""
    received: list[Message] = []
    with Consumer(connection, queue, on_message=received.append, prefetch_count=1):
        while not received:
            connection.drain_events(timeout=30)
    return received[0]


@pytest.mark.parametrize("gracefully", [False, True])
def test_confirmed_messages_outlive_a_restart(rabbitmq: RabbitNode, gracefully: bool) -> None:
    kept = quorum("kept")
    put(rabbitmq, kept, *map(str, range(50)))
    rabbitmq.restart(gracefully=gracefully)
    with Connection(rabbitmq.url) as connection:
        bodies = []
        while (message := kept(connection.default_channel).get()) is not None:
            message.ack()
            bodies.append(message.payload)
    assert bodies == [str(number) for number in range(50)]


def test_message_returned_too_often_goes_to_the_dead_letters(rabbitmq: RabbitNode) -> None:
    dead = quorum("dead")
    put(rabbitmq, dead)
    work = quorum(
        "work",
        delivery_limit=2,
        dead_letter_exchange="",
        dead_letter_routing_key="dead",
        dead_letter_strategy="at-least-once",
        overflow="reject-publish",
    )
    put(rabbitmq, work, "poison")
    with Connection(rabbitmq.url) as connection:
        for _ in range(3):
            receive(connection, work(connection.default_channel)).requeue()
        message = receive(connection, dead(connection.default_channel))
        assert message.payload == "poison"
        assert message.headers["x-first-death-reason"] == "delivery_limit"
        message.ack()


def test_what_it_knows_of_a_queue(rabbitmq: RabbitNode) -> None:
    work = quorum("work", delivery_limit=2)
    put(rabbitmq, work, "first", "second")
    with Connection(rabbitmq.url) as connection:
        assert work(connection.default_channel).get()
        assert rabbitmq.queue("work") == {
            "type": "quorum",
            "durable": True,
            "policy": "",
            "arguments": {"x-queue-type": "quorum", "x-delivery-limit": 2},
            "consumers": 0,
            "messages": 2,
            "ready": 1,
        }
    assert rabbitmq.queues() == ["work"]
    rabbitmq.wipe()
    assert rabbitmq.queues() == []
    assert rabbitmq.queue("work") is None


def test_tls_with_its_own_authority_only(rabbitmq: RabbitNode) -> None:
    def connect(**settings: Any) -> None:
        tls = {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": "localhost", **settings}
        with Connection(rabbitmq.tls_url, ssl=tls, connect_timeout=5) as connection:
            connection.connect()

    connect(ca_certs=str(rabbitmq.ca))
    connect(
        ca_certs=str(rabbitmq.ca),
        certfile=str(rabbitmq.client_certificate),
        keyfile=str(rabbitmq.client_key),
    )
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(ca_certs=str(rabbitmq.other_ca))


def test_nothing_stays_when_its_owner_is_killed(tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=child_environment(),
        start_new_session=True,
    )
    with owner:
        assert owner.stdout
        pids = [int(pid) for pid in owner.stdout.readline().split()]
        assert len(pids) == 2
        # What the server has started itself (the name resolver, …).
        pids += [child for pid in pids for child in descendants(pid)]
        handles = [os.pidfd_open(pid) for pid in pids]
        owner.send_signal(signal.SIGKILL)
    waiting = set(handles)
    while waiting:
        ended, _, _ = select.select(waiting, [], [], 30)
        assert ended, "a process of the node is still there"
        waiting -= set(ended)
    for handle in handles:
        os.close(handle)


def descendants(pid: int) -> list[int]:
    children = [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]
    return children + [further for child in children for further in descendants(child)]
