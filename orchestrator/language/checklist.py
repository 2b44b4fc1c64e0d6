"""What a reviewer would ask about a journey that is valid: one warning for each doubt, with its reason and what to do.

A question belongs here when the answer may well be "as it is": whatever cannot mean anything is an error and is found elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from orchestrator.language import codes
from orchestrator.language.model import Journey, Place, Topology
from orchestrator.language.problems import Problems

Doubt = tuple[Place, str, str]
TELLING: Final = frozenset({"send", "call", "alert"})


def review(topology: Topology, tested: frozenset[str], problems: Problems) -> None:
    """Add the warnings; `tested` are the journeys that a scenario names."""
    for journey in topology.journeys:
        for question in QUESTIONS:
            for place, code, message in question(journey):
                problems.warning(place, code, message)
        if journey.id not in tested:
            message = (
                "no scenario names this journey, so nobody notices when a change breaks it: write a .scenario.yaml beside it"
            )
            problems.warning(journey.place, codes.NO_SCENARIO, message)


def _no_exit(journey: Journey) -> Iterator[Doubt]:
    if not journey.exits and any(state.steps for state in journey.states.values()):
        message = "no exit rule: who closes the account still gets its messages; add `exit: [{on: account.closed}]` or the like"
        yield journey.place, codes.NO_EXIT, message


def _silent_waits(journey: Journey) -> Iterator[Doubt]:
    """The first wait of a state that waits for the customer and never tells anybody anything."""
    for state in journey.states.values():
        wait = next((step for step in state.steps if step.verb == "hold_until"), None)
        if wait is not None and not any(step.verb in TELLING for step in state.steps):
            message = f"step {wait.id!r} waits, and state {state.name!r} sends nothing before or after it"
            advice = "add a `send`, or a handler under `on` where no time matters"
            yield wait.place, codes.SILENT_WAIT, f"{message}: {advice}"


def _calls_without_on_error(journey: Journey) -> Iterator[Doubt]:
    for state in journey.states.values():
        for step in state.steps:
            if step.verb == "call" and step.settings.awaited and not step.settings.on_error:
                message = f"when step {step.id!r} fails for good, the instance stands still until somebody redrives it"
                yield step.place, codes.NO_ON_ERROR, f"{message}: name a state with `on_error`"


def _urgent_where_nothing_is(journey: Journey) -> Iterator[Doubt]:
    if journey.urgency == "high":
        return
    for state in journey.states.values():
        for step in state.steps:
            if step.verb == "send" and step.settings.urgent:
                message = f"step {step.id!r} may wake a customer at night, and the journey's urgency is {journey.urgency}"
                yield step.place, codes.NOT_URGENT, f"{message}: drop `urgent`, or set `urgency: high`"


QUESTIONS: Final[tuple[Callable[[Journey], Iterator[Doubt]], ...]] = (
    _no_exit,
    _silent_waits,
    _calls_without_on_error,
    _urgent_where_nothing_is,
)
