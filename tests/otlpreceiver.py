"""A collector of traces on this machine: takes OTLP/HTTP (protobuf), and keeps what it was sent.

with receiving_traces() as collector:
    environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.endpoint
"""

from __future__ import annotations

import contextlib
import gzip
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

__all__ = ["Collector", "Span", "receiving_traces"]


@dataclass(frozen=True)
class Span:
    """Ids are hex; `parent` is empty for one that has none."""

    name: str
    trace: str
    id: str
    parent: str
    attributes: dict[str, str]
    service: str


@dataclass
class Collector:
    endpoint: str
    bodies: list[bytes] = field(default_factory=list)
    """What came, as it came (unpacked)."""

    @property
    def requests(self) -> list[ExportTraceServiceRequest]:
        return [ExportTraceServiceRequest.FromString(body) for body in self.bodies]

    @property
    def spans(self) -> list[Span]:
        return [
            Span(
                span.name,
                span.trace_id.hex(),
                span.span_id.hex(),
                span.parent_span_id.hex(),
                {a.key: a.value.string_value or str(a.value.int_value) for a in span.attributes},
                next(a.value.string_value for a in group.resource.attributes if a.key == "service.name"),
            )
            for request in self.requests
            for group in request.resource_spans
            for scope in group.scope_spans
            for span in scope.spans
        ]

    @property
    def text(self) -> str:
        """All that came, in words."""
        return "\n".join(map(str, self.requests))


@contextlib.contextmanager
def receiving_traces() -> Iterator[Collector]:
    collector = Collector("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            if self.path == "/v1/traces":
                collector.bodies.append(body)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200 if self.path == "/v1/traces" else 404)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_args: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
