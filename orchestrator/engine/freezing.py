"""Timers that stand still while a journey is paused (rule V6): waits, delays, back-offs, calls under way and the lifetime.

  vicinity.freezes["j"] = ((since, until), ...)     ms UTC, earliest first; `until` 0 for a pause that lasts
  due ────────────┬ since ······· until ┬──────────► due + until - since

A deadline before `since` has fired; any other comes later by as much of the pause as the instance has been waiting through.
What an instance hears, and what it comes to wait for in the pause, is as ever: that wait's time begins to run at the end.

Nobody's document is gone through for it. Where a customer is handled, by a record or because a timer of theirs would be due,
the instance is stopped (`stopped`: since when, its deadlines as they were then) and is in no calendar. Once the pause has an end,
whoever was not handled meanwhile gets the later deadline when the old one comes; whoever was stopped needs to be handled by
something, for which the operator's resume asks customer by customer. All of it follows from the record times and the pauses that
the caller hands in, so that a worker which was down decides as one that was not (rule T4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.engine.identity import uuid_text

if TYPE_CHECKING:
    from orchestrator.engine.document import Document, Instance
    from orchestrator.engine.program import Program
    from orchestrator.engine.turn import Turn
    from orchestrator.engine.vicinity import Freezes


def thaw(program: Program, document: Document, freezes: Freezes) -> bool:
    """Let the clocks run that were stopped in a pause which is over; tell whether there was any. It comes before timers fire."""
    is_changed = False
    for instance in document.instances:
        if instance.stopped:
            pauses = freezes.get(instance.journey, ())
            until = next((until for _, until in pauses if until > instance.thawed), 0)
            if until:
                _postpone(program, document, instance, instance.stopped, until)
                instance.stopped, instance.thawed = 0, until
                is_changed = True
    return is_changed


def begin(turn: Turn) -> None:
    """Before a handling: give every deadline as it would be if the pause ended now; the clock stands since now, then."""
    now = turn.now
    for instance in turn.document.instances:
        for since, until in turn.vicinity.freezes.get(instance.journey, ()):
            if 0 != until <= instance.thawed:
                continue
            if now < since:
                break
            start = instance.stopped or max(since, instance.arrived)
            is_over = 0 != until <= now
            _postpone(turn.program, turn.document, instance, start, until if is_over else now)
            if is_over:
                instance.stopped, instance.thawed = 0, until
            else:
                instance.stopped = max(start, now)


def end(turn: Turn) -> None:
    """After a handling: stop what began to wait in it, too; where the pause is over by now, let all wait for its end."""
    for instance in turn.document.instances:
        for since, until in turn.vicinity.freezes.get(instance.journey, ()):
            if 0 != until <= instance.thawed:
                continue
            if turn.now < since:
                break
            instance.stopped = instance.stopped or max(since, turn.now)
            if until:
                _postpone(turn.program, turn.document, instance, instance.stopped, until)
                instance.stopped, instance.thawed = 0, until
        if not instance.due and not instance.expires:
            instance.stopped = 0


def _postpone(program: Program, document: Document, instance: Instance, start: int, until: int) -> None:
    """Let what was still to come at `start` come as long after `until`."""
    by_ms = until - start
    if by_ms <= 0:
        return
    due = instance.due
    if due:
        journey = program.journeys.get((instance.journey, instance.version))
        step = None if journey is None else journey.steps.get(instance.step)
        instance.due = due + by_ms if step is None else step.verb.postponed(step, due, by_ms, until)
        _postpone_call(document, instance, due, by_ms)
    if instance.expires:
        instance.expires += by_ms
    if instance.arrived:
        instance.arrived += by_ms


def _postpone_call(document: Document, instance: Instance, due: int, by_ms: int) -> None:
    """The call that waits for its place in the channel's rate is known by the deadline that it shares with its instance."""
    for held in document.contact.held if document.contact is not None else ():
        action = held.action
        is_its = action.kind == "call" and action.step == instance.step and action.instance == uuid_text(instance.id)
        if is_its and action.expires_at == due:
            action.created_at += by_ms
            action.expires_at += by_ms
