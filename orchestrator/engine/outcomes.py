"""What channel services report about actions: logged for every action, moving only a call that waits for it (rules A2, A3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.engine import identity
from orchestrator.engine.handling import Decision
from orchestrator.engine.identity import uuid_text
from orchestrator.names import Kind, Reason

if TYPE_CHECKING:
    from orchestrator.engine.document import Instance
    from orchestrator.engine.turn import Turn


def receive(turn: Turn) -> None:
    """Log an `action.outcome`, with the instance and step that it answers where an active one can be found."""
    action_id, status = turn.payload.get("action_id"), turn.payload.get("status")
    if not isinstance(action_id, str) or not action_id or not isinstance(status, str):
        turn.incident(Reason.UNUSABLE_EVENT, "action.outcome needs action_id and status")
        return
    decision = Decision(Kind.OUTCOME_RECEIVED, outcome=status, reason=str(turn.payload.get("code") or ""), action_id=action_id)
    for instance in turn.document.instances:
        step = _step_of(turn, instance, action_id)
        if step:
            decision.journey, decision.version, decision.key = instance.journey, instance.version, instance.key
            decision.instance, decision.state, decision.step = uuid_text(instance.id), instance.state, step
            break
    turn.handling.decisions.append(decision)


def _step_of(turn: Turn, instance: Instance, action_id: str) -> str:
    """Give the step of an instance that has this action id on one of its visits, "" for none.

    Ids are computed, not kept: a document need not remember what it sent, and few steps act.
    """
    journey = turn.program.journeys.get((instance.journey, instance.version))
    if journey is None:
        return ""
    for step in journey.acting:
        for visit in range(1, instance.visits.get(step.state, 0) + 1):
            if identity.action_id(instance.id, step.id, visit) == action_id:
                return step.id
    return ""
