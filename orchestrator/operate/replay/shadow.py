"""One partition again, in a shadow: the engine along the journal's runs, and what comes of it, encoded as a worker encodes it.

The journal says in which order the source topics were read, with which clock, and up to when how many customers' timers fired.
Everything else follows from the source records. Nothing here writes to Kafka.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from itertools import islice
from typing import Any

from msgspec import Struct

from orchestrator.engine.engine import Customer
from orchestrator.engine.handling import Handling
from orchestrator.engine.outputs import Incident
from orchestrator.engine.record import Record
from orchestrator.names import Reason
from orchestrator.operate.replay.programs import Program
from orchestrator.operate.replay.state import State
from orchestrator.stream.clock import advanced
from orchestrator.stream.outbox import MAX_VALUE_BYTES, Outbox
from orchestrator.wire.gate import DEADLY, Refusal
from orchestrator.wire.journal import JournalRecord, Run

# Gives the records of a topic from the last ones given up to an offset.
Take = Callable[[str, int, int], Iterator[Any]]


class Said(Struct, gc=False):
    """One record that the shadow would write. `source` is topic, offset and event type of the record at hand, None for timers."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    cycle: int
    at: int
    source: tuple[str, int, str] | None


class Shadow:
    """Does one partition's cycles again. `take` gives the source records."""

    def __init__(self, state: State, take: Take, newest: int = 0) -> None:
        self.state = state
        self.newest = newest
        self.deadly: Set[tuple[str, int, int]] = frozenset()  # records that ended processes: nobody looks at them again
        self.unknown: Set[tuple[str, int, int]] = frozenset()  # records whose schema the registry did not have then
        self._take_records = take
        self._outboxes: dict[str, Outbox] = {}

    def cycle(self, record: JournalRecord, at: int, program: Program) -> tuple[list[Said], list[Handling]]:
        """Do a cycle again. `at` is when its journal record was written, after everything that it did, ms UTC."""
        self._record, self._at, self._program = record, at, program
        self._said: list[Said] = []
        self._handlings: list[Handling] = []
        name, self.state.paused, self.state.freezes = program.name, program.paused, program.freezes
        self._out = self._outboxes.get(name) or self._outboxes.setdefault(name, Outbox(program.topology, lambda: at))
        for run in record.runs:
            if run.topic:
                self._read(run)
            else:
                self._sweep(run)
        self.state.commit()
        self._out.dropped()  # nothing of this counts in the metrics
        self.newest = record.newest
        return self._said, self._handlings

    def _read(self, run: Run) -> None:
        wall = run.clock or self._at
        for message in self._take_records(run.topic, run.first, run.next):
            admitted = self._admitted(message, wall)
            if isinstance(admitted, Record):
                self._handle(message, admitted, run.clock)
            elif isinstance(admitted, Refusal):
                self._out.refusal(self.state.number, message, admitted)
                self._collect((message.topic(), message.offset(), ""), self._at)
            else:
                self._advance(message.timestamp()[1])

    def _admitted(self, message: Any, wall: int) -> Record | Refusal | None:
        """Do as the gate did then: what ended processes is not touched, and what was registered since was not known."""
        place = message.topic(), message.partition(), message.offset()
        if place in self.deadly:
            return DEADLY
        return (self._program.unasking if place in self.unknown else self._program.gate).admit(message, wall)

    def _advance(self, time: int) -> None:
        """Move the clock. The wall clock bounds it; what is known of that is where the cycle ended."""
        self.newest = max(self.newest, min(advanced(self.newest, time, self._at), self._record.newest))

    def _handle(self, message: Any, record: Record, clock: int) -> None:
        self._advance(record.time)
        state = self.state
        customer = state.open(record.customer)
        stored = customer.stored
        handlings = self._program.engine.handle(customer, record, clock or self.newest, state)
        if state.lent or (customer.stored is not None and len(customer.stored) > MAX_VALUE_BYTES):
            handlings = self._fitting(customer, stored, record, handlings)
        for handling in handlings:
            self._say(handling, message)

    def _fitting(self, customer: Customer, stored: bytes | None, record: Record, handlings: list[Handling]) -> list[Handling]:
        """Take back a record that would make a document too large, for all whom it touched (rule A5), as the worker does."""
        touched = {**self.state.lent, customer.id: stored}
        self.state.lent.clear()
        largest = max(len(self.state.open(name).stored or b"") for name in touched)
        if largest <= MAX_VALUE_BYTES:
            return handlings
        for name, before in touched.items():
            self.state.open(name).restore(before)
        incident = Incident(Reason.DOCUMENT_TOO_LARGE, f"a document would have {largest} bytes; the record was not applied")
        return [Handling(customer.id, record.time, record.type, record.event_id, incidents=[incident])]

    def _sweep(self, run: Run) -> None:
        """Fire as many customers' timers as the journal says; a state that went another way may have fewer that are due."""
        for customer in islice(self.state.due(run.clock), run.first):
            for handling in self._program.engine.fire(customer, run.clock, self.state):
                self._say(handling, None)
        self.state.lent.clear()

    def _say(self, handling: Handling, message: Any) -> None:
        self._out.handling(self.state.number, handling, message)
        self._handlings.append(handling)
        source = (message.topic(), message.offset(), handling.event) if message is not None and handling.event else None
        self._collect(source, handling.at)

    def _collect(self, source: tuple[str, int, str] | None, at: int) -> None:
        cycle = self._record.cycle
        for each in self._out.take_records():
            self._said.append(Said(each.topic, each.key, each.value, each.headers or [], cycle, at, source))
