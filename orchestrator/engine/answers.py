"""What became of actions: `action.outcome` (rules K1, A2, A3; rulings A57, A89, A94). Moves only a call that waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orchestrator.engine import identity
from orchestrator.engine.contact import ANSWERED, Sent
from orchestrator.engine.handling import Decision
from orchestrator.engine.identity import uuid_bytes, uuid_text
from orchestrator.engine.upkeep import tidy
from orchestrator.names import Kind, Reason

if TYPE_CHECKING:
    from orchestrator.engine.document import Instance
    from orchestrator.engine.turn import Turn

FREEING: Final = frozenset({"failed", "bounced", "cancelled"})  # the action did not reach the customer: its slot is free again


def receive(turn: Turn) -> None:
    """Log an outcome and note what it means for the send; one without action or status is an incident."""
    action_id, status = turn.payload.get("action_id"), turn.payload.get("status")
    if not isinstance(action_id, str) or not action_id or not isinstance(status, str) or not status:
        turn.incident(Reason.UNUSABLE_EVENT, "action.outcome needs action_id and status")
        return
    decision = Decision(Kind.OUTCOME_RECEIVED, outcome=status, reason=str(turn.payload.get("code") or ""), action_id=action_id)
    sent = note(turn, action_id, status)
    if sent is not None:
        describe(turn, decision, sent)
    else:
        _describe_by_instance(turn, decision, action_id)
    turn.handling.decisions.append(decision)


def note(turn: Turn, action_id: str, status: str) -> Sent | None:
    """Take an outcome as the answer to a send, and give its cap slot back where the status says so; give the send, if known."""
    contact = turn.contact
    try:
        raw = uuid_bytes(action_id)
    except ValueError:
        return None
    sent = None if contact is None else next((sent for sent in contact.sent if sent.action == raw), None)
    if sent is None or contact is None:
        return None
    sent.status = ANSWERED
    if status in FREEING:
        contact.sent.remove(sent)
        contact.wake(turn.now)
    tidy(turn.document, turn.now)
    return sent


def describe(turn: Turn, decision: Decision, sent: Sent) -> None:
    """Fill in where a remembered send came from."""
    decision.journey, decision.version, decision.instance = sent.journey, sent.version, uuid_text(sent.instance)
    decision.key, decision.step, decision.channel = sent.key, sent.step, sent.channel
    decision.state = next((each.state for each in turn.document.instances if each.id == sent.instance), "")


def _describe_by_instance(turn: Turn, decision: Decision, action_id: str) -> None:
    """Fill in the active instance and step that an action came from; of one that is over only the action's id is known."""
    for instance in turn.document.instances:
        step = _step_of(turn, instance, action_id)
        if step:
            decision.journey, decision.version, decision.key = instance.journey, instance.version, instance.key
            decision.instance, decision.state, decision.step = uuid_text(instance.id), instance.state, step
            return


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
