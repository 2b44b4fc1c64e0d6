"""`end`: end the instance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.engine import moves
from orchestrator.engine.verbs.verb import Verb
from orchestrator.language.model import Step
from orchestrator.language.reader import Fields
from orchestrator.structs import Frozen

if TYPE_CHECKING:
    from orchestrator.engine.program import StepProgram
    from orchestrator.engine.walk import Walk


class EndSettings(Frozen, frozen=True):
    """How it ended, in the author's word; "" for none."""

    outcome: str = ""


class End(Verb):
    """Ends the instance where it stands: `end: {outcome: x}` or `end: {}`."""

    name = "end"

    def parse(self, step: Fields) -> EndSettings:
        """Read `end: {outcome}`."""
        settings = step.fields("end", "end", required=True)
        if settings is None:
            return EndSettings()
        outcome = settings.name("outcome")
        settings.close()
        return EndSettings(outcome)

    def goes_on(self, step: Step) -> bool:
        """Never: nothing comes after the end."""
        return False

    def plan(self, step: Step) -> moves.Move:
        """Prepare the move."""
        return moves.End(step.settings.outcome)

    def arrive(self, walk: Walk, step: StepProgram) -> moves.Move:
        """End."""
        move: moves.Move = step.plan
        return move
