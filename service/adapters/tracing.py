"""OpenTelemetry traces, sent over OTLP/HTTP: one command, one trace, from the message to the receipt.

They are made where the usual variables ask for them (`OTEL_EXPORTER_OTLP_ENDPOINT` or `OTEL_TRACES_EXPORTER=otlp`).
boto3 and requests are instrumented by OpenTelemetry's own packages, and what they say is cut down before it leaves: of
attributes the ones named here, of addresses the host, of errors the type. Message texts and paths stay here.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from service.errors import ConfigurationError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

__all__ = ["Tracer", "current_ids", "open_tracer", "reduced", "traces_are_wanted"]

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_KEPT: Final = frozenset(
    {
        "aws.region",
        "error.type",
        "http.method",
        "http.request.method",
        "http.response.status_code",
        "http.route",
        "http.status_code",
        "messaging.destination.name",
        "messaging.operation.type",
        "messaging.system",
        "net.peer.name",
        "net.peer.port",
        "retry_attempts",
        "rpc.method",
        "rpc.service",
        "rpc.system",
        "server.address",
        "server.port",
    }
)
"""Attributes that leave this process, beside our own (`signert.…`). None can hold what an agreement says."""
_ADDRESSES: Final = ("http.url", "url.full")


def traces_are_wanted(environ: Mapping[str, str]) -> bool:
    """Whether OpenTelemetry's variables ask for traces. Raises `ConfigurationError` for what is not to be had."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporter = environ.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if exporter == "none":
        return False
    if exporter not in ("", "otlp"):
        raise ConfigurationError(
            f"OTEL_TRACES_EXPORTER={exporter}: traces are sent by OTLP only",
            remedy="Set it to otlp or none, or leave it out.",
        )
    if not exporter and not any(environ.get(name) for name in _ENDPOINTS):
        return False
    protocol = next((environ[name] for name in _PROTOCOLS if environ.get(name)), "http/protobuf")
    if protocol != "http/protobuf":
        raise ConfigurationError(
            f"OTLP over {protocol} is not to be had",
            remedy="Set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf, and the port of OTLP/HTTP (4318).",
        )
    return True


class Tracer:
    """The tracing half of `Signals`. `provider` has where spans go."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("signert")

    @contextlib.contextmanager
    def span(self, name: str, **attributes: str | int) -> Iterator[None]:
        own = {f"signert.{key}": value for key, value in attributes.items()}
        with self._tracer.start_as_current_span(name, attributes=own, record_exception=False):
            yield

    @contextlib.contextmanager
    def received(self, name: str, headers: Mapping[str, Any], **attributes: str | int) -> Iterator[None]:
        """The work on a message: goes on with the trace that its headers name (W3C Trace Context)."""
        from opentelemetry.trace import SpanKind

        carrier = {k: v for k, v in headers.items() if k in _CARRIED and isinstance(v, str)}
        own = {f"signert.{key}": value for key, value in attributes.items()}
        with self._tracer.start_as_current_span(
            name,
            _propagator().extract(carrier),
            kind=SpanKind.CONSUMER,
            attributes=own,
            record_exception=False,
        ):
            yield

    def trace_headers(self) -> dict[str, str]:
        carrier: dict[str, str] = {}
        _propagator().inject(carrier)
        return carrier

    def watch_requests(self, app: Any) -> None:
        """A span for each request of a Flask application, but for probes."""
        from opentelemetry.instrumentation.flask import FlaskInstrumentor

        FlaskInstrumentor().instrument_app(  # type: ignore[no-untyped-call]
            app, tracer_provider=self._provider, excluded_urls="healthz$,readyz$,livez$"
        )

    def close(self) -> None:
        """Send what has not been sent yet."""
        self._provider.shutdown()


_CARRIED: Final = ("traceparent",)
"""Of a message's headers; what `tracestate` says is the sender's own, and may be anything."""


@cache
def _propagator() -> Any:
    """Trace context alone: baggage of others is not handed on."""
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator()


def open_tracer(role: str) -> Tracer:
    """Begin to trace in this process, once; `role` is what it does: worker, http.

    After a fork the exporter of the parent goes on in the child by itself. Raises `ConfigurationError` when
    OpenTelemetry is not installed.
    """
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.instrumentation.botocore import BotocoreInstrumentor
        from opentelemetry.instrumentation.requests import RequestsInstrumentor
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as exc:
        raise ConfigurationError(
            "traces are asked for by OpenTelemetry's variables, but it is not installed",
            remedy="pip install 'signert[telemetry]', or set OTEL_SDK_DISABLED=true.",
        ) from exc
    named = {"service.version": version("signert"), "signert.role": role}
    if not os.environ.get("OTEL_SERVICE_NAME"):
        named["service.name"] = "signert"
    provider = TracerProvider(resource=Resource.create(named))
    provider.add_span_processor(BatchSpanProcessor(reduced(OTLPSpanExporter())))
    trace.set_tracer_provider(provider)
    BotocoreInstrumentor().instrument(  # type: ignore[no-untyped-call]
        tracer_provider=provider
    )
    RequestsInstrumentor().instrument(tracer_provider=provider)
    return Tracer(provider)


def current_ids() -> tuple[str, str] | None:
    """Trace and span that this thread is in (hex), None where there is none."""
    from opentelemetry import trace

    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return trace.format_trace_id(context.trace_id), trace.format_span_id(context.span_id)


def reduced(exporter: Any) -> Any:
    """`exporter`, given spans with nothing in them that an agreement, a person or an address says."""
    from opentelemetry.sdk.trace.export import SpanExporter

    class Reduced(SpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> Any:
            return exporter.export([_without_content(span) for span in spans])

        def shutdown(self) -> None:
            exporter.shutdown()

        def force_flush(self, timeout_millis: int = 30_000) -> bool:
            return bool(exporter.force_flush(timeout_millis))

    return Reduced()


def _without_content(span: ReadableSpan) -> ReadableSpan:
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.trace import Status

    attributes = {k: v for k, v in (span.attributes or {}).items() if k in _KEPT or k.startswith("signert.")}
    for name in _ADDRESSES:
        if address := (span.attributes or {}).get(name):
            attributes["server.address"] = urlsplit(str(address)).hostname or ""
    raised = [
        Event(e.name, {"exception.type": (e.attributes or {}).get("exception.type", "")}, e.timestamp)
        for e in span.events
    ]
    return ReadableSpan(
        name=span.name,
        context=span.get_span_context(),
        parent=span.parent,
        resource=span.resource,
        attributes=attributes,
        events=raised,
        links=span.links,
        kind=span.kind,
        instrumentation_scope=span.instrumentation_scope,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
    )
