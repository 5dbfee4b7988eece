"""What the service tells of itself: metrics of all processes, figures of a sweep, log lines, dashboard and alerts."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.adapters.metrics import Measures, exposition, new_folder
from service.adapters.observed import ObservedStore
from service.adapters.tracing import traces_are_wanted
from service.domain import signals
from service.domain.signals import METRICS, Kind, Metric, about
from service.entrypoints.cli import cli
from service.entrypoints.output import log_line, start_log
from service.errors import ConfigurationError, NotFound, StoreError
from service.pipeline.census import Census
from service.pipeline.work import Marker, Parked
from tests.fakes import MemoryStore

ROOT = Path(__file__).parents[2]
DASHBOARD = json.loads((ROOT / "helm/dashboards/signert.json").read_text(encoding="utf-8"))
RULES = yaml.safe_load((ROOT / "helm/rules/signert.yaml").read_text(encoding="utf-8"))
RUNBOOKS = (ROOT / "docs/runbooks.md").read_text(encoding="utf-8")
ALERTS = [rule for group in RULES["groups"] for rule in group["rules"]]
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
ASKED = {
    **{f"alert {a['alert']}": a["expr"] for a in ALERTS},
    **{f"panel {p['title']}": t["expr"] for p in PANELS for t in p["targets"]},
}
NOW = datetime(2036, 12, 24, 9, tzinfo=UTC)


# --- metrics ------------------------------------------------------------------------------------------------


@pytest.fixture
def measures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Measures]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")  # put back afterwards as it was
    found = Measures(new_folder())
    yield found
    found.close()


def samples(text: bytes) -> dict[str, float]:
    lines = [line for line in text.decode().splitlines() if line and not line.startswith("#")]
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


def test_what_forked_processes_measure_is_added_up(measures: Measures) -> None:
    measures.count(signals.COMMANDS, "submit", "accepted", "")
    child = os.fork()
    if child == 0:
        measures.count(signals.COMMANDS, "submit", "accepted", "", amount=2)
        measures.observe(signals.STEPS, 0.2, "render", "", "done")
        measures.set(signals.TIMESTAMP_RESTS, 1, "http://tsa")
        os._exit(0)
    os.waitpid(child, 0)
    found = samples(exposition(measures.folder))
    assert found['signert_commands_total{code="",command="submit",outcome="accepted"}'] == 3
    bucket = 'signert_step_duration_seconds_bucket{le="%s",means="",outcome="done",step="render"}'
    assert (found[bucket % "0.1"], found[bucket % "0.25"], found[bucket % "+Inf"]) == (0, 1, 1)
    # The child has ended: what it counted stays, how it stood with the authority does not.
    assert not any(name.startswith("signert_timestamp_authority_passed_over") for name in found)
    assert found["signert_processes"] == 1


def test_a_sweeps_figures_replace_those_of_the_one_before(measures: Measures) -> None:
    measures.replace({signals.PARKED: {("store",): 2.0, ("internal",): 1.0}})
    measures.replace({signals.PARKED: {("store",): 1.0}, signals.SWEPT: {(): 5.0}})
    found = samples(exposition(measures.folder))
    assert {k: v for k, v in found.items() if "parked" in k} == {'signert_parked{code="store"}': 1}
    assert found["signert_sweep_last_success_timestamp_seconds"] == 5


def test_what_is_asked_at_the_scrape_is_in_the_answer(measures: Measures) -> None:
    found = samples(exposition(measures.folder, lambda: {signals.QUEUE: {("signert.commands",): 7.0}}))
    assert found['signert_queue_messages{queue="signert.commands"}'] == 7


def test_folders_of_dead_processes_are_removed_and_those_of_living_ones_kept(
    measures: Measures, tmp_path: Path
) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    left = tmp_path / f"signert-metrics-{os.getuid()}-{gone.pid}-abc"
    left.mkdir()
    mine = new_folder()
    assert not left.exists()
    assert measures.folder.exists()
    assert mine.exists()
    assert mine.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.name)
def test_names_are_as_prometheus_wants_them(metric: Metric) -> None:
    assert re.fullmatch(r"signert_[a-z_]+", metric.name)
    assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)
    assert bool(metric.buckets) == (metric.kind is Kind.HISTOGRAM)
    if metric.kind is Kind.HISTOGRAM:
        assert metric.name.endswith("_seconds")


class Told:
    """`Signals` that remembers."""

    def __init__(self) -> None:
        self.told: list[tuple[str, tuple[str, ...]]] = []

    def count(self, metric: Metric, *labels: str, amount: float = 1) -> None:
        self.told.append((metric.name, labels))

    def observe(self, metric: Metric, value: float, *labels: str) -> None:
        assert value >= 0
        self.told.append((metric.name, labels))

    set, replace = signals.SILENT.set, signals.SILENT.replace
    span, trace_headers = signals.SILENT.span, signals.SILENT.trace_headers


class Failing(MemoryStore):
    def put(self, key: str, body: bytes) -> None:
        raise StoreError("no room", code="store_full")

    def list(self, prefix: str = "", *, after: str | None = None, limit: int | None = None) -> Iterator[str]:
        yield "a"
        raise StoreError("gone")


def test_a_stores_answers_are_timed_and_its_errors_counted() -> None:
    told = Told()
    store = ObservedStore(Failing(), told)
    store.create("a", b"body")
    assert b"".join(store.stream("a")) == b"body"
    with pytest.raises(NotFound):
        store.get("b")
    with pytest.raises(StoreError):
        store.put("a", b"")
    with pytest.raises(StoreError):
        list(store.list())
    times = [labels for name, labels in told.told if name == "signert_store_duration_seconds"]
    assert times == [("create",), ("stream",), ("get",), ("put",), ("list",)]
    errors = [labels for name, labels in told.told if name == "signert_store_errors_total"]
    assert errors == [("put", "store_full"), ("list", "store")]  # that there is no "b" is no error


def test_a_census_counts_what_is_parked_due_and_waiting() -> None:
    def ago(**span: float) -> str:
        return (NOW - timedelta(**span)).isoformat()

    store = MemoryStore()
    keys = [
        "due/2036-12-24/a/1200-renew", "due/2037-01-10/b/1200-renew", "due/2037-01-11/b/1200-follow",
        "due/2037-03-01/c/1200-renew", "disposal/2036-12-24/d", "disposal/2036-12-25/e", "quarantine/f.json",
        "quarantine/g.json", "outbox/f",
    ]  # fmt: skip
    for key in keys:
        store.create(key, b"")
    parked = {
        "render": ("render_failed", 2), "publish": ("broker_unavailable", 1), "renew:1": ("timestamp_unavailable", 30)
    }  # fmt: skip
    census = Census(NOW)
    for step, (code, hours) in parked.items():
        why = Parked(step, code, "", "", 1, ago(hours=hours), ago(hours=-1))
        census.see(Marker("a", "1", 0, ago(minutes=1), why))
    census.see(Marker("a", "2", 0, ago(minutes=10)))
    found = census.figures(store)
    assert found[signals.PARKED] == {(code,): 1 for code, _ in parked.values()}
    assert found[signals.PARKED_OLDEST] == {(code,): 3600 * hours for code, hours in parked.values()}
    assert (found[signals.UNDER_WAY], found[signals.OLDEST]) == ({(): 1}, {(): 600})
    assert found[signals.RENEWALS_DUE] == {("overdue",): 1, ("1 day",): 1, ("30 days",): 2}
    assert (found[signals.DISPOSAL_DUE], found[signals.QUARANTINE]) == ({(): 1}, {(): 2})
    assert found[signals.UNPUBLISHED] == {(): 2}
    assert found[signals.SWEPT] == {(): NOW.timestamp()}


# --- log ----------------------------------------------------------------------------------------------------


@pytest.fixture(params=[True, False], ids=["json", "text"])
def logged(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A logger of another package, and its lines."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    start_log("DEBUG", as_json=request.param, trace_ids=lambda: ("ab" * 16, "cd" * 8))
    (handler,) = root.handlers
    lines: list[str] = []
    monkeypatch.setattr(handler, "emit", lambda record: lines.append(handler.format(record)))
    yield lines
    logging.captureWarnings(False)
    root.handlers[:] = before
    root.setLevel(level)


SECRET = "17849431021"


def test_no_form_of_the_log_holds_what_came_from_outside(logged: list[str]) -> None:
    celery, gunicorn = logging.getLogger("celery.app.trace"), logging.getLogger("gunicorn.error")
    cause = ValueError(SECRET)
    try:
        raise RuntimeError(SECRET) from cause
    except RuntimeError as exc:
        celery.error("Task %(name)s[%(id)s] raised: %(exc)s", {"name": "t", "id": SECRET, "exc": repr(exc)})
        celery.warning("retry: %s", exc, exc_info=True)
        gunicorn.exception("Error handling request %s", f"/{SECRET}")
    logging.getLogger("botocore.parsers").debug("Response body: %s", SECRET)
    logging.getLogger("py.warnings").warning("file.py:3: UserWarning: %s\n  code", SECRET)
    assert len(logged) == 4
    assert SECRET not in "".join(logged)
    for line, kept in zip(
        logged, ("Task t[", "retry: RuntimeError", "Error handling request", "UserWarning"), strict=True
    ):
        assert kept in line
    assert "RuntimeError < " in logged[1]
    assert "<- ValueError" in logged[1]


def test_a_line_says_what_it_is_about(logged: list[str]) -> None:
    log = logging.getLogger("service.test")
    with about(task="submit", command="c-1"), about(agreement="a-1", trace_id=None):
        log.info("step=%s", "render")
    log.info("afterwards")
    if not logged[0].startswith("{"):
        assert "step=render" in logged[0]
        return
    first, last = map(json.loads, logged)
    assert (first["task"], first["command"], first["agreement"]) == ("submit", "c-1", "a-1")
    assert (first["trace_id"], first["span_id"], first["process"]) == ("ab" * 16, "cd" * 8, os.getpid())
    assert "agreement" not in last


def test_a_line_for_signal_handlers_has_the_same_form(logged: list[str]) -> None:
    line = log_line("worker: Warm shutdown", "celery.worker")
    logging.getLogger("celery.worker").info("worker: Warm shutdown")
    if line.startswith("{"):
        assert json.loads(line).keys() == json.loads(logged[0]).keys()
    assert "worker: Warm shutdown" in line


# --- traces -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, False),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "otlp"}, False),
    ],
)
def test_traces_are_made_where_opentelemetrys_variables_ask(environ: dict[str, str], *, wanted: bool) -> None:
    assert traces_are_wanted(environ) is wanted


@pytest.mark.parametrize(
    "environ",
    [
        {"OTEL_TRACES_EXPORTER": "zipkin"},
        {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
    ],
)
def test_traces_that_are_not_to_be_had_are_an_error(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError) as refused:
        traces_are_wanted(environ)
    assert refused.value.remedy


def test_a_span_is_cut_down_to_what_names_nobody() -> None:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from service.adapters.tracing import Tracer, reduced

    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(reduced(kept)))
    others = provider.get_tracer("requests")
    with (
        pytest.raises(ValueError, match=SECRET),
        Tracer(provider).span("step render", agreement="a-1"),
        others.start_as_current_span("GET") as span,
    ):
        span.set_attributes(
            {
                "http.url": f"https://user:{SECRET}@host.test:8443/{SECRET}?q={SECRET}",
                "http.target": f"/{SECRET}",
                "http.status_code": 200,
                "http.user_agent": SECRET,
            }
        )
        raise ValueError(SECRET)
    inner, outer = kept.get_finished_spans()
    assert SECRET not in inner.to_json() + outer.to_json()
    assert inner.attributes == {"http.status_code": 200, "server.address": "host.test"}
    assert inner.parent
    assert inner.parent.span_id == outer.context.span_id
    assert outer.attributes == {"signert.agreement": "a-1"}
    assert [dict(e.attributes or {}) for e in inner.events] == [{"exception.type": "ValueError"}]


# --- dashboard, alerts, runbooks ----------------------------------------------------------------------------

_AGGREGATIONS = {"sum", "max", "min", "count", "avg", "topk"}
_FUNCTIONS = {"rate", "increase", "histogram_quantile", "absent", "time", "delta"}


def tokens(expr: str) -> list[str]:
    found = re.findall(
        r'"(?:[^"\\]|\\.)*"|\$[a-z_]+|[a-zA-Z_:][\w:]*|\d+[smhd]\b|\d+(?:\.\d+)?|=~|!~|!=|[<>]=?|==|[(){}\[\],=+*/-]|\S',
        expr,
    )
    assert "".join(found) == re.sub(r'\s+(?=(?:[^"]*"[^"]*")*[^"]*$)', "", expr)
    return found


@pytest.mark.parametrize("where", ASKED)
def test_what_is_asked_of_prometheus_is_sound(where: str) -> None:
    """Brackets in pairs, only known functions, metrics that are defined, and labels that they have."""
    expr = ASKED[where]
    pairs = {")": "(", "}": "{", "]": "["}
    open_: list[str] = []
    found = tokens(expr)
    for token in found:
        if token in pairs.values():
            open_.append(token)
        elif token in pairs:
            assert open_, expr
            assert open_.pop() == pairs[token], expr
    assert not open_, expr
    defined = {m.name: m for m in METRICS}
    named = set()
    for at, token in enumerate(found[:-1]):
        if token.startswith("signert_"):
            metric = defined.get(token) or defined.get(re.sub("_(bucket|count|sum)$", "", token))
            assert metric, f"{token} is not defined"
            assert (metric.kind is Kind.HISTOGRAM) == (metric.name != token), (
                f"{token}: a histogram has parts"
            )
            named.add(metric)
            matchers = re.match(r"\{([^}]*)\}", expr[expr.index(token) + len(token) :])
            for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers[1] if matchers else ""):
                assert label in {*metric.labels, "namespace"}, f"{token} has no label {label}"
            if metric.kind is not Kind.GAUGE:
                assert "rate(" in expr or "increase(" in expr, f"{token} only grows"
        elif found[at + 1] == "(" and re.fullmatch(r"[a-z_]+", token):
            assert token in _AGGREGATIONS | _FUNCTIONS | {"by"}, token
    assert named or "signert_" in expr
    for labels in re.findall(r"by \(([^)]*)\)", expr):
        for label in labels.split(", "):
            assert label == "le" or any(label in metric.labels for metric in named), f"by ({label})"


def test_the_dashboard_has_a_row_for_each_part_and_no_panel_twice() -> None:
    rows = [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"]
    assert rows == [
        "Work in and out", "Stages", "Queue", "Parked", "Time-stamping and store", "Renewal",
        "Erasure and disposal", "HTTP",
    ]  # fmt: skip
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    taken = [
        (x, y) for p in places for x in range(p["x"], p["x"] + p["w"]) for y in range(p["y"], p["y"] + p["h"])
    ]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) == 23
    assert all(panel["datasource"]["uid"] == "${datasource}" for panel in PANELS)


def test_every_metric_is_on_the_dashboard() -> None:
    shown = " ".join(t["expr"] for p in PANELS for t in p["targets"])
    assert not [metric.name for metric in METRICS if metric.name not in shown]


@pytest.mark.parametrize("alert", ALERTS, ids=lambda a: a["alert"])
def test_every_alert_says_how_bad_it_is_and_where_its_runbook_is(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in {"critical", "warning", "info"}
    assert alert["annotations"]["summary"].endswith(".")
    page, _, anchor = alert["annotations"]["runbook_url"].partition("#")
    assert page == "docs/runbooks.md"
    headings = re.findall(r"^## (.+)$", RUNBOOKS, re.MULTILINE)
    assert anchor in {heading.lower() for heading in headings}
    entry = RUNBOOKS.split(f"## {alert['alert']}\n")[1].split("\n## ")[0]
    for part in (
        ("**Means**", "**Users notice**", "**Look**", "**Do**") if "as [" not in entry else ("**Means**",)
    ):
        assert part.casefold() in entry.casefold(), part


def test_runbooks_are_of_alerts_that_exist_and_name_commands_that_exist() -> None:
    headings = re.findall(r"^## (.+)$", RUNBOOKS, re.MULTILINE)
    assert headings == [alert["alert"] for alert in ALERTS] or set(headings) == {a["alert"] for a in ALERTS}
    for link in re.findall(r"\]\(#([\w-]+)\)", RUNBOOKS):
        assert link in {heading.lower() for heading in headings}
    for line in re.findall(r"`signert ([^`]+)`", RUNBOOKS):
        command: Any = cli
        for word in line.split():
            if word.startswith("--"):
                names = {name for option in command.params for name in option.opts}
                assert word in names, line
            elif hasattr(command, "commands"):
                command = command.commands.get(word)
                assert command, line
