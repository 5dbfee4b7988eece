"""The worker's log on standard error."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

from service.domain.log import timestamp

__all__ = ["start_log"]


class _JsonLines(logging.Formatter):
    """One JSON object a line. What was raised is named by its type: its text may hold what an agreement says."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": timestamp(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname,
            "logger": record.name,
            "pid": record.process,
            "message": record.getMessage(),
        }
        if record.exc_info and record.exc_info[0]:
            line["exception"] = record.exc_info[0].__name__
        return json.dumps(line, ensure_ascii=False)


def start_log(level: str, *, as_json: bool) -> None:
    """Log to standard error, as text or as JSON lines."""
    handler = logging.StreamHandler()
    text = logging.Formatter("%(asctime)s %(levelname)s %(name)s pid=%(process)d %(message)s")
    handler.setFormatter(_JsonLines() if as_json else text)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(True)
