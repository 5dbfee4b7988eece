"""The case system of the fault test: what it sends, and what it hears."""

from __future__ import annotations

import contextlib
import copy
import json
import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from kombu import Connection, Consumer, Exchange, Message, Producer, Queue

from service.pipeline.intake import agreement_id_of
from tests.e2e.conftest import EXAMPLES

__all__ = ["CaseSystem", "Order", "Reader", "make_orders", "message_body", "personal_texts"]

_COMMANDS = "signert.commands"
_TASK = "signert.v1.submit"
_PUBLISH_LIMIT = 120.0


@dataclass(frozen=True)
class Order:
    """One message to send. `after` is an agreement that must have been signed before."""

    body: bytes
    agreement_id: str | None = None
    """The agreement that it must become; None for what must be refused."""
    command_id: str | None = None
    refusal: str = ""
    """The code of the refusal."""
    repeated: bool = False
    after: str | None = None
    headers: dict[str, str] = field(default_factory=lambda: {"task": _TASK, "lang": "any"})


def make_orders(agreements: int, dice: random.Random) -> list[Order]:
    """So many agreements, every fifth sent twice, some again after they were signed, and bad ones among them."""
    minimal = json.loads((EXAMPLES / "minimal.json").read_text())
    orders: list[Order] = []
    for number in range(agreements):
        agreement = copy.deepcopy(minimal)
        agreement["case"]["reference"] = f"2036-{number:05}"
        if number % 3 == 0:
            agreement["id"] = _uuid(dice)
        if number % 4 == 1:
            agreement["language"] = "nn"
        command = {"command_id": _uuid(dice), "agreement": agreement}
        good = Order(message_body(command), agreement_id_of(command), command["command_id"])
        orders.append(good)
        if number % 5 == 0:
            orders.append(replace(good, repeated=True))
        if number % 10 == 2:
            orders.append(replace(good, repeated=True, after=good.agreement_id))
        if number % 10 == 7:
            other = {**agreement, "position": {"title": "Kokk"}}
            orders.append(_bad({**command, "agreement": other}, "command_id_reused", after=good.agreement_id))
        if number % 30 == 6:
            another = {"command_id": _uuid(dice), "agreement": agreement}
            orders.append(_bad(another, "agreement_exists", after=good.agreement_id))
    for number in range(max(1, agreements // 20)):
        lacking = {**minimal, "case": {"system": "tiltak", "reference": f"mangler-{number}"}, "position": {}}
        orders.append(_bad({"command_id": _uuid(dice), "agreement": lacking}, "invalid"))
        orders.append(Order(f"this is no JSON ({number})".encode(), refusal="malformed_message"))
        unknown = {"task": "signert.v1.unknown", "lang": "any"}
        orders.append(replace(_bad({"number": number}, "malformed_message"), headers=unknown))
    return _shuffled(orders, dice)


def _bad(command: Mapping[str, Any], refusal: str, after: str | None = None) -> Order:
    return Order(message_body(command), None, command.get("command_id"), refusal, after=after)


def _uuid(dice: random.Random) -> str:
    return str(uuid.UUID(int=dice.getrandbits(128), version=4))


def personal_texts() -> list[str]:
    """What of an agreement no log and no event may say."""
    parties = json.loads((EXAMPLES / "minimal.json").read_text())["parties"].values()
    fields = ("first_name", "last_name", "national_id", "phone", "email", "ident")
    return [party[field] for party in parties for field in fields if field in party]


def _shuffled(orders: list[Order], dice: random.Random) -> list[Order]:
    """In any order, but that each repetition comes close to the first time: both will be worked on at once."""
    first = [o for o in orders if not o.repeated or o.after]
    dice.shuffle(first)
    found: list[Order] = []
    for order in first:
        found.append(order)
        found += [o for o in orders if o.repeated and not o.after and o.body == order.body]
    return found


def message_body(command: Any) -> bytes:
    """The body of the message that carries this command; the same for the same command."""
    embed = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    return json.dumps([[], {"command": command}, embed], sort_keys=True).encode()


class CaseSystem:
    """Sends messages as any AMQP client would; each is sent again until the broker has confirmed it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: Connection | None = None
        self.sent = 0
        self.sent_again = 0
        """Because the broker did not confirm: it may have the message twice now."""

    def send(self, order: Order) -> None:
        deadline = time.monotonic() + _PUBLISH_LIMIT
        while True:
            try:
                self._publish(order)
            except Exception:
                self.close()
                if time.monotonic() > deadline:
                    raise
                self.sent_again += 1
                time.sleep(0.2)  # until the next try
            else:
                self.sent += 1
                return

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection:
            with contextlib.suppress(Exception):
                connection.release()

    def _publish(self, order: Order) -> None:
        if self._connection is None:
            self._connection = Connection(
                self._url, connect_timeout=5, transport_options={"confirm_publish": True}
            )
        self._connection.ensure_connection(max_retries=1, timeout=5)
        Producer(self._connection.default_channel, auto_declare=False).publish(
            order.body, routing_key=_COMMANDS, exchange="", serializer=None, mandatory=True,
            content_type="application/json", content_encoding="utf-8", delivery_mode="persistent",
            headers={**order.headers, "id": str(uuid.uuid4())}, confirm_timeout=5,
        )  # fmt: skip


class Reader:
    """Reads every event from a queue of its own, and goes on when the broker comes back."""

    QUEUE = "case-system.events"

    def __init__(self, url: str) -> None:
        self._url = url
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reader")
        self._mutex = threading.Lock()
        self._events: list[dict[str, Any]] = []
        self.connections = 0
        self.seen: Counter[str] = Counter()
        """How often each event came, by its id."""
        self.signed: dict[str, dict[str, Any]] = {}
        """`agreement.signed`, by the agreement."""
        self.refused: dict[str, dict[str, Any]] = {}
        """The refusals, by the event's id."""

    @property
    def distinct(self) -> int:
        return len(self.seen)

    def refusals(self) -> Sequence[dict[str, Any]]:
        with self._mutex:
            return list(self.refused.values())

    def __enter__(self) -> Reader:
        with self._connected():  # the queue is there before the first event
            pass
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                with self._connected() as (connection, queue):
                    self._read(connection, queue)
            except Exception:  # noqa: BLE001 (whatever a broker that goes away makes the client raise)
                self._ended.wait(0.2)

    def _read(self, connection: Connection, queue: Queue) -> None:
        with Consumer(connection.default_channel, [queue], on_message=self._keep, auto_declare=False):
            while not self._ended.is_set():
                with contextlib.suppress(TimeoutError):
                    connection.drain_events(timeout=0.2)

    def _keep(self, message: Message) -> None:
        event = json.loads(message.body)
        with self._mutex:
            self.seen[event["id"]] += 1
            if event["type"] == "agreement.signed":
                self.signed[event["subject"]] = event
            if event["type"] == "agreement.rejected":
                self.refused[event["id"]] = event
        message.ack()

    @contextlib.contextmanager
    def _connected(self) -> Iterator[tuple[Connection, Queue]]:
        connection = Connection(self._url, connect_timeout=5)
        try:
            connection.connect()
            exchange = Exchange("signert.events", type="topic", durable=True)
            arguments = {"x-queue-type": "quorum"}
            queue = Queue(self.QUEUE, exchange, "#", durable=True, queue_arguments=arguments)
            queue(connection.default_channel).declare()
            self.connections += 1
            yield connection, queue
        finally:
            with contextlib.suppress(Exception):
                connection.release()
