"""One record, one customer, in the order of rule T7."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.engine import dedupe, entries, goals, memory
from orchestrator.engine.arbitration import settle
from orchestrator.engine.handling import Handling
from orchestrator.engine.identity import event_hash
from orchestrator.engine.walk import Walk
from orchestrator.names import Count

if TYPE_CHECKING:
    from orchestrator.engine.document import Document, Instance
    from orchestrator.engine.program import JourneyProgram, Program, Route, StepProgram
    from orchestrator.engine.record import Record
    from orchestrator.engine.turn import Turn
    from orchestrator.language.model import EventDedupe


def is_unheard(program: Program, document: Document, event_type: str, route: Route) -> bool:
    """Tell whether a record can do nothing to this customer but be remembered, as with most: then `pass_by` does for `run`."""
    if not route.is_passive or document.memory is not None or (route.goals and document.goals):
        return False
    for instance in document.instances:  # noqa: SIM110 - as in `entries`
        if _hears(program, instance, event_type):
            return False
    return True


def _hears(program: Program, instance: Instance, event_type: str) -> bool:
    """Tell whether an instance may do anything about an event, a late one of an earlier wait included."""
    journey = program.journeys.get((instance.journey, instance.version))
    if journey is None:
        return False
    if instance.late is not None or event_type in journey.exits or event_type in journey.states[instance.state].handlers:
        return True
    step = _waiting(journey, instance)
    return step is not None and _takes(step, instance, event_type)


def _waiting(journey: JourneyProgram, instance: Instance) -> StepProgram | None:
    return journey.steps[instance.step] if instance.step and not instance.parked else None


def _takes(step: StepProgram, instance: Instance, event_type: str) -> bool:
    return event_type in step.listens or step.verb.recalls(instance, event_type)


def pass_by(customer: str, document: Document, record: Record, rule: EventDedupe) -> Handling | None:
    """Remember a record that is unheard. Gives what is to be counted, None for nothing."""
    if not record.event_id:
        return None
    hashed, forgotten = _recognise(document, record, rule)
    if hashed and not forgotten:
        return None
    counts = {Count.FORGOTTEN_EVENT_IDS: forgotten} if hashed else {Count.DUPLICATE_EVENTS: 1}
    return Handling(customer, record.time, record.type, record.event_id, counts=counts)


def run(turn: Turn, record: Record, route: Route) -> None:
    """Drop a repeat; apply the record's own effect; exits; active instances; entries; emit. Due timers have fired before."""
    if record.event_id and _is_repeat(turn, record, route):
        return
    document = turn.document
    if route.effect is not None:
        route.effect(turn)
    if route.keep is not None:
        memory.note(turn, record, route.keep)
    if route.goals and document.goals:
        goals.consider(turn, record)
    if document.instances:
        if route.exits:
            _exit(turn, record.type)
        if route.instances:
            for instance in tuple(document.instances):
                _offer(turn, instance, record.type)
    for journey in route.entries:
        turn.at_work = None
        entries.consider(turn, journey)
    finish(turn)


def finish(turn: Turn) -> None:
    """End a handling, of a record or of timers: start what steps asked to start, emit, forget what nothing needs any more."""
    if turn.starts:
        entries.start_asked(turn)
    if turn.pending:
        settle(turn)
    if turn.document.memory is not None:
        memory.forget(turn)


def _is_repeat(turn: Turn, record: Record, route: Route) -> bool:
    """Rule I2: count a repeat and log it for each journey that it could have entered (ruling A32); remember what is new."""
    turn.hashed, forgotten = _recognise(turn.document, record, turn.program.policy.dedupe_events)
    if not turn.hashed:
        turn.count(Count.DUPLICATE_EVENTS)
        for journey in route.entries:
            entries.refuse(turn, journey, "duplicate")
        return True
    if forgotten:
        turn.count(Count.FORGOTTEN_EVENT_IDS, forgotten)
    return False


def _recognise(document: Document, record: Record, rule: EventDedupe) -> tuple[bytes, int]:
    """Give the hash of the record's event id, empty where it is a repeat, and how many others were forgotten for it."""
    hashed, seen = event_hash(record.event_id), document.seen
    if hashed in seen and dedupe.is_repeat(seen, hashed, record.time, rule):
        return b"", 0
    document.seen, forgotten = dedupe.remember(seen, hashed, record.time, rule)
    return hashed, forgotten


def _exit(turn: Turn, event_type: str) -> None:
    """The exits of all instances, before any wait of any instance (rule W7, ruling A105)."""
    for instance in tuple(turn.document.instances):
        journey = turn.program.journeys.get((instance.journey, instance.version))
        if journey is None or event_type not in journey.exits:
            continue
        if journey.key is not None and not turn.is_for(journey, instance):
            continue
        turn.at_work = instance
        walk = Walk(turn, instance, journey)
        for leave in journey.exits[event_type]:
            if walk.holds(leave.when):
                walk.leave(leave)
                break


def _offer(turn: Turn, instance: Instance, event_type: str) -> None:
    """One active instance: first the handlers of its state, then its waiting step. At most one of them acts (rule W4)."""
    journey = turn.program.journeys.get((instance.journey, instance.version))
    if journey is None:
        return
    handlers = journey.states[instance.state].handlers.get(event_type)
    if instance.late is not None and _is_late(turn, instance, journey, event_type):
        return
    step = _waiting(journey, instance)
    if step is not None and not _takes(step, instance, event_type):
        step = None
    if (handlers is None and step is None) or (journey.key is not None and not turn.is_for(journey, instance)):
        return
    turn.at_work = instance
    walk = Walk(turn, instance, journey)
    for handler in handlers or ():
        if walk.holds(handler.when):
            walk.go(handler.go)
            return
    if step is not None:
        move = step.verb.hear(walk, step)
        if move is not None:
            walk.follow(step, move)


def _is_late(turn: Turn, instance: Instance, journey: JourneyProgram, event_type: str) -> bool:
    """A record that comes after its wait has timed out, but whose time is not after the deadline (rule T5, rulings A08, A54).

    It is that wait's, late, whatever else it may be: one such event is logged, `on_late` runs if written. Gives whether that
    moved the instance; if not, the record goes on to the handlers and the wait of now.
    """
    record, late = turn.record, instance.late
    if record is None or late is None or record.time > late[1] or instance.parked:
        return False
    if turn.clock - late[1] > turn.program.limits.wait_ms:
        turn.at_work, instance.late = instance, None
        return False
    step = journey.steps[late[0]]
    if event_type not in step.listens or (journey.key is not None and not turn.is_for(journey, instance)):
        return False
    turn.at_work = instance
    walk = Walk(turn, instance, journey)
    move = step.verb.hear_late(walk, step)
    if move is None:
        return False
    walk.follow(step, move)
    return True
