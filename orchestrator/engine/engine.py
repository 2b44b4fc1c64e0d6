"""The fold: (customer, record, time) -> (customer, handlings). The one door to the engine for everybody else."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType

from orchestrator.engine import handle, redrive, timers
from orchestrator.engine.document import NEVER, Document, decode, encode, next_due, without_timers
from orchestrator.engine.handling import Handling, Incident
from orchestrator.engine.identity import uuid_text
from orchestrator.engine.program import Program
from orchestrator.engine.record import Record
from orchestrator.engine.turn import Turn
from orchestrator.language.model import Journey, Topology
from orchestrator.names import Reason

__all__ = ["NEVER", "Customer", "Engine", "next_due"]


class Customer:
    """One customer while its caller works on it.

    `stored` is the document as bytes after the last handling, None for no state (a tombstone in the changelog). It begins with
    a format byte and `next_due` as 8 bytes big-endian. It stays the same object where a handling changed nothing. `document` is
    decoded on first use and kept; it belongs to the engine.
    """

    __slots__ = ("document", "id", "stored")

    def __init__(self, customer_id: str, stored: bytes | None) -> None:
        self.id = customer_id
        self.stored = stored
        self.document: Document | None = None

    def keep(self, document: Document) -> None:
        """Take the document as it is after a handling."""
        stored = encode(document)
        if stored != self.stored:
            self.stored = stored


class Engine:
    """A compiled topology. Immutable after construction; one instance serves all partitions."""

    def __init__(self, topology: Topology, earlier: Iterable[Journey] = ()) -> None:
        """`earlier` are versions of journeys that take no entries any more, for the instances that stand on them (rule V1)."""
        self.program = Program(topology, earlier)
        self._routes = self.program.routes

    def hears(self, event_type: str) -> bool:
        """Tell whether any journey, policy rule or the engine itself cares; if not, the caller need not fetch the customer."""
        return event_type in self._routes

    def handle(self, customer: Customer, record: Record, clock: int) -> list[Handling]:
        """Fire the customer's timers due before the record's time (T3), then handle the record (T7).

        `clock` is the partition's clock in ms (T4), for `max_age`. Gives the handlings that did something, in order. Never
        raises for data: a bug becomes an incident `handler_error` and the customer stays as before the record (A5).
        `customer.stored` is up to date afterwards.

        T7 names duplicates before timers. Which of the two comes first changes no outcome; timers first keeps a customer's
        log in time order, and the same whether a record or the clock makes them fire.
        """
        route = self._routes.get(record.type)
        if route is None:
            return []
        handlings = self.fire(customer, record.time) if next_due(customer.stored) < record.time else []
        turn: Turn | None = None
        try:
            if customer.document is None:
                customer.document = decode(customer.stored)
            handling = Handling(customer.id, record.time, record.type, record.event_id)
            turn = Turn(self.program, customer.id, customer.document, record.time, clock, record, handling)
            handle.run(turn, record, route)
            customer.keep(customer.document)
        except Exception as error:
            customer.document = None
            handlings.append(_failed(Handling(customer.id, record.time, record.type, record.event_id), error, turn))
            return handlings
        if handling.decisions or handling.incidents or handling.counts:
            handlings.append(handling)
        return handlings

    def redrive(self, customer: Customer, step: str, now: int, journey: str = "") -> list[Handling]:
        """Run parked instances again from the step at which they failed (rule A4), those of `journey` or of all.

        `now` is the logical time in ms UTC; timers due before it fire first. What the step checks is checked again, as of now;
        exits have acted on the parked instance all along. No parked instance at the step: no handling.
        """
        handlings = self.fire(customer, now) if next_due(customer.stored) < now else []
        turn: Turn | None = None
        try:
            if customer.document is None:
                customer.document = decode(customer.stored)
            turn = Turn(self.program, customer.id, customer.document, now, now, None, Handling(customer.id, now))
            redrive.run(turn, step, journey)
            customer.keep(customer.document)
        except Exception as error:
            customer.document = None
            return [*handlings, _failed(Handling(customer.id, now), error, turn)]
        handling = turn.handling
        return [*handlings, handling] if handling.decisions or handling.incidents else handlings

    def fire(self, customer: Customer, before: int) -> list[Handling]:
        """Fire the customer's timers due < `before`, earliest first, one Handling for each due instant."""
        handlings: list[Handling] = []
        while (due := next_due(customer.stored)) < before:
            handlings.append(self._fire_at(customer, due))
        return handlings

    def _fire_at(self, customer: Customer, due: int) -> Handling:
        turn: Turn | None = None
        try:
            if customer.document is None:
                customer.document = decode(customer.stored)
            turn = Turn(self.program, customer.id, customer.document, due, due, None, Handling(customer.id, due))
            timers.run(turn)
            customer.keep(customer.document)
        except Exception as error:
            handling = _failed(Handling(customer.id, due), error, turn)
            self._stop_timer(customer, turn, due)
            return handling
        return turn.handling

    def _stop_timer(self, customer: Customer, turn: Turn | None, due: int) -> None:
        """After a failure, park the instance at work in the document as it was, so that the same timer does not fire for ever."""
        try:
            customer.document = decode(customer.stored)
        except Exception:
            customer.document = None
            if customer.stored is not None:
                customer.stored = without_timers(customer.stored)
            return
        at_work = turn.at_work.id if turn is not None and turn.at_work is not None else None
        timers.park(customer.document, due, at_work, Reason.HANDLER_ERROR)
        customer.keep(customer.document)


def _failed(handling: Handling, error: Exception, turn: Turn | None) -> Handling:
    """Give the handling of a failure: an incident that names the exception's class and where it arose, and no value."""
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
        if package:
            found = f"{package}{file}:{trace.tb_lineno} in {code.co_name}"
        trace = trace.tb_next
    return found
