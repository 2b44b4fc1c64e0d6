"""The demo's events before they are Avro, and their form as JSON lines."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson
from msgspec import Struct

SECOND: Final = 1000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR


class DemoEvent(Struct, frozen=True):
    """One event. `at` is the record's time in ms UTC; `data` is the payload without the three reserved fields."""

    at: int
    customer: str
    event: str
    id: str
    data: dict[str, Any]


def utc_ms(year: int, month: int, day: int) -> int:
    """Give midnight UTC of a date in ms."""
    return int(datetime(year, month, day, tzinfo=UTC).timestamp()) * SECOND


def iso(at: int) -> str:
    """Give an instant as `1997-01-01T00:00:00Z`, with milliseconds only where there are some."""
    text = datetime.fromtimestamp(at / SECOND, UTC).isoformat(timespec="milliseconds" if at % SECOND else "seconds")
    return text.replace("+00:00", "Z")


def as_line(event: DemoEvent) -> bytes:
    """Give an event as the JSON line that `orchestrator produce` and `orchestrator simulate` read, without the line's end."""
    return orjson.dumps(
        {"at": iso(event.at), "customer": event.customer, "event": event.event, "id": event.id, "data": event.data}
    )


def write_lines(events: Iterable[DemoEvent], path: Path) -> int:
    """Write events as JSON lines; gives how many."""
    count = 0
    with path.open("wb") as file:
        for event in events:
            file.write(as_line(event) + b"\n")
            count += 1
    return count
