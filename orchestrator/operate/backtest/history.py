"""Recorded events for a backtest, from Kafka or from JSON lines, in the order of their time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

from msgspec import Struct, field

from orchestrator.engine.record import Record
from orchestrator.errors import BrokenInput, UsageError
from orchestrator.language.model import Streams
from orchestrator.names import ACTION_OUTCOME, OPERATION_REQUESTED
from orchestrator.operate import documents
from orchestrator.wire.gate import Gate, Refusal
from orchestrator.wire.lines import read_lines
from orchestrator.wire.schemas import BadEvent, SchemaSet

_OF_ANOTHER_RUN: Final = frozenset({ACTION_OUTCOME, OPERATION_REQUESTED})  # they are about the actions and instances of then
_SHOWN_LINES: Final = 5


class History(Struct):
    """Events by time. `left_out` counts those that are no valid events: on Kafka they are incidents."""

    records: list[Record] = field(default_factory=list)
    left_out: int = 0

    def sorted(self) -> History:
        """Give it in the order of time; events of one time stay in the order in which they were recorded."""
        self.records.sort(key=attrgetter("time"))
        return self


def from_lines(path: Path, schemas: SchemaSet, until: int | None) -> History:
    """Read JSON lines as `simulate` does. Raises UsageError, and BrokenInput where lines are no events."""
    if not path.is_file():
        raise UsageError("no such file of events", where=str(path), next_step="give --events a file of JSON lines")
    history, broken = History(), list[str]()
    with path.open("rb") as file:
        for number, line in read_lines(file):
            if isinstance(line, BadEvent):
                broken.append(f"line {number}: {line.faults[0]}")
            elif (until is None or line.at <= until) and line.event not in _OF_ANOTHER_RUN:
                schema = schemas.get(line.event)
                try:
                    payload = line.data if schema is None else schema.plain(line.data)
                except BadEvent:
                    history.left_out += 1
                    continue
                place = ("events", 0, number - 1)
                history.records.append(Record(line.event, line.customer, line.id, line.at, payload, *place, line.at))
    if broken:
        shown = "\n  ".join(broken[:_SHOWN_LINES])
        raise BrokenInput(f"{len(broken)} lines are no events:\n  {shown}", where=str(path), next_step="correct these lines")
    return history.sorted()


def from_kafka(
    conf: Mapping[str, Any], streams: Streams, gate: Gate, until: int | None, progress: Callable[[int, int], None]
) -> History:
    """Read the event topics from their beginning, committed records only. `gate` hears all types.

    Blocks; raises Unreachable, TopicMismatch.
    """
    history = History()
    for topic in sorted({each.topic for each in streams.events}):
        bounds = documents.ranges(conf, topic, range(streams.partitions))
        _admit(documents.read(conf, topic, bounds, progress), gate, until, history)
    return history.sorted()


def _admit(messages: Iterable[Any], gate: Gate, until: int | None, history: History) -> None:
    for message in messages:
        at = message.timestamp()[1]
        if until is not None and at > until:
            continue
        admitted = gate.admit(message, at)
        if isinstance(admitted, Refusal):
            history.left_out += 1
        elif admitted is not None and admitted.type not in _OF_ANOTHER_RUN:
            history.records.append(admitted)
