"""`set`: write names of the context or of the profile."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from orchestrator.engine.moves import NEXT, Move
from orchestrator.engine.values import storable
from orchestrator.engine.verbs.verb import Verb, compiled
from orchestrator.language import codes
from orchestrator.language.expressions import Expression
from orchestrator.language.model import Expr, Step
from orchestrator.language.problems import Problems
from orchestrator.language.reader import Fields
from orchestrator.language.verb import Check
from orchestrator.names import Kind
from orchestrator.structs import Frozen

if TYPE_CHECKING:
    from orchestrator.engine.program import StepProgram
    from orchestrator.engine.walk import Walk

JOURNEY: Final = "journey."
PROFILE: Final = "profile."


class SetSettings(Frozen, frozen=True):
    """Names without their prefix, in written order."""

    journey: Mapping[str, Expr]
    profile: Mapping[str, Expr]


class SetPlan(Frozen, frozen=True):
    """The same, compiled."""

    journey: tuple[tuple[str, Expression], ...]
    profile: tuple[tuple[str, Expression], ...]


class Set(Verb):
    """Evaluates all its expressions, then writes; a name whose value is unknown keeps what it has.

    What it writes to the profile holds at once for this customer's journeys, from the next step on. The decision log tells the
    names and never the values, which may be personal (ruling A88).
    """

    name = "set"

    def parse(self, step: Fields) -> SetSettings:
        """Read `set: {journey.x: expression, profile.y: expression}`."""
        expressions = step.expressions("set")
        chosen: dict[str, dict[str, Expr]] = {JOURNEY: {}, PROFILE: {}}
        for name, expr in expressions.items():
            prefix = next((prefix for prefix in chosen if name.startswith(prefix)), "")
            rest = name.removeprefix(prefix)
            if not prefix or not rest.isidentifier():
                self._refuse(name, expr, step.problems)
            else:
                chosen[prefix][rest] = expr
        if not expressions:
            step.problems.error(step.at("set"), codes.MISSING_KEY, "`set` names nothing: write `journey.<name>: <expression>`")
        return SetSettings(chosen[JOURNEY], chosen[PROFILE])

    def _refuse(self, name: str, expr: Expr, problems: Problems) -> None:
        message = f"`set` writes `journey.<name>` or `profile.<name>`, not {name!r}"
        problems.error(expr.place, codes.BAD_NAME, message, word=name, known=(f"journey.{name}", f"profile.{name}"))

    def check(self, step: Step, check: Check) -> None:
        """Check the expressions."""
        for expr in (*step.settings.journey.values(), *step.settings.profile.values()):
            check.value(expr)

    def assigns(self, step: Step) -> tuple[str, ...]:
        """Give the context's names."""
        return tuple(step.settings.journey)

    def plan(self, step: Step) -> SetPlan:
        """Compile the expressions."""
        settings: SetSettings = step.settings
        return SetPlan(_compile(settings.journey), _compile(settings.profile))

    def arrive(self, walk: Walk, step: StepProgram) -> Move:
        """Evaluate, write, log the names and never the values."""
        plan: SetPlan = step.plan
        context = {name: storable(value) for name, value in walk.values(plan.journey, step.id).items()}
        profile = {name: storable(value) for name, value in walk.values(plan.profile, step.id).items()}
        written: list[str] = []
        if context and walk.write_context(context, step.id):
            written += [JOURNEY + name for name in context]
        if profile:
            written += [PROFILE + name for name in walk.write_profile(profile, step.id)]
        if written:
            walk.log(Kind.CONTEXT_SET, step.id, detail={"names": ", ".join(written)})
        return NEXT


def _compile(expressions: Mapping[str, Expr]) -> tuple[tuple[str, Expression], ...]:
    return tuple((name, compiled(expr)) for name, expr in expressions.items())
