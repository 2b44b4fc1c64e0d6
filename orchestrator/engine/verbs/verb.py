"""What every verb is: the language's side (`orchestrator.language.verb.VerbSyntax`) and its meaning.

A verb has no state of its own: one object serves all steps. What a waiting step must remember stands in the instance (`due`,
`kept`); what can be prepared once stands in the step's plan.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from orchestrator.engine.moves import NEXT, Move
from orchestrator.language.expressions import Expression, compile_expression
from orchestrator.language.model import Expr, Journey, Policy, Step
from orchestrator.language.reader import Fields
from orchestrator.language.verb import Check, LookBack, Started, Target

if TYPE_CHECKING:
    from orchestrator.engine.document import Instance
    from orchestrator.engine.program import StepProgram
    from orchestrator.engine.turn import Turn
    from orchestrator.engine.walk import Walk


def compiled(expr: Expr) -> Expression:
    """Compile what the author wrote."""
    return compile_expression(expr.source, expr.timestamps)


def compiled_if(expr: Expr | None) -> Expression | None:
    """Compile what the author may have written."""
    return None if expr is None else compiled(expr)


class Verb:
    """Base of all verbs, with the answers of the simplest: it does something at once and goes on."""

    name: str
    beside: frozenset[str] = frozenset()
    waits: bool = False
    acts: bool = False  # whether it emits actions, with the ids of rule I1

    NOTHING: ClassVar[frozenset[str]] = frozenset()

    # The language's side.

    def parse(self, step: Fields) -> Any:
        """Read the verb's own key and those beside it into the settings Struct."""
        raise NotImplementedError

    def check(self, step: Step, check: Check) -> None:
        """Check the settings against the rest of the topology."""

    def targets(self, step: Step) -> tuple[Target, ...]:
        """Give the states that this step can move to."""
        return ()

    def starts(self, step: Step) -> tuple[Started, ...]:
        """Give the journeys that this step starts."""
        return ()

    def goes_on(self, step: Step) -> bool:
        """Tell whether the step after this one can be reached from it."""
        return True

    def assigns(self, step: Step) -> tuple[str, ...]:
        """Give the names under `journey.` that this step writes."""
        return ()

    # Its meaning.

    def plan(self, step: Step) -> Any:
        """Prepare once, at load, what running the step needs."""
        return step.settings

    def listens(self, step: Step) -> frozenset[str]:
        """Give the event types that a step of this verb hears while it waits."""
        return self.NOTHING

    def looks_back(self, step: Step) -> tuple[LookBack, ...]:
        """Give the event types that a step of this verb may look back for."""
        return ()

    def keeps_whole(self, step: Step) -> frozenset[str]:
        """Give the event types of which a step of this verb keeps the payload whole."""
        return self.NOTHING

    def experiment(self, step: Step) -> str:
        """Give the experiment that the step belongs to, "" for none."""
        return ""

    def hands_off(self, plan: Any) -> bool:
        """Tell whether the step hands its context over to a person, so that the last steps are kept (rule A1)."""
        return False

    def repeats(self, step: Step) -> bool:
        """Tell whether a wait at the step may also take the type that began it, whatever that was (rule W5)."""
        return False

    def recalls(self, instance: Instance, event_type: str) -> bool:
        """Tell whether a waiting instance takes an event type that `listens` does not give."""
        return False

    def entry_channels(self, step: Step, journey: Journey, policy: Policy) -> tuple[str, ...]:
        """Give the channels by which this step would send for the journey's own purpose (rule C2, ruling A39)."""
        return ()

    def arrive(self, walk: Walk, step: StepProgram) -> Move:
        """Do what the verb does when the instance reaches the step."""
        raise NotImplementedError

    def hear(self, walk: Walk, step: StepProgram) -> Move | None:
        """Take the record at hand while waiting at the step; None where it does not move the instance."""
        return None

    def redo(self, walk: Walk, step: StepProgram) -> Move:
        """Run a step again at which the instance stands parked (rule A4)."""
        return self.arrive(walk, step)

    def backs_off(self, instance: Instance) -> bool:
        """Tell whether a waiting instance only waits to try again what failed."""
        return False

    def is_dated(self, step: StepProgram) -> bool:
        """Tell whether `began` can tell, from the deadline and the length that is written; else the instance notes it."""
        return False

    def began(self, turn: Turn, step: StepProgram, instance: Instance) -> int:
        """Give when the wait of an instance with a deadline began, ms UTC; 0 where that cannot be told."""
        return 0

    def postponed(self, step: StepProgram, due: int, by_ms: int, until: int) -> int:
        """Give the deadline of a wait that stood still for so long, and until then (rule V6)."""
        return due + by_ms

    def hear_late(self, walk: Walk, step: StepProgram) -> Move | None:
        """Take a record that is late for the wait which timed out at the step; None where it does not move the instance."""
        return None

    def fall_due(self, walk: Walk, step: StepProgram) -> Move:
        """Do what the verb does when the deadline of its wait comes."""
        return NEXT
