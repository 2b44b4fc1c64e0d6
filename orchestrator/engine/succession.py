"""What the version that takes the entries makes of instances of earlier ones (rules V2, V3): `inherits` of its file.

It is carried out when the customer is next handled, by a record, a timer or an operator's request, before anything else of that
handling: no store is gone through, however many customers there are, and who is handled when is what a replay repeats anyway.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orchestrator.engine.handle import finish
from orchestrator.engine.moves import NEXT, WAIT, Move
from orchestrator.engine.walk import Walk
from orchestrator.names import Kind

if TYPE_CHECKING:
    from orchestrator.engine.document import Instance
    from orchestrator.engine.program import JourneyProgram, StepProgram
    from orchestrator.engine.turn import Turn
    from orchestrator.language.model import Inheritance

NOTES_ARRIVAL: Final = 3  # the semantics from which on a wait counts from when the instance came to any step, not only some
REASON: Final = "published"  # why an instance ended, and its held sends with it


def run(turn: Turn) -> None:
    """Do what is said about the steps on which the customer's instances stand, oldest first."""
    rules = turn.program.inherits
    found = [(each, rules.get((each.journey, each.version, each.step))) for each in turn.document.instances]
    if not any(rule for _, rule in found):
        return
    # The record at hand did not bring the instance where it goes now: neither steps nor a wait's restarts may take it for that.
    record, turn.record = turn.record, None
    for instance, rule in found:
        if rule is not None:
            turn.at_work = instance
            _carry_out(turn, instance, rule)
    finish(turn)
    turn.at_work, turn.record = None, record


def _carry_out(turn: Turn, instance: Instance, rule: Inheritance) -> None:
    heir = turn.program.live[instance.journey]
    before = turn.program.journeys.get((instance.journey, instance.version))
    if rule.policy == "exit":
        Walk(turn, instance, before or heir).end(Kind.EXITED, reason=REASON)
        return
    began = _began(turn, instance, before)
    detail = {"from_version": str(instance.version), "from_step": instance.step}
    _give(instance, before, heir)
    walk = Walk(turn, instance, heir)
    walk.log(Kind.TAKEN_OVER, rule.to, reason=rule.policy, detail=detail)
    if rule.policy == "restart":
        walk.go(heir.start)
    else:
        step = heir.steps[rule.to]
        walk.stand_anew(step.state)
        _follow(walk, step, began)


def _began(turn: Turn, instance: Instance, before: JourneyProgram | None) -> int:
    """Give when the instance came to the step on which it waits or stands, or began to wait there anew.

    Now where nobody can tell: an older release did not note it.
    """
    step = None if before is None else before.steps.get(instance.step)
    began = 0 if step is None or not instance.due else step.verb.began(turn, step, instance)
    noted = instance.arrived if turn.program.semantics >= NOTES_ARRIVAL else 0
    return began or noted or turn.now


def _give(instance: Instance, before: JourneyProgram | None, heir: JourneyProgram) -> None:
    """Let it be of another version. A late event of a wait that only the old one has can compensate nothing any more.

    What pauses have added to its lifetime stays.
    """
    lived = 0 if before is None or before.lifetime_ms is None or not instance.expires else instance.started + before.lifetime_ms
    added = instance.expires - lived if lived else 0
    instance.version = heir.version
    instance.late = None
    instance.expires = 0 if heir.lifetime_ms is None else instance.started + heir.lifetime_ms + added


def _follow(walk: Walk, step: StepProgram, began: int) -> None:
    """Come to a step. The deadline of a wait counts from when the one before it began, and fires if that is past (rule V3).

    At exactly now it does not yet: an event wins the tie (rule T3).
    """
    turn = walk.turn
    move = _arrive(walk, step, began)
    instance = walk.instance
    if move is WAIT and instance.step == step.id:
        instance.arrived = 0 if step.verb.is_dated(step) else began
    if move is WAIT and instance.step == step.id and 0 != instance.due < turn.now:
        instance.due = 0
        move = step.verb.fall_due(walk, step)
    walk.follow(step, move)


def _arrive(walk: Walk, step: StepProgram, began: int) -> Move:
    if step.when is not None and not walk.holds(step.when, step.id):
        return NEXT
    if not step.verb.waits or step.verb.acts:
        return step.verb.arrive(walk, step)
    turn = walk.turn
    now, turn.now = turn.now, began
    try:
        return step.verb.arrive(walk, step)
    finally:
        turn.now = now
