"""Events and actions as JSON lines: what `produce` and `simulate` read, what `simulate` and `actions tail` write.

    {"at": "1997-01-01T00:00:00Z", "customer": "1", "event": "purchase.made", "id": "p0", "data": {"quantity": 1, "price": 11.77}}

`at` becomes the record's time (rule T2). `id` may be left out: such an event is never taken for a repeat.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import orjson
from msgspec import Struct

from orchestrator.engine.vicinity import NOTE
from orchestrator.language.problems import nearest
from orchestrator.wire.normalise import epoch_ms
from orchestrator.wire.schemas import BadEvent

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_KEYS: Final = ("at", "customer", "event", "id", "data")
_TIMES: Final = ("created_at", "expires_at")


class EventLine(Struct, frozen=True):
    """One line. `at` in ms UTC; `id` is "" where it has none; `data` are the payload's JSON values, not yet checked."""

    at: int
    customer: str
    event: str
    id: str
    data: dict[str, Any]


def parse_line(line: bytes) -> EventLine:
    """Read one event. Raises BadEvent with everything that is wrong, without the values."""
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise BadEvent([f"not JSON: {error.msg} at column {error.colno}"]) from None
    if not isinstance(found, dict):
        raise BadEvent(["expected a mapping with at, customer, event, id and data"])
    faults = [_unknown(name) for name in found if name not in _KEYS]
    at = epoch_ms(found.get("at"))
    if at is None:
        faults.append("at: expected ISO 8601 text with a zone or integer milliseconds")
    for name in ("customer", "event"):
        if not isinstance(found.get(name), str) or not found[name]:
            faults.append(f"{name}: expected text")
    if str(found.get("customer")).startswith(NOTE):
        faults.append("customer: begins with U+0000, which is the engine's own")
    if not isinstance(found.get("id", ""), str):
        faults.append("id: expected text")
    if not isinstance(found.get("data", {}), dict):
        faults.append("data: expected a mapping")
    if faults or at is None:
        raise BadEvent(faults)
    return EventLine(at, found["customer"], found["event"], found.get("id", ""), found.get("data", {}))


def read_lines(lines: Iterable[bytes]) -> Iterator[tuple[int, EventLine | BadEvent]]:
    """Give each event with its line number from 1, or what is wrong with the line; empty lines are skipped."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield number, parse_line(line)
        except BadEvent as error:
            yield number, error


def iso(at_ms: int) -> str:
    """Give an instant as 1997-01-01T00:00:00Z, with milliseconds only where there are some."""
    days, ms = divmod(at_ms, 86_400_000)
    seconds, ms = divmod(ms, 1_000)
    minutes, seconds = divmod(seconds, 60)
    text = f"{_day(days)}{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"
    return f"{text}.{ms:03}Z" if ms else f"{text}Z"


@lru_cache(maxsize=4_096)
def _day(days: int) -> str:
    return (_EPOCH + timedelta(days=days)).isoformat()[: len("1997-01-01T")]


def action_line(action: Mapping[str, Any]) -> dict[str, Any]:
    """Give an action (fields of Action.avsc, times in ms) as people and scripts read it: `at` first, nothing empty."""
    rest = {name: value for name, value in action.items() if value not in (None, "", {}) and name not in _TIMES}
    return {"at": iso(action["created_at"]), **rest, "expires_at": iso(action["expires_at"])}


def _unknown(name: str) -> str:
    near = nearest(name, _KEYS)
    return f"{name}: no such field of a line" + (f"; did you mean {near!r}?" if near else "")
