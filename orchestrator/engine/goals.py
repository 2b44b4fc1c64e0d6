"""Goals: what success is, measured for each instance and never acted on (rule G1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orchestrator.engine.document import GoalWatch
from orchestrator.engine.handling import Decision
from orchestrator.engine.identity import uuid_text
from orchestrator.language.expressions import UNKNOWN
from orchestrator.names import Count, Kind

if TYPE_CHECKING:
    from orchestrator.engine.document import Document, Instance
    from orchestrator.engine.program import GoalProgram, JourneyProgram
    from orchestrator.engine.record import Record
    from orchestrator.engine.turn import Turn

WATCHES: Final = 100  # instances watched for one customer; the oldest is forgotten first


def watch(turn: Turn, journey: JourneyProgram, instance: Instance) -> None:
    """Begin to watch the goals of an instance that has just entered; its entry's own event was considered before."""
    watches = turn.document.goals
    missing = list(journey.goals)
    watches.append(GoalWatch(instance.id, journey.id, journey.version, instance.key, instance.started, missing))
    if len(watches) > WATCHES:
        turn.document.goals = watches[1:]
        turn.count(Count.FORGOTTEN_GOALS)


def unite(turn: Turn, theirs: list[GoalWatch], ended: set[bytes]) -> None:
    """Watch on for another id that is the same person, but not for instances that a merge has ended: no goal counts twice."""
    watches = sorted((*turn.document.goals, *theirs), key=lambda one: one.entered)
    kept = [one for one in watches if one.instance not in ended]
    if len(kept) > WATCHES:
        turn.count(Count.FORGOTTEN_GOALS, len(kept) - WATCHES)
    turn.document.goals = kept[-WATCHES:]


def keep_context(document: Document, instance: Instance, journey: JourneyProgram) -> None:
    """Keep the context of an instance that ends, where a goal it may still reach reads it."""
    for one in document.goals:
        if one.instance == instance.id:
            if any(journey.goals[name].reads_context for name in one.missing if name in journey.goals):
                one.context = instance.context
            return


def consider(turn: Turn, record: Record) -> None:
    """Log the goals that the record reaches, whether or not their instances are still active; forget what can come no more.

    A watch outlasts its window by the dedupe window, for records that come late with a time inside it.
    """
    remaining: list[GoalWatch] = []
    for one in turn.document.goals:
        journey = turn.program.journeys.get((one.journey, one.version))
        if journey is None:
            remaining.append(one)
            continue
        _reach(turn, record, journey, one)
        ends = max((one.entered + journey.goals[name].within_ms for name in one.missing), default=0)
        if turn.clock <= ends + turn.program.policy.dedupe_events.window_ms:
            remaining.append(one)
    turn.document.goals = remaining


def _reach(turn: Turn, record: Record, journey: JourneyProgram, one: GoalWatch) -> None:
    for name in tuple(one.missing):
        goal = journey.goals[name]
        if record.type not in goal.on or record.time > one.entered + goal.within_ms:
            continue
        if journey.key is not None and not turn.is_for(journey, one):
            continue
        if _holds(turn, goal, one):
            one.missing = [other for other in one.missing if other != name]
            _log(turn, record, journey, one, name)


def _holds(turn: Turn, goal: GoalProgram, one: GoalWatch) -> bool:
    if goal.when is None:
        return True
    context = one.context or {}
    for instance in turn.document.instances:
        if instance.id == one.instance:
            context = instance.context
    value = goal.when.evaluate(turn.scope(context, turn.event))
    if value is UNKNOWN or not isinstance(value, bool):
        decision = _decision(Kind.CONDITION_ERROR, one)
        decision.detail = {"expression": goal.when.source, "goal": goal.id}
        turn.handling.decisions.append(decision)
        return False
    return value


def _log(turn: Turn, record: Record, journey: JourneyProgram, one: GoalWatch, goal: str) -> None:
    arms = journey.arms_among(turn.document.arms)
    decision = _decision(Kind.GOAL_REACHED, one)
    decision.arm = next(iter(arms.values())) if len(arms) == 1 else ""
    decision.detail = {"goal": goal, "took_ms": str(record.time - one.entered)}
    if arms:
        decision.detail["arms"] = ", ".join(f"{name}={arm}" for name, arm in arms.items())
    turn.handling.decisions.append(decision)


def _decision(kind: str, one: GoalWatch) -> Decision:
    return Decision(kind, one.journey, one.version, uuid_text(one.instance), one.key)
