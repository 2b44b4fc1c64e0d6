"""`split`: choose a way by data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orchestrator.engine.moves import NEXT, Go, Move
from orchestrator.engine.verbs.verb import Verb, compiled
from orchestrator.language import codes
from orchestrator.language.expressions import Expression
from orchestrator.language.model import Expr, Place, Step
from orchestrator.language.reader import Fields
from orchestrator.language.verb import Check, Target
from orchestrator.names import Kind
from orchestrator.structs import Frozen

if TYPE_CHECKING:
    from orchestrator.engine.program import StepProgram
    from orchestrator.engine.walk import Walk

CONTINUE: Final = "continue"


class SplitBranch(Frozen, frozen=True):
    """A way and its condition."""

    when: Expr
    go: str
    place: Place


class SplitSettings(Frozen, frozen=True):
    """The ways in written order; `otherwise` is a state or `continue`."""

    branches: tuple[SplitBranch, ...]
    otherwise: str
    otherwise_place: Place


class SplitPlan(Frozen, frozen=True):
    """The ways as name, condition, move; the last resort's name and move."""

    ways: tuple[tuple[Expression, str, Move], ...]
    otherwise: str
    otherwise_move: Move


class Split(Verb):
    """Takes the first way whose condition is true, else the last one. An unknown condition is not true."""

    name = "split"

    def parse(self, step: Fields) -> SplitSettings:
        """Read the list of `{when, go}` and its last `{else}`."""
        branches: list[SplitBranch] = []
        otherwise, otherwise_place = "", step.at("split")
        items = step.items("split", required=True)
        for node in items:
            fields = Fields(node, step.problems, "a branch of split")
            if fields.has("else"):
                otherwise, otherwise_place = fields.text("else", required=True), fields.at("else")
                if node is not items[-1]:
                    step.problems.error(node.place, codes.CONFLICT, "`else` must be the last branch of a split")
            else:
                when = fields.expression("when", required=True)
                go = fields.name("go", required=True)
                if when is not None:
                    branches.append(SplitBranch(when, go, fields.at("go")))
            fields.close()
        if items and not otherwise:
            message = "a split needs a last branch `- else: <state>` or `- else: continue`"
            step.problems.error(step.at("split"), codes.MISSING_KEY, message)
        return SplitSettings(tuple(branches), otherwise or CONTINUE, otherwise_place)

    def check(self, step: Step, check: Check) -> None:
        """Check how many branches there are, and their conditions."""
        check.branches(len(step.settings.branches), step.place)
        for branch in step.settings.branches:
            check.condition(branch.when)

    def targets(self, step: Step) -> tuple[Target, ...]:
        """Give the states of the ways."""
        settings: SplitSettings = step.settings
        named = tuple(Target(branch.go, branch.place) for branch in settings.branches)
        return named if settings.otherwise == CONTINUE else (*named, Target(settings.otherwise, settings.otherwise_place))

    def goes_on(self, step: Step) -> bool:
        """Only with `else: continue`."""
        settings: SplitSettings = step.settings
        return settings.otherwise == CONTINUE

    def plan(self, step: Step) -> SplitPlan:
        """Compile the conditions."""
        settings: SplitSettings = step.settings
        ways = tuple((compiled(branch.when), branch.go, Go(branch.go)) for branch in settings.branches)
        return SplitPlan(ways, settings.otherwise, NEXT if settings.otherwise == CONTINUE else Go(settings.otherwise))

    def arrive(self, walk: Walk, step: StepProgram) -> Move:
        """Choose."""
        plan: SplitPlan = step.plan
        for number, (when, state, move) in enumerate(plan.ways, 1):
            if walk.holds(when, step.id):
                walk.log(Kind.BRANCH_TAKEN, step.id, detail={"branch": str(number), "to": state})
                return move
        walk.log(Kind.BRANCH_TAKEN, step.id, detail={"branch": "else", "to": plan.otherwise})
        return plan.otherwise_move
