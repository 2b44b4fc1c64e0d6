"""Moving one instance along its journey: entering states, running steps, waiting, ending.

A verb says what should happen next as a `Move`; everything that it may do to an instance stands here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from orchestrator.engine import goals, held
from orchestrator.engine.document import Instance
from orchestrator.engine.handling import Decision
from orchestrator.engine.identity import uuid_text
from orchestrator.engine.moves import NEXT, WAIT, End, Go, Leave, Move
from orchestrator.engine.outputs import Incident
from orchestrator.engine.values import marker_name
from orchestrator.language.expressions import UNKNOWN, Expression, Scope
from orchestrator.names import Kind, Reason

if TYPE_CHECKING:
    from orchestrator.engine.program import ExitProgram, JourneyProgram, StateProgram, StepProgram
    from orchestrator.engine.turn import Turn

TRAIL: Final = 10  # last steps that a hand-off block names
TRANSITIONS: Final = 100  # state entries in one handling, after which a journey goes in circles (ruling A80)
_encode = msgspec.msgpack.Encoder().encode


class Walk:
    """One instance in one handling. `event` is what its steps see as `event`, None for the record's own (ruling A46).

    What the log names at every decision and a handling does not change is read once.
    """

    __slots__ = ("_id", "_key", "_version", "event", "instance", "journey", "turn")

    def __init__(self, turn: Turn, instance: Instance, journey: JourneyProgram, event: Mapping[str, Any] | None = None) -> None:
        self.turn = turn
        self.instance = instance
        self.journey = journey
        self.event = event
        self._id = ""
        self._version = instance.version
        self._key = instance.key

    @property
    def id(self) -> str:
        """The instance's id as text."""
        if not self._id:
            self._id = uuid_text(self.instance.id)
        return self._id

    def log(self, kind: str, step: str = "", reason: str = "", by: str = "", detail: dict[str, str] | None = None) -> Decision:
        """Log a decision about this instance; the caller may fill in what only some kinds have."""
        decision = Decision(
            kind, self.journey.id, self._version, self._id or self.id, self._key, self.instance.state, step, reason, by,
            "", "", "", "", detail,
        )  # fmt: skip
        self.turn.handling.decisions.append(decision)
        return decision

    def incident(self, reason: str, message: str, step: str = "", severity: str = "error") -> None:
        """Note an incident about this instance."""
        self.turn.handling.incidents.append(
            Incident(reason, message, self.journey.id, self._version, self.id, step, severity, self.turn.stage)
        )

    # Expressions.

    def value(self, expression: Expression, step: str) -> Any:
        """Evaluate; where the value is unknown or null, log it and give UNKNOWN."""
        return self._known(expression, self._scope(), step)

    def _scope(self) -> Scope:
        return self.turn.scope(self.instance.context, self.turn.event if self.event is None else self.event)

    def _known(self, expression: Expression, scope: Scope, step: str) -> Any:
        value = expression.evaluate(scope)
        if value is UNKNOWN or value is None:
            self._log_unknown(expression, step)
            return UNKNOWN
        return value

    def holds(self, expression: Expression | None, step: str = "") -> bool:
        """Tell whether a condition is true. No condition is; unknown and what is no bool are not, and are logged (ruling A85)."""
        if expression is None:
            return True
        value = self.value(expression, step)
        if value is not UNKNOWN and not isinstance(value, bool):
            self._log_unknown(expression, step)
        return value is True

    def values(self, expressions: tuple[tuple[str, Expression], ...], step: str) -> dict[str, Any]:
        """Evaluate named expressions; a name whose value is unknown is left out and logged."""
        found: dict[str, Any] = {}
        if expressions:
            scope = self._scope()
            for name, expression in expressions:
                value = self._known(expression, scope, step)
                if value is not UNKNOWN:
                    found[name] = value
        return found

    def _log_unknown(self, expression: Expression, step: str) -> None:
        self.log(Kind.CONDITION_ERROR, step, detail={"expression": expression.source})

    def write_context(self, updates: Mapping[str, Any], step: str = "") -> bool:
        """Set names of the context; one that would exceed `limits.context_bytes` is not written, and is an incident."""
        merged = {**self.instance.context, **updates}
        limit = self.turn.program.limits.context_bytes
        if len(_encode(merged)) > limit:
            self.incident(Reason.CONTEXT_TOO_LARGE, f"the context would exceed {limit} bytes; {', '.join(updates)} not set", step)
            return False
        self.instance.context = merged
        return True

    def write_profile(self, updates: Mapping[str, Any], step: str) -> tuple[str, ...]:
        """Set names of the profile, at once; give those set (ruling A88).

        A name that a younger record has set keeps its value: the newest record time wins, also over a late record's step.
        """
        turn = self.turn
        known = turn.document.profile
        newer = {name: value for name, value in updates.items() if name not in known or known[name][1] <= turn.now}
        merged = {**known, **{name: (value, turn.now) for name, value in newer.items()}}
        limit = turn.program.limits.context_bytes
        if len(_encode(merged)) > limit:
            message = f"the profile would exceed {limit} bytes; {', '.join(newer)} not set"
            self.incident(Reason.DOCUMENT_TOO_LARGE, message, step)
            return ()
        turn.document.profile = merged
        turn.forget_profile()
        turn.handling.profile.update(newer)
        return tuple(newer)

    # Moving.

    def follow(self, step: StepProgram, move: Move) -> None:
        """Carry out what `step` asked for, and go on until the instance waits, rests or is over."""
        after = self._after(step, move)
        if after is not None:
            self._run(after)

    def go(self, state: str) -> None:
        """Enter a state and run its steps."""
        self._run(self._enter(state))

    def wait(self, step: StepProgram, due: int, kept: list[Any] | None = None) -> Move:
        """Stop at `step` until an event that it listens to, or `due` (ms UTC; 0 for no deadline)."""
        instance = self.instance
        instance.step = step.id
        instance.due = due
        instance.kept = kept
        return WAIT

    def _run(self, step: StepProgram | None) -> None:
        keeps_trail = self.journey.keeps_trail
        while step is not None:
            if keeps_trail:
                self._leave_trail(step.id)
            if step.when is None or self.holds(step.when, step.id):
                move = step.verb.arrive(self, step)
                if move is WAIT:
                    self.instance.arrived = 0 if step.verb.is_dated(step) else self.turn.now
                    return
                step = self._after(step, move)
            else:
                step = self._after(step, NEXT)

    def _leave_trail(self, step: str) -> None:
        trail = self.instance.trail
        self.instance.trail = [step] if trail is None else [*trail[1 - TRAIL :], step]

    def arms(self) -> dict[str, str]:
        """Give the customer's arms in the experiments of this journey (rule A1)."""
        return self.journey.arms_among(self.turn.document.arms)

    def _after(self, step: StepProgram, move: Move) -> StepProgram | None:
        """Carry out a move; give the step to run next, None where the instance stops."""
        if move is WAIT:
            return None
        if move is NEXT:
            if step.next is None:
                self._stand(self.instance.state)
            return step.next
        if isinstance(move, Go):
            return self._enter(move.state)
        if isinstance(move, End):
            self.end(Kind.ENDED, outcome=move.outcome)
            return None
        if isinstance(move, Leave):
            self.end(Kind.EXITED, reason=move.reason)
            return None
        raise TypeError(f"no such move: {type(move).__name__}")

    def stand_anew(self, state: str) -> None:
        """Be in a state as if just entered, with none of its steps run: what is then sent has ids of its own (rule I1)."""
        instance = self.instance
        self._note_stay()
        instance.stood = max(0, self.turn.now - instance.started)
        self._stand(state)
        visits = instance.visits
        visits[state] = visits.get(state, 0) + 1
        self.log(Kind.STATE_ENTERED)

    def _note_stay(self) -> None:
        """Note for the metrics how long the instance was in the state that it leaves; a late record may be from before."""
        instance = self.instance
        state, stood = instance.state, instance.stood
        if state and stood >= 0:
            stay_ms = max(0, self.turn.now - instance.started - stood)
            self.turn.handling.stays.append((self.journey.id, state, stay_ms))

    def _enter(self, name: str) -> StepProgram | None:
        turn = self.turn
        turn.transitions += 1
        if turn.transitions > TRANSITIONS:
            self._break_loop()
            return None
        state: StateProgram = self.journey.states[name]
        self.stand_anew(name)
        if state.final:
            self.end(Kind.ENDED, outcome=state.outcome)
            return None
        return state.first

    def _stand(self, state: str) -> None:
        """Be in a state, waiting for nothing."""
        instance = self.instance
        instance.state = state
        instance.step = ""
        instance.due = 0
        instance.kept = None
        instance.parked = ""

    def _break_loop(self) -> None:
        """Park an instance that goes in circles; what it was about to send in this handling is dropped."""
        self.turn.pending = [each for each in self.turn.pending if each.walk is None or each.walk.instance is not self.instance]
        self.park(Reason.LOOP, f"more than {TRANSITIONS} state entries in one handling; its sends in this handling were dropped")

    def park(self, reason: str, message: str) -> None:
        """Leave the instance where it stands, with no timer of its own, for an operator to look at (ruling A38)."""
        self.instance.parked = reason
        self.instance.due = 0
        self.incident(reason, message, self.instance.step)

    # Ending.

    def leave(self, exit_program: ExitProgram) -> None:
        """End by an exit rule, with its last send if it has one."""
        self.log(Kind.EXITED).outcome = exit_program.outcome
        if self.turn.pending or self.turn.contact is not None:
            held.drop(self.turn, self.instance.id, "exited")
        if exit_program.send is not None and self.holds(exit_program.send.when, exit_program.send.id):
            exit_program.send.verb.arrive(self, exit_program.send)
        self._remove()

    def end(self, kind: str, *, outcome: str = "", reason: str = "") -> None:
        """End the instance: `ended`, `exited` or `expired`."""
        self.log(kind, reason=reason).outcome = outcome
        if kind != Kind.ENDED:
            held.drop(self.turn, self.instance.id, reason or kind)
        self._remove()

    def _remove(self) -> None:
        document = self.turn.document
        if not self._is_final:
            self._note_stay()
        if self.journey.goals:
            goals.keep_context(document, self.instance, self.journey)
        document.instances = [instance for instance in document.instances if instance is not self.instance]
        marker = document.markers.get(marker_name(self.journey.id, self._key))
        if marker is not None:
            marker.ended = self.turn.now

    @property
    def _is_final(self) -> bool:
        """Whether the state is one in which nobody stays. A state that only an earlier version has is none."""
        state = self.journey.states.get(self.instance.state)
        return state is not None and state.final

    def visit(self, step: StepProgram) -> int:
        """Give the how-manyth visit of this instance to the step's state this is, from 1 (rule I1)."""
        return self.instance.visits.get(step.state, 1)
