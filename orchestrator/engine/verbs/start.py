"""`start`: start another journey for this customer (ruling A100)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.engine import identity
from orchestrator.engine.moves import NEXT, Move
from orchestrator.engine.turn import Start as Asked
from orchestrator.engine.values import storable
from orchestrator.engine.verbs.verb import Verb, compiled
from orchestrator.language import codes
from orchestrator.language.expressions import Expression
from orchestrator.language.model import Expr, Place, Step
from orchestrator.language.reader import Fields
from orchestrator.language.verb import Check, Started
from orchestrator.structs import Frozen

if TYPE_CHECKING:
    from orchestrator.engine.program import StepProgram
    from orchestrator.engine.walk import Walk


class StartSettings(Frozen, frozen=True):
    """Which journey, and the context it begins with."""

    journey: str
    place: Place
    data: tuple[tuple[str, Expr], ...] = ()


class StartPlan(Frozen, frozen=True):
    """The same, compiled."""

    journey: str
    data: tuple[tuple[str, Expression], ...]


class Start(Verb):
    """Starts a journey in the same handling, after the entries of the record; this one goes on."""

    name = "start"

    def parse(self, step: Fields) -> StartSettings:
        """Read `start: {journey, data}`."""
        settings = step.fields("start", "start", required=True)
        if settings is None:
            return StartSettings("", step.at("start"))
        parsed = StartSettings(
            journey=settings.name("journey", required=True),
            place=step.at("start"),
            data=tuple(settings.expressions("data").items()),
        )
        settings.close()
        return parsed

    def check(self, step: Step, check: Check) -> None:
        """Check the expressions, and that they have names that expressions can read."""
        for name, expr in step.settings.data:
            check.value(expr)
            if not name.isidentifier():
                message = f"an expression could not read journey.{name}: a name in `data` of a start is letters, digits and `_`"
                check.problems.error(expr.place, codes.BAD_NAME, message)

    def starts(self, step: Step) -> tuple[Started, ...]:
        """Give the journey and what it gets."""
        settings: StartSettings = step.settings
        if not settings.journey:
            return ()
        return (Started(settings.journey, frozenset(name for name, _ in settings.data), settings.place),)

    def plan(self, step: Step) -> StartPlan:
        """Compile the expressions."""
        settings: StartSettings = step.settings
        return StartPlan(settings.journey, tuple((name, compiled(expr)) for name, expr in settings.data))

    def arrive(self, walk: Walk, step: StepProgram) -> Move:
        """Ask for it; the context is what the expressions give now."""
        plan: StartPlan = step.plan
        context = {name: storable(value) for name, value in walk.values(plan.data, step.id).items()}
        action_id = identity.action_id(walk.instance.id, step.id, walk.visit(step))
        walk.turn.starts.append(Asked(plan.journey, context, action_id))
        return NEXT
