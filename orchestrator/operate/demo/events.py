"""Times and files of the demo's events, which are `EventLine`s: what `produce` and `simulate` read as JSON lines."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import orjson

from orchestrator.wire.lines import EventLine, iso

SECOND: Final = 1000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR


def utc_ms(year: int, month: int, day: int) -> int:
    """Give midnight UTC of a date in ms."""
    return int(datetime(year, month, day, tzinfo=UTC).timestamp()) * SECOND


def as_line(event: EventLine) -> bytes:
    """Give an event as one JSON line, without the line's end."""
    return orjson.dumps(
        {"at": iso(event.at), "customer": event.customer, "event": event.event, "id": event.id, "data": event.data}
    )


def write_lines(events: Iterable[EventLine], path: Path) -> int:
    """Write events as JSON lines; gives how many."""
    count = 0
    with path.open("wb") as file:
        for event in events:
            file.write(as_line(event) + b"\n")
            count += 1
    return count
