"""The log on stderr: one pipe-delimited line for people, or one JSON object, for each event."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

from ..observe.spans import REQUEST_ID
from .terminal import flat

LOGGERS = ("ragstone", "uvicorn.error")
"""The package's own, and what the server's listener tells."""


class HumanFormatter(logging.Formatter):
    """`2026-11-20T10:00:00.123Z | INFO | ragstone.models | message`, and ` | id=...` while a request is answered."""

    def format(self, record: logging.LogRecord) -> str:
        line = " | ".join((_time(record), record.levelname, record.name, flat(record.getMessage())))
        if request := REQUEST_ID.get():
            line += f" | id={request}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """One object a line: time, level, logger, message, the request's id where there is one, what the event tells as
    `fields` (its `extra`), and the traceback where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        event = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request := REQUEST_ID.get():
            event["request"] = request
        event.update({name: value for name, value in getattr(record, "fields", {}).items() if name not in event})
        if record.exc_info:
            event["traceback"] = self.formatException(record.exc_info)
        return json.dumps(event)


def configure(level: str, style: str) -> None:
    """Sends these logs to stderr; what was configured before is replaced."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if style == "json" else HumanFormatter())
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(level.upper())
        logger.propagate = False


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
