"""Log lines: one JSON object each, or text for people; never audio, keys or file names."""

import logging
import logging.config
import time
from typing import Any

import orjson

from service.api.context import current

# Beside the message: what callers hand over as `extra={FIELDS: {...}}`.
FIELDS = "attloc_fields"


def fields(**values: Any) -> dict[str, Any]:
    """Structured members of a log line: `logger.info("text", extra=fields(status=200))`."""
    return {FIELDS: values}


class JsonFormatter(logging.Formatter):
    """One JSON object a line, with the request it belongs to."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line: dict[str, Any] = {
            "time": f"{_utc(record.created)}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        context = current.get()
        if context is not None:
            line["request_id"] = context.request_id
            if context.trace_id is not None:
                line["trace_id"] = context.trace_id
                line["parent_id"] = context.parent_id
        line |= getattr(record, FIELDS, {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


class TextFormatter(logging.Formatter):
    """The same for a terminal."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line = super().format(record)
        given = " ".join(f"{name}={value}" for name, value in getattr(record, FIELDS, {}).items())
        context = current.get()
        return " ".join(filter(None, [line, given, f"request_id={context.request_id}" if context else ""]))


# What uvicorn logs as an error where a WebSocket is refused with a document, or a client's text is not UTF-8.
CLIENTS_FAULTS = frozenset(
    {
        "ASGI callable returned without completing handshake.",
        "Invalid UTF-8 sequence received from client.",
    }
)


class OwnFaults(logging.Filter):
    """Drops errors that are none of the service's."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is to be kept."""
        return record.msg not in CLIENTS_FAULTS


def configure(level: str, *, json: bool) -> None:
    """Send every logger of the process to standard error."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"line": {"()": JsonFormatter if json else TextFormatter}},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
            "root": {"handlers": ["stderr"], "level": level.upper()},
            # What they tell when all is well repeats our own lines.
            "filters": {"own_faults": {"()": OwnFaults}},
            "loggers": {
                "uvicorn": {"level": "WARNING"},
                "uvicorn.error": {"filters": ["own_faults"]},
                "python_multipart": {"level": "ERROR"},  # it warns of forms, whose refusals say as much
                "alembic": {"level": "WARNING"},
            },
        }
    )


def _utc(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
