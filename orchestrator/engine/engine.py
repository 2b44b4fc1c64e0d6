"""The fold: (customer, record, time) -> (customer, handlings). The one door to the engine for everybody else."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from types import TracebackType
from typing import Final

from orchestrator.engine import freezing, handle, held, merging, redrive, succession, timers
from orchestrator.engine.customer import Customer
from orchestrator.engine.document import NEVER
from orchestrator.engine.handling import Handling
from orchestrator.engine.identity import uuid_text
from orchestrator.engine.outputs import Incident
from orchestrator.engine.program import Program
from orchestrator.engine.record import Record
from orchestrator.engine.storing import due_bytes, next_due, without_timers
from orchestrator.engine.turn import Turn
from orchestrator.engine.vicinity import ALONE, NOTE_TIMERS, Vicinity, is_note, kind_of
from orchestrator.language.model import Topology
from orchestrator.names import Reason

__all__ = ["EARLIER_SEMANTICS", "NEVER", "SEMANTICS", "Customer", "Engine", "due_bytes", "next_due"]

# Raised when the same history gives other decisions, actions or documents than before; not for a field more in documents by which
# nothing is decided.
SEMANTICS: Final = 4
# Older ones by which an engine can still decide, so that what they recorded can be replayed.
EARLIER_SEMANTICS: Final = (2, 3)


class Engine:
    """A compiled topology. Immutable after construction; one instance serves all partitions."""

    def __init__(self, topology: Topology, share: Fraction = Fraction(1), semantics: int = SEMANTICS) -> None:
        """`share` is the part of a cluster-wide rate that one partition has: 1 / partitions on Kafka.

        `semantics` is this release's, or an earlier one's for a replay of what that decided.
        """
        self.program = Program(topology, share, semantics)
        self._routes = self.program.routes

    def hears(self, event_type: str) -> bool:
        """Tell whether any journey, policy rule or the engine itself cares; if not, the caller need not fetch the customer."""
        return event_type in self._routes

    def reads(self, event_type: str) -> frozenset[str] | None:
        """Give the fields of an event's payload that any of them may read, None for all: the caller need not decode the rest."""
        return self.program.reads(event_type)

    def handle(self, customer: Customer, record: Record, clock: int, vicinity: Vicinity = ALONE) -> list[Handling]:
        """Fire the customer's timers due before the record's time (T3), then handle the record (T7).

        `clock` is the partition's clock in ms (T4), for `max_age`. Gives the handlings that did something, in order. Never
        raises for data: a bug becomes an incident `handler_error` and the customer stays as before the record (A5).
        `customer.stored` is up to date afterwards, and so is that of every customer and note that `vicinity` gave.

        A record of an id that was merged into another is handled for that one, and reported for it (rule M1).

        T7 names duplicates before timers. Which of the two comes first changes no outcome; timers first keeps a customer's
        log in time order, and the same whether a record or the clock makes them fire.
        """
        route = self._routes.get(record.type)
        if route is None:
            return []
        handlings = self._fire_before(customer, record.time, vicinity)
        turn: Turn | None = None
        try:
            document = customer.document or customer.open()
            if document.merged is not None and document.merged.into:
                target = merging.line_of(customer.id, vicinity.customer)[-1]
                return self.handle(target, record.of(target.id), clock, vicinity)
            is_plain = not (vicinity.freezes or self.program.inherits)
            if is_plain and handle.is_unheard(self.program, document, record.type, route):
                passed = handle.pass_by(customer.id, document, record, self.program.policy.dedupe_events)
                customer.keep_seen(document)
                return handlings if passed is None else [*handlings, passed]
            if route.merges:
                handlings += self._fire_line(record, vicinity)
            handling = Handling(customer.id, record.time, record.type, record.event_id)
            turn = Turn(self.program, customer.id, document, record.time, clock, record, handling, vicinity)
            self._begin(turn)
            handle.run(turn, record, route)
            if vicinity.freezes:
                freezing.end(turn)
            if turn.touched:
                _keep(turn)
            customer.keep(document)
        except Exception as error:
            handlings.append(_failed(Handling(customer.id, record.time, record.type, record.event_id), error, turn, customer))
            return handlings
        if handling.decisions or handling.incidents or handling.counts:
            handlings.append(handling)
        return handlings

    def _fire_line(self, record: Record, vicinity: Vicinity) -> list[Handling]:
        """Fire the timers of whom the record's customer is to be merged into: they come before its record, too (rule T3)."""
        line = merging.line_of(record.payload.get("into"), vicinity.customer)
        return self.fire(line[-1], record.time, vicinity) if line else []

    def redrive(self, customer: Customer, step: str, now: int, journey: str = "", vicinity: Vicinity = ALONE) -> list[Handling]:
        """Run parked instances again from the step at which they failed (rule A4), those of `journey` or of all.

        `now` is the logical time in ms UTC; timers due before it fire first. What the step checks is checked again, as of now;
        exits have acted on the parked instance all along. No parked instance at the step: no handling.
        """
        return self._operate(customer, now, vicinity, lambda turn: redrive.run(turn, step, journey))

    def resume(self, customer: Customer, journey: str, now: int, vicinity: Vicinity = ALONE) -> list[Handling]:
        """Let go of what the customer has waiting for `journey`, which `vicinity` says is not paused any more (rule V6).

        `now` is the logical time in ms UTC; timers due before it fire first. What was held is decided on as of now, in its order:
        consent, suppression, expiry, caps, quiet hours, rate. Nothing held: no handling. It may be asked for any number of times.
        """
        return self._operate(customer, now, vicinity, lambda turn: _resume(turn, journey))

    def _operate(self, customer: Customer, now: int, vicinity: Vicinity, act: Callable[[Turn], None]) -> list[Handling]:
        """Do what an operator asks for at `now`, as a handling of its own; for an id that was merged, as whom it goes on."""
        handlings = self._fire_before(customer, now, vicinity)
        turn: Turn | None = None
        try:
            merged = customer.open().merged
            if merged is not None and merged.into:
                return self._operate(merging.line_of(customer.id, vicinity.customer)[-1], now, vicinity, act)
            turn = Turn(self.program, customer.id, customer.open(), now, now, None, Handling(customer.id, now), vicinity)
            self._begin(turn)
            act(turn)
            if vicinity.freezes:
                freezing.end(turn)
            _keep(turn)
            customer.keep(customer.open())
        except Exception as error:
            return [*handlings, _failed(Handling(customer.id, now), error, turn, customer)]
        handling = turn.handling
        return [*handlings, handling] if handling.decisions or handling.incidents else handlings

    def fire(self, customer: Customer, before: int, vicinity: Vicinity = ALONE) -> list[Handling]:
        """Fire the customer's timers due < `before`, earliest first, one Handling for each due instant.

        A note's timer runs what its kind does then.
        """
        handlings: list[Handling] = []
        if vicinity.freezes and not is_note(customer.id):
            self._thaw(customer, vicinity)
        while (due := next_due(customer.stored)) < before:
            if is_note(customer.id):
                handlings += self._fire_note(customer, due, vicinity)
            else:
                handling = self._fire_at(customer, due, vicinity)
                if not vicinity.freezes or handling.decisions or handling.incidents:
                    handlings.append(handling)
        return handlings

    def _fire_before(self, customer: Customer, time_ms: int, vicinity: Vicinity) -> list[Handling]:
        """Fire what is due before a record; a deadline that was stopped in a pause is in no head of a document."""
        is_due = next_due(customer.stored) < time_ms or vicinity.freezes
        return self.fire(customer, time_ms, vicinity) if is_due else []

    def _thaw(self, customer: Customer, vicinity: Vicinity) -> None:
        try:
            document = customer.open()
            if freezing.thaw(self.program, document, vicinity.freezes):
                customer.keep(document)
        except Exception:  # the handling that follows meets it again, and tells of it
            customer.document = None

    def _begin(self, turn: Turn) -> None:
        """Do what comes before anything else of a handling."""
        if turn.vicinity.freezes:
            freezing.begin(turn)
        if self.program.inherits:
            succession.run(turn)

    def _fire_at(self, customer: Customer, due: int, vicinity: Vicinity) -> Handling:
        turn: Turn | None = None
        try:
            document = customer.document or customer.open()
            turn = Turn(self.program, customer.id, document, due, due, None, Handling(customer.id, due), vicinity)
            self._begin(turn)
            timers.run(turn)
            if vicinity.freezes:
                freezing.end(turn)
            if turn.touched:
                _keep(turn)
            customer.keep(document)
        except Exception as error:
            handling = _failed(Handling(customer.id, due), error, turn, customer)
            self._stop_timer(customer, turn, due)
            return handling
        return turn.handling

    def _fire_note(self, note: Customer, due: int, vicinity: Vicinity) -> list[Handling]:
        """Run a note's timer; where that fails, or leaves it due, the note keeps what it says and has no timer any more."""
        stored = note.stored
        try:
            handlings = NOTE_TIMERS[kind_of(note.id)](self.program, note, due, vicinity)
        except Exception as error:
            note.stored = stored
            handlings = [_failed(Handling(note.id, due), error, None, note)]
        if note.stored is not None and next_due(note.stored) <= due:
            note.stored = without_timers(note.stored)
        return handlings

    def _stop_timer(self, customer: Customer, turn: Turn | None, due: int) -> None:
        """After a failure, park the instance at work in the document as it was, so that the same timer does not fire for ever."""
        at_work = turn.at_work.id if turn is not None and turn.at_work is not None else None
        try:
            document = customer.open()
            timers.park(document, due, at_work, Reason.HANDLER_ERROR)
            customer.keep(document)
        except Exception:  # a part of it cannot be read
            customer.document = None
            if customer.stored is not None:
                customer.stored = without_timers(customer.stored)


def _resume(turn: Turn, journey: str) -> None:
    held.resume(turn, journey)
    handle.finish(turn)


def _keep(turn: Turn) -> None:
    """Keep what the handling did to others. The customer at hand comes after them: a failure here leaves it as it was."""
    for other, _ in turn.touched:
        if other.document is not None:
            other.keep(other.document)


def _failed(handling: Handling, error: Exception, turn: Turn | None, customer: Customer) -> Handling:
    """Put everybody back to before the handling, and give that of its failure.

    Its incident names the exception's class and where it arose, and no value.
    """
    customer.document = None
    for other, stored in turn.touched if turn is not None else ():
        other.restore(stored)
    instance = None if turn is None else turn.at_work
    incident = Incident(Reason.HANDLER_ERROR, f"{type(error).__name__} at {_location(error.__traceback__)}")
    incident.stage = "engine" if handling.event else "timer"
    if instance is not None:
        incident.journey, incident.version, incident.step = instance.journey, instance.version, instance.step
        incident.instance = uuid_text(instance.id)
    handling.incidents.append(incident)
    return handling


def _location(trace: TracebackType | None) -> str:
    """Give file, line and function of the innermost frame of this package."""
    found = "unknown place"
    while trace is not None:
        code = trace.tb_frame.f_code
        _, package, file = code.co_filename.replace("\\", "/").rpartition("orchestrator/")
        # By the module as well: the folder that the project stands in may have the package's name.
        if package and trace.tb_frame.f_globals.get("__name__", "").startswith("orchestrator."):
            found = f"{package}{file}:{trace.tb_lineno} in {code.co_name}"
        trace = trace.tb_next
    return found
