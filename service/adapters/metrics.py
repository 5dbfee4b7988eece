"""Prometheus metrics of all processes of one service, in a folder that they share.

    measures = Measures(new_folder())     in the first process, before it forks
    measures.count(COMMANDS, "submit", "accepted", "")
    text = exposition(measures.folder)    in any of them

Each process writes its counters and histograms to mapped files of its own (prometheus_client's multiprocess mode); they
are added up at the scrape, so a process that has ended still counts. What a sweep has found is one file, that the
sweeper replaces whole.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from service.domain.signals import METRICS, Kind, Metric

if TYPE_CHECKING:
    from prometheus_client.core import GaugeMetricFamily

__all__ = ["CONTENT_TYPE", "Figures", "Measures", "exposition", "new_folder"]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_PREFIX: Final = "signert-metrics-"
_SWEPT: Final = "sweep.json"
_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"

Figures = Mapping[Metric, Mapping[tuple[str, ...], float]]
"""Gauges by their labels' values."""


def new_folder() -> Path:
    """A folder for the measures of this process and its children. Those that dead processes left are removed."""
    place = Path(tempfile.gettempdir())
    mine = f"{_PREFIX}{os.getuid()}-"
    for old in place.glob(f"{mine}*"):
        pid = old.name.removeprefix(mine).split("-")[0]
        if pid.isdecimal() and not _lives(int(pid)) and not old.is_symlink():
            shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{mine}{os.getpid()}-", dir=place))  # mode 0700


class Measures:
    """The measuring half of `Signals`, into `folder`. Safe in threads and over fork."""

    def __init__(self, folder: Path) -> None:
        # The library decides when it is imported, by this variable; and once more here, should it be there already.
        os.environ[_VARIABLE] = str(folder)
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, values

        values.ValueClass = values.MultiProcessValue()  # type: ignore[no-untyped-call]
        self.folder = folder
        registry = CollectorRegistry()
        self._made: dict[Metric, Any] = {}
        for metric in METRICS:
            if metric.told != "event":
                continue
            if metric.kind is Kind.COUNTER:
                made: Any = Counter(metric.name, metric.help, metric.labels, registry=registry)
            elif metric.kind is Kind.HISTOGRAM:
                made = Histogram(
                    metric.name, metric.help, metric.labels, registry=registry, buckets=metric.buckets
                )
            else:
                made = Gauge(
                    metric.name, metric.help, metric.labels, registry=registry, multiprocess_mode="livemax"
                )
            self._made[metric] = made

    def count(self, metric: Metric, *labels: str, amount: float = 1) -> None:
        self._of(metric, labels).inc(amount)

    def observe(self, metric: Metric, value: float, *labels: str) -> None:
        self._of(metric, labels).observe(value)

    def set(self, metric: Metric, value: float, *labels: str) -> None:
        self._of(metric, labels).set(value)

    def replace(self, figures: Figures) -> None:
        told = {m.name: [[list(labels), value] for labels, value in f.items()] for m, f in figures.items()}
        new = self.folder / f"{_SWEPT}.{os.getpid()}"
        with contextlib.suppress(OSError):  # a full disk must not stop a sweep
            new.write_text(json.dumps(told), encoding="utf-8")
            new.replace(self.folder / _SWEPT)

    def close(self) -> None:
        """Let go of the files. Nothing more can be measured."""
        from prometheus_client import values

        values.ValueClass.close_all_files()

    def _of(self, metric: Metric, labels: tuple[str, ...]) -> Any:
        made = self._made[metric]
        return made.labels(*labels) if metric.labels else made


def exposition(folder: Path, scraped: Callable[[], Figures] = dict) -> bytes:
    """Everything in `folder`, in Prometheus's text format 0.0.4. `scraped` gives what is looked up at the scrape."""
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

    alive = set()
    for pid in _processes(folder):
        if _lives(pid):
            alive.add(pid)
        else:
            mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(folder))  # type: ignore[no-untyped-call]
    registry.register(_Told(lambda: [*_swept(folder), *_families(scraped()), *_count(len(alive))]))
    return generate_latest(registry)


class _Told:
    def __init__(self, tell: Callable[[], Iterable[GaugeMetricFamily]]) -> None:
        self._tell = tell

    def collect(self) -> Iterable[GaugeMetricFamily]:
        return self._tell()

    def describe(self) -> Iterable[GaugeMetricFamily]:
        return ()  # else the library would collect once more, to learn the names


def _count(processes: int) -> Iterator[GaugeMetricFamily]:
    from service.domain.signals import PROCESSES

    return _families({PROCESSES: {(): float(processes)}})


def _swept(folder: Path) -> Iterator[GaugeMetricFamily]:
    try:
        told = json.loads((folder / _SWEPT).read_bytes())
    except FileNotFoundError:
        return iter(())
    by_name = {metric.name: metric for metric in METRICS}
    return _families(
        {by_name[name]: {tuple(labels): value for labels, value in found} for name, found in told.items()}
    )


def _families(figures: Figures) -> Iterator[GaugeMetricFamily]:
    from prometheus_client.core import GaugeMetricFamily

    for metric, values in figures.items():
        family = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
        for labels, value in values.items():
            family.add_metric(labels, value)
        yield family


def _processes(folder: Path) -> set[int]:
    """The processes that have files there: `counter_{pid}.db`, `gauge_livemax_{pid}.db`."""
    names = (path.stem.rpartition("_")[2] for path in folder.glob("*.db"))
    return {int(name) for name in names if name.isdecimal()}


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
