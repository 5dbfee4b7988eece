"""The worked example: one command of each kind as it goes over the wire, and the events that answer them.

The participant signs outside. Certificates, signed attributes and signature are of one run: the signature verifies.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from service.entrypoints.application import COMMANDS
from service.entrypoints.consumer import COMMAND_PREFIX
from service.schemas.events import EVENT_SCHEMAS
from service.transport import Broker

__all__ = ["AGREEMENT_ID", "body", "command", "events", "headers", "properties"]

AGREEMENT_ID = "5f0c7f0a-91d4-4b53-8d0e-6a1b2c3d4e5f"

_COMMAND_IDS = {
    "submit": "0f8c1f52-6f0e-4c0b-9d51-3a2f4f7a9b60",
    "sign": "1d7a4a0e-5c1b-4f8e-8b7d-2f6c9e3a1b42",
    "attach-paper": "4b90c7de-2f16-4a83-b5e7-c13d8a6e9047",
    "complete-signature": "8a3e6c5d-70f2-4b19-a4c8-d95b1e0f7263",
    "decline": "c2b9f1e7-3d48-4a65-9e0c-71a8d4f6b35e",
    "cancel": "e65d0b3c-94a7-4c12-8f3b-0a9e7d2c5184",
    "amend": "3b9d6f40-1e27-4a8c-b5d3-6c0f92e8a714",
    "terminate": "97c4e2a8-5f13-4d60-8b7e-d10a63f9c25b",
    "follow-up-done": "6e1f0b93-c47a-4d25-9e86-2b5d80a7f31c",
}
_CERTIFICATE = (
    "MIICbjCCAhSgAwIBAgIQCs6utYxoQOq1TFskVZeZrDAKBggqhkjOPQQDAjB6MQswCQYDVQQGEwJOTzEsMCoGA1UECgwjU2lnbmVy"
    "dCBEZXZlbG9wbWVudCDigJMgaWtrZSBneWxkaWcxPTA7BgNVBAMMNFVUVklLTElORyBVdHN0ZWRlci1DQSA1MTRmM2M0ZCAoU2ln"
    "bmVydCBEZXZlbG9wbWVudCkwHhcNMjYxMTIyMDIwNjE2WhcNMjYxMjIyMDIwNjE2WjBtMQswCQYDVQQGEwJOTzEgMB4GA1UEAwwX"
    "VVRWSUtMSU5HIEjDpWtvbiBCw6ZpdmkxDzANBgNVBCoMBkjDpWtvbjEPMA0GA1UEBAwGQsOmaXZpMRowGAYDVQQFExFQTk9OTy0y"
    "MTg2MDE2NDUyMDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABDBNHFRpDaUn93Cad/tDfp+iH9P2TozEhF6e3PO0vMYOV3F0VoWe"
    "Br29SvhDHBjdkVxlJrEEOG8EADSoS352LVyjgYgwgYUwDgYDVR0PAQH/BAQDAgZAMB0GA1UdDgQWBBRSRjOnIEqctQOjlHQ+9+fg"
    "UxjEKDAfBgNVHSMEGDAWgBTO/5/rZfth3tebLMTYWYN58kDp0jAzBgNVHR8ELDAqMCigJqAkhiJodHRwOi8vMTI3LjAuMC4xOjI1"
    "OTcwL2lzc3VpbmcuY3JsMAoGCCqGSM49BAMCA0gAMEUCIBZFOLaro2qdX4DoXskCeBfeJFFRpr+Mr9F5lwHRoVwQAiEAtnFOPyX/"
    "bki/wzwmSIcIaNIWTvzf896ZxqJfpy3pveo="
)
_ISSUER = (
    "MIICwzCCAmqgAwIBAgIQUsDp6CUUlwjbcGNwIsFS2TAKBggqhkjOPQQDAjB1MQswCQYDVQQGEwJOTzEsMCoGA1UECgwjU2lnbmVy"
    "dCBEZXZlbG9wbWVudCDigJMgaWtrZSBneWxkaWcxODA2BgNVBAMML1VUVklLTElORyBSb3QtQ0EgNTE0ZjNjNGQgKFNpZ25lcnQg"
    "RGV2ZWxvcG1lbnQpMB4XDTI2MTEyMTAyMDYwNFoXDTM2MTExOTAyMDYwNFowejELMAkGA1UEBhMCTk8xLDAqBgNVBAoMI1NpZ25l"
    "cnQgRGV2ZWxvcG1lbnQg4oCTIGlra2UgZ3lsZGlnMT0wOwYDVQQDDDRVVFZJS0xJTkcgVXRzdGVkZXItQ0EgNTE0ZjNjNGQgKFNp"
    "Z25lcnQgRGV2ZWxvcG1lbnQpMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAENaYOTHVLY5o3xX8J6Kng8yqdr4tfc3PXoFlmnERY"
    "srmk9mCLnz2SCf/z27VmnFbFcFLELli21jvHyyZp05KJnqOB1jCB0zAdBgNVHQ4EFgQUzv+f62X7Yd7XmyzE2FmDefJA6dIwHwYD"
    "VR0jBBgwFoAUwvrJ9rsFCG50hioixkCfhlm1iEswDgYDVR0PAQH/BAQDAgEGMBIGA1UdEwEB/wQIMAYBAf8CAQAwMAYDVR0fBCkw"
    "JzAloCOgIYYfaHR0cDovLzEyNy4wLjAuMToyNTk3MC9yb290LmNybDA7BggrBgEFBQcBAQQvMC0wKwYIKwYBBQUHMAKGH2h0dHA6"
    "Ly8xMjcuMC4wLjE6MjU5NzAvcm9vdC5jcnQwCgYIKoZIzj0EAwIDRwAwRAIgHplsV8yQd9DQ1G5tzwsRvzjN5Kqm61Cw/1mDZHnC"
    "6GgCIBWmlHWfHp0gmhqLzz4tM5jHW8D8ZRH2WRTZeXT3mHWm"
)
_SIGNATURE = (
    "MEUCIFSM0VJrDiHNjSpgh+kXxt+ow9yOusQUx3sSZAii0iJFAiEAjIRvI35e3FbGrzfq6yz82FUF/2KaUJVmle/0sMYoDMQ="
)

_DOCS = Path(__file__).resolve().parent


def headers(name: str) -> dict[str, str]:
    """The message's application headers."""
    return {"id": _COMMAND_IDS[name], "task": f"{COMMAND_PREFIX}{name}"}


def properties(name: str) -> dict[str, Any]:
    """How the message is published: method arguments of basic.publish, then the message's properties."""
    queue = Broker("amqps://broker.example/").queue(COMMANDS)
    return {
        "exchange": queue.exchange.name,
        "routing_key": queue.routing_key,
        "mandatory": True,
        "properties": {
            "content_type": "application/json",
            "content_encoding": "utf-8",
            "delivery_mode": 2,
            "headers": headers(name),
        },
    }


def body(name: str) -> list[Any]:
    """The message's body."""
    return [[], {"command": command(name)}, {}]


def command(name: str) -> dict[str, Any]:
    """The command itself. Raises `KeyError` for one without an example."""
    command_id = {"command_id": _COMMAND_IDS[name]}
    if name == "submit":
        return {**command_id, "agreement": {"id": AGREEMENT_ID, **_agreement()}}
    evidence = {
        "method": "bankid",
        "level": "high",
        "time": "2026-12-01T02:05:48Z",
        "reference": "b7d0f6f2-0c55-4b1e-9a53-6a1f0f2f9f11",
    }
    on_paper = events()["agreement.paper-attached"]["data"]
    to_sign = events()["agreement.signature-requested"]["data"]["to_sign"]
    fields: dict[str, dict[str, Any]] = {
        "sign": {"role": "participant", "certificates": [_CERTIFICATE, _ISSUER], "evidence": evidence},
        "complete-signature": {
            "role": "participant",
            "prepared": to_sign["prepared"],
            "signature": _SIGNATURE,
        },
        "attach-paper": {
            "roles": ["participant"],
            "scan": {"media_type": "application/pdf", "sha256": on_paper["scan"]["sha256"]},
            "signed_on": on_paper["signed_on"],
        },
        "decline": {"role": "participant", "reason": "content"},
        "cancel": {"reason": "replaced"},
        "amend": {
            "change": ["accommodation"],
            "reason": "Etter to uker viste det seg at støyen i verkstedet er et hinder.",
            "patch": {
                "accommodation": [
                    {
                        "need": "Støy fra verkstedet",
                        "measure": "Hørselvern med samtalefunksjon",
                        "responsible": "employer",
                        "deadline": "2037-01-15",
                        "status": "planned",
                    }
                ]
            },
        },
        "follow-up-done": {
            "item": "meeting-2036-12-15",
            "done_on": "2036-12-15",
            "note": "Alle møtte. Hørselvernet virker.",
        },
        "terminate": {"version": 2, "reason": "started_in_job", "date": "2037-06-30"},
    }
    version = {} if name == "follow-up-done" else {"version": 1}
    return {**command_id, "agreement_id": AGREEMENT_ID, **version, **fields[name]}


@cache
def events() -> dict[str, dict[str, Any]]:
    """One event of each type, by type. Raises `KeyError` that names a type without an example."""
    path = _DOCS / "event-examples.json"
    told = {event["type"]: event for event in json.loads(path.read_text(encoding="utf-8"))}
    if missing := EVENT_SCHEMAS.keys() - told.keys():
        raise KeyError(f"add to {path.name} an example of: {', '.join(sorted(missing))}")
    return {name: told[name] for name in EVENT_SCHEMAS}


def _agreement() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((_DOCS.parent / "examples/minimal.json").read_text(encoding="utf-8"))
    return found
