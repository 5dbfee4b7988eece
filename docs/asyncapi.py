"""The AsyncAPI 3.0.0 document of the interface, from the schemas and the constants that the service itself uses.

Operations are told from Signert's side, as AsyncAPI asks: it receives commands and sends events.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kombu import Queue

from docs.worked import body, events, headers
from service.adapters.events import CONTENT_TYPE
from service.adapters.producers import MAX_SIGNATURE
from service.entrypoints.application import COMMANDS
from service.entrypoints.consumer import COMMAND_PREFIX, MAX_MESSAGE
from service.schemas.commands import COMMAND_SCHEMAS
from service.schemas.events import EVENT_SCHEMAS
from service.transport import Broker

__all__ = ["SCHEMA_FORMAT", "document"]

SCHEMA_FORMAT = "application/schema+json;version=2020-12"
_BROKER = Broker("amqps://broker.example:5671/")
_AMQP = {"bindingVersion": "0.3.0"}
_PERSISTENT = 2


def document() -> dict[str, Any]:
    """The whole document, as JSON."""
    commands = {name: _command(name) for name in COMMAND_SCHEMAS}
    told = {_camel(name): _event(name) for name in EVENT_SCHEMAS}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Signert",
            "version": "1.0.0",
            "description": "Agreement data in, signed and archived PDF with a sealed receipt out. Made by "
            "docs/generate.py; docs/integration.md tells it in words, with a worked example.",
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {"broker": _server()},
        "channels": {
            "commands": {
                "address": COMMANDS,
                "title": "Commands",
                "description": "Publish to the exchange with this routing key. Signert declares exchange and queue.",
                "messages": _references("components/messages", commands),
                "bindings": {"amqp": _exchange(_BROKER.queue(COMMANDS))},
                "x-queue": _queue(_BROKER.queue(COMMANDS)),
                "x-max-bytes": MAX_MESSAGE,
            },
            "events": {
                "address": "{type}",
                "title": "Events",
                "description": "The routing key is the event's type. Bind a queue of your own to the exchange, by "
                "the types that you want.",
                "parameters": {
                    "type": {"description": "The event's type.", "enum": list(EVENT_SCHEMAS)},
                },
                "messages": _references("components/messages", told),
                "bindings": {"amqp": _exchange(_BROKER.event_queue())},
            },
            "eventQueue": {
                "address": _BROKER.event_queue().name,
                "title": "Every event",
                "description": "A queue that is bound to the exchange from the start and gets every event, so that "
                "none is lost because nobody listened yet.",
                "messages": _references("components/messages", told),
                "bindings": {"amqp": {"is": "queue", "queue": _queue(_BROKER.event_queue()), **_AMQP}},
            },
        },
        "operations": {
            "receiveCommands": {
                "action": "receive",
                "channel": {"$ref": "#/channels/commands"},
                "title": "Commands in",
                "description": "Each command is answered once by what becomes of its agreement, or by "
                "agreement.rejected.",
                "messages": _list_of_references("channels/commands/messages", commands),
                "bindings": {
                    "amqp": {"deliveryMode": _PERSISTENT, "mandatory": True, "ack": True, **_AMQP},
                },
            },
            "sendEvents": {
                "action": "send",
                "channel": {"$ref": "#/channels/events"},
                "title": "Events out",
                "description": "At least once; the same event has the same id each time.",
                "messages": _list_of_references("channels/events/messages", told),
                "bindings": {"amqp": {"deliveryMode": _PERSISTENT, "mandatory": False, **_AMQP}},
            },
        },
        "components": {
            "messages": {**commands, **told},
            "securitySchemes": {
                "password": {
                    "type": "userPassword",
                    "description": "The broker's user, over TLS (SASL PLAIN). It is not what a command is trusted "
                    "by: that is its signature.",
                },
                "certificate": {
                    "type": "X509",
                    "description": "A client certificate in the TLS handshake, where the broker asks for one.",
                },
            },
        },
    }


def _server() -> dict[str, Any]:
    return {
        "host": "broker.example:5671",
        "pathname": "/",
        "protocol": "amqps",
        "protocolVersion": "0-9-1",
        "title": "RabbitMQ",
        "description": "Host, virtual host and user are the installation's. TLS 1.2 or later.",
        "security": _list_of_references("components/securitySchemes", ["password", "certificate"]),
    }


def _command(name: str) -> dict[str, Any]:
    task = f"{COMMAND_PREFIX}{name}"
    return {
        "name": task,
        "title": f"Command {name}",
        "summary": _first_line(COMMAND_SCHEMAS[name]),
        "contentType": "application/json",
        "correlationId": {
            "description": "The producer's id of the command, also in the events that it led to by itself.",
            "location": "$message.payload#/1/command/command_id",
        },
        "headers": {
            "type": "object",
            "description": "Application headers. Those of Celery that are not named here stay out.",
            "required": ["id", "task"],
            "properties": {
                "id": {
                    "type": "string",
                    "minLength": 1,
                    "description": "Any text that tells the message in logs; best the command_id.",
                },
                "task": {"type": "string", "const": task, "description": "Which command it is."},
                "lang": {"type": "string", "description": "The producer's language. Not looked at."},
            },
        },
        "payload": {"schemaFormat": SCHEMA_FORMAT, "schema": _body_schema(name)},
        "bindings": {"amqp": {"contentEncoding": "utf-8", **_AMQP}},
        "examples": [
            {"name": name, "summary": "Unsigned.", "headers": headers(name), "payload": body(name)},
        ],
    }


def _body_schema(name: str) -> dict[str, Any]:
    return {
        "type": "array",
        "description": "Positional arguments, of which there are none; the command; and a place of Celery's own.",
        "minItems": 3,
        "prefixItems": [
            {"type": "array", "maxItems": 0},
            {
                "type": "object",
                "required": ["command"],
                "properties": {
                    "command": {"$ref": f"./schemas/command-{name}.json"},
                    "signature": {
                        "type": "string",
                        "maxLength": MAX_SIGNATURE,
                        "pattern": r"^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$",
                        "description": "Compact JWS over the command's hash, where commands are signed.",
                    },
                },
                "additionalProperties": False,
            },
            {"type": "object", "additionalProperties": {"type": "null"}},
        ],
        "items": False,
    }


def _event(name: str) -> dict[str, Any]:
    schema = EVENT_SCHEMAS[name]
    definition = schema.__name__.removesuffix("Schema")
    data = schema().fields["data"].schema.fields  # type: ignore[attr-defined]
    subject = "command_id" if data["command_id"].required else "agreement_id"
    return {
        "name": name,
        "title": f"Event {name}",
        "summary": _first_line(schema),
        "description": _first_line(type(schema().fields["data"].schema)),  # type: ignore[attr-defined]
        "contentType": CONTENT_TYPE,
        "correlationId": {
            "description": "What the event is about.",
            "location": f"$message.payload#/data/{subject}",
        },
        "payload": {
            "schemaFormat": SCHEMA_FORMAT,
            "schema": {"$ref": f"./schemas/events.json#/$defs/{definition}"},
        },
        "bindings": {"amqp": {"contentEncoding": "utf-8", **_AMQP}},
        "examples": [{"name": _camel(name), "payload": events()[name]}],
    }


def _exchange(queue: Queue) -> dict[str, Any]:
    exchange = queue.exchange
    return {
        "is": "routingKey",
        "exchange": {
            "name": exchange.name,
            "type": exchange.type,
            "durable": exchange.durable,
            "autoDelete": exchange.auto_delete,
        },
        **_AMQP,
    }


def _queue(queue: Queue) -> dict[str, Any]:
    return {
        "name": queue.name,
        "durable": queue.durable,
        "exclusive": queue.exclusive,
        "autoDelete": queue.auto_delete,
        "x-arguments": dict(queue.queue_arguments),
    }


def _references(place: str, names: Mapping[str, Any]) -> dict[str, Any]:
    return {name: {"$ref": f"#/{place}/{name}"} for name in names}


def _list_of_references(place: str, names: Mapping[str, Any] | Sequence[str]) -> list[dict[str, Any]]:
    return [{"$ref": f"#/{place}/{name}"} for name in names]


def _first_line(schema: type) -> str:
    return " ".join((schema.__doc__ or "").split("\n\n")[0].split())


def _camel(name: str) -> str:
    """`agreement.party-signed` as a name that every tool takes: `agreementPartySigned`."""
    first, *others = name.replace("-", ".").split(".")
    return first + "".join(map(str.capitalize, others))
