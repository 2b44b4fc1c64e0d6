"""Logs: one event a line on standard error, JSON for machines or text for people, the libraries' own logs in the same form.

A line names an event (`partition_opened`) and says where (`topic`, `partition`, `offset`). It never holds a record's key or
value, or a customer's state; a customer appears as `customer_ref(customer_id)`, which cannot be turned back without the key.

    log = logs.logger(__name__)
    log.info("partition_opened", topic="customer.events", partition=3, offset=17)
    log.warning("record_refused", reason=Reason.TRUNCATED, customer=logs.customer_ref(customer_id))
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import sys
from pathlib import Path
from typing import Any, Final, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from orchestrator.errors import UsageError

LEVELS: Final = ("debug", "info", "warning", "error")
REFERENCE_BYTES: Final = 8

# What these say below a warning is chatter to whoever runs journeys: banners, rebalance steps, each topic's subscription.
_CHATTY: Final = ("faust", "mode", "aiokafka", "asyncio", "urllib3", "orchestrator.librdkafka")

# Faust warns of it at every rebalance that it did not begin itself.
_SENSOR_CHATTER: Final = "Missing sensor state"
_EVENT_WIDTH: Final = 14

_reference_key: bytes = secrets.token_bytes(32)
_process: Final[dict[str, int]] = {}


def setup(*, json: bool, level: str = "info", reference_key: bytes | None = None, stream: TextIO | None = None) -> None:
    """Send all logs of this process to `stream` (standard error); call once at start, again to change it.

    `level` is one of `LEVELS`; at debug the libraries' chatter is let through as well. `reference_key` (64 bytes at most) makes
    `customer_ref` the same across processes and restarts; without one it holds for this process only. Raises UsageError for a
    level that does not exist.
    """
    global _reference_key
    if level not in LEVELS:
        raise UsageError(f"there is no log level {level!r}", next_step=f"choose one of {', '.join(LEVELS)}")
    if reference_key is not None:
        _reference_key = reference_key
    target = stream or sys.stderr
    handler = logging.StreamHandler(target)
    handler.setFormatter(_formatter(json=json, colors=target.isatty() and "NO_COLOR" not in os.environ))
    if level != "debug":
        handler.addFilter(_is_worth_a_line)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _CHATTY:
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
        library.setLevel(logging.DEBUG if level == "debug" else logging.WARNING)


def use_key_of(path: Path | None) -> None:
    """Key the hashes of customers with a file's content, so that all processes that have it give the same. Raises UsageError."""
    global _reference_key
    if path is None:
        return
    try:
        _reference_key = hashlib.blake2b(path.read_bytes().strip(), digest_size=32).digest()
    except OSError as error:
        raise UsageError(f"the key of the logs cannot be read: {error.strerror}", where=str(path)) from None


def name_process(number: int) -> None:
    """Say on each line of this process, from now on, which of a worker's processes it is."""
    _process["process"] = number


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of one module (`__name__`); `.bind(topic=..., partition=...)` gives one that says so on every line."""
    bound: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return bound


def customer_ref(customer_id: str) -> str:
    """A customer in a log line: 16 hex digits of a keyed hash (BLAKE2b). Equal for equal ids under one key, see `setup`."""
    return hashlib.blake2b(customer_id.encode(), key=_reference_key, digest_size=REFERENCE_BYTES).hexdigest()


def _name_library_line(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """A library's line is prose, not an event name: keep it as `message` of the one event `library`."""
    event["message"], event["event"] = event["event"], "library"
    return event


def _say_process(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    event.update(_process)
    return event


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    """Leave out what Faust's services say of themselves, under the names of our modules: each start, each stop, its sensors."""
    text = str(record.msg)
    return not text.startswith("[^") or (record.levelno >= logging.WARNING and _SENSOR_CHATTER not in text)


def _for_people(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Shorten a line to what a terminal has room for: the time of day, and no module."""
    event.pop("logger", None)
    event["at"] = str(event.get("at", ""))[11:19]
    return event


def _formatter(*, json: bool, colors: bool) -> logging.Formatter:
    renderer: Processor
    if json:
        renderer = structlog.processors.JSONRenderer(default=str)
    else:
        # Plain tracebacks: the rich ones print the values of local variables, and so customers' records.
        renderer = structlog.dev.ConsoleRenderer(
            colors=colors, exception_formatter=structlog.dev.plain_traceback, timestamp_key="at", pad_event_to=_EVENT_WIDTH
        )
    own: list[Processor] = [structlog.processors.format_exc_info] if json else [_for_people]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_SHARED, _name_library_line],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *own, renderer],
    )


_SHARED: Final[list[Processor]] = [
    structlog.contextvars.merge_contextvars,
    _say_process,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
]

_configuration: Final[dict[str, Any]] = {
    "processors": [structlog.stdlib.filter_by_level, *_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
    "logger_factory": structlog.stdlib.LoggerFactory(),
    "wrapper_class": structlog.stdlib.BoundLogger,
}
# At import, so that a logger made before `setup` goes through the standard library too, and never to standard output.
structlog.configure(**_configuration)
