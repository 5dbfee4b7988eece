"""The message broker as kombu and Celery must know it: address, TLS, queues.

RabbitMQ gets quorum queues with a delivery limit and a dead-letter exchange; a message to be tried again later
waits in a queue whose time limit sends it back. Valkey and Redis have none of these: there the worker itself counts
deliveries and waits (`entrypoints/tasks.py`).
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit, urlunsplit

from kombu import Exchange, Queue

from service.errors import ConfigurationError

__all__ = ["DEAD_LETTERS", "DELIVERY_LIMIT", "EVENTS", "RETRY_AFTER", "Broker", "Tls"]

EVENTS: Final = "signert.events"
"""The topic exchange of events, whose routing keys are their types, and the queue that gets them all."""
DELIVERY_LIMIT: Final = 20
"""Deliveries of one message, each ended by the death of who worked on it, before it is put aside."""
RETRY_AFTER: Final = 20
"""Seconds after which a command is tried again that could not be taken in."""
DEAD_LETTERS: Final = "signert.dead-letters"
"""RabbitMQ: exchange and queue of messages that outlived every worker. A backstop, empty in normal times."""

_EXCHANGE: Final = Exchange("signert", type="direct", durable=True)
_ANSWER_LIMIT = 5.0
_CONNECT_LIMIT = 5.0


@dataclass(frozen=True)
class Tls:
    """How the broker's certificate is checked, always with its host name; and our own, where it asks for one."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


@dataclass(frozen=True)
class Broker:
    """A broker's address. `url` may hold a password, so it is never printed; see `shown`.

    `lease` is after how many seconds Valkey and Redis deliver a message again that nobody has acknowledged.
    """

    url: str = field(repr=False)
    tls: Tls | None = None
    lease: int = 300

    @property
    def is_amqp(self) -> bool:
        return urlsplit(self.url).scheme in {"amqp", "amqps", "pyamqp"}

    @cached_property
    def shown(self) -> str:
        """The address without its password."""
        return ";".join(map(_without_password, self.url.split(";")))

    @property
    def ssl(self) -> dict[str, Any] | None:
        """The `ssl` argument of kombu's Connection, Celery's `broker_use_ssl`."""
        if urlsplit(self.url).scheme not in {"amqps", "rediss", "valkeys"}:
            return None
        tls = self.tls or Tls()
        options = {
            "cert_reqs": ssl.CERT_REQUIRED,
            "ca_certs": str(tls.ca) if tls.ca else None,
            "certfile": str(tls.certificate) if tls.certificate else None,
            "keyfile": str(tls.key) if tls.key else None,
        }
        if not self.is_amqp:
            return {f"ssl_{name}": value for name, value in options.items()} | {"ssl_check_hostname": True}
        # kombu puts in each host's own name for None; left out, no name would be checked.
        return {**options, "server_hostname": None}

    @property
    def transport_options(self) -> dict[str, Any]:
        if self.is_amqp:
            return {"confirm_publish": True}
        return {
            "socket_timeout": _ANSWER_LIMIT,
            "socket_connect_timeout": _CONNECT_LIMIT,
            "visibility_timeout": self.lease,
        }

    def with_password(self, password: str) -> Broker:
        """The same broker, with this password in each address that names a user and has none."""
        urls = [_with_password(url, password) for url in self.url.split(";")]
        return Broker(";".join(urls), self.tls, self.lease)

    def event_queue(self) -> Queue:
        """The durable queue that gets every event, so that none is lost because nobody listened yet."""
        arguments = {"x-queue-type": "quorum"} if self.is_amqp else None
        exchange = Exchange(EVENTS, type="topic", durable=True)
        return Queue(EVENTS, exchange, routing_key="#", durable=True, queue_arguments=arguments)

    def queue(self, name: str) -> Queue:
        """The durable queue of that name, bound to the exchange `signert`."""
        arguments: Mapping[str, Any] | None = None
        if self.is_amqp:
            arguments = {
                "x-queue-type": "quorum",
                # The worker puts a message aside at DELIVERY_LIMIT; this is for what kills the worker itself.
                "x-delivery-limit": 2 * DELIVERY_LIMIT,
                "x-dead-letter-exchange": DEAD_LETTERS,
                "x-dead-letter-strategy": "at-least-once",
                "x-overflow": "reject-publish",
            }
        return Queue(name, _EXCHANGE, routing_key=name, durable=True, queue_arguments=arguments)

    def tick_queue(self, name: str) -> Queue:
        """A queue for ticks of a clock: one is as good as many, and none is worth keeping."""
        arguments = {"x-queue-type": "quorum", "x-max-length": 1} if self.is_amqp else None
        return Queue(name, _EXCHANGE, routing_key=name, durable=True, queue_arguments=arguments)

    def retry_queue(self, name: str) -> Queue:
        """RabbitMQ: where a message for queue `name` waits `RETRY_AFTER` seconds, and then goes there again."""
        waiting = f"{name}.retry"
        return Queue(
            waiting,
            _EXCHANGE,
            routing_key=waiting,
            durable=True,
            queue_arguments={
                "x-queue-type": "quorum",
                "x-message-ttl": RETRY_AFTER * 1000,
                "x-dead-letter-exchange": _EXCHANGE.name,
                "x-dead-letter-routing-key": name,
                # Without these a broker that ends between taking a message out and putting it back loses it.
                "x-dead-letter-strategy": "at-least-once",
                "x-overflow": "reject-publish",
            },
        )

    def dead_letter_queue(self) -> Queue:
        """RabbitMQ: the queue of dead letters, kept until an operator looks."""
        return Queue(
            DEAD_LETTERS,
            Exchange(DEAD_LETTERS, type="fanout", durable=True),
            durable=True,
            queue_arguments={"x-queue-type": "quorum"},
        )


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    shown = user.partition(":")[0] + ":**" if ":" in user else user
    return urlunsplit(parts._replace(netloc=f"{shown}{at}{host}"))


def _with_password(url: str, password: str) -> str:
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    if not user or ":" in user:
        raise ConfigurationError(
            "SIGNERT_BROKER_PASSWORD_FILE needs a user, and no password, in SIGNERT_BROKER",
            remedy="Write amqps://user@host:5671/vhost.",
        )
    return urlunsplit(parts._replace(netloc=f"{user}:{quote(password, safe='')}{at}{host}"))
