"""One instant's timers of one customer (rules T3, T6; ruling A06): all that is due at it is one handling."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.engine import held
from orchestrator.engine.handle import finish
from orchestrator.engine.outputs import Incident
from orchestrator.engine.walk import Walk
from orchestrator.names import Kind, Reason

if TYPE_CHECKING:
    from orchestrator.engine.document import Document, Instance
    from orchestrator.engine.turn import Turn


def run(turn: Turn) -> None:
    """Fire what is due at `turn.now`, by journey id, then instance id; end what reached its lifetime; look at held sends; emit.

    A wait as long as the lifetime is allowed (rule W8), so at that instant the wait times out before the instance expires.
    """
    for instance in _in_order(turn.document):
        if 0 != instance.due <= turn.now and not instance.stopped:
            _fall_due(turn, instance)
    for instance in _in_order(turn.document):
        if 0 != instance.expires <= turn.now and not instance.stopped:
            _expire(turn, instance)
    if turn.contact is not None:
        held.release(turn)
    finish(turn)


def park(document: Document, due: int, instance_id: bytes | None, reason: str) -> None:
    """Take the timers of `instance_id` away, and mark it parked; if it is not among those due at
    `due`, stop the held sends due then; and where there are none, park all that are due."""
    waiting = [one for one in document.instances if 0 != one.due <= due or 0 != one.expires <= due]
    chosen = [one for one in waiting if one.id == instance_id]
    if not chosen and not held.stop(document, due):
        chosen = waiting
    for instance in chosen:
        instance.parked = reason
        instance.due = 0
        if instance.expires <= due:
            instance.expires = 0


def _in_order(document: Document) -> list[Instance]:
    instances = document.instances
    return list(instances) if len(instances) < 2 else sorted(instances, key=_order)


def _order(instance: Instance) -> tuple[str, bytes]:
    return instance.journey, instance.id


def _fall_due(turn: Turn, instance: Instance) -> None:
    walk = _walk(turn, instance)
    if walk is None:
        return
    step = walk.journey.steps[instance.step]
    instance.due = 0
    walk.follow(step, step.verb.fall_due(walk, step))


def _expire(turn: Turn, instance: Instance) -> None:
    walk = _walk(turn, instance)
    if walk is not None:
        walk.end(Kind.EXPIRED)


def _walk(turn: Turn, instance: Instance) -> Walk | None:
    """Give the walk of an instance; one whose journey version is not loaded is parked, with an incident."""
    turn.at_work = instance
    journey = turn.program.journeys.get((instance.journey, instance.version))
    if journey is not None:
        return Walk(turn, instance, journey)
    park(turn.document, turn.now, instance.id, Reason.VERSION_MISSING)
    message = "this version of the journey is not loaded, so the instance is parked where it stands: keep its file under earlier/"
    incident = Incident(Reason.VERSION_MISSING, message, instance.journey, instance.version, step=instance.step, stage="timer")
    turn.handling.incidents.append(incident)
    return None
