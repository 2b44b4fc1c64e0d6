"""`go`: move to a state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.engine import moves
from orchestrator.engine.verbs.verb import Verb
from orchestrator.language.model import Place, Step
from orchestrator.language.reader import Fields
from orchestrator.language.verb import Target
from orchestrator.structs import Frozen

if TYPE_CHECKING:
    from orchestrator.engine.program import StepProgram
    from orchestrator.engine.walk import Walk


class GoSettings(Frozen, frozen=True):
    """Where to."""

    state: str
    place: Place


class Go(Verb):
    """Enters the state it names; the own state starts over, with its visit counted (ruling A80)."""

    name = "go"

    def parse(self, step: Fields) -> GoSettings:
        """Read `go: <state>`."""
        return GoSettings(step.name("go", required=True), step.at("go"))

    def targets(self, step: Step) -> tuple[Target, ...]:
        """Give the one state."""
        return (Target(step.settings.state, step.settings.place),)

    def goes_on(self, step: Step) -> bool:
        """Never: the step always moves."""
        return False

    def plan(self, step: Step) -> moves.Move:
        """Prepare the move."""
        return moves.Go(step.settings.state)

    def arrive(self, walk: Walk, step: StepProgram) -> moves.Move:
        """Move."""
        move: moves.Move = step.plan
        return move
