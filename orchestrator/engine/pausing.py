"""Pausing a journey (rule V6): its sends and calls are held until it is resumed. Nothing else of it stops.

Timers run, waits hear events, customers enter and leave. What the steps decide on waits beside the instance as any held action
does (rulings A12, A13), without a cap slot; a send until it expires, a call without end, since its time runs from its leaving.
Commands that cancel are no actions of a journey's own: they leave.

Which journeys are paused, the caller says through the vicinity. It is an input of the fold like the clock: a replay that hands in
the same gives the same. After a resume the caller goes through the customers at its own pace; what a customer's journey decides
before it comes to them queues behind what they have waiting, so that their order holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.engine.contact import PAUSED
from orchestrator.engine.identity import uuid_text

if TYPE_CHECKING:
    from orchestrator.engine.document import Instance
    from orchestrator.engine.handling import Action
    from orchestrator.engine.turn import Turn


def is_paused(turn: Turn, action: Action) -> bool:
    """Tell whether an action's journey is paused."""
    return action.journey in turn.vicinity.paused


def stops(turn: Turn, action: Action) -> bool:
    """Tell whether an action may not leave now: its journey is paused, or was and the customer has not been resumed yet."""
    if is_paused(turn, action):
        return True
    contact = turn.contact
    if contact is None or not contact.held:
        return False
    return any(held.reason == PAUSED and held.action.journey == action.journey for held in contact.held)


def stop_clock(turn: Turn, action: Action) -> None:
    """Let the instance that awaits a call's answer wait without a deadline, as long as the call is held."""
    instance = _awaiting(turn, action, action.expires_at)
    if instance is not None:
        instance.due = 0


def start_clock(turn: Turn, action: Action, at: int, due: int = 0) -> None:
    """Let the time of a held call, and of the instance that awaits its answer, run from when it leaves, `at` (ruling A91).

    `due` is the instance's deadline until now, 0 while its clock is stopped.
    """
    if action.kind != "call":
        return
    instance = _awaiting(turn, action, due)
    action.expires_at += max(at - action.created_at, 0)
    action.created_at = at
    if instance is not None:
        instance.due = action.expires_at


def _awaiting(turn: Turn, action: Action, due: int) -> Instance | None:
    """Give the instance that awaits a call's answer until `due`, 0 for without a deadline; None where none does any more."""
    if action.kind != "call":
        return None
    for instance in turn.document.instances:
        if (
            instance.step == action.step
            and instance.due == due
            and not instance.parked
            and uuid_text(instance.id) == action.instance
        ):
            return instance
    return None
