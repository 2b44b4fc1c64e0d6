"""Running parked instances again, from the step at which they failed (rule A4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.engine.handle import finish
from orchestrator.engine.walk import Walk

if TYPE_CHECKING:
    from orchestrator.engine.turn import Turn


def run(turn: Turn, step: str, journey: str) -> None:
    """Run every instance that stands parked at `step`, oldest first; `journey` "" for those of any journey."""
    for instance in tuple(turn.document.instances):
        if not instance.parked or instance.step != step or journey not in ("", instance.journey):
            continue
        program = turn.program.journeys.get((instance.journey, instance.version))
        if program is None:
            continue
        turn.at_work = instance
        instance.parked = ""
        walk = Walk(turn, instance, program)
        failed = program.steps[step]
        walk.follow(failed, failed.verb.redo(walk, failed))
    finish(turn)
