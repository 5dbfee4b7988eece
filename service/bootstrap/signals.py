"""Who is told how the work goes: metrics where they are asked for, traces where OpenTelemetry's variables say so."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.domain.signals import SILENT, Metric, Silence

if TYPE_CHECKING:
    from service.adapters.metrics import Figures, Measures
    from service.adapters.tracing import Tracer

__all__ = ["Telemetry", "metrics_exposition", "metrics_folder", "open_telemetry", "trace_ids"]


@dataclass(frozen=True)
class Telemetry:
    """`Signals`: measures to one, traces to another; either may be nobody."""

    measures: Measures | Silence = SILENT
    tracer: Tracer | None = None

    def count(self, metric: Metric, *labels: str, amount: float = 1) -> None:
        self.measures.count(metric, *labels, amount=amount)

    def observe(self, metric: Metric, value: float, *labels: str) -> None:
        self.measures.observe(metric, value, *labels)

    def set(self, metric: Metric, value: float, *labels: str) -> None:
        self.measures.set(metric, value, *labels)

    def replace(self, figures: Mapping[Metric, Mapping[tuple[str, ...], float]]) -> None:
        self.measures.replace(figures)

    def span(self, name: str, **attributes: str | int) -> AbstractContextManager[None]:
        return self.tracer.span(name, **attributes) if self.tracer else nullcontext()

    def received(
        self, name: str, headers: Mapping[str, Any], **attributes: str | int
    ) -> AbstractContextManager[None]:
        """The work on a message with these headers, in the trace that they name."""
        return self.tracer.received(name, headers, **attributes) if self.tracer else nullcontext()

    def trace_headers(self) -> dict[str, str]:
        return self.tracer.trace_headers() if self.tracer else {}

    def watch_requests(self, app: Any) -> None:
        """Have a Flask application's requests traced."""
        if self.tracer:
            self.tracer.watch_requests(app)

    def close(self) -> None:
        """Send the spans that have not been sent."""
        if self.tracer:
            self.tracer.close()


def metrics_folder() -> Path:
    """A new folder for the measures of this process and its children; who asked for it removes it."""
    from service.adapters.metrics import new_folder

    return new_folder()


def open_telemetry(role: str, *, folder: Path | None = None) -> Telemetry:
    """For a process that does `role` (worker, http), before it forks. Measures go to `folder`; None for no metrics.

    Raises `ConfigurationError` when traces are asked for that are not to be had.
    """
    from service.adapters.tracing import open_tracer, traces_are_wanted

    measures: Measures | Silence = SILENT
    if folder is not None:
        from service.adapters.metrics import Measures

        measures = Measures(folder)
    return Telemetry(measures, open_tracer(role) if traces_are_wanted(os.environ) else None)


def metrics_exposition(folder: Path, scraped: Callable[[], Figures]) -> bytes:
    """What all processes of `folder` have measured, and what `scraped` gives, in Prometheus's text format."""
    from service.adapters.metrics import exposition

    return exposition(folder, scraped)


def trace_ids() -> tuple[str, str] | None:
    """Trace and span of the work at hand (hex), where there is a trace."""
    if "opentelemetry.sdk.trace" not in sys.modules:
        return None
    from service.adapters.tracing import current_ids

    return current_ids()
