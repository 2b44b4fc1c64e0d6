"""One partition again: the pure engine along the journal's runs, and what it must have written, record by record.

The journal says in which order the source topics were read, with which clock, and up to when how many customers' timers fired.
Everything else follows from the source records: actions, decisions, incidents, documents.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from itertools import islice
from typing import Any, Final, NamedTuple

from orchestrator import __version__
from orchestrator.engine.handling import Action, Handling
from orchestrator.engine.outputs import Incident
from orchestrator.engine.record import Record
from orchestrator.names import Reason
from orchestrator.wire.actions import ActionEncoder
from orchestrator.wire.gate import DEADLY, Message, Refusal
from orchestrator.wire.handlings import HandlingEncoder
from orchestrator.wire.incidents import incident_from_engine, incident_from_refusal
from orchestrator.wire.journal import JournalRecord, Run
from tests.checker.evidence import Topics, offsets_of
from tests.checker.programs import Program
from tests.checker.report import Report
from tests.checker.state import State

GRACE_MS: Final = 1_000  # rule T5: no timer fires less than this before the wall clock
SKEW_MS: Final = 60_000  # a record further ahead of the wall clock moves no clock
MAX_VALUE_BYTES: Final = 1_000_000  # what a topic takes; a larger document takes its record back, a larger command is not sent

Headers = list[tuple[str, bytes | None]]


class Expected(NamedTuple):
    """A record that a cycle must have written. `source` is the record at hand, None for timers."""

    key: bytes | None
    value: bytes | None
    headers: Headers
    cycle: int
    source: Message | None


class Replay:
    """Replays one partition cycle by cycle. What the journal says and cannot be is a difference; nothing is raised for it."""

    def __init__(
        self,
        place: tuple[int, int],
        topics: Topics,
        sources: Mapping[str, Sequence[Message]],
        report: Report,
        *,
        is_loaded: bool = False,
    ) -> None:
        """`place`: the partition's number, and how many there are. `is_loaded`: the sources were complete before any cycle."""
        number, partitions = place
        self.state = State(number, partitions)
        self.expected: dict[str, list[Expected]] = defaultdict(list)  # by topic
        self.changes: list[dict[bytes, bytes | None]] = []  # by cycle: the documents that it wrote
        self.deadly: Set[tuple[str, int, int]] = frozenset()  # records that ended processes: the gate is not asked about them
        self.newest = 0
        self.position = dict.fromkeys(sources, 0)  # how many records of each source topic were read
        self._number = number
        self._topics = topics
        self._sources = sources
        self._offsets = {topic: offsets_of(records) for topic, records in sources.items()}
        self._report = report
        self._is_loaded = is_loaded
        self._written = dict.fromkeys(("decisions", "actions", "incidents"), 0)
        self._encoders: dict[str, tuple[ActionEncoder, HandlingEncoder]] = {}

    def cycle(self, record: JournalRecord, program: Program, at: int) -> None:
        """Do what a journal record says that was done. `at`: when it was produced, after all that the cycle did, ms UTC."""
        self._record, self._program, self._at = record, program, at
        self.state.paused, self.state.freezes = program.paused, program.freezes
        self._written = dict.fromkeys(self._written, 0)
        app = program.topology.streams.app
        self._app = app
        self._actions, self._handlings = self._encoders.setdefault(record.program, (ActionEncoder(app), HandlingEncoder()))
        for run in record.runs:
            if run.topic:
                self._read(run)
            else:
                self._sweep(run)
        self.changes.append(self.state.commit())
        self._compare_with_journal(record)

    def _where(self) -> str:
        return f"{self._topics.journal}/{self._number}, cycle {self._record.cycle}"

    def _compare_with_journal(self, record: JournalRecord) -> None:
        said = {"decisions": record.decisions, "actions": record.actions, "incidents": record.incidents}
        for what, count in said.items():
            if count != self._written[what]:
                self._report.differ(self._where(), f"says {count} {what}, the engine gives {self._written[what]}")
        if self.newest != record.newest:
            self._report.differ(self._where(), f"says that the newest record time is {record.newest}, it is {self.newest}")
            self.newest = record.newest

    # Records

    def _read(self, run: Run) -> None:
        records = self._sources.get(run.topic)
        if records is None:
            self._report.differ(self._where(), f"names {run.topic}, which is no source topic")
            return
        offsets = self._offsets[run.topic]
        start, end = bisect_left(offsets, run.first), bisect_left(offsets, run.next)
        wall = run.clock or self._at
        if run.clock and start < end:
            self._check_caught_up()
        self.position[run.topic] = end
        admit = self._admit if self.deadly else self._program.gate.admit
        for message in islice(records, start, end):
            admitted = admit(message, wall)
            if isinstance(admitted, Record):
                self._take(message, admitted, run.clock)
            elif admitted is None:
                self._advance(message.timestamp()[1])
            else:
                self._refuse(message, admitted)
        self._report.counts["source records"] += end - start

    def _admit(self, message: Message, wall: int) -> Record | Refusal | None:
        if (message.topic(), message.partition(), message.offset()) in self.deadly:
            self._report.counts["deadly records"] += 1
            return DEADLY
        return self._program.gate.admit(message, wall)

    def _advance(self, time: int) -> None:
        """Move the partition's clock; the wall clock, which bounds it, is known only by where the cycle ended.

        So a record that came from less than a cycle's length inside or outside of the limits counts as if it stood outside.
        """
        if time > self.newest and time <= self._at + SKEW_MS:
            self.newest = max(self.newest, min(time, self._record.newest))

    def _take(self, message: Message, record: Record, clock: int) -> None:
        self._advance(record.time)
        state = self.state
        customer = state.open(record.customer)
        stored = customer.stored
        handlings = self._program.engine.handle(customer, record, clock or self.newest, state)
        if state.lent or (customer.stored is not None and len(customer.stored) > MAX_VALUE_BYTES):
            touched = {**state.lent, customer.id: stored}
            state.lent.clear()
            largest = max(len(state.open(name).stored or b"") for name in touched)
            if largest > MAX_VALUE_BYTES:
                state.restore(touched)
                handlings = [_document_too_large(record, largest)]
        for handling in handlings:
            self._say(handling, message)

    def _refuse(self, message: Message, refusal: Refusal) -> None:
        self._written["incidents"] += 1
        self._report.counts["refused records"] += 1
        self._expect(self._topics.incidents, incident_from_refusal(message, refusal, self._app, __version__), message)

    # Timers

    def _sweep(self, run: Run) -> None:
        """Fire as many customers' timers as the journal says, which must have been due."""
        if run.clock > self._at - GRACE_MS:
            self._report.differ(self._where(), f"timers were fired up to {run.clock}, before their time: it was {self._at}")
        if run.clock > self.newest:
            self._check_caught_up()
        fired = 0
        for customer in islice(self.state.due(run.clock), run.first):
            fired += 1
            for handling in self._program.engine.fire(customer, run.clock, self.state):
                self._say(handling, None)
        self.state.lent.clear()
        self._report.counts["customers' timers"] += fired
        if fired < run.first:
            what = f"timers of {run.first} customers fired up to {run.clock}, only {fired} had any due by then"
            self._report.differ(self._where(), what)

    def _check_caught_up(self) -> None:
        """Where everything was there from the beginning, nobody is caught up before the end: timers would be early."""
        waiting = sum(len(records) - self.position[topic] for topic, records in self._sources.items())
        if self._is_loaded and waiting:
            self._report.differ(self._where(), f"the wall clock was used while {waiting} records were waiting")

    # What comes of it

    def _say(self, handling: Handling, message: Message | None) -> None:
        source = message if handling.event else None
        if handling.decisions:
            self._written["decisions"] += len(handling.decisions)
            place: tuple[Any, ...] = () if source is None else (source.topic(), self._number, source.offset())
            self._expect(self._topics.transitions, self._handlings.encode(handling, *place), source)
        for action in handling.actions:
            self._command(action, handling, source)
        for index, incident in enumerate(handling.incidents):
            self._written["incidents"] += 1
            found = incident_from_engine(incident, handling, index, message, (self._app, __version__))
            self._expect(self._topics.incidents, found, source)

    def _command(self, action: Action, handling: Handling, source: Message | None) -> None:
        key, value, headers = self._actions.encode(action, None if source is None else source.headers())
        if len(value) > MAX_VALUE_BYTES:
            handling.incidents.append(_command_too_large(action, len(value)))
            return
        self._written["actions"] += 1
        self._expect(self._program.topics[action.channel], (key, value, headers), source)

    def _expect(self, topic: str, record: tuple[Any, Any, Any], source: Message | None) -> None:
        self.expected[topic].append(Expected(*record, self._record.cycle, source))


def _document_too_large(record: Record, size: int) -> Handling:
    incident = Incident(Reason.DOCUMENT_TOO_LARGE, f"a document would have {size} bytes; the record was not applied")
    return Handling(record.customer, record.time, record.type, record.event_id, incidents=[incident])


def _command_too_large(action: Action, size: int) -> Incident:
    text = f"the command has {size} bytes, more than a topic takes; it was not emitted"
    return Incident(Reason.OUTPUT_TOO_LARGE, text, action.journey, action.version, action.instance, action.step)
