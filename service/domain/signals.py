"""What the service tells of itself while it works: the metrics, each with its labels, and what log lines are about.

Definitions only. `service.domain.ports.Signals` is how they are told, `metrics.py` and `tracing.py` in
`service/adapters` hear it. No label, no span and no log field has personal data: kinds, codes, places and ids only.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

__all__ = ["METRICS", "SILENT", "Kind", "Metric", "Silence", "about", "about_now"]


class Kind(StrEnum):
    COUNTER = "counter"
    HISTOGRAM = "histogram"
    GAUGE = "gauge"


@dataclass(frozen=True)
class Metric:
    """One metric, in base units (seconds, bytes). `told`: its value is made at an event, a sweep or a scrape."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    told: str = "event"


_STEPS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
_REQUESTS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_WAITS = (0.01, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0)
_SWEEP, _SCRAPE = "sweep", "scrape"

COMMANDS = Metric(
    "signert_commands_total",
    Kind.COUNTER,
    "Commands taken off the queue, by kind and outcome: accepted, duplicate (the same command again), or refused "
    "with the code that the sender is told.",
    ("command", "outcome", "code"),
)
QUEUE_WAIT = Metric(
    "signert_queue_wait_seconds",
    Kind.HISTOGRAM,
    "How long messages that this service or `signert submit` sent were in a queue, by task.",
    ("task",),
    _WAITS,
)
STEPS = Metric(
    "signert_step_duration_seconds",
    Kind.HISTOGRAM,
    "How long one step of an agreement took: render, prepare, sign, augment, verify, render-receipt, issue-receipt "
    "and others. `means` is where the key of a signature lies, empty for other steps; `outcome` is done or failed.",
    ("step", "means", "outcome"),
    _STEPS,
)
ENTRIES = Metric(
    "signert_log_entries_total",
    Kind.COUNTER,
    "Entries that this process appended to agreements' logs, by type.",
    ("type",),
)
FINISHED = Metric(
    "signert_versions_finished_total",
    Kind.COUNTER,
    "Versions of agreements that came to their end: signed, declined, expired, cancelled or rejected.",
    ("outcome",),
)
PARKINGS = Metric(
    "signert_parkings_total",
    Kind.COUNTER,
    "Steps that could not be done and are tried again later, by step and reason.",
    ("step", "code"),
)
PARKED = Metric(
    "signert_parked",
    Kind.GAUGE,
    "Runs that wait for the next try, by reason, as of the last sweep.",
    ("code",),
    told=_SWEEP,
)
PARKED_OLDEST = Metric(
    "signert_parked_oldest_age_seconds",
    Kind.GAUGE,
    "For how long the run of each reason that has waited longest could not be done, as of the last sweep.",
    ("code",),
    told=_SWEEP,
)
UNDER_WAY = Metric(
    "signert_runs_under_way",
    Kind.GAUGE,
    "Runs that are neither at rest nor parked: worked on, or waiting in a queue; as of the last sweep.",
    told=_SWEEP,
)
OLDEST = Metric(
    "signert_runs_oldest_age_seconds",
    Kind.GAUGE,
    "For how long nobody has touched the run, of those under way, that was left alone longest; as of the last sweep.",
    told=_SWEEP,
)
RENEWALS_DUE = Metric(
    "signert_renewals_due",
    Kind.GAUGE,
    "Timestamps to be renewed: `overdue` (tried, and parked), within `1 day`, and within `30 days`; at most 5000 "
    "keys are looked at.",
    ("within",),
    told=_SWEEP,
)
DISPOSAL_DUE = Metric(
    "signert_disposals_due",
    Kind.GAUGE,
    "Agreements that wait for an archivist's word on erasure (`signert disposal`); at most 5000 are counted.",
    told=_SWEEP,
)
QUARANTINE = Metric(
    "signert_quarantine_messages",
    Kind.GAUGE,
    "Messages in quarantine, as of the last sweep; at most 5000 are counted.",
    told=_SWEEP,
)
UNPUBLISHED = Metric(
    "signert_events_unpublished",
    Kind.GAUGE,
    "Refusals whose event waits to be published, and runs parked because their events could not be.",
    told=_SWEEP,
)
SWEPT = Metric(
    "signert_sweep_last_success_timestamp_seconds",
    Kind.GAUGE,
    "When a sweep last came to its end (Unix time).",
    told=_SWEEP,
)
SWEEP_TIME = Metric(
    "signert_sweep_duration_seconds", Kind.HISTOGRAM, "How long a sweep took.", buckets=(*_STEPS, 300.0)
)
STORE_TIME = Metric(
    "signert_store_duration_seconds",
    Kind.HISTOGRAM,
    "How long the object store took to answer, tries again included, by operation.",
    ("operation",),
    _REQUESTS,
)
STORE_ERRORS = Metric(
    "signert_store_errors_total",
    Kind.COUNTER,
    "Operations of the store that failed, by operation and code.",
    ("operation", "code"),
)
STORE_RETRIES = Metric(
    "signert_store_retries_total",
    Kind.COUNTER,
    "Requests to the store that had no clear answer and were sent again, by operation.",
    ("operation",),
)
TIMESTAMP_TIME = Metric(
    "signert_timestamp_duration_seconds",
    Kind.HISTOGRAM,
    "How long a time-stamping authority took, by authority (its address without user and query) and outcome: token, "
    "failed, or refused (it works, but not for this request).",
    ("authority", "outcome"),
    _REQUESTS,
)
TIMESTAMP_RETRIES = Metric(
    "signert_timestamp_retries_total",
    Kind.COUNTER,
    "Timestamps for which the next authority had to be asked, after this one gave none.",
    ("authority",),
)
TIMESTAMP_RESTS = Metric(
    "signert_timestamp_authority_passed_over",
    Kind.GAUGE,
    "1 while a process leaves the authority alone, as it failed several times (the breaker is open), 0 otherwise.",
    ("authority",),
)
OFFICE_STARTS = Metric(
    "signert_office_starts_total",
    Kind.COUNTER,
    "Starts of LibreOffice: first, recycled (it had made enough documents, or had grown), replaced (it failed, hung "
    "or ended), again (it did not come up at once).",
    ("reason",),
)
QUEUE = Metric(
    "signert_queue_messages",
    Kind.GAUGE,
    "Messages that wait in a queue; counted at the scrape.",
    ("queue",),
    told=_SCRAPE,
)
BROKER_UP = Metric(
    "signert_broker_up",
    Kind.GAUGE,
    "1 when the broker told the length of the queues, 0 when it did not within its time.",
    told=_SCRAPE,
)
HTTP_TIME = Metric(
    "signert_http_request_duration_seconds",
    Kind.HISTOGRAM,
    "How long requests took until their answer began, by method, route (never the address) and status.",
    ("method", "route", "status"),
    _REQUESTS,
)
HTTP_BYTES = Metric(
    "signert_http_response_bytes_total",
    Kind.COUNTER,
    "Length of the answers' bodies in bytes, where it was known when they began.",
    ("route",),
)
BUILD = Metric(
    "signert_build_info", Kind.GAUGE, "1; the version that runs.", ("version", "python"), told=_SCRAPE
)
PROCESSES = Metric(
    "signert_processes",
    Kind.GAUGE,
    "Processes whose measures are in this answer and that live.",
    told=_SCRAPE,
)

METRICS: tuple[Metric, ...] = tuple(v for v in list(globals().values()) if isinstance(v, Metric))
"""All of them, in the order of this page."""


class Silence:
    """`Signals` that nobody hears."""

    def count(self, metric: Metric, *labels: str, amount: float = 1) -> None:
        """Nothing happens."""

    def observe(self, metric: Metric, value: float, *labels: str) -> None:
        """Nothing happens."""

    def set(self, metric: Metric, value: float, *labels: str) -> None:
        """Nothing happens."""

    def replace(self, figures: Mapping[Metric, Mapping[tuple[str, ...], float]]) -> None:
        """Nothing happens."""

    def span(self, name: str, **attributes: str | int) -> contextlib.AbstractContextManager[None]:  # noqa: ARG002
        return contextlib.nullcontext()

    def trace_headers(self) -> dict[str, str]:
        return {}


SILENT = Silence()


_NOTHING: Mapping[str, str] = MappingProxyType({})
_about: ContextVar[Mapping[str, str]] = ContextVar("signert_about", default=_NOTHING)


@contextlib.contextmanager
def about(**fields: str | None) -> Iterator[None]:
    """Log lines within are about these: `agreement` and `command` ids, `task`. None says nothing."""
    known = {name: value for name, value in fields.items() if value is not None}
    token = _about.set({**_about.get(), **known})
    try:
        yield
    finally:
        _about.reset(token)


def about_now() -> Mapping[str, str]:
    """What a log line that is written now is about."""
    return _about.get()
