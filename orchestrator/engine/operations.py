"""What an operator asks for about one customer: `operation.requested`, as a record among all others (rules A4, F1).

Each request leaves at least one decision, `operated` or `operation_refused`, with who asked and why: the audit. What a step does
then is decided and logged as ever. Exits, consent, suppression, caps and quiet hours hold for operators too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from orchestrator.engine import erasure, held
from orchestrator.engine.contact import HOLD
from orchestrator.engine.dedupe import ENTRY
from orchestrator.engine.document import NEVER
from orchestrator.engine.handling import Decision
from orchestrator.engine.identity import uuid_text
from orchestrator.engine.moves import NEXT
from orchestrator.engine.upkeep import contact_of, tidy
from orchestrator.engine.walk import Walk
from orchestrator.names import Kind, Operation, Reason

if TYPE_CHECKING:
    from orchestrator.engine.document import Instance
    from orchestrator.engine.turn import Turn

BY: Final = "operator"
_NO_EVENT: Final[Mapping[str, Any]] = {}  # steps must not take an operator's words for those of an event: `event.reason`
LONGEST: Final = 500  # letters of a reason or a name that go into the log


def carry_out(turn: Turn) -> None:
    """Do what the record asks for; one that does not say what, who or why is an incident, and changes nothing."""
    payload = turn.payload
    operation = str(payload.get("operation"))
    act = _CUSTOMER.get(operation)
    if (act is None and operation not in _INSTANCE) or not payload.get("requested_by") or not payload.get("reason"):
        words = ", ".join((*_INSTANCE, *_CUSTOMER))
        turn.incident(Reason.UNUSABLE_EVENT, f"operation.requested needs requested_by, reason, and an operation of: {words}")
    elif act is not None:
        act(turn)
    else:
        _to_instances(turn, _INSTANCE[operation])
    _leave_nothing_new(turn)


def _leave_nothing_new(turn: Turn) -> None:
    """Keep no document only because somebody asked: of who is not known, or was erased, not even the request's id is kept."""
    document = turn.document
    seen, document.seen = document.seen, b""
    if not turn.hashed or len(seen) > ENTRY or not document.is_empty:
        document.seen = seen


# One instance. Each gives why it cannot be, else "" and what is to be done after the decision is logged.

_Act = Callable[["Walk"], tuple[str, Callable[[], None] | None]]


def _to_instances(turn: Turn, act: _Act) -> None:
    payload = turn.payload
    journey, key, step = payload.get("journey"), payload.get("key"), payload.get("step")
    meant = [each for each in turn.document.instances if journey in (None, each.journey) and key in (None, each.key)]
    if not meant:
        _refuse(turn, "no_instance")
    for instance in meant:
        program = turn.program.journeys.get((instance.journey, instance.version))
        if program is None:
            _refuse(turn, "version_missing", instance)
        elif step not in (None, instance.step):
            _refuse(turn, "moved_on", instance)
        else:
            turn.at_work = instance
            walk = Walk(turn, instance, program, _NO_EVENT)
            refusal, do = act(walk)
            if do is None:
                _refuse(turn, refusal, instance)
            else:
                _note(turn, Kind.OPERATED, _word(turn), instance)
                do()


def _move(walk: Walk) -> tuple[str, Callable[[], None] | None]:
    state = walk.turn.payload.get("state")
    if walk.turn.payload.get("journey") is None or state not in walk.journey.states:
        return "no_such_state", None
    return "", lambda: walk.go(state)


def _skip(walk: Walk) -> tuple[str, Callable[[], None] | None]:
    step = walk.journey.steps.get(walk.instance.step)
    if step is None:
        return "not_waiting", None
    return "", lambda: _follow(walk, lambda: NEXT)


def _retry(walk: Walk) -> tuple[str, Callable[[], None] | None]:
    step = walk.journey.steps.get(walk.instance.step)
    if step is None:
        return "not_failed", None
    if walk.instance.parked:
        return "", lambda: _follow(walk, lambda: step.verb.redo(walk, step))
    if step.verb.backs_off(walk.instance):
        return "", lambda: _follow(walk, lambda: step.verb.fall_due(walk, step))
    return "not_failed", None


def _follow(walk: Walk, move: Callable[[], Any]) -> None:
    """Leave the wait at the step, as its deadline would, and go on."""
    walk.instance.parked, walk.instance.due = "", 0
    walk.follow(walk.journey.steps[walk.instance.step], move())


def _fail(walk: Walk) -> tuple[str, Callable[[], None] | None]:
    return ("", lambda: walk.end(Kind.EXITED, reason="failed")) if walk.instance.parked else ("not_failed", None)


def _eject(walk: Walk) -> tuple[str, Callable[[], None] | None]:
    return "", lambda: walk.end(Kind.EXITED, reason=BY)


# The customer as a whole.


def _hold(turn: Turn) -> None:
    until = turn.payload.get("until")
    if until is not None and until <= turn.now:
        _refuse(turn, "already_over")
        return
    contact_of(turn.document).blocks[HOLD] = (turn.now, NEVER if until is None else until)
    _note(turn, Kind.OPERATED, _word(turn), until="released" if until is None else str(until))
    # What waits for an earlier hold's end is looked at now, so that it waits for this one's.
    held.let_go(turn)


def _release(turn: Turn) -> None:
    contact = turn.contact
    if contact is None or not contact.held_until(turn.now):
        _refuse(turn, "not_held")
        return
    del contact.blocks[HOLD]
    _note(turn, Kind.OPERATED, _word(turn))
    held.let_go(turn)
    tidy(turn.document, turn.now)


def _resume(turn: Turn) -> None:
    """Let go of what waits for a journey, which is not paused any more; where it is (again), all goes on waiting."""
    journey = str(turn.payload.get("journey") or "")
    if not journey:
        _refuse(turn, "no_journey")
    elif journey in turn.vicinity.paused:
        _refuse(turn, "paused")
    else:
        _note(turn, Kind.OPERATED, _word(turn), journey=journey)
        held.resume(turn, journey)


def _take_over(turn: Turn) -> None:
    """Nothing to do: whoever is handled at all was taken over before (`engine.succession`). This is how to have it soon."""
    _note(turn, Kind.OPERATED, _word(turn))


def _erase(turn: Turn) -> None:
    _note(turn, Kind.OPERATED, _word(turn))
    erasure.carry_out(turn)


def _export(turn: Turn) -> None:
    """Nothing to do: whoever asked reads Kafka; the decision tells that it was read."""
    _note(turn, Kind.OPERATED, _word(turn))


_INSTANCE: Final[Mapping[str, _Act]] = {
    Operation.MOVE: _move,
    Operation.SKIP: _skip,
    Operation.RETRY: _retry,
    Operation.FAIL: _fail,
    Operation.EJECT: _eject,
}
_CUSTOMER: Final[Mapping[str, Callable[[Turn], None]]] = {
    Operation.HOLD: _hold,
    Operation.RELEASE: _release,
    Operation.ERASE: _erase,
    Operation.EXPORT: _export,
    Operation.RESUME: _resume,
    Operation.TAKE_OVER: _take_over,
}


def _word(turn: Turn) -> str:
    return str(turn.payload["operation"])


def _refuse(turn: Turn, reason: str, instance: Instance | None = None) -> None:
    _note(turn, Kind.OPERATION_REFUSED, reason, instance, operation=_word(turn))


def _note(turn: Turn, kind: str, reason: str, instance: Instance | None = None, **more: str) -> None:
    """Log what becomes of the request, with who asked and why."""
    payload = turn.payload
    told = {"requested_by": payload["requested_by"], "why": payload["reason"], "to": payload.get("state"), **more}
    detail = {name: str(value)[:LONGEST] for name, value in told.items() if value}
    decision = Decision(kind, reason=reason, by=BY, detail=detail)
    if instance is not None:
        decision.journey, decision.version, decision.key = instance.journey, instance.version, instance.key
        decision.instance = uuid_text(instance.id)
        decision.state, decision.step = instance.state, instance.step
    turn.handling.decisions.append(decision)
