"""What a running service tells of itself: log, metrics, traces and events, and that none of it names a person.

One installation with an S3 store, the embedded broker, a mail server, a collector of traces, a worker and the HTTP
service.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
import requests
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from kombu import Consumer, Message, Queue

from service.adapters.s3 import S3Store
from service.domain.signals import METRICS
from tests.e2e.conftest import EXAMPLES, ROOT, Installation, running_worker, wait_until
from tests.oidcprovider import Provider, serve_provider
from tests.otlpreceiver import Collector, receiving_traces
from tests.ports import free_ports
from tests.s3server import S3Server
from tests.webservice import write_issuers

pytestmark = [pytest.mark.office, pytest.mark.broker, pytest.mark.pki]

EXAMPLE = json.loads((EXAMPLES / "agreement.json").read_text(encoding="utf-8"))
SUBSIDY = json.loads((EXAMPLES / "temporary_wage_subsidy.json").read_text(encoding="utf-8"))
AMENDMENT = json.loads((EXAMPLES / "story/2-needs.json").read_text(encoding="utf-8"))
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"
STRANGER = "Ingvild Åsmundstad"
"""Stands where nobody should stand: in a key, in a header, in an address."""
STRANGERS_NUMBER = "13097248022"
HEALTH = "Har vondt i ryggen etter en ulykke"


# --- what is personal ---------------------------------------------------------------------------------------

_CODES = frozenset(
    {
        "status", "responsible", "deadline", "category", "date", "start", "end", "language", "system", "reference",
        "version", "measure_code", "origin", "address_protection", "number", "id", "command_id", "method", "role_code",
    }
)  # fmt: skip
"""Fields whose values are codes, dates, or numbers of cases and organisations (which anybody can look up)."""
_WORDS_OF_ALL = frozenset(
    {"participant", "employer", "adviser", "mentor", "none", "planned", "done", "in_progress"}
)


def personal_values(data: Any, name: str = "") -> Iterator[str]:
    """Every text of the input that is no code."""
    if isinstance(data, Mapping):
        for key, value in data.items():
            if key != "template":
                yield from personal_values(value, key)
    elif isinstance(data, list):
        for item in data:
            yield from personal_values(item, name)
    elif isinstance(data, str) and name not in _CODES and re.search(r"[\s@0-9]|[A-ZÆØÅ]", data):
        yield data


def forms(value: str) -> set[str]:
    """How the value may look somewhere else: folded, without spaces, in an address, in Base64, escaped."""
    raw = value.encode()
    found = {
        value,
        quote(value),
        quote(value, safe=""),
        quote_plus(value),
        quote(value.casefold()),
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        ascii(value)[1:-1],
        str(raw)[2:-1],
        raw.hex(),
    }
    digits = re.sub(r"\D", "", value)
    if len(digits) >= 8:
        found.add(digits)
    # In Base64 the same bytes look different by where they begin; the first and last letters depend on the neighbours.
    found |= {
        base64.b64encode(b"\0" * shift + raw).decode()[4 if shift else 0 :].rstrip("=")[:-2]
        for shift in range(3)
    }
    return {form.casefold() for form in found if len(form) >= 4}


# --- the installation ---------------------------------------------------------------------------------------


class Post:
    """A mail server that takes letters, and refuses one recipient in words that name it."""

    def __init__(self, refused: str) -> None:
        self.refused = refused
        self.recipients: list[str] = []

    async def handle_RCPT(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if address == self.refused:
            return f"550 5.1.1 <{address}> unknown here"
        self.recipients.append(address)
        envelope.rcpt_tos.append(address)
        return "250 OK"


@dataclass
class Watched:
    """The installation, and all that it has let out."""

    installation: Installation
    collector: Collector
    provider: Provider
    store: S3Store
    metrics: dict[str, str]
    """Address of `/metrics`, by the part of the service."""
    address: str
    served_log: Path
    said: list[str] = field(default_factory=list)
    """What the command line printed where it refused something."""
    answers: list[str] = field(default_factory=list)
    """What the HTTP service answered to those who may not see it."""
    events: list[tuple[dict[str, Any], str]] = field(default_factory=list)
    """Headers and body of each message."""

    def drain(self, wanted: str, subject: str | None = None, seconds: float = 90) -> dict[str, Any]:
        """Read events until there is one of this type; it."""

        def keep(message: Message) -> None:
            body = message.body if isinstance(message.body, str) else bytes(message.body).decode()
            self.events.append((dict(message.headers), body))
            message.ack()

        def fits(event: dict[str, Any]) -> bool:
            return event["type"] == wanted and subject in (None, event["subject"])

        with self.installation.broker() as connection, connection.channel() as channel:
            queue = Queue("signert.events", no_declare=True)
            with Consumer(channel, [queue], on_message=keep, auto_declare=False):
                while True:
                    found = [e for _, body in self.events if fits(e := json.loads(body))]
                    if found:
                        return found[-1]
                    connection.drain_events(timeout=seconds)

    def send(self, command: str, payload: Any, **headers: Any) -> None:
        body = json.dumps([[], {"command": payload}, {"callbacks": None, "errbacks": None, "chain": None}])
        usual = {"id": str(uuid.uuid4()), "task": f"signert.v1.{command}", "lang": "py"}
        self.installation.send(body, headers={**usual, **headers})

    def get(self, path: str, **claims: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.provider.token(**claims)}"} if claims else {}
        found = requests.get(
            f"{self.address}{path}",
            headers={**headers, "User-Agent": STRANGER.encode().decode("latin-1")},
            timeout=60,
        )
        self.answers.append(found.text)
        return found

    def measured(self, part: str = "worker") -> str:
        found = requests.get(self.metrics[part], timeout=30)
        assert found.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        return found.text

    def value(self, name: str, part: str = "worker", **labels: str) -> float:
        """The sum of a metric's samples that have these labels."""
        total = 0.0
        for line in self.measured(part).splitlines():
            found = re.fullmatch(rf"{name}(?:\{{(.*)\}})? (\S+)", line)
            if found:
                own = dict(re.findall(r'(\w+)="([^"]*)"', found[1] or ""))
                if labels.items() <= own.items():
                    total += float(found[2])
        return total

    def lines(self) -> list[dict[str, Any]]:
        """The worker's log."""
        return [json.loads(line) for line in self.installation.log.read_text(encoding="utf-8").splitlines()]


@contextlib.contextmanager
def serving(environ: Mapping[str, str], port: int, log: Path) -> Iterator[None]:
    command = [
        sys.executable,
        "-m",
        "service.entrypoints.cli",
        "serve",
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=dict(environ), cwd=ROOT, stdout=output, stderr=output)
    try:
        wait_until(lambda: _answers(f"http://127.0.0.1:{port}/readyz"))
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _answers(address: str) -> bool:
    with contextlib.suppress(requests.ConnectionError):
        return requests.get(address, timeout=10).status_code == 200
    return False


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, s3_server: S3Server) -> Iterator[Watched]:
    """Everything at work, and everything that can happen to a person's data has happened."""
    home = tmp_path_factory.mktemp("watched")
    managed, served, port = free_ports(3)
    with contextlib.ExitStack() as stack:
        post = Controller(
            Post(EXAMPLE["parties"]["employer"]["email"]), hostname="127.0.0.1", port=free_ports(1)[0]
        )
        post.start()
        stack.callback(post.stop)
        collector = stack.enter_context(receiving_traces())
        provider = stack.enter_context(serve_provider())
        settings = {
            **s3_server.environ,
            "SIGNERT_STORE": f"s3://{S3Server.PLAIN}/watched",
            "SIGNERT_S3_ENDPOINT": s3_server.endpoint,
            "SIGNERT_LOG_FORMAT": "json",
            "SIGNERT_MANAGEMENT_PORT": str(managed),
            "SIGNERT_SMTP": f"smtp://127.0.0.1:{post.port}",
            "SIGNERT_MAIL_FROM": "ikke-svar@nav.example.no",
            "SIGNERT_PUBLIC_URL": "http://127.0.0.1/avtaler",
            "SIGNERT_ISSUERS": str(write_issuers(home, provider)),
            "SIGNERT_ABANDONED_AFTER": "5",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
            "OTEL_BSP_SCHEDULE_DELAY": "200",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
        }
        installation = Installation(home, **settings)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in s3_server.environ.items():
                patch.setenv(name, value)
            store = S3Store(S3Server.PLAIN, "watched", endpoint=s3_server.endpoint)
            found = Watched(
                installation, collector, provider, store,
                {p: f"http://127.0.0.1:{n}/metrics" for p, n in (("worker", managed), ("http", served))},
                f"http://127.0.0.1:{port}", home / "serve.log",
            )  # fmt: skip
            own = {**installation.environ, "SIGNERT_MANAGEMENT_PORT": str(served)}
            with running_worker(installation, "--loglevel", "DEBUG"), serving(own, port, found.served_log):
                _let_it_all_happen(found)
                yield found


_SIGNED, _DECLINED = str(uuid.uuid4()), str(uuid.uuid4())
_REFUSED = {
    # A number that is none, and texts where only codes may stand.
    "number": {**EXAMPLE, "parties": {**EXAMPLE["parties"], "participant": {
        **EXAMPLE["parties"]["participant"], "national_id": "17849431022"}}},
    "code": {**EXAMPLE, "language": HEALTH, "origin": STRANGER},
    "case": {**EXAMPLE, "case": {"system": "tiltak", "reference": STRANGERS_NUMBER}},
    # A person's name for a field's name.
    "key": {**EXAMPLE, STRANGER: HEALTH, "parties": {**EXAMPLE["parties"], STRANGERS_NUMBER: {"first_name": STRANGER}}},
}  # fmt: skip


def _let_it_all_happen(watched: Watched) -> None:
    watched.send(
        "submit",
        {"command_id": str(uuid.uuid4()), "agreement": {**EXAMPLE, "id": _SIGNED}},
        traceparent=f"00-{TRACE}-{CALLER}-01",
        argsrepr="()",
        kwargsrepr=repr(EXAMPLE),  # as Celery's own producers send it
    )
    watched.drain("agreement.signed", _SIGNED)
    watched.drain("agreement.copy-available", _SIGNED)
    watched.send("amend", {"command_id": str(uuid.uuid4()), "agreement_id": _SIGNED, **AMENDMENT})
    watched.send(
        "submit",
        {
            "command_id": str(uuid.uuid4()),
            "agreement": {**SUBSIDY, "id": _DECLINED},
            "signing": {"parties": {"participant": {"method": "outside"}}},
        },
    )
    watched.drain("agreement.signature-requested", _DECLINED)
    watched.send(
        "decline",
        {
            "command_id": str(uuid.uuid4()),
            "agreement_id": _DECLINED,
            "role": "participant",
            "reason": "other",
        },
    )
    watched.drain("agreement.declined", _DECLINED)
    refused = {str(uuid.uuid4()): agreement for agreement in _REFUSED.values()}
    for command_id, agreement in refused.items():
        watched.send("submit", {"command_id": command_id, "agreement": agreement})
        watched.drain("agreement.rejected", command_id)
    # What is no command, with people where ids and names of tasks should be.
    watched.installation.send(
        json.dumps([[STRANGER], {STRANGERS_NUMBER: HEALTH}, {}]),
        headers={"id": STRANGERS_NUMBER, "task": f"signert.v1.{STRANGER}", "lang": "py"},
    )
    watched.installation.send(f"{STRANGER} {HEALTH}", headers={}, content_type="text/plain")
    watched.send("sign", {"command_id": STRANGERS_NUMBER, "agreement_id": STRANGER, "role": HEALTH})
    path = watched.installation.home / "refused.json"
    path.write_text(json.dumps(_REFUSED["key"]), encoding="utf-8")
    watched.said.append(watched.installation.signert("submit", path, "--wait", ok=3).stderr)
    wait_until(lambda: watched.value("signert_commands_total", outcome="refused") >= 8)
    party = {
        "role": "party",
        "pid": EXAMPLE["parties"]["participant"]["national_id"],
        "sub": STRANGERS_NUMBER,
    }
    assert watched.get(f"/api/v1/agreements/{_SIGNED}", **party).status_code == 200
    del watched.answers[:]  # those who may see it do
    for path in (
        f"/api/v1/agreements/{STRANGERS_NUMBER}",
        f"/api/v1/agreements/{quote(STRANGER)}?q={STRANGERS_NUMBER}",
        f"/api/v1/agreements?case_reference={quote(STRANGER)}&status={STRANGERS_NUMBER}",
    ):
        assert watched.get(path, **{**party, "pid": STRANGERS_NUMBER, "name": STRANGER}).status_code >= 400
        assert watched.get(path).status_code >= 400
    # The page that says so has its own address in it, in links to other languages: for who has sent it.
    assert requests.get(f"{watched.address}/{quote(STRANGER)}", timeout=60).status_code == 404
    wait_until(lambda: watched.value("signert_sweep_last_success_timestamp_seconds") > 0)
    wait_until(lambda: watched.value("signert_parked") == watched.value("signert_runs_under_way") == 0)
    wait_until(lambda: any(span.name == "step issue-receipt" for span in watched.collector.spans))


# --- the log ------------------------------------------------------------------------------------------------


def test_every_line_of_the_log_is_json_and_says_what_it_is_about(watched: Watched) -> None:
    lines = watched.lines()
    assert {"time", "level", "logger", "message", "process"} <= set.intersection(*map(set, lines))
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"]) for line in lines)
    of_it = [line for line in lines if line.get("agreement") == _SIGNED and line.get("task") == "submit"]
    assert any("step=issue-receipt" in line["message"] for line in of_it)
    assert all(uuid.UUID(line["command"]) for line in of_it)
    served = [json.loads(line) for line in watched.served_log.read_text(encoding="utf-8").splitlines()]
    asked = [
        line
        for line in served
        if line["message"].startswith("GET /api/v1/agreements/<string:agreement_id> 2")
    ]
    assert asked
    assert {line["agreement"] for line in asked} == {_SIGNED}
    assert all(re.fullmatch(r"[0-9a-f]{32}", line["trace_id"]) for line in asked)


# --- traces -------------------------------------------------------------------------------------------------


def test_a_command_is_one_trace_from_its_sender_to_the_receipt(watched: Watched) -> None:
    spans = {span.id: span for span in watched.collector.spans if span.trace == TRACE}
    (first,) = [span for span in spans.values() if span.parent == CALLER]
    assert (first.name, first.service) == ("task submit", "signert")
    assert {span.parent for span in spans.values()} <= {CALLER, *spans}
    steps = {
        span.name for span in spans.values() if span.parent == first.id and span.name.startswith("step ")
    }
    assert {f"step {s}" for s in ("render", "prepare", "sign", "augment", "verify", "issue-receipt")} <= steps
    parents = {spans[span.parent].name for span in spans.values() if span.name == "S3.PutObject"}
    assert {"step render", "task submit"} <= parents
    asked = [span for span in spans.values() if span.name == "POST"]
    assert {spans[span.parent].name for span in asked} >= {
        "step sign",
        "step augment",
    }  # the time-stamping authority
    assert all(span.attributes["server.address"] == "127.0.0.1" for span in asked)


def test_log_lines_and_events_name_the_trace(watched: Watched) -> None:
    spans = {span.id for span in watched.collector.spans if span.trace == TRACE}
    lines = [line for line in watched.lines() if line.get("trace_id") == TRACE]
    assert any("step=render" in line["message"] for line in lines)
    assert {line["span_id"] for line in lines} <= spans
    told = [(json.loads(body), headers) for headers, body in watched.events]
    headers = next(h for e, h in told if e["type"] == "agreement.signed" and e["subject"] == _SIGNED)
    version, trace, parent, _flags = headers["traceparent"].split("-")
    assert (version, trace) == ("00", TRACE)
    assert parent in spans


def test_requests_are_traced_by_their_route(watched: Watched) -> None:
    wait_until(lambda: any(s.name.startswith("GET /api") for s in watched.collector.spans))
    routes = {s.name for s in watched.collector.spans if s.name.startswith("GET")}
    assert "GET /api/v1/agreements/<string:agreement_id>" in routes
    assert not any("/readyz" in route for route in routes)


# --- metrics ------------------------------------------------------------------------------------------------


def test_metrics_tell_what_happened(watched: Watched) -> None:
    value = watched.value
    assert value("signert_commands_total", command="submit", outcome="accepted") == 2
    assert value("signert_commands_total", command="decline", outcome="accepted") == 1
    assert value("signert_commands_total", command="malformed", outcome="refused") == 2
    assert value("signert_commands_total", outcome="refused", code="invalid") >= 4
    assert value("signert_versions_finished_total", outcome="signed") == 2
    assert value("signert_versions_finished_total", outcome="declined") == 1
    for step in ("render", "augment", "verify", "issue-receipt"):
        assert value("signert_step_duration_seconds_count", step=step, outcome="done") >= 2
    assert value("signert_step_duration_seconds_count", step="sign", means="pkcs12") >= 8
    assert value("signert_timestamp_duration_seconds_count", outcome="token") >= 10
    assert value("signert_timestamp_authority_passed_over") == 0
    assert value("signert_store_duration_seconds_count", operation="create") > 50
    assert value("signert_store_errors_total") == 0
    assert value("signert_office_starts_total", reason="first") == 1
    assert value("signert_broker_up") == 1
    assert value("signert_queue_messages", queue="signert.commands") == 0
    assert value("signert_quarantine_messages") >= 7
    assert value("signert_processes") >= 1
    served = watched.value("signert_http_request_duration_seconds_count", "http", status="200")
    assert served >= 1
    assert watched.value("signert_store_duration_seconds_count", "http", operation="get") > 0


def test_every_metric_shown_is_one_that_is_defined(watched: Watched) -> None:
    defined = {m.name for m in METRICS}
    for part in watched.metrics:
        shown = set(re.findall(r"^# TYPE (\S+)", watched.measured(part), re.MULTILINE))
        # The text format 0.0.4 names a counter with its ending.
        assert {name for name in shown if name.startswith("signert_")} == shown <= defined


def test_metrics_and_probes_are_not_where_the_public_is(watched: Watched) -> None:
    assert requests.get(f"{watched.address}/metrics", timeout=30).status_code == 404


# --- nobody is named ----------------------------------------------------------------------------------------


def test_nothing_that_leaves_the_service_names_a_person(watched: Watched) -> None:
    """Searches all that came out for all that went in.

    Let through on purpose is nothing: events carry ids, roles, times and hashes only (docs/integration.md). Not
    searched are the places that are there for the data: blobs and quarantine in the store, messages on the command
    queue, letters.
    """
    inputs = [EXAMPLE, SUBSIDY, AMENDMENT, *_REFUSED.values()]
    values = {value for data in inputs for value in personal_values(data)}
    values |= {STRANGER, STRANGERS_NUMBER, HEALTH, "17849431022"}
    assert {"17849431021", "Ájlin Šárá", "+47 000 00 001", "bjorn.age@nav.invalid", "Z990123"} <= values
    sought = {form: value for value in values for form in forms(value)}
    places = dict(_all_that_came_out(watched))
    assert all(places.values())
    found = {
        f"{value!r} in {place}: …{text[max(0, at - 120) : at + 160]}…"
        for place, original in places.items()
        for text in [original.casefold()]
        for form, value in sought.items()
        if (at := text.find(form)) >= 0
    }
    assert not found, "\n\n".join(sorted(found))


def _all_that_came_out(watched: Watched) -> Iterator[tuple[str, str]]:
    home = watched.installation.home
    yield "worker's log", watched.installation.log.read_text(encoding="utf-8")
    yield "HTTP service's log", watched.served_log.read_text(encoding="utf-8")
    yield "embedded broker's log", (home / "broker/broker.log").read_text(encoding="utf-8") + " "
    yield "command line", "\n".join(watched.said)
    yield "HTTP answers", "\n".join(watched.answers)
    yield "events", "\n".join(f"{headers} {body}" for headers, body in watched.events)
    yield "traces", watched.collector.text
    yield "traces, raw", "\n".join(body.decode("utf-8", "replace") for body in watched.collector.bodies)
    for part in watched.metrics:
        yield f"metrics of {part}", watched.measured(part)
    keys = list(watched.store.list())
    yield "keys of objects", "\n".join(keys)
    for key in keys:
        place = key.split("/")
        if place[0] != "quarantine" and "blobs" not in place and (body := watched.store.get(key)):
            yield key, body.decode("utf-8", "replace")


def test_the_search_finds_what_is_hidden() -> None:
    """The search itself: a value in each of the forms that it looks for."""
    hidden = [
        "national_id=178494 31021".replace(" ", ""),
        quote("ájlin šárá"),
        base64.b64encode("og så Ájlin Šárá Øvergård.".encode()).decode(),
        base64.b64encode("Så: Ájlin Šárá Øvergård.".encode()).decode(),
        json.dumps({"name": "Ájlin Šárá"}),
        "tel:+4700000001",
    ]
    sought = {f for v in ("17849431021", "Ájlin Šárá", "+47 000 00 001") for f in forms(v)}
    assert all(any(form in text.casefold() for form in sought) for text in hidden)


# --- what is asked for must be had --------------------------------------------------------------------------


def test_traces_that_cannot_be_sent_are_refused_at_the_start(tmp_path: Path) -> None:
    installation = Installation(tmp_path / "home")
    without = tmp_path / "without/opentelemetry"
    without.mkdir(parents=True)
    (without / "__init__.py").write_text("raise ImportError('not installed')\n")
    installation.environ |= {
        "OTEL_TRACES_EXPORTER": "otlp",
        "PYTHONPATH": os.pathsep.join([str(without.parent), str(ROOT)]),
    }
    refused = installation.signert("worker", ok=3).stderr
    assert "pip install 'signert[telemetry]'" in refused
