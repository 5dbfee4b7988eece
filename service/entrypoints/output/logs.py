"""The log of the long-running commands on standard error: text, or one JSON object a line.

No line has personal data. Our own messages name fields, ids and codes. What other packages log is let through as far as
that can be said of it too: an exception becomes its type and where it was raised, and texts filled with what came from
outside stay unfilled.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final

from service.domain.log import timestamp
from service.domain.signals import about_now

__all__ = ["log_line", "start_log"]

_OURS: Final = ("service", "signing", "signert")
_FILLED: Final = ("celery", "kombu")
"""Others whose messages are of queues, tasks and ids; their exceptions become types."""
_CONTENT: Final = frozenset({"exc", "traceback", "args", "kwargs", "return_value"})
"""What Celery puts into its messages and a command may stand in."""
_QUIET: Final = (
    "amqp", "billiard", "boto3", "botocore", "celery", "gunicorn", "kombu", "multiprocessing", "opentelemetry",
    "s3transfer", "urllib3", "werkzeug",
)  # fmt: skip
"""At DEBUG they would log whole messages and requests."""

_WARNING: Final = re.compile(r"[^\n]*?:\d+: \w+")
"""Where a warning was given, and its kind: its text may quote what was read."""

_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

TraceIds = Callable[[], tuple[str, str] | None]


class _Safe(logging.Formatter):
    """What both forms have in common: what may be said of a record."""

    def said(self, record: logging.LogRecord) -> str:
        family = record.name.partition(".")[0]
        if record.name == "py.warnings":
            found = _WARNING.match(record.getMessage())
            return found[0] if found else "a warning"
        if family in _OURS or not record.args:
            return record.getMessage()
        if family in _FILLED:
            return str(str(record.msg) % _without_content(record.args))
        return str(record.msg)

    def formatException(self, ei: Any) -> str:  # noqa: N802 (the base class's name)
        return _raised(ei)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (the base class's name)
        record.message = self.said(record)
        return super().formatMessage(record)


class _JsonLines(_Safe):
    def __init__(self, trace_ids: TraceIds) -> None:
        super().__init__()
        self._trace_ids = trace_ids

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": timestamp(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname,
            "logger": record.name,
            "message": self.said(record),
            "process": record.process,
            **about_now(),
            **_named(self._trace_ids()),
        }
        if record.exc_info and record.exc_info[0]:
            line["exception"] = _raised(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def log_line(message: str, logger: str) -> str:
    """A line of the log for what cannot go through it: in a signal handler, its lock may be taken."""
    record = logging.LogRecord(logger, logging.INFO, "", 0, message, None, None)
    handlers = logging.getLogger().handlers
    return handlers[0].format(record) if handlers else message


def _named(ids: tuple[str, str] | None) -> dict[str, str]:
    return {"trace_id": ids[0], "span_id": ids[1]} if ids else {}


def _raised(raised: Any) -> str:
    """Type and place of an exception and of those that led to it; not their texts, and no values."""
    told: list[str] = []
    exc: BaseException | None = raised[1] if isinstance(raised, tuple) else None
    while exc is not None and len(told) < 5:
        frames = [f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(exc.__traceback__)]
        told.append(" < ".join([type(exc).__name__, *reversed(frames)]))
        exc = exc.__cause__ or (None if exc.__suppress_context__ else exc.__context__)
    return " <- ".join(told)


def _without_content(args: Any) -> Any:
    if isinstance(args, Mapping):
        named = {k: type(v).__name__ if k in _CONTENT else _name(v) for k, v in args.items()}
        if "id" in named and not _UUID.fullmatch(str(named["id"])):
            named["id"] = "(no UUID)"  # a message's, in which its sender may have put anything
        return named
    return tuple(map(_name, args))


def _name(value: object) -> object:
    return type(value).__name__ if isinstance(value, BaseException) else value


def start_log(level: str, *, as_json: bool, trace_ids: TraceIds = lambda: None) -> None:
    """Log to standard error, as text or as JSON lines. `trace_ids` gives trace and span of the work at hand."""
    handler = logging.StreamHandler()
    text = _Safe("%(asctime)s %(levelname)s %(name)s pid=%(process)d %(message)s")
    handler.setFormatter(_JsonLines(trace_ids) if as_json else text)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.INFO, logging.getLevelNamesMapping()[level]))
    logging.captureWarnings(True)
    sys.excepthook = _unhandled
    threading.excepthook = lambda told: _unhandled(
        told.exc_type, told.exc_value or told.exc_type(), told.exc_traceback
    )


def _unhandled(kind: type[BaseException], exc: BaseException, trace: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt | SystemExit):
        logging.getLogger(__name__).critical("ended by an error nobody foresaw", exc_info=(kind, exc, trace))
