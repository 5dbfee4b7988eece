"""Refused messages: kept once, answered anew for a new reason, looked at without their content, sent again."""

from __future__ import annotations

import base64
import copy
import json
import uuid
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from service.entrypoints import output
from service.entrypoints.cli import cli
from service.errors import CommandRejected, FieldError, NotFound, SignertError, StoreError
from service.pipeline.intake import receive
from service.pipeline.quarantine import reject, rejection_id, rejections
from service.pipeline.resubmission import (
    Kept,
    NotResubmittable,
    Wire,
    command_again,
    find_kept,
    kept_messages,
    record,
)
from service.pipeline.services import Services
from tests.fakes import EventList, ManualClock, MemoryStore, without_tools

ROOT = Path(__file__).parents[2]
EXAMPLE = json.loads((ROOT / "examples/agreement.json").read_text())
WIRE = Wire(task_prefix="signert.v1.", max_message=100_000)


@pytest.fixture
def events() -> EventList:
    return EventList()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def services(events: EventList, clock: ManualClock) -> Services:
    return without_tools(clock=clock, events=events)


def error(code: str) -> CommandRejected:
    return CommandRejected(f"refused: {code}", [FieldError("agreement", code, "Mend it.")], code=code)


def command() -> dict[str, Any]:
    return {"command_id": str(uuid.uuid4()), "agreement": copy.deepcopy(EXAMPLE)}


def refused(services: Services, payload: Any, code: str = "invalid", **more: Any) -> Kept:
    """The message as it is kept after it was refused."""
    reject(services, "submit", payload, error(code), **more)
    return find_kept(services.store, rejection_id("submit", payload))


def raw(body: bytes, **headers: Any) -> dict[str, Any]:
    return {
        "headers": headers,
        "content_type": "application/json",
        "content_encoding": "utf-8",
        "body_base64": base64.b64encode(body).decode(),
    }


def malformed(services: Services, message: dict[str, Any]) -> Kept:
    reject(services, "malformed", message, error("malformed_message"))
    return find_kept(services.store, rejection_id("malformed", message))


# --- kept and answered ------------------------------------------------------------------------------------


def test_the_same_message_with_the_same_error_is_kept_once_and_answered_with_the_same_event(
    services: Services, events: EventList, clock: ManualClock
) -> None:
    payload = command()
    first = refused(services, payload)
    clock.advance(timedelta(hours=1))
    assert refused(services, payload) == first
    assert events.events[0] == events.events[1]


def test_the_same_message_refused_for_another_reason_is_answered_anew(
    services: Services, events: EventList, clock: ManualClock
) -> None:
    payload = command()
    first = refused(services, payload, "unknown_template")
    clock.advance(timedelta(hours=1))
    second = refused(services, payload, "measure_not_served")
    assert second.id == first.id
    assert second.code == "measure_not_served"
    assert second.received_at > first.received_at
    assert [e["data"]["code"] for e in events.events] == ["unknown_template", "measure_not_served"]  # type: ignore[index]
    refused(services, payload, "unknown_template")  # for the first reason again: that is a new answer too
    assert len({str(e["id"]) for e in events.events}) == 3
    assert len(list(services.store.list("quarantine/"))) == 1
    assert list(rejections(services)) == []


def test_an_answer_that_waits_is_published_before_another_takes_its_place(
    services: Services, events: EventList
) -> None:
    payload = command()
    events.failure = StoreError("broker gone")
    with pytest.raises(StoreError):
        refused(services, payload, "unknown_template")
    events.failure = None
    refused(services, payload, "measure_not_served")
    assert [e["data"]["code"] for e in events.events] == ["unknown_template", "measure_not_served"]  # type: ignore[index]


def test_workers_that_refuse_the_same_message_at_once_give_the_same_answer(
    services: Services, events: EventList
) -> None:
    store = services.store
    payload = command()
    key = f"quarantine/{rejection_id('submit', payload)}.json"

    class Raced(MemoryStore):
        """Another worker is first to keep the message."""

        def create(self, key: str, body: bytes, **more: Any) -> None:
            self.objects[key] = other
            super().create(key, body, **more)

    reject(services, "submit", payload, error("invalid"))
    other = store.get(key)
    raced = Raced()
    given = Services(**{**vars(services), "store": raced})
    reject(given, "submit", payload, error("invalid"))
    assert events.events[0] == events.events[1]
    assert raced.get(key) == other


def test_what_cannot_be_read_in_quarantine_is_replaced(services: Services) -> None:
    payload = command()
    key = f"quarantine/{rejection_id('submit', payload)}.json"
    services.store.put(key, b"{")
    with pytest.raises(StoreError):
        find_kept(services.store, rejection_id("submit", payload))
    assert list(kept_messages(services.store)) == []
    assert refused(services, payload).message == payload


# --- looked at --------------------------------------------------------------------------------------------


def test_the_beginning_of_an_id_is_enough(services: Services) -> None:
    found = [refused(services, command()) for _ in range(3)]
    assert [find_kept(services.store, kept.id[:12]) for kept in found] == found
    store = services.store
    store.put(f"quarantine/{found[0].id[:8]}{'0' * 56}.json", store.get(f"quarantine/{found[0].id}.json"))
    with pytest.raises(SignertError) as ambiguous:
        find_kept(store, found[0].id[:8])
    assert ambiguous.value.code == "ambiguous"
    for nothing in ("", "zz", "../x", "0" * 64):
        with pytest.raises(NotFound):
            find_kept(store, nothing)


def personal(value: Any) -> list[str]:
    """The texts of a message, all of them."""
    if isinstance(value, dict):
        return [text for item in value.values() for text in personal(item)]
    if isinstance(value, list):
        return [text for item in value for text in personal(item)]
    return [value] if isinstance(value, str) and len(value) > 8 else []


def test_nothing_of_a_message_is_shown_unless_asked_for(
    services: Services, capsys: pytest.CaptureFixture[str]
) -> None:
    payload = command()
    kept = refused(services, payload, signature="header..value")
    body = json.dumps([[], {"command": payload}, {}]).encode()
    headers = {"id": "1", "task": "signert.v1.submitt", "kwargsrepr": repr(payload), "x\x1b[31m": "y"}
    odd = malformed(services, raw(body, **headers))
    for as_json in (False, True):
        lines = [output.KeptLine.of(k) for k in (kept, odd)]
        output.kept_list(lines, Counter(k.code for k in (kept, odd)), code=None, as_json=as_json)
        for one in (kept, odd):
            output.kept_message(one, waiting=False, content=False, as_json=as_json)
    shown = capsys.readouterr().out
    for text in (*personal(payload["agreement"]), "header..value", "\x1b"):
        assert text not in shown
    for text in (kept.id, payload["command_id"], "signert.v1.submitt", "Mend it.", "kwargsrepr"):
        assert text in shown
    output.kept_message(kept, waiting=False, content=True, as_json=True)
    assert json.loads(capsys.readouterr().out)["message"] == payload
    output.kept_message(odd, waiting=False, content=True, as_json=True)
    assert json.loads(capsys.readouterr().out)["message"]["body"] == body.decode()


def test_the_list_says_what_became_of_a_message_that_was_sent_again(
    services: Services, clock: ManualClock, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = refused(services, command())
    sent = command_again(services.store, kept, WIRE)
    record(services.store, clock, kept, sent)

    def listed() -> str:
        lines = [output.KeptLine.of(k) for k in kept_messages(services.store)]
        output.kept_list(lines, {"invalid": 1}, code=None, as_json=False)
        return capsys.readouterr().out

    assert "not taken in so far" in listed()
    marker = receive(services, sent.name, sent.payload)
    assert f"agreement {marker.agreement_id}" in listed()
    assert listed().endswith("1 in quarantine: 1 invalid\n")


def test_what_became_of_a_correction_is_told_after_the_original_was_sent_too(
    services: Services, clock: ManualClock
) -> None:
    kept = refused(services, {**command(), "agreement": {}})
    corrected = command_again(services.store, kept, WIRE, agreement=EXAMPLE)
    record(services.store, clock, kept, corrected)
    marker = receive(services, corrected.name, corrected.payload)
    clock.advance(timedelta(minutes=1))
    record(services.store, clock, kept, command_again(services.store, kept, WIRE))
    first, second = find_kept(services.store, kept.id).resubmissions
    assert (first.corrected, first.agreement_id) == (True, marker.agreement_id)
    assert (second.corrected, second.agreement_id) == (False, None)


# --- sent again -------------------------------------------------------------------------------------------


def test_a_command_is_sent_again_as_it_was(services: Services) -> None:
    payload = command()
    sent = command_again(services.store, refused(services, payload, signature="a..b"), WIRE)
    assert (sent.name, sent.payload, sent.signature) == ("submit", payload, "a..b")
    assert sent.command_id == payload["command_id"]
    assert payload["agreement"]["parties"]["participant"]["last_name"] not in repr(sent)


def test_a_raw_message_is_sent_again_where_a_command_can_be_read_in_it(services: Services) -> None:
    payload = command()
    body = json.dumps([[], {"command": payload, "signature": "a..b"}, {}]).encode()
    kept = malformed(services, raw(body, task="signert.v1.submit"))  # it has no id: Celery could not read it
    sent = command_again(services.store, kept, WIRE)
    assert (sent.name, sent.payload, sent.signature) == ("submit", payload, "a..b")


def test_a_command_among_wrong_arguments_is_sent_alone(services: Services) -> None:
    payload = command()
    kept = refused(services, {"args": [1], "kwargs": {"command": payload}}, "wrong_arguments")
    assert command_again(services.store, kept, WIRE).payload == payload


SUBMIT = {"id": "1", "task": "signert.v1.submit"}
UNSENDABLE: dict[str, tuple[dict[str, Any], str]] = {
    "no task": (raw(b"[[], {}, {}]"), "no task"),
    "another task": (raw(b"[[], {}, {}]", id="1", task="signert.v1.drive"), "no task"),
    "another service's": (raw(b"[[], {}, {}]", id="1", task="submit"), "no task"),
    "no JSON": (raw(b"\x80\x04", **SUBMIT), "not [args, kwargs, embed]"),
    "another body": (raw(b'{"command": 1}', **SUBMIT), "not [args, kwargs, embed]"),
    "no command": (raw(b"[[], {}, {}]", **SUBMIT), "'command'"),
    "too large": (raw(b"[[], {}, {}]" + b" " * 100_000, **SUBMIT), "larger than"),
    "no id": (raw(b'[[], {"command": {"agreement": {}}}, {}]', **SUBMIT), "command id"),
}


@pytest.mark.parametrize("name", UNSENDABLE)
def test_what_holds_no_command_is_sent_only_with_an_agreement_from_a_file(
    services: Services, name: str
) -> None:
    message, why = UNSENDABLE[name]
    kept = malformed(services, message)
    with pytest.raises(NotResubmittable) as told:
        command_again(services.store, kept, WIRE)
    assert why in told.value.message
    assert "--file" in told.value.remedy
    sent = command_again(services.store, kept, WIRE, agreement=EXAMPLE)
    assert sent.payload == {"command_id": sent.command_id, "agreement": EXAMPLE}
    receive(services, sent.name, sent.payload)


@pytest.mark.parametrize("payload", [None, [], "x", {}, {"command_id": "1"}])
def test_a_command_without_a_valid_id_is_not_sent_as_it_is(services: Services, payload: Any) -> None:
    with pytest.raises(NotResubmittable):
        command_again(services.store, refused(services, payload), WIRE)


def test_a_corrected_command_keeps_its_id_and_loses_its_signature(services: Services) -> None:
    payload = {**command(), "agreement": {"language": "xx"}, "stray": 1}
    kept = refused(services, payload, signature="a..b")
    sent = command_again(services.store, kept, WIRE, agreement=EXAMPLE)
    assert sent.payload == {"command_id": payload["command_id"], "agreement": EXAMPLE}
    assert (sent.signature, sent.corrected) == (None, True)
    first = receive(services, sent.name, sent.payload)
    again = command_again(services.store, kept, WIRE, agreement=EXAMPLE)
    assert receive(services, again.name, again.payload) == first  # twice is once


def test_a_corrected_command_whose_id_is_taken_gets_another_one_always_the_same(services: Services) -> None:
    payload = command()
    receive(services, "submit", payload)
    other = {**payload, "agreement": {**EXAMPLE, "language": "nn"}}
    with pytest.raises(CommandRejected) as reused:
        receive(services, "submit", other)
    reject(services, "submit", other, reused.value)
    kept = find_kept(services.store, rejection_id("submit", other))
    first, second = (
        command_again(services.store, kept, WIRE, agreement=other["agreement"]) for _ in range(2)
    )
    assert first == second
    assert first.command_id != payload["command_id"]
    receive(services, first.name, first.payload)


@pytest.mark.parametrize("wrong", [(), ("--all", "0123"), ("0123", "--code", "x"), ("0", "1", "--file", "-")])
def test_a_call_that_makes_no_sense_is_a_usage_error(wrong: tuple[str, ...]) -> None:
    done = CliRunner().invoke(cli, ["quarantine", "resubmit", *wrong])
    assert (done.exit_code, "Error: " in done.output) == (2, True)
